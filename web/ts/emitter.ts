/** Handlers by event name. One that throws disturbs no other. */
export class Emitter<Events> {
  readonly #handlers = new Map<keyof Events, Set<(event: never) => void>>();

  on<Type extends keyof Events>(type: Type, handler: (event: Events[Type]) => void): () => void {
    // Wrapped, so that a handler given twice is called twice and removed one at a time.
    const entry = (event: Events[Type]) => handler(event);
    const handlers = this.#handlers.get(type) ?? new Set();
    this.#handlers.set(type, handlers.add(entry));
    return () => void handlers.delete(entry);
  }

  emit<Type extends keyof Events>(type: Type, event: Events[Type]): void {
    for (const handler of this.#handlers.get(type) ?? []) {
      guarded(handler as (event: Events[Type]) => void, event);
    }
  }
}

/** Calls someone else's function; what it throws is reported as an uncaught error and goes no further. */
export function guarded<T>(handler: (value: T) => void, value: T): void {
  try {
    handler(value);
  } catch (error) {
    if (typeof reportError === "function") reportError(error);
    else queueMicrotask(() => { throw error; });
  }
}
