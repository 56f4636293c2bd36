import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { launch } from "../lib/browser.mjs";
import { Relay } from "../lib/native.mjs";
import { packagePage } from "../lib/site.mjs";

// One relay and one page for all: each test has its own nodes and topic.
const cleanups = [];
let relay;
let page;
let complaints;

before(async () => {
  const t = { after: (step) => cleanups.push(step) };
  relay = await Relay.start(t);
  ({ page, complaints } = await packagePage(t, await launch(t)));
  await page.evaluate((url) => {
    globalThis.relay = url;
    /** Two nodes that know of each other in the topic. */
    globalThis.pair = async (name, options = {}) => {
      const nodes = await Promise.all(
        [0, 1].map(() => braidcast.Braidcast.start({ relays: [globalThis.relay], ...options })),
      );
      const [from, to] = nodes.map((node) => node.topic(name));
      const messages = to.messages();
      await Promise.all([from.ready(), to.ready()]);
      return { nodes, from, to, messages, stop: () => Promise.all(nodes.map((node) => node.stop())) };
    };
    /** Name and code of what `call` fails with. */
    globalThis.failure = async (call) => {
      try {
        await call();
        return "no failure";
      } catch (error) {
        return { name: error.name, code: error.code, is: error instanceof braidcast.BraidcastError };
      }
    };
  }, relay.url);
});

after(async () => {
  for (const step of cleanups.reverse()) await step();
});

test("every kind of data arrives as what it was", async () => {
  const received = await page.evaluate(async () => {
    const { from, messages, stop } = await pair("kinds");
    const sent = [
      "grüße 🧵",
      { x: [1, null, "2"] },
      new Uint8Array([0, 1, 255]),
      new Uint8Array([9, 9, 7, 7]).subarray(2),
      new Uint16Array([1]).buffer,
      new Blob(["blob"], { type: "text/css" }),
      new File(["file"], "ü ש.txt", { type: "text/plain" }),
      null,
    ];
    const received = [];
    for (const data of sent) {
      const { id } = await from.publish(data);
      const { value } = await messages.next();
      if (value.id !== id) throw new Error("another id");
      received.push([value.contentType, value.name, [...value.bytes], value.topic]);
    }
    await from.publish("labelled", { name: "n", contentType: "text/x" });
    const { value } = await messages.next();
    received.push([value.contentType, value.name, value.text(), value.publishedAt instanceof Date]);
    await stop();
    return received;
  });
  const utf8 = (text) => [...Buffer.from(text)];
  assert.deepEqual(received, [
    ["text/plain", "", utf8("grüße 🧵"), "kinds"],
    ["application/json", "", utf8('{"x":[1,null,"2"]}'), "kinds"],
    ["application/octet-stream", "", [0, 1, 255], "kinds"],
    ["application/octet-stream", "", [7, 7], "kinds"],
    ["application/octet-stream", "", [1, 0], "kinds"],
    ["text/css", "", utf8("blob"), "kinds"],
    ["text/plain", "ü ש.txt", utf8("file"), "kinds"],
    ["application/json", "", utf8("null"), "kinds"],
    ["text/x", "n", "labelled", true],
  ]);
});

