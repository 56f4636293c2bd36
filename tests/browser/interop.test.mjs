// Unmodified js-libp2p in a page, with our transport in another page and with our relay.
import assert from "node:assert/strict";
import { before, test } from "node:test";

import { launch, openPage } from "../lib/browser.mjs";
import { bundle } from "../lib/bundle.mjs";
import { required } from "../lib/environment.mjs";
import { Relay } from "../lib/native.mjs";
import { within } from "../lib/process.mjs";
import { serve } from "../lib/site.mjs";

let script;
before(async () => (script = await bundle("js-libp2p.mjs")));

/** A page of its own process, in which `start` runs with `relay`. */
async function open(t, relay, start) {
  const [context, url] = await Promise.all([launch(t), serve(t, { "/js-libp2p.js": script, "/page/": required("PAGE_DIR") })]);
  const { page, complaints } = await openPage(context, url);
  await within(page.evaluate(start, relay), "a node in a page");
  return { page, complaints, run: (what, ...given) => within(page.evaluate(...given), what) };
}

/** Gives the page `node`, `listen`, `meet` and `echo`, of js-libp2p. */
async function theirs(relay) {
  const js = await import("/js-libp2p.js");
  globalThis.node = await js.start({ relay });
  globalThis.meet = async (address) => {
    const { connection, protocols } = await js.meet(node, address);
    globalThis.connection = connection;
    return { peer: connection.remotePeer.toString(), address: connection.remoteAddr.toString(), protocols };
  };
  globalThis.listen = () => js.place(node);
  globalThis.echo = async (peer) => {
    const connection = node.getConnections().find((connection) => connection.remotePeer.toString() === peer && !connection.limits);
    const sent = js.mebibyte();
    const got = await js.echo(connection, sent);
    return got.length === sent.length && got.every((byte, at) => byte === sent[at]);
  };
}

/** The same, ours. */
async function ours(relay) {
  const { default: init, Page } = await import("/page/page.js");
  await init({ module_or_path: "/page/page_bg.wasm" });
  globalThis.node = new Page();
  globalThis.meet = async (address) => {
    const peer = await node.dial(address);
    return { peer, address, protocols: await node.meet(peer) };
  };
  globalThis.listen = () => node.listen(relay);
  globalThis.echo = async (peer) => {
    const sent = Uint8Array.from({ length: 1 << 20 }, (_, at) => (at * 31) >> 5);
    const got = await node.echo(peer, sent);
    return got.length === sent.length && got.every((byte, at) => byte === sent[at]);
  };
}

for (const [name, dialer, listener] of [["js-libp2p dials us", theirs, ours], ["we dial js-libp2p", ours, theirs]]) {
  test(`${name} over /webrtc, and both echo a mebibyte`, async (t) => {
    const relay = await Relay.start(t, { app: false });
    const [one, other] = await Promise.all([open(t, relay.address, dialer), open(t, relay.address, listener)]);
    const [id, target] = [one, other].map(({ page }) => page.evaluate(() => String(node.peerId ?? node.id)));
    const address = await other.run("an address at the relay", () => listen());
    const met = await one.run(`a connection to ${address}`, (address) => meet(address), address);
    assert.equal(met.peer, await target);
    assert.match(met.address, /\/webrtc/);
    assert.ok(met.protocols.includes("/echo/1.0.0"), met.protocols.join(" "));
    assert.equal(await one.run("the listener's echo", (peer) => echo(peer), await target), true);
    assert.equal(await other.run("the dialer's echo", (peer) => echo(peer), await id), true);
    assert.deepEqual([...one.complaints, ...other.complaints], []);
  });
}

for (const [name, listen, part] of [
  ["webrtc-direct", "/ip4/127.0.0.1/udp/0/webrtc-direct", "/webrtc-direct/certhash/"],
  ["WebSocket", undefined, "/ws/"],
]) {
  test(`a page of js-libp2p's reaches the relay over ${name}`, async (t) => {
    const relay = await Relay.start(t, { app: false, listen });
    const { run, complaints } = await open(t, undefined, theirs);
    const met = await run("the relay", (address) => meet(address), relay.address);
    assert.ok(met.address.includes(part), met.address);
    assert.equal(met.peer, relay.peerId);
    assert.ok(met.protocols.includes("/braidcast/1.0.0/control"), met.protocols.join(" "));
    assert.deepEqual(complaints, []);
  });
}
