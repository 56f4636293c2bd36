// A closed topic among tabs and a terminal, with a relay that has no key.
import assert from "node:assert/strict";
import { test } from "node:test";

import { launch } from "../lib/browser.mjs";
import { Relay, subscribe, topicKey } from "../lib/native.mjs";
import { Peer } from "../lib/peer.mjs";

test("two tabs and a terminal share a closed topic, and a tab with another key hears nothing and is told why", async (t) => {
  const { file, text: key } = await topicKey(t);
  const relay = await Relay.start(t, { app: false });
  const open = async (key, more) =>
    Peer.open(t, await launch(t), [relay.url], "room", { options: { mode: "closed", key }, ...more });
  const terminal = await subscribe(t, "room", relay.url, { more: ["--mode", "closed", "--key-file", file] });
  const { peerId } = await terminal.json("its id", (line) => line.ready);
  const [ada, bob, eve] = await Promise.all([open(key), open(key), open("00".repeat(32), { stranger: true })]);
  await Promise.all([ada.meetsThere([bob.id, peerId]), bob.meetsThere([ada.id, peerId])]);
  assert.deepEqual(await Promise.all([ada, bob, { id: peerId }].map(({ id }) => eve.shuns(id))), Array(3).fill("otherKey"));
  assert.deepEqual([await ada.shuns(eve.id), await ada.shuns(relay.peerId)], ["otherKey", "noProof"]);

  await ada.say("among us");
  await bob.hears("among us");
  await terminal.json("a message", (line) => line.from === ada.id && line.text === "among us");
  const sent = await bob.sendNoise("large", 1024 * 1024);
  assert.equal(await ada.receives("large"), sent);
  await terminal.json("a large message", (line) => line.from === bob.id && line.bytes === 1024 * 1024);

  const refusal = await eve.page.evaluate(() => topic.publish("let me in").catch(({ code, message }) => ({ code, message })));
  assert.equal(refusal.code, "NO_PEERS");
  assert.match(refusal.message, /no connected peer has proved to be a member of closed topic "room"; \d subscribe without/);
  await ada.say("still among us");
  await bob.hears("still among us");
  assert.deepEqual(await eve.page.evaluate(() => [...heard.texts, ...heard.files.keys()]), []);
  assert.equal((await eve.stats()).bulkBytesIn, 0);
  assert.deepEqual(await bob.page.evaluate(() => [...heard.texts]), ["among us", "still among us"]);
});
