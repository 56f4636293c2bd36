use braidcast_core::wire::PeerId;
use libp2p::{Multiaddr, multiaddr::Protocol};

use crate::{Link, behaviour::core_id};

/// How what a peer publishes comes to us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Over a link to it; without, through other peers.
    pub link: Option<Link>,
    /// The relay whose circuit the link is. A circuit carries no messages, which come through other peers.
    pub via: Option<PeerId>,
    /// Why there is no direct link, or none yet.
    pub obstacle: Option<String>,
}

/// What stands between us and a direct link to a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Obstacle {
    #[error("it is banned for what it sent")]
    Banned,
    #[error("nobody has told an address of it that can be dialled from here")]
    Unknown,
    #[error("it is being dialled")]
    Dialing,
    #[error("the last attempt failed: {0}")]
    Failed(String),
    #[error("a link did not last")]
    Lost,
    #[error("there are as many links as are wanted")]
    Enough,
    #[error("it waits for its turn")]
    Waiting,
}

/// The relay in front of `/p2p-circuit`.
pub(crate) fn relay(address: &Multiaddr) -> Option<PeerId> {
    let mut before = None;
    for part in address {
        match part {
            Protocol::P2p(peer) => before = Some(peer),
            Protocol::P2pCircuit => return before.and_then(core_id),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_relay_of_a_circuit_is_found() {
        let id = PeerId([1; 32]);
        let circuit = format!("/ip4/192.0.2.1/tcp/1/ws/p2p/{id}/p2p-circuit/p2p/{id}");
        assert_eq!(relay(&circuit.parse().expect("an address")), Some(id));
        assert_eq!(relay(&format!("/ip4/192.0.2.1/tcp/1/p2p/{id}").parse().expect("an address")), None);
    }
}
