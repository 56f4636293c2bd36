//! WebAssembly simd128: two swizzles look up the products of 16 low and 16 high nibbles.
//!
//! On x86 a swizzle is two instructions: an index of 16 or more must give 0. Tiles of 4 x 2 vectors.

use core::arch::wasm32::*;
use core::ops::Range;

use super::isa::{Shuffle, Vector};
use super::{Start, tiled};

/// See [`Gemm`](super::Gemm). Compiled where the whole module has `simd128`.
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: this file is compiled only with the feature.
    unsafe { tiled::gemm::<Simd128, 2, 1>(dst, src, coef, columns, start) }
}

pub(super) struct Simd128;

/// # Safety
///
/// Every function: the module has `simd128`.
impl Vector for v128 {
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        u8x16_splat(0)
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: 16 bytes at any alignment.
        unsafe { v128_load(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: 16 bytes at any alignment.
        unsafe { v128_store(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        v128_xor(self, other)
    }
}

/// # Safety
///
/// Every function: the module has `simd128`.
impl Shuffle for Simd128 {
    type Vector = v128;

    #[inline(always)]
    unsafe fn table(bytes: &[u8; 16]) -> v128 {
        // SAFETY: a table is 16 bytes.
        unsafe { v128_load(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn split(vector: v128) -> [v128; 2] {
        [v128_and(vector, u8x16_splat(0x0F)), u8x16_shr(vector, 4)]
    }

    #[inline(always)]
    unsafe fn look_up(table: v128, indices: v128) -> v128 {
        u8x16_swizzle(table, indices)
    }
}
