import { Braidcast as Slim, type StartOptions } from "./braidcast.js";
import { bestModule, type ModuleName } from "./simd.js";

export class Braidcast extends Slim {
  static override start(options: StartOptions = {}): Promise<Braidcast> {
    return this.launch(options, () => options.wasm ?? MODULES[bestModule()]());
  }
}

/** Spelt out one by one, so that bundlers find the files. */
const MODULES: Record<ModuleName, () => URL> = {
  "relaxed-simd": () => new URL("./wasm/relaxed-simd.wasm", import.meta.url),
  simd128: () => new URL("./wasm/simd128.wasm", import.meta.url),
};

export type { StartOptions };
export * from "./public.js";
