//! NEON: two table look-ups (`tbl`) give the products of 16 low and 16 high nibbles.
//!
//! A source is split into nibbles once for all rows of a tile. Tiles of 4 x 2 vectors; there are 32 registers.

use core::arch::aarch64::*;
use core::ops::Range;

use super::tables::NIBBLES;
use super::{Start, tiled};

/// See [`Gemm`](super::Gemm). Compiled where the whole build has `neon`.
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: this file is compiled only with the feature.
    unsafe { tiled::gemm::<Neon, 2, 1>(dst, src, coef, columns, start) }
}

struct Neon;

/// # Safety
///
/// Every function: the CPU has `neon`.
impl tiled::Isa for Neon {
    type Vector = uint8x16_t;
    /// Low nibbles, high nibbles.
    type Source = [uint8x16_t; 2];
    /// The products with each of them.
    type Factor = [uint8x16_t; 2];
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> uint8x16_t {
        // SAFETY: the feature, as above.
        unsafe { vdupq_n_u8(0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> uint8x16_t {
        // SAFETY: the feature, as above; 16 bytes at any alignment.
        unsafe { vld1q_u8(from) }
    }

    #[inline(always)]
    unsafe fn store(to: *mut u8, vector: uint8x16_t) {
        // SAFETY: the feature, as above; 16 bytes at any alignment.
        unsafe { vst1q_u8(to, vector) }
    }

    #[inline(always)]
    unsafe fn source(vector: uint8x16_t) -> [uint8x16_t; 2] {
        // SAFETY: the feature, as above.
        unsafe { [vandq_u8(vector, vdupq_n_u8(0x0F)), vshrq_n_u8::<4>(vector)] }
    }

    #[inline(always)]
    unsafe fn factor(coefficient: u8) -> [uint8x16_t; 2] {
        let [low, high] = &NIBBLES[usize::from(coefficient)];
        // SAFETY: the feature, as above; a table is 16 bytes.
        unsafe { [vld1q_u8(low.as_ptr()), vld1q_u8(high.as_ptr())] }
    }

    #[inline(always)]
    unsafe fn add_product(sum: uint8x16_t, factor: [uint8x16_t; 2], source: [uint8x16_t; 2]) -> uint8x16_t {
        // SAFETY: the feature, as above.
        unsafe {
            let sum = veorq_u8(sum, vqtbl1q_u8(factor[0], source[0]));
            veorq_u8(sum, vqtbl1q_u8(factor[1], source[1]))
        }
    }
}
