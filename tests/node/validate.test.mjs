// Messages that the application judges.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Relay } from "../lib/native.mjs";
import { runInPackage, within } from "../lib/process.mjs";
import { Braidcast } from "../../web/dist/node.js";

async function start(t, ...relays) {
  const node = await Braidcast.start({ relays: relays.map(({ url }) => url) });
  t.after(() => node.stop());
  return node;
}

/** Waits until `look` is true, as often as the node counts anything. */
async function until(what, look) {
  let timer;
  const looked = new Promise((resolve) => (timer = setInterval(() => look() && resolve(), 50)));
  await within(looked, what).finally(() => clearInterval(timer));
}

/** Two relays that only the judge connects: what comes through is what it passed on. */
async function chain(t, options) {
  const [left, right] = await Promise.all([Relay.start(t, { app: false }), Relay.start(t, { app: false })]);
  const judge = await start(t, left, right);
  const [speaker, other, listener] = await Promise.all([start(t, left), start(t, left), start(t, right)]);
  const judged = judge.topic("t", options);
  const accepted = [];
  judged.subscribe((message) => accepted.push(message.text()));
  const heard = listener.topic("t").messages();
  const next = async () => (await within(heard.next(), "what the judge accepted")).value.text();
  for (const node of [judge, speaker, other, listener]) await within(node.topic("t").ready(), "somebody");
  return { judge, speaker, other, accepted, next };
}

test("what is rejected goes no further, and its publisher is banned in the end", async (t) => {
  const judgedFrom = [];
  const verdicts = { spam: "reject", noise: "ignore" };
  const validate = async (message) => {
    judgedFrom.push(message.from);
    await new Promise((resolve) => setTimeout(resolve, 20));
    return verdicts[message.text().split(" ")[0]] ?? "accept";
  };
  const { judge, speaker, other, accepted, next } = await chain(t, { validate });
  await speaker.topic("t").publish("first");
  assert.equal(await next(), "first");
  await speaker.topic("t").publish("noise 1");
  assert.equal(judge.stats().offences, 0);
  // In order: had one gone further, the listener would hear it before the next.
  for (let count = 1; count <= 3; count += 1) {
    await speaker.topic("t").publish(`spam ${count}`);
    await until("a rejection", () => judge.stats().offences === count);
    await other.topic("t").publish(`fine ${count}`);
    assert.equal(await next(), `fine ${count}`);
  }
  assert.doesNotMatch((await judge.path(speaker.id)).obstacle, /banned/);
  await speaker.topic("t").publish("spam 4");
  await until("the last rejection", () => judge.stats().offences === 4);
  assert.match((await judge.path(speaker.id)).obstacle, /it is banned for what it sent/);

  const before = judgedFrom.filter((from) => from === speaker.id).length;
  await speaker.topic("t").publish("nobody minds me");
  await other.topic("t").publish("the last");
  assert.equal(await next(), "the last");
  assert.deepEqual(accepted, ["first", "fine 1", "fine 2", "fine 3", "the last"]);
  assert.equal(judgedFrom.filter((from) => from === speaker.id).length, before);
  assert.equal(judge.stats().refused, 5);
});

test("what is not judged in time is ignored, and only so many are judged at a time", async (t) => {
  let underWay = 0;
  let most = 0;
  const { judge, speaker, accepted, next } = await chain(t, {
    validateTimeoutMs: 400,
    validateAtOnce: 2,
    validate: (message) => {
      if (message.text() === "hang") return new Promise(() => {});
      most = Math.max(most, (underWay += 1));
      const done = () => ((underWay -= 1), "accept");
      return new Promise((resolve) => setTimeout(() => resolve(done()), 10));
    },
  });
  const topic = speaker.topic("t");
  for (const text of ["hang", "1", "2", "3", "4", "5"]) await topic.publish(text);
  const heard = [];
  while (heard.length < 5) heard.push(await next());
  assert.deepEqual(heard.toSorted(), ["1", "2", "3", "4", "5"]);
  assert.equal(most, 1, "one of two is kept by the message that hangs");
  await until("the one that nobody judged", () => judge.stats().refused === 1);
  assert.equal(judge.stats().offences, 0);
  assert.deepEqual(accepted.toSorted(), ["1", "2", "3", "4", "5"]);
});

test("a validator that throws, or says nothing, ignores the message and is reported", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const { stdout } = await runInPackage(`
    import { Braidcast } from "braidcast";
    const relays = [${JSON.stringify(relay.url)}];
    const [judge, speaker] = await Promise.all([Braidcast.start({ relays }), Braidcast.start({ relays })]);
    process.on("uncaughtException", (error) => console.log(error.message));
    const answers = { throws: () => { throw new Error("what is this"); }, nothing: () => {}, good: () => "accept" };
    const heard = new Promise((resolve) =>
      judge.topic("t", { validate: (message) => answers[message.text()]() }).subscribe((message) => resolve(message.text())),
    );
    await speaker.topic("t").ready();
    for (const text of Object.keys(answers)) await speaker.topic("t").publish(text);
    console.log("heard", await heard);
    await Promise.all([judge.stop(), speaker.stop()]);`);
  const lines = stdout.trim().split("\n");
  assert.deepEqual(lines.toSorted(), ["heard good", 'validate said undefined, expected "accept", "ignore" or "reject"', "what is this"]);
});
