//! What an address means here. Pure functions, the same on every target.

use braidcast_webrtc::protocol::Version;
use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

/// How a peer is reached at an address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// TCP, then Noise and yamux.
    Tcp,
    /// QUIC version 1.
    Quic,
    /// webrtc-direct.
    WebRtcDirect,
    /// A WebSocket, at this URL.
    WebSocket { url: String },
    /// Through a relay; the route to the relay is one of the others.
    Circuit,
    /// Directly, by a peer connection that is signalled through such a circuit.
    WebRtc,
}

/// Why an address leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressError {
    #[error("it begins with no host: expected /ip4, /ip6, /dns, /dns4 or /dns6")]
    Host,
    #[error("after the host comes neither /tcp nor /udp with a port")]
    Port,
    #[error("port 0 cannot be dialled")]
    PortZero,
    #[error("the host name {0}")]
    Name(&'static str),
    #[error(
        "after the port comes nothing known: expected nothing or /ws, /wss, /tls/ws after tcp, /quic-v1 or /webrtc-direct/certhash/… after udp"
    )]
    Transport,
    #[error("something follows where only /p2p/<id> may")]
    Tail,
    #[error("a circuit needs /p2p/<id> of its relay in front")]
    CircuitWithoutRelay,
}

/// Reads an address to dial.
pub(crate) fn route(address: &Multiaddr) -> Result<Route, AddressError> {
    let parts: Vec<_> = address.iter().collect();
    let Some(circuit) = parts.iter().position(|part| *part == Protocol::P2pCircuit) else {
        return direct(&parts);
    };
    if !matches!(parts[..circuit].last(), Some(Protocol::P2p(_))) {
        return Err(AddressError::CircuitWithoutRelay);
    }
    direct(&parts[..circuit])?;
    match parts[circuit + 1..] {
        [] | [Protocol::P2p(_)] => Ok(Route::Circuit),
        [Protocol::WebRTC] | [Protocol::WebRTC, Protocol::P2p(_)] => Ok(Route::WebRtc),
        _ => Err(AddressError::Tail),
    }
}

/// Whether a connection at this address goes through a relay; `/p2p-circuit/webrtc` is only signalled through one.
pub(crate) fn is_circuit(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::P2pCircuit)
        && !address.iter().any(|part| part == Protocol::WebRTC)
}

/// The versions of webrtc-direct that a node of ours with these addresses takes. A listener drops a version that it does not
/// know without a word, so diallers need to be told.
pub fn webrtc_direct_versions(addresses: &[Multiaddr]) -> Vec<u8> {
    let has_any = addresses.iter().any(|address| peer_connection(address) == Some(PeerConnection::Listener));
    Version::ALL.into_iter().filter(|_| has_any).map(Version::number).collect()
}

/// The kind of a peer connection made at this address, if it is one.
pub(crate) fn peer_connection(address: &Multiaddr) -> Option<PeerConnection> {
    let has = |protocol| address.iter().any(|part| part == protocol);
    match () {
        () if has(Protocol::WebRTC) => Some(PeerConnection::Link),
        // The connection to a relay that the circuit goes through is another.
        () if has(Protocol::P2pCircuit) => None,
        () => has(Protocol::WebRTCDirect).then_some(PeerConnection::Listener),
    }
}

/// Whom a peer connection leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerConnection {
    /// To a peer that cannot be dialled either (`/webrtc`).
    Link,
    /// To one that listens (`/webrtc-direct`): a relay.
    Listener,
}

/// Whether a page that came over https may open a WebSocket at this URL: browsers refuse mixed content but to the page's own
/// machine.
#[cfg(any(target_arch = "wasm32", test))]
pub(crate) fn is_safe(url: &str) -> bool {
    let host = url.strip_prefix("ws://").and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    let is_loopback = host.parse::<std::net::Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
    is_loopback || ["wss://", "ws://[::1]:", "ws://localhost:"].iter().any(|start| url.starts_with(start))
}

/// The relay of an address that leads through one.
pub(crate) fn relay(address: &Multiaddr) -> Option<PeerId> {
    let mut relay = None;
    for part in address {
        match part {
            Protocol::P2p(peer) => relay = Some(peer),
            Protocol::P2pCircuit => return relay,
            _ => {}
        }
    }
    None
}

/// The peer that the address ends in, if it names one.
pub(crate) fn peer(address: &Multiaddr) -> Option<PeerId> {
    match address.iter().last() {
        Some(Protocol::P2p(peer)) => Some(peer),
        _ => None,
    }
}

/// The address with `/p2p/<peer>` at its end, once.
pub(crate) fn with_peer(mut address: Multiaddr, peer: PeerId) -> Multiaddr {
    if self::peer(&address) != Some(peer) {
        address.push(Protocol::P2p(peer));
    }
    address
}

