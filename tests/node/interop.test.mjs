// Unmodified js-libp2p in Node.js with our peers: the relay, and one that echoes.
import assert from "node:assert/strict";
import { test } from "node:test";

import { required } from "../lib/environment.mjs";
import * as js from "../lib/js-libp2p.mjs";
import { Relay } from "../lib/native.mjs";
import { Program, within } from "../lib/process.mjs";

const DIRECT = "/ip4/127.0.0.1/udp/0/webrtc-direct";

async function start(t) {
  const node = await js.start();
  t.after(() => node.stop());
  return node;
}

test("js-libp2p and we echo a megabyte over webrtc-direct, half-closed by each side", async (t) => {
  const peer = new Program(required("ECHO_BIN"), [DIRECT]);
  t.after(() => peer.stop("SIGKILL"));
  const address = await peer.line("its address", (text) => text.startsWith("/ip4") && text);
  const { connection } = await within(js.meet(await start(t), address), `js-libp2p to meet ${address}`);
  const sent = js.mebibyte();
  assert.deepEqual(await within(js.echo(connection, sent), "our echo"), sent);
  await peer.line("the echo of js-libp2p", (text) => text === `echoed ${1 << 20}`);
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
