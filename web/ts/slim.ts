/**
 * The same without the wasm module, for libraries and for bundlers that need a hand: pass it as `wasm` to
 * `Braidcast.start`. It is exported as `braidcast/braidcast.wasm`.
 */
export { Braidcast, type StartOptions } from "./braidcast.js";
export * from "./public.js";
