//! Linux, macOS, Windows: tokio, and every transport that libp2p has for them.

use std::{
    future::Future,
    io,
    net::{IpAddr, Ipv6Addr, TcpListener},
    num::NonZeroU32,
    pin::Pin,
    sync::OnceLock,
    task::{Context, Poll},
    time::{Instant, SystemTime},
};

use braidcast_core::machine::{Duration, Now, Time, WallTime};
use braidcast_webrtc::native::{Native, direct};
use futures::io::BufReader;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport, connection_limits,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, timeout::TransportTimeout},
        upgrade::Version,
    },
    dns, identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, quic, relay,
    swarm::{Config as SwarmConfig, NetworkBehaviour, behaviour::toggle::Toggle},
    tcp, websocket,
};

use crate::{
    Config, StartError,
    address::{self, Route},
    behaviour::Behaviour,
    muxer::Hasty,
    quota::{Limits, Made},
    stats::{CircuitCounters, add},
};

/// No timer is set finer than this; tokio's ring at whole milliseconds.
pub(crate) const TIMER_GRAIN: Duration = Duration::from_micros(100);

/// One of tokio's: a thread for timers alone, as `futures-timer` has one, is woken for each.
pub(crate) type Timer = Pin<Box<tokio::time::Sleep>>;

/// How many more peers than the mesh wants are dialled when others introduce them: some will be pruned. Guess.
const SPARE_PEERS: usize = 4;

/// One slice of a long computation, about 4 ms.
pub(crate) const WORK_BYTES: usize = 4 * 1024 * 1024;

/// How much is read of a TCP connection at once: a bulk frame and what comes with it. Noise alone reads 8 KiB.
const READ_BYTES: usize = 32 * 1024;

/// Longest WebSocket message taken from a peer that dialled us; libp2p-websocket takes 256 MiB by default.
const WEB_SOCKET_BYTES: usize = 1024 * 1024;

/// All behaviours, in the order in which they are asked for leave.
#[derive(NetworkBehaviour)]
pub(crate) struct Network {
    limits: connection_limits::Behaviour,
    pub(crate) hub: Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    relay: Toggle<relay::Behaviour>,
    circuits: relay::client::Behaviour,
    pub(super) signalling: braidcast_webrtc::Behaviour,
}

/// Both clocks.
#[expect(clippy::disallowed_methods, reason = "this is where the clocks come in")]
pub(crate) fn now() -> Now {
    static START: OnceLock<Instant> = OnceLock::new();
    let start = *START.get_or_init(Instant::now);
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now {
        time: Time::from_micros(u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)),
        wall: WallTime(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// 32 bytes that nobody can guess.
#[expect(clippy::disallowed_methods, reason = "this is where entropy comes in")]
pub(crate) fn entropy() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::Platform(format!("no entropy: {error}")))?;
    Ok(seed)
}

/// Rings once, after `span`.
pub(crate) fn timer(span: std::time::Duration) -> Timer {
    Box::pin(tokio::time::sleep(span))
}

/// Runs a task until it ends.
pub(crate) fn spawn(task: impl Future<Output = ()> + Send + 'static) {
    tokio::spawn(task);
}

/// Ready at once by default; from [`yield_now`], after others had a turn.
#[derive(Debug, Default)]
pub(crate) struct Yield {
    pending: bool,
}

/// Lets other tasks run.
pub(crate) fn yield_now() -> Yield {
    Yield { pending: true }
}

impl Future for Yield {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if !std::mem::take(&mut self.pending) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// Tells when the network may be back after an interruption: never, here.
#[derive(Debug)]
pub(crate) struct Resumed;

impl Resumed {
    pub(crate) fn new() -> Self {
        Self
    }

