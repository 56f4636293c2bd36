//! What is known of each peer's conduct, over all messages and all its connections: what use it was, and what it did
//! wrong.
//!
//! After the idea of gossipsub v1.1's [peer score](https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md#peer-scoring):
//! decaying counters that each node keeps for itself. They are not added up into one number, so that no amount of use
//! buys off a fault.

use alloc::collections::BTreeMap;

use braidcast_machine::{Duration, Offence, Time};
use braidcast_wire::{PeerId, limits};

/// One peer's record. The counters halve every five minutes; one point is forgiven each second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Bytes of the pieces and messages that it was the first to send; each counts as 1 KiB at least.
    pub useful_bytes: u64,
    /// Pieces and small messages that it sent, of use or not.
    pub sent: u32,
    /// Pieces and messages that it said to have, was asked for, and did not send in time.
    pub unserved: u32,
    /// Points of its offences; at [`Offence::BAN`] it is banned.
    pub points: u32,
    /// How often it was banned; never forgiven while it is remembered.
    pub bans: u32,
    /// When the last ban is over.
    pub banned_until: Time,
}

impl Conduct {
    /// It lets requests run out twice as often as it sends anything: asked last, given no lane, and pruned when others
    /// serve.
    pub fn is_suspect(&self) -> bool {
        self.unserved > self.sent.saturating_mul(2).saturating_add(2)
    }

    /// It may be a neighbour, and be introduced to others.
    pub fn is_welcome(&self) -> bool {
        !self.is_suspect() && self.points <= TOLERATED_POINTS
    }

    fn halve(&mut self, times: u32) {
        self.useful_bytes = self.useful_bytes.checked_shr(times).unwrap_or(0);
        self.sent = self.sent.checked_shr(times).unwrap_or(0);
        self.unserved = self.unserved.checked_shr(times).unwrap_or(0);
    }
}

/// The records of all peers, connected or not.
#[derive(Debug, Default)]
pub(crate) struct Scores {
    peers: BTreeMap<PeerId, Conduct>,
    halved_at: Time,
    forgiven_at: Time,
}

impl Scores {
    pub(crate) fn of(&self, peer: PeerId) -> Conduct {
        self.peers.get(&peer).copied().unwrap_or_default()
    }

    pub(crate) fn is_suspect(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_some_and(Conduct::is_suspect)
    }

    pub(crate) fn is_welcome(&self, peer: PeerId) -> bool {
        self.peers.get(&peer).is_none_or(Conduct::is_welcome)
    }

    pub(crate) fn useful_bytes(&self, peer: PeerId) -> u64 {
        self.peers.get(&peer).map_or(0, |conduct| conduct.useful_bytes)
    }

    /// It sent a piece or a small message of `bytes` that we lacked.
    pub(crate) fn on_useful(&mut self, peer: PeerId, bytes: usize) {
        self.on_spare(peer);
        let conduct = self.peers.entry(peer).or_default();
        conduct.useful_bytes = conduct.useful_bytes.saturating_add(bytes.max(LEAST_BYTES) as u64);
    }

    /// It sent a piece or a small message that we had.
    pub(crate) fn on_spare(&mut self, peer: PeerId) {
        let conduct = self.peers.entry(peer).or_default();
        conduct.sent = conduct.sent.saturating_add(1);
    }

    /// It did not send what it was asked for. True when that makes it a suspect.
    pub(crate) fn on_unserved(&mut self, peer: PeerId) -> bool {
        let conduct = self.peers.entry(peer).or_default();
        let was_suspect = conduct.is_suspect();
        conduct.unserved = conduct.unserved.saturating_add(1);
        conduct.is_suspect() && !was_suspect
    }

    pub(crate) fn is_banned(&self, peer: PeerId, now: Time) -> bool {
        self.peers.get(&peer).is_some_and(|conduct| now < conduct.banned_until)
    }

    /// It broke a rule. Until when it is banned, if it is now: twice as long each time.
    pub(crate) fn on_offence(&mut self, peer: PeerId, points: u32, now: Time) -> Option<Time> {
        let conduct = self.peers.entry(peer).or_default();
        conduct.points = conduct.points.saturating_add(points);
        if conduct.points < Offence::BAN || now < conduct.banned_until {
            return None;
        }
        conduct.banned_until = now + BAN.saturating_mul(1 << conduct.bans.min(BAN_DOUBLINGS));
        conduct.bans += 1;
        Some(conduct.banned_until)
    }

