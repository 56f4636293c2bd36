//! Whole swarms within a process: real signalling over real libp2p connections, peer connections in memory.

use std::{collections::BTreeMap, time::Duration};

use futures::{StreamExt, executor::block_on, future::select_all};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{ListenerId, MemoryTransport},
        upgrade::Version,
    },
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{
        Config as SwarmConfig, ConnectionError, DialError, NetworkBehaviour, SwarmEvent,
        dial_opts::{DialOpts, PeerCondition},
    },
    yamux,
};

use super::{Config, Limits, pair};
use crate::{Behaviour, behaviour::innermost, memory::Exchange, protocol::webrtc_peer};

#[derive(NetworkBehaviour)]
struct Network {
    webrtc: Behaviour,
    circuits: relay::client::Behaviour,
    relay: relay::Behaviour,
}

type Event = SwarmEvent<NetworkEvent>;

/// Nodes that know each other by number.
struct World {
    exchange: Exchange,
    config: Config,
    nodes: Vec<Swarm<Network>>,
    /// Of `/webrtc`.
    listeners: BTreeMap<PeerId, ListenerId>,
}

impl World {
    fn new(config: Config, exchange: Exchange) -> Self {
        Self { exchange, config, nodes: Vec::new(), listeners: BTreeMap::new() }
    }

    /// Of two nodes with a connection between them, the smaller id first.
    fn of_two(config: Config, exchange: Exchange) -> Self {
        let mut world = Self::new(config, exchange);
        let (one, two) = (world.add(), world.add());
        world.connect(one, two);
        world.nodes.sort_by_key(|node| *node.local_peer_id());
        world
    }

