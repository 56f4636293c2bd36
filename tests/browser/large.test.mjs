import assert from "node:assert/strict";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";

import { launch, meet, Tab } from "../lib/browser.mjs";
import { noise, sha256 } from "../lib/files.mjs";
import { Relay, scratch, subscribe } from "../lib/native.mjs";

const MIB = 1024 * 1024;
const BYTES = 16 * MIB;
const MEMORY_LIMIT = 200 * MIB;
const TASK_LIMIT_MS = 50;

test("16 MiB from tab to tab and terminal keep both pages small and quick", async (t) => {
  const relay = await Relay.start(t);
  const dir = await scratch(t);
  const content = noise(BYTES);
  await writeFile(join(dir, "large.bin"), content);
  const terminal = await subscribe(t, "large", relay.url, { output: `files:${dir}/inbox` });
  const contexts = await Promise.all([launch(t), launch(t)]);
  const [ada, bob] = await Promise.all(contexts.map((context) => Tab.open(context, relay.url, "large")));
  await meet(ada, bob);

  const watches = await Promise.all([Watch.start(ada), Watch.start(bob)]);
  const start = performance.now();
  await ada.send(join(dir, "large.bin"));
  await bob.file("large.bin");
  const tookMs = performance.now() - start;
  await terminal.line("the file's path", (text) => text.endsWith("large.bin"));
  const [sender, receiver] = await Promise.all(watches.map((watch) => watch.stop()));

  t.diagnostic(`16 MiB in ${Math.round(tookMs)} ms`);
  for (const [who, { peakBytes, restBytes, task }] of Object.entries({ sender, receiver })) {
    const [peak, rest] = [peakBytes, restBytes].map((bytes) => (bytes / MIB).toFixed(1));
    t.diagnostic(`${who}: ${peak} MiB at most, ${rest} MiB at rest, longest task ${task.cpuMs} ms (${task.wallMs} ms by the clock)`);
    assert.ok(peakBytes < MEMORY_LIMIT, `${who} took ${peak} MiB, the limit is ${MEMORY_LIMIT / MIB}`);
    assert.ok(task.cpuMs < TASK_LIMIT_MS, `${who} was busy for ${task.cpuMs} ms, the limit is ${TASK_LIMIT_MS}`);
  }
  assert.equal(sha256((await bob.save("large.bin")).bytes), sha256(content));
  await Promise.all([ada.assertClean(), bob.assertClean()]);
});

/** What a page takes while something happens: memory sampled, main-thread tasks traced. */
class Watch {
  #page;
  #session;
  #browser;
  #sampling;
  #stopped = false;
  #peakBytes = 0;

  static async start({ page }) {
    const watch = new Watch();
    watch.#page = page;
    watch.#session = await page.context().newCDPSession(page);
    watch.#browser = page.context().browser();
    await watch.#browser.startTracing(page, { categories: ["toplevel", "disabled-by-default-devtools.timeline"] });
    watch.#sampling = watch.#sample();
    return watch;
  }

  async stop() {
    this.#stopped = true;
    await this.#sampling;
    const trace = JSON.parse((await this.#browser.stopTracing()).toString());
    await this.#session.send("HeapProfiler.collectGarbage");
    return { peakBytes: this.#peakBytes, restBytes: await this.#bytes(), task: longestTask(trace) };
  }

  async #sample() {
    while (!this.#stopped) this.#peakBytes = Math.max(this.#peakBytes, await this.#bytes());
  }

  /** JavaScript's heap, its buffers, and wasm memory. */
  async #bytes() {
    const heap = await this.#session.send("Runtime.getHeapUsage");
    // As the page shows it, "12.3 MiB".
    const [count, unit] = (await this.#page.getByTestId("counter-memory").textContent()).split(" ");
    assert.equal(unit, "MiB");
    return heap.usedSize + heap.backingStorageSize + Number(count) * MIB;
  }
}

/** The longest task of the main thread of any page in the trace, by processor time: what else the machine does at the
 * time of the test is not the page's fault. */
function longestTask({ traceEvents }) {
  const isMain = (event) => event.name === "thread_name" && event.args.name === "CrRendererMain";
  const mains = new Set(traceEvents.filter(isMain).map(({ pid, tid }) => `${pid} ${tid}`));
  const tasks = traceEvents.filter(
    ({ name, tdur, pid, tid }) => name === "ThreadControllerImpl::RunTask" && tdur && mains.has(`${pid} ${tid}`),
  );
  assert.ok(tasks.length > 0, "the trace holds no task");
  const { tdur, dur } = tasks.reduce((longest, task) => (task.tdur > longest.tdur ? task : longest));
  return { cpuMs: Math.round(tdur / 1000), wallMs: Math.round(dur / 1000) };
}
