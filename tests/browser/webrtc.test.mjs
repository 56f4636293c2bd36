import assert from "node:assert/strict";
import { test } from "node:test";

import { launch, withoutWebRtc } from "../lib/browser.mjs";
import { Relay } from "../lib/native.mjs";
import { CROWD_MS, Peer } from "../lib/peer.mjs";

const MIB = 1024 * 1024;

test("two tabs link directly through a relay and outlive it", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const [ada, bob] = await Promise.all(
    [launch(t), launch(t)].map(async (context) => Peer.open(t, await context, [relay.url], "pair")),
  );
  await Promise.all([ada.linked([bob.id]), bob.linked([ada.id])]);
  assert.deepEqual(await ada.path(bob.id), { link: "direct", via: undefined, obstacle: undefined });
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
  const [ada, bob, eve] = await Promise.all(
    [launch(t), launch(t), launch(t)].map(async (context, at) =>
      Peer.open(t, await context, [relay.url], "mixed", at === 2 ? { init: withoutWebRtc } : {}),
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
  const path = await eve.path(bob.id);
  assert.equal(path.link, undefined);
  assert.match(path.obstacle, /no WebRTC here/);
  assert.deepEqual([ada, bob, eve].flatMap(({ complaints }) => complaints), []);
});

test("twelve tabs in three processes share a room and leave the relay in peace", async (t) => {
  const [relay, ...contexts] = await Promise.all([Relay.start(t, { app: false }), launch(t), launch(t), launch(t)]);
  const tabs = await Promise.all(
    contexts.flatMap((context) => Array.from({ length: 4 }, () => Peer.open(t, context, [relay.url], "room"))),
  );
  await Promise.all(tabs.map((tab) => tab.linked(6, CROWD_MS)));
  const before = await traffic(relay, tabs);

  await Promise.all(tabs.map((tab) => tab.say(`from ${tab.id}`)));
  await Promise.all(tabs.flatMap((tab) => othersOf(tab, tabs).map((other) => tab.hears(`from ${other.id}`))));
  for (const sender of tabs) {
    const sent = await sender.sendNoise(sender.id, MIB / 2);
    const received = await Promise.all(othersOf(sender, tabs).map((tab) => tab.receives(sender.id)));
    assert.ok(received.every((hash) => hash === sent));
  }

  const after = await traffic(relay, tabs);
  const share = (after.relay - before.relay) / (after.tabs - before.tabs);
  const links = await Promise.all(tabs.map(async (tab) => (await tab.linked(0)).length));
  t.diagnostic(`direct links ${links.join(" ")}, ${(100 * share).toFixed(2)} % of bulk bytes from the relay`);
  assert.ok(Math.max(...links) <= 8, `a tab holds ${Math.max(...links)} links`);
  assert.ok(share < 0.1, `the relay carries ${(100 * share).toFixed(1)} % of bulk bytes`);
  assert.deepEqual(tabs.flatMap(({ complaints }) => complaints), []);
});

function othersOf(tab, tabs) {
  return tabs.filter((other) => other !== tab);
}

/** Bulk bytes that tabs received, and those of them that the relay sent. */
async function traffic(relay, tabs) {
  const stats = await Promise.all(tabs.map((tab) => tab.stats()));
  const metrics = await (await fetch(`${relay.url}/metrics`)).text();
  const sent = /^braidcast_bulk_sent_bytes_total (\d+)/m.exec(metrics);
  return { relay: Number(sent[1]), tabs: stats.reduce((sum, { bulkBytesIn }) => sum + bulkBytesIn, 0) };
}

/** The browser itself logs a WebSocket that cannot be opened, or that dies while it opens. */
function isRelayGone(text) {
  const ends = "net::ERR_CONNECTION_(REFUSED|RESET)|Connection closed before receiving a handshake response";
  return new RegExp(`^console: WebSocket connection to .*(${ends})$`).test(text);
}
