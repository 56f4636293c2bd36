//! A relay that lets its peers through to each other, and what it refuses.

mod common;

use std::{num::NonZeroU32, time::Duration};

use braidcast_net::{CircuitLimits, Config, Event, Events, Link, Multiaddr, Node, StartError};
use common::{
    address, circuit_address, client, event, first_address, identity, patiently, relay, relay_connected,
};
use futures::StreamExt;
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder,
    identity::Keypair,
    noise, relay as circuit,
    swarm::{ConnectionError, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use libp2p_stream::OpenStreamError;

const CONTROL: StreamProtocol = StreamProtocol::new("/braidcast/1.0.0/control");
const BULK: StreamProtocol = StreamProtocol::new("/braidcast/1.0.0/bulk");

#[tokio::test]
async fn two_that_know_only_the_relay_meet_through_it() {
    let (relay, _relay_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let relays = vec![first_address(&relay).await];
    let (a, mut a_events) = client(2, relays.clone()).await;
    let (b, mut b_events) = client(3, relays).await;
    relay_connected(&mut a_events).await;
    a.dial(circuit_address(&b).await).await.expect("it runs");
    for (events, other) in [(&mut a_events, &b), (&mut b_events, &a)] {
        let id = event(events, "PeerConnected", |event| match event {
            Event::PeerConnected(info) if info.link == Link::Circuit => Some(info.id),
            _ => None,
        });
        assert_eq!(id.await, other.peer_id());
    }
    let stats = relay.circuit_stats();
    assert_eq!((stats.circuits, stats.circuits_closed, stats.circuits_refused), (1, 0, 0));

    // Announced under the address that the relay confirmed.
    let place = circuit_address(&b).await;
    assert!(place.to_string().starts_with(&first_address(&relay).await.to_string()), "{place}");
}

#[tokio::test]
async fn a_place_is_asked_for_again_when_the_relay_comes_back() {
    let (first, _events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let at = first_address(&first).await;
    let (node, mut events) = client(2, vec![at.clone()]).await;
    circuit_address(&node).await;
    first.stop().await;
    event(&mut events, "RelayLost", |event| matches!(event, Event::RelayLost { .. }).then_some(())).await;
    let (second, _events) = relay(1, &format!("/ip4/127.0.0.1/tcp/{}", common::port(&at))).await;
    relay_connected(&mut events).await;
    patiently("a reservation", async {
        while second.circuit_stats().reservations == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    circuit_address(&node).await;
}

#[tokio::test]
async fn bulk_is_refused_over_a_circuit() {
    let (relay, _relay_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let (node, _events) = client(2, vec![first_address(&relay).await]).await;
    let mut caller = Caller::new(3);
    let peer = caller.dial(circuit_address(&node).await).await.expect("a circuit");
    let mut control = caller.swarm.behaviour().streams.new_control();
    let open = async {
        let bulk = control.open_stream(peer, BULK).await;
        assert!(matches!(bulk, Err(OpenStreamError::UnsupportedProtocol(_))), "{bulk:?}");
        control.open_stream(peer, CONTROL).await.expect("to know each other by");
    };
    caller.run_until("streams", open).await;
}

#[tokio::test]
async fn circuits_beyond_a_limit_are_refused() {
    let one = NonZeroU32::MIN;
    let default = CircuitLimits::default();
    for limits in [
        CircuitLimits { circuits: 1, ..default.clone() },
        CircuitLimits { circuits_per_peer: 1, ..default.clone() },
        CircuitLimits { per_peer: one, ..default.clone() },
        // Everybody here has the same address.
        CircuitLimits { per_ip: NonZeroU32::new(2).expect("2 > 0"), ..default },
    ] {
        let (relay, _relay_events) = limited(limits.clone()).await;
        let relays = vec![first_address(&relay).await];
        let (a, _a_events) = client(2, relays.clone()).await;
        let (b, _b_events) = client(3, relays).await;
        let (to_a, to_b) = (circuit_address(&a).await, circuit_address(&b).await);
        let mut caller = Caller::new(4);
        caller.dial(to_a.clone()).await.expect("the first");
        let second = caller.dial(to_b.clone()).await;
        let refused = match second {
            Ok(_) => Caller::new(5).dial(to_a).await,
            refused => refused,
        };
        let error = refused.expect_err("over the limit");
        assert!(
            error.contains("resource limit exceeded") || error.contains("ResourceLimitExceeded"),
            "{limits:?}: {error}"
        );
        assert_eq!(relay.circuit_stats().circuits_refused, 1);
    }
}

#[tokio::test]
async fn a_reservation_beyond_the_limit_is_refused() {
    let (relay, _events) = limited(CircuitLimits { reservations: 1, ..CircuitLimits::default() }).await;
    let through = first_address(&relay).await;
    let (first, _events) = client(2, vec![through.clone()]).await;
    circuit_address(&first).await;
    let mut config = Config::new(identity(3));
    config.listen = vec![address(&format!("{through}/p2p-circuit"))];
    let error = patiently("a refusal", Node::start(config)).await.expect_err("over the limit");
    assert!(matches!(error, StartError::Listen { .. }), "{error}");
    assert_eq!(relay.circuit_stats().reservations_refused, 1);
}

#[tokio::test]
async fn a_circuit_ends_with_its_bytes_or_its_time() {
    for limits in [
        CircuitLimits { circuit_bytes: 2048, ..CircuitLimits::default() },
        CircuitLimits { circuit: Duration::from_secs(1), ..CircuitLimits::default() },
    ] {
        let (relay, _relay_events) = limited(limits).await;
        let (node, _events) = client(2, vec![first_address(&relay).await]).await;
        let mut caller = Caller::new(3);
        let peer = caller.dial(circuit_address(&node).await).await.expect("a circuit");
        patiently("the end", caller.closed(peer)).await;
        assert_eq!(relay.circuit_stats().circuits, 1);
    }
}

async fn limited(circuits: CircuitLimits) -> (Node, Events) {
    let mut config = Config::new(identity(1));
    config.listen = vec![address("/ip4/127.0.0.1/tcp/0")];
    config.serve_relay = true;
    config.circuits = circuits;
    Node::start(config).await.expect("a free port")
}

/// A libp2p node of another make.
struct Caller {
    swarm: Swarm<Behaviour>,
}

#[derive(NetworkBehaviour)]
struct Behaviour {
    circuits: circuit::client::Behaviour,
    streams: libp2p_stream::Behaviour,
    ping: libp2p::ping::Behaviour,
}

impl Caller {
    fn new(number: u8) -> Self {
        let keypair = Keypair::ed25519_from_bytes(identity(number).to_seed()).expect("a seed");
        let ping = libp2p::ping::Config::new().with_interval(Duration::from_millis(10));
        let swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_relay_client(noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_behaviour(|_, circuits| Behaviour {
                circuits,
                streams: libp2p_stream::Behaviour::new(),
                ping: libp2p::ping::Behaviour::new(ping),
            })
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        Self { swarm }
    }

    /// Dials, and answers with the peer, or with the causes of the failure.
    async fn dial(&mut self, address: Multiaddr) -> Result<PeerId, String> {
        let opts = DialOpts::unknown_peer_id().address(address).build();
        let dialled = opts.connection_id();
        self.swarm.dial(opts).expect("an address");
        patiently("a dial", async {
            loop {
                match self.swarm.select_next_some().await {
                    SwarmEvent::ConnectionEstablished { connection_id, peer_id, .. }
                        if connection_id == dialled =>
                    {
                        return Ok(peer_id);
                    }
                    SwarmEvent::OutgoingConnectionError { connection_id, error, .. }
                        if connection_id == dialled =>
                    {
                        return Err(format!("{error:?}"));
                    }
                    _ => {}
                }
            }
        })
        .await
    }

    /// Runs until the connection to `peer` is closed.
    async fn closed(&mut self, peer: PeerId) -> Option<ConnectionError> {
        loop {
            if let SwarmEvent::ConnectionClosed { peer_id, cause, .. } = self.swarm.select_next_some().await
                && peer_id == peer
            {
                return cause;
            }
        }
    }

    async fn run_until(&mut self, what: &str, done: impl Future<Output = ()>) {
        patiently(what, async {
            tokio::select! {
                () = done => {}
                () = async { loop { self.swarm.next().await; } } => {}
            }
        })
        .await;
    }
}
