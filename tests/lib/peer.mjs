import { packagePage } from "./site.mjs";
import { PATIENCE_MS, within } from "./process.mjs";

/** Until all of a crowd have most of their links: who finds everybody full waits until somebody gives up another for it. */
export const CROWD_MS = 2 * PATIENCE_MS;

/** A page with one node of the npm package, which takes part in one topic. */
export class Peer {
  /** `init` runs in the page before anything else; `options` are the topic's. A `stranger` waits for nobody. */
  static async open(t, context, relays, topic, { init, options, stranger } = {}) {
    if (init) await context.addInitScript(init);
    const peer = new Peer();
    const { page, complaints } = await packagePage(t, context);
    peer.page = page;
    peer.complaints = complaints;
    await peer.start(relays, topic, options, stranger);
    return peer;
  }

  /** Starts its node, as `open` does; again after a reload. */
  async start(relays, topic, options, stranger) {
    this.id = await this.page.evaluate(start, { relays, topic, options, stranger });
  }

  /** Takes part in one more topic, in which it speaks from now on. */
  join(topic) {
    return this.page.evaluate((name) => join(name), topic);
  }

  /** Sends a text. */
  say(text) {
    return this.page.evaluate((text) => topic.publish(text), text);
  }

  /** Sends bytes that do not compress, named; their SHA-256. */
  sendNoise(name, bytes) {
    return this.page.evaluate(sendNoise, { name, bytes });
  }

  /** Waits for a text from another. */
  hears(text) {
    return this.#wait(`"${text}"`, (text) => heard.until(() => heard.texts.has(text)), text);
  }

  /** Waits for bytes of this name; their SHA-256. */
  receives(name) {
    return this.#wait(name, (name) => heard.until(() => heard.files.get(name)), name);
  }

  /** Waits until `count` other pages are linked directly, or these are; their ids. */
  linked(to, ms) {
    return this.#wait(`direct links to ${to}`, linked, to, ms);
  }

  /** Waits until these take part in the topic. */
  meetsThere(ids) {
    const all = (ids) => heard.until(async () => (await node.peers()).filter(({ id, topics }) => ids.includes(id) && topics.includes(topic.name)).length === ids.length);
    return this.#wait(`${ids} in the topic`, all, ids);
  }

  /** Waits until it is told that a peer takes no part with it; why. */
  shuns(id) {
    return this.#wait(`${id} to be an outsider`, (id) => heard.until(() => heard.outsiders.get(id)), id);
  }

  /** Waits for a direct link to somebody else than these. */
  meets(known) {
    return this.#wait("a new link", (known) => heard.until(async () => (await node.peers()).some(({ id, link }) => link === "direct" && !known.includes(id))), known);
  }

  /** Waits until this peer is not connected. */
  misses(id) {
    return this.#wait(`${id} to go`, (id) => heard.until(async () => (await node.peers()).every((peer) => peer.id !== id)), id);
  }

  /** Waits until the node has lost all its relays. */
  alone() {
    return this.#wait("the loss of the relay", () => heard.until(() => node.relays().every(({ state }) => state === "lost")));
  }

  peers() {
    return this.page.evaluate(() => node.peers());
  }

  /** How what a peer publishes comes to this one. */
  path(id) {
    return this.page.evaluate((id) => node.path(id), id);
  }

  /** Waits until the reason why there is no direct link to a peer is one of this kind. */
  hindered(id, pattern) {
    const look = ({ id, pattern }) => heard.until(async () => new RegExp(pattern).test((await node.path(id)).obstacle));
    return this.#wait(`no link to ${id}: ${pattern}`, look, { id, pattern });
  }

  stats() {
    return this.page.evaluate(() => node.stats());
  }

  /** As a promise, so that what takes long fails with what it waited for and who was there. */
  async #wait(what, task, argument, ms) {
    return within(this.page.evaluate(task, argument), what, ms).catch(async (error) => {
      const peers = (await this.peers()).map(({ id, link }) => `${id} ${link}`);
      throw new Error(`${error.message}; ${this.id} has ${peers.join(", ") || "no peers"}`);
    });
  }
}

async function start({ relays, topic: name, options, stranger }) {
  globalThis.braidcast ??= await import("/braidcast/index.js");
  const node = (globalThis.node = await braidcast.Braidcast.start({ relays }));
  const checks = new Set();
  const check = () => checks.forEach((check) => check());
  globalThis.sha256 = async (bytes) => {
    const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
    return Array.from(hash, (byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  globalThis.heard = {
    texts: new Set(),
    files: new Map(),
    outsiders: new Map(),
    /** Settles with what `look` finds, now or after an event. */
    until: (look) =>
      new Promise((resolve, reject) => {
        const check = async () => {
          const found = await look();
          if (!found) return;
          checks.delete(once);
          resolve(found);
        };
        const once = () => check().catch(reject);
        checks.add(once);
        once();
      }),
  };
  node.on("peer", check);
  node.on("relay", check);
  node.on("outsider", ({ id, why }) => {
    heard.outsiders.set(id, why);
    check();
  });
  globalThis.join = (name) => {
    globalThis.topic = node.topic(name, options);
    topic.subscribe(async (message) => {
      if (message.name) heard.files.set(message.name, await sha256(message.bytes));
      else heard.texts.add(message.text());
      check();
    });
    return stranger ? undefined : topic.ready();
  };
  await join(name);
  return node.id;
}

async function sendNoise({ name, bytes }) {
  const noise = new Uint8Array(bytes);
  for (let at = 0; at < bytes; at += 65536) crypto.getRandomValues(noise.subarray(at, at + 65536));
  await topic.publish(noise, { name });
  return sha256(noise);
}

function linked(to) {
  return heard.until(async () => {
    const direct = (await node.peers()).filter(({ link }) => link === "direct").map(({ id }) => id);
    const enough = typeof to === "number" ? direct.length >= to : to.every((id) => direct.includes(id));
    return enough && direct;
  });
}
