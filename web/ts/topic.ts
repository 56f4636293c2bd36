import type { Labels, Publishable } from "./content.js";
import { guarded } from "./emitter.js";
import { InvalidError } from "./errors.js";
import type { Message } from "./message.js";
import { Queue, type QueueLimits } from "./queue.js";
import type { Sink } from "./subscriptions.js";
import type { Published } from "./types.js";

/** Longest name of a topic, in bytes of UTF-8. */
const NAME_BYTES = 256;

export interface PublishOptions extends Labels {
  /** Gives up while a `Blob` is still being read. What is on its way stays so. */
  signal?: AbortSignal;
}

export interface MessagesOptions extends QueueLimits {
  /** Ends the loop by throwing the signal's reason. */
  signal?: AbortSignal;
}

/** What a topic needs of its node. */
export interface Hub {
  subscribe(topic: string, sink: Sink): () => void;
  publish(topic: string, data: Publishable, options: PublishOptions): Promise<Published>;
  ready(topic: string, signal: AbortSignal | undefined): Promise<void>;
  lagged(topic: string): void;
}

/** A name under which messages meet. A handle without state: make as many as you like. */
export class Topic implements AsyncIterable<Message> {
  readonly name: string;
  readonly #hub: Hub;

  /** @internal */
  constructor(name: string, hub: Hub) {
    const bytes = new TextEncoder().encode(name).byteLength;
    if (bytes === 0) throw new InvalidError("topic name is empty: give it at least one character");
    if (bytes > NAME_BYTES) throw new InvalidError(`topic name is ${bytes} bytes, the limit is ${NAME_BYTES}: shorten it`);
    this.name = name;
    this.#hub = hub;
  }

  /**
   * Calls `handler` with each message from others, until the returned function is called. A handler that throws
   * disturbs nobody: the error is reported as uncaught.
   *
   * @throws {StoppedError} {@link CrashedError}
   */
  subscribe(handler: (message: Message) => void): () => void {
    return this.#hub.subscribe(this.name, { push: (message) => guarded(handler, message), end() {} });
  }

  /**
   * The messages from others, from now on, for one `for await` loop. A bounded number waits while the loop is busy;
   * beyond it the oldest are dropped and a `lagged` event tells. Ends when the node stops.
   *
   * @throws {StoppedError} {@link CrashedError}
   */
  messages(options: MessagesOptions = {}): AsyncIterableIterator<Message, undefined, void> {
    const { signal } = options;
    signal?.throwIfAborted();
    const abort = () => {
      stop();
      queue.end(signal?.reason);
    };
    const close = () => {
      stop();
      signal?.removeEventListener("abort", abort);
    };
    const queue = new Queue(options, () => this.#hub.lagged(this.name), close);
    const stop = this.#hub.subscribe(this.name, queue);
    signal?.addEventListener("abort", abort, { once: true });
    return queue;
  }

  [Symbol.asyncIterator](): AsyncIterator<Message, undefined, void> {
    return this.messages();
  }

  /**
   * Sends to every subscriber but oneself. Resolves when the message is on its way to at least one neighbour;
   * `reached` events of the node tell who has it. In a closed topic the node takes part from then on.
   *
   * @throws {NoPeersError} when nobody who subscribes is connected, or no member of a closed topic: wait for `ready()`;
   * or when all who subscribe take members only: get the key.
   * @throws {TooLargeError} {@link InvalidError} {@link BusyError} {@link StoppedError} {@link CrashedError}
   */
  publish(data: Publishable, options: PublishOptions = {}): Promise<Published> {
    return this.#hub.publish(this.name, data, options);
  }

  /**
   * Waits until a connected peer subscribes to this topic, so that `publish` finds someone. Subscribes meanwhile; in a closed
   * topic, waits for a member, and takes part from then on.
   *
   * @throws {StoppedError} {@link CrashedError}, or the signal's reason.
   */
  ready(options: { signal?: AbortSignal } = {}): Promise<void> {
    return this.#hub.ready(this.name, options.signal);
  }
}