    /// A new node; it listens in memory.
    fn add(&mut self) -> usize {
        let keypair = Keypair::generate_ed25519();
        let local = keypair.public().to_peer_id();
        let (webrtc, behaviour) = pair(local, self.exchange.clone(), self.config);
        let (circuit, circuits) = relay::client::new(local);
        let noise = noise::Config::new(&keypair).expect("keys work");
        let memory = circuit
            .or_transport(MemoryTransport::default())
            .upgrade(Version::V1Lazy)
            .authenticate(noise)
            .multiplex(yamux::Config::default());
        let transport = webrtc
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .or_transport(memory.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
            .map(|either, _| either.into_inner())
            .boxed();
        let network = Network {
            webrtc: behaviour,
            circuits,
            relay: relay::Behaviour::new(local, relay::Config::default()),
        };
        let settings = SwarmConfig::without_executor().with_idle_connection_timeout(Duration::from_secs(60));
        let mut swarm = Swarm::new(transport, network, local, settings);
        swarm.listen_on("/memory/0".parse().expect("an address")).expect("memory is there");
        let listener = swarm.listen_on(Protocol::WebRTC.into()).expect("it listens once");
        self.listeners.insert(local, listener);
        self.nodes.push(swarm);
        let node = self.nodes.len() - 1;
        self.until(|at, event| (at == node && matches!(event, Event::NewListenAddr { .. })).then_some(()));
        node
    }

    fn id(&self, node: usize) -> PeerId {
        *self.nodes[node].local_peer_id()
    }

    /// Where `node` listens in memory.
    fn address(&self, node: usize) -> Multiaddr {
        self.nodes[node].listeners().next().expect("it listens").clone()
    }

    /// A connection without WebRTC.
    fn connect(&mut self, from: usize, to: usize) {
        let address = self.address(to);
        self.nodes[from].dial(address).expect("it is an address");
        let mut ends = 0;
        self.until(|_, event| {
            ends += usize::from(matches!(event, Event::ConnectionEstablished { .. }));
            (ends == 2).then_some(())
        });
    }

    fn dial(&mut self, from: usize, to: usize) {
        self.dial_address(from, to, webrtc_peer(self.id(to)));
    }

    fn dial_address(&mut self, from: usize, to: usize, address: Multiaddr) {
        let opts =
            DialOpts::peer_id(self.id(to)).addresses(vec![address]).condition(PeerCondition::Always).build();
        self.nodes[from].dial(opts).expect("nothing forbids it");
    }

    /// Runs all nodes until `look` finds something in what happens at one of them.
    fn until<T>(&mut self, mut look: impl FnMut(usize, &Event) -> Option<T>) -> T {
        block_on(async {
            loop {
                let next = self.nodes.iter_mut().map(|node| node.select_next_some());
                let (event, at, _) = select_all(next).await;
                if let Some(found) = look(at, &event) {
                    return found;
                }
            }
        })
    }

    /// Runs until both ends of a WebRTC connection are up.
    fn until_up(&mut self) {
        let mut ends = 0;
        self.until(|_, event| {
            ends += usize::from(is_up(event));
            (ends == 2).then_some(())
        });
    }

    /// Why the dial of `node` fails.
    fn failure(&mut self, node: usize) -> String {
        self.until(|at, event| match event {
            Event::OutgoingConnectionError { error, .. } if at == node => Some(match error {
                DialError::Transport(errors) => errors.iter().map(|(_, error)| innermost(error)).collect(),
                other => other.to_string(),
            }),
            _ => None,
        })
    }

    fn connections(&self) -> Vec<usize> {
        self.nodes.iter().map(|node| node.behaviour().webrtc.connections()).collect()
    }
}

fn is_up(event: &Event) -> bool {
    let is_webrtc = |address: &Multiaddr| address.iter().any(|part| part == Protocol::WebRTC);
    matches!(event, Event::ConnectionEstablished { endpoint, .. } if is_webrtc(endpoint.get_remote_address()))
}

#[test]
fn a_peer_that_is_connected_is_dialled_over_that_connection() {
    let mut world = World::of_two(Config::default(), Exchange::default());
    world.dial(0, 1);
    let dialler = webrtc_peer(world.id(0));
    let mut ends = 0;
    world.until(|at, event| {
        if let Event::ConnectionEstablished { endpoint, .. } = event
            && is_up(event)
        {
            ends += 1;
            assert_eq!(endpoint.is_dialer(), at == 0);
            assert!(at == 0 || *endpoint.get_remote_address() == dialler);
        }
        (ends == 2).then_some(())
    });
    assert_eq!(world.connections(), [1, 1]);
}

#[test]
fn a_stranger_is_dialled_through_its_relay() {
    let mut world = World::new(Config::default(), Exchange::default());
    let (relay, dialler, listener) = (world.add(), world.add(), world.add());
    let address = world.address(relay);
    world.nodes[relay].add_external_address(address.clone());
    let circuit = address.with(Protocol::P2p(world.id(relay))).with(Protocol::P2pCircuit);
    world.nodes[listener].listen_on(circuit).expect("it is an address");
    let address = world.until(|at, event| match event {
        Event::NewListenAddr { address, .. }
            if at == listener && address.iter().any(|p| p == Protocol::WebRTC) =>
        {
            Some(address.clone())
        }
        _ => None,
    });
    assert!(
        address.to_string().ends_with(&format!("/p2p-circuit/webrtc/p2p/{}", world.id(listener))),
        "{address}"
    );
    let theirs =
        address.clone().replace(address.iter().count() - 1, |_| Some(Protocol::P2p(world.id(dialler))));
    world.dial_address(dialler, listener, address);
    let mut remotes = [None, None, None];
    world.until(|at, event| {
        if let Event::ConnectionEstablished { endpoint, .. } = event
            && is_up(event)
        {
            remotes[at] = Some(endpoint.get_remote_address().clone());
        }
        (remotes[dialler].is_some() && remotes[listener].is_some()).then_some(())
    });
    assert_eq!(remotes[listener], theirs, "as the listener would dial the dialler");
    assert_eq!(world.connections(), [0, 1, 1]);
}

#[test]
fn of_two_dials_at_once_one_goes_on() {
    let mut world = World::of_two(Config::default(), Exchange::default());
    world.dial(0, 1);
    world.dial(1, 0);
    let (mut ups, mut crossed) = (Vec::new(), 0);
    world.until(|at, event| {
        match event {
            Event::ConnectionEstablished { endpoint, .. } if is_up(event) => {
                ups.push((at, endpoint.is_dialer()));
            }
            Event::OutgoingConnectionError { .. } => crossed += 1,
            _ => {}
        }
        (ups.len() == 2 && crossed == 1).then_some(())
    });
    ups.sort_unstable();
    // Either the offer of the smaller id held, or that of the larger came before it had offered.
    assert_eq!(ups[0].1, !ups[1].1, "{ups:?}");
    assert_eq!(world.connections(), [1, 1]);
}

#[test]
fn who_does_not_listen_refuses() {
    let mut world = World::of_two(Config::default(), Exchange::default());
    let listener = world.listeners[&world.id(1)];
    assert!(world.nodes[1].remove_listener(listener));
    world.dial(0, 1);
    let reason = world.failure(0);
    assert!(reason.contains("signalling broke") || reason.contains("ended the signalling"), "{reason}");
}

#[test]
fn a_connection_that_does_not_come_up_is_given_up() {
    let config = Config { timeout: Duration::from_millis(50), ..Config::default() };
    let mut world = World::of_two(config, Exchange::broken());
    world.dial(0, 1);
    let reason = world.failure(0);
    assert!(reason.contains("no connection after 50ms"), "{reason}");
    assert_eq!(world.connections()[0], 0);
}

#[test]
fn who_is_not_connected_needs_an_address() {
    let mut world = World::new(Config::default(), Exchange::default());
    let (one, two) = (world.add(), world.add());
    world.dial(one, two);
    let reason = world.failure(one);
    assert!(reason.contains("no connection to the peer over which to signal"), "{reason}");
}

#[test]
fn there_are_no_more_connections_than_the_limit() {
    let config = Config { limits: Limits { sessions: 8, connections: 1 }, ..Config::default() };
    let mut world = World::of_two(config, Exchange::default());
    world.dial(0, 1);
    world.until_up();
    world.dial(0, 1);
    let reason = world.failure(0);
    assert!(reason.contains("which is the limit"), "{reason}");
}

#[test]
fn the_end_of_a_connection_is_told_and_frees_its_place() {
    let mut world = World::of_two(Config::default(), Exchange::default());
    world.dial(0, 1);
    let connection = world.until(|at, event| match event {
        Event::ConnectionEstablished { connection_id, .. } if at == 0 && is_up(event) => Some(*connection_id),
        _ => None,
    });
    world.nodes[0].close_connection(connection);
    world.until(|at, event| match event {
        Event::ConnectionClosed { cause, .. } if at == 1 => {
            assert!(matches!(cause, Some(ConnectionError::IO(_))), "{cause:?}");
            Some(())
        }
        _ => None,
    });
    assert_eq!(world.connections(), [0, 0]);
}
