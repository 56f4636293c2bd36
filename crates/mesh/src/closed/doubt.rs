//! When shards do not make what was signed.
//!
//! One wrong shard is in everything that is mixed with it, by members who know nothing of it. So its message goes on as in
//! an open topic, in pieces that verify one by one; and whoever finds out says so (`Doubt`) to all neighbours, which stop
//! mixing at once and say so in turn. Once the message is whole, the shards kept are compared with what they should be. A
//! member that sent a wrong one and did not doubt is at fault: if it could decode, it knew; and if it could not, it was
//! told. A member that doubted may have been misled, and is not blamed.

use alloc::{
    collections::{BTreeSet, VecDeque},
    vec::Vec,
};

use braidcast_machine::{Duration, Offence, Time};
use braidcast_rlnc::Encoder;
use braidcast_wire::{MessageId, PeerId};

use super::span::Span;
use crate::{
    announce::BATCH,
    frame::{self, Body},
    mesh::Mesh,
    params::Mode,
    repair::REPAIR_PERIOD,
    trace::Trace,
    transfer::Transfer,
};

/// Compares doubtful shards with what they should be, one at a time.
#[derive(Debug)]
pub(crate) struct Compare {
    pub(crate) id: MessageId,
    row: usize,
}

impl Mesh {
    /// Shards of the message are not to be trusted: the rest comes in pieces.
    pub(crate) fn doubt(&mut self, id: MessageId, now: Time) {
        if self.transfers.get(&id).is_none_or(|transfer| !transfer.is_coded) {
            return;
        }
        self.settle_all(id);
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        transfer.is_coded = false;
        transfer.doubted = transfer.generations.iter_mut().map(|pieces| pieces.span.take()).collect();
        transfer.moved_at = now;
        self.decodes.retain(|decode| decode.id != id);
        self.outbox.trace(Trace::Doubted { id });
        let doubt = frame::Ids { ids: frame::pack([id]) };
        for &peer in transfer.neighbours.keys() {
            let Some(link) = self.links.get_mut(&peer) else { continue };
            // From now on it is told of pieces; what waits to be told is of shards.
            link.news.forget(id);
            for (generation, pieces) in transfer.generations.iter().enumerate() {
                if !pieces.held.is_empty() {
                    link.news.have.insert((id, generation), pieces.held);
                }
            }
            self.outbox.send(peer, Body::Doubt(doubt.clone()).into());
        }
        self.flush_at.get_or_insert(now + BATCH);
        self.repair_at.get_or_insert(now + REPAIR_PERIOD);
        self.request(id, now);
        self.offer(id);
    }

    pub(crate) fn on_doubt(&mut self, peer: PeerId, frame: &frame::Ids, now: Time) -> Result<(), Offence> {
        let ids = frame::unpack(&frame.ids).ok_or(Offence::fatal("list of ids is odd or too long"))?;
        for id in ids {
            self.admits(peer, id)?;
            let Some(transfer) = self.transfers.get_mut(&id) else { continue };
            if self.params.of(&transfer.manifest.topic).mode == Mode::Open {
                return Err(Offence::minor("doubt in an open topic"));
            }
            let (is_whole, neighbour) = (transfer.whole_at.is_some(), transfer.neighbour(peer));
            (neighbour.doubts, neighbour.is_done) = (true, false);
            if let Some(link) = self.links.get_mut(&peer) {
                link.shard_out.take_if(|shard| shard.message == id);
            }
            if is_whole {
                self.tell_done(peer, id, now);
                self.enqueue(peer, id);
            } else {
                self.doubt(id, now);
            }
        }
        Ok(())
    }

    pub(crate) fn on_compare(&mut self, mut compare: Compare, budget: &mut usize) {
        let Some(transfer) = self.transfers.get_mut(&compare.id) else { return };
        while *budget > 0 {
            if !compare.step(transfer, budget) {
                return;
            }
        }
        self.compares.push_front(compare);
    }

    /// Bans those that were found out and had time to say that they doubt, too: something came from them after it. Over a
    /// link that is cut, their doubt does not come either.
    pub(crate) fn convict(&mut self, now: Time) {
        let mut guilty = Vec::new();
        for transfer in self.transfers.values_mut() {
            let Some(until) = transfer.whole_at.map(|at| at + PATIENCE) else { continue };
            let is_due = |peer: &PeerId| self.links.get(peer).is_some_and(|link| link.heard_at >= until);
            let due: Vec<PeerId> = transfer.accused.extract_if(.., is_due).collect();
            let is_sure = |peer: &PeerId| transfer.neighbours.get(peer).is_some_and(|n| !n.doubts);
            guilty.extend(due.into_iter().filter(is_sure));
        }
        for peer in guilty {
            self.outbox.trace(Trace::CorruptPiece { from: peer });
            self.punish(peer, Offence::fatal("shards are not made of what the publisher signed"), now);
        }
    }
}

impl Compare {
    pub(crate) fn new(id: MessageId) -> Self {
        Self { id, row: 0 }
    }

    /// Compares the next shard of the last generation that has any; false when none is left.
    fn step(&mut self, transfer: &mut Transfer, budget: &mut usize) -> bool {
        let Some(generation) = transfer.doubted.len().checked_sub(1) else { return false };
        let pieces = &transfer.generations[generation];
        let row = transfer.doubted[generation].as_ref().and_then(|span| span.row(self.row));
        let Some((from, shard)) = row else {
            transfer.doubted.pop();
            self.row = 0;
            return true;
        };
        self.row += 1;
        let shape = pieces.generation.shape;
        let sources = pieces.pieces[..shape.k()].iter().flatten().collect();
        let encoder = Encoder::new(shape, sources).expect("a whole message has all its sources");
        let mut right = alloc::vec![0; shape.piece_len()];
        encoder.shards(&shard.coefficients, &mut [&mut right]).expect("lengths were checked");
        *budget = budget.saturating_sub(shape.sources_len());
        if shard.payload != right {
            transfer.accused.insert(from);
        }
        true
    }
}

/// Shards kept to be compared.
pub(crate) type Doubted = Vec<Option<Span>>;
/// Who sent wrong ones.
pub(crate) type Accused = BTreeSet<PeerId>;
/// Messages to be compared, in order.
pub(crate) type Compares = VecDeque<Compare>;

/// How long a neighbour has to say that it doubts. Guess: it is told at once, and says so at once.
const PATIENCE: Duration = Duration::from_secs(3);
