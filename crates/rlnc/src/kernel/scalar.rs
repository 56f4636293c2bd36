//! The product in 64-bit words, with nothing but XOR and doubling.
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

/// See [`Gemm`](super::Gemm).
pub(super) fn gemm(dst: &mut [&mut [u8]], src: &[&[u8]], coef: &[u8], columns: Range<usize>, start: Start) {
    let mut planes = Planes::default();
    for block in blocks(columns, src.len()) {
        for (out, coef) in dst.iter_mut().zip(coef.chunks_exact(src.len())) {
            planes.sort(coef);
            combine(&mut out[block.clone()], src, &planes, block.start, start);
        }
    }
}

/// One output row over one block of columns; `offset` is where the block begins in the sources.
fn combine(out: &mut [u8], src: &[&[u8]], planes: &Planes, offset: usize, start: Start) {
    for (index, out) in out.chunks_mut(TILE_BYTES).enumerate() {
        let from = offset + index * TILE_BYTES;
        let mut tile = [0; TILE_WORDS];
        for plane in planes.descending() {
            double(&mut tile);
            for &k in plane {
                add(&mut tile, &src[k as usize][from..from + out.len()]);
            }
        }
        if start == Start::Dst {
            add(&mut tile, out);
        }
        store(&tile, out);
    }
}

/// The columns in blocks, so that one block of all sources stays in cache while every output row reads it.
fn blocks(columns: Range<usize>, sources: usize) -> impl Iterator<Item = Range<usize>> {
    let width = (BLOCK_BYTES / sources).max(MIN_BLOCK_WIDTH) / TILE_BYTES * TILE_BYTES;
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

/// The columns worked on at once: what fits the vector registers of most machines, should the compiler use them.
type Tile = [u64; TILE_WORDS];

fn double(tile: &mut Tile) {
    for word in tile {
        let high = *word & 0x8080_8080_8080_8080;
        let carry = (high - (high >> 7)) | high;
        *word = ((*word ^ high) << 1) ^ (carry & 0x1B1B_1B1B_1B1B_1B1B);
    }
}

/// Adds up to a tile of bytes.
fn add(tile: &mut Tile, bytes: &[u8]) {
    match <&[u8; TILE_BYTES]>::try_from(bytes) {
        Ok(whole) => add_whole(tile, whole),
        Err(_) => {
            let mut padded = [0; TILE_BYTES];
            padded[..bytes.len()].copy_from_slice(bytes);
            add_whole(tile, &padded);
        }
    }
}

fn add_whole(tile: &mut Tile, bytes: &[u8; TILE_BYTES]) {
    for (word, bytes) in tile.iter_mut().zip(bytes.as_chunks().0) {
        *word ^= u64::from_ne_bytes(*bytes);
    }
}

fn store(tile: &Tile, out: &mut [u8]) {
    for (out, word) in out.chunks_mut(8).zip(tile) {
        out.copy_from_slice(&word.to_ne_bytes()[..out.len()]);
    }
}

const TILE_WORDS: usize = 16;
const TILE_BYTES: usize = 8 * TILE_WORDS;

/// Bytes of all sources in one block.
const BLOCK_BYTES: usize = 256 * 1024;

/// Columns of the narrowest block, so that sorting the coefficients stays a small part of the work.
const MIN_BLOCK_WIDTH: usize = 1024;
