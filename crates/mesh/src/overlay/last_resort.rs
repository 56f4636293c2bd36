//! Peers of last resort: relays, whose uplink all share, towards nodes that also have links of their own. Such a peer is a
//! neighbour only while there are few others, so that a node that reaches nobody else still receives everything.

use alloc::vec::Vec;

use braidcast_wire::{PeerId, Topic};

use super::{Change, Overlay, upkeep::Scene};
use crate::trace::Parting;

impl Overlay {
    /// A connected peer is a last resort.
    pub(crate) fn set_last_resort(&mut self, peer: PeerId) {
        self.last_resorts.insert(peer);
    }

    /// A peer is not connected any more.
    pub(crate) fn forget_last_resort(&mut self, peer: PeerId) {
        self.last_resorts.remove(&peer);
    }

    pub(crate) fn is_last_resort(&self, peer: PeerId) -> bool {
        self.last_resorts.contains(&peer)
    }

    /// Whether this is a last resort that is not needed in the topic.
    pub(super) fn is_spared(&self, peer: PeerId, topic: &Topic) -> bool {
        self.is_last_resort(peer) && self.has_others(topic)
    }

    /// Whether no last resort is needed in the topic.
    pub(super) fn has_others(&self, topic: &Topic) -> bool {
        self.others(topic) >= FEW
    }

    /// Lets last resorts go once there are more than a few others.
    pub(super) fn spare(&mut self, topic: &Topic, scene: &Scene<'_>) -> Vec<Change> {
        if self.last_resorts.is_empty() || self.others(topic) <= FEW {
            return Vec::new();
        }
        let spared: Vec<PeerId> = self.mesh(topic).filter(|peer| self.last_resorts.contains(peer)).collect();
        self.prune(topic, spared, Parting::Spared, scene.now)
    }

    fn others(&self, topic: &Topic) -> usize {
        self.mesh(topic).filter(|peer| !self.last_resorts.contains(peer)).count()
    }
}

/// So many neighbours of other kinds need no last resort: gossipsub's D_out and one more. Guess.
const FEW: usize = 3;
