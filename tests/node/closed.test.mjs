// Closed topics and parameters of topics in the npm package.
import assert from "node:assert/strict";
import { test } from "node:test";

import { noise, sha256 } from "../lib/files.mjs";
import { Relay, subscribe, topicKey } from "../lib/native.mjs";
import { within } from "../lib/process.mjs";
import { Braidcast, InvalidError, NoPeersError } from "../../web/dist/node.js";

async function start(t, ...relays) {
  const node = await Braidcast.start({ relays: relays.map(({ url }) => url) });
  t.after(() => node.stop());
  return node;
}

const told = (node, why) =>
  within(new Promise((resolve) => node.on("outsider", (event) => event.why === why && resolve(event))), `an outsider, ${why}`);

test("members hear each other through a relay that is one, and a wrong key says what is wrong", async (t) => {
  const { file, text } = await topicKey(t);
  const relay = await Relay.start(t, { app: false, more: ["--closed-topic", `room=${file}`] });
  const terminal = await subscribe(t, "room", relay.url, { more: ["--mode", "closed", "--key-file", file] });
  const [ada, bob, eve, tom] = await Promise.all([0, 1, 2, 3].map(() => start(t, relay)));
  const key = Uint8Array.from(text.match(/[0-9a-f]{2}/g), (pair) => parseInt(pair, 16));
  const messages = bob.topic("room", { mode: "closed", key: text }).messages();
  const room = ada.topic("room", { mode: "closed", key });
  const wrong = eve.topic("room", { mode: "closed", key: new Uint8Array(32).fill(7) });
  const [atEve, atTom] = [told(eve, "otherKey"), told(tom, "noKey")];
  const heard = [];
  for (const topic of [wrong, tom.topic("room")]) topic.subscribe((message) => heard.push(message));
  const { id, topic, message } = await atEve;
  assert.deepEqual([id, topic], [relay.peerId, "room"]);
  assert.match(message, /holds another key of topic "room" than this node: compare the two/);
  assert.match((await atTom).message, /topic "room" is closed to this node/);
  await assert.rejects(wrong.publish("let me in"), (error) => {
    assert.ok(error instanceof NoPeersError);
    assert.match(error.message, /no connected peer has proved to be a member of closed topic "room"; 1 subscribe without/);
    return true;
  });

  await within(Promise.all([room.ready(), bob.topic("room").ready()]), "members");
  const bytes = noise(600_000, 7);
  await room.publish("hello");
  const { value } = await within(messages.next(), "a small message");
  assert.deepEqual([value.from, value.text()], [ada.id, "hello"]);
  await room.publish(bytes);
  assert.equal(sha256((await within(messages.next(), "a large message")).value.bytes), sha256(bytes));
  await terminal.json("the message", (line) => line.text === "hello" && line.from === ada.id);
  assert.deepEqual(heard, []);
  assert.deepEqual([eve, tom].map((node) => node.stats().bulkBytesIn), [0, 0]);
});

test("a relay without the key carries nothing, which publish says; with the key put right it goes on", async (t) => {
  const { file, text } = await topicKey(t);
  const [relay, member] = await Promise.all([
    Relay.start(t, { app: false }),
    Relay.start(t, { app: false, more: ["--closed-topic", `room=${file}`] }),
  ]);
  const alone = await start(t, relay);
  const proofless = told(alone, "noProof");
  const topic = alone.topic("room", { mode: "closed", key: text });
  topic.subscribe(() => {});
  assert.match((await proofless).message, /proved no membership .* carries nothing/);
  await assert.rejects(topic.publish("psst"), /1 subscribe without \(relays, or peers with another key\): wait for a direct link/);
  assert.ok((await alone.peers()).every(({ topics }) => topics.length === 0));

  const node = await start(t, member);
  const otherKey = told(node, "otherKey");
  const room = node.topic("room", { mode: "closed", key: "00".repeat(32) });
  room.subscribe(() => {});
  await otherKey;
  node.topic("room", { mode: "closed", key: text });
  await within(room.ready(), "a member");
  assert.equal((await room.publish("at last")).peers, 1);
});

test("parameters of a topic are taken, and what can never work is refused with value and limit", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const terminal = await subscribe(t, "news", relay.url);
  const node = await start(t, relay);
  const topic = node.topic("news", { shardFactor: 16, shardMultiplier: 1.5, threshold: 0.5, meshTarget: 4 });
  await within(topic.ready(), "someone");
  const { id } = await topic.publish(noise(200_000, 3));
  await terminal.json("the message", (line) => line.id === id && line.bytes === 200_000);
  for (const [options, text] of [
    [{ shardFactor: 200, shardMultiplier: 1.5 }, /make 200 source and 100 parity pieces, the limit is 1 to 256 together: choose a smaller/],
    [{ shardMultiplier: 2.5 }, /make 128 source and 192 parity pieces/],
    [{ shardFactor: 1.5 }, /shardFactor is 1.5, expected a whole number from 1 to 65535/],
    [{ shardMultiplier: 0.5 }, /shardMultiplier is 0.5, expected a number from 1 to 256/],
    [{ threshold: 75 }, /threshold is 75, expected a number from 0 to 1/],
    [{ meshMin: 9 }, /mesh minimum 9, target 8, maximum 12: each must be from 1 to/],
    [{ mode: "shut" }, /mode is "shut", expected "open" or "closed"/],
    [{ mode: "closed" }, /mode "closed" needs a key/],
    [{ key: new Uint8Array(32) }, /add mode: "closed"/],
    [{ mode: "closed", key: new Uint8Array(31) }, /key is 31 bytes, expected 32/],
    [{ mode: "closed", key: "c0ffee" }, /key is a text of 6 characters, expected 64 hexadecimal digits/],
    [{ validateTimeoutMs: 0 }, /validateTimeoutMs is 0, expected a whole number from 1 to 60000/],
  ]) {
    const refused = (error) => error instanceof InvalidError && text.test(error.message) && !error.message.includes("c0ffee");
    assert.throws(() => node.topic("news", options), refused, String(text));
  }
});
