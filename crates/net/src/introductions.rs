//! Peers that others told of: verified, then dialled, few at a time, and again later when it was in vain.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use braidcast_core::machine::{Duration, Rng, Time};
use bytes::Bytes;
use libp2p::{
    Multiaddr, PeerId,
    multiaddr::Protocol,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use crate::{
    address::{self, Route, route, with_peer},
    path::Obstacle,
    records::verified,
};

/// Most peers remembered. Guess.
const KNOWN: usize = 64;

/// Most dials at once. Guess.
const DIALS: usize = 4;

/// Wait after the first dial of a peer that failed, or that led to a link which did not last; it doubles with each further
/// one in a row.
const FIRST_WAIT: Duration = Duration::from_secs(8);

/// Most addresses of webrtc-direct that are tried before the wait grows: anybody's record may name 8. Guess.
const TURNS: usize = 3;

/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// A link that held so long is no failure.
const SETTLED: Duration = Duration::from_secs(60);

/// Most records whose signature is checked in [`PERIOD`]: a check takes 0.1 ms, and anybody can send records. Guess.
const CHECKS: usize = 64;

/// See [`CHECKS`].
const PERIOD: Duration = Duration::from_secs(10);

/// What to do to reach a peer.
#[derive(Debug)]
pub(crate) enum Attempt {
    Dial(DialOpts),
    /// Signal to it through one of these neighbours.
    Call {
        peer: PeerId,
        carriers: Vec<PeerId>,
    },
}

/// Who may be dialled, and who is being dialled.
#[derive(Debug)]
pub(crate) struct Introductions {
    known: BTreeMap<PeerId, Known>,
    dialing: BTreeMap<ConnectionId, PeerId>,
    calling: BTreeSet<PeerId>,
    /// What this platform can dial.
    dials: fn(&Route) -> bool,
    /// Peer connections are counted: the fewer attempts the better.
    is_frugal: bool,
    rng: Rng,
    checks: usize,
    period_ends: Time,
}

#[derive(Debug)]
struct Known {
    addresses: Vec<Multiaddr>,
    /// The address of webrtc-direct that led to a link.
    good: Option<Multiaddr>,
    /// Dials since the last link.
    turns: usize,
    /// Dials since the last link that lasted.
    failures: u32,
    /// Why the last one failed.
    failure: Option<String>,
    /// Not dialled before.
    rests_until: Time,
    linked_at: Option<Time>,
}

impl Introductions {
    pub(crate) fn new(seed: [u8; 32], dials: fn(&Route) -> bool, is_frugal: bool) -> Self {
        Self {
            known: BTreeMap::new(),
            dialing: BTreeMap::new(),
            calling: BTreeSet::new(),
            dials,
            is_frugal,
            rng: Rng::from_seed(seed),
            checks: 0,
            period_ends: Time::default(),
        }
    }

    /// Takes signed peer records from another node. `wanted` is asked for each peer that proves to be the signer.
    pub(crate) fn offer(&mut self, records: Vec<Bytes>, now: Time, wanted: impl Fn(PeerId) -> bool) {
        if self.period_ends <= now {
            self.period_ends = now + PERIOD;
            self.checks = 0;
        }
        for record in records {
            if self.checks >= CHECKS {
                return;
            }
            self.checks += 1;
            let Some((peer, mut addresses)) = verified(&record) else {
                tracing::debug!("introduction refused: no signed peer record of ours");
                continue;
            };
            addresses.retain(|address| route(address).is_ok_and(|route| (self.dials)(&route)));
            let is_socket =
                |address| matches!(route(address), Ok(Route::Tcp | Route::Quic | Route::WebSocket { .. }));
            if addresses.iter().any(is_socket) {
                // It costs no peer connection.
                addresses.retain(|address| route(address) != Ok(Route::WebRtcDirect));
            }
            if !addresses.is_empty() && wanted(peer) {
                self.remember(peer, addresses, now);
            }
        }
    }

    fn remember(&mut self, peer: PeerId, addresses: Vec<Multiaddr>, now: Time) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.addresses = addresses;
            return;
        }
        if self.known.len() >= KNOWN {
            let is_idle =
                |peer: &PeerId| !self.dialing.values().chain(&self.calling).any(|other| other == peer);
            let idle = self.known.iter().filter(|(peer, known)| known.linked_at.is_none() && is_idle(peer));
            let Some(worst) = idle.max_by_key(|(_, known)| known.failures).map(|(peer, _)| *peer) else {
                return;
            };
            self.known.remove(&worst);
        }
        self.known.insert(peer, Known::new(addresses, now));
    }

    /// The next to dial, if there is room: `room` more peers are wanted, and who is in `linked` is none of them.
    /// `is_relay` tells which relays are connected. The caller tells how the attempt ends.
    pub(crate) fn dial(
        &mut self,
        now: Time,
        room: usize,
        linked: &BTreeSet<PeerId>,
        is_relay: impl Fn(PeerId) -> bool,
    ) -> Option<Attempt> {
        let under_way: BTreeSet<PeerId> = self.dialing.values().chain(&self.calling).copied().collect();
        if under_way.len() >= DIALS.min(room) {
            return None;
        }
        let ready = self.known.iter().filter(|(peer, known)| {
            known.rests_until <= now && !under_way.contains(peer) && !linked.contains(peer)
        });
        let fewest = ready.clone().map(|(_, known)| known.failures).min()?;
        let best = ready.filter(|(_, known)| known.failures == fewest).map(|(peer, _)| *peer);
        let peer = *self.rng.shuffled(best).first()?;
        Some(self.attempt(peer, linked, is_relay))
    }

    /// Ways through relays that are connected come first, then neighbours, then relays that would have to be dialled. After
    /// a failure, neighbours are asked first, every other time.
    fn attempt(
        &mut self,
        peer: PeerId,
        linked: &BTreeSet<PeerId>,
        is_relay: impl Fn(PeerId) -> bool,
    ) -> Attempt {
        let Some(known) = self.known.get(&peer) else { return self.dial_at(peer, Vec::new()) };
        let failures = known.failures as usize;
        let (ways, direct): (Vec<_>, Vec<_>) =
            known.addresses.iter().cloned().partition(|address| route(address) == Ok(Route::WebRtc));
        let (near, far): (Vec<_>, Vec<_>) =
            ways.iter().cloned().partition(|way| address::relay(way).is_some_and(&is_relay));
        let prefers_call = near.is_empty() || failures % 2 == 1;
        if prefers_call && direct.is_empty() && !ways.is_empty() && !linked.is_empty() {
            self.calling.insert(peer);
            return Attempt::Call { peer, carriers: self.rng.shuffled(linked.iter().copied()) };
        }
        // Only one way through a relay at once, and one of webrtc-direct: each costs a peer connection.
        let way = self.rng.shuffled(if near.is_empty() { far } else { near }).into_iter().take(1);
        let free = direct.into_iter().filter(|address| route(address) != Ok(Route::WebRtcDirect));
        self.dial_at(peer, free.chain(known.turn()).chain(way).collect())
    }

    fn dial_at(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) -> Attempt {
        Attempt::Dial(self.options(peer, addresses))
    }

    fn options(&mut self, peer: PeerId, addresses: Vec<Multiaddr>) -> DialOpts {
        // A circuit to it is no reason not to.
        let opts = DialOpts::peer_id(peer).condition(PeerCondition::NotDialing).addresses(addresses).build();
        self.dialing.insert(opts.connection_id(), peer);
        opts
    }

    /// A neighbour has reached the peer: it is to be dialled without further ado.
    pub(crate) fn on_reached(&mut self, peer: PeerId) -> DialOpts {
        self.calling.remove(&peer);
        let address = Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(peer));
        self.options(peer, vec![address])
    }

    /// No neighbour reaches the peer.
    pub(crate) fn on_unreached(&mut self, peer: PeerId, now: Time) {
        self.calling.remove(&peer);
        if let Some(known) = self.known.get_mut(&peer) {
            known.failure = Some("no neighbour leads to it".into());
        }
        self.on_failed(peer, now);
    }

    /// A dial has ended, one way or the other: a connection is not a lasting link yet.
    pub(crate) fn on_dialled(&mut self, connection: ConnectionId, now: Time) {
        let Some(peer) = self.dialing.remove(&connection) else { return };
        self.on_failed(peer, now);
    }

    fn on_failed(&mut self, peer: PeerId, now: Time) {
        if let Some(known) = self.known.get_mut(&peer) {
            known.failures = known.failures.saturating_add(1);
            known.turns += 1;
            known.rest(self.is_frugal, &mut self.rng, now);
        }
    }

    /// A dial has failed.
    pub(crate) fn on_dial_failed(&mut self, connection: ConnectionId, reason: &str, now: Time) {
        let dialled = self.dialing.get(&connection);
        if let Some(known) = dialled.and_then(|peer| self.known.get_mut(peer)) {
            known.failure = Some(reason.into());
        }
        self.on_dialled(connection, now);
    }

    /// Why there is no link to a peer. `room` as in [`dial`](Self::dial).
    pub(crate) fn obstacle(&self, peer: PeerId, room: usize) -> Obstacle {
        let Some(known) = self.known.get(&peer) else { return Obstacle::Unknown };
        match &known.failure {
            _ if self.dialing.values().chain(&self.calling).any(|id| *id == peer) => Obstacle::Dialing,
            Some(failure) => Obstacle::Failed(failure.clone()),
            None if room == 0 => Obstacle::Enough,
            None if known.failures > 0 => Obstacle::Lost,
            None => Obstacle::Waiting,
        }
    }

    /// The link to a peer is up, whoever dialled; `dialled` is the address where we did.
    pub(crate) fn on_link_up(&mut self, peer: PeerId, dialled: Option<&Multiaddr>, now: Time) {
        let Some(known) = self.known.get_mut(&peer) else { return };
        known.linked_at = Some(now);
        known.failure = None;
        known.turns = 0;
        let is_dialled = |address: &&Multiaddr| Some(&with_peer((*address).clone(), peer)) == dialled;
        let good = known.listeners().find(is_dialled).cloned();
        known.good = good.or_else(|| known.good.take());
    }

    /// The link to a peer is gone.
    pub(crate) fn on_link_down(&mut self, peer: PeerId, now: Time) {
        let Some(known) = self.known.get_mut(&peer) else { return };
        if let Some(since) = known.linked_at.take() {
            if now.since(since) >= SETTLED {
                known.failures = 0;
            }
            known.rest(self.is_frugal, &mut self.rng, now);
        }
    }

    /// When somebody has rested.
    pub(crate) fn deadline(&self, now: Time) -> Option<Time> {
        self.known.values().map(|known| known.rests_until).filter(|&until| until > now).min()
    }
}

