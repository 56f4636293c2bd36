import { signal } from "@preact/signals";
import type { Peer } from "braidcast";

import { shortId } from "./text.js";

/** Said again after this long. A tab in the background wakes once a minute, hence the patience of three. */
const RENEW_MS = 30_000;
const PATIENCE = 3.2;
/** More people, fewer words: everyone together says about two lines a second. */
const RENEW_MS_EACH = 500;
/** Most that are remembered. */
const LIMIT = 1000;

/** How we are connected to someone: not at all means that their messages come by way of others. */
export type Tie = Peer["link"] | "none";

export interface Person {
  readonly id: string;
  /** Empty until they say it; a program on the command line never does. */
  readonly nick: string;
  readonly tie: Tie;
  readonly rttMs: number | undefined;
  /** Last heard of; Infinity for a neighbour that the node itself watches. */
  readonly seenMs: number;
}

/** Who is in the room: those who say so, and neighbours that subscribe to it. */
export class People {
  readonly list = signal<readonly Person[]>([]);
  readonly relays = signal<readonly Peer[]>([]);
  /** What to call everyone ever heard of here; who said a line may have left. */
  readonly nicks = signal<ReadonlyMap<string, string>>(new Map());
  readonly #people = new Map<string, Person>();
  /** Everyone's latest word, by their own clock. */
  readonly #saidMs = new Map<string, number>();
  readonly #announce: (ask: boolean) => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #announcedMs = -Infinity;
  #asked = false;

  constructor(announce: (ask: boolean) => void) {
    this.#announce = announce;
  }

  /** Someone said who they are, at `saidMs` by their clock. */
  here(id: string, nick: string, ask: boolean, saidMs: number): void {
    if (!this.#isNews(id, saidMs)) return;
    const isNew = !this.#people.get(id)?.nick;
    this.#note(id, { nick, seenMs: Date.now() });
    this.#name(id, nick);
    if (ask || isNew) this.#announceSoon();
  }

  /** Someone who is here was heard of. Who only calls in from a terminal is not here. */
  spoke(id: string): void {
    if (this.#people.has(id)) this.#note(id, { seenMs: Date.now() });
  }

  gone(id: string, saidMs: number): void {
    if (this.#isNews(id, saidMs)) this.#forget(id);
  }

  /** A neighbour came into the room, so that now somebody hears us. */
  someoneCame(): void {
    this.#asked = false;
    this.#announceSoon(50);
  }

  /** Our connections as they are now. */
  look(peers: readonly Peer[], room: string): void {
    this.relays.value = peers.filter((peer) => peer.link === "relay");
    const near = new Map(peers.filter((peer) => peer.link !== "relay").map((peer) => [peer.id, peer]));
    for (const person of this.#people.values()) {
      const peer = near.get(person.id);
      this.#people.set(person.id, { ...person, tie: peer?.link ?? "none", rttMs: peer?.rttMs });
    }
    for (const peer of near.values()) {
      if (peer.topics.includes(room) && !this.#people.has(peer.id)) {
        this.#note(peer.id, { tie: peer.link, rttMs: peer.rttMs, seenMs: Date.now() });
      }
    }
    this.#show();
  }

  /** Forgets the silent and says again who we are. */
  tick(): void {
    const now = Date.now();
    for (const { id, seenMs, tie } of this.#people.values()) {
      if (tie === "none" && now - seenMs > this.#renewMs() * PATIENCE) this.#forget(id);
    }
    if (now - this.#announcedMs > this.#renewMs()) this.#announceNow();
  }

  /** What to call someone. */
  nick(id: string): string {
    return this.nicks.value.get(id) || `guest ${shortId(id)}`;
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  #renewMs(): number {
    return Math.max(RENEW_MS, this.#people.size * RENEW_MS_EACH);
  }

  /** After a while, the longer the more there are, so that a newcomer is not answered by all at once. */
  #announceSoon(delayMs = Math.random() * Math.min(3000, 200 + this.#people.size * 50)): void {
    this.#timer ??= setTimeout(() => this.#announceNow(), delayMs);
  }

  #announceNow(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#announcedMs = Date.now();
    this.#announce(!this.#asked);
    this.#asked = true;
  }

  /** A newcomer is told what was said before it came, after what is said now. */
  #isNews(id: string, saidMs: number): boolean {
    if (saidMs <= (this.#saidMs.get(id) ?? -Infinity)) return false;
    this.#saidMs.delete(id);
    this.#saidMs.set(id, saidMs);
    for (const oldest of this.#saidMs.keys()) if (this.#saidMs.size > LIMIT) this.#saidMs.delete(oldest);
    return true;
  }

  #name(id: string, nick: string): void {
    if (this.nicks.value.get(id) === nick) return;
    this.nicks.value = new Map([...this.nicks.value, [id, nick] as const].slice(-LIMIT));
  }

  #forget(id: string): void {
    if (this.#people.delete(id)) this.#show();
  }

  #note(id: string, change: Partial<Person>): void {
    const known = this.#people.get(id);
    if (!known && this.#people.size >= LIMIT) return;
    const fresh: Person = { id, nick: "", tie: "none", rttMs: undefined, seenMs: Date.now() };
    this.#people.set(id, { ...fresh, ...known, ...change });
    this.#show();
  }

  #show(): void {
    this.list.value = [...this.#people.values()].sort((a, b) => sortKey(a).localeCompare(sortKey(b)));
  }
}

/** The named first. */
function sortKey({ nick, id }: Person): string {
  return nick ? `0${nick}${id}` : `1${id}`;
}
