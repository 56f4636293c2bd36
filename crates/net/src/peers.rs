use std::{collections::BTreeMap, time::Duration};

use libp2p::{PeerId, StreamProtocol, identify};

/// Longest agent name that is kept, in characters.
const AGENT_CHARS: usize = 64;

/// The protocol by which others are let through a relay.
const HOP: StreamProtocol = StreamProtocol::new("/libp2p/circuit/relay/0.2.0/hop");

/// What identify and ping found out about the connected peers, ours or not.
#[derive(Debug, Default)]
pub(crate) struct Peers(BTreeMap<PeerId, Known>);

/// About one of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// What it calls itself.
    pub(crate) agent: String,
    /// It offers to relay.
    pub(crate) relays: bool,
    /// Latest round trip.
    pub(crate) rtt: Option<Duration>,
}

impl Peers {
    pub(crate) fn on_identified(&mut self, peer: PeerId, info: &identify::Info) {
        let known = self.0.entry(peer).or_default();
        // For people to read, so nothing that moves a cursor.
        known.agent = info.agent_version.chars().filter(|c| !c.is_control()).take(AGENT_CHARS).collect();
        known.relays = info.protocols.contains(&HOP);
    }

    pub(crate) fn on_round_trip(&mut self, peer: PeerId, rtt: Duration) {
        self.0.entry(peer).or_default().rtt = Some(rtt);
    }

    pub(crate) fn on_disconnected(&mut self, peer: PeerId) {
        self.0.remove(&peer);
    }

    pub(crate) fn get(&self, peer: PeerId) -> Known {
        self.0.get(&peer).cloned().unwrap_or_default()
    }
}
