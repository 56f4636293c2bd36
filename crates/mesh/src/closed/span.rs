//! What we hold of a generation while it is collected, and what went between us and each neighbour of it.

use alloc::vec::Vec;

use braidcast_machine::{Rng, Time};
use braidcast_rlnc::{Decoder, Product, Progress, Recoder, Shape, Shard};
use braidcast_wire::PeerId;
use bytes::Bytes;

use crate::transfer::{Neighbour, Pieces, Push, Transfer};

/// Independent shards of a generation.
#[derive(Debug)]
pub(crate) struct Span {
    decoder: Decoder<Bytes>,
    /// Who sent each, in the order of the decoder.
    from: Vec<PeerId>,
}

/// Shards of a generation between us and a neighbour, counted.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Account {
    /// Independent ones that it holds, as it told last.
    pub(crate) rank: usize,
    /// That we sent to it.
    pub(crate) sent: usize,
    /// That it sent to us, of use or not.
    pub(crate) received: usize,
    /// That it asked us for, since the beginning.
    pub(crate) credit: usize,
    /// That we asked it for, since the beginning.
    pub(crate) granted: usize,
    /// When it last sent one, or had one to send for the first time.
    pub(crate) moved_at: Option<Time>,
    /// It has more to send, and has not for long: it is not counted on.
    pub(crate) is_late: bool,
}

impl Span {
    pub(crate) fn new(shape: Shape) -> Self {
        Self { decoder: Decoder::new(shape), from: Vec::new() }
    }

    pub(crate) fn rank(&self) -> usize {
        self.decoder.rank()
    }

    pub(crate) fn is_innovative(&self, coefficients: &[u8]) -> bool {
        self.decoder.is_innovative(coefficients)
    }

    /// Takes in a shard of the right lengths. True when it raised the rank.
    pub(crate) fn push(&mut self, from: PeerId, coefficients: &[u8], payload: Bytes) -> bool {
        let progress = self.decoder.push(coefficients, payload, None).expect("lengths were checked");
        let is_new = progress != Progress::Dependent;
        if is_new {
            self.from.push(from);
        }
        is_new
    }

    /// Takes in a source piece that was verified.
    pub(crate) fn push_piece(&mut self, piece: u8, payload: Bytes) {
        let progress = self.decoder.push_piece(piece.into(), payload, None).expect("lengths were checked");
        if progress != Progress::Dependent {
            self.from.push(NOBODY);
        }
    }

    /// No longer knows what came from `peer`.
    pub(crate) fn forget(&mut self, peer: PeerId) {
        self.from.iter_mut().filter(|from| **from == peer).for_each(|from| *from = NOBODY);
    }

    /// The sources that did not come as they are, and the job that makes them; `None` before full rank.
    pub(crate) fn missing(&self) -> Option<(Vec<usize>, Product<Bytes>)> {
        self.decoder.missing().ok()
    }

    /// Shard `row` of those held, and who sent it.
    pub(crate) fn row(&self, row: usize) -> Option<(PeerId, &Shard<Bytes>)> {
        Some((*self.from.get(row)?, self.decoder.held().nth(row)?))
    }
}

/// Which piece a shard with these coefficients is, as it stands.
pub(crate) fn source(coefficients: &[u8]) -> Option<u8> {
    let mut others = coefficients.iter().enumerate().filter(|(_, coefficient)| **coefficient != 0);
    match (others.next(), others.next()) {
        (Some((piece, 1)), None) => Some(piece as u8),
        _ => None,
    }
}

impl Pieces {
    /// Independent shards held, sources included.
    pub(crate) fn rank(&self) -> usize {
        self.held.len().max(self.span.as_ref().map_or(0, Span::rank))
    }

