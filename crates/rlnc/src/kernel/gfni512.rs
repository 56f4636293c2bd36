//! GFNI with 512-bit registers: one `gf2p8affineqb` multiplies 64 bytes.
//!
//! Limits: one such instruction per cycle on Intel servers (64 B/cycle), two on Zen 5 (128 B/cycle). Tiles of 4 x 4
//! vectors, two sources per round so that one `vpternlogq` adds both products: 16 sums, 8 sources and 2 factors in the
//! 32 registers.

use core::arch::x86_64::*;
use core::ops::Range;

use super::isa::{Isa, Vector};
use super::tables::MATRICES;
use super::{Start, tiled};

/// See [`Gemm`](super::Gemm). Handed out where the CPU was seen to have `avx512f` and `gfni`.
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: `Kernel::gemm` gives this function out only after it has seen the features.
    unsafe { run(dst, src, coef, columns, start) }
}

#[target_feature(enable = "avx512f,gfni")]
fn run(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: this function has the features.
    unsafe { tiled::gemm::<Gfni512, 4, 2>(dst, src, coef, columns, start) }
}

struct Gfni512;

/// # Safety
///
/// Every function: the CPU has `avx512f`.
impl Vector for __m512i {
    const WIDTH: usize = 64;

    #[inline(always)]
    unsafe fn zero() -> Self {
        // SAFETY: the feature, as above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: the feature, as above; 64 bytes at any alignment.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut u8) {
        // SAFETY: the feature, as above; 64 bytes at any alignment.
        unsafe { _mm512_storeu_si512(to.cast(), self) }
    }

    #[inline(always)]
    unsafe fn xor(self, other: Self) -> Self {
        // SAFETY: the feature, as above.
        unsafe { _mm512_xor_si512(self, other) }
    }
}

/// # Safety
///
/// Every function: the CPU has `avx512f` and `gfni`.
impl Isa for Gfni512 {
    type Vector = __m512i;
    type Source = __m512i;
    /// The coefficient's matrix, eight times.
    type Factor = __m512i;

    #[inline(always)]
    unsafe fn source(vector: __m512i) -> __m512i {
        vector
    }

    #[inline(always)]
    unsafe fn factor(coefficient: u8) -> __m512i {
        // SAFETY: the features, as above.
        unsafe { _mm512_set1_epi64(MATRICES[usize::from(coefficient)] as i64) }
    }

    #[inline(always)]
    unsafe fn add_product(sum: __m512i, factor: __m512i, source: __m512i) -> __m512i {
        // SAFETY: the features, as above.
        unsafe { sum.xor(_mm512_gf2p8affine_epi64_epi8::<0>(source, factor)) }
    }
}
