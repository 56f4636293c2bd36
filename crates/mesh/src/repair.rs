//! What happens when a message stalls, and how it ends.

use alloc::vec::Vec;

use braidcast_machine::{Duration, Time};
use braidcast_wire::{MessageId, PeerId, limits};

use crate::{
    api::{Event, Trace},
    frame::{self, Body},
    mesh::Mesh,
    transfer::Transfer,
};

impl Mesh {
    /// Asks for pieces of messages that have stopped moving, one neighbour after the other; gives up in the end.
    pub(crate) fn repair(&mut self, now: Time) {
        let unfinished = |transfer: &Transfer| transfer.whole_at.is_none() && !transfer.is_decodable();
        let stalled: Vec<MessageId> = self
            .transfers
            .iter()
            .filter(|(_, transfer)| {
                unfinished(transfer) && now.since(transfer.moved_at) >= patience(transfer.repairs)
            })
            .map(|(&id, _)| id)
            .collect();
        for id in stalled {
            if self.transfers[&id].repairs >= REPAIRS {
                self.outbox.event(Event::Trace(Trace::Abandoned));
                self.drop_transfer(id);
                self.seen.forget(id);
            } else {
                self.ask(id);
            }
        }
        let is_left = self.transfers.values().any(unfinished);
        self.repair_at = is_left.then(|| now + REPAIR_PERIOD);
    }

    fn ask(&mut self, id: MessageId) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        let able: Vec<PeerId> = transfer.neighbours.keys().copied().collect();
        let able: Vec<_> =
            able.into_iter().filter_map(|peer| Some((peer, transfer.missing_at(peer)?))).collect();
        let turn = transfer.repairs as usize;
        transfer.repairs += 1;
        if able.is_empty() {
            return;
        }
        let (peer, (generation, pieces)) = able[turn % able.len()];
        self.outbox.event(Event::Trace(Trace::Want { pieces: pieces.len() }));
        self.send(peer, Body::Want(frame::pieces(id, generation, pieces)));
    }

    /// Forgets finished messages: when they have not moved for a while, or when they take too much memory.
    pub(crate) fn evict(&mut self, now: Time) {
        let mut finished: Vec<(Time, MessageId, usize)> = self
            .transfers
            .iter()
            .filter(|(_, transfer)| transfer.whole_at.is_some())
            .map(|(&id, transfer)| (transfer.moved_at, id, transfer.manifest.len))
            .collect();
        finished.sort_unstable();
        let mut bytes: usize = finished.iter().map(|(_, _, len)| len).sum();
        for (moved_at, id, len) in finished {
            if now.since(moved_at) >= KEEP || bytes > limits::TRANSFER_BYTES {
                self.drop_transfer(id);
                bytes -= len;
            }
        }
    }

    pub(crate) fn drop_transfer(&mut self, id: MessageId) {
        self.transfers.remove(&id);
        self.links.values_mut().for_each(|link| link.drop_message(id));
    }
}

/// How long nothing may move before the next request: doubles from 200 ms to 3.2 s. Guess.
fn patience(repairs: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << repairs.min(4))
}

/// How often messages are looked at that may have stalled. Guess.
pub(crate) const REPAIR_PERIOD: Duration = Duration::from_millis(100);
/// Requests without anything new before a message is given up: about 40 s in all. Guess.
const REPAIRS: u32 = 16;
/// How long a finished message is kept after it last moved. Guess.
const KEEP: Duration = Duration::from_secs(10);
