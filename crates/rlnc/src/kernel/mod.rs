//! The ways to compute one matrix product. All give the same bytes.

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod avx2;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod gfni256;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod gfni512;
#[cfg(any(target_arch = "x86_64", target_feature = "neon", target_feature = "simd128"))]
#[allow(unsafe_code)]
mod isa;
#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
#[allow(unsafe_code)]
mod neon;
#[cfg(all(test, target_arch = "x86_64"))]
#[allow(unsafe_code)]
mod plain;
#[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
#[allow(unsafe_code)]
mod relaxed_simd;
mod scalar;
#[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
#[allow(unsafe_code)]
mod simd128;
#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
mod ssse3;
#[cfg(any(target_arch = "x86_64", target_feature = "neon", target_feature = "simd128"))]
mod tables;
#[cfg(any(target_arch = "x86_64", target_feature = "neon", target_feature = "simd128"))]
#[allow(unsafe_code)]
mod tile;
#[cfg(any(target_arch = "x86_64", target_feature = "neon", target_feature = "simd128"))]
#[allow(unsafe_code)]
mod tiled;

use core::fmt;
use core::ops::Range;

/// Whether the CPU has a feature.
#[cfg(all(target_arch = "x86_64", feature = "std"))]
macro_rules! has {
    ($feature:tt) => {
        std::arch::is_x86_feature_detected!($feature)
    };
}

/// Whether the build may count on a feature.
#[cfg(all(target_arch = "x86_64", not(feature = "std")))]
macro_rules! has {
    ($feature:tt) => {
        cfg!(target_feature = $feature)
    };
}

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
///
/// All are named everywhere; [`is_available`](Self::is_available) says which of them this build can run on this CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kernel {
    /// x86-64 with GFNI and AVX-512: 64 bytes at a time.
    Gfni512,
    /// x86-64 with GFNI and AVX2: 32 bytes at a time.
    Gfni256,
    /// x86-64 with AVX2: tables of nibbles, 32 bytes at a time.
    Avx2,
    /// x86-64 with SSSE3: tables of nibbles, 16 bytes at a time.
    Ssse3,
    /// 64-bit ARM: tables of nibbles, 16 bytes at a time.
    Neon,
    /// WebAssembly with relaxed-simd: tables of nibbles, 16 bytes at a time.
    RelaxedSimd,
    /// WebAssembly with simd128: tables of nibbles, 16 bytes at a time.
    Simd128,
    /// Portable Rust, no intrinsics; runs everywhere, and is what the other kernels are tested against.
    Scalar,
}

impl Kernel {
    /// Every kernel there is, the faster before the slower.
    pub const ALL: [Self; 8] = [
        Self::Gfni512,
        Self::Gfni256,
        Self::Avx2,
        Self::Ssse3,
        Self::Neon,
        Self::RelaxedSimd,
        Self::Simd128,
        Self::Scalar,
    ];

    /// Its name in figures and metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gfni512 => "gfni512",
            Self::Gfni256 => "gfni256",
            Self::Avx2 => "avx2",
            Self::Ssse3 => "ssse3",
            Self::Neon => "neon",
            Self::RelaxedSimd => "relaxed-simd",
            Self::Simd128 => "simd128",
            Self::Scalar => "scalar",
        }
    }

    /// The kernel of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kernel| kernel.name() == name)
    }

    /// Whether this build has its code and this CPU its instructions.
    ///
    /// On x86-64 with the feature `std` the CPU is asked. Elsewhere, and without it, only what the whole build was compiled
    /// for counts; WebAssembly cannot ask at all.
    pub fn is_available(self) -> bool {
        self.gemm().is_some()
    }

    /// The fastest kernel that this build and this CPU have.
    pub(crate) fn fastest() -> Self {
        Self::ALL.into_iter().find(|kernel| kernel.is_available()).unwrap_or(Self::Scalar)
    }

    /// Its code, if this build and this CPU have it.
    pub(crate) fn gemm(self) -> Option<Gemm> {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Gfni512 => (has!("avx512f") && has!("gfni")).then_some(gfni512::gemm as Gemm),
            #[cfg(target_arch = "x86_64")]
            Self::Gfni256 => (has!("avx2") && has!("gfni")).then_some(gfni256::gemm as Gemm),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => has!("avx2").then_some(avx2::gemm as Gemm),
            #[cfg(target_arch = "x86_64")]
            Self::Ssse3 => has!("ssse3").then_some(ssse3::gemm as Gemm),
            #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
            Self::Neon => Some(neon::gemm),
            #[cfg(all(target_arch = "wasm32", target_feature = "relaxed-simd"))]
            Self::RelaxedSimd => Some(relaxed_simd::gemm),
            #[cfg(all(target_arch = "wasm32", target_feature = "simd128"))]
            Self::Simd128 => Some(simd128::gemm),
            Self::Scalar => Some(scalar::gemm),
            #[allow(unreachable_patterns, reason = "which kernels are left depends on the target")]
            _ => None,
        }
    }
}

impl fmt::Display for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