/// True for an address of this machine only.
pub(crate) fn is_loopback(address: &Multiaddr) -> bool {
    match address.iter().next() {
        Some(Protocol::Ip4(ip)) => ip.is_loopback(),
        Some(Protocol::Ip6(ip)) => ip.is_loopback(),
        _ => false,
    }
}

/// Host, port, transport, and perhaps `/p2p/<id>`.
fn direct(parts: &[Protocol<'_>]) -> Result<Route, AddressError> {
    let parts = match parts {
        [parts @ .., Protocol::P2p(_)] => parts,
        _ => parts,
    };
    let [host, port, rest @ ..] = parts else {
        return Err(if parts.is_empty() { AddressError::Host } else { AddressError::Port });
    };
    let host = url_host(host)?;
    match (port, rest) {
        (Protocol::Tcp(0) | Protocol::Udp(0), _) => Err(AddressError::PortZero),
        (Protocol::Tcp(_), []) => Ok(Route::Tcp),
        (Protocol::Tcp(port), rest) => {
            let (scheme, name, path) = web_socket(rest)?;
            let host = name.map_or(Ok(host), checked_name)?;
            Ok(Route::WebSocket { url: format!("{scheme}://{host}:{port}{path}") })
        }
        (Protocol::Udp(_), [Protocol::QuicV1]) => Ok(Route::Quic),
        (Protocol::Udp(_), [Protocol::WebRTCDirect, Protocol::Certhash(_)]) => Ok(Route::WebRtcDirect),
        (Protocol::Udp(_), _) => Err(AddressError::Transport),
        _ => Err(AddressError::Port),
    }
}

/// The part between port and peer as URL scheme, host name that overrules the first one (AutoTLS addresses have an IP
/// address in front and the certificate's name in `sni`), and path.
fn web_socket<'a>(
    parts: &'a [Protocol<'_>],
) -> Result<(&'static str, Option<&'a str>, &'a str), AddressError> {
    match parts {
        [Protocol::Ws(path)] => Ok(("ws", None, path)),
        [Protocol::Wss(path)] | [Protocol::Tls, Protocol::Ws(path)] => Ok(("wss", None, path)),
        [Protocol::Tls, Protocol::Sni(name), Protocol::Ws(path)] => Ok(("wss", Some(name), path)),
        // A path for HTTP says nothing about the WebSocket.
        [before @ .., Protocol::HttpPath(_)] => web_socket(before),
        _ => Err(AddressError::Transport),
    }
}

fn url_host(part: &Protocol<'_>) -> Result<String, AddressError> {
    match part {
        Protocol::Ip4(ip) => Ok(ip.to_string()),
        Protocol::Ip6(ip) => Ok(format!("[{ip}]")),
        Protocol::Dns(name) | Protocol::Dns4(name) | Protocol::Dns6(name) => checked_name(name),
        _ => Err(AddressError::Host),
    }
}