    pub(crate) fn poll(&self, _context: &Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Whether this platform can do what is configured.
pub(crate) fn check(config: &Config) -> Result<(), StartError> {
    if tokio::runtime::Handle::try_current().is_err() {
        return Err(StartError::Platform("a node must be started inside a tokio runtime".into()));
    }
    for relay in &config.relays {
        address::route(relay)
            .map_err(|error| StartError::Address { address: relay.clone(), reason: error.to_string() })?;
    }
    check_ports(&config.listen)
}

/// libp2p shares TCP ports (`SO_REUSEPORT`), so a second node on the same port would start without a word and take
/// every other connection. Binds each port without sharing, to see whether it is free.
fn check_ports(listen: &[Multiaddr]) -> Result<(), StartError> {
    let mut bound = Vec::new();
    for address in listen.iter().filter(|address| !address::is_circuit(address)) {
        let mut parts = address.iter();
        let ip = match parts.next() {
            Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
            // Bound alone, [::] would take the port of IPv4 as well.
            Some(Protocol::Ip6(ip)) if ip.is_unspecified() => IpAddr::from(Ipv6Addr::LOCALHOST),
            Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
            _ => continue,
        };
        let Some(Protocol::Tcp(port @ 1..)) = parts.next() else { continue };
        match TcpListener::bind((ip, port)) {
            Ok(listener) => bound.push(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(StartError::Listen { address: address.clone(), reason: error.to_string() });
            }
            // libp2p will meet it as well, or not.
            Err(_) => {}
        }
    }
    Ok(())
}

/// The network, not listening yet.
pub(crate) fn swarm(
    config: &Config,
    keypair: &Keypair,
    hub: Behaviour,
) -> Result<Swarm<Network>, StartError> {
    let local = keypair.public().to_peer_id();
    let (circuit, circuits) = relay::client::new(local);
    let native = Native { servers: config.ice_servers.clone(), loopback: is_local(config) };
    let (signalled, signalling) = braidcast_webrtc::pair(local, native, super::webrtc_config(config));
    let transport =
        transport(keypair, circuit, signalled).map_err(|error| StartError::Platform(error.to_string()))?;
    let network = Network {
        limits: super::limits(config),
        hub,
        identify: super::identify(config, keypair),
        ping: super::ping(),
        relay: config.serve_relay.then(|| relay::Behaviour::new(local, relay_config(config))).into(),
        circuits,
        signalling,
    };
    let settings = super::swarm_config(SwarmConfig::with_tokio_executor()).with_smart_dial();
    let mut swarm = Swarm::new(transport, network, local, settings);
    if !config.serve_relay {
        swarm.listen_on(Protocol::WebRTC.into()).expect("it listens once");
    }
    Ok(swarm)
}

/// Whether the peers that a relay leads to may be on this machine.
fn is_local(config: &Config) -> bool {
    config.relays.iter().any(address::is_loopback)
}

fn relay_config(config: &Config) -> relay::Config {
    let limits = &config.circuits;
    let interval = |per_minute: NonZeroU32| std::time::Duration::from_secs(60) / per_minute.get();
    let reservations = match limits.reservations {
        // One more, because libp2p would refuse renewals when all are taken.
        0 => config.peer_limit() + 1,
        limit => limit,
    };
    relay::Config {
        max_reservations: reservations,
        max_reservations_per_peer: super::PER_PEER as usize,
        reservation_duration: limits.reservation,
        reservation_rate_limiters: Vec::new(),
        max_circuits: limits.circuits,
        // libp2p refuses at one more.
        max_circuits_per_peer: limits.circuits_per_peer.saturating_sub(1),
        max_circuit_duration: limits.circuit,
        max_circuit_bytes: limits.circuit_bytes,
        circuit_src_rate_limiters: Vec::new(),
    }
    .reservation_rate_per_peer(limits.per_peer, interval(limits.per_peer))
    .reservation_rate_per_ip(limits.per_ip, interval(limits.per_ip))
    .circuit_src_per_peer(limits.per_peer, interval(limits.per_peer))
    .circuit_src_per_ip(limits.per_ip, interval(limits.per_ip))
}

/// Whether an address of this kind can be dialled here.
pub(crate) fn dials(_route: &Route) -> bool {
    true
}

/// A node that cannot be dialled makes a peer connection for each.
pub(crate) fn spare_peers(config: &Config) -> usize {
    if config.listen.is_empty() { 0 } else { SPARE_PEERS }
}

/// What keeps this node from direct links to those who cannot be dialled.
pub(crate) fn handicap() -> Option<&'static str> {
    None
}

/// As few links as a page has. Whoever listens takes as many peer connections (webrtc-direct) as connections.
pub(crate) fn quota(config: &Config) -> Limits {
    let links = config.mesh.topic.mesh_target;
    let connections = if config.listen.is_empty() { links + 4 } else { config.peer_limit() };
    Limits { links, connections, made: None }
}

/// Nobody counts them.
pub(crate) fn peer_connections_made() -> Made {
    Made::default()
}

/// How many peer connections a dial of this address makes.
pub(crate) fn peer_connections(address: &Multiaddr) -> usize {
    usize::from(address::peer_connection(address).is_some())
}

/// Counts what the relay grants.
pub(crate) fn count(event: &NetworkEvent, counters: &CircuitCounters) {
    let NetworkEvent::Relay(event) = event else { return };
    tracing::debug!(?event, "relay");
    match event {
        relay::Event::ReservationReqAccepted { renewed: false, .. } => add(&counters.reservations, 1),
        relay::Event::ReservationReqDenied { .. } => add(&counters.reservations_refused, 1),
        relay::Event::CircuitReqAccepted { .. } => add(&counters.circuits, 1),
        relay::Event::CircuitReqDenied { .. } => add(&counters.circuits_refused, 1),
        relay::Event::CircuitClosed { .. } => add(&counters.circuits_closed, 1),
        _ => {}
    }
}

type Connected = (PeerId, StreamMuxerBox);

fn transport(
    keypair: &Keypair,
    circuit: relay::client::Transport,
    signalled: braidcast_webrtc::Transport<Native>,
) -> io::Result<Boxed<Connected>> {
    let noise = noise::Config::new(keypair).map_err(io::Error::other)?;
    let tcp = || tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));

