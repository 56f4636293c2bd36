use braidcast_core::{mesh, wire::Identity};
use libp2p::Multiaddr;

/// What a node is told at its start.
#[derive(Clone, Debug)]
pub struct Config {
    /// The key pair; its public half is the node's id.
    pub identity: Identity,
    /// Relays, dialled at the start and again for ever when lost. A `/p2p/<id>` at the end is optional; with it, no
    /// other node is accepted there.
    pub relays: Vec<Multiaddr>,
    /// Where to listen. Native only: in a browser a non-empty list is a [`StartError`](crate::StartError).
    pub listen: Vec<Multiaddr>,
    /// Addresses to announce besides those found by listening: a public name, a mapped port.
    pub external: Vec<Multiaddr>,
    /// Relay circuits for others and introduce newcomers to each other. Native only.
    pub serve_relay: bool,
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
            listen: Vec::new(),
            external: Vec::new(),
            serve_relay: false,
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
