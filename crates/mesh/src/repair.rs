//! What happens when a message stalls, and how it ends.

use alloc::vec::Vec;

use braidcast_machine::{Duration, Time};
use braidcast_wire::{MessageId, limits};

use crate::{mesh::Mesh, trace::Trace, transfer::Transfer};

impl Mesh {
    /// Renews requests that ran out, and gives up what has not moved for long.
    pub(crate) fn repair(&mut self, now: Time) {
        let unfinished = |transfer: &&Transfer| transfer.whole_at.is_none() && !transfer.is_decodable();
        let ids: Vec<MessageId> = self.transfers.values().filter(unfinished).map(Transfer::id).collect();
        for &id in &ids {
            let transfer = &self.transfers[&id];
            let patience = if transfer.is_past() { KEEP } else { PATIENCE };
            if now.since(transfer.moved_at) >= patience {
                self.outbox.trace(Trace::Abandoned { id });
                self.drop_transfer(id);
                self.seen.give_up(id);
            } else {
                self.expire(id, now);
            }
        }
        self.unfinished = ids.len();
        self.repair_at = (!ids.is_empty()).then(|| now + REPAIR_PERIOD);
    }

    /// Forgets finished messages when they have not moved for a while; and whatever moved longest ago, finished ones
    /// first, when all together take too much memory.
    pub(crate) fn evict(&mut self, now: Time) {
        let mut all: Vec<(bool, Time, MessageId, usize)> = self
            .transfers
            .values()
            .map(|transfer| {
                (transfer.whole_at.is_none(), transfer.moved_at, transfer.id(), transfer.held_bytes())
            })
            .collect();
        all.sort_unstable();
        let mut bytes: usize = all.iter().map(|(_, _, _, held)| held).sum();
        for (is_unfinished, moved_at, id, held) in all {
            let is_idle =
                now.since(moved_at) >= KEEP && !self.is_still_ours(id) && !self.pending.contains(id);
            let is_old = !is_unfinished && is_idle;
            if is_old || bytes > limits::TRANSFER_BYTES {
                self.outbox.trace(match is_unfinished {
                    true => Trace::Abandoned { id },
                    false => Trace::Forgotten { id },
                });
                self.drop_transfer(id);
                bytes -= held;
            }
        }
    }

    /// True for a message of our own that no neighbour holds yet and that waits for its turn on a slow link: nobody
    /// else could serve it.
    fn is_still_ours(&self, id: MessageId) -> bool {
        let nobody_has =
            |transfer: &Transfer| transfer.neighbours.values().all(|neighbour| !neighbour.is_done);
        self.transfers.get(&id).is_some_and(|transfer| transfer.is_ours && nobody_has(transfer))
            && self.links.values().any(|link| link.queue.contains(&id) || link.urgent.contains(&id))
    }

    pub(crate) fn drop_transfer(&mut self, id: MessageId) {
        self.settle_all(id);
        self.transfers.remove(&id);
        self.links.values_mut().for_each(|link| link.drop_message(id));
    }
}

/// How often requests are looked at: 25 ms in the simulations of `docs/decisions`.
pub(crate) const REPAIR_PERIOD: Duration = Duration::from_millis(25);
/// Nothing came for this long: the message is given up, until somebody offers the whole of it. Guess.
const PATIENCE: Duration = Duration::from_secs(40);
/// How long a finished message is kept after it last moved, and an unfinished one that others have forgotten. Guess.
const KEEP: Duration = Duration::from_secs(10);
