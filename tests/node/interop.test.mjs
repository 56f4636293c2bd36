// Unmodified js-libp2p in Node.js with our peers: the relay, and one that echoes.
import assert from "node:assert/strict";
import { test } from "node:test";

import { identify } from "@libp2p/identify";
import { noise } from "@libp2p/noise";
import { ping } from "@libp2p/ping";
import { webRTCDirect } from "@libp2p/webrtc";
import { webSockets } from "@libp2p/websockets";
import { yamux } from "@libp2p/yamux";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";

import { required } from "../lib/environment.mjs";
import { Relay } from "../lib/native.mjs";
import { Program, within } from "../lib/process.mjs";

const ECHO = "/echo/1.0.0";
const DIRECT = "/ip4/127.0.0.1/udp/0/webrtc-direct";

async function start(t) {
  const node = await createLibp2p({
    transports: [webRTCDirect(), webSockets()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
    // It would not dial loopback.
    connectionGater: { denyDialMultiaddr: () => false },
  });
  t.after(() => node.stop());
  return node;
}

/** Dials, and waits until the peer has said who it is and has answered a ping. */
async function meet(node, address) {
  const identified = new Promise((resolve) => {
    node.addEventListener("peer:identify", ({ detail }) => resolve(detail), { once: true });
  });
  const connection = await within(node.dial(multiaddr(address)), `a connection to ${address}`);
  const { peerId, protocols } = await within(identified, "identify");
  assert.ok(peerId.equals(connection.remotePeer));
  assert.ok(await within(node.services.ping.ping(connection.remotePeer), "a ping") >= 0);
  return { connection, protocols };
}

async function writeAll(stream, bytes) {
  for (let at = 0; at < bytes.length; at += 65_536) {
    if (!stream.send(bytes.subarray(at, at + 65_536))) await stream.onDrain();
  }
  await stream.close();
}

async function readAll(stream) {
  const parts = [];
  for await (const part of stream) parts.push(part.subarray());
  return Buffer.concat(parts);
}

test("js-libp2p and we echo a megabyte over webrtc-direct, half-closed by each side", async (t) => {
  const peer = new Program(required("ECHO_BIN"), [DIRECT]);
  t.after(() => peer.stop("SIGKILL"));
  const address = await peer.line("its address", (text) => text.startsWith("/ip4") && text);
  const node = await start(t);
  await node.handle(ECHO, async (stream) => writeAll(stream, await readAll(stream)));
  const { connection } = await meet(node, address);

  const sent = Buffer.from(Uint8Array.from({ length: 1 << 20 }, (_, at) => (at * 31) >> 5));
  const stream = await connection.newStream(ECHO);
  const [, got] = await within(Promise.all([writeAll(stream, sent), readAll(stream)]), "our echo");
  assert.ok(sent.equals(got), `${got.length} bytes came back`);
  await peer.line("the echo of js-libp2p", (text) => text === `echoed ${1 << 20}`);
});

for (const [name, listen, part] of [["webrtc-direct", DIRECT, "/webrtc-direct/certhash/"], ["WebSocket", undefined, "/ws/"]]) {
  test(`js-libp2p reaches the relay over ${name}`, async (t) => {
    const relay = await Relay.start(t, { app: false, listen });
    const node = await start(t);
    const { connection, protocols } = await meet(node, relay.address);
    assert.ok(connection.remoteAddr.toString().includes(part), connection.remoteAddr.toString());
    assert.equal(connection.remotePeer.toString(), relay.peerId);
    assert.ok(protocols.includes("/braidcast/1.0.0/control"), protocols.join(" "));
  });
}
