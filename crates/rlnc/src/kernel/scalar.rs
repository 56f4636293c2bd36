//! The product with no tables and no intrinsics: XOR and doubling, in loops that compilers turn into vector code.
//!
//! A coefficient is a sum of powers of two, c = c7 * 2^7 + ... + c0, and doubling is linear. So one output row is
//!
//! ```text
//!   sum over k of c_k * src_k  =  ((S7 * 2 + S6) * 2 + ... ) * 2 + S0,   S_b = XOR of the src_k whose c_k has bit b
//! ```
//!
//! which is Horner's rule: seven doublings per output byte, whatever the number of sources, and on average four
//! XORs per coefficient. A coefficient 0 costs nothing, a coefficient 1 one XOR, and a row of zeros and ones no doubling.

use alloc::vec::Vec;
use core::ops::Range;

use super::Start;
use crate::gf256;

/// See [`Gemm`](super::Gemm).
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    let mut planes = Planes::default();
    let mut sums = [0; TILE];
    for block in blocks(columns, src.len()) {
        for (out, coef) in dst.iter_mut().zip(coef.chunks_exact(src.len())) {
            planes.sort(coef);
            for tile in tiles(block.clone()) {
                let sums = &mut sums[..tile.len()];
                combine(sums, src, tile.start, &planes);
                let out = &mut out[tile];
                match start {
                    Start::Zero => out.copy_from_slice(sums),
                    Start::Dst => add(out, sums),
                }
            }
        }
    }
}

/// Horner's rule over the columns that begin at `offset`, as many as `sums` is long.
fn combine(sums: &mut [u8], src: &[&[u8]], offset: usize, planes: &Planes) {
    let row = |&k: &u32| &src[k as usize][offset..];
    sums.fill(0);
    for (index, plane) in planes.descending().enumerate() {
        if index > 0 {
            sums.iter_mut().for_each(|sum| *sum = gf256::double(*sum));
        }
        let (fours, rest) = plane.as_chunks();
        fours.iter().for_each(|four| add4(sums, four.each_ref().map(row)));
        rest.iter().for_each(|k| add(sums, row(k)));
    }
}

fn add(sums: &mut [u8], row: &[u8]) {
    for (sum, byte) in sums.iter_mut().zip(row) {
        *sum ^= byte;
    }
}

/// Four rows in one pass, so that a sum is loaded and stored once for all of them.
fn add4(sums: &mut [u8], [a, b, c, d]: [&[u8]; 4]) {
    for ((((sum, a), b), c), d) in sums.iter_mut().zip(a).zip(b).zip(c).zip(d) {
        *sum ^= a ^ b ^ c ^ d;
    }
}

/// The columns in blocks, so that one block of all sources stays in cache while every output row reads it.
fn blocks(columns: Range<usize>, sources: usize) -> impl Iterator<Item = Range<usize>> {
    split(columns, (BLOCK_BYTES / sources).max(TILE) / TILE * TILE)
}

/// A block in tiles, whose sums stay in the first-level cache while the sources pass by.
fn tiles(block: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    split(block, TILE)
}

fn split(columns: Range<usize>, width: usize) -> impl Iterator<Item = Range<usize>> {
    columns.clone().step_by(width).map(move |start| start..columns.end.min(start + width))
}

/// For each bit of a coefficient, the sources whose coefficient has it.
#[derive(Default)]
struct Planes {
    /// Indices of sources: those with bit 0, then those with bit 1, and so on.
    members: Vec<u32>,
    /// Where in `members` each bit ends.
    ends: [usize; 8],
    /// Bits in use: no coefficient has bit `bits` or a higher one.
    bits: usize,
}

impl Planes {
    fn sort(&mut self, coef: &[u8]) {
        self.members.clear();
        let union = coef.iter().fold(0, |union, &c| union | c);
        self.bits = 8 - union.leading_zeros() as usize;
        for bit in 0..self.bits {
            let has_bit = |&(_, c): &(usize, &u8)| c >> bit & 1 == 1;
            self.members.extend(coef.iter().enumerate().filter(has_bit).map(|(k, _)| k as u32));
            self.ends[bit] = self.members.len();
        }
    }

    fn descending(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.bits).rev().map(|bit| {
            let start = if bit == 0 { 0 } else { self.ends[bit - 1] };
            &self.members[start..self.ends[bit]]
        })
    }
}

/// Columns of a tile. 2,048 is 5 to 10 % faster than 1,024 (Xeon Emerald Rapids, 48 KiB of first-level cache).
const TILE: usize = if cfg!(miri) { 32 } else { 2048 };

/// Bytes of all sources in one block. Guess, not measured: a part of the smaller second-level caches.
const BLOCK_BYTES: usize = 128 * TILE;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{noise, rows, slices, slices_mut};

    /// The definition, one byte at a time.
    fn expected(dst: &[u8], src: &[&[u8]], coef: &[u8], columns: &Range<usize>, start: Start) -> Vec<u8> {
        let mut out = dst.to_vec();
        for column in columns.clone() {
            let first = if start == Start::Dst { out[column] } else { 0 };
            let terms = src.iter().zip(coef).map(|(row, &c)| gf256::mul(c, row[column]));
            out[column] = terms.fold(first, |sum, term| sum ^ term);
        }
        out
    }

    fn check(r: usize, coef: &[u8], len: usize, columns: Range<usize>, start: Start) {
        let k = coef.len() / r;
        let src = rows(1, k, len);
        let mut dst = rows(2, r, len);
        let expected: Vec<Vec<u8>> = dst
            .iter()
            .zip(coef.chunks(k))
            .map(|(out, coef)| expected(out, &slices(&src), coef, &columns, start))
            .collect();
        gemm(&mut slices_mut(&mut dst), &slices(&src), coef, columns.clone(), start);
        assert!(dst == expected, "{r} x {k} over {columns:?} of {len}, {start:?}");
    }

    #[test]
    fn agrees_with_the_definition() {
        // The last are more than Miri does in a minute.
        let shapes = [(1, 1), (1, 5), (4, 4), (5, 3), (3, 17), (2, 64), (1, 300)];
        for &(r, k) in &shapes[..if cfg!(miri) { 4 } else { 7 }] {
            for len in [1, 31, TILE / 2, TILE, TILE + 1, 3 * TILE - 1] {
                check(r, &noise(3, r * k), len, 0..len, Start::Zero);
                check(r, &noise(4, r * k), len, 0..len, Start::Dst);
            }
        }
    }

    #[test]
    fn leaves_the_other_columns_alone() {
        let len = 3 * TILE;
        for columns in [0..0, 5..5, 0..1, 7..64, 1..len, TILE - 1..TILE + 1, 2 * TILE..len] {
            check(3, &noise(5, 12), len, columns.clone(), Start::Zero);
            check(3, &noise(6, 12), len, columns, Start::Dst);
        }
    }

    #[test]
    fn coefficients_of_one_bit_and_none() {
        for c in [0, 1, 2, 0x80, 0xFF] {
            check(1, &[c], 100, 0..100, Start::Zero);
            check(2, &[0, c, c, 0, 1, 0], 100, 0..100, Start::Dst);
        }
    }
}
