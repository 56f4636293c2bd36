// A native node that nobody can dial, among tabs.
import assert from "node:assert/strict";
import { test } from "node:test";

import { breakable, launch } from "../lib/browser.mjs";
import { Relay, subscribe } from "../lib/native.mjs";
import { Peer } from "../lib/peer.mjs";

test("tabs and a native subscriber link directly and outlive their relay", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const open = async (init) => Peer.open(t, await launch(t), [relay.url], "mixed", { init });
  const [native, ada] = await Promise.all([subscribe(t, "mixed", relay.url), open(breakable)]);
  const { peerId } = await native.json("its id", (line) => line.ready);
  await ada.linked([peerId]);
  assert.deepEqual(await ada.path(peerId), { link: "direct", via: undefined, obstacle: undefined });
  const address = (await ada.peers()).find(({ id }) => id === peerId).address;
  assert.match(address, /\/webrtc\//);

  // The tabs have nothing but the native node between them.
  await ada.page.evaluate(() => (globalThis.isBroken = true));
  const bob = await open();
  await bob.linked([peerId]);
  await relay.kill();
  await Promise.all([ada.alone(), bob.alone()]);
  assert.deepEqual([await ada.linked(1), await bob.linked(1)], [[peerId], [peerId]]);
  await ada.say("from Ada");
  await bob.hears("from Ada");
  assert.equal((await native.json("a message", (line) => line.from === ada.id)).text, "from Ada");
  const sent = await bob.sendNoise("large", 4 * 1024 * 1024);
  assert.equal(await ada.receives("large"), sent);

  // Through it they find each other.
  await ada.page.evaluate(() => (globalThis.isBroken = false));
  await Promise.all([ada.linked([bob.id]), bob.linked([ada.id])]);
  await native.stop();
  await Promise.all([ada, bob].map((peer) => peer.misses(peerId)));
});
