//! One tile: sums that stay in registers while all sources pass by.

use core::ops::Range;

use super::Start;
use super::isa::{Isa, Vector};

/// `R` rows x `V` vectors of sums, of the sources in `range`.
///
/// # Safety
///
/// The CPU has the instructions of `I`; `out` and `sources` are valid for `V` vectors, `coef` is `R` rows of K bytes,
/// and `range` is within K.
#[inline(always)]
pub(super) unsafe fn tile<I: Isa, S: Sources, const R: usize, const V: usize, const DEPTH: usize>(
    out: [*mut u8; R],
    sources: S,
    coef: &[u8],
    range: Range<usize>,
    start: Start,
) {
    let k = coef.len() / R;
    // SAFETY: the caller's word; `index` stays in `range`, and so does a coefficient's place below R * K.
    unsafe {
        let mut sums = [[<I::Vector>::zero(); V]; R];
        if start == Start::Dst {
            for (sums, out) in sums.iter_mut().zip(out) {
                for (v, sum) in sums.iter_mut().enumerate() {
                    *sum = <I::Vector>::load(out.add(v * I::WIDTH));
                }
            }
        }
        let mut index = range.start;
        while index + DEPTH <= range.end {
            sums = add_sources::<I, S, R, V, DEPTH>(sums, sources, coef, k, index);
            index += DEPTH;
        }
        while index < range.end {
            sums = add_sources::<I, S, R, V, 1>(sums, sources, coef, k, index);
            index += 1;
        }
        for (sums, out) in sums.into_iter().zip(out) {
            for (v, sum) in sums.into_iter().enumerate() {
                sum.store(out.add(v * I::WIDTH));
            }
        }
    }
}

/// Adds `DEPTH` sources to the sums: two at a time where one instruction adds three vectors.
///
/// # Safety
///
/// As [`tile`]; `index + DEPTH` <= `k`.
#[inline(always)]
unsafe fn add_sources<I: Isa, S: Sources, const R: usize, const V: usize, const DEPTH: usize>(
    mut sums: [[I::Vector; V]; R],
    sources: S,
    coef: &[u8],
    k: usize,
    index: usize,
) -> [[I::Vector; V]; R] {
    // SAFETY: the caller's word.
    unsafe {
        let mut vectors = [[I::source(<I::Vector>::zero()); V]; DEPTH];
        for (d, vectors) in vectors.iter_mut().enumerate() {
            let row = sources.row(index + d);
            for (v, vector) in vectors.iter_mut().enumerate() {
                *vector = I::source(<I::Vector>::load(row.add(v * I::WIDTH)));
            }
        }
        for (r, sums) in sums.iter_mut().enumerate() {
            let mut factors = [I::factor(0); DEPTH];
            for (d, factor) in factors.iter_mut().enumerate() {
                *factor = I::factor(*coef.get_unchecked(r * k + index + d));
            }
            for (v, sum) in sums.iter_mut().enumerate() {
                for (factor, vectors) in factors.iter().zip(&vectors) {
                    *sum = I::add_product(*sum, *factor, vectors[v]);
                }
            }
        }
    }
    sums
}

/// Where the sources of one tile lie.
pub(super) trait Sources: Copy {
    /// The bytes of source `index`.
    ///
    /// # Safety
    ///
    /// `index` < K.
    unsafe fn row(self, index: usize) -> *const u8;
}

/// Rows of the caller, from one column on.
#[derive(Clone, Copy)]
pub(super) struct InPlace<'a> {
    pub(super) rows: &'a [&'a [u8]],
    pub(super) column: usize,
}

impl Sources for InPlace<'_> {
    #[inline(always)]
    unsafe fn row(self, index: usize) -> *const u8 {
        // SAFETY: `index` < K, and the rows reach beyond the column.
        unsafe { self.rows.get_unchecked(index).as_ptr().add(self.column) }
    }
}

/// Copies, one behind the other.
#[derive(Clone, Copy)]
pub(super) struct Packed {
    pub(super) base: *const u8,
    pub(super) stride: usize,
}

impl Sources for Packed {
    #[inline(always)]
    unsafe fn row(self, index: usize) -> *const u8 {
        // SAFETY: K rows were packed.
        unsafe { self.base.add(index * self.stride) }
    }
}
