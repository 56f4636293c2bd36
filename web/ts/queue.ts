import type { Message } from "./message.js";

/** How much may wait for a slow consumer. */
export interface QueueLimits {
  /** Default 1,024. */
  maxMessages?: number;
  /** Payload bytes, default 64 MiB. The newest message is kept whatever its size. */
  maxBytes?: number;
}

/** Messages between the node and a `for await` loop. Full, it drops the oldest. */
export class Queue implements AsyncIterableIterator<Message, undefined, void> {
  readonly #maxMessages: number;
  readonly #maxBytes: number;
  readonly #dropped: () => void;
  readonly #closed: () => void;
  readonly #messages: Message[] = [];
  readonly #takers: PromiseWithResolvers<IteratorResult<Message, undefined>>[] = [];
  #bytes = 0;
  #end: { error: unknown } | undefined;

  constructor(limits: QueueLimits, dropped: () => void, closed: () => void) {
    this.#maxMessages = limits.maxMessages ?? 1024;
    this.#maxBytes = limits.maxBytes ?? 64 * 1024 * 1024;
    this.#dropped = dropped;
    this.#closed = closed;
  }

  push(message: Message): void {
    const taker = this.#takers.shift();
    if (taker) return taker.resolve({ done: false, value: message });
    this.#messages.push(message);
    this.#bytes += message.bytes.byteLength;
    while (this.#messages.length > 1 && this.#overfull()) {
      this.#take();
      this.#dropped();
    }
  }

  /** No more will come. What waits can still be taken; then the loop ends, or throws `error`. */
  end(error: unknown): void {
    this.#end ??= { error };
    for (const taker of this.#takers.splice(0)) settle(taker, this.#end);
  }

  next(): Promise<IteratorResult<Message, undefined>> {
    const taker = Promise.withResolvers<IteratorResult<Message, undefined>>();
    const message = this.#take();
    if (message) taker.resolve({ done: false, value: message });
    else if (this.#end) settle(taker, this.#end);
    else this.#takers.push(taker);
    return taker.promise;
  }

  async return(): Promise<IteratorResult<Message, undefined>> {
    this.#messages.length = 0;
    this.#closed();
    this.end(undefined);
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  #overfull(): boolean {
    return this.#messages.length > this.#maxMessages || this.#bytes > this.#maxBytes;
  }

  #take(): Message | undefined {
    const message = this.#messages.shift();
    this.#bytes -= message?.bytes.byteLength ?? 0;
    return message;
  }
}

function settle(taker: PromiseWithResolvers<IteratorResult<Message, undefined>>, end: { error: unknown }): void {
  if (end.error === undefined) taker.resolve({ done: true, value: undefined });
  else taker.reject(end.error);
}