    /// Forgives by the time that has passed, and forgets whom nothing is known of and, beyond the limit, those that are
    /// not here: the well-behaved first.
    pub(crate) fn age(&mut self, now: Time, is_here: impl Fn(&PeerId) -> bool) {
        let seconds = periods(&mut self.forgiven_at, now, Duration::from_secs(1));
        let halvings = periods(&mut self.halved_at, now, HALF_LIFE);
        self.peers.retain(|peer, conduct| {
            conduct.points = conduct.points.saturating_sub(seconds);
            conduct.halve(halvings);
            *conduct != Conduct::default() || is_here(peer)
        });
        let mut surplus = self.peers.len().saturating_sub(limits::SCORES);
        for worst in [(0, 0), (0, u32::MAX), (u32::MAX, u32::MAX)] {
            self.peers.retain(|peer, conduct| {
                let badness = (conduct.bans, conduct.points.max(conduct.unserved));
                let is_forgotten = surplus > 0 && badness <= worst && !is_here(peer);
                surplus -= usize::from(is_forgotten);
                !is_forgotten
            });
        }
    }
}

/// How many whole periods have passed since `at`, which moves on by as many.
fn periods(at: &mut Time, now: Time, period: Duration) -> u32 {
    let count = now.since(*at).as_micros() / period.as_micros();
    *at = *at + period.saturating_mul(count);
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// A free-rider stays known for several of these. Guess.
const HALF_LIFE: Duration = Duration::from_secs(300);
/// What a small message is worth. Guess.
const LEAST_BYTES: usize = 1024;
/// Points that cost nobody its place: four minor offences. Guess.
const TOLERATED_POINTS: u32 = 20;
/// How long a peer stays out the first time. Guess.
const BAN: Duration = Duration::from_secs(600);
/// The longest ban is 2^7 times as long: 21 hours. Guess.
const BAN_DOUBLINGS: u32 = 7;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn peer(number: usize) -> PeerId {
        let mut id = [0; 32];
        id[..8].copy_from_slice(&(number as u64).to_le_bytes());
        PeerId(id)
    }

    fn after(seconds: u64) -> Time {
        Time::ZERO + Duration::from_secs(seconds)
    }

    #[test]
    fn silence_is_forgotten_by_halves_and_points_by_seconds() {
        let mut scores = Scores::default();
        let turned = (0..8).filter(|_| scores.on_unserved(peer(0))).count();
        assert_eq!(turned, 1);
        scores.on_offence(peer(0), 30, Time::ZERO);
        assert!(scores.is_suspect(peer(0)));
        scores.age(after(29), |_| false);
        assert_eq!((scores.of(peer(0)).points, scores.of(peer(0)).unserved), (1, 8));
        scores.age(after(300), |_| false);
        assert!(scores.is_suspect(peer(0)), "four are too many");
        scores.age(after(600), |_| false);
        assert!(scores.is_welcome(peer(0)));
        scores.age(after(1_000_000), |_| false);
        assert!(scores.peers.is_empty());
    }

    #[test]
    fn who_sends_something_is_no_suspect() {
        let mut scores = Scores::default();
        assert!((0..4).any(|_| scores.on_unserved(peer(0))));
        scores.on_unserved(peer(0));
        scores.on_spare(peer(0));
        assert!(scores.is_welcome(peer(0)));
        assert_eq!(scores.useful_bytes(peer(0)), 0);
    }

    #[test]
    fn each_ban_is_twice_as_long() {
        let mut scores = Scores::default();
        assert_eq!(scores.on_offence(peer(0), 99, after(0)), None);
        assert_eq!(scores.on_offence(peer(0), 1, after(0)), Some(after(600)));
        assert_eq!(scores.on_offence(peer(0), 100, after(599)), None, "it is banned already");
        assert!(scores.is_banned(peer(0), after(599)) && !scores.is_banned(peer(0), after(600)));
        scores.age(after(10_000), |_| false);
        assert_eq!(scores.on_offence(peer(0), 100, after(10_000)), Some(after(11_200)));
    }

    #[test]
    fn memory_is_bounded_and_the_worst_are_remembered() {
        let mut scores = Scores::default();
        (0..limits::SCORES).for_each(|number| scores.on_spare(peer(number)));
        scores.on_offence(peer(limits::SCORES), 100, Time::ZERO);
        (0..100).for_each(|number| assert!(!scores.on_unserved(peer(limits::SCORES + 1 + number))));
        scores.age(Time::ZERO, |_| false);
        assert_eq!(scores.peers.len(), limits::SCORES);
        assert_eq!(scores.of(peer(limits::SCORES)).bans, 1);
        assert_eq!(scores.of(peer(limits::SCORES + 1)).unserved, 1);
    }
}
