//! SSSE3: two byte shuffles look up the products of 16 low and 16 high nibbles.
//!
//! Tiles of 4 x 2 vectors: 8 sums, 4 halves of sources, 2 tables and 2 products in the 16 registers.

use core::arch::x86_64::*;
use core::ops::Range;

use super::isa::{Shuffle, Vector};
use super::{Start, tiled};

/// See [`Gemm`](super::Gemm). Handed out where the CPU was seen to have `ssse3`.
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: `Kernel::gemm` gives this function out only after it has seen the feature.
    unsafe { run(dst, src, coef, columns, start) }
}

#[target_feature(enable = "ssse3")]
fn run(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: this function has the feature.
    unsafe { tiled::gemm::<Ssse3, 2, 1>(dst, src, coef, columns, start) }
}

struct Ssse3;

/// # Safety
///
/// Every function: the CPU has `ssse3`.
impl Vector for __m128i {
    const WIDTH: usize = 16;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the feature, as above.
        unsafe { _mm_setzero_si128() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the feature, as above; 16 bytes at any alignment.
        unsafe { _mm_loadu_si128(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the feature, as above; 16 bytes at any alignment.
        unsafe { _mm_storeu_si128(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: the feature, as above.
        unsafe { _mm_xor_si128(self, other) }
    }
}

/// # Safety
///
/// Every function: the CPU has `ssse3`.
impl Shuffle for Ssse3 {
    type Vector = __m128i;

    #[inline(always)]
    unsafe fn table(bytes: &[u8; 16]) -> __m128i {
        // SAFETY: the feature, as above; a table is 16 bytes.
        unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
    }

    #[inline(always)]
    unsafe fn split(vector: __m128i) -> [__m128i; 2] {
        // SAFETY: the feature, as above.
        unsafe {
            let low = _mm_set1_epi8(0x0F);
            [_mm_and_si128(vector, low), _mm_and_si128(_mm_srli_epi64::<4>(vector), low)]
        }
    }

    #[inline(always)]
    unsafe fn look_up(table: __m128i, indices: __m128i) -> __m128i {
        // SAFETY: the feature, as above.
        unsafe { _mm_shuffle_epi8(table, indices) }
    }
}