impl Known {
    fn new(addresses: Vec<Multiaddr>, now: Time) -> Self {
        let (good, failure, linked_at) = (None, None, None);
        Self { addresses, good, turns: 0, failures: 0, failure, rests_until: now, linked_at }
    }

    /// Its addresses of webrtc-direct.
    fn listeners(&self) -> impl Iterator<Item = &Multiaddr> {
        self.addresses.iter().filter(|address| route(address) == Ok(Route::WebRtcDirect))
    }

    /// The address of webrtc-direct to dial: first the one that led there, then, a peer naming its best address first, one
    /// after the other.
    fn turn(&self) -> Option<Multiaddr> {
        let is_good = |address: &&Multiaddr| Some(*address) == self.good.as_ref();
        let others = self.listeners().filter(|address| !is_good(address));
        let all: Vec<_> = self.listeners().filter(is_good).chain(others).collect();
        all.get(self.turns % all.len().max(1)).copied().cloned()
    }

    /// The wait grows with each failure or, where peer connections cost little, when every address has had its turn, of the
    /// first [`TURNS`].
    fn rest(&mut self, is_frugal: bool, rng: &mut Rng, now: Time) {
        let turns = if is_frugal { 1 } else { self.listeners().count().clamp(1, TURNS) as u32 };
        let doubled = (self.failures.saturating_sub(1) / turns).min(16);
        let full = FIRST_WAIT.saturating_mul(1 << doubled).min(LONGEST_WAIT).as_micros();
        self.rests_until = now + Duration::from_micros(full - rng.below(full / 2));
    }
}
