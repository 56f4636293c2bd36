//! The one primitive: a matrix product over GF(2^8).

#[cfg(feature = "std")]
use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use crate::kernel::{Gemm, Start};
use crate::{Kernel, ShapeError};

/// Computes matrix products with the kernel it was made for. Choose once, copy freely.
#[derive(Clone, Copy)]
pub struct Engine {
    kernel: Kernel,
    run: Gemm,
    #[cfg(feature = "std")]
    has_two_threads: bool,
}

impl Engine {
    /// The fastest kernel that this build and this CPU have.
    pub fn new() -> Self {
        Self::with_kernel(Kernel::fastest()).expect("the fastest kernel is one of those at hand")
    }

    /// This kernel, or `None` where the build or the CPU lacks it.
    pub fn with_kernel(kernel: Kernel) -> Option<Self> {
        kernel.gemm().map(|run| Self {
            kernel,
            run,
            #[cfg(feature = "std")]
            has_two_threads: false,
        })
    }

    /// Makes half the columns of a large product (64 Mi coef-bytes or more) on a thread that it starts for it.
    ///
    /// A caller that goes in slices ([`Product::step`](crate::Product::step)) stays on its own thread.
    #[cfg(feature = "std")]
    pub fn with_two_threads(self) -> Self {
        Self { has_two_threads: true, ..self }
    }

    /// The kernel in use.
    pub fn kernel(&self) -> Kernel {
        self.kernel
    }

    /// **Overwrites** `dst` with `coef` x `src`.
    ///
    /// `dst`: R rows, `src`: K rows, all of one length; `coef`: R rows of K bytes, one after the other. Row r of
    /// `dst` becomes the sum over k of `coef[r * K + k] * src[k]`; with no sources that is zero.
    /// R * K * (row length) coef-bytes of work.
    pub fn gemm(&self, dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8]) -> Result<(), ShapeError> {
        let columns = 0..row_len(dst, src);
        self.checked(dst, src, coef, columns, Start::Zero)
    }

    /// **Adds** `coef` x `src` to `dst`. Shapes as in [`gemm`](Self::gemm).
    pub fn gemm_add(&self, dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8]) -> Result<(), ShapeError> {
        let columns = 0..row_len(dst, src);
        self.checked(dst, src, coef, columns, Start::Dst)
    }

    /// [`gemm`](Self::gemm) over the bytes `columns` of every row; the other bytes of `dst` stay as they are.
    ///
    /// Columns do not depend on each other, so a long product can be made range by range, in any order.
    pub fn gemm_columns(
        &self,
        dst: &mut [&mut [u8]],
        src: &[&[u8]],
        coef: &[u8],
        columns: Range<usize>,
    ) -> Result<(), ShapeError> {
        self.checked(dst, src, coef, columns, Start::Zero)
    }

    fn checked(
        &self,
        dst: &mut [&mut [u8]],
        src: &[&[u8]],
        coef: &[u8],
        columns: Range<usize>,
        start: Start,
    ) -> Result<(), ShapeError> {
        check(dst, src, coef, &columns)?;
        if !src.is_empty() {
            #[cfg(feature = "std")]
            if self.has_two_threads && coef.len() as u64 * columns.len() as u64 >= LARGE {
                self.halved(dst, src, coef, columns, start);
                return Ok(());
            }
            (self.run)(dst, src, coef, columns, start);
        } else if start == Start::Zero {
            dst.iter_mut().for_each(|row| row[columns.clone()].fill(0));
        }
        Ok(())
    }

    /// Shapes were checked. Where no thread can be started, this one makes both halves.
    #[cfg(feature = "std")]
    fn halved(&self, dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
        let half = (columns.len() / 2).next_multiple_of(CACHE_LINE).min(columns.len());
        let middle = columns.start + half;
        let (mut left, mut right): (Vec<_>, Vec<_>) =
            dst.iter_mut().map(|row| row.split_at_mut(middle)).unzip();
        let rest: Vec<&[u8]> = src.iter().map(|row| &row[middle..]).collect();
        let mut make_left = || (self.run)(&mut left, src, coef, columns.start..middle, start);
        let was_started = std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().spawn_scoped(scope, &mut make_left);
            (self.run)(&mut right, &rest, coef, 0..columns.end - middle, start);
            thread.is_ok()
        });
        if !was_started {
            make_left();
        }
    }
}

