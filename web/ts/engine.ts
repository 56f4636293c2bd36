import init, { on_panic } from "./wasm/braidcast_web.js";
import { CrashedError, fromWasm, LoadError, UnsupportedError } from "./errors.js";

/** Where the module comes from: its address, a response with it, its bytes, or itself compiled. */
export type WasmSource = URL | string | Response | BufferSource | WebAssembly.Module;

/** The one instance of the module in this page, and whether it lives. */
export class Engine {
  readonly #memory: WebAssembly.Memory;
  readonly #pending = new Set<(reason: CrashedError) => void>();
  #crashed: CrashedError | undefined;

  private constructor(memory: WebAssembly.Memory) {
    this.#memory = memory;
    // Called in the middle of a panic: it settles promises and touches nothing of the module.
    on_panic((reason: string) => {
      this.#crash(new CrashedError(reason));
      // The trap that follows carries no text, and ends a Node.js process before anyone reads the rejections.
      console.error(this.#crashed?.message);
    });
  }

  static #loading: Promise<Engine> | undefined;

  /**
   * Loads the module once, from whatever the first caller names.
   *
   * @throws {LoadError} and the next call tries again; {@link UnsupportedError} of `source` as it is.
   */
  static load(source: () => WasmSource | Promise<WasmSource>): Promise<Engine> {
    Engine.#loading ??= Engine.#load(source).catch((cause: unknown) => {
      Engine.#loading = undefined;
      if (cause instanceof UnsupportedError) throw cause;
      throw new LoadError(`the wasm module cannot be loaded: ${reasonOf(cause)}`, { cause });
    });
    return Engine.#loading;
  }

  static async #load(source: () => WasmSource | Promise<WasmSource>): Promise<Engine> {
    const { memory } = await init({ module_or_path: await source() });
    return new Engine(memory);
  }

  /** Bytes of wasm memory, all nodes of the page together. It never shrinks. */
  get memoryBytes(): number {
    return this.#memory.buffer.byteLength;
  }

  /** Calls into the module; its failures come out as this package's errors. */
  run<T>(call: () => T): T {
    if (this.#crashed) throw this.#crashed;
    try {
      return call();
    } catch (error) {
      throw this.#translate(error);
    }
  }

  /** The same for a promise; a panic rejects it, which the module itself no longer could. */
  async wait<T>(call: () => Promise<T>): Promise<T> {
    const promise = this.run(call);
    let giveUp!: (reason: CrashedError) => void;
    const crash = new Promise<never>((_, reject) => (giveUp = reject));
    this.#pending.add(giveUp);
    try {
      return await Promise.race([promise, crash]);
    } catch (error) {
      throw this.#translate(error);
    } finally {
      this.#pending.delete(giveUp);
    }
  }

  #translate(error: unknown): unknown {
    if (error instanceof WebAssembly.RuntimeError) this.#crash(new CrashedError(error.message, { cause: error }));
    return this.#crashed ?? fromWasm(error) ?? error;
  }

  #crash(reason: CrashedError): void {
    this.#crashed ??= reason;
    for (const giveUp of this.#pending) giveUp(this.#crashed);
  }
}

export function reasonOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
