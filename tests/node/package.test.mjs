import assert from "node:assert/strict";
import { test } from "node:test";

import { publish, Relay, subscribe } from "../lib/native.mjs";
import { runInPackage, within } from "../lib/process.mjs";
import { Braidcast, RelayError, StoppedError } from "../../web/dist/node.js";

test("publishes to and hears the command line", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const terminal = await subscribe(t, "news", relay.url);
  const node = await Braidcast.start({ relays: [relay.url] });
  t.after(() => node.stop());
  const topic = node.topic("news");
  const messages = topic.messages();
  await within(topic.ready(), "someone in the topic");
  const { id, peers } = await topic.publish("hello from Node.js");
  assert.ok(peers >= 1);
  await terminal.json("our message", (line) => line.id === id && line.from === node.id && line.text === "hello from Node.js");
  await publish("news", relay.url, ["--text", "hello back"]);
  const { value } = await within(messages.next(), "the answer");
  assert.equal(value.text(), "hello back");
  await node.stop();
  assert.deepEqual(await messages.next(), { done: true, value: undefined });
  await assert.rejects(topic.publish("too late"), StoppedError);
});

test("a relay is given by its address as well, and found again when it comes back", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const node = await Braidcast.start({ relays: [relay.address] });
  t.after(() => node.stop());
  const state = (wanted) =>
    within(
      new Promise((resolve) => {
        const look = () => node.relays()[0].state === wanted && resolve();
        node.on("relay", look);
        look();
      }),
      `a relay that is ${wanted}`,
    );
  await state("connected");
  await relay.kill();
  await state("lost");
  assert.ok(node.relays()[0].retryAtMs > 0);
  await relay.startAgain();
  await state("connected");
});

test("a relay that does not say where it is, is where it was", async (t) => {
  const relay = await Relay.start(t, { app: false });
  let kept = null;
  const saved = Promise.withResolvers();
  const memory = {
    load: () => kept,
    save: (text) => {
      kept = text;
      saved.resolve();
    },
  };
  const first = await Braidcast.start({ relays: [relay.url], memory });
  await within(saved.promise, "something to remember");
  const address = first.relays()[0].address;
  await first.stop();

  const gone = "http://127.0.0.1:1";
  await assert.rejects(Braidcast.start({ relays: [gone], memory }), RelayError);
  kept = kept.replace(relay.url, gone);
  const second = await Braidcast.start({ relays: [gone], memory });
  t.after(() => second.stop());
  assert.equal(second.relays()[0].address, address);
  for (const broken of ["", "{", '{"version":1,"relays":7,"peers":{}}', '{"version":1,"peers":["%"]}']) {
    kept = broken;
    const node = await Braidcast.start({ relays: [relay.url], memory });
    await node.stop();
  }
});

test("a program ends by itself after stop", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const { stdout } = await runInPackage(`
    import { Braidcast } from "braidcast";
    const node = await Braidcast.start({ relays: [${JSON.stringify(relay.url)}] });
    await node.topic("t").ready();
    await node.stop();
    console.log("done");`);
  assert.equal(stdout, "done\n");
});

test("importing does nothing; starting without WebSocket says what is missing", async () => {
  const code = `
    const before = Object.keys(globalThis).length;
    const { Braidcast } = await import("braidcast");
    const slim = await import("braidcast/slim");
    if (Object.keys(globalThis).length !== before || typeof slim.Braidcast.start !== "function") throw 1;
    await Braidcast.start().catch((error) => console.log(error.name, error.code, error.message));`;
  // As in Node.js 20.
  const { stdout } = await runInPackage(code, "--no-experimental-websocket");
  assert.equal(stdout, "UnsupportedError UNSUPPORTED there is no WebSocket here: use a browser, or Node.js 22 or later\n");
});

test("slim starts with the module that it is given", async () => {
  const { stdout } = await runInPackage(`
    import { readFile } from "node:fs/promises";
    import { Braidcast } from "braidcast/slim";
    const wasm = await WebAssembly.compile(await readFile(new URL(import.meta.resolve("braidcast/simd128.wasm"))));
    const node = await Braidcast.start({ wasm });
    console.log(node.id.slice(0, 8));
    await node.stop();`);
  assert.equal(stdout, "12D3KooW\n");
});

test("a relay at webrtc-direct is refused with what is missing", async (t) => {
  const relay = await Relay.start(t, { app: false, listen: "/ip4/127.0.0.1/udp/0/webrtc-direct" });
  const expected = { name: "UnsupportedError", code: "UNSUPPORTED", message: /WebRTC is not available here/ };
  await assert.rejects(Braidcast.start({ relays: [relay.address] }), expected);
  await assert.rejects(Braidcast.start({ relays: [relay.url] }), RelayError);
});
