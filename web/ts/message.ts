import type { WasmMessage } from "./wasm/braidcast_web.js";

/** The latest moment that a `Date` can hold. */
const LAST_MS = 8.64e15;

/** A message that arrived: whole, and signed by `from`. What it says is still a stranger's word. */
export class Message {
  /** 64 hexadecimal digits, the same at every receiver. */
  readonly id: string;
  readonly topic: string;
  /** Id of its publisher. */
  readonly from: string;
  /** The payload. Shared by all subscribers: copy it before changing it. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Media type by the publisher's word; may be empty. */
  readonly contentType: string;
  /** File name or title by the publisher's word; may be empty. */
  readonly name: string;
  /** By the publisher's clock. */
  readonly publishedAt: Date;

  /** @internal */
  constructor(message: WasmMessage) {
    this.id = message.id;
    this.topic = message.topic;
    this.from = message.from;
    this.bytes = message.bytes;
    this.contentType = message.contentType;
    this.name = message.name;
    this.publishedAt = new Date(Math.min(message.publishedAtMs, LAST_MS));
  }

  /** The payload as UTF-8; what is not valid becomes U+FFFD. */
  text(): string {
    return new TextDecoder().decode(this.bytes);
  }

  /**
   * The payload as JSON. Its shape is unchecked.
   *
   * @throws {SyntaxError} when it is none.
   */
  json<T = unknown>(): T {
    return JSON.parse(this.text()) as T;
  }
}
