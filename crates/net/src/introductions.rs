//! Peers that others told of: verified, then dialled, few at a time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use braidcast_core::{
    machine::{Duration, Time},
    wire::limits,
};
use bytes::Bytes;
use libp2p::{
    Multiaddr, PeerId,
    core::{PeerRecord, SignedEnvelope},
    identity::Keypair,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use crate::address::{Route, is_loopback, route};

/// Most that wait to be dialled. Guess.
const WAITING: usize = 32;

/// Most dials at once. Guess.
const DIALS: usize = 4;

/// Most addresses of one peer that are tried. Guess.
const ADDRESSES: usize = 8;

/// How long a peer that was dialled is not dialled again.
const REST: Duration = Duration::from_secs(60);

/// Most resting peers remembered. Guess.
const RESTING: usize = 256;

/// Most records whose signature is checked in [`PERIOD`]: a check takes 0.1 ms, and anybody can send records. Guess.
const CHECKS: usize = 64;

/// See [`CHECKS`].
const PERIOD: Duration = Duration::from_secs(10);

/// Who is to be dialled, who is being dialled, and who was dialled of late.
#[derive(Debug, Default)]
pub(crate) struct Introductions {
    waiting: VecDeque<(PeerId, Vec<Multiaddr>)>,
    dialing: BTreeSet<ConnectionId>,
    resting: BTreeMap<PeerId, Time>,
    checks: usize,
    period_ends: Time,
}

impl Introductions {
    /// Takes signed peer records from another node. `wanted` is asked for each peer that proves to be the signer.
    pub(crate) fn offer(&mut self, records: Vec<Bytes>, now: Time, wanted: impl Fn(PeerId) -> bool) {
        self.resting.retain(|_, until| *until > now);
        if self.period_ends <= now {
            self.period_ends = now + PERIOD;
            self.checks = 0;
        }
        for record in records {
            if self.waiting.len() >= WAITING || self.checks >= CHECKS {
                return;
            }
            self.checks += 1;
            let Some((peer, addresses)) = verified(&record) else {
                tracing::debug!("introduction refused: no signed peer record of ours");
                continue;
            };
            let known = self.resting.contains_key(&peer) || self.waiting.iter().any(|(id, _)| *id == peer);
            if !known && !addresses.is_empty() && wanted(peer) {
                self.waiting.push_back((peer, addresses));
            }
        }
    }

    /// The next to dial, if there is room: `room` more peers are wanted. The caller tells how the dial ends.
    pub(crate) fn dial(&mut self, now: Time, room: usize) -> Option<DialOpts> {
        if self.dialing.len() >= DIALS.min(room) {
            return None;
        }
        let (peer, addresses) = self.waiting.pop_front()?;
        if self.resting.len() < RESTING {
            self.resting.insert(peer, now + REST);
        }
        let opts = DialOpts::peer_id(peer)
            .condition(PeerCondition::DisconnectedAndNotDialing)
            .addresses(addresses)
            .build();
        self.dialing.insert(opts.connection_id());
        Some(opts)
    }

    /// A dial has ended, one way or the other.
    pub(crate) fn on_dialled(&mut self, connection: ConnectionId) {
        self.dialing.remove(&connection);
    }
}

/// Our own record, or nothing when we have no address that others could dial.
///
/// External addresses before those of our interfaces; loopback ones only when there are no others.
pub(crate) fn own_record(keypair: &Keypair, addresses: Vec<Multiaddr>) -> Option<Bytes> {
    let public: Vec<_> = addresses.iter().filter(|address| !is_loopback(address)).cloned().collect();
    let mut addresses = if public.is_empty() { addresses } else { public };
    addresses.truncate(ADDRESSES);
    while !addresses.is_empty() {
        let record = PeerRecord::new_interop(keypair, addresses.clone()).ok()?;
        let bytes = record.into_signed_envelope().into_protobuf_encoding();
        if bytes.len() <= limits::RECORD_BYTES {
            return Some(bytes.into());
        }
        addresses.pop();
    }
    None
}

/// The signer and where it says it can be dialled, if the signature holds. The key of the envelope must be the key of
/// the record (RUSTSEC-2022-0009); libp2p checks it, and so does the comparison here.
fn verified(record: &[u8]) -> Option<(PeerId, Vec<Multiaddr>)> {
    if record.len() > limits::RECORD_BYTES {
        return None;
    }
    let envelope = SignedEnvelope::from_protobuf_encoding(record).ok()?;
    let record = PeerRecord::from_signed_envelope_interop(envelope).ok()?;
    let dialable = |address: &&Multiaddr| matches!(route(address), Ok(direct) if direct != Route::Circuit);
    let addresses = record.addresses().iter().filter(dialable).take(ADDRESSES).cloned().collect();
    Some((record.peer_id(), addresses))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const NOW: Time = Time::from_micros(1);

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    fn key(seed: u8) -> Keypair {
        Keypair::ed25519_from_bytes([seed; 32]).expect("a seed")
    }

    fn record(seed: u8) -> Bytes {
        own_record(&key(seed), vec![address("/ip4/192.0.2.1/tcp/1")]).expect("an address")
    }

    #[test]
    fn a_record_leads_to_its_signer_once() {
        let mut introductions = Introductions::default();
        introductions.offer(vec![record(1), record(1)], NOW, |_| true);
        let dial = introductions.dial(NOW, 8).expect("one");
        assert_eq!(dial.get_peer_id(), Some(key(1).public().to_peer_id()));
        assert!(introductions.dial(NOW, 8).is_none());
        introductions.on_dialled(dial.connection_id());
        introductions.offer(vec![record(1)], NOW, |_| true);
        assert!(introductions.dial(NOW, 8).is_none(), "it rests");
        introductions.offer(vec![record(1)], NOW + REST, |_| true);
        assert!(introductions.dial(NOW + REST, 8).is_some());
    }

    #[test]
    fn dials_are_bounded() {
        let mut introductions = Introductions::default();
        introductions.offer((1..=100).map(record).collect(), NOW, |_| true);
        assert_eq!(introductions.waiting.len(), WAITING);
        let dials: Vec<_> = std::iter::from_fn(|| introductions.dial(NOW, 100)).collect();
        assert_eq!(dials.len(), DIALS);
        introductions.on_dialled(dials[0].connection_id());
        assert!(introductions.dial(NOW, 0).is_none(), "no room for more peers");
        assert!(introductions.dial(NOW, 100).is_some());
    }

    #[test]
    fn checks_are_bounded() {
        let mut introductions = Introductions::default();
        introductions.offer(vec![Bytes::new(); CHECKS], NOW, |_| true);
        introductions.offer(vec![record(1)], NOW, |_| true);
        assert!(introductions.dial(NOW, 8).is_none());
        introductions.offer(vec![record(1)], NOW + PERIOD, |_| true);
        assert!(introductions.dial(NOW + PERIOD, 8).is_some());
    }

    #[test]
    fn what_is_not_signed_by_its_subject_is_refused() {
        let mut forged = record(1).to_vec();
        for at in 0..forged.len() {
            forged[at] ^= 1;
            assert!(verified(&forged).is_none(), "bit flipped in byte {at}");
            forged[at] ^= 1;
        }
        assert!(verified(&forged).is_some());
        assert!(verified(&[0; 2000]).is_none());
        assert!(verified(b"").is_none());
    }

    #[test]
    fn loopback_is_told_only_when_there_is_nothing_else() {
        let loopback = address("/ip4/127.0.0.1/tcp/1");
        let public = address("/ip4/192.0.2.1/tcp/1");
        let both = own_record(&key(1), vec![loopback.clone(), public.clone()]).expect("addresses");
        assert_eq!(verified(&both).expect("signed").1, [public]);
        let local = own_record(&key(1), vec![loopback.clone()]).expect("an address");
        assert_eq!(verified(&local).expect("signed").1, [loopback]);
        assert_eq!(own_record(&key(1), Vec::new()), None);
    }

    #[test]
    fn many_long_addresses_still_fit() {
        let name = format!("/dns4/{}.example/tcp/443/wss", "a".repeat(200));
        let record = own_record(&key(1), vec![address(&name); 8]).expect("some of them");
        assert!(record.len() <= limits::RECORD_BYTES);
    }
}
