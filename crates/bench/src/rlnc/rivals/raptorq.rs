//! `raptorq`: the fountain code of RFC 6330. It cannot recode.

use raptorq::{EncodingPacket, ObjectTransmissionInformation, SourceBlockDecoder, SourceBlockEncoder};

use super::super::System;
use super::super::cases::{Case, Message};
use super::NATIVE;
use crate::clock::{Run, timed};

pub(super) struct RaptorQ;

/// Symbols of one source piece each; of an equal part of it where it is longer than a symbol can be.
struct Block {
    config: ObjectTransmissionInformation,
    symbols_per_piece: usize,
    bytes: u64,
}

impl Block {
    fn new(message: &Message) -> Self {
        let mut symbols_per_piece = 1;
        while message.piece_len() / symbols_per_piece > usize::from(u16::MAX) {
            symbols_per_piece *= 2;
        }
        let symbol_len = (message.piece_len() / symbols_per_piece) as u16;
        let bytes = message.bytes.len() as u64;
        let config = ObjectTransmissionInformation::new(bytes, symbol_len, 1, 1, 1);
        Self { config, symbols_per_piece, bytes }
    }

    fn encoder(&self, message: &Message) -> SourceBlockEncoder {
        SourceBlockEncoder::new(0, &self.config, &message.bytes)
    }

    /// Repair packets worth `pieces` pieces.
    fn repair(&self, encoder: &SourceBlockEncoder, pieces: usize) -> Vec<EncodingPacket> {
        encoder.repair_packets(0, (pieces * self.symbols_per_piece) as u32)
    }
}

/// The intermediate symbols are part of the work: a message that is not yet encoded has none.
fn encode(message: &Message, count: usize) -> Run<'_> {
    let block = Block::new(message);
    Box::new(move || timed(|| block.repair(&block.encoder(message), count)))
}

/// From all source symbols but those of the pieces `lost`, and as many repair packets, or a few more where those
/// happen to be too few.
fn decode(message: &Message, lost: &[usize]) -> Run<'static> {
    let block = Block::new(message);
    let encoder = block.encoder(message);
    let mut packets: Vec<EncodingPacket> = encoder
        .source_packets()
        .into_iter()
        .enumerate()
        .filter(|(symbol, _)| !lost.contains(&(symbol / block.symbols_per_piece)))
        .map(|(_, packet)| packet)
        .collect();
    let repair = encoder.repair_packets(0, (lost.len() * block.symbols_per_piece + 8) as u32);
    let (exact, more) = repair.split_at(lost.len() * block.symbols_per_piece);
    packets.extend_from_slice(exact);
    let decode =
        |packets: Vec<EncodingPacket>| SourceBlockDecoder::new(0, &block.config, block.bytes).decode(packets);
    for packet in more {
        match decode(packets.clone()) {
            Some(decoded) => {
                assert!(decoded == message.bytes, "raptorq decodes");
                break;
            }
            None => packets.push(packet.clone()),
        }
    }
    Box::new(move || {
        let packets = packets.clone();
        timed(|| {
            SourceBlockDecoder::new(0, &block.config, block.bytes).decode(packets).expect("it did before")
        })
    })
}

impl System for RaptorQ {
    fn name(&self) -> &str {
        "raptorq 2.0.1"
    }

    fn kernel(&self) -> &str {
        NATIVE
    }

    fn prepare<'a>(&'a self, case: Case, message: &'a Message) -> Option<Run<'a>> {
        match case {
            Case::Gemm | Case::Recode => None,
            Case::Encode(count) => Some(encode(message, count)),
            Case::Decode => Some(decode(message, &(0..message.k).collect::<Vec<_>>())),
            Case::DecodeLoss10 => Some(decode(message, &message.lost())),
        }
    }

    fn is_matrix_product(&self) -> bool {
        false
    }
}