/// Coef-bytes of a product that is worth the 30 to 40 us that a thread takes to start: of this size two threads took
/// three quarters of the time of one.
#[cfg(feature = "std")]
const LARGE: u64 = 16 << 20;

/// Two threads never write to one line.
#[cfg(feature = "std")]
const CACHE_LINE: usize = 64;

impl Default for Engine {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Engine").field(&self.kernel).finish()
    }
}

fn row_len(dst: &[&mut [u8]], src: &[&[u8]]) -> usize {
    dst.first().map(|row| row.len()).or(src.first().map(|row| row.len())).unwrap_or(0)
}

fn check(dst: &[&mut [u8]], src: &[&[u8]], coef: &[u8], columns: &Range<usize>) -> Result<(), ShapeError> {
    let cells = dst.len().saturating_mul(src.len());
    if coef.len() != cells {
        return Err(ShapeError::Coefficients { got: coef.len(), expected: cells });
    }
    let len = row_len(dst, src);
    let mut lengths = dst.iter().map(|row| row.len()).chain(src.iter().map(|row| row.len()));
    if let Some(got) = lengths.find(|&got| got != len) {
        return Err(ShapeError::Length { got, expected: len });
    }
    if columns.start > columns.end || columns.end > len {
        return Err(ShapeError::Columns { start: columns.start, end: columns.end, len });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{noise, rows, slices, slices_mut};

    #[test]
    fn overwrites_or_adds() {
        let engine = Engine::new();
        let (mut out, one, two) = ([9, 9], [1, 2], [4, 8]);
        engine.gemm(&mut [&mut out], &[&one, &two], &[1, 2]).unwrap();
        assert_eq!(out, [9, 18]);
        engine.gemm_add(&mut [&mut out], &[&one, &two], &[1, 0]).unwrap();
        assert_eq!(out, [8, 16]);
        engine.gemm_columns(&mut [&mut out], &[&one, &two], &[0, 1], 1..2).unwrap();
        assert_eq!(out, [8, 8]);
    }

    #[test]
    fn no_sources_are_zero() {
        let mut out = [9, 9];
        Engine::new().gemm_add(&mut [&mut out], &[], &[]).unwrap();
        assert_eq!(out, [9, 9]);
        Engine::new().gemm(&mut [&mut out], &[], &[]).unwrap();
        assert_eq!(out, [0, 0]);
        Engine::new().gemm(&mut [], &[&[1]], &[]).unwrap();
    }

    #[test]
    fn lengths_must_fit() {
        let engine = Engine::new();
        let mut out = vec![9; 4];
        let coefficients = engine.gemm(&mut [&mut out], &[&[0; 4], &[0; 4]], &[1]);
        assert_eq!(coefficients, Err(ShapeError::Coefficients { got: 1, expected: 2 }));
        let source = engine.gemm(&mut [&mut out], &[&[0; 4], &[0; 5]], &[1, 1]);
        assert_eq!(source, Err(ShapeError::Length { got: 5, expected: 4 }));
        let columns = engine.gemm_columns(&mut [&mut out], &[&[0; 4]], &[1], 2..5);
        assert_eq!(columns, Err(ShapeError::Columns { start: 2, end: 5, len: 4 }));
        assert_eq!(out, [9; 4]);
    }

    #[cfg(feature = "std")]
    #[test]
    fn two_threads_make_what_one_makes() {
        let (one, two) = (Engine::new(), Engine::new().with_two_threads());
        let (src, coef) = (rows(1, 3, 300), noise(2, 6));
        for (columns, start) in [(0..0, Start::Zero), (5..6, Start::Dst), (7..300, Start::Zero)] {
            let (mut halves, mut whole) = (rows(3, 2, 300), rows(3, 2, 300));
            two.halved(&mut slices_mut(&mut halves), &slices(&src), &coef, columns.clone(), start);
            one.checked(&mut slices_mut(&mut whole), &slices(&src), &coef, columns, start).unwrap();
            assert_eq!(halves, whole);
        }
    }

    #[test]
    fn kernel_is_the_one_asked_for() {
        assert_eq!(Engine::with_kernel(Kernel::Scalar).map(|engine| engine.kernel()), Some(Kernel::Scalar));
    }
}
