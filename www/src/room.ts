import { signal, type ReadonlySignal, type Signal } from "@preact/signals";
import { NoPeersError, type Braidcast, type Message, type Peer, type Progress, type Published, type Topic } from "braidcast";

import { People } from "./people.js";
import { CHAT_TYPE, isImage, presenceTopic, read, readChat, type Chat, type ReceivedFile } from "./protocol.js";
import { fileName, line, paragraph } from "./text.js";

/** What is kept, so that a long evening does not fill the memory. */
const ENTRIES = 400;
const FILE_BYTES = 256 * 1024 * 1024;

/** How far one of our own messages got. */
export type Delivery =
  | { state: "sending" }
  /** Nobody is connected; sent again as soon as somebody is. */
  | { state: "waiting" }
  | { state: "sent" }
  | { state: "reached"; peers: number; of: number }
  | { state: "failed"; reason: string };

interface Shown {
  /** Stays the same while the entry changes. */
  readonly key: string;
  readonly from: string;
  /** By our clock. */
  readonly atMs: number;
  /** Undefined for what others sent. */
  readonly delivery: Signal<Delivery> | undefined;
}

export interface TextEntry extends Shown {
  readonly kind: "text";
  readonly text: string;
  /** By the publisher's clock. */
  readonly sentMs: number;
  /** Publisher's clock to ours. */
  readonly latencyMs: number | undefined;
}

export interface FileEntry extends Shown {
  readonly kind: "file";
  readonly name: string;
  readonly bytes: number;
  /** Bytes here, or at the neighbour that has most. */
  readonly heldBytes: Signal<number>;
  readonly movedAtMs: Signal<number>;
  readonly content: Signal<FileContent>;
}

export type FileContent =
  | { state: "moving" }
  | { state: "here"; url: string; image: boolean; latencyMs: number | undefined }
  /** Given up to make room for newer ones. */
  | { state: "gone" };

export type Entry = TextEntry | FileEntry;

/** One room: what was said in it, who is there, and how to say something. */
export class Room {
  readonly name: string;
  readonly id: string;
  readonly entries = signal<readonly Entry[]>([]);
  readonly people: People;
  /** What came while nobody looked. */
  readonly unread = signal(0);
  /** Latest from publisher's clock to ours. */
  readonly latencyMs = signal<number | undefined>(undefined);
  readonly #node: Braidcast;
  readonly #topic: Topic;
  readonly #presence: Topic;
  readonly #nick: ReadonlySignal<string>;
  readonly #undo: (() => void)[];
  readonly #own = new Map<string, TextEntry | FileEntry>();
  readonly #waiting: (() => Promise<void>)[] = [];
  #lastKey = 0;
  #left = false;

  constructor(node: Braidcast, name: string, nick: ReadonlySignal<string>) {
    this.name = name;
    this.id = node.id;
    this.#node = node;
    this.#nick = nick;
    this.#topic = node.topic(name);
    this.#presence = node.topic(presenceTopic(name));
    this.people = new People((ask) => this.announce(ask));
    this.#undo = [
      this.#topic.subscribe((message) => this.#receive(message)),
      this.#presence.subscribe((message) => this.#hear(message)),
      node.on("progress", (progress) => this.#progress(progress)),
      node.on("reached", ({ id, peers, of }) => this.#deliver(id, { state: "reached", peers, of })),
      node.on("peer", (change) => {
        if (change.type === "joined" && change.topic === this.#presence.name) this.people.someoneCame();
        if (change.type === "joined" && change.topic === name) this.#sendWaiting();
        void this.#look();
      }),
      every(5000, () => void this.#look()),
      every(5000, () => this.people.tick()),
    ];
    void this.#look();
  }

  /** Tells everyone who we are. */
  announce(ask = false): void {
    void this.#chat({ kind: "here", nick: this.#nick.value, ask });
  }

  say(text: string): void {
    const clean = paragraph(text, Infinity);
    if (!clean) return;
    const entry: TextEntry = { kind: "text", text: clean, sentMs: Date.now(), latencyMs: undefined, ...this.#ours() };
    this.#add(entry);
    void this.#send(entry, () => this.#topic.publish(clean));
  }

  sendFile(file: File): void {
    const image = isImage(file.type);
    const url = URL.createObjectURL(image ? file : new Blob([file]));
    const entry: FileEntry = {
      kind: "file",
      name: fileName(file.name),
      bytes: file.size,
      heldBytes: signal(0),
      movedAtMs: signal(Date.now()),
      content: signal({ state: "here", url, image, latencyMs: undefined }),
      ...this.#ours(),
    };
    this.#add(entry);
    void this.#send(entry, () => this.#topic.publish(file, { name: fileName(file.name) }));
  }

  leave(): void {
    if (this.#left) return;
    this.#left = true;
    void this.#chat({ kind: "gone" });
    this.#undo.forEach((step) => step());
    this.people.close();
    this.entries.value.forEach(release);
  }

  #receive(message: Message): void {
    if (document.hidden) this.unread.value += 1;
    this.people.spoke(message.from);
    const received = read(message);
    if (received.kind === "text") this.#addText(message, received.text);
    else this.#addFile(message, received);
  }

  #hear(message: Message): void {
    const chat = readChat(message);
    const saidMs = message.publishedAt.getTime();
    if (chat?.kind === "here") this.people.here(message.from, chat.nick, chat.ask, saidMs);
    if (chat?.kind === "gone") this.people.gone(message.from, saidMs);
  }

  #addText(message: Message, text: string): void {
    const { id: key, from } = message;
    const latencyMs = this.#latency(message);
    const sentMs = message.publishedAt.getTime();
    this.#add({ kind: "text", key, from, text, atMs: Date.now(), sentMs, latencyMs, delivery: undefined });
  }

  #addFile(message: Message, { name, type, image }: ReceivedFile): void {
    const entry = this.#incoming(message.id, message.from, name, message.bytes.byteLength);
    // Only what cannot run anything keeps its type; the rest can be saved, not opened.
    const blob = new Blob([message.bytes], { type: image ? type : "application/octet-stream" });
    entry.heldBytes.value = message.bytes.byteLength;
    entry.content.value = { state: "here", url: URL.createObjectURL(blob), image, latencyMs: this.#latency(message) };
    this.#trim();
  }

  #progress({ direction, id, topic, from, name, heldBytes, totalBytes }: Progress): void {
    if (topic !== this.name) return;
    const entry = direction === "in" ? this.#incoming(id, from, fileName(name), totalBytes) : this.#own.get(id);
    if (entry?.kind !== "file") return;
    entry.heldBytes.value = Math.max(entry.heldBytes.value, heldBytes);
    entry.movedAtMs.value = Date.now();
  }

  /** The entry of a message that comes or came, made when it is the first we hear of it. */
  #incoming(id: string, from: string, name: string, bytes: number): FileEntry {
    const known = this.entries.value.find((entry) => entry.key === id);
    if (known?.kind === "file") return known;
    const entry: FileEntry = {
      kind: "file",
      key: id,
      from,
      atMs: Date.now(),
      delivery: undefined,
      name,
      bytes,
      heldBytes: signal(0),
      movedAtMs: signal(Date.now()),
      content: signal<FileContent>({ state: "moving" }),
    };
    this.#add(entry);
    return entry;
  }

