// One connection, ours beside js-libp2p's; `cargo xtask bench webrtc` builds what it takes and runs this.
// Usage: node links-bench.mjs '{ native, page, link, json, mib, runs }'; standard output carries the figures.
import { launch, openPage } from "./lib/browser.mjs";
import { bundle } from "./lib/bundle.mjs";
import { Program } from "./lib/process.mjs";
import { serve } from "./lib/site.mjs";

const { native, page: folder, link: only, json, mib, runs } = JSON.parse(process.argv[2]);
const LINKS = ["webrtc", "webrtc-direct", "websocket"].filter((link) => !only || link === only);
const ROUND_TRIPS = 200;
const UNITS = { up: "MiB/s", down: "MiB/s", roundTrip: "ms", firstByte: "ms" };

const cleanups = [];
const t = { after: (step) => cleanups.push(step) };
try {
  await bench();
} finally {
  for (const step of cleanups.reverse()) await step();
}

async function bench() {
  const [ourNative, theirNative] = await Promise.all([
    start(native, []),
    start(process.execPath, [new URL("lib/js-native.mjs", import.meta.url).pathname]),
  ]);
  const site = await serve(t, { "/ours/": `${folder}/`, "/js-libp2p.js": await bundle("js-links.mjs") });
  // Whose page, and whose native peer. The relay of /webrtc, where there is no other native peer, is ours.
  const systems = {
    ours: { page: () => ours(site), native: ourNative },
    "js-libp2p": { page: () => theirs(site), native: theirNative },
    "js-libp2p with ours": { page: () => theirs(site), native: ourNative },
  };
  for (const link of LINKS) {
    const samples = Object.fromEntries(Object.keys(systems).map((system) => [system, []]));
    if (link === "webrtc") delete samples["js-libp2p with ours"];
    for (let run = 0; run < runs; run++) {
      for (const [system, list] of Object.entries(samples)) {
        const sample = await measure(link, systems[system], ourNative).catch((error) => ({ failed: error.message }));
        process.stderr.write(`${link} ${system} ${JSON.stringify(sample)}\n`);
        list.push(sample);
      }
    }
    report(link, samples);
  }
}

/** A native peer's addresses. */
async function start(command, args) {
  const program = new Program(command, args);
  t.after(() => program.stop("SIGKILL"));
  const address = (part) => program.line(part, (text) => text.includes(part) && text);
  const [websocket, direct] = await Promise.all([address("/ws/p2p/"), address("/webrtc-direct/")]);
  return { websocket, "webrtc-direct": direct };
}

async function ours(site) {
  const { page } = await openPage(await launch(t), site);
  await page.evaluate(async () => {
    const { default: init, Page } = await import("/ours/links.js");
    await init({ module_or_path: "/ours/links_bg.wasm" });
    globalThis.peer = new Page();
  });
  return page;
}

async function theirs(site) {
  const { page } = await openPage(await launch(t), site);
  await page.evaluate(async () => {
    const { Page } = await import("/js-libp2p.js");
    globalThis.peer = await Page.start();
  });
  return page;
}

/** A connection between fresh browsers, or of one with a native peer. */
async function measure(link, system, relay) {
  const pages = [await system.page()];
  try {
    const [asker] = pages;
    let target = system.native[link];
    if (link === "webrtc") {
      pages.push(await system.page());
      target = await pages[1].evaluate((relay) => peer.listen(relay), relay.websocket);
      await asker.evaluate((relay) => peer.dial(relay), relay.websocket);
    }
    return await asker.evaluate(time, { target, bytes: mib * 2 ** 20, roundTrips: ROUND_TRIPS });
  } finally {
    for (const page of pages) await page.context().browser().close();
  }
}

/** In the page: MiB/s both ways, milliseconds of a round trip and of the first byte. */
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

/** Prints the medians. That ours or js-libp2p has none is an error; the third figure says only whose end is slow. */
function report(link, samples) {
  for (const [figure, unit] of Object.entries(UNITS)) {
    const [ours, theirs, mixed] = Object.values(samples).map((list) => median(list.map((sample) => sample[figure])));
    // Above 1 is better for us.
    const ratio = unit === "ms" ? theirs / ours : ours / theirs;
    const line = { bench: "webrtc", link, figure, unit, mib, runs, ours, jsLibp2p: theirs, jsLibp2pWithOurs: mixed, ratio };
    for (const key in line) if (typeof line[key] === "number") line[key] = Number(line[key].toPrecision(3));
    console.log(json ? JSON.stringify(line) : text(line));
    if (ours === undefined || theirs === undefined) process.exitCode = 1;
  }
}

function median(values) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b);
  return known[known.length >> 1];
}

function text({ link, figure, unit, ours, jsLibp2p, jsLibp2pWithOurs, ratio }) {
  const mixed = jsLibp2pWithOurs === undefined ? "" : ` (${jsLibp2pWithOurs} with our native peer)`;
  return `${link.padEnd(14)}${figure.padEnd(10)} ours ${ours}, js-libp2p ${jsLibp2p}${mixed} ${unit}, ${ratio} x`;
}
