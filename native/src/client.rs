//! How `subscribe` and `publish` join: by multiaddr, or by a relay's web address, which tells its multiaddrs.

use std::{fmt, net::IpAddr, path::PathBuf, str::FromStr, time::Duration};

use anyhow::Context as _;
use axum::http::Uri;
use braidcast_net::{Config, Events, IceServer, Multiaddr, Node, PeerId, wire::limits};
use futures::future::join_all;
use multiaddr::Protocol;
use tokio::net::TcpStream;

use crate::{
    cli::message_bytes,
    failure::Failure,
    identity,
    relay::well_known::{self, WellKnown},
    sanitise,
};

/// For a relay's web server to answer.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// For one of its addresses to take a connection.
const PROBE_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest document that is read, in bytes.
const DOCUMENT_BYTES: u64 = 64 * 1024;

/// Most addresses of one relay that are looked at.
const ADDRESSES: usize = 16;

/// Through whom, and as whom.
#[derive(Debug, clap::Args)]
pub(crate) struct Join {
    /// A relay: its web address or its multiaddr; more than one is allowed
    #[arg(
        long = "relay",
        value_name = "ADDRESS",
        env = "BRAIDCAST_RELAY",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:8080"
    )]
    relays: Vec<Address>,
    /// Identity file, see `braidcast keygen` [default: a new identity each time]
    #[arg(long, value_name = "FILE", env = "BRAIDCAST_IDENTITY")]
    identity: Option<PathBuf>,
    /// A STUN server, to be asked for the address under which others see this machine; more than one is allowed
    #[arg(long, value_name = "URL", env = "BRAIDCAST_STUN", value_delimiter = ',', value_parser = stun)]
    stun: Vec<String>,
    /// Longest message, in bytes
    #[arg(long, value_name = "BYTES", env = "BRAIDCAST_MAX_MESSAGE_BYTES", default_value_t = limits::MESSAGE_BYTES,
        value_parser = message_bytes)]
    pub(crate) max_message_bytes: usize,
}

/// Where a relay is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Address {
    /// To be dialled.
    Peer(Multiaddr),
    /// To be asked, `http://host:port` or `https://host`.
    Web(String),
}

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("http://") || text.starts_with("https://") {
            let url = text.trim_end_matches('/').trim_end_matches(well_known::PATH);
            let has_host =
                url.parse::<Uri>().is_ok_and(|uri| uri.scheme().is_some() && uri.host() != Some(""));
            return match has_host {
                true => Ok(Self::Web(url.to_owned())),
                false => Err("expected a web address like http://127.0.0.1:8080".into()),
            };
        }
        peer_address(text).map(Self::Peer).map_err(|error| {
            format!("{error}; expected http://127.0.0.1:8080 or /ip4/127.0.0.1/tcp/4040/p2p/12D3KooW...")
        })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Peer(address) => address.fmt(f),
            Self::Web(url) => url.fmt(f),
        }
    }
}

impl Join {
    /// The relays as given, for people.
    pub(crate) fn names(&self) -> String {
        self.relays.iter().map(Address::to_string).collect::<Vec<_>>().join(", ")
    }

    /// Starts a node that dials the relays. A web address is asked now, once; a node that is up dials for ever.
    pub(crate) async fn start(&self) -> anyhow::Result<(Node, Events)> {
        let mut config = Config::new(match &self.identity {
            Some(path) => identity::load(path)?,
            None => identity::ephemeral()?,
        });
        config.mesh.message_bytes = self.max_message_bytes;
        config.inbox_bytes = config.inbox_bytes.max(self.max_message_bytes);
        config.relays = self.resolve().await?;
        if !self.stun.is_empty() {
            config.ice_servers =
                vec![IceServer { urls: self.stun.clone(), username: None, credential: None }];
        }
        Node::start(config).await.context("check --relay")
    }

    /// One multiaddr per relay. Fails when there is none at all.
    async fn resolve(&self) -> Result<Vec<Multiaddr>, Failure> {
        let (mut found, mut reasons) = (Vec::new(), Vec::new());
        for (address, outcome) in self.relays.iter().zip(join_all(self.relays.iter().map(resolve)).await) {
            match outcome {
                Ok(multiaddr) => found.push(multiaddr),
                Err(error) => {
                    tracing::warn!(relay = %address, error = %sanitise::line(&format!("{error:#}")), "skipped");
                    reasons.push(format!("{error:#}"));
                }
            }
        }
        if found.is_empty() {
            return Err(Failure::Unreachable { relays: self.names(), reason: reasons.join("; ") });
        }
        Ok(found)
    }
}