  async #send(entry: TextEntry | FileEntry, publish: () => Promise<Published>): Promise<void> {
    const delivery = entry.delivery!;
    delivery.value = { state: "sending" };
    try {
      const { id } = await publish();
      this.#own.set(id, entry);
      if (delivery.value.state === "sending") delivery.value = { state: "sent" };
    } catch (error) {
      if (error instanceof NoPeersError) {
        delivery.value = { state: "waiting" };
        this.#waiting.push(() => this.#send(entry, publish));
      } else {
        delivery.value = { state: "failed", reason: line(String((error as Error).message), 200) };
      }
    }
  }

  #sendWaiting(): void {
    for (const send of this.#waiting.splice(0)) void send();
  }

  #deliver(id: string, delivery: Delivery): void {
    const entry = this.#own.get(id);
    if (!entry?.delivery) return;
    entry.delivery.value = delivery;
    if (entry.kind === "file") entry.heldBytes.value = entry.bytes;
  }

  async #chat(chat: Chat): Promise<void> {
    // To nobody is as good as not said: whoever comes will ask.
    await this.#presence.publish(chat, { contentType: CHAT_TYPE }).catch(() => {});
  }

  async #look(): Promise<void> {
    const peers: Peer[] = await this.#node.peers().catch(() => []);
    if (!this.#left) this.people.look(peers, this.name);
  }

  #ours(): Shown {
    this.#lastKey += 1;
    const delivery = signal<Delivery>({ state: "sending" });
    return { key: `own-${this.#lastKey}`, from: this.id, atMs: Date.now(), delivery };
  }

  #latency(message: Message): number | undefined {
    const passed = Date.now() - message.publishedAt.getTime();
    // Two machines' clocks differ; what cannot be is not shown.
    if (!(passed >= 0 && passed < 60_000)) return undefined;
    this.latencyMs.value = passed;
    return passed;
  }

  #add(entry: Entry): void {
    const entries = this.entries.value;
    const end = entries.findLastIndex((other) => !isLater(other, entry)) + 1;
    this.entries.value = entries.toSpliced(end, 0, entry);
    this.#trim();
  }

  #trim(): void {
    const surplus = this.entries.value.slice(0, -ENTRIES);
    if (surplus.length > 0) {
      surplus.forEach(release);
      this.entries.value = this.entries.value.slice(-ENTRIES);
    }
    let bytes = 0;
    for (const entry of this.entries.value.toReversed()) {
      if (entry.kind !== "file" || entry.content.value.state !== "here") continue;
      bytes += entry.bytes;
      if (bytes > FILE_BYTES && entry.bytes < bytes) release(entry);
    }
    for (const id of this.#own.keys()) if (this.#own.size > ENTRIES) this.#own.delete(id);
  }
}

/** Messages may overtake each other; what one person says is shown as it was said. */
function isLater(other: Entry, entry: Entry): boolean {
  return other.kind === "text" && entry.kind === "text" && other.from === entry.from && other.sentMs > entry.sentMs;
}

/** Gives a file's bytes back. */
function release(entry: Entry): void {
  if (entry.kind !== "file" || entry.content.value.state !== "here") return;
  URL.revokeObjectURL(entry.content.value.url);
  entry.content.value = { state: "gone" };
}

function every(ms: number, step: () => void): () => void {
  const timer = setInterval(step, ms);
  return () => clearInterval(timer);
}
