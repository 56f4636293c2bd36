//! The links to the configured relays: dialled at the start, and again for ever.

use braidcast_core::machine::{Duration, Rng, Time};
use libp2p::{
    Multiaddr, PeerId,
    swarm::{
        ConnectionId,
        dial_opts::{DialOpts, PeerCondition},
    },
};

use crate::{Event, address, behaviour::core_id};

/// Wait after the first failure; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// Longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long a node that answers may take to speak our protocol.
const GREETING: Duration = Duration::from_secs(15);

/// A link that held so long has earned a quick first try.
const SETTLED: Duration = Duration::from_secs(30);

const STRANGER: &str = "it answers, but does not speak /braidcast/1.0.0";

/// All of them, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Relays {
    relays: Vec<Relay>,
    rng: Rng,
}

#[derive(Debug)]
struct Relay {
    address: Multiaddr,
    /// Failures in a row.
    failures: u32,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting {
        until: Time,
    },
    Dialing {
        connection: ConnectionId,
    },
    /// It answers; does it speak our protocol?
    Greeting {
        peer: PeerId,
        until: Time,
    },
    Up {
        peer: PeerId,
        since: Time,
    },
}

impl Relays {
    pub(crate) fn new(addresses: Vec<Multiaddr>, seed: [u8; 32], now: Time) -> Self {
        let relay = |address| Relay { address, failures: 0, state: State::Waiting { until: now } };
        Self { relays: addresses.into_iter().map(relay).collect(), rng: Rng::from_seed(seed) }
    }

    /// When [`dial`](Self::dial) has something to do next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let until = |relay: &Relay| match relay.state {
            State::Waiting { until } | State::Greeting { until, .. } => Some(until),
            State::Dialing { .. } | State::Up { .. } => None,
        };
        self.relays.iter().filter_map(until).min()
    }

    /// The relays to be dialled now. The caller tells how each dial ends.
    pub(crate) fn dial(&mut self, now: Time) -> Vec<DialOpts> {
        let mut dials = Vec::new();
        for relay in &mut self.relays {
            if matches!(relay.state, State::Waiting { until } if until <= now) {
                let opts = options(&relay.address);
                relay.state = State::Dialing { connection: opts.connection_id() };
                dials.push(opts);
            }
        }
        dials
    }

    /// Those that answered and then did not speak our protocol.
    pub(crate) fn expire(&mut self, now: Time) -> Vec<Event> {
        let late = |state: &State| matches!(state, State::Greeting { until, .. } if *until <= now);
        self.lose(now, STRANGER, late)
    }

    /// Every wait is over: the network is back.
    pub(crate) fn hurry(&mut self, now: Time) {
        for relay in &mut self.relays {
            if let State::Waiting { until } = &mut relay.state {
                *until = now;
            }
        }
    }

    /// Whether `peer` is one of them and connected.
    pub(crate) fn contains(&self, peer: PeerId) -> bool {
        self.relays.iter().any(|relay| relay.state.peer() == Some(peer))
    }

    /// Where `peer` was dialled, if it is one of them and connected.
    pub(crate) fn address(&self, peer: PeerId) -> Option<&Multiaddr> {
        self.relays.iter().find(|relay| relay.state.peer() == Some(peer)).map(|relay| &relay.address)
    }

    /// A dial has succeeded. `linked` tells that the peer's link is up already, over another connection.
    pub(crate) fn on_established(
        &mut self,
        connection: ConnectionId,
        peer: PeerId,
        linked: bool,
        now: Time,
    ) -> Vec<Event> {
        for relay in &mut self.relays {
            if relay.state == (State::Dialing { connection }) {
                relay.state = State::Greeting { peer, until: now + GREETING };
            }
        }
        if linked { self.on_link_up(peer, now) } else { Vec::new() }
    }

    /// A dial has failed.
    pub(crate) fn on_dial_failed(&mut self, connection: ConnectionId, reason: &str, now: Time) -> Vec<Event> {
        self.lose(now, reason, |state| *state == State::Dialing { connection })
    }

    /// The last connection to `peer` is gone, whether or not the link was ever up.
    pub(crate) fn on_disconnected(&mut self, peer: PeerId, reason: &str, now: Time) -> Vec<Event> {
        self.lose(now, reason, |state| state.peer() == Some(peer))
    }

    /// `peer` has told that it does not speak our protocol.
    pub(crate) fn on_unsupported(&mut self, peer: PeerId, now: Time) -> Vec<Event> {
        self.on_disconnected(peer, STRANGER, now)
    }

    /// `peer` speaks our protocol.
    pub(crate) fn on_link_up(&mut self, peer: PeerId, now: Time) -> Vec<Event> {
        let mut events = Vec::new();
        for relay in &mut self.relays {
            if matches!(relay.state, State::Greeting { peer: greeted, .. } if greeted == peer)
                && let Some(id) = core_id(peer)
            {
                relay.state = State::Up { peer, since: now };
                events.push(Event::RelayConnected { address: relay.address.clone(), id });
            }
        }
        events
    }

    /// The link to `peer` is down, though it may stay connected.
    pub(crate) fn on_link_down(&mut self, peer: PeerId, reason: &str, now: Time) -> Vec<Event> {
        self.lose(now, reason, |state| matches!(state, State::Up { peer: up, .. } if *up == peer))
    }

    /// Puts every relay in such a state on the waiting list.
    fn lose(&mut self, now: Time, reason: &str, lost: impl Fn(&State) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        for relay in &mut self.relays {
            if !lost(&relay.state) {
                continue;
            }
            if matches!(relay.state, State::Up { since, .. } if now.since(since) >= SETTLED) {
                relay.failures = 0;
            }
            let wait = wait(relay.failures, &mut self.rng);
            relay.failures += 1;
            relay.state = State::Waiting { until: now + wait };
            tracing::debug!(address = %relay.address, reason, ?wait, "relay lost");
            events.push(Event::RelayLost {
                address: relay.address.clone(),
                error: reason.into(),
                retry_in_ms: wait.as_millis(),
            });
        }
        events
    }
}

