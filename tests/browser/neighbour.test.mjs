import assert from "node:assert/strict";
import { test } from "node:test";

import { launch } from "../lib/browser.mjs";
import { Relay } from "../lib/native.mjs";
import { Peer } from "../lib/peer.mjs";

test("two tabs that had no link make one through a neighbour when the relay is gone", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const open = async (init) => Peer.open(t, await launch(t), [relay.url], "room", { init });
  const [ada, bob] = await Promise.all([open(breakable), open()]);
  await Promise.all([ada.linked([bob.id]), bob.linked([ada.id])]);
  await ada.page.evaluate(() => (globalThis.isBroken = true));
  const eve = await open();
  await Promise.all([eve.linked([bob.id]), bob.linked([ada.id, eve.id])]);
  await relay.kill();
  await Promise.all([ada, bob, eve].map((peer) => peer.alone()));
  assert.deepEqual(await ada.linked(1), [bob.id]);

  await ada.page.evaluate(() => (globalThis.isBroken = false));
  await Promise.all([ada.linked([bob.id, eve.id]), eve.linked([ada.id, bob.id])]);
  await bob.page.close();
  await Promise.all([ada, eve].map((peer) => peer.page.evaluate((gone) => heard.until(async () => (await node.peers()).every(({ id }) => id !== gone)), bob.id)));
  await ada.say("without Bob");
  await eve.hears("without Bob");
});

/** Runs in the page: while `isBroken`, no peer connection can be made. */
function breakable() {
  globalThis.RTCPeerConnection = new Proxy(RTCPeerConnection, {
    construct(target, settings) {
      if (globalThis.isBroken) throw new Error("broken for a test");
      return Reflect.construct(target, settings);
    },
  });
}
