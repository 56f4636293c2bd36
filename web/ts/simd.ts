import { UnsupportedError } from "./errors.js";

/** The wasm modules of this package, by the WebAssembly features that they need. */
export type ModuleName = "relaxed-simd" | "simd128";

/**
 * The fastest module that this browser understands.
 *
 * @throws {UnsupportedError} when it understands none.
 */
export function bestModule(): ModuleName {
  const best = (["relaxed-simd", "simd128"] as const).find((name) => WebAssembly.validate(PROBES[name]));
  if (best) return best;
  throw new UnsupportedError(
    "there is no WebAssembly SIMD here: use Chromium 119, Firefox 124, Safari 17.4, Node.js 22, or later",
  );
}

/** A module with one function `() -> v128` of this body, which a browser takes only if it knows its instructions. */
function probe(...body: number[]): Uint8Array<ArrayBuffer> {
  const code = [0, ...body, 0x0b];
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...[1, 5, 1, 0x60, 0, 1, 0x7b],
    ...[3, 2, 1, 0],
    ...[10, code.length + 2, 1, code.length, ...code],
  ]);
}

/** `i32.const 0`, `i8x16.splat`. */
const ZEROS = [0x41, 0, 0xfd, 0x0f];
const PROBES = {
  simd128: probe(...ZEROS),
  // `i8x16.relaxed_swizzle`.
  "relaxed-simd": probe(...ZEROS, ...ZEROS, 0xfd, 0x80, 0x02),
};
