/**
 * The same without a wasm module, for libraries and for bundlers that need a hand: pass one as `wasm` to
 * `Braidcast.start`. They are exported as `braidcast/relaxed-simd.wasm` and `braidcast/simd128.wasm`.
 */
export { Braidcast, type StartOptions } from "./braidcast.js";
export { bestModule, type ModuleName } from "./simd.js";
export * from "./public.js";