    let mut web_socket = websocket::Config::new(named(tcp())?);
    web_socket.set_max_data_size(WEB_SOCKET_BYTES);
    let web_socket =
        web_socket.upgrade(Version::V1Lazy).authenticate(noise.clone()).multiplex(super::yamux());

    let tcp = tcp()
        .map(|stream, _| BufReader::with_capacity(READ_BYTES, stream))
        .upgrade(Version::V1Lazy)
        .authenticate(noise.clone())
        .multiplex(super::yamux());
    let quic = quic::tokio::Transport::new(quic_config(keypair));
    let direct = direct::Transport::new(direct::Config {
        streams: super::STREAMS,
        ..direct::Config::new(keypair.clone())
    });
    let plain = named(
        quic.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .or_transport(direct.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
            .map(|either, _| either.into_inner())
            .or_transport(tcp.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
            .map(|either, _| either.into_inner()),
    )?;

    let circuit = circuit.upgrade(Version::V1Lazy).authenticate(noise).multiplex(super::yamux());
    // First, because the transport of circuits would take its addresses for its own.
    let all = signalled
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(circuit.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner())
        .or_transport(web_socket.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner())
        .or_transport(plain)
        .map(|either, _| either.into_inner())
        .map(|(peer, muxer), _| (peer, Hasty::boxed(muxer)));
    Ok(TransportTimeout::new(all, super::CONNECTING).boxed())
}

/// Resolves names by what the system is configured to ask. A system without such a configuration (a bare container)
/// can still dial addresses without names.
fn named<T>(inner: T) -> io::Result<dns::tokio::Transport<T>> {
    match dns::tokio::Transport::system(()) {
        Ok(_) => dns::tokio::Transport::system(inner),
        Err(error) => {
            tracing::warn!(%error, "no name can be resolved");
            let (servers, options) = (dns::ResolverConfig::default(), dns::ResolverOpts::default());
            Ok(dns::tokio::Transport::custom(inner, servers, options))
        }
    }
}

/// Windows for 300 Mbit/s at 100 ms, so that a connection holds at most 6 MiB that nobody has read.
fn quic_config(keypair: &Keypair) -> quic::Config {
    let mut config = quic::Config::new(keypair);
    config.handshake_timeout = std::time::Duration::from_secs(10);
    config.max_idle_timeout = 30_000;
    config.keep_alive_interval = std::time::Duration::from_secs(10);
    config.max_concurrent_stream_limit = super::STREAMS as u32;
    config.max_stream_data = 4 * 1024 * 1024;
    config.max_connection_data = 6 * 1024 * 1024;
    config
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_system_without_resolver_has_a_transport_all_the_same() {
        dns::tokio::Transport::custom((), dns::ResolverConfig::default(), dns::ResolverOpts::default());
    }
}
