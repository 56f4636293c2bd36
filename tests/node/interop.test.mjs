// Unmodified js-libp2p in Node.js with our peers: the relay, those that echo, dialled or signalled to, and one that takes an upload.
import assert from "node:assert/strict";
import { connect, createServer } from "node:net";
import { test } from "node:test";

import { multiaddr } from "@multiformats/multiaddr";

import { required } from "../lib/environment.mjs";
import * as js from "../lib/js-libp2p.mjs";
import { Relay } from "../lib/native.mjs";
import { Program, within } from "../lib/process.mjs";

const DIRECT = "/ip4/127.0.0.1/udp/0/webrtc-direct";

async function start(t, options) {
  const node = await js.start(options);
  t.after(() => node.stop());
  return node;
}

function native(t, name, ...args) {
  const program = new Program(required(name), args);
  t.after(() => program.stop("SIGKILL"));
  return program;
}

/** Each sends the other a mebibyte and closes; the other sends it back. */
async function echoes(peer, connection) {
  const sent = js.mebibyte();
  assert.deepEqual(await within(js.echo(connection, sent), "our echo"), sent);
  await peer.line("the echo of js-libp2p", (text) => text === `echoed ${1 << 20}`);
}

for (const [name, listen] of [["webrtc-direct", DIRECT], ["WebSocket", "/ip4/127.0.0.1/tcp/0/ws"]]) {
  test(`js-libp2p and we echo a megabyte over ${name}, half-closed by each side`, async (t) => {
    const peer = native(t, "ECHO_BIN", listen);
    const address = await peer.line("its address", (text) => text.startsWith("/ip4") && text);
    const { connection } = await within(js.meet(await start(t), address), `js-libp2p to meet ${address}`);
    await echoes(peer, connection);
  });
}

/** A way to a WebSocket address of this machine that answers take 100 ms longer for; its own address. */
async function longWay(t, address) {
  const [, port] = /\/tcp\/(\d+)\//.exec(address);
  const sockets = [];
  const way = createServer((near) => {
    const far = connect(port, "127.0.0.1");
    near.pipe(far);
    far.on("data", (chunk) => setTimeout(() => near.write(chunk), 100));
    far.on("close", () => near.destroy());
    for (const socket of [near, far]) socket.on("error", () => {});
    sockets.push(near, far);
  });
  await new Promise((resolve) => way.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    way.close();
    for (const socket of sockets) socket.destroy();
  });
  return address.replace(`/tcp/${port}/`, `/tcp/${way.address().port}/`);
}

// On a long way yamux opens its window, all of which js-libp2p sends as one frame: longer than the megabyte that rust-yamux takes.
test("js-libp2p uploads 8 MiB over WebSocket in frames of more than one", async (t) => {
  const peer = native(t, "LINKS_BIN");
  const address = await peer.line("its address", (text) => text.includes("/ws/p2p/") && text);
  const node = await start(t);
  const connection = await within(node.dial(multiaddr(await longWay(t, address))), `js-libp2p to dial ${address}`);

  const stream = await connection.newStream("/perf/1.0.0");
  const lengths = [];
  const { sendFrame } = stream;
  stream.sendFrame = (header, body) => {
    lengths.push(body?.byteLength ?? 0);
    return sendFrame.call(stream, header, body);
  };
  const [request, upload] = [new Uint8Array(8), new Uint8Array(8 << 20)];
  new DataView(request.buffer).setBigUint64(0, 1n);
  stream.send(request);
  stream.send(upload);
  const answer = Promise.all([js.readAll(stream), stream.close()]);
  const [bytes] = await within(answer, "the byte that says that all has come");
  assert.equal(bytes.length, 1);
  assert.ok(Math.max(...lengths) > 1 << 20, `no frame was longer than a mebibyte: ${lengths}`);
});

/** A relay, js-libp2p that it lets others through to, and where our native peers reach the relay. */
async function room(t) {
  const relay = await Relay.start(t, { app: false, listen: `/ip4/127.0.0.1/tcp/0/ws,${DIRECT}` });
  const node = await start(t, { relay: relay.address });
  return { relay, node, direct: relay.addresses.find((address) => address.includes("/webrtc-direct/")) };
}

test("js-libp2p dials us over /webrtc, and each echoes a megabyte", async (t) => {
  const { relay, node, direct } = await room(t);
  const peer = native(t, "SIGNALLED_BIN", direct);
  const [, id] = await peer.line("its address", (text) => /\/p2p-circuit\/webrtc\/p2p\/(.+)/.exec(text));
  const { connection } = await within(js.meet(node, `${relay.address}/p2p-circuit/webrtc/p2p/${id}`), "js-libp2p to meet us");
  assert.ok(connection.remoteAddr.toString().includes("/webrtc/"), connection.remoteAddr.toString());
  await echoes(peer, connection);
});

test("we dial js-libp2p over /webrtc, and each echoes a megabyte", async (t) => {
  const { node, direct } = await room(t);
  await within(js.place(node), "a place at the relay");
  const isDirect = ({ remoteAddr }) => remoteAddr.toString().includes("/webrtc/");
  const identified = new Promise((resolve) => {
    node.addEventListener("peer:identify", ({ detail }) => isDirect(detail.connection) && resolve(detail.connection));
  });
  const peer = native(t, "SIGNALLED_BIN", direct, `${direct}/p2p-circuit/webrtc/p2p/${node.peerId}`);
  const connection = await within(identified, "js-libp2p to know us");
  await within(js.pinged(node, connection), "a ping");
  await echoes(peer, connection);
});

for (const [name, listen, part] of [["webrtc-direct", DIRECT, "/webrtc-direct/certhash/"], ["WebSocket", undefined, "/ws/"]]) {
  test(`js-libp2p reaches the relay over ${name}`, async (t) => {
    const relay = await Relay.start(t, { app: false, listen });
    const { connection, protocols } = await within(js.meet(await start(t), relay.address), "js-libp2p to meet the relay");
    assert.ok(connection.remoteAddr.toString().includes(part), connection.remoteAddr.toString());
    assert.equal(connection.remotePeer.toString(), relay.peerId);
    assert.ok(protocols.includes("/braidcast/1.0.0/control"), protocols.join(" "));
  });
}
