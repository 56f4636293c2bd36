//! `reed-solomon-simd`: Leopard, a Reed-Solomon code over GF(2^16) by FFT. It cannot recode.

use reed_solomon_simd::{ReedSolomonDecoder, ReedSolomonEncoder};

use super::super::System;
use super::super::cases::{Case, Message};
use super::NATIVE;
use crate::clock::{Run, timed};

pub(super) struct ReedSolomon;

/// `count` recovery shards.
fn recovery(message: &Message, count: usize) -> Vec<Vec<u8>> {
    reed_solomon_simd::encode(message.k, count, message.pieces()).expect("shards of even length")
}

fn encode(message: &Message, count: usize) -> Run<'_> {
    let (k, len) = (message.k, message.piece_len());
    let mut encoder = ReedSolomonEncoder::new(k, count, len).expect("shards of even length");
    Box::new(move || {
        timed(|| {
            encoder.reset(k, count, len).expect("as before");
            for piece in message.pieces() {
                encoder.add_original_shard(piece).expect("K shards of this length");
            }
            encoder.encode().expect("K shards were added").recovery_iter().map(<[u8]>::len).sum::<usize>()
        })
    })
}

/// Restores the source pieces that `lost` names, and puts the message together.
fn decode(message: &Message, lost: Vec<usize>) -> Run<'_> {
    let (k, len, count) = (message.k, message.piece_len(), lost.len());
    let recovery = recovery(message, count);
    let mut decoder = ReedSolomonDecoder::new(k, count, len).expect("shards of even length");
    let mut decode = move || {
        decoder.reset(k, count, len).expect("as before");
        let mut out = vec![0; message.bytes.len()];
        for (index, (piece, out)) in message.pieces().zip(out.chunks_exact_mut(len)).enumerate() {
            if !lost.contains(&index) {
                decoder.add_original_shard(index, piece).expect("a shard of this length");
                out.copy_from_slice(piece);
            }
        }
        for (index, shard) in recovery.iter().enumerate() {
            decoder.add_recovery_shard(index, shard).expect("a shard of this length");
        }
        for (index, piece) in decoder.decode().expect("K shards were added").restored_original_iter() {
            out[index * len..][..len].copy_from_slice(piece);
        }
        out
    };
    assert!(decode() == message.bytes, "reed-solomon-simd decodes");
    Box::new(move || timed(&mut decode))
}

impl System for ReedSolomon {
    fn name(&self) -> &str {
        "reed-solomon-simd 3.1.0"
    }

    fn kernel(&self) -> &str {
        NATIVE
    }

    fn prepare<'a>(&'a self, case: Case, message: &'a Message) -> Option<Run<'a>> {
        match case {
            Case::Gemm | Case::Recode => None,
            Case::Encode(count) => Some(encode(message, count)),
            Case::Decode => Some(decode(message, (0..message.k).collect())),
            Case::DecodeLoss10 => Some(decode(message, message.lost())),
        }
    }

    fn is_matrix_product(&self) -> bool {
        false
    }
}
