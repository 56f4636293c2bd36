//! An instruction set of plain Rust, so that Miri can follow the pointers of `tiled`.

use core::ops::Range;

use super::isa::{Shuffle, Vector};
use super::{Start, scalar, tiled};
use crate::testing::{noise, rows, slices, slices_mut};

struct Plain;

/// # Safety
///
/// No instructions are asked for.
impl Vector for [u8; 16] {
    const WIDTH: usize = 16;

    unsafe fn zero() -> Self {
        [0; 16]
    }

    unsafe fn load(from: *const u8) -> Self {
        // SAFETY: 16 bytes at any alignment.
        unsafe { from.cast::<Self>().read_unaligned() }
    }

    unsafe fn store(self, to: *mut u8) {
        // SAFETY: 16 bytes at any alignment.
        unsafe { to.cast::<Self>().write_unaligned(self) }
    }

    unsafe fn xor(mut self, other: Self) -> Self {
        self.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
        self
    }
}

/// # Safety
///
/// No instructions are asked for.
impl Shuffle for Plain {
    type Vector = [u8; 16];

    unsafe fn table(bytes: &[u8; 16]) -> [u8; 16] {
        *bytes
    }

    unsafe fn split(vector: [u8; 16]) -> [[u8; 16]; 2] {
        [vector.map(|byte| byte & 0x0F), vector.map(|byte| byte >> 4)]
    }

    unsafe fn look_up(table: [u8; 16], indices: [u8; 16]) -> [u8; 16] {
        indices.map(|index| table[usize::from(index)])
    }
}

fn check(r: usize, k: usize, len: usize, columns: Range<usize>, start: Start) {
    let (src, coef) = (rows(1, k, len), noise(2, r * k));
    let (mut tiled, mut oracle) = (rows(3, r, len), rows(3, r, len));
    // SAFETY: no instructions are asked for.
    unsafe {
        tiled::gemm::<Plain, 2, 2>(&mut slices_mut(&mut tiled), &slices(&src), &coef, columns.clone(), start);
    }
    scalar::gemm(&mut slices_mut(&mut oracle), &slices(&src), &coef, columns.clone(), start);
    assert!(tiled == oracle, "{r} x {k} over {columns:?} of {len}, {start:?}");
}

/// Rows of one strip and of several, whole tiles, whole vectors and rests, one block and several.
#[test]
fn tiles_agree_with_the_oracle() {
    for (r, k) in [(1, 1), (1, 17), (2, 3), (3, 2), (4, 3), (5, 2)] {
        for len in [1, 32, 79] {
            check(r, k, len, 0..len, Start::Zero);
            check(r, k, len, len / 3..len, Start::Dst);
        }
    }
    // Several blocks; those of Miri are short enough for the sizes above.
    if !cfg!(miri) {
        check(5, 256, 300, 7..300, Start::Dst);
        check(1, 2, 33_000, 0..33_000, Start::Zero);
    }
}
