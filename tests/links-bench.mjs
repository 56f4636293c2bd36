// One connection, ours beside js-libp2p's; `cargo xtask bench webrtc` builds what it takes and runs this.
// Usage: node links-bench.mjs '{ native, page, link, json, mib, runs }'; standard output carries the figures.
import { existsSync, readdirSync, readFileSync } from "node:fs";

import { launch, openPage } from "./lib/browser.mjs";
import { bundle } from "./lib/bundle.mjs";
import { Program } from "./lib/process.mjs";
import { serve } from "./lib/site.mjs";

const { native, page: folder, link: only, json, mib, runs } = JSON.parse(process.argv[2]);
const LINKS = ["webrtc", "webrtc-direct", "websocket"].filter((link) => !only || link === only);
const ROUND_TRIPS = 200;
// The last two are processor time of all that takes part, which other work on the machine does not change much.
const UNITS = { up: "MiB/s", down: "MiB/s", roundTrip: "ms", firstByte: "ms", upCpu: "ms/MiB", downCpu: "ms/MiB" };

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
  const site = await serve(t, {
    "/ours/": `${folder}/`,
    "/js-libp2p.js": await bundle("js-links.mjs"),
    "/plain.js": readFileSync(new URL("lib/plain-links.mjs", import.meta.url), "utf8"),
  });
  // Whose page, and whose native peer. The relay of /webrtc, where there is no other native peer, is ours.
  const systems = {
    ours: { page: () => ours(site), native: ourNative },
    "js-libp2p": { page: () => theirs(site), native: theirNative },
    "js-libp2p with ours": { page: () => theirs(site), native: ourNative },
  };
  for (const link of LINKS) {
    const samples = Object.fromEntries(Object.keys(systems).map((system) => [system, []]));
    if (link === "webrtc") {
      delete samples["js-libp2p with ours"];
      samples.plain = [];
    }
    for (let run = 0; run < runs; run++) {
      for (const [system, list] of Object.entries(samples)) {
        const measured = system === "plain" ? measurePlain(site) : measure(link, systems[system], ourNative);
        const sample = await measured.catch((error) => ({ failed: error.message }));
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

/** A connection between fresh browsers, or of one with a native peer; throughput in MiB/s. */
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
    const sample = await asker.evaluate(greet, { target, roundTrips: ROUND_TRIPS });
    for (const [figure, ...bytes] of [["up", mib * 2 ** 20, 1], ["down", 0, mib * 2 ** 20]]) {
      const before = cpuMs();
      sample[figure] = mib / (await asker.evaluate(transfer, bytes));
      sample[`${figure}Cpu`] = (cpuMs() - before) / mib;
    }
    return sample;
  } finally {
    for (const page of pages) await page.context().browser().close();
  }
}

/** The same between pages that have nothing above the data channel. */
async function measurePlain(site) {
  const pages = [await plain(site), await plain(site)];
  try {
    const [a, b] = pages;
    const answer = await b.evaluate((offer) => peer.describe(offer), await a.evaluate(() => peer.describe()));
    await a.evaluate((answer) => peer.accept(answer), answer);
    const [bytes, sample] = [mib * 2 ** 20, {}];
    for (const [figure, from, to] of [["up", a, b], ["down", b, a]]) {
      const received = to.evaluate((bytes) => peer.receive(bytes), bytes);
      const before = cpuMs();
      const sent = from.evaluate(async (bytes) => {
        const start = performance.now();
        await peer.send(bytes);
        return performance.now() - start;
      }, bytes);
      const [ms] = await Promise.all([sent, received]);
      sample[figure] = mib / (ms / 1000);
      sample[`${figure}Cpu`] = (cpuMs() - before) / mib;
    }
    return sample;
  } finally {
    for (const page of pages) await page.context().browser().close();
  }
}

async function plain(site) {
  const { page } = await openPage(await launch(t), site);
  await page.evaluate(async () => {
    const { Page } = await import("/plain.js");
    globalThis.peer = new Page();
  });
  return page;
}

/** In the page: milliseconds of a round trip and of the first byte. */
async function greet({ target, roundTrips }) {
  const took = async (task) => {
    const start = performance.now();
    await task();
    return performance.now() - start;
  };
  const firstByte = await took(async () => {
    globalThis.other = await peer.dial(target);
    await peer.transfer(other, 0, 1);
  });
  const roundTrip = (await took(() => peer.round_trips(other, roundTrips))) / roundTrips;
  return { roundTrip, firstByte };
}

/** In the page: seconds that it takes to send and get so many bytes. */
async function transfer([send, get]) {
  const start = performance.now();
  await peer.transfer(other, send, get);
  return (performance.now() - start) / 1000;
}

/** Processor time that everything which this process started has had; known on Linux. */
function cpuMs() {
  if (!existsSync("/proc/self/stat")) return NaN;
  const processes = new Map();
  for (const pid of readdirSync("/proc").filter((name) => Number(name))) {
    try {
      const [, parent, ...rest] = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1).split(" ");
      // Places 14 and 15 of proc_pid_stat(5), in hundredths of a second.
      processes.set(pid, { parent, ms: 10 * (Number(rest[9]) + Number(rest[10])) });
    } catch {
      // It has ended.
    }
  }
  const isOurs = (pid) => pid === String(process.pid) || (processes.has(pid) && isOurs(processes.get(pid).parent));
  return [...processes].reduce((sum, [, { parent, ms }]) => sum + (isOurs(parent) ? ms : 0), 0);
}

/** Prints the medians. That ours or js-libp2p has none is an error; the other figures say who sets the limit. */
function report(link, samples) {
  for (const [figure, unit] of Object.entries(UNITS)) {
    const all = Object.entries(samples).map(([system, list]) => [system, median(list.map((sample) => sample[figure]))]);
    const { ours, "js-libp2p": jsLibp2p, ...others } = Object.fromEntries(all.filter(([, value]) => value !== undefined));
    // Above 1 is better for us.
    const ratio = unit === "MiB/s" ? ours / jsLibp2p : jsLibp2p / ours;
    const line = { bench: "webrtc", link, figure, unit, mib, runs, ours, jsLibp2p, ratio, ...others };
    for (const key in line) if (typeof line[key] === "number") line[key] = Number(line[key].toPrecision(3));
    console.log(json ? JSON.stringify(line) : text(line, Object.keys(others)));
    const isKnown = unit !== "ms/MiB" || process.platform === "linux";
    if (isKnown && (ours === undefined || jsLibp2p === undefined)) process.exitCode = 1;
  }
}

function median(values) {
  const known = values.filter(Number.isFinite).sort((a, b) => a - b);
  return known[known.length >> 1];
}

function text(line, others) {
  const more = others.map((other) => `, ${other} ${line[other]}`).join("");
  const { link, figure, unit, ours, jsLibp2p, ratio } = line;
  return `${link.padEnd(14)}${figure.padEnd(10)} ours ${ours}, js-libp2p ${jsLibp2p} ${unit}, ${ratio} x${more}`;
}