/// A name may come from another node and goes into a URL, so nothing in it may mean something there.
fn checked_name(name: &str) -> Result<String, AddressError> {
    match name {
        "" => Err(AddressError::Name("is empty")),
        _ if name.len() > 253 => Err(AddressError::Name("is longer than 253 characters")),
        _ if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte)) => {
            Ok(name.into())
        }
        _ => Err(AddressError::Name("has a character other than letters, digits, '-', '.' and '_'")),
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const ID: &str = "12D3KooWD3eckifWpRn9wQpMG9R9hX3sD158z7EqHWmweQAJU5SA";

    fn routed(address: &str) -> Result<Route, AddressError> {
        route(&address.replace("ID", ID).parse().expect("a multiaddr"))
    }

    fn url(url: &str) -> Result<Route, AddressError> {
        Ok(Route::WebSocket { url: url.into() })
    }

    #[test]
    fn every_form_of_a_web_socket_address_gives_its_url() {
        assert_eq!(routed("/ip4/127.0.0.1/tcp/80/ws"), url("ws://127.0.0.1:80/"));
        assert_eq!(routed("/ip6/::1/tcp/80/ws/p2p/ID"), url("ws://[::1]:80/"));
        assert_eq!(routed("/dns/a.example/tcp/443/wss"), url("wss://a.example:443/"));
        assert_eq!(routed("/dns4/a.example/tcp/443/tls/ws/p2p/ID"), url("wss://a.example:443/"));
        assert_eq!(routed("/dns6/a.example/tcp/443/wss/p2p/ID"), url("wss://a.example:443/"));
        assert_eq!(
            routed("/ip4/192.0.2.1/tcp/4001/tls/sni/x.libp2p.direct/ws/p2p/ID"),
            url("wss://x.libp2p.direct:4001/")
        );
        assert_eq!(routed("/dns/a.example/tcp/80/x-parity-ws/%2fnode"), url("ws://a.example:80/node"));
        assert_eq!(routed("/dns/a.example/tcp/443/tls/ws/http-path/x"), url("wss://a.example:443/"));
    }

    #[test]
    fn other_routes_are_told_apart() {
        assert_eq!(routed("/ip4/127.0.0.1/tcp/4001/p2p/ID"), Ok(Route::Tcp));
        assert_eq!(routed("/ip4/127.0.0.1/udp/4001/quic-v1"), Ok(Route::Quic));
        assert_eq!(routed("/ip4/127.0.0.1/tcp/4001/ws/p2p/ID/p2p-circuit/p2p/ID"), Ok(Route::Circuit));
        assert_eq!(routed("/ip4/127.0.0.1/tcp/4001/p2p/ID/p2p-circuit"), Ok(Route::Circuit));
        for tail in ["/p2p-circuit/webrtc", "/p2p-circuit/webrtc/p2p/ID"] {
            assert_eq!(routed(&format!("/ip4/127.0.0.1/tcp/4001/ws/p2p/ID{tail}")), Ok(Route::WebRtc));
        }
    }

    #[test]
    fn an_address_that_can_never_work_says_why() {
        assert_eq!(routed("/p2p/ID"), Err(AddressError::Host));
        assert_eq!(routed("/unix/socket"), Err(AddressError::Port));
        assert_eq!(routed("/ip4/127.0.0.1"), Err(AddressError::Port));
        assert_eq!(routed("/ip4/127.0.0.1/p2p/ID"), Err(AddressError::Port));
        assert_eq!(routed("/ip4/127.0.0.1/sctp/1"), Err(AddressError::Port));
        assert_eq!(routed("/dnsaddr/a.example/tcp/1"), Err(AddressError::Host));
        assert_eq!(routed("/ip4/127.0.0.1/tcp/0/ws"), Err(AddressError::PortZero));
        assert_eq!(routed("/ip4/127.0.0.1/tcp/1/tls"), Err(AddressError::Transport));
        assert_eq!(routed("/ip4/127.0.0.1/udp/1/webrtc-direct"), Err(AddressError::Transport));
        assert_eq!(routed("/ip4/127.0.0.1/tcp/1/ws/ws"), Err(AddressError::Transport));
        assert_eq!(routed("/ip4/127.0.0.1/tcp/1/p2p-circuit"), Err(AddressError::CircuitWithoutRelay));
        assert_eq!(routed("/ip4/127.0.0.1/tcp/1/p2p/ID/p2p-circuit/ws"), Err(AddressError::Tail));
    }

    #[test]
    fn a_host_name_cannot_smuggle_anything_into_the_url() {
        for name in ["evil.example@a", "a#b", "a?b", "a:1", "a b", "a\\b"] {
            let address = Multiaddr::empty()
                .with(Protocol::Dns(name.into()))
                .with(Protocol::Tcp(80))
                .with(Protocol::Ws("/".into()));
            assert!(matches!(route(&address), Err(AddressError::Name(_))), "{name}");
        }
    }

    #[test]
    fn the_versions_of_webrtc_direct_are_those_of_its_listener() {
        let addresses =
            ["/ip4/192.0.2.1/tcp/1/ws", "/ip4/192.0.2.1/udp/1/webrtc-direct"].map(|text| text.parse());
        let addresses = addresses.map(|address| address.expect("an address"));
        assert_eq!(webrtc_direct_versions(&addresses[..1]), [0; 0]);
        assert_eq!(webrtc_direct_versions(&addresses), [1, 2]);
    }

    #[test]
    fn a_secure_page_opens_no_plain_web_socket_of_others() {
        for url in ["wss://a.example:443/", "ws://127.0.0.1:80/", "ws://[::1]:80/", "ws://localhost:80/"] {
            assert!(is_safe(url), "{url}");
        }
        for url in [
            "ws://a.example:80/",
            "ws://192.168.0.1:80/",
            "ws://localhost.example:80/",
            "ws://127.example.org:80/",
        ] {
            assert!(!is_safe(url), "{url}");
        }
    }

    #[test]
    fn a_circuit_through_webrtc_direct_is_not_its_connection() {
        let relay = format!("/ip4/192.0.2.1/udp/1/webrtc-direct/p2p/{ID}");
        let kind = |tail| peer_connection(&format!("{relay}{tail}").parse().expect("an address"));
        assert_eq!(kind(""), Some(PeerConnection::Listener));
        assert_eq!(kind("/p2p-circuit"), None);
        assert_eq!(kind("/p2p-circuit/webrtc"), Some(PeerConnection::Link));
    }

    #[test]
    fn the_peer_is_appended_once() {
        let id: PeerId = ID.parse().expect("an id");
        let bare: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().expect("an address");
        let full = with_peer(bare.clone(), id);
        assert_eq!(peer(&bare), None);
        assert_eq!(peer(&full), Some(id));
        assert_eq!(with_peer(full.clone(), id), full);
    }
}
