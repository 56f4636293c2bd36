//! What all vector kernels share: how a product is cut so that sums stay in registers and sources in cache.
//!
//! ```text
//!   a tile     up to 4 rows x V vectors of sums, in registers, while all K sources pass by
//!   a strip    the tiles of the same rows, one beside the other
//!   a block    as many columns of all sources as the first-level cache holds; every strip reads it again
//!   packing    for more than one strip, a block is copied first, tile after tile, 64-byte aligned
//! ```
//!
//! A kernel that adds one source at a time to one output loads and stores the output for every source, and is as
//! fast as its cache. With four rows in registers a source vector is loaded once for four products, and the kernel is
//! as fast as its multiplier. Packing is for rows that lie a power of two apart: those share a few cache sets, and
//! the second strip would find nothing of what the first one read (`docs/decisions/010-packed-sources.md`).
//!
//! The layout follows Goto and van de Geijn, "Anatomy of High-Performance Matrix Multiplication", ACM TOMS 34(3), 2008.

use alloc::vec::Vec;
use core::ops::Range;

use super::Start;
use super::isa::{Isa, Vector};
use super::tile::{InPlace, Packed, Sources, tile};

/// See [`Gemm`](super::Gemm). Tiles are `V` vectors wide and take `DEPTH` sources per round.
///
/// # Safety
///
/// The CPU has the instructions of `I`.
#[inline(always)]
pub(super) unsafe fn gemm<I: Isa, const V: usize, const DEPTH: usize>(
    dst: &mut [&mut [u8]],
    src: &[&[u8]],
    coef: &[u8],
    columns: Range<usize>,
    start: Start,
) {
    // What the pointers below rely on.
    assert!(columns.start <= columns.end && coef.len() == dst.len() * src.len());
    assert!(dst.iter().all(|row| row.len() >= columns.end) && src.iter().all(|row| row.len() >= columns.end));
    let tile = V * I::WIDTH;
    let whole = columns.start..columns.end - columns.len() % tile;
    let vectors = whole.end..columns.end - columns.len() % I::WIDTH;
    let rest = vectors.end..columns.end;
    let mut product = Product { dst, src, coef, start };
    // SAFETY: the caller's word on `I`; whole tiles, whole vectors and the rest are parts of the columns checked above.
    unsafe {
        if product.dst.len() > STRIP_ROWS && !whole.is_empty() {
            product.packed::<I, V, DEPTH>(whole);
        } else {
            product.direct::<I, V, DEPTH>(whole);
        }
        product.direct::<I, 1, DEPTH>(vectors);
        if !rest.is_empty() {
            product.rest::<I, DEPTH>(rest);
        }
    }
}

/// A product whose shapes were checked.
struct Product<'a, 'b> {
    dst: &'a mut [&'b mut [u8]],
    src: &'a [&'a [u8]],
    coef: &'a [u8],
    start: Start,
}

impl Product<'_, '_> {
    /// Whole tiles, from sources where they lie. Few rows are as fast as the sources arrive, so these are read a few at
    /// a time along a whole block: the prefetcher follows that many, and the sums wait in the first-level cache.
    ///
    /// # Safety
    ///
    /// As [`gemm`]; every row reaches to the end of `columns`, a multiple of the tile's width.
    #[inline(always)]
    unsafe fn direct<I: Isa, const V: usize, const DEPTH: usize>(&mut self, columns: Range<usize>) {
        let (rows, k) = (self.src, self.src.len());
        let streams = if self.dst.len() <= STREAMED_ROWS { STREAMS } else { k };
        for block in blocks(columns, self.dst.len(), V * I::WIDTH) {
            for first in (0..k).step_by(streams) {
                let part = Part {
                    columns: block.clone(),
                    sources: first..k.min(first + streams),
                    start: if first == 0 { self.start } else { Start::Dst },
                };
                // SAFETY: a block is a part of `columns`.
                unsafe { self.strips::<I, V, DEPTH, _>(&part, |column| InPlace { rows, column }) };
            }
        }
    }

    /// Whole tiles, from sources copied block by block.
    ///
    /// # Safety
    ///
    /// As [`direct`](Self::direct).
    #[inline(always)]
    unsafe fn packed<I: Isa, const V: usize, const DEPTH: usize>(&mut self, columns: Range<usize>) {
        let width = V * I::WIDTH;
        let tile_bytes = self.src.len() * width;
        let mut scratch = Scratch::default();
        for block in blocks(columns, self.src.len(), width) {
            let base = scratch.reserve(self.src.len() * block.len());
            for (k, row) in self.src.iter().enumerate() {
                for (tile, column) in block.clone().step_by(width).enumerate() {
                    prefetch::<V>(row.as_ptr().wrapping_add(column + block.len()), I::WIDTH);
                    for v in 0..V {
                        // SAFETY: the row reaches to the end of the block, and the scratch has room for all its tiles.
                        unsafe {
                            let vector = <I::Vector>::load(row.as_ptr().add(column + v * I::WIDTH));
                            vector.store(base.add(tile * tile_bytes + k * width + v * I::WIDTH));
                        }
                    }
                }
            }
            let first = block.start;
            let part = Part { columns: block, sources: 0..self.src.len(), start: self.start };
            // SAFETY: a block is a part of `columns`, and the tile of every one of its columns was written above.
            unsafe {
                self.strips::<I, V, DEPTH, _>(&part, |column| Packed {
                    base: base.add((column - first) / width * tile_bytes),
                    stride: width,
                });
            }
        }
    }

