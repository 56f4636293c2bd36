import type { Message } from "./message.js";

/** Someone who wants a topic's messages. */
export interface Sink {
  push(message: Message): void;
  /** No more will come, after `stop()` without an error. */
  end(error: Error | undefined): void;
}

/** Who listens to which topic. The node itself subscribes with the first and unsubscribes with the last. */
export class Subscriptions {
  readonly #sinks = new Map<string, Set<Sink>>();
  readonly #subscribe: (topic: string) => void;
  readonly #unsubscribe: (topic: string) => void;

  constructor(subscribe: (topic: string) => void, unsubscribe: (topic: string) => void) {
    this.#subscribe = subscribe;
    this.#unsubscribe = unsubscribe;
  }

  /** Returns how to undo it. */
  add(topic: string, sink: Sink): () => void {
    let sinks = this.#sinks.get(topic);
    if (!sinks) {
      this.#subscribe(topic);
      this.#sinks.set(topic, (sinks = new Set()));
    }
    sinks.add(sink);
    return () => this.#remove(topic, sink);
  }

  deliver(message: Message): void {
    for (const sink of this.#sinks.get(message.topic) ?? []) sink.push(message);
  }

  end(error: Error | undefined): void {
    const all = [...this.#sinks.values()];
    this.#sinks.clear();
    for (const sinks of all) for (const sink of sinks) sink.end(error);
  }

  #remove(topic: string, sink: Sink): void {
    const sinks = this.#sinks.get(topic);
    if (!sinks?.delete(sink) || sinks.size > 0) return;
    this.#sinks.delete(topic);
    this.#unsubscribe(topic);
  }
}
