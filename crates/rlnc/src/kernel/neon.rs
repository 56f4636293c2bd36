//! NEON: two table look-ups (`tbl`) give the products of 16 low and 16 high nibbles.
//!
//! Tiles of 4 x 2 vectors; there are 32 registers.

use core::arch::aarch64::*;
use core::ops::Range;

use super::isa::{Shuffle, Vector};
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
impl Vector for uint8x16_t {
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the feature, as above.
        unsafe { vdupq_n_u8(0) }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the feature, as above; 16 bytes at any alignment.
        unsafe { vld1q_u8(from) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the feature, as above; 16 bytes at any alignment.
        unsafe { vst1q_u8(to, self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: the feature, as above.
        unsafe { veorq_u8(self, other) }
    }
}

/// # Safety
///
/// Every function: the CPU has `neon`.
impl Shuffle for Neon {
    type Vector = uint8x16_t;

    #[inline(always)]
    unsafe fn table(bytes: &[u8; 16]) -> uint8x16_t {
        // SAFETY: the feature, as above; a table is 16 bytes.
        unsafe { vld1q_u8(bytes.as_ptr()) }
    }

    #[inline(always)]
    unsafe fn split(vector: uint8x16_t) -> [uint8x16_t; 2] {
        // SAFETY: the feature, as above.
        unsafe { [vandq_u8(vector, vdupq_n_u8(0x0F)), vshrq_n_u8::<4>(vector)] }
    }

    #[inline(always)]
    unsafe fn look_up(table: uint8x16_t, indices: uint8x16_t) -> uint8x16_t {
        // SAFETY: the feature, as above.
        unsafe { vqtbl1q_u8(table, indices) }
    }
}
