//! What an instruction set must be able to do.

use super::tables::NIBBLES;

/// A register of bytes.
///
/// # Safety
///
/// The functions are safe to call only on a CPU that has the instructions. Their pointers are valid for `WIDTH` bytes
/// at any alignment.
pub(super) trait Vector: Copy {
    /// Bytes of it.
    const WIDTH: usize;

    unsafe fn zero() -> Self;
    unsafe fn load(from: *const u8) -> Self;
    unsafe fn store(self, to: *mut u8);
    unsafe fn xor(self, other: Self) -> Self;
}

/// How a vector is multiplied by a coefficient.
///
/// # Safety
///
/// As [`Vector`].
pub(super) trait Isa {
    type Vector: Vector;
    /// A register of source bytes, prepared for multiplications.
    type Source: Copy;
    /// A coefficient, prepared for multiplications.
    type Factor: Copy;
    const WIDTH: usize = <Self::Vector>::WIDTH;

    unsafe fn source(vector: Self::Vector) -> Self::Source;
    unsafe fn factor(coefficient: u8) -> Self::Factor;
    /// `sum` + `factor` * `source`.
    unsafe fn add_product(sum: Self::Vector, factor: Self::Factor, source: Self::Source) -> Self::Vector;
}

/// A byte shuffle: it multiplies by looking up the products of low and of high nibbles. A source is split into nibbles
/// once for all rows of a tile.
///
/// # Safety
///
/// As [`Vector`].
pub(super) trait Shuffle {
    type Vector: Vector;

    /// Sixteen bytes to look up, in every lane of 16.
    unsafe fn table(bytes: &[u8; 16]) -> Self::Vector;
    /// Low nibbles, high nibbles.
    unsafe fn split(vector: Self::Vector) -> [Self::Vector; 2];
    /// For each byte of `indices`, all below 16, the byte of `table` there.
    unsafe fn look_up(table: Self::Vector, indices: Self::Vector) -> Self::Vector;
}

impl<S: Shuffle> Isa for S {
    type Vector = S::Vector;
    /// Low nibbles, high nibbles.
    type Source = [S::Vector; 2];
    /// The products with each of them.
    type Factor = [S::Vector; 2];

    #[inline(always)]
    unsafe fn source(vector: S::Vector) -> [S::Vector; 2] {
        // SAFETY: the caller's word.
        unsafe { S::split(vector) }
    }

    #[inline(always)]
    unsafe fn factor(coefficient: u8) -> [S::Vector; 2] {
        let [low, high] = &NIBBLES[usize::from(coefficient)];
        // SAFETY: the caller's word.
        unsafe { [S::table(low), S::table(high)] }
    }

    #[inline(always)]
    unsafe fn add_product(sum: S::Vector, factor: [S::Vector; 2], source: [S::Vector; 2]) -> S::Vector {
        // SAFETY: the caller's word.
        unsafe { sum.xor(S::look_up(factor[0], source[0])).xor(S::look_up(factor[1], source[1])) }
    }
}
