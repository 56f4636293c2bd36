//! The target, under the same names twice: clock, entropy, tasks, transports. Nothing else in this crate knows where it
//! runs.

use std::time::Duration;

use braidcast_webrtc::Pipe;
use libp2p::{
    PeerId,
    connection_limits::{self, ConnectionLimits},
    identify,
    identity::Keypair,
    ping,
};

use crate::{Config, cork::Cork, yamux::Yamux};

#[cfg(not(target_arch = "wasm32"))]
#[path = "platform/native.rs"]
mod target;
#[cfg(target_arch = "wasm32")]
#[path = "platform/web.rs"]
mod target;

pub(crate) use target::{
    Network, NetworkEvent, Resumed, TIMER_GRAIN, Timer, WORK_BYTES, Yield, check, count, dials, entropy,
    handicap, now, peer_connections, peer_connections_made, quota, spare_peers, spawn, swarm, timer,
    yield_now,
};

/// How long a connection may take, from its first packet until it is encrypted and multiplexed.
const CONNECTING: Duration = Duration::from_secs(20);

/// How long a connection without streams is kept.
const IDLE: Duration = Duration::from_secs(30);

/// Most notices of a connection that wait for the hub, so that the connection need not wait for each, and one more: frames
/// of less than 96 KiB in each are 768 KiB per connection, 48 MiB per node with 64 of them and 768 MiB per relay with 1,024.
/// Guess.
const NOTICES: usize = 7;

/// Most connections to one peer.
const PER_PEER: u32 = 4;

/// Most incoming connections that are not encrypted yet. Guess.
const PENDING_INCOMING: u32 = 128;

/// Most dials at once. Guess.
const PENDING_OUTGOING: u32 = 64;

/// Most streams per connection, relayed circuits included; each may hold a window of 256 KiB. Guess.
const STREAMS: usize = 128;

/// Lends a way to signal to the next dial of a peer.
pub(crate) fn lend(network: &mut Network, peer: PeerId, pipe: Pipe) {
    network.signalling.lend(peer, pipe);
}

/// Hands over a way to signal on which a peer is going to offer.
pub(crate) fn accept(network: &Network, peer: PeerId, pipe: Pipe) {
    network.signalling.accept(peer, pipe);
}

/// As many as the quota allows, which knows which of them to prefer.
fn webrtc_config(config: &Config) -> braidcast_webrtc::Config {
    let connections = quota(config).connections;
    braidcast_webrtc::Config {
        timeout: CONNECTING,
        limits: braidcast_webrtc::Limits { sessions: connections, connections },
        streams: STREAMS,
    }
}

fn limits(config: &Config) -> connection_limits::Behaviour {
    let limit = u32::try_from(config.peer_limit()).unwrap_or(u32::MAX);
    connection_limits::Behaviour::new(
        ConnectionLimits::default()
            .with_max_pending_incoming(Some(PENDING_INCOMING))
            .with_max_pending_outgoing(Some(PENDING_OUTGOING))
            .with_max_established_per_peer(Some(PER_PEER))
            .with_max_established(Some(limit)),
    )
}

fn identify(config: &Config, keypair: &Keypair) -> identify::Behaviour {
    identify::Behaviour::new(
        identify::Config::new("/braidcast/1.0.0".into(), keypair.public())
            .with_agent_version(config.agent.clone())
            .with_push_listen_addr_updates(true)
            // Nobody asks for addresses of others.
            .with_cache_size(0),
    )
}

/// A peer that leaves two pings unanswered is gone: after 20 to 40 seconds. Guess.
fn ping() -> ping::Behaviour {
    let period = Duration::from_secs(10);
    ping::Behaviour::new(ping::Config::new().with_interval(period).with_timeout(period))
}

fn yamux() -> Cork {
    Cork(Yamux::with_streams(STREAMS))
}

fn swarm_config(config: libp2p::swarm::Config) -> libp2p::swarm::Config {
    config
        .with_idle_connection_timeout(IDLE)
        .with_max_negotiating_inbound_streams(32)
        .with_per_connection_event_buffer_size(NOTICES)
}
