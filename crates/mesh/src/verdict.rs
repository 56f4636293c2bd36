//! The application's word on a message: accept, ignore or reject.
//!
//! A message that fits into its manifest waits for it. One in pieces is spread meanwhile, as its pieces were before it was
//! whole: what lets them pass is the publisher's signature. So a verdict ends the spreading here, and a rejection tells on the
//! publisher, not on the neighbours that passed it on.

use alloc::{collections::BTreeMap, vec::Vec};

use braidcast_machine::{Offence, Time};
use braidcast_wire::{MessageId, PeerId};

use crate::{api::Verdict, mesh::Mesh, trace::Trace};

/// Messages that wait for a verdict.
#[derive(Debug, Default)]
pub(crate) struct Pending(BTreeMap<MessageId, Awaited>);

#[derive(Clone, Copy, Debug)]
struct Awaited {
    since: Time,
    until: Time,
    publisher: PeerId,
    /// The application had its time twice, because we woke late.
    is_excused: bool,
}

impl Pending {
    pub(crate) fn contains(&self, id: MessageId) -> bool {
        self.0.contains_key(&id)
    }

    /// See `wake.rs`.
    pub(crate) fn excuse(&mut self, now: Time) {
        for awaited in self.0.values_mut().filter(|awaited| !awaited.is_excused) {
            (awaited.until, awaited.is_excused) = (now + awaited.until.since(awaited.since), true);
        }
    }
}

impl Mesh {
    /// Until when the application may judge a message that has come, if it is to.
    pub(crate) fn await_verdict(&mut self, id: MessageId, now: Time) -> Option<Time> {
        let manifest = &self.transfers.get(&id)?.manifest;
        let until = now + self.params.of(&manifest.topic).verdict_within?;
        if self.pending.0.len() >= PENDING_MAX
            && let Some(oldest) = self.pending.0.iter().min_by_key(|(_, awaited)| awaited.until)
        {
            self.on_verdict(*oldest.0, Verdict::Ignore, now);
        }
        let publisher = self.transfers.get(&id)?.manifest.publisher;
        self.pending.0.insert(id, Awaited { since: now, until, publisher, is_excused: false });
        Some(until)
    }

    /// Too late, twice, or for a message that nobody asked about, it is nothing.
    pub(crate) fn on_verdict(&mut self, id: MessageId, verdict: Verdict, now: Time) {
        let Some(Awaited { publisher, .. }) = self.pending.0.remove(&id) else { return };
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
        let late = self.pending.0.iter().filter(|(_, awaited)| awaited.until <= now);
        let late: Vec<MessageId> = late.map(|(&id, _)| id).collect();
        late.into_iter().for_each(|id| self.on_verdict(id, Verdict::Ignore, now));
    }
}

/// Beyond this, the oldest is ignored. Guess.
const PENDING_MAX: usize = 1024;
/// Four rejected messages within 20 seconds are a ban. Guess.
const REJECTED: u32 = 30;
