import { performance } from "node:perf_hooks";
import { setTimeout as pause } from "node:timers/promises";

import { launch } from "./browser.mjs";
import { Relay } from "./native.mjs";
import { Peer } from "./peer.mjs";

const TABS = 8;
const FILE_BYTES = 64 * 1024;

/** The share of the time after which nothing may grow any more. */
const WARM_UP = 0.5;

/** The share by which wasm memory, which never shrinks, may grow for a peak. */
const PEAK = 0.25;

/**
 * Eight tabs in two processes that write to each other while every `everyMs` one leaves and another comes. Two stay, and are
 * measured when all are linked with all; after the warm-up and at the end also when all have been quiet for `quietMs`: messages
 * are kept for 10 s, circuits over which was signalled for 30, some buffers for a minute. Returns the samples, and what has
 * grown since the warm-up: peer connections and data channels at all, live bytes of wasm by more than the share `tolerance`.
 */
export async function soak(t, { seconds, everyMs, quietMs, tolerance, onSample = () => {} }) {
  const [relay, ...contexts] = await Promise.all([Relay.start(t, { app: false }), launch(t), launch(t)]);
  const open = (at) => Peer.open(t, contexts[at % contexts.length], [relay.url], "soak");
  const tabs = await Promise.all(Array.from({ length: TABS }, (_, at) => open(at)));
  const watched = await Promise.all(tabs.slice(0, contexts.length).map((tab) => Watch.start(tab)));
  const complaints = tabs.map((tab) => tab.complaints);
  const [start, samples] = [performance.now(), []];
  const elapsed = () => (performance.now() - start) / 1000;

  let level;
  for (let round = 0; elapsed() < seconds || !level; round++) {
    const next = pause(everyMs);
    const leaver = contexts.length + (round % (TABS - contexts.length));
    await leave(tabs[leaver], round);
    tabs[leaver] = await open(round);
    complaints.push(tabs[leaver].complaints);
    await talk(tabs, round);
    const sample = { seconds: Math.round(elapsed()), round, tabs: await Promise.all(watched.map((watch) => watch.sample())) };
    samples.push(sample);
    onSample(sample);
    if (elapsed() >= seconds * WARM_UP) level ??= await Promise.all(watched.map((watch) => watch.quiet(quietMs)));
    await next;
  }
  const end = await Promise.all(watched.map((watch) => watch.quiet(quietMs)));
  const failures = end.flatMap((now, at) => growth(level[at], now, tolerance));
  return { seconds: Math.round(elapsed()), rounds: samples.length, level, end, failures, complaints: complaints.flat(), samples };
}

/** What has grown. */
function growth(before, now, tolerance) {
  const complain = (name) => `${name} went from ${before[name]} to ${now[name]}`;
  const more = ["peerConnections", "dataChannels"].filter((name) => now[name] > before[name]);
  if (now.liveBytes > (1 + tolerance) * before.liveBytes) more.push("liveBytes");
  if (now.memoryBytes > (1 + PEAK) * before.memoryBytes) more.push("memoryBytes");
  return more.map(complain);
}

/** Every other time without a word, as when a tab is closed. */
async function leave(tab, round) {
  if (round % 2 === 0) await tab.page.evaluate(() => node.stop());
  await tab.page.close();
}

/** All are linked with all, everybody says something, and one sends a file. */
async function talk(tabs, round) {
  const [sender] = tabs.slice(round % tabs.length);
  const others = (tab) => tabs.filter((other) => other !== tab);
  await Promise.all(tabs.map((tab) => tab.linked(others(tab).map(({ id }) => id))));
  await Promise.all(tabs.map((tab) => tab.say(`${round} from ${tab.id}`)));
  await Promise.all(tabs.flatMap((tab) => others(tab).map((other) => tab.hears(`${round} from ${other.id}`))));
  await sender.sendNoise(`file ${round}`, FILE_BYTES);
  await Promise.all(others(sender).map((tab) => tab.receives(`file ${round}`)));
}

/** Counts what lives in a tab. */
class Watch {
  static async start(tab) {
    const watch = new Watch();
    watch.tab = tab;
    watch.session = await tab.page.context().newCDPSession(tab.page);
    return watch;
  }

  /** After a collection of garbage: objects that somebody still holds. */
  async sample() {
    await this.session.send("HeapProfiler.collectGarbage");
    const [peerConnections, dataChannels] = [await this.#count("RTCPeerConnection"), await this.#count("RTCDataChannel")];
    const { memoryBytes, liveBytes } = await this.tab.stats();
    return { peerConnections, dataChannels, memoryBytes, liveBytes };
  }

  /** The least of everything over a while in which nobody says anything. */
  async quiet(ms) {
    let least = await this.sample();
    for (const start = performance.now(); performance.now() - start < ms; await pause(1_000)) {
      const sample = await this.sample();
      least = Object.fromEntries(Object.entries(sample).map(([name, value]) => [name, Math.min(value, least[name])]));
    }
    return least;
  }

  async #count(name) {
    const { result } = await this.session.send("Runtime.evaluate", { expression: `${name}.prototype` });
    const { objects } = await this.session.send("Runtime.queryObjects", { prototypeObjectId: result.objectId, objectGroup: "watch" });
    const count = await this.session.send("Runtime.callFunctionOn", { objectId: objects.objectId, functionDeclaration: "function () { return this.length; }", returnByValue: true });
    // Else it would hold them itself.
    await this.session.send("Runtime.releaseObjectGroup", { objectGroup: "watch" });
    return count.result.value;
  }
}
