import assert from "node:assert/strict";
import { on } from "node:events";
import { test } from "node:test";
import { Worker } from "node:worker_threads";

import { noise, sha256 } from "../lib/files.mjs";
import { Relay } from "../lib/native.mjs";
import { runInPackage, within } from "../lib/process.mjs";

// Of four nodes, three receive: the relay sends each of them other pieces, parity among them, which have to be decoded.
test("what one module codes the other decodes", async (t) => {
  const relay = await Relay.start(t, { app: false });
  const coders = await Promise.all(
    ["relaxed-simd", "simd128"].map(async (module) => {
      const worker = new Worker(new URL("../lib/coder.mjs", import.meta.url), { workerData: { relay: relay.url, module } });
      t.after(() => worker.terminate());
      const said = on(worker, "message");
      const next = async () => (await within(said.next(), `a message from ${module}`)).value[0];
      assert.deepEqual(await next(), { kernel: module });
      return { worker, next };
    }),
  );
  for (const [index, coder] of coders.entries()) {
    const bytes = noise(600_000, index + 1);
    coder.worker.postMessage(bytes);
    const other = coders[1 - index];
    for (const { next } of [coder, other, other]) assert.equal(sha256(await next()), sha256(bytes));
  }
});

test("the fastest module that runs here is chosen, and none is an error that says what to use", async () => {
  const chosen = async (knows) => {
    const { stdout } = await runInPackage(`
      const { validate } = WebAssembly;
      WebAssembly.validate = (bytes) => (${knows})(bytes.join()) && validate(bytes);
      const { Braidcast } = await import("braidcast");
      const { bestModule } = await import("braidcast/slim");
      const node = await Braidcast.start().catch((error) => console.log(error.name, error.code, error.message));
      if (node) console.log(bestModule(), node.stats().kernel);
      await node?.stop();`);
    return stdout;
  };
  assert.equal(await chosen(() => true), "relaxed-simd relaxed-simd\n");
  // As in browsers that lack `i8x16.relaxed_swizzle`, and in those that lack `i8x16.splat`.
  assert.equal(await chosen((bytes) => !bytes.includes("253,128,2")), "simd128 simd128\n");
  assert.equal(
    await chosen((bytes) => !bytes.includes("253,15")),
    "UnsupportedError UNSUPPORTED there is no WebAssembly SIMD here: " +
      "use Chromium 119, Firefox 124, Safari 17.4, Node.js 22, or later\n",
  );
});
