//! Braidcast's own engine.

use braidcast_rlnc::{Decoder, Encoder, Engine, Recoder, Shape, Shard};
use rand::RngCore;

use super::System;
use super::cases::{Case, Message, noise, rng};
use crate::clock::{Run, timed};

pub(super) struct Braidcast {
    name: &'static str,
    engine: Engine,
}

impl Braidcast {
    pub(super) fn new(engine: Engine) -> Self {
        Self { name: "braidcast", engine }
    }

    pub(super) fn with_two_threads(engine: Engine) -> Self {
        Self { name: "braidcast, two threads", engine: engine.with_two_threads() }
    }

    fn encoder<'a>(&self, message: &'a Message) -> Encoder<&'a [u8]> {
        let parity = message.lost().len();
        let shape = Shape::new(message.k, parity, message.piece_len()).expect("a shape of the list");
        let encoder = Encoder::new(shape, message.pieces().collect()).expect("pieces of this shape");
        encoder.with_engine(self.engine)
    }

    /// `count` shards with random vectors.
    fn coded(&self, message: &Message, count: usize) -> Vec<Shard<Vec<u8>>> {
        let vectors = noise(count * message.k);
        let mut payloads = vec![vec![0; message.piece_len()]; count];
        let mut out: Vec<&mut [u8]> = payloads.iter_mut().map(Vec::as_mut_slice).collect();
        self.encoder(message).shards(&vectors, &mut out).expect("one buffer per shard");
        let vectors = vectors.chunks(message.k).map(<[u8]>::to_vec);
        vectors.zip(payloads).map(|(coefficients, payload)| Shard { coefficients, payload }).collect()
    }

    fn gemm<'a>(&self, message: &'a Message) -> Run<'a> {
        let (engine, k) = (self.engine, message.k);
        let sources: Vec<&[u8]> = message.pieces().collect();
        let coefficients = noise(k * k);
        let mut out = vec![0; message.bytes.len()];
        Box::new(move || {
            let mut rows: Vec<&mut [u8]> = out.chunks_exact_mut(message.piece_len()).collect();
            timed(|| engine.gemm(&mut rows, &sources, &coefficients).expect("shapes fit"))
        })
    }

    fn encode<'a>(&self, message: &'a Message, count: usize) -> Run<'a> {
        let (encoder, mut rng) = (self.encoder(message), rng());
        let mut payloads = vec![vec![0; message.piece_len()]; count];
        let mut vectors = vec![0; count * message.k];
        Box::new(move || {
            let mut out: Vec<&mut [u8]> = payloads.iter_mut().map(Vec::as_mut_slice).collect();
            timed(|| {
                rng.fill_bytes(&mut vectors);
                encoder.shards(&vectors, &mut out).expect("one buffer per shard");
            })
        })
    }

    fn recode<'a>(&self, message: &'a Message) -> Run<'a> {
        let held = self.coded(message, message.held());
        let shape = *self.encoder(message).shape();
        let recoder = Recoder::new(shape, held).expect("shards of this shape").with_engine(self.engine);
        let (mut mixing, mut rng) = (vec![0; message.held()], rng());
        Box::new(move || {
            timed(|| {
                rng.fill_bytes(&mut mixing);
                recoder.recode(&mixing, 1).expect("one factor per shard")
            })
        })
    }

    fn decode(&self, message: &Message) -> Run<'static> {
        // Two more than K, so that all but one run in 10^7 decode.
        let shards = self.coded(message, message.k + 2);
        let (engine, shape) = (self.engine, *self.encoder(message).shape());
        let decode = move |out: &mut [u8]| {
            let mut decoder = Decoder::with_engine(shape, engine);
            for shard in &shards {
                if decoder.is_complete() {
                    break;
                }
                decoder.push(&shard.coefficients, &shard.payload[..], None).expect("a shard of this shape");
            }
            decoder.decode_into(out).expect("K independent shards");
        };
        checked(message, decode)
    }

    fn decode_loss(&self, message: &Message) -> Run<'static> {
        let (encoder, lost) = (self.encoder(message), message.lost());
        let (engine, shape) = (self.engine, *encoder.shape());
        let order: Vec<usize> =
            (0..shape.pieces()).filter(|piece| *piece >= shape.k() || !lost.contains(piece)).collect();
        let mut pieces = vec![vec![0; shape.piece_len()]; order.len()];
        let mut out: Vec<&mut [u8]> = pieces.iter_mut().map(Vec::as_mut_slice).collect();
        encoder.pieces(&order, &mut out).expect("one buffer per piece");
        let decode = move |out: &mut [u8]| {
            let mut decoder = Decoder::with_engine(shape, engine);
            for (&index, piece) in order.iter().zip(&pieces) {
                decoder.push_piece(index, &piece[..], None).expect("a piece of this shape");
            }
            decoder.decode_into(out).expect("any K pieces decode");
        };
        checked(message, decode)
    }
}

/// A run of `decode`, which was seen to write the message.
fn checked(message: &Message, decode: impl Fn(&mut [u8]) + 'static) -> Run<'static> {
    let mut out = vec![0; message.bytes.len()];
    decode(&mut out);
    assert!(out == message.bytes, "braidcast decodes");
    Box::new(move || timed(|| decode(&mut out)))
}

impl System for Braidcast {
    fn name(&self) -> &str {
        self.name
    }

    fn kernel(&self) -> &str {
        self.engine.kernel().name()
    }

    fn prepare<'a>(&'a self, case: Case, message: &'a Message) -> Option<Run<'a>> {
        Some(match case {
            Case::Gemm => self.gemm(message),
            Case::Encode(count) => self.encode(message, count),
            Case::Recode => self.recode(message),
            Case::Decode => self.decode(message),
            Case::DecodeLoss10 => self.decode_loss(message),
        })
    }

    fn is_matrix_product(&self) -> bool {
        true
    }
}