async fn resolve(address: &Address) -> anyhow::Result<Multiaddr> {
    let url = match address {
        Address::Peer(address) => return Ok(address.clone()),
        Address::Web(url) => url.clone(),
    };
    let host = host(&url);
    let document = tokio::task::spawn_blocking(move || fetch(&url)).await??;
    let candidates = candidates(&document, &host)?;
    for candidate in &candidates {
        if takes_connections(candidate).await {
            return Ok(candidate.clone());
        }
    }
    // QUIC shows only when dialled, and a relay that is down now may be back in a second.
    let quic = candidates.iter().find(|address| address.iter().any(|part| part == Protocol::QuicV1));
    quic.or(candidates.first()).cloned().context("it announces no address that can be dialled from here")
}

/// Asks a relay's web server. Blocks.
fn fetch(url: &str) -> anyhow::Result<WellKnown> {
    let config = ureq::Agent::config_builder()
        .timeout_global(Some(HTTP_TIMEOUT))
        .max_redirects(3)
        .user_agent(concat!("braidcast/", env!("CARGO_PKG_VERSION")));
    // A proxy cannot reach our loopback.
    let config = if is_local_name(&host(url)) { config.proxy(None) } else { config };
    let mut response = config.build().new_agent().get(format!("{url}{}", well_known::PATH)).call()?;
    let body = response.body_mut().with_config().limit(DOCUMENT_BYTES).read_to_vec()?;
    serde_json::from_slice(&body).context("it answers, but not as a Braidcast relay")
}

/// The addresses worth dialling, best first: those of the host that was asked before others, TCP before QUIC before
/// WebSocket. Loopback only when loopback was asked. Each names the relay's id, so that nobody else is talked to.
fn candidates(document: &WellKnown, host: &str) -> anyhow::Result<Vec<Multiaddr>> {
    let peer: PeerId = document.peer_id.parse().context("the relay's document has a bad peer id")?;
    let suffix = format!("/p2p/{peer}");
    let mut ranked: Vec<_> = document
        .addresses
        .iter()
        .take(ADDRESSES)
        .filter(|address| address.to_string().ends_with(&suffix))
        .filter(|address| is_local_name(host) || !is_loopback(address))
        .filter_map(|address| Some(((host_of(address)? != host, transport_rank(address)?), address.clone())))
        .collect();
    ranked.sort_by_key(|(rank, _)| *rank);
    Ok(ranked.into_iter().map(|(_, address)| address).collect())
}

async fn takes_connections(address: &Multiaddr) -> bool {
    let (Some(host), Some(port)) = (host_of(address), tcp_port(address)) else { return false };
    matches!(tokio::time::timeout(PROBE_TIMEOUT, TcpStream::connect((host, port))).await, Ok(Ok(_)))
}

/// A multiaddr that is not empty.
pub(crate) fn peer_address(text: &str) -> Result<Multiaddr, String> {
    match text.parse::<Multiaddr>() {
        Ok(address) if address.is_empty() => Err("the address is empty".into()),
        Ok(address) => Ok(address),
        Err(error) => Err(error.to_string()),
    }
}

/// `stun:host` or `stun:host:port`.
fn stun(text: &str) -> Result<String, &'static str> {
    match text.strip_prefix("stun:") {
        Some(server) if !server.is_empty() => Ok(text.to_owned()),
        _ => Err("expected stun:HOST or stun:HOST:PORT"),
    }
}

/// A place to listen: an IP address, then TCP, QUIC, or TCP with WebSocket.
pub(crate) fn listen_address(text: &str) -> Result<Multiaddr, String> {
    let address = peer_address(text)?;
    let parts: Vec<_> = address.iter().collect();
    match parts.as_slice() {
        [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_)]
        | [
            Protocol::Ip4(_) | Protocol::Ip6(_),
            Protocol::Udp(_),
            Protocol::QuicV1 | Protocol::WebRTCDirect,
        ]
        | [Protocol::Ip4(_) | Protocol::Ip6(_), Protocol::Tcp(_), Protocol::Ws(_)] => Ok(address),
        _ => Err("expected /ip4/ADDRESS/tcp/PORT, .../tcp/PORT/ws, .../udp/PORT/quic-v1 or \
                 .../udp/PORT/webrtc-direct (ip6 as well)"
            .into()),
    }
}

/// True for an address that only this machine can dial.
pub(crate) fn is_loopback(address: &Multiaddr) -> bool {
    host_of(address).is_some_and(|host| is_local_name(&host))
}

fn is_local_name(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
}

