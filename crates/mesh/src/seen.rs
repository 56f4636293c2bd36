//! Which messages were seen of late, and who told of a message before it came.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};

use braidcast_machine::{Duration, Time};
use braidcast_wire::{MessageId, PeerId};

/// Ids that need not be looked at again. Bounded in time and in number; a replay after that is delivered again.
#[derive(Debug, Default)]
pub(crate) struct Seen {
    ids: BTreeSet<MessageId>,
    order: VecDeque<(Time, MessageId)>,
    /// Those of `ids` that never became whole here.
    given_up: BTreeSet<MessageId>,
}

impl Seen {
    /// True when the id is new.
    pub(crate) fn insert(&mut self, id: MessageId, now: Time) -> bool {
        while let Some(&(at, oldest)) = self.order.front() {
            if now.since(at) < SEEN_TTL && self.order.len() < SEEN_MAX {
                break;
            }
            self.order.pop_front();
            self.ids.remove(&oldest);
            self.given_up.remove(&oldest);
        }
        self.given_up.remove(&id);
        let is_new = self.ids.insert(id);
        if is_new {
            self.order.push_back((now, id));
        }
        is_new
    }

    pub(crate) fn contains(&self, id: MessageId) -> bool {
        self.ids.contains(&id)
    }

    /// Nothing came of a message any more. It may come again from whoever offers it as a whole; those that have as little
    /// of it as we had would pass it around for ever.
    pub(crate) fn give_up(&mut self, id: MessageId) {
        if self.ids.contains(&id) {
            self.given_up.insert(id);
        }
    }

    /// True for a message that was given up.
    pub(crate) fn is_given_up(&self, id: MessageId) -> bool {
        self.given_up.contains(&id)
    }
}

/// Peers that are done with messages that we do not know yet, so that they are not sent to them. Oldest go first.
#[derive(Debug, Default)]
pub(crate) struct Rumours {
    done: BTreeMap<MessageId, BTreeSet<PeerId>>,
    order: VecDeque<MessageId>,
}

impl Rumours {
    pub(crate) fn insert(&mut self, id: MessageId, peer: PeerId) {
        let peers = self.done.entry(id).or_insert_with(|| {
            self.order.push_back(id);
            BTreeSet::new()
        });
        peers.insert(peer);
        if self.order.len() > RUMOURS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.done.remove(&oldest);
        }
    }

    /// Who is done with a message that has come now.
    pub(crate) fn take(&mut self, id: MessageId) -> BTreeSet<PeerId> {
        let Some(peers) = self.done.remove(&id) else { return BTreeSet::new() };
        self.order.retain(|&other| other != id);
        peers
    }
}

/// gossipsub v1.1: two minutes.
const SEEN_TTL: Duration = Duration::from_secs(120);
/// About 6 MiB of ids. Guess.
const SEEN_MAX: usize = 65_536;
/// Guess.
const RUMOURS_MAX: usize = 1024;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn id(number: usize) -> MessageId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        MessageId(id)
    }

    #[test]
    fn seen_is_bounded_in_time_and_number() {
        let mut seen = Seen::default();
        assert!(seen.insert(id(0), Time::ZERO));
        assert!(!seen.insert(id(0), Time::ZERO));
        assert!(seen.insert(id(1), Time::ZERO + SEEN_TTL));
        assert!(!seen.contains(id(0)));
        for number in 2..SEEN_MAX + 100 {
            seen.insert(id(number), Time::ZERO + SEEN_TTL);
        }
        assert!(seen.ids.len() <= SEEN_MAX && seen.order.len() <= SEEN_MAX);
    }

    #[test]
    fn rumours_are_bounded_and_taken_once() {
        let mut rumours = Rumours::default();
        for number in 0..RUMOURS_MAX + 10 {
            rumours.insert(id(number), PeerId([1; 32]));
        }
        assert_eq!(rumours.done.len(), RUMOURS_MAX);
        assert!(rumours.take(id(0)).is_empty());
        assert_eq!(rumours.take(id(RUMOURS_MAX)).len(), 1);
        assert!(rumours.take(id(RUMOURS_MAX)).is_empty());
    }
}
