//! Lanes: which pieces a neighbour pushes unasked.
//!
//! A receiver numbers its neighbours and tells each its slot. Of each message, a piece belongs to a few of the slots, by
//! hash; so early pieces flow without a round trip, and few come twice.

use braidcast_wire::MessageId;

/// A neighbour's place among all neighbours of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lane {
    pub(crate) slot: u32,
    pub(crate) of: u32,
}

impl Lane {
    /// True when a piece of the message belongs to this slot: each belongs to `width` slots.
    pub(crate) fn contains(self, message: MessageId, generation: usize, piece: u8, width: u32) -> bool {
        let first = hash(message, generation, piece) % self.of.max(1);
        (self.slot + self.of - first) % self.of < width
    }

    /// True when an inline message goes to this slot at once: to all but one where there are many, since most copies come for
    /// nothing. Whoever is spared has a heartbeat to say `Done`; then it is sent the message after all.
    pub(crate) fn takes_inline(self, message: MessageId) -> bool {
        self.of < SPARING || self.contains(message, 0, 0, self.of - 1)
    }
}

/// How much of a generation is pushed to a neighbour unasked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reach {
    /// In how many lanes a piece is.
    pub(crate) width: u32,
    /// Who has fewer pieces than this is pushed any: nothing can come twice to who has nothing.
    pub(crate) free: usize,
    /// Who has this share of K in percent is pushed no more: the rest is on its way from others, or is asked for.
    pub(crate) percent: usize,
}

impl Reach {
    /// Who doubts shards asks for no piece: each is pushed by two, one of whom may be who lied.
    pub(crate) const DOUBTED: Self = Self { width: 2, free: 0, percent: 100 };

    /// Of a message of `len` bytes, and less while others are on their way, since what comes twice delays them. After
    /// simulations: `docs/decisions/020`.
    pub(crate) fn of(len: usize, piece_len: usize, is_crowded: bool) -> Self {
        let free = if is_crowded { 1 } else { (FREE_BYTES / piece_len.max(1)).max(1) };
        match len {
            0..=0x8000 => Self { width: 1, free, percent: 100 },
            0x8001..=0x4_0000 if is_crowded => Self { width: 1, free, percent: 30 },
            0x8001..=0x4_0000 => Self { width: 1, free, percent: 75 },
            _ => Self { width: if is_crowded { 1 } else { 2 }, free: 1, percent: 100 },
        }
    }
}

const FREE_BYTES: usize = 32 * 1024;
/// Neighbours of which one need not send an inline message. Of 1,000 nodes with 8.7 neighbours, 200 B come 7.12 times, and with
/// this 6.84 times, no later; from eight on 6.6 times and 1 % later.
const SPARING: u32 = 9;

/// Mixes message, generation and piece (the finaliser of MurmurHash3).
fn hash(message: MessageId, generation: usize, piece: u8) -> u32 {
    let [a, b, c, d, ..] = message.0;
    let mut hash = u32::from_le_bytes([a, b, c, d])
        ^ ((generation as u32) << 8 | u32::from(piece)).wrapping_mul(0x9e37_79b1);
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn every_piece_is_in_as_many_lanes_as_said() {
        for of in 1..=12 {
            for width in [1, 2, 4] {
                for piece in 0..=255 {
                    let lanes = (0..of).map(|slot| Lane { slot, of });
                    let in_lanes = lanes
                        .filter(|lane| lane.contains(MessageId([7; 32]), 0, piece, width))
                        .count() as u32;
                    assert_eq!(in_lanes, width.min(of), "piece {piece}, {of} neighbours");
                }
            }
        }
    }

    #[test]
    fn an_inline_message_spares_one_of_many_lanes() {
        for (of, spared) in [(1, 0), (8, 0), (9, 1), (12, 1)] {
            let lanes = (0..of).map(|slot| Lane { slot, of });
            let without = lanes.filter(|lane| !lane.takes_inline(MessageId([7; 32]))).count();
            assert_eq!(without, spared, "{of} neighbours");
        }
    }
}
