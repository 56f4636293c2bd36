use std::{num::NonZeroU32, time::Duration};

use braidcast_core::{mesh, wire::Identity};
use braidcast_webrtc::IceServer;
use bytes::Bytes;
use libp2p::Multiaddr;

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The key pair; its public half is the node's id.
    pub identity: Identity,
    /// Relays, dialled at the start and again for ever when lost. A `/p2p/<id>` at the end is optional; with it, no
    /// other node is accepted there.
    pub relays: Vec<Multiaddr>,
    /// Addresses of relays that are known to take version 2 of webrtc-direct. In a browser, others are tried with version 1
    /// first.
    pub webrtc_direct_v2: Vec<Multiaddr>,
    /// What [`Node::acquaintances`](crate::Node::acquaintances) gave before: dialled at the start, while they are there. What
    /// is not right is ignored.
    pub acquaintances: Vec<Bytes>,
    /// Where to listen. Native only: in a browser a non-empty list is a [`StartError`](crate::StartError).
    pub listen: Vec<Multiaddr>,
    /// Addresses to announce besides those found by listening: a public name, a mapped port.
    pub external: Vec<Multiaddr>,
    /// Relay circuits for others and introduce newcomers to each other. Native only.
    pub serve_relay: bool,
    /// STUN and TURN servers for direct links; none unless said. A STUN server sees this node's address, a TURN server
    /// also who it talks to.
    pub ice_servers: Vec<IceServer>,
    /// In a browser, most peer connections that are made in an hour, but for those to a relay that was lost: the browser
    /// allows 500 in a page's life, and forgets closed ones when it collects garbage. 400 unless said.
    pub peer_connections_per_hour: usize,
    /// What others may have of this relay.
    pub circuits: CircuitLimits,
    /// Most connections at once; 0 for the default, which is 1,024 when serving as relay and 64 otherwise.
    pub max_peers: usize,
    /// The mesh. With [`serve_relay`](Self::serve_relay), `introduces`, `is_discreet` and `mesh_max` are overruled.
    pub mesh: mesh::Config,
    /// Payload bytes kept for an application that is slow to take its events; beyond it the oldest messages are
    /// dropped and counted.
    pub inbox_bytes: usize,
    /// What this node calls itself towards others (libp2p identify's agent version).
    pub agent: String,
}

impl Config {
    /// Listens nowhere and knows no relay; the other values are safe defaults.
    pub fn new(identity: Identity) -> Self {
        Self {
            identity,
            relays: Vec::new(),
            webrtc_direct_v2: Vec::new(),
            acquaintances: Vec::new(),
            listen: Vec::new(),
            external: Vec::new(),
            serve_relay: false,
            ice_servers: Vec::new(),
            peer_connections_per_hour: 400,
            circuits: CircuitLimits::default(),
            max_peers: 0,
            mesh: mesh::Config::default(),
            inbox_bytes: 64 * 1024 * 1024,
            agent: concat!("braidcast/", env!("CARGO_PKG_VERSION")).into(),
        }
    }

    /// [`max_peers`](Self::max_peers) or its default.
    pub fn peer_limit(&self) -> usize {
        match self.max_peers {
            0 if self.serve_relay => 1024,
            0 => 64,
            limit => limit,
        }
    }
}

/// What a relay grants to those whom it connects with each other
/// ([circuit relay v2](https://github.com/libp2p/specs/blob/master/relay/circuit-v2.md)). A circuit is meant to carry the
/// signalling of a direct connection, a few KiB in a few seconds. More is refused as `RESOURCE_LIMIT_EXCEEDED`; what comes
/// over the bytes or the time ends the circuit.
///
/// libp2p's defaults (16 circuits, 60 an hour to one address) are far below what a few tabs in one office ask for. These are
/// guesses: a thousand tabs behind one address or one proxy, each making 12 links within two minutes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitLimits {
    /// Most peers with a reservation; 0 for as many as are connected.
    pub reservations: usize,
    /// How long a reservation holds unless renewed.
    pub reservation: Duration,
    /// Most circuits at once; each buffers up to 16 KiB.
    pub circuits: usize,
    /// Most circuits at once from one peer.
    pub circuits_per_peer: usize,
    /// Longest time of a circuit.
    pub circuit: Duration,
    /// Most bytes through a circuit, each way.
    pub circuit_bytes: u64,
    /// Reservations, and as many circuits, that a peer may ask for in a minute.
    pub per_peer: NonZeroU32,
    /// The same from one IP address.
    pub per_ip: NonZeroU32,
}

impl CircuitLimits {
    /// The defaults.
    pub const DEFAULT: Self = Self {
        reservations: 0,
        reservation: Duration::from_secs(60 * 60),
        circuits: 2048,
        circuits_per_peer: 16,
        circuit: Duration::from_secs(2 * 60),
        circuit_bytes: 128 * 1024,
        per_peer: NonZeroU32::new(60).expect("60 > 0"),
        per_ip: NonZeroU32::new(6_000).expect("6,000 > 0"),
    };
}

impl Default for CircuitLimits {
    fn default() -> Self {
        Self::DEFAULT
    }
}
