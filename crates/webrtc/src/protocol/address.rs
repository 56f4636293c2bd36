//! The addresses of both protocols.

use std::net::{IpAddr, SocketAddr};

use libp2p::{Multiaddr, PeerId, multiaddr::Protocol};

use super::fingerprint::Fingerprint;

/// `/ip4/…/udp/…/webrtc-direct/certhash/…/p2p/…`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectAddress {
    /// Where it listens.
    pub socket: SocketAddr,
    /// Its certificate. Without it one can listen but not dial.
    pub fingerprint: Option<Fingerprint>,
    /// Who is there, if known.
    pub peer: Option<PeerId>,
}

/// `<address of a relay>/p2p/<relay>/p2p-circuit/webrtc/p2p/<target>`: dial the relay's circuit, signal, meet directly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CircuitAddress {
    /// What to dial for signalling: the address without `/webrtc`. It ends in `/p2p-circuit/p2p/<target>`.
    pub circuit: Multiaddr,
    /// Whom to meet.
    pub target: PeerId,
}

/// Why an address is none of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Of another transport.
    #[error("not a WebRTC address")]
    Foreign,
    /// A hash that is not SHA-256.
    #[error("the certificate's hash is not SHA-256")]
    Hash,
    /// Too much or too little after the protocol's name.
    #[error(
        "after /webrtc-direct may follow /certhash and /p2p only, after /p2p-circuit/webrtc must follow /p2p"
    )]
    Tail,
}

impl TryFrom<&Multiaddr> for DirectAddress {
    type Error = AddressError;

    fn try_from(address: &Multiaddr) -> Result<Self, AddressError> {
        let mut parts = address.iter();
        let ip = match parts.next() {
            Some(Protocol::Ip4(ip)) => IpAddr::from(ip),
            Some(Protocol::Ip6(ip)) => IpAddr::from(ip),
            _ => return Err(AddressError::Foreign),
        };
        let (Some(Protocol::Udp(port)), Some(Protocol::WebRTCDirect)) = (parts.next(), parts.next()) else {
            return Err(AddressError::Foreign);
        };
        let mut direct = Self { socket: SocketAddr::new(ip, port), fingerprint: None, peer: None };
        for part in parts {
            match part {
                Protocol::Certhash(hash) if direct.peer.is_none() && direct.fingerprint.is_none() => {
                    direct.fingerprint = Some(Fingerprint::from_certhash(&hash).ok_or(AddressError::Hash)?);
                }
                Protocol::P2p(peer) if direct.peer.is_none() => direct.peer = Some(peer),
                _ => return Err(AddressError::Tail),
            }
        }
        Ok(direct)
    }
}

impl From<&DirectAddress> for Multiaddr {
    fn from(direct: &DirectAddress) -> Self {
        let mut address = Self::from(direct.socket.ip());
        address.push(Protocol::Udp(direct.socket.port()));
        address.push(Protocol::WebRTCDirect);
        if let Some(fingerprint) = direct.fingerprint {
            address.push(Protocol::Certhash(fingerprint.to_certhash()));
        }
        if let Some(peer) = direct.peer {
            address.push(Protocol::P2p(peer));
        }
        address
    }
}

impl TryFrom<&Multiaddr> for CircuitAddress {
    type Error = AddressError;

    fn try_from(address: &Multiaddr) -> Result<Self, AddressError> {
        let parts: Vec<_> = address.iter().collect();
        let Some(at) = parts.iter().position(|part| *part == Protocol::WebRTC) else {
            return Err(AddressError::Foreign);
        };
        let (relay, tail) = (&parts[..at], &parts[at + 1..]);
        match relay {
            [.., Protocol::P2p(_), Protocol::P2pCircuit] => {}
            _ => return Err(AddressError::Foreign),
        }
        let &[Protocol::P2p(target)] = tail else { return Err(AddressError::Tail) };
        let circuit = relay.iter().chain(tail).cloned().collect();
        Ok(Self { circuit, target })
    }
}

/// `/webrtc/p2p/<peer>`, the address of a peer that dialled us and has no other; as js-libp2p.
pub fn webrtc_peer(peer: PeerId) -> Multiaddr {
    Multiaddr::from(Protocol::WebRTC).with(Protocol::P2p(peer))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const RELAY: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";
    const TARGET: &str = "12D3KooWRm8J3iL796zPFi2EtGGtUJn58AG67gcRzuyZzmgVTbSF";

    fn direct(address: &str) -> Result<DirectAddress, AddressError> {
        DirectAddress::try_from(&address.parse().expect("is a multiaddr"))
    }

    fn circuit(address: &str) -> Result<CircuitAddress, AddressError> {
        CircuitAddress::try_from(&address.parse().expect("is a multiaddr"))
    }

    #[test]
    fn a_direct_address_comes_back() {
        let fingerprint = Fingerprint::new([9; 32]);
        let listen = direct("/ip6/::1/udp/4001/webrtc-direct").expect("is one");
        assert_eq!(
            listen,
            DirectAddress { socket: "[::1]:4001".parse().expect("is one"), fingerprint: None, peer: None }
        );
        let whole = DirectAddress {
            fingerprint: Some(fingerprint),
            peer: Some(RELAY.parse().expect("is one")),
            ..listen
        };
        let address = Multiaddr::from(&whole);
        assert!(address.to_string().contains("/webrtc-direct/certhash/uEiAJCQkJ"), "{address}");
        assert_eq!(DirectAddress::try_from(&address), Ok(whole));
    }

    #[test]
    fn other_addresses_are_foreign_and_tails_are_refused() {
        assert_eq!(direct("/ip4/1.2.3.4/udp/4001/quic-v1"), Err(AddressError::Foreign));
        assert_eq!(direct("/ip4/1.2.3.4/tcp/4001"), Err(AddressError::Foreign));
        assert_eq!(
            direct(&format!("/ip4/1.2.3.4/udp/4001/webrtc-direct/p2p/{RELAY}/p2p-circuit")),
            Err(AddressError::Tail)
        );
    }

    #[test]
    fn a_circuit_is_the_address_without_webrtc() {
        let relay = format!("/dns4/relay.example.org/tcp/443/wss/p2p/{RELAY}/p2p-circuit");
        let found = circuit(&format!("{relay}/webrtc/p2p/{TARGET}")).expect("is one");
        assert_eq!(found.target.to_string(), TARGET);
        assert_eq!(found.circuit.to_string(), format!("{relay}/p2p/{TARGET}"));
        assert_eq!(circuit(&format!("{relay}/p2p/{TARGET}")), Err(AddressError::Foreign));
        assert_eq!(circuit(&format!("{relay}/webrtc")), Err(AddressError::Tail));
        assert_eq!(circuit(&webrtc_peer(found.target).to_string()), Err(AddressError::Foreign));
    }
}
