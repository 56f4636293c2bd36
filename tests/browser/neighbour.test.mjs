import assert from "node:assert/strict";
import { test } from "node:test";

import { multiaddr } from "@multiformats/multiaddr";

import { launch } from "../lib/browser.mjs";
import { Relay } from "../lib/native.mjs";
import { Peer } from "../lib/peer.mjs";

test("two tabs that had no link make one through a neighbour when the relay is gone", async (t) => {
  const { ada, bob, eve } = await parted(t);
  await ada.join("room");
  await Promise.all([ada.linked([bob.id, eve.id]), eve.linked([ada.id, bob.id])]);
  await bob.page.close();
  await Promise.all([ada, eve].map((peer) => peer.misses(bob.id)));
  await ada.say("without Bob");
  await eve.hears("without Bob");
});

test("a neighbour that changes what it carries is refused and banned", async (t) => {
  const { relay, ada, bob, eve } = await parted(t);
  await bob.page.evaluate((keys) => (globalThis.swapped = [keys, keys.toReversed()]), [ada, eve].map(({ id }) => keyOf(id)));
  await ada.join("room");
  // Either may call the other first.
  const victim = await Promise.race([ada, eve].map((peer) => peer.misses(bob.id).then(() => peer)));
  assert.ok((await bob.page.evaluate(() => swaps)) > 0);
  assert.ok((await victim.stats()).offences > 0);
  assert.deepEqual(await victim.linked(0), [], "nobody came of it");

  // Others find each other again.
  await relay.startAgain();
  await Promise.all([ada.linked([eve.id]), eve.linked([ada.id]), victim.hindered(bob.id, "banned")]);
  assert.ok((await victim.peers()).every(({ id }) => id !== bob.id));
});

test("of twelve tabs whose relay is gone, two that had no link make one", async (t) => {
  const [relay, ...contexts] = await Promise.all([Relay.start(t, { app: false }), launch(t), launch(t), launch(t)]);
  const tabs = await Promise.all(
    contexts.flatMap((context) => Array.from({ length: 4 }, () => Peer.open(t, context, [relay.url], "room"))),
  );
  await Promise.all(tabs.map((tab) => tab.linked(4)));
  await relay.kill();
  await Promise.all(tabs.map((tab) => tab.alone()));
  const before = new Map(await Promise.all(tabs.map(async (tab) => [tab, await tab.linked(0)])));
  // Whoever has eight links makes no more: some have to leave.
  const [gone, left] = [tabs.slice(0, 6), tabs.slice(6)];
  await Promise.all(gone.map((tab) => tab.page.close()));
  await Promise.any(left.map((tab) => tab.meets(before.get(tab))));
  await Promise.all(left.map((tab) => tab.say(`from ${tab.id}`)));
  await Promise.all(left.flatMap((tab) => left.filter((other) => other !== tab).map((other) => tab.hears(`from ${other.id}`))));
});

/** Three tabs whose relay is gone: Bob has links to both others, who are in different rooms and have none to each other. */
async function parted(t) {
  const relay = await Relay.start(t, { app: false });
  const open = async (topic, init) => Peer.open(t, await launch(t), [relay.url], topic, { init });
  const [ada, bob, eve] = await Promise.all([open("hall"), open("room", swapping), open("room")]);
  await Promise.all([bob.join("hall"), ada.linked([bob.id]), bob.linked([ada.id, eve.id]), eve.linked([bob.id])]);
  await relay.kill();
  await Promise.all([ada, bob, eve].map((peer) => peer.alone()));
  assert.deepEqual([await ada.linked(1), await eve.linked(1)], [[bob.id], [bob.id]]);
  // Whoever was of no use yet introduces nobody.
  await bob.say("I am of use");
  await ada.hears("I am of use");
  return { relay, ada, bob, eve };
}

/** Runs in the page: changes the sealed signalling, in which the fingerprints are, that it carries between two peers whose keys are
 * in `swapped`. In the frame both keys stand one after the other, with a tag and a length before each field. */
function swapping() {
  globalThis.swaps = 0;
  const send = RTCDataChannel.prototype.send;
  RTCDataChannel.prototype.send = function (data) {
    const starts = (at, bytes) => bytes.every((byte, place) => data[at + place] === byte);
    const carried = (at) => globalThis.swapped?.some(([origin, target]) => starts(at, origin) && starts(at + 34, target));
    const at = data.findIndex((_, at) => carried(at));
    if (at < 0) return send.call(this, data);
    const changed = data.slice();
    changed[at + 34 + 32 + 48] ^= 1;
    globalThis.swaps += 1;
    return send.call(this, changed);
  };
}

/** The public key in a peer id. */
function keyOf(id) {
  return [...multiaddr(`/p2p/${id}`).bytes.slice(-32)];
}
