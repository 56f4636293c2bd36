use std::collections::VecDeque;

use braidcast_core::{machine::PeerSet, wire::PeerId};

/// Links with something to send, in turn. One that is not writable keeps its place.
#[derive(Debug, Default)]
pub(crate) struct Turns(VecDeque<PeerId>);

impl Turns {
    /// At the end of the round; the caller knows that the peer is not in it.
    pub(crate) fn push(&mut self, peer: PeerId) {
        self.0.push_back(peer);
    }

    /// The next that is writable, out of the round.
    pub(crate) fn take(&mut self, writable: &PeerSet) -> Option<PeerId> {
        let at = self.0.iter().position(|peer| writable.contains(peer))?;
        self.0.remove(at)
    }

    pub(crate) fn remove(&mut self, peer: PeerId) {
        self.0.retain(|&other| other != peer);
    }
}
