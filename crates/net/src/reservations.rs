//! Places at the relays where others can reach us: asked for when a relay is up, and again when lost.

use std::collections::BTreeMap;

use braidcast_core::machine::{Duration, Time};
use libp2p::{Multiaddr, PeerId, core::transport::ListenerId, multiaddr::Protocol};

use crate::address::with_peer;

/// Wait after the first refusal; it doubles with each further one. A relay that is full says so at once.
const FIRST_WAIT: Duration = Duration::from_secs(2);

/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(120);

/// One for each connected relay that offers to let others through.
#[derive(Debug, Default)]
pub(crate) struct Reservations(BTreeMap<PeerId, Reservation>);

#[derive(Debug)]
struct Reservation {
    /// Of the relay, as we dialled it.
    address: Multiaddr,
    state: State,
    refusals: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting {
        until: Time,
    },
    /// Asked for, or granted.
    Held(ListenerId),
}

impl Reservations {
    /// A relay is there, at this address.
    pub(crate) fn on_relay(&mut self, relay: PeerId, address: &Multiaddr, now: Time) {
        self.0.entry(relay).or_insert_with(|| Reservation {
            address: with_peer(address.clone(), relay),
            state: State::Waiting { until: now },
            refusals: 0,
        });
    }

    /// It is gone, and the place with it.
    pub(crate) fn on_disconnected(&mut self, relay: PeerId) {
        self.0.remove(&relay);
    }

    /// The addresses to listen on now. The caller tells with which listener.
    pub(crate) fn due(&self, now: Time) -> Vec<(PeerId, Multiaddr)> {
        let due =
            |reservation: &Reservation| matches!(reservation.state, State::Waiting { until } if until <= now);
        let address = |reservation: &Reservation| reservation.address.clone().with(Protocol::P2pCircuit);
        self.0.iter().filter(|(_, held)| due(held)).map(|(relay, held)| (*relay, address(held))).collect()
    }

    /// The place was asked for.
    pub(crate) fn on_asked(&mut self, relay: PeerId, listener: ListenerId) {
        if let Some(reservation) = self.0.get_mut(&relay) {
            reservation.state = State::Held(listener);
        }
    }

    /// The place was granted.
    pub(crate) fn on_granted(&mut self, relay: PeerId) {
        if let Some(reservation) = self.0.get_mut(&relay) {
            reservation.refusals = 0;
        }
    }

    /// The place was refused or is lost. False for a listener that is none of these.
    pub(crate) fn on_closed(&mut self, listener: ListenerId, now: Time) -> bool {
        let closed = self.0.values_mut().find(|reservation| reservation.state == State::Held(listener));
        let Some(reservation) = closed else { return false };
        let wait = FIRST_WAIT.saturating_mul(1 << reservation.refusals.min(16)).min(LONGEST_WAIT);
        reservation.refusals += 1;
        reservation.state = State::Waiting { until: now + wait };
        true
    }

    /// When [`due`](Self::due) has something next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let until = |reservation: &Reservation| match reservation.state {
            State::Waiting { until } => Some(until),
            State::Held(_) => None,
        };
        self.0.values().filter_map(until).min()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const NOW: Time = Time::from_micros(1);

    #[test]
    fn a_place_is_asked_for_once_and_again_when_lost() {
        let relay = PeerId::random();
        let address: Multiaddr = "/ip4/192.0.2.1/tcp/1".parse().expect("an address");
        let mut reservations = Reservations::default();
        reservations.on_relay(relay, &address, NOW);
        reservations.on_relay(relay, &address, NOW);
        let expected = format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit").parse().expect("an address");
        assert_eq!(reservations.due(NOW), [(relay, expected)]);
        let listener = ListenerId::next();
        reservations.on_asked(relay, listener);
        assert_eq!((reservations.due(NOW), reservations.deadline()), (Vec::new(), None));

        assert!(reservations.on_closed(listener, NOW));
        assert_eq!(reservations.deadline(), Some(NOW + FIRST_WAIT));
        let second = ListenerId::next();
        reservations.on_asked(relay, second);
        assert!(!reservations.on_closed(listener, NOW));
        assert_eq!(reservations.deadline(), None, "the old listener says nothing of the new one");
        assert!(reservations.on_closed(second, NOW));
        assert_eq!(reservations.deadline(), Some(NOW + FIRST_WAIT.saturating_mul(2)));
        reservations.on_granted(relay);
        reservations.on_disconnected(relay);
        assert_eq!(reservations.deadline(), None);
    }
}