impl State {
    fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Greeting { peer, .. } | Self::Up { peer, .. } => Some(*peer),
            Self::Waiting { .. } | Self::Dialing { .. } => None,
        }
    }
}

fn options(address: &Multiaddr) -> DialOpts {
    match address::peer(address) {
        Some(peer) => {
            DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![address.clone()]).build()
        }
        None => DialOpts::unknown_peer_id().address(address.clone()).build(),
    }
}

/// Doubles with each failure; a quarter of it is chance, so that the tabs of a relay that restarts do not come all at
/// once.
fn wait(failures: u32, rng: &mut Rng) -> Duration {
    let longest = LONGEST_WAIT.as_micros();
    let full = FIRST_WAIT.as_micros().saturating_mul(1 << failures.min(16)).min(longest);
    Duration::from_micros(full - rng.below(full / 4))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const START: Time = Time::from_micros(1);

    fn relays() -> Relays {
        let address = "/ip4/127.0.0.1/tcp/1/ws".parse().expect("an address");
        Relays::new(vec![address], [1; 32], START)
    }

    fn peer() -> PeerId {
        crate::behaviour::net_id(braidcast_core::wire::PeerId([1; 32]))
    }

    fn retry_in_ms(events: &[Event]) -> u64 {
        match events {
            [Event::RelayLost { retry_in_ms, .. }] => *retry_in_ms,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_wait_doubles_up_to_thirty_seconds() {
        let mut relays = relays();
        let mut now = START;
        let mut waits = Vec::new();
        for _ in 0..9 {
            let [dial] = &relays.dial(now)[..] else { panic!("one relay to dial") };
            assert_eq!(relays.deadline(), None);
            waits.push(retry_in_ms(&relays.on_dial_failed(dial.connection_id(), "refused", now)));
            now = relays.deadline().expect("waiting");
        }
        let full = [500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000];
        for (wait, full) in waits.iter().zip(full) {
            assert!(*wait <= full && *wait >= full * 3 / 4, "{waits:?}");
        }
    }

    #[test]
    fn a_link_that_held_is_tried_again_soon() {
        let mut relays = relays();
        let mut now = START;
        for held in [Duration::ZERO, Duration::ZERO, Duration::from_secs(31)] {
            let [dial] = &relays.dial(now)[..] else { panic!("one relay to dial") };
            assert_eq!(relays.on_established(dial.connection_id(), peer(), false, now), []);
            assert_eq!(relays.on_link_up(peer(), now).len(), 1);
            now = now + held;
            let wait = retry_in_ms(&relays.on_link_down(peer(), "closed", now));
            if held > Duration::ZERO {
                assert!(wait <= 500, "{wait}");
            }
            now = relays.deadline().expect("waiting");
        }
    }

    #[test]
    fn who_answers_in_another_protocol_is_lost() {
        let mut relays = relays();
        let dial = relays.dial(START).remove(0);
        relays.on_established(dial.connection_id(), peer(), false, START);
        assert!(relays.contains(peer()));
        assert_eq!(relays.expire(START), []);
        let late = relays.deadline().expect("a greeting has its time");
        assert_eq!(relays.expire(late).len(), 1);
        assert!(!relays.contains(peer()));
    }

    #[test]
    fn a_relay_that_is_linked_already_is_connected_at_once() {
        let mut relays = relays();
        let dial = relays.dial(START).remove(0);
        assert_eq!(relays.on_established(dial.connection_id(), peer(), true, START).len(), 1);
    }

    #[test]
    fn the_network_is_back() {
        let mut relays = relays();
        let dial = relays.dial(START).remove(0);
        relays.on_dial_failed(dial.connection_id(), "offline", START);
        assert_eq!(relays.dial(START).len(), 0);
        relays.hurry(START);
        assert_eq!(relays.dial(START).len(), 1);
    }
}
