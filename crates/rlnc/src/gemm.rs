//! The one primitive: a matrix product over GF(2^8).

use core::fmt;
use core::ops::Range;

use crate::kernel::{Gemm, Start};
use crate::{Kernel, ShapeError};

/// Computes matrix products with the kernel it was made for. Choose once, copy freely.
#[derive(Clone, Copy)]
pub struct Engine {
    kernel: Kernel,
    run: Gemm,
}

impl Engine {
    /// The fastest kernel that this build and this CPU have.
    pub fn new() -> Self {
        Self::with_kernel(Kernel::fastest()).expect("the fastest kernel is one of those at hand")
    }

    /// This kernel, or `None` where the build or the CPU lacks it.
    pub fn with_kernel(kernel: Kernel) -> Option<Self> {
        kernel.gemm().map(|run| Self { kernel, run })
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
            (self.run)(dst, src, coef, columns, start);
        } else if start == Start::Zero {
            dst.iter_mut().for_each(|row| row[columns.clone()].fill(0));
        }
        Ok(())
    }
}

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