    /// Less than a vector of columns, by way of buffers filled up with zeros.
    ///
    /// # Safety
    ///
    /// As [`gemm`]; every row reaches to the end of `columns`, which are fewer than `I::WIDTH` and at least one.
    #[inline(always)]
    unsafe fn rest<I: Isa, const DEPTH: usize>(&mut self, columns: Range<usize>) {
        let (k, len) = (self.src.len(), columns.len());
        let mut padded = Scratch::default();
        let base = padded.reserve(k * I::WIDTH);
        for (index, row) in self.src.iter().enumerate() {
            // SAFETY: `len` < WIDTH bytes of the row, and the index-th WIDTH bytes of the scratch.
            unsafe {
                let to = base.add(index * I::WIDTH);
                to.write_bytes(0, I::WIDTH);
                to.copy_from_nonoverlapping(row.as_ptr().add(columns.start), len);
            }
        }
        let sources = Packed { base, stride: I::WIDTH };
        for (row, coef) in self.dst.iter_mut().zip(self.coef.chunks_exact(k)) {
            let mut out = [0; MAX_WIDTH];
            out[..len].copy_from_slice(&row[columns.clone()]);
            // SAFETY: `out` has room for the widest vector, `sources` are K vectors.
            unsafe { tile::<I, _, 1, 1, DEPTH>([out.as_mut_ptr()], sources, coef, 0..k, self.start) };
            row[columns.clone()].copy_from_slice(&out[..len]);
        }
    }

    /// All tiles of one part, up to four rows at a time. `sources` gives what lies at a column.
    ///
    /// # Safety
    ///
    /// As [`direct`](Self::direct), and `sources` gives those of `part` for at least one tile at every
    /// tile's column.
    #[inline(always)]
    unsafe fn strips<I: Isa, const V: usize, const DEPTH: usize, S: Sources>(
        &mut self,
        part: &Part,
        sources: impl Fn(usize) -> S + Copy,
    ) {
        let k = self.src.len();
        // Five rows are three and two, not four and one: all tiles alike use the multiplier best.
        let height = self.dst.len().div_ceil(self.dst.len().div_ceil(STRIP_ROWS).max(1)).max(1);
        for (rows, coef) in self.dst.chunks_mut(height).zip(self.coef.chunks(height * k)) {
            // SAFETY: the caller's word.
            unsafe {
                match rows {
                    [a, b, c, d] => {
                        strip::<I, S, 4, V, DEPTH>([a, b, c, d], coef, part, sources);
                    }
                    [a, b, c] => strip::<I, S, 3, V, DEPTH>([a, b, c], coef, part, sources),
                    [a, b] => strip::<I, S, 2, V, DEPTH>([a, b], coef, part, sources),
                    [a] => strip::<I, S, 1, V, DEPTH>([a], coef, part, sources),
                    _ => unreachable!("chunks of one to four"),
                }
            }
        }
    }
}

/// One pass over whole tiles of columns.
struct Part {
    columns: Range<usize>,
    /// Which of the K sources to add.
    sources: Range<usize>,
    start: Start,
}

/// The tiles of `R` rows over one part.
///
/// # Safety
///
/// As [`Product::strips`]; `coef` is `R` rows.
#[inline(always)]
unsafe fn strip<I: Isa, S: Sources, const R: usize, const V: usize, const DEPTH: usize>(
    rows: [&mut &mut [u8]; R],
    coef: &[u8],
    part: &Part,
    sources: impl Fn(usize) -> S,
) {
    let rows = rows.map(|row| row.as_mut_ptr());
    for column in part.columns.clone().step_by(V * I::WIDTH) {
        // SAFETY: every row reaches to the end of the part, and the part is whole tiles.
        unsafe {
            let out = rows.map(|row| row.add(column));
            tile::<I, S, R, V, DEPTH>(out, sources(column), coef, part.sources.clone(), part.start);
        }
    }
}

/// Has the CPU fetch `V` vectors into its second-level cache; an address of nothing does no harm.
#[inline(always)]
fn prefetch<const V: usize>(_from: *const u8, _width: usize) {
    #[cfg(target_arch = "x86_64")]
    for at in (0..V * _width).step_by(64) {
        use core::arch::x86_64::{_MM_HINT_T1, _mm_prefetch};
        // SAFETY: a prefetch reads nothing and never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(_from.wrapping_add(at).cast()) };
    }
}

/// Memory to copy into, aligned for any vector.
#[derive(Default)]
struct Scratch(Vec<Line>);

#[repr(align(64))]
struct Line {
    _bytes: [u8; MAX_WIDTH],
}

impl Scratch {
    /// Room for so many bytes, to be written before they are read.
    fn reserve(&mut self, bytes: usize) -> *mut u8 {
        self.0.reserve(bytes.div_ceil(size_of::<Line>()));
        self.0.as_mut_ptr().cast()
    }
}

/// The columns in blocks of whole tiles, such that so many rows of a block stay in the first-level cache.
fn blocks(columns: Range<usize>, rows: usize, tile: usize) -> impl Iterator<Item = Range<usize>> {
    let width = (BLOCK_BYTES / rows.max(1) / tile).max(1) * tile;
    columns.clone().step_by(width).map(move |start| start..columns.end.min(start + width))
}

/// Bytes of all rows of one block: two thirds of the first-level cache of current CPUs.
const BLOCK_BYTES: usize = if cfg!(miri) { 512 } else { 32 * 1024 };

/// Sources that are read side by side where the prefetcher sets the pace: as many as the ways of a first-level cache of
/// 48 KiB, since rows a power of two apart share its sets. One row of 16 or 32 sources takes a tenth to a fifth less time
/// than with 16 (Intel Xeon); 6 and 8 are like 12.
const STREAMS: usize = 12;

/// Up to so many output rows, the prefetcher sets the pace.
const STREAMED_ROWS: usize = 2;

/// Most rows of a tile.
const STRIP_ROWS: usize = 4;

/// Bytes of the widest vector.
const MAX_WIDTH: usize = 64;
