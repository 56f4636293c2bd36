//! `rlnc`: coded shards with explicit vectors, elimination over whole rows.

use rlnc::full::{Decoder, Encoder, Recoder};

use super::super::System;
use super::super::cases::{Case, Message, rng};
use super::NATIVE;
use crate::clock::{Run, timed};

pub(super) struct Rlnc;

/// It ends a message with a byte of its own, so it gets one byte less: its pieces are then as long as ours.
fn encoder(message: &Message) -> Encoder {
    let data = message.bytes[..message.bytes.len() - 1].to_vec();
    let encoder = Encoder::new(data, message.k).expect("a message of at least K bytes");
    assert_eq!(encoder.get_piece_byte_len(), message.piece_len());
    encoder
}

/// Each `[vector | payload]`.
fn coded(encoder: &Encoder, count: usize) -> Vec<Vec<u8>> {
    let mut rng = rng();
    (0..count).map(|_| encoder.code(&mut rng)).collect()
}

fn encode(message: &Message, count: usize) -> Run<'static> {
    let (encoder, mut rng) = (encoder(message), rng());
    let mut out = vec![vec![0; encoder.get_full_coded_piece_byte_len()]; count];
    Box::new(move || {
        timed(|| {
            for out in &mut out {
                encoder.code_with_buf(&mut rng, out).expect("a buffer of the right length");
            }
        })
    })
}

fn recode(message: &Message) -> Run<'static> {
    let encoder = encoder(message);
    let len = encoder.get_full_coded_piece_byte_len();
    let held = coded(&encoder, message.held()).concat();
    let mut recoder = Recoder::new(held, len, message.k).expect("coded pieces");
    let (mut out, mut rng) = (vec![0; len], rng());
    Box::new(move || {
        timed(|| recoder.recode_with_buf(&mut rng, &mut out).expect("a buffer of the right length"))
    })
}

fn decode<'a>(message: &'a Message, shards: Vec<Vec<u8>>) -> Run<'a> {
    let (k, piece_len) = (message.k, message.piece_len());
    let decode = move || {
        let mut decoder = Decoder::new(piece_len, k).expect("lengths above 0");
        for shard in &shards {
            if decoder.is_already_decoded() {
                break;
            }
            // A dependent piece is an error there, and no matter here.
            let _ = decoder.decode(shard);
        }
        decoder.get_decoded_data().expect("K independent pieces")
    };
    assert!(decode() == message.bytes[..message.bytes.len() - 1], "rlnc decodes");
    Box::new(move || timed(&decode))
}

/// The source pieces that are left, then coded ones.
fn with_loss(message: &Message) -> Vec<Vec<u8>> {
    let (encoder, lost) = (encoder(message), message.lost());
    let mut padded = message.bytes.clone();
    *padded.last_mut().expect("not empty") = 0x81;
    let source = |(index, piece): (usize, &[u8])| {
        let mut shard = vec![0; message.k];
        shard[index] = 1;
        shard.extend_from_slice(piece);
        shard
    };
    let pieces = padded.chunks_exact(message.piece_len()).enumerate();
    let mut shards: Vec<Vec<u8>> = pieces.filter(|(index, _)| !lost.contains(index)).map(source).collect();
    shards.extend(coded(&encoder, lost.len() + 2));
    shards
}

impl System for Rlnc {
    fn name(&self) -> &str {
        "rlnc 0.8.7"
    }

    fn kernel(&self) -> &str {
        NATIVE
    }

    fn prepare<'a>(&'a self, case: Case, message: &'a Message) -> Option<Run<'a>> {
        match case {
            Case::Gemm => None,
            Case::Encode(count) => Some(encode(message, count)),
            Case::Recode => Some(recode(message)),
            Case::Decode => Some(decode(message, coded(&encoder(message), message.k + 2))),
            Case::DecodeLoss10 => Some(decode(message, with_loss(message))),
        }
    }

    fn is_matrix_product(&self) -> bool {
        true
    }
}
