//! WebAssembly simd128: two swizzles look up the products of 16 low and 16 high nibbles.
//!
//! On x86 a swizzle is two instructions: an index of 16 or more must give 0. Tiles of 4 x 2 vectors.

use core::arch::wasm32::*;
use core::ops::Range;

use super::tables::NIBBLES;
use super::{Start, tiled};

/// See [`Gemm`](super::Gemm). Compiled where the whole module has `simd128`.
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: this file is compiled only with the feature.
    unsafe { tiled::gemm::<Simd128, 2, 1>(dst, src, coef, columns, start) }
}

struct Simd128;

/// # Safety
///
/// Every function: the module has `simd128`.
impl tiled::Isa for Simd128 {
    type Vector = v128;
    /// Low nibbles, high nibbles.
    type Source = [v128; 2];
    /// The products with each of them.
    type Factor = [v128; 2];
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> v128 {
        u8x16_splat(0)
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> v128 {
        // SAFETY: 16 bytes at any alignment.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u8, vector: v128) {
        // SAFETY: 16 bytes at any alignment.
        unsafe { v128_store(to.cast(), vector) }
    }

    #[inline(always)]
    unsafe fn source(vector: v128) -> [v128; 2] {
        [v128_and(vector, u8x16_splat(0x0F)), u8x16_shr(vector, 4)]
    }

    #[inline(always)]
    unsafe fn factor(coefficient: u8) -> [v128; 2] {
        // SAFETY: a table is 16 bytes.
        NIBBLES[usize::from(coefficient)].each_ref().map(|table| unsafe { v128_load(table.as_ptr().cast()) })
    }

    #[inline(always)]
    unsafe fn add_product(sum: v128, factor: [v128; 2], source: [v128; 2]) -> v128 {
        let sum = v128_xor(sum, u8x16_swizzle(factor[0], source[0]));
        v128_xor(sum, u8x16_swizzle(factor[1], source[1]))
    }
}
