import { readFile } from "node:fs/promises";

import { Braidcast as Slim, type StartOptions } from "./braidcast.js";
import { bestModule } from "./simd.js";

export class Braidcast extends Slim {
  static override start(options: StartOptions = {}): Promise<Braidcast> {
    // Node.js fetches no file: addresses.
    return this.launch(options, () => options.wasm ?? readFile(new URL(`./wasm/${bestModule()}.wasm`, import.meta.url)));
  }
}

export type { StartOptions };
export * from "./public.js";
