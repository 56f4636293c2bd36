//! The ways to compute one matrix product. All give the same bytes.

mod scalar;

use core::fmt;
use core::ops::Range;

/// A product over one range of columns. Whoever calls it has checked the shapes: every row of `dst` and `src` reaches
/// to the end of `columns`, `coef` is `dst.len()` rows of `src.len()` bytes, and `src` is not empty.
pub(crate) type Gemm =
    fn(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start);

/// What the sums start from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// From zero: `dst` is overwritten.
    Zero,
    /// From what `dst` holds: the product is added to it.
    Dst,
}

/// Which instructions compute the product.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// Portable Rust, no intrinsics; runs everywhere, and is what the other kernels are tested against.
    Scalar,
}

impl Kernel {
    /// Its name in figures and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
        }
    }

    /// The fastest kernel that this build and this CPU have.
    pub(crate) fn fastest() -> Self {
        Self::Scalar
    }

    /// Its code, if this build and this CPU have it.
    pub(crate) fn gemm(self) -> Option<Gemm> {
        match self {
            Self::Scalar => Some(scalar::gemm),
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
