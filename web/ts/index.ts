import { Braidcast as Slim, type StartOptions } from "./braidcast.js";

export class Braidcast extends Slim {
  static override start(options: StartOptions = {}): Promise<Braidcast> {
    return this.launch(options, () => options.wasm ?? new URL("./wasm/braidcast_web_bg.wasm", import.meta.url));
  }
}

export type { StartOptions };
export * from "./public.js";
