//! What the fuzz targets call. Not part of the interface: it may change at any time.

use alloc::vec;
use alloc::vec::Vec;

use crate::{Decoder, Encoder, Progress, Recoder, Shape, Shard};

/// Reads `data` as a generation and a series of shards sent in any order: pieces, mixtures, zero vectors, duplicates,
/// vectors and payloads of wrong lengths, and shards recoded from those held. Whatever comes, nothing panics, a wrong
/// length changes nothing, the rank rises by one or not at all, and what is determined is what was encoded.
pub fn exchange(data: &[u8]) {
    let mut input = Input(data);
    let (k, m, len) = (input.byte() % 16 + 1, input.byte() % 8, input.byte() % 80 + 1);
    let [k, m, len] = [k, m, len].map(usize::from);
    let shape = Shape::new(k, m, len).expect("at most 16 and 7 pieces of at most 80 bytes");
    let sources: Vec<Vec<u8>> = (0..k).map(|_| input.bytes(len)).collect();
    let encoder = Encoder::new(shape, sources.clone()).expect("K sources of this length");
    let mut decoder = Decoder::new(shape).keep_spares(4);
    while let Some(action) = input.next() {
        let before = decoder.rank();
        let progress = match action % 5 {
            0 => {
                let index = usize::from(input.byte());
                let mut out = vec![0; len];
                match encoder.pieces(&[index], &mut [&mut out]) {
                    Ok(()) => decoder.push_piece(index, out, Some(0)),
                    Err(error) => {
                        assert_eq!(decoder.push_piece(index, out, Some(0)), Err(error));
                        continue;
                    }
                }
            }
            1 | 2 => {
                let vector = input.bytes(k);
                let mut out = vec![0; len];
                encoder.shards(&vector, &mut [&mut out]).expect("one vector, one buffer");
                let is_innovative = decoder.is_innovative(&vector);
                let progress = decoder.push(&vector, out, Some(1));
                assert_eq!(matches!(progress, Ok(Progress::Innovative { .. })), is_innovative);
                progress
            }
            3 => {
                let held: Vec<Shard<Vec<u8>>> = decoder.held().cloned().collect();
                let mixing = input.bytes(held.len());
                let recoder = Recoder::new(shape, held).expect("they were held");
                let shard = recoder.recode(&mixing, 1).expect("one factor per shard").remove(0);
                let progress = decoder.push(&shard.coefficients, shard.payload, Some(2));
                assert_eq!(progress, Ok(Progress::Dependent));
                progress
            }
            _ => {
                let (vector, payload) = (usize::from(input.byte()), usize::from(input.byte()));
                if vector == k && payload == len {
                    continue;
                }
                let progress = decoder.push(&vec![1; vector], vec![1; payload], None);
                assert!(progress.is_err());
                progress
            }
        };
        let rank = if let Ok(Progress::Innovative { rank }) = progress { rank } else { before };
        assert!(rank == decoder.rank() && (rank == before || rank == before + 1));
    }
    for piece in decoder.determined() {
        assert_eq!(decoder.piece(piece).as_ref(), Some(&sources[piece]));
    }
    if decoder.is_complete() {
        assert_eq!(decoder.decode_all(), Ok(sources.concat()));
    }
    assert!(decoder.rank_without(1) <= decoder.rank() && decoder.rank_without(9) == decoder.rank());
}

/// Bytes one after the other; zeros when there are no more.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn next(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    fn byte(&mut self) -> u8 {
        self.next().unwrap_or(0)
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::noise;

    #[test]
    fn noise_is_exchanged() {
        // Miri takes many seconds for each.
        let seeds = if cfg!(miri) { 1 } else { 50 };
        (0..seeds).for_each(|seed| exchange(&noise(seed, 700)));
    }
}
