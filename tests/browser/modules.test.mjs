import assert from "node:assert/strict";
import { test } from "node:test";

import { launch } from "../lib/browser.mjs";
import { Relay } from "../lib/native.mjs";
import { packagePage } from "../lib/site.mjs";

test("Chromium is given the module with relaxed SIMD", async (t) => {
  const { page, complaints } = await packagePage(t, await launch(t));
  const loaded = await page.evaluate(async () => {
    const node = await braidcast.Braidcast.start();
    const modules = performance.getEntriesByType("resource").map(({ name }) => name.split("/").at(-1));
    const { kernel } = node.stats();
    await node.stop();
    return { kernel, modules: modules.filter((name) => name.endsWith(".wasm")) };
  });
  assert.deepEqual(loaded, { kernel: "relaxed-simd", modules: ["relaxed-simd.wasm"] });
  assert.deepEqual(complaints, []);
});

// Of four nodes, three receive: the relay sends each of them other pieces, parity among them, which have to be decoded.
test("what one module codes the other decodes", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const context = await launch(t);
  const modules = ["relaxed-simd", "simd128"];
  const pages = await Promise.all(modules.map(() => packagePage(t, context)));
  const kernels = await Promise.all(
    pages.map(({ page }, index) =>
      page.evaluate(
        async ({ relay, module }) => {
          const wasm = new URL(`/braidcast/wasm/${module}.wasm`, location.origin);
          const nodes = await Promise.all([0, 1].map(() => braidcast.Braidcast.start({ relays: [relay], wasm })));
          const topics = nodes.map((node) => node.topic("coded"));
          globalThis.inboxes = topics.map((topic) => topic.messages());
          globalThis.hash = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).join();
          globalThis.publish = (bytes) => topics[0].publish(bytes);
          await Promise.all(topics.map((topic) => topic.ready()));
          return nodes[0].stats().kernel;
        },
        { relay: relay.url, module: modules[index] },
      ),
    ),
  );
  assert.deepEqual(kernels, modules);
  for (const [index, { page }] of pages.entries()) {
    const sent = await page.evaluate(async () => {
      const bytes = new Uint8Array(600_000);
      for (let at = 0; at < bytes.length; at += 60_000) crypto.getRandomValues(bytes.subarray(at, at + 60_000));
      await publish(bytes);
      return hash(bytes);
    });
    const receive = (page, places) =>
      page.evaluate(
        (places) => Promise.all(places.map(async (place) => hash((await inboxes[place].next()).value.bytes))),
        places,
      );
    const received = await Promise.all([receive(page, [1]), receive(pages[1 - index].page, [0, 1])]);
    assert.deepEqual(received.flat(), [sent, sent, sent]);
  }
  for (const { complaints } of pages) assert.deepEqual(complaints, []);
});
