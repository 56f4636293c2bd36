//! The application's word on a message: accept, ignore or reject.
//!
//! A message that fits into its manifest waits for it. One in pieces is spread meanwhile, as its pieces were before it was
//! whole: what lets them pass is the publisher's signature. So a verdict ends the spreading here, and a rejection tells on the
//! publisher, not on the neighbours that passed it on.

use alloc::{collections::BTreeMap, vec::Vec};

use braidcast_machine::{Offence, Time};
use braidcast_wire::{MessageId, PeerId, limits};

use crate::{api::Verdict, mesh::Mesh, trace::Trace, transfer::Transfer};

/// Messages that wait for a verdict.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    awaited: BTreeMap<MessageId, Awaited>,
    bytes: usize,
}

#[derive(Clone, Copy, Debug)]
struct Awaited {
    since: Time,
    until: Time,
    publisher: PeerId,
    /// Of its payload.
    bytes: usize,
    /// The application had its time twice, because we woke late.
    is_excused: bool,
}

impl Pending {
    pub(crate) fn contains(&self, id: MessageId) -> bool {
        self.awaited.contains_key(&id)
    }

    /// See `wake.rs`.
    pub(crate) fn excuse(&mut self, now: Time) {
        for awaited in self.awaited.values_mut().filter(|awaited| !awaited.is_excused) {
            (awaited.until, awaited.is_excused) = (now + awaited.until.since(awaited.since), true);
        }
    }

    fn has_room(&self, publisher: PeerId, bytes: usize) -> bool {
        let own = self.awaited.values().filter(|awaited| awaited.publisher == publisher);
        let (own_len, own_bytes) =
            own.fold((0, 0), |(len, bytes), awaited| (len + 1, awaited.bytes.saturating_add(bytes)));
        let fits = |len, held: usize, share| {
            len == 0 || len < VERDICTS / share && held.saturating_add(bytes) <= VERDICT_BYTES / share
        };
        fits(self.awaited.len(), self.bytes, 1) && fits(own_len, own_bytes, PUBLISHERS)
    }

    fn insert(&mut self, id: MessageId, awaited: Awaited) {
        self.bytes += awaited.bytes;
        self.awaited.insert(id, awaited);
    }

    fn remove(&mut self, id: MessageId) -> Option<Awaited> {
        let awaited = self.awaited.remove(&id)?;
        self.bytes -= awaited.bytes;
        Some(awaited)
    }
}

impl Mesh {
    /// Whether the application could judge a message if it were whole now.
    pub(crate) fn is_judgeable(&self, id: MessageId) -> bool {
        self.transfers.get(&id).is_none_or(|Transfer { manifest, .. }| {
            self.params.of(&manifest.topic).verdict_within.is_none()
                || self.pending.has_room(manifest.publisher, manifest.plain_len)
        })
    }

    /// Refuses a message that the application cannot judge now: it may come again from who tells of it. Nobody is told that
    /// we are done with it, since its publisher counts us as reached by that.
    pub(crate) fn refuse_unjudged(&mut self, id: MessageId, now: Time) {
        let Pending { awaited, bytes } = &self.pending;
        self.outbox.trace(Trace::Unjudged { id, waiting: awaited.len(), waiting_bytes: *bytes });
        self.tell_pause(id, now);
        self.drop_transfer(id);
        self.seen.give_up(id);
    }

    /// Until when the application may judge a message that has come, if it is to.
    pub(crate) fn await_verdict(&mut self, id: MessageId, now: Time) -> Option<Time> {
        let manifest = &self.transfers.get(&id)?.manifest;
        let within = self.params.of(&manifest.topic).verdict_within?;
        let (bytes, publisher) = (manifest.plain_len, manifest.publisher);
        let until = now + within;
        self.pending.insert(id, Awaited { since: now, until, publisher, bytes, is_excused: false });
        Some(until)
    }

    /// Too late, twice, or for a message that nobody asked about, it is nothing.
    pub(crate) fn on_verdict(&mut self, id: MessageId, verdict: Verdict, now: Time) {
        let Some(Awaited { publisher, .. }) = self.pending.remove(id) else { return };
        if verdict == Verdict::Accept {
            self.offer(id);
        } else {
            self.outbox.trace(Trace::Refused { id, verdict });
            self.drop_transfer(id);
        }
        if verdict == Verdict::Reject {
            self.punish(
                publisher,
                Offence { rule: "message that the application rejects", points: REJECTED },
                now,
            );
        }
    }

    /// What was not judged in time is ignored.
    pub(crate) fn expire_verdicts(&mut self, now: Time) {
        let late = self.pending.awaited.iter().filter(|(_, awaited)| awaited.until <= now);
        let late: Vec<MessageId> = late.map(|(&id, _)| id).collect();
        late.into_iter().for_each(|id| self.on_verdict(id, Verdict::Ignore, now));
    }
}

/// Most messages that wait for a verdict; what comes beyond them is refused. Guess.
pub const VERDICTS: usize = 1024;
/// Most payload bytes that wait for a verdict, but for a single message: half of what there may be of messages in memory. Guess.
pub const VERDICT_BYTES: usize = limits::TRANSFER_BYTES / 2;
/// So many publishers share the room at least; a first message of each may take more of its bytes. Guess.
const PUBLISHERS: usize = 4;
/// Four rejected messages within 20 seconds are a ban. Guess.
const REJECTED: u32 = 30;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn awaited(publisher: PeerId, bytes: usize) -> Awaited {
        Awaited { since: Time::default(), until: Time::default(), publisher, bytes, is_excused: false }
    }

    #[test]
    fn bytes_that_wait_are_bounded_but_for_a_single_message() {
        let mut pending = Pending::default();
        let [first, second] = [1, 2].map(|number| MessageId([number; 32]));
        let [alice, bob, carol] = [1, 2, 3].map(|number| PeerId([number; 32]));
        assert!(pending.has_room(alice, 2 * VERDICT_BYTES), "the only one");
        pending.insert(first, awaited(alice, VERDICT_BYTES - 10));
        assert!(pending.has_room(bob, 10) && !pending.has_room(bob, 11));
        pending.insert(second, awaited(bob, 10));
        assert!(!pending.has_room(carol, 1));
        assert!(pending.remove(first).is_some() && pending.remove(first).is_none());
        assert!(pending.has_room(carol, VERDICT_BYTES - 10) && !pending.has_room(carol, VERDICT_BYTES));
    }

    #[test]
    fn one_publisher_takes_a_quarter_of_the_room_but_for_its_first_message() {
        let mut pending = Pending::default();
        let (share, [alice, bob]) = (VERDICT_BYTES / 4, [1, 2].map(|number| PeerId([number; 32])));
        pending.insert(MessageId([1; 32]), awaited(alice, share - 10));
        assert!(pending.has_room(alice, 10) && !pending.has_room(alice, 11));
        assert!(pending.has_room(bob, 2 * share));
        pending.insert(MessageId([2; 32]), awaited(bob, 2 * share));
        assert!(!pending.has_room(bob, 1));
    }
}
