// Benchmarks the coding engine as WebAssembly; `cargo xtask bench rlnc-wasm` builds the modules and runs this.
// Usage: node rlnc-bench.mjs '{ folders, places, settings }'; standard output carries the figures.
import { readFile } from "node:fs/promises";
import { extname, join } from "node:path";

import { launch } from "./lib/browser.mjs";

const { folders, places, settings } = JSON.parse(process.argv[2]);
const processor = await processorName();
for (const place of places) {
  for (const folder of folders) {
    const cleanups = [];
    const bench = await { node: inNode, chromium: inChromium }[place](folder, (step) => cleanups.push(step));
    process.stdout.write(await bench.head());
    for (let lines; (lines = await bench.next()) !== undefined; ) process.stdout.write(lines);
    for (const step of cleanups.reverse()) await step();
  }
}

/** What runs here and in the page alike, so it may use nothing from outside itself. */
async function load({ glue, wasm, machine, settings }) {
  const { default: init, Bench } = await import(glue);
  await init({ module_or_path: wasm });
  const { json, quick, case: name, k, bytes } = settings;
  // Rust's `None` is undefined, and JSON has no such thing.
  return new Bench(machine, json, quick, name ?? undefined, k ?? undefined, bytes ?? undefined);
}

async function inNode(folder) {
  const { node, v8 } = process.versions;
  const machine = `${processor}; Node.js ${node}, V8 ${v8}`;
  return load({ glue: join(folder, "bench.js"), wasm: await readFile(join(folder, "bench_bg.wasm")), machine, settings });
}

async function inChromium(folder, after) {
  const context = await launch({ after });
  const session = await context.browser().newBrowserCDPSession();
  const { product, jsVersion } = await session.send("Browser.getVersion");
  const machine = `${processor}; ${product}, V8 ${jsVersion}`;
  // Isolated, so that its clock ticks in 5 us and not in 100.
  const headers = { "cross-origin-opener-policy": "same-origin", "cross-origin-embedder-policy": "require-corp" };
  const types = { ".js": "text/javascript", ".wasm": "application/wasm" };
  await context.route("http://localhost/**", async (route) => {
    const { pathname } = new URL(route.request().url());
    if (pathname === "/") return route.fulfill({ headers, contentType: "text/html", body: "<!doctype html>" });
    const contentType = types[extname(pathname)];
    if (!contentType) return route.fulfill({ status: 404 });
    return route.fulfill({ headers, contentType, body: await readFile(join(folder, pathname)) });
  });
  const page = await context.newPage();
  await page.goto("http://localhost/");
  await page.evaluate(`globalThis.load = ${load}`);
  const options = { glue: "/bench.js", wasm: "/bench_bg.wasm", machine, settings };
  await page.evaluate(async (options) => (globalThis.bench = await load(options)) && undefined, options);
  return { head: () => page.evaluate(() => bench.head()), next: () => page.evaluate(() => bench.next()) };
}

/** As the system names it, with family and model where the name alone says little. */
async function processorName() {
  const info = await readFile("/proc/cpuinfo", "utf8").catch(() => "");
  const field = (name) => info.match(new RegExp(`^${name}\\s*: (.*)$`, "m"))?.[1];
  return `${field("model name") ?? process.arch} (family ${field("cpu family")} model ${field("model")})`;
}
