//! Near neighbours: half of a mesh is chosen by round trip, the other half by chance.
//!
//! Short hops carry a message through a region in no time, and links by chance keep the whole connected. Only half,
//! so that whoever sits close by cannot surround a node.

use alloc::vec::Vec;

use braidcast_machine::Duration;
use braidcast_wire::{PeerId, Topic};

use super::{Change, Overlay, ranked, upkeep::Scene};
use crate::trace::Parting;

impl Overlay {
    /// The shortest round trip to a peer of late.
    pub(crate) fn set_round_trip(&mut self, peer: PeerId, round_trip: Duration) {
        self.round_trips.insert(peer, round_trip);
    }

    /// A peer is not connected any more.
    pub(crate) fn forget_round_trip(&mut self, peer: PeerId) {
        self.round_trips.remove(&peer);
    }

    pub(super) fn round_trip(&self, peer: PeerId) -> Duration {
        self.round_trips.get(&peer).copied().unwrap_or(FAR)
    }

    /// `count` of `peers`, which are in random order: half of them the nearest.
    pub(super) fn pick(&self, mut peers: Vec<PeerId>, count: usize) -> Vec<PeerId> {
        let mut chosen = peers.split_off(peers.len().saturating_sub(count / 2));
        let nearest = ranked(peers, |peer| self.round_trip(peer).as_micros());
        chosen.extend(nearest.into_iter().take(count - chosen.len()).map(|(_, peer)| peer));
        chosen
    }

    /// Takes in a peer that is clearly nearer than the near half of the mesh, and lets go one of the other half when
    /// there are enough.
    pub(super) fn approach(&mut self, topic: &Topic, scene: &mut Scene<'_>) -> Vec<Change> {
        let is_welcome = |&(peer, _): &(PeerId, _)| scene.scores.is_welcome(peer);
        let candidates = self.candidates(topic, scene).filter(is_welcome);
        let nearest = candidates.map(|(peer, _)| (self.round_trip(peer), peer)).min();
        let mut near = ranked(self.mesh(topic), |peer| self.round_trip(peer).as_micros());
        let far = near.split_off(near.len().min(scene.params.of(topic).mesh_target / 2));
        let (Some((distance, peer)), Some(&(bound, _))) = (nearest, near.last()) else {
            return Vec::new();
        };
        if distance.as_micros() * 4 >= bound * 3 {
            return Vec::new();
        }
        let mut changes = self.graft(topic, alloc::vec![peer]);
        // Those that we chose ourselves stay.
        let mut far = far.into_iter().map(|(_, peer)| peer).filter(|&peer| !self.is_outbound(peer, topic));
        let count = far.clone().count() as u64;
        if self.mesh(topic).count() > scene.params.of(topic).mesh_target
            && let Some(peer) = far.nth(scene.rng.below(count.max(1)) as usize)
        {
            changes.extend(self.prune(topic, alloc::vec![peer], Parting::Farther, scene.now));
        }
        changes
    }
}

/// Of a peer whose round trip is not known.
const FAR: Duration = Duration::from_secs(3600);
