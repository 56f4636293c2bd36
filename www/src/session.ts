import { computed, effect, signal } from "@preact/signals";
import { Braidcast, LoadError, RelayError, type Relay } from "braidcast";

import { loadNick, randomRoom, roomOf, saveNick } from "./names.js";
import { Room } from "./room.js";

/** Between two attempts to start, in milliseconds. */
const RETRY_MS = 3000;

type Status =
  | { phase: "starting" }
  | { phase: "failed"; reason: string; retryAtMs: number }
  | { phase: "running"; node: Braidcast }
  | { phase: "broken"; reason: string };

/** What the page says about its way into the network. */
export type Connection =
  | { state: "starting" | "connecting" | "connected" }
  | { state: "exhausted"; retryAtMs: number }
  | { state: "lost"; reason: string; retryAtMs: number; before: boolean }
  | { state: "broken"; reason: string };

/** The tab: its one node, its nickname, and the room that its address names. */
export class Session {
  readonly nick = signal(loadNick());
  readonly roomName = signal(roomFromAddress());
  readonly room = signal<Room | undefined>(undefined);
  readonly #status = signal<Status>({ phase: "starting" });
  readonly #relays = signal<Relay[]>([]);
  /** Until when the node makes no new direct links, because it has made too many. */
  readonly #exhausted = signal<number | undefined>(undefined);
  #wasConnected = false;

  readonly node = computed(() => {
    const status = this.#status.value;
    return status.phase === "running" ? status.node : undefined;
  });

  readonly connection = computed<Connection>(() => {
    const status = this.#status.value;
    switch (status.phase) {
      case "starting":
        return { state: "starting" };
      case "failed":
        return { state: "lost", reason: status.reason, retryAtMs: status.retryAtMs, before: false };
      case "broken":
        return { state: "broken", reason: status.reason };
      case "running":
        return this.#summary(this.#relays.value);
    }
  });

  constructor() {
    addEventListener("hashchange", () => (this.roomName.value = roomFromAddress()));
    addEventListener("pagehide", () => this.room.value?.leave());
    effect(() => this.#enter(this.node.value, this.roomName.value));
    void this.#start();
  }

  rename(nick: string): void {
    this.nick.value = saveNick(nick);
    this.room.value?.announce();
  }

  async #start(): Promise<void> {
    try {
      const node = await Braidcast.start({ relays: relaysFromAddress(), ...limitFromAddress() });
      const update = () => (this.#relays.value = node.relays());
      node.on("relay", update);
      node.on("exhausted", ({ retryInMs, retryAtMs }) => {
        this.#exhausted.value = retryAtMs;
        setTimeout(() => (this.#exhausted.value = undefined), retryInMs);
      });
      node.on("stopped", ({ error }) => {
        if (error) this.#status.value = { phase: "broken", reason: error.message };
      });
      update();
      this.#status.value = { phase: "running", node };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      if (!(error instanceof RelayError || error instanceof LoadError)) {
        this.#status.value = { phase: "broken", reason };
        return;
      }
      this.#status.value = { phase: "failed", reason, retryAtMs: Date.now() + RETRY_MS };
      setTimeout(() => void this.#start(), RETRY_MS);
    }
  }

  #enter(node: Braidcast | undefined, name: string): (() => void) | void {
    if (!node) return;
    const room = new Room(node, name, this.nick);
    this.room.value = room;
    return () => room.leave();
  }

  #summary(relays: readonly Relay[]): Connection {
    if (relays.some((relay) => relay.state === "connected")) {
      this.#wasConnected = true;
      const retryAtMs = this.#exhausted.value;
      return retryAtMs === undefined ? { state: "connected" } : { state: "exhausted", retryAtMs };
    }
    const lost = relays.filter((relay) => relay.state === "lost").sort((a, b) => a.retryAtMs - b.retryAtMs)[0];
    if (!lost) return { state: "connecting" };
    return { state: "lost", reason: lost.error, retryAtMs: lost.retryAtMs, before: this.#wasConnected };
  }
}

/** `?relay=` as often as wanted, a multiaddr or a URL; else whoever serves this page. */
function relaysFromAddress(): string[] {
  const named = new URLSearchParams(location.search).getAll("relay");
  return named.length > 0 ? named : [location.origin];
}

/** `?links=`, how many direct links may be tried in an hour, to see what happens then. */
function limitFromAddress(): { peerConnectionsPerHour?: number } {
  const links = new URLSearchParams(location.search).get("links");
  return /^\d{1,4}$/.test(links ?? "") ? { peerConnectionsPerHour: Number(links) } : {};
}

/** A page without a room gets one, so that its address can be shared. */
function roomFromAddress(): string {
  const named = roomOf(location.hash);
  if (named) return named;
  const room = randomRoom();
  history.replaceState(null, "", `#${room}`);
  return room;
}