/// The host of a web address, without brackets.
fn host(url: &str) -> String {
    let uri = url.parse::<Uri>().ok();
    let host = uri.as_ref().and_then(|uri| uri.host()).unwrap_or_default();
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

/// The host of a multiaddr.
fn host_of(address: &Multiaddr) -> Option<String> {
    match address.iter().next()? {
        Protocol::Ip4(ip) => Some(ip.to_string()),
        Protocol::Ip6(ip) => Some(ip.to_string()),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    }
}

fn tcp_port(address: &Multiaddr) -> Option<u16> {
    address.iter().find_map(|part| if let Protocol::Tcp(port) = part { Some(port) } else { None })
}

/// `None` for a transport that this program does not dial.
fn transport_rank(address: &Multiaddr) -> Option<u8> {
    let parts: Vec<_> = address.iter().skip(1).collect();
    match parts.as_slice() {
        [Protocol::Tcp(_), Protocol::P2p(_)] => Some(0),
        [Protocol::Udp(_), Protocol::QuicV1, Protocol::P2p(_)] => Some(1),
        [Protocol::Udp(_), Protocol::WebRTCDirect, Protocol::Certhash(_), Protocol::P2p(_)] => Some(3),
        [Protocol::Tcp(_), Protocol::Ws(_) | Protocol::Wss(_), Protocol::P2p(_)]
        | [Protocol::Tcp(_), Protocol::Tls, Protocol::Ws(_), Protocol::P2p(_)] => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: PeerId = PeerId([7; 32]);

    fn document(addresses: &[&str]) -> WellKnown {
        let addresses =
            addresses.iter().map(|address| format!("{address}/p2p/{PEER}").parse().unwrap()).collect();
        WellKnown { peer_id: PEER.to_string(), addresses, webrtc_direct: Vec::new(), agent: String::new() }
    }

    fn dialled(document: &WellKnown, host: &str) -> Vec<String> {
        let suffix = format!("/p2p/{PEER}");
        let addresses = candidates(document, host).unwrap();
        addresses.iter().map(|address| address.to_string().trim_end_matches(&suffix).to_owned()).collect()
    }

    #[test]
    fn addresses_are_ranked_by_host_and_transport() {
        let document = document(&[
            "/ip4/127.0.0.1/tcp/4041/ws",
            "/ip4/127.0.0.1/udp/4040/quic-v1",
            "/ip4/127.0.0.1/tcp/4040",
            "/ip4/10.0.0.7/tcp/4040",
            "/ip4/10.0.0.7/udp/4040/webrtc-direct",
            "/dns4/relay.example.org/tcp/443/wss",
        ]);
        assert_eq!(
            dialled(&document, "127.0.0.1"),
            [
                "/ip4/127.0.0.1/tcp/4040",
                "/ip4/127.0.0.1/udp/4040/quic-v1",
                "/ip4/127.0.0.1/tcp/4041/ws",
                "/ip4/10.0.0.7/tcp/4040",
                "/dns4/relay.example.org/tcp/443/wss"
            ]
        );
        assert_eq!(
            dialled(&document, "relay.example.org"),
            ["/dns4/relay.example.org/tcp/443/wss", "/ip4/10.0.0.7/tcp/4040"]
        );
    }

    #[test]
    fn an_address_of_somebody_else_is_not_dialled() {
        let mut document = document(&["/ip4/127.0.0.1/tcp/4040"]);
        document.peer_id = PeerId([8; 32]).to_string();
        assert_eq!(dialled(&document, "localhost"), [""; 0]);
        document.peer_id = "me".into();
        assert!(candidates(&document, "localhost").is_err());
    }

    #[test]
    fn a_relay_is_a_web_address_or_a_multiaddr() {
        let web = |text: &str| Ok(Address::Web(text.into()));
        assert_eq!("http://localhost:8080/".parse(), web("http://localhost:8080"));
        assert_eq!("https://r.example/.well-known/braidcast".parse(), web("https://r.example"));
        assert!(matches!("/ip4/127.0.0.1/tcp/1".parse(), Ok(Address::Peer(_))));
        for wrong in ["", "localhost:8080", "ftp://x", "http://", "/ip4/1.2.3", "/nonsense/1"] {
            assert!(wrong.parse::<Address>().is_err(), "{wrong}");
        }
        assert_eq!(host("http://[::1]:8080"), "::1");
    }

    #[test]
    fn only_what_can_be_listened_on_is_accepted() {
        for right in [
            "/ip4/0.0.0.0/tcp/0",
            "/ip6/::1/udp/1/quic-v1",
            "/ip4/127.0.0.1/tcp/4041/ws",
            "/ip4/127.0.0.1/udp/1/webrtc-direct",
        ] {
            assert!(listen_address(right).is_ok(), "{right}");
        }
        for wrong in
            ["/ip4/127.0.0.1", "/dns4/a/tcp/1", "/ip4/127.0.0.1/tcp/1/wss", "/ip4/1.1.1.1/udp/1/quic", "x"]
        {
            assert!(listen_address(wrong).is_err(), "{wrong}");
        }
    }
}