test("sizes: nothing, one byte, around every limit", async () => {
  // Around the inline limit, the sizes at which coding changes, and the configured limit.
  const limit = 300_000;
  const sizes = [0, 1, 4095, 4096, 4097, 32_768, 32_769, 262_144, 262_145, limit];
  const result = await page.evaluate(
    async ({ sizes, limit }) => {
      const { nodes, from, messages, stop } = await pair("sizes", { maxMessageBytes: limit });
      const hash = async (bytes) => [...new Uint8Array(await crypto.subtle.digest("SHA-256", bytes))].join();
      const same = [];
      for (const size of sizes) {
        const bytes = new Uint8Array(size);
        for (let at = 0; at < size; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
        await from.publish(bytes);
        const { value } = await messages.next();
        same.push(value.bytes.length === size && (await hash(value.bytes)) === (await hash(bytes)));
      }
      const tooLarge = await failure(() => from.publish(new Uint8Array(limit + 1)));
      const tooLargeBlob = await failure(() => from.publish(new Blob([new Uint8Array(limit + 1)])));
      const corrupt = nodes[1].stats().piecesCorrupt;
      await stop();
      return { same, tooLarge, tooLargeBlob, corrupt };
    },
    { sizes, limit },
  );
  assert.deepEqual(result.same, sizes.map(() => true));
  assert.deepEqual(result.tooLarge, { name: "TooLargeError", code: "TOO_LARGE", is: true });
  assert.deepEqual(result.tooLargeBlob, result.tooLarge);
  assert.equal(result.corrupt, 0);
});

test("what cannot work fails with its own class and code", async () => {
  const failures = await page.evaluate(async () => {
    const { Braidcast } = braidcast;
    const alone = await Braidcast.start();
    const { from, stop } = await pair("failures");
    const stopped = await Braidcast.start();
    await stopped.stop();
    await stopped.stop();
    const circular = {};
    circular.self = circular;
    const result = {
      noPeers: await failure(() => alone.topic("t").publish("x")),
      emptyTopic: await failure(() => alone.topic("")),
      longTopic: await failure(() => alone.topic("é".repeat(129))),
      longName: await failure(() => from.publish("x", { name: "é".repeat(128) })),
      longType: await failure(() => from.publish("x", { contentType: "x".repeat(128) })),
      notJson: await failure(() => from.publish(circular)),
      noData: await failure(() => from.publish(undefined)),
      stopped: await failure(() => stopped.topic("t").publish("x")),
      stoppedSubscribe: await failure(() => stopped.topic("t").subscribe(() => {})),
      stoppedPeers: await failure(() => stopped.peers()),
      nonsense: await failure(() => Braidcast.start({ relays: ["nonsense"] })),
      badAddress: await failure(() => Braidcast.start({ relays: ["/ip4/nonsense"] })),
      unusable: await failure(() => Braidcast.start({ relays: ["/ip4/127.0.0.1/tcp/1"] })),
      seed: await failure(() => Braidcast.start({ identitySeed: new Uint8Array(31) })),
      limit: await failure(() => Braidcast.start({ maxMessageBytes: 0 })),
      unanswered: await failure(() => Braidcast.start({ relays: [`${location.origin}/nowhere`] })),
      aborted: await failure(() => Braidcast.start({ signal: AbortSignal.abort() })),
    };
    await Promise.all([alone.stop(), stop()]);
    return Object.fromEntries(Object.entries(result).map(([name, { code, name: error }]) => [name, `${error} ${code}`]));
  });
  assert.deepEqual(failures, {
    noPeers: "NoPeersError NO_PEERS",
    emptyTopic: "InvalidError INVALID",
    longTopic: "InvalidError INVALID",
    longName: "InvalidError INVALID",
    longType: "InvalidError INVALID",
    notJson: "InvalidError INVALID",
    noData: "InvalidError INVALID",
    stopped: "StoppedError STOPPED",
    stoppedSubscribe: "StoppedError STOPPED",
    stoppedPeers: "StoppedError STOPPED",
    nonsense: "ConfigError CONFIG",
    badAddress: "ConfigError CONFIG",
    unusable: "ConfigError CONFIG",
    seed: "ConfigError CONFIG",
    limit: "ConfigError CONFIG",
    unanswered: "RelayError RELAY",
    aborted: "AbortError 20",
  });
  // The one request that was meant to fail.
  assert.match(complaints.splice(0).join("\n"), /^console: Failed to load resource.*404.*$/);
});

test("the same seed is the same identity, none is a fresh one", async () => {
  const ids = await page.evaluate(async () => {
    const ids = [];
    for (const identitySeed of [new Uint8Array(32), new Uint8Array(32), undefined, undefined]) {
      const node = await braidcast.Braidcast.start(identitySeed ? { identitySeed } : {});
      ids.push(node.id);
      await node.stop();
    }
    return ids;
  });
  assert.equal(ids[0], ids[1]);
  assert.equal(new Set(ids).size, 3);
  for (const id of ids) assert.match(id, /^12D3KooW[1-9A-HJ-NP-Za-km-z]{44}$/);
});

test("a loop that is slow loses the oldest and is told; one that ends, unsubscribes", async () => {
  const result = await page.evaluate(async () => {
    const { nodes, from, to, stop } = await pair("slow");
    const lagged = [];
    nodes[1].on("lagged", (event) => lagged.push(event));
    const slow = to.messages({ maxMessages: 2 });
    // In the order of arrival, which need not be that of sending.
    const arrived = [];
    const all = new Promise((resolve) => to.subscribe((message) => arrived.push(message.text()) === 5 && resolve()));
    for (let i = 1; i <= 5; i += 1) await from.publish(String(i));
    await all;
    const seen = [(await slow.next()).value.text(), (await slow.next()).value.text()];
    const abort = new AbortController();
    const aborted = failure(async () => {
      for await (const _ of to.messages({ signal: abort.signal }));
    });
    abort.abort();
    const ends = (async () => {
      for await (const _ of to);
      return "ended";
    })();
    const done = await slow.return();
    const result = { arrived, seen, lagged, done: [done.done, (await slow.next()).done], aborted: (await aborted).name };
    await stop();
    return { ...result, ends: await ends };
  });
  assert.deepEqual(result.seen, result.arrived.slice(-2));
  assert.equal(result.lagged.length, 3);
  assert.deepEqual(result.lagged[0], { messages: 1, topic: "slow" });
  assert.deepEqual(result.done, [true, true]);
  assert.equal(result.aborted, "AbortError");
  assert.equal(result.ends, "ended");
});

test("a handler that throws is reported and disturbs nobody", async () => {
  const result = await page.evaluate(async () => {
    const { from, to, stop } = await pair("throws");
    const reported = new Promise((resolve) => {
      addEventListener("error", (event) => (event.preventDefault(), resolve(event.message)), { once: true });
    });
    to.subscribe(() => {
      throw new Error("a bug of the application");
    });
    const heard = new Promise((resolve) => to.subscribe((message) => resolve(message.text())));
    await from.publish("on");
    const result = [await heard, await reported];
    await stop();
    return result;
  });
  assert.deepEqual(result, ["on", "Uncaught Error: a bug of the application"]);
});

test("progress, reach, peers, relays and counters are told", async () => {
  const result = await page.evaluate(async () => {
    const { nodes, from, messages, stop } = await pair("told");
    const seen = { progress: [], reached: [] };
    for (const node of nodes) node.on("progress", (event) => seen.progress.push(event));
    const reached = new Promise((resolve) => nodes[0].on("reached", resolve));
    // Noise, which no compression makes shorter; 64 KiB at a time, as the browser wants it.
    const noise = new Uint8Array(500_000);
    for (let at = 0; at < noise.length; at += 65_536) crypto.getRandomValues(noise.subarray(at, at + 65_536));
    const { id, peers } = await from.publish(noise, { name: "noise" });
    await messages.next();
    const result = {
      reached: (await reached).id === id,
      peers,
      progress: seen.progress.every((event) => event.totalBytes === 500_000 && event.name === "noise"),
      directions: new Set(seen.progress.map((event) => event.direction)).has("in"),
      relays: nodes[0].relays().map((relay) => relay.state),
      links: (await nodes[0].peers()).map((peer) => peer.link).includes("relay"),
      stats: nodes[1].stats(),
    };
    await stop();
    return result;
  });
  assert.ok(result.reached && result.peers >= 1 && result.progress && result.directions && result.links);
  assert.deepEqual(result.relays, ["connected"]);
  assert.equal(result.stats.messagesIn, 1);
  assert.ok(result.stats.piecesNew > 0 && result.stats.bytesIn > 500_000 && result.stats.memoryBytes > 1_000_000);
});

test("after all that the console is clean", () => {
  assert.deepEqual(complaints, []);
});
