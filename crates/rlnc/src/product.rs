//! A matrix product in slices.

use alloc::vec;
use alloc::vec::Vec;

use crate::Engine;

/// A product that is made a few columns at a time, so that its caller can do something else in between.
///
/// `S` is a source row, owned: cheap to clone (`Bytes`, `Arc<[u8]>`) where it must outlive the call, `&[u8]` where not.
#[derive(Debug)]
pub struct Product<S> {
    engine: Engine,
    sources: Vec<S>,
    /// One row of `sources.len()` bytes per row of `out`.
    coefficients: Vec<u8>,
    /// All rows, one after the other, `row_len` bytes each.
    out: Vec<u8>,
    row_len: usize,
    /// Columns below this one are made.
    column: usize,
}

impl<S: AsRef<[u8]>> Product<S> {
    /// `rows` rows from sources of `row_len` > 0 bytes each; `coefficients` is `rows` x `sources.len()`.
    pub(crate) fn new(
        engine: Engine,
        sources: Vec<S>,
        coefficients: Vec<u8>,
        rows: usize,
        row_len: usize,
    ) -> Self {
        debug_assert_eq!(coefficients.len(), rows * sources.len());
        let column = if rows == 0 { row_len } else { 0 };
        Self { engine, sources, coefficients, out: vec![0; rows * row_len], row_len, column }
    }

    /// Works for about `budget` coef-bytes and returns whether something is left to do.
    ///
    /// It makes whole stripes of 256 columns, R * K * 256 coef-bytes each, and at least one stripe per call.
    pub fn step(&mut self, budget: u64) -> bool {
        if self.is_done() {
            return false;
        }
        let stripes = budget / (self.column_cost() * STRIPE as u64);
        let width = usize::try_from(stripes).unwrap_or(usize::MAX).max(1).saturating_mul(STRIPE);
        let end = self.row_len.min(self.column.saturating_add(width));
        self.make(end);
        !self.is_done()
    }

    /// Coef-bytes still to do.
    pub fn remaining(&self) -> u64 {
        (self.row_len - self.column) as u64 * self.column_cost()
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.column == self.row_len
    }

    /// Does what is left, and returns the rows one after the other.
    pub fn finish(mut self) -> Vec<u8> {
        while self.step(u64::MAX) {}
        self.out
    }

    fn make(&mut self, end: usize) {
        let sources: Vec<&[u8]> = self.sources.iter().map(AsRef::as_ref).collect();
        let mut dst: Vec<&mut [u8]> = self.out.chunks_exact_mut(self.row_len).collect();
        self.engine.gemm_columns(&mut dst, &sources, &self.coefficients, self.column..end).expect(
            "lengths were checked when the product was made, and a source does not change its length",
        );
        self.column = end;
    }

    fn column_cost(&self) -> u64 {
        (self.out.len() / self.row_len * self.sources.len()).max(1) as u64
    }
}

/// Columns of the narrowest slice of work, in bytes: what the widest kernel makes in one pass.
const STRIPE: usize = 256;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{noise, rows, slices, slices_mut};

    fn product(r: usize, k: usize, len: usize) -> Product<Vec<u8>> {
        Product::new(Engine::new(), rows(1, k, len), noise(2, r * k), r, len)
    }

    fn expected(r: usize, k: usize, len: usize) -> Vec<u8> {
        let mut out = rows(3, r, len);
        Engine::new().gemm(&mut slices_mut(&mut out), &slices(&rows(1, k, len)), &noise(2, r * k)).unwrap();
        out.concat()
    }

    #[test]
    fn slices_make_what_one_pass_makes() {
        for (r, k, len) in [(1, 1, 1), (3, 2, 600), (4, 4, if cfg!(miri) { 300 } else { 4096 })] {
            for budget in [0, 1, 10_000, u64::MAX] {
                let mut sliced = product(r, k, len);
                while sliced.step(budget) {}
                assert!(sliced.finish() == expected(r, k, len), "{r} x {k} x {len} by {budget}");
            }
        }
    }

    #[test]
    fn a_step_keeps_to_its_budget() {
        let mut product = product(3, 5, 1024);
        assert_eq!(product.remaining(), 15 * 1024);
        assert!(product.step(15 * 600));
        assert_eq!(product.remaining(), 15 * (1024 - 512));
        assert!(product.step(0));
        assert_eq!(product.remaining(), 15 * 256);
        assert!(!product.step(15 * 600));
        assert_eq!((product.remaining(), product.is_done()), (0, true));
    }

    #[test]
    fn nothing_to_make_is_done() {
        let product = Product::new(Engine::new(), rows(1, 4, 100), Vec::new(), 0, 100);
        assert_eq!((product.remaining(), product.is_done()), (0, true));
        assert!(product.finish().is_empty());
    }
}
