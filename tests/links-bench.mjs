// One connection, ours beside js-libp2p's; `cargo xtask bench webrtc` builds what it takes and runs this.
// Usage: node links-bench.mjs '{ native, page, link, json, mib, runs }'; standard output carries the figures.
import { launch, openPage } from "./lib/browser.mjs";
import { bundle } from "./lib/bundle.mjs";
import { Program } from "./lib/process.mjs";
import { serve } from "./lib/site.mjs";

const { native, page: folder, link: only, json, mib, runs } = JSON.parse(process.argv[2]);
const LINKS = ["webrtc", "webrtc-direct", "websocket"].filter((link) => !only || link === only);
const ROUND_TRIPS = 200;
const cleanups = [];
const t = { after: (step) => cleanups.push(step) };

const program = new Program(native, []);
t.after(() => program.stop("SIGKILL"));
const address = (part) => program.line(part, (text) => text.includes(part) && text);
const [socket, direct] = await Promise.all([address("/ws/"), address("/webrtc-direct/")]);
const site = await serve(t, { "/ours/": `${folder}/`, "/js-libp2p.js": await bundle("js-links.mjs") });
const systems = { ours, "js-libp2p": theirs };

const samples = new Map();
for (let run = 0; run < runs; run++) {
  for (const link of LINKS) {
    for (const system of Object.keys(systems)) {
      const sample = await measure(link, systems[system]).catch((error) => ({ error: error.message }));
      process.stderr.write(`${link} ${system} ${JSON.stringify(sample)}\n`);
      if (!sample.error) samples.set(`${link} ${system}`, [...(samples.get(`${link} ${system}`) ?? []), sample]);
    }
  }
}
for (const link of LINKS) report(link);
for (const step of cleanups.reverse()) await step();

async function ours() {
  const { page } = await openPage(await launch(t), site);
  await page.evaluate(async () => {
    const { default: init, Page } = await import("/ours/links.js");
    await init({ module_or_path: "/ours/links_bg.wasm" });
    globalThis.peer = new Page();
  });
  return page;
}

async function theirs() {
  const { page } = await openPage(await launch(t), site);
  await page.evaluate(async () => {
    const { Page } = await import("/js-libp2p.js");
    globalThis.peer = await Page.start();
  });
  return page;
}

/** A connection between fresh browsers: MiB/s both ways, milliseconds of a round trip and of the first byte. */
async function measure(link, open) {
  const asker = await open();
  const pages = [asker];
  let target = link === "websocket" ? socket : direct;
  if (link === "webrtc") {
    const answerer = await open();
    pages.push(answerer);
    target = await answerer.evaluate((relay) => peer.listen(relay), socket);
    await asker.evaluate((relay) => peer.dial(relay), socket);
  }
  const sample = await asker.evaluate(time, { target, bytes: mib * 2 ** 20, roundTrips: ROUND_TRIPS });
  for (const page of pages) await page.context().browser().close();
  return sample;
}

/** In the page. */
async function time({ target, bytes, roundTrips }) {
  const took = async (task) => {
    const start = performance.now();
    await task();
    return performance.now() - start;
  };
  const mibPerSecond = (ms) => bytes / 2 ** 20 / (ms / 1000);
  let other;
  const firstByte = await took(async () => {
    other = await peer.dial(target);
    await peer.transfer(other, 0, 1);
  });
  const roundTrip = (await took(() => peer.round_trips(other, roundTrips))) / roundTrips;
  const up = mibPerSecond(await took(() => peer.transfer(other, bytes, 1)));
  const down = mibPerSecond(await took(() => peer.transfer(other, 0, bytes)));
  return { up, down, roundTrip, firstByte };
}

/** Nothing but an error on standard error for what failed in every run. */
function report(link) {
  const median = (system, figure) => {
    const values = (samples.get(`${link} ${system}`) ?? []).map((sample) => sample[figure]);
    return values.sort((a, b) => a - b)[values.length >> 1];
  };
  const units = { up: "MiB/s", down: "MiB/s", roundTrip: "ms", firstByte: "ms" };
  for (const [figure, unit] of Object.entries(units)) {
    const [value, theirs] = [median("ours", figure), median("js-libp2p", figure)];
    // Above 1 is better for us.
    const ratio = unit === "ms" ? theirs / value : value / theirs;
    const line = { bench: "webrtc", link, figure, unit, mib, runs, ours: round(value), jsLibp2p: round(theirs), ratio: round(ratio) };
    console.log(json ? JSON.stringify(line) : `${link.padEnd(14)}${figure.padEnd(10)} ours ${line.ours}, js-libp2p ${line.jsLibp2p} ${unit}, ${line.ratio} x`);
  }
}

function round(value) {
  return Number.isFinite(value) ? Number(value.toPrecision(3)) : null;
}
