//! AVX2: two byte shuffles look up the products of 32 low and 32 high nibbles.
//!
//! Tiles of 4 x 2 vectors: 8 sums, 4 halves of sources, 2 tables and 2 products in the 16 registers.

use core::arch::x86_64::*;
use core::ops::Range;

use super::isa::{Shuffle, Vector};
use super::{Start, tiled};

/// See [`Gemm`](super::Gemm). Handed out where the CPU was seen to have `avx2`.
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: `Kernel::gemm` gives this function out only after it has seen the feature.
    unsafe { run(dst, src, coef, columns, start) }
}

#[target_feature(enable = "avx2")]
fn run(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: this function has the feature.
    unsafe { tiled::gemm::<Avx2, 2, 1>(dst, src, coef, columns, start) }
}

struct Avx2;

/// # Safety
///
/// Every function: the CPU has `avx2`.
impl Vector for __m256i {
    const WIDTH: usize = 32;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the feature, as above.
        unsafe { _mm256_setzero_si256() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the feature, as above; 32 bytes at any alignment.
        unsafe { _mm256_loadu_si256(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the feature, as above; 32 bytes at any alignment.
        unsafe { _mm256_storeu_si256(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: the feature, as above.
        unsafe { _mm256_xor_si256(self, other) }
    }
}

/// # Safety
///
/// Every function: the CPU has `avx2`.
impl Shuffle for Avx2 {
    type Vector = __m256i;

    #[inline(always)]
    unsafe fn table(bytes: &[u8; 16]) -> __m256i {
        // SAFETY: the feature, as above; a table is 16 bytes.
        unsafe { _mm256_broadcastsi128_si256(_mm_loadu_si128(bytes.as_ptr().cast())) }
    }

    #[inline(always)]
    unsafe fn split(vector: __m256i) -> [__m256i; 2] {
        // SAFETY: the feature, as above.
        unsafe {
            let low = _mm256_set1_epi8(0x0F);
            [_mm256_and_si256(vector, low), _mm256_and_si256(_mm256_srli_epi64::<4>(vector), low)]
        }
    }

    #[inline(always)]
    unsafe fn look_up(table: __m256i, indices: __m256i) -> __m256i {
        // SAFETY: the feature, as above.
        unsafe { _mm256_shuffle_epi8(table, indices) }
    }
}
