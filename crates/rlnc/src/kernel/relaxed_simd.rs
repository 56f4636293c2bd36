//! WebAssembly relaxed-simd: as simd128, with the swizzle that is one instruction everywhere.
//!
//! What it gives for an index of 16 or more differs from CPU to CPU; a nibble is below 16.

use core::arch::wasm32::*;
use core::ops::Range;

use super::isa::Shuffle;
use super::simd128::Simd128;
use super::{Start, tiled};

/// See [`Gemm`](super::Gemm). Compiled where the whole module has `relaxed-simd`.
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: this file is compiled only with the feature.
    unsafe { tiled::gemm::<RelaxedSimd, 2, 1>(dst, src, coef, columns, start) }
}

struct RelaxedSimd;

/// # Safety
///
/// Every function: the module has `relaxed-simd`.
impl Shuffle for RelaxedSimd {
    type Vector = v128;

    #[inline(always)]
    unsafe fn table(bytes: &[u8; 16]) -> v128 {
        // SAFETY: as above; it includes `simd128`.
        unsafe { Simd128::table(bytes) }
    }

    #[inline(always)]
    unsafe fn split(vector: v128) -> [v128; 2] {
        // SAFETY: as above; it includes `simd128`.
        unsafe { Simd128::split(vector) }
    }

    #[inline(always)]
    unsafe fn look_up(table: v128, indices: v128) -> v128 {
        u8x16_relaxed_swizzle(table, indices)
    }
}
