//! GFNI with the 256-bit registers of AVX2 and VEX encoding, for CPUs without AVX-512.
//!
//! Tiles of 4 x 2 vectors: 8 sums, 2 sources and a factor in the 16 registers.

use core::arch::x86_64::*;
use core::ops::Range;

use super::isa::{Isa, Vector};
use super::tables::MATRICES;
use super::{Start, tiled};

/// See [`Gemm`](super::Gemm). Handed out where the CPU was seen to have `avx2` and `gfni`.
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: `Kernel::gemm` gives this function out only after it has seen the features.
    unsafe { run(dst, src, coef, columns, start) }
}

#[target_feature(enable = "avx2,gfni")]
fn run(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    // SAFETY: this function has the features.
    unsafe { tiled::gemm::<Gfni256, 2, 1>(dst, src, coef, columns, start) }
}

struct Gfni256;

/// # Safety
///
/// Every function: the CPU has `avx2` and `gfni`.
impl Isa for Gfni256 {
    type Vector = __m256i;
    type Source = __m256i;
    /// The coefficient's matrix, four times.
    type Factor = __m256i;

    #[inline(always)]
    unsafe fn source(vector: __m256i) -> __m256i {
        vector
    }

    #[inline(always)]
    unsafe fn factor(coefficient: u8) -> __m256i {
        // SAFETY: the features, as above.
        unsafe { _mm256_set1_epi64x(MATRICES[usize::from(coefficient)] as i64) }
    }

    #[inline(always)]
    unsafe fn add_product(sum: __m256i, factor: __m256i, source: __m256i) -> __m256i {
        // SAFETY: the features, as above.
        unsafe { sum.xor(_mm256_gf2p8affine_epi64_epi8::<0>(source, factor)) }
    }
}
