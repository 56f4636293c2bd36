import assert from "node:assert/strict";
import { test } from "node:test";

import { launch } from "../lib/browser.mjs";
import { Relay } from "../lib/native.mjs";
import { Peer } from "../lib/peer.mjs";

const MIB = 1024 * 1024;

test("two tabs link directly through a relay and outlive it", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const [ada, bob] = await Promise.all(
    [launch(t), launch(t)].map(async (context) => Peer.open(t, await context, [relay.url], "pair")),
  );
  await Promise.all([ada.linked([bob.id]), bob.linked([ada.id])]);
  await relay.kill();
  await Promise.all([ada.alone(), bob.alone()]);

  await Promise.all([ada.say("from Ada"), bob.say("from Bob")]);
  await Promise.all([ada.hears("from Bob"), bob.hears("from Ada")]);
  const start = performance.now();
  const sent = await ada.sendNoise("large", 16 * MIB);
  assert.equal(await bob.receives("large"), sent);
  t.diagnostic(`16 MiB from page to page in ${Math.round(performance.now() - start)} ms`);

  // A tab that is closed says so.
  await ada.page.close();
  await bob.page.evaluate(() => heard.until(async () => (await node.peers()).length === 0));
  assert.deepEqual([...ada.complaints, ...bob.complaints].filter((text) => !isRelayGone(text)), []);
});

test("a tab without WebRTC receives everything through the relay", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const without = () => ["RTCPeerConnection", "webkitRTCPeerConnection"].forEach((name) => delete globalThis[name]);
  const [ada, bob, eve] = await Promise.all(
    [launch(t), launch(t), launch(t)].map(async (context, at) =>
      Peer.open(t, await context, [relay.url], "mixed", at === 2 ? { init: without } : {}),
    ),
  );
  await Promise.all([ada.linked([bob.id]), bob.linked([ada.id])]);
  await ada.say("from Ada");
  await Promise.all([bob.hears("from Ada"), eve.hears("from Ada")]);
  await eve.say("from Eve");
  await Promise.all([ada.hears("from Eve"), bob.hears("from Eve")]);
  const sent = await bob.sendNoise("file", MIB);
  assert.deepEqual(await Promise.all([ada.receives("file"), eve.receives("file")]), [sent, sent]);
  const links = (await eve.peers()).map(({ link }) => link);
  assert.deepEqual(links, ["relay"]);
  assert.deepEqual([ada, bob, eve].flatMap(({ complaints }) => complaints), []);
});

/** The browser itself logs a WebSocket that cannot be opened. */
function isRelayGone(text) {
  return text.includes("WebSocket connection to") && text.includes("ERR_CONNECTION_REFUSED");
}
