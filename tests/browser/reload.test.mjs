import assert from "node:assert/strict";
import { test } from "node:test";

import { launch } from "../lib/browser.mjs";
import { Relay } from "../lib/native.mjs";
import { Peer } from "../lib/peer.mjs";

test("after a reload the room is found where the relay was, when its URL does not answer", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const [ada, bob] = await pair(t, [relay.url], [relay.url]);
  await ada.page.route(`${relay.url}/**`, (route) => route.abort());
  await again(ada, bob, [relay.url]);
});

test("after a reload the room is found through a peer of before, when the relay is gone", async (t) => {
  const [gone, other] = await Promise.all([Relay.start(t, { app: false }), Relay.start(t, { app: false })]);
  const [ada, bob] = await pair(t, [gone.url], [gone.url, other.url]);
  await gone.kill();
  await again(ada, bob, [gone.url]);
  const relays = await ada.page.evaluate(() => node.relays().map(({ state }) => state));
  assert.ok(relays.every((state) => state !== "connected"), relays.join(" "));
});

/** Two linked tabs, the first of which has remembered the other. */
async function pair(t, ...relays) {
  const peers = [];
  // Bob first, so that his record names all his relays.
  for (const own of relays.toReversed()) peers.unshift(await Peer.open(t, await launch(t), own, "room"));
  const [ada, bob] = peers;
  await Promise.all([ada.linked([bob.id]), bob.linked([ada.id])]);
  await ada.page.waitForFunction(() => JSON.parse(localStorage.getItem("braidcast") ?? "{}").peers?.length > 0);
  return peers;
}

/** Reloads the first and has it find the other again. */
async function again(ada, bob, relays) {
  const before = ada.id;
  await ada.page.reload();
  await ada.start(relays, "room");
  assert.notEqual(ada.id, before);
  await Promise.all([ada.linked([bob.id]), bob.linked([ada.id])]);
  await ada.say("here again");
  await bob.hears("here again");
}