    /// A random combination of everything held: at least one shard.
    pub(crate) fn recode(&self, rng: &mut Rng) -> Shard<Bytes> {
        let shape = self.generation.shape;
        let shards: Vec<Shard<Bytes>> = match &self.span {
            Some(span) => span.decoder.held().cloned().collect(),
            None => (0..shape.k()).filter_map(|piece| self.source(piece)).collect(),
        };
        let mut mixing = alloc::vec![0; shards.len()];
        rng.fill(&mut mixing);
        // A zero would leave a shard out: of few, that is the one that matters.
        mixing.iter_mut().for_each(|coefficient| *coefficient = (*coefficient).max(1));
        let recoder = Recoder::new(shape, shards).expect("shards held fit the shape");
        let mut mixed = recoder.recode(&mixing, 1).expect("a coefficient for each shard");
        let Shard { coefficients, payload } = mixed.pop().expect("one was made");
        Shard { coefficients, payload: payload.into() }
    }

    fn source(&self, piece: usize) -> Option<Shard<Bytes>> {
        let mut coefficients = alloc::vec![0; self.generation.shape.k()];
        coefficients[piece] = 1;
        Some(Shard { coefficients, payload: self.pieces[piece].clone()? })
    }
}

impl Transfer {
    /// It is of a closed topic: shards are sent, and, while it is not whole, collected.
    pub(crate) fn close(&mut self) {
        self.is_coded = true;
        for pieces in self.generations.iter_mut().filter(|pieces| !pieces.is_decodable()) {
            pieces.span = Some(Span::new(pieces.generation.shape));
        }
    }

    /// A generation of which `neighbour` is to be sent a shard that it asked for.
    pub(crate) fn asked_shard(&self, neighbour: &Neighbour) -> Option<usize> {
        let is_due = |(account, pieces): (&Account, &Pieces)| {
            pieces.rank() > 0 && account.sent < account.credit && !neighbour.doubts
        };
        neighbour.accounts.iter().zip(&self.generations).position(is_due)
    }

    /// A generation of which `neighbour` is to be sent a shard unasked: while it has its share to come, and we hold
    /// more than what went between us.
    pub(crate) fn unasked_shard(&self, neighbour: &Neighbour) -> Option<usize> {
        if neighbour.is_paused || neighbour.doubts {
            return None;
        }
        let is_due = |(account, pieces): (&Account, &Pieces)| {
            let (rank, k) = (pieces.rank(), pieces.generation.shape.k());
            account.sent < self.share(neighbour.push, k)
                && account.rank < k
                && account.sent + account.received < rank
                && rank * 100 >= k * self.threshold_percent
        };
        neighbour.accounts.iter().zip(&self.generations).position(is_due)
    }

    /// Shards of a generation that went out, to whomever.
    pub(crate) fn shards_sent(&self, generation: usize) -> usize {
        self.neighbours
            .values()
            .filter_map(|neighbour| neighbour.accounts.get(generation))
            .map(|one| one.sent)
            .sum()
    }

    /// How many of K shards a neighbour is sent unasked.
    pub(crate) fn share(&self, push: Push, k: usize) -> usize {
        match push {
            Push::Nothing => 0,
            Push::Lane if self.manifest.len <= LONG => k.div_ceil(2),
            Push::Lane => 2,
            Push::All => k,
        }
    }
}

impl Account {
    /// How many shards the neighbour may have that are new to us: more than what went between us.
    pub(crate) fn able(&self, is_done: bool, ours: usize, k: usize) -> usize {
        let missing = k - ours;
        let theirs = self.rank.saturating_sub(self.sent + self.received);
        if is_done || self.rank == k { missing } else { theirs.min(missing) }
    }
}

/// No key has this id.
const NOBODY: PeerId = PeerId([0; 32]);
/// Of messages to here, half is pushed by each neighbour: `docs/decisions`, "closed topics".
const LONG: usize = 2 * 1024 * 1024;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_source_is_known_by_its_coefficients() {
        assert_eq!(source(&[0, 0, 1]), Some(2));
        assert_eq!(source(&[0, 2, 0]), None);
        assert_eq!(source(&[1, 0, 1]), None);
        assert_eq!(source(&[0, 0]), None);
    }

    #[test]
    fn an_account_tells_what_may_be_new() {
        let account = Account { rank: 10, sent: 3, received: 4, ..Account::default() };
        assert_eq!(account.able(false, 5, 16), 3);
        assert_eq!(account.able(false, 15, 16), 1);
        assert_eq!(account.able(true, 5, 16), 11);
        assert_eq!(Account { sent: 9, ..account }.able(false, 5, 16), 0);
    }
}
