//! Who subscribes to what, and which of them are neighbours: GRAFT, PRUNE and back-off after gossipsub v1.1,
//! <https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md>.

mod last_resort;
mod proximity;
#[cfg(test)]
mod tests;
mod upkeep;

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use braidcast_machine::{Direction, Duration, Rng, Time};
use braidcast_wire::{PeerId, Topic, limits};

pub(crate) use upkeep::Scene;

use crate::{
    lane::Lane,
    score::Scores,
    trace::{PRUNE_BACKOFF, Parting, Refusal},
};

/// Topics, and our neighbours in each.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    topics: BTreeMap<Topic, TopicMesh>,
    /// Connected peers by topic, whether or not it is ours.
    subscribers: BTreeMap<Topic, BTreeMap<PeerId, Direction>>,
    /// Of connected peers, as far as it is known.
    round_trips: BTreeMap<PeerId, Duration>,
    /// Connected peers that are neighbours only where there are few others.
    last_resorts: BTreeSet<PeerId>,
    /// A mesh has changed since lanes were given.
    is_changed: bool,
}

/// One topic that we subscribe to or published to of late.
#[derive(Debug, Default)]
struct TopicMesh {
    is_subscribed: bool,
    mesh: BTreeSet<PeerId>,
    /// Chosen for publishing to a topic that we do not subscribe to, until a time.
    fanout: BTreeSet<PeerId>,
    fanout_until: Time,
    /// No graft with these peers before a time.
    backoff: BTreeMap<PeerId, Time>,
    /// Our neighbours in the order of their slots.
    slots: Vec<PeerId>,
    /// The lanes that neighbours gave us.
    granted: BTreeMap<PeerId, Lane>,
    /// When to look for better neighbours next.
    better_at: Time,
    /// Neighbours that had sent nothing of late at the last look.
    idle: BTreeSet<PeerId>,
}

/// What to tell a peer about a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Graft { peer: PeerId, topic: Topic },
    Prune { peer: PeerId, topic: Topic, why: Parting },
}

/// What became of a graft that a peer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grafted {
    /// It is a neighbour now, or was one.
    Accepted,
    /// It is told to go away; for want of room also where others are.
    Refused(Refusal),
    /// We know nothing of the topic; nothing is answered and nothing remembered.
    Unknown,
}

impl Overlay {
    pub(crate) fn is_subscribed(&self, topic: &Topic) -> bool {
        self.topics.get(topic).is_some_and(|mesh| mesh.is_subscribed)
    }

    /// Whether we subscribe to a topic or published to it of late.
    pub(crate) fn speaks_in(&self, topic: &Topic) -> bool {
        self.topics.contains_key(topic)
    }

    /// Our topics, in order.
    pub(crate) fn subscriptions(&self) -> impl Iterator<Item = &Topic> {
        self.topics.iter().filter(|(_, mesh)| mesh.is_subscribed).map(|(topic, _)| topic)
    }

    /// Our neighbours in a topic.
    pub(crate) fn mesh(&self, topic: &Topic) -> impl Iterator<Item = PeerId> + '_ {
        self.topics.get(topic).into_iter().flat_map(|mesh| mesh.mesh.iter().copied())
    }

    /// Connected subscribers of a topic.
    pub(crate) fn subscribers(&self, topic: &Topic) -> impl Iterator<Item = PeerId> + '_ {
        self.subscribers.get(topic).into_iter().flat_map(|peers| peers.keys().copied())
    }

    pub(crate) fn on_peer_joined(&mut self, peer: PeerId, direction: Direction, topic: &Topic) {
        self.subscribers.entry(topic.clone()).or_default().insert(peer, direction);
    }

    pub(crate) fn on_peer_left(&mut self, peer: PeerId, topic: &Topic) {
        if let Some(peers) = self.subscribers.get_mut(topic) {
            peers.remove(&peer);
            if peers.is_empty() {
                self.subscribers.remove(topic);
            }
        }
        if let Some(mesh) = self.topics.get_mut(topic) {
            self.is_changed |= mesh.mesh.remove(&peer);
            mesh.fanout.remove(&peer);
        }
    }

    pub(crate) fn subscribe(&mut self, topic: &Topic) {
        let mesh = self.topics.entry(topic.clone()).or_default();
        mesh.is_subscribed = true;
        mesh.fanout.clear();
    }

    /// Leaves the topic; its neighbours are to be told.
    pub(crate) fn unsubscribe(&mut self, topic: &Topic) -> Vec<Change> {
        let Some(mesh) = self.topics.remove(topic) else { return Vec::new() };
        let prune = |peer| Change::Prune { peer, topic: topic.clone(), why: Parting::Left };
        mesh.mesh.into_iter().map(prune).collect()
    }

    pub(crate) fn on_graft(&mut self, peer: PeerId, topic: &Topic, scene: &Scene<'_>) -> Grafted {
        let Scene { now, params, scores, .. } = *scene;
        let Some(direction) = self.subscribers.get(topic).and_then(|peers| peers.get(&peer)).copied() else {
            return Grafted::Unknown;
        };
        let is_spared = self.is_spared(peer, topic);
        let Some(mesh) = self.topics.get_mut(topic).filter(|mesh| mesh.is_subscribed) else {
            return Grafted::Unknown;
        };
        if mesh.mesh.contains(&peer) {
            return Grafted::Accepted;
        }
        if mesh.backoff.get(&peer).is_some_and(|&until| now < until) {
            let until = mesh.backoff.entry(peer).or_default();
            *until = (*until).max(now + PRUNE_BACKOFF);
            return Grafted::Refused(Refusal::TooSoon);
        }
        let others = mesh.mesh.iter().filter(|other| scores.is_welcome(**other)).count();
        // Links that we chose ourselves are welcome beyond the limit, so that inbound peers cannot fill the mesh.
        let is_full = mesh.mesh.len() >= params.of(topic).mesh_max && direction == Direction::Inbound;
        let is_unwelcome = !scores.is_welcome(peer) && others >= ENOUGH;
        let refusal = match () {
            () if is_unwelcome => Some(Refusal::Unwelcome),
            () if is_spared => Some(Refusal::Spared),
            () if is_full => Some(Refusal::Full),
            () => None,
        };
        if let Some(refusal) = refusal {
            mesh.backoff.insert(peer, now + refusal.backoff());
            return Grafted::Refused(refusal);
        }
        mesh.mesh.insert(peer);
        self.is_changed = true;
        Grafted::Accepted
    }

    /// True when the peer was a neighbour.
    pub(crate) fn on_prune(&mut self, peer: PeerId, topic: &Topic, backoff: Duration, now: Time) -> bool {
        let Some(mesh) = self.topics.get_mut(topic) else { return false };
        let was_neighbour = mesh.mesh.remove(&peer);
        self.is_changed |= was_neighbour;
        if mesh.backoff.len() < limits::PEERS {
            mesh.backoff.insert(peer, now + backoff.min(BACKOFF_MAX));
        }
        was_neighbour
    }

    /// Whom to offer a message of our own to: the mesh, filled up with other subscribers to
    /// the target, and at least to `count`.
    pub(crate) fn audience(&mut self, topic: &Topic, count: usize, scene: &mut Scene<'_>) -> Vec<PeerId> {
        let known = self.subscribers.get(topic);
        let is_here = |peer: &PeerId| known.is_some_and(|peers| peers.contains_key(peer));
        let mesh = self.topics.get(topic);
        let mut audience: BTreeSet<PeerId> = mesh
            .into_iter()
            .flat_map(|mesh| mesh.mesh.union(&mesh.fanout))
            .copied()
            .filter(is_here)
            .collect();
        let count = count.max(scene.params.of(topic).mesh_target);
        let missing = count.saturating_sub(audience.len());
        let others = known.into_iter().flat_map(BTreeMap::keys).copied();
        let others =
            others.filter(|peer| !audience.contains(peer) && !self.is_spared(*peer, topic)).collect();
        audience.extend(sample(others, missing, scene.rng));
        if !self.is_subscribed(topic) && !audience.is_empty() {
            let mesh = self.topics.entry(topic.clone()).or_default();
            mesh.fanout.clone_from(&audience);
            mesh.fanout_until = scene.now + FANOUT_TTL;
        }
        audience.into_iter().collect()
    }

    /// The lane in which we may push to a neighbour.
    pub(crate) fn lane(&self, peer: PeerId, topic: &Topic) -> Option<Lane> {
        self.topics.get(topic)?.granted.get(&peer).copied()
    }

    /// The lanes that we gave to neighbours.
    pub(crate) fn given_lanes(&self, topic: &Topic) -> impl Iterator<Item = (PeerId, Lane)> + '_ {
        self.topics.get(topic).into_iter().flat_map(TopicMesh::given_lanes)
    }

    /// A neighbour gave us a lane. False when it is no neighbour.
    pub(crate) fn on_lane(&mut self, peer: PeerId, topic: &Topic, lane: Lane) -> bool {
        let Some(mesh) = self.topics.get_mut(topic).filter(|mesh| mesh.mesh.contains(&peer)) else {
            return false;
        };
        mesh.granted.insert(peer, lane);
        true
    }

    /// True when a mesh has changed since lanes were given.
    pub(crate) fn is_lane_due(&self) -> bool {
        self.is_changed
    }

    /// Gives new neighbours slots and closes gaps. Whose lane changed is to be told; suspects get none, nor, beyond
    /// [`LANES`] neighbours, as a relay may have, the rest: they are asked for what they announce.
    pub(crate) fn assign_lanes(&mut self, scores: &Scores) -> Vec<(PeerId, Topic, Lane)> {
        self.is_changed = false;
        let mut told = Vec::new();
        for (topic, mesh) in &mut self.topics {
            let before = mesh.slots.clone();
            mesh.slots.retain(|&peer| mesh.mesh.contains(&peer) && scores.is_welcome(peer));
            mesh.granted.retain(|peer, _| mesh.mesh.contains(peer));
            let room = LANES.saturating_sub(mesh.slots.len());
            let is_fresh = |&peer: &PeerId| !mesh.slots.contains(&peer) && scores.is_welcome(peer);
            let fresh: Vec<PeerId> = mesh.mesh.iter().copied().filter(is_fresh).take(room).collect();
            mesh.slots.extend(fresh);
            if mesh.slots == before {
                continue;
            }
            told.extend(mesh.given_lanes().map(|(peer, lane)| (peer, topic.clone(), lane)));
        }
        told
    }

    /// Some subscribers that are no neighbours, to be told what we have.
    pub(crate) fn strangers(&self, topic: &Topic, count: usize, rng: &mut Rng) -> Vec<PeerId> {
        let is_stranger = |peer: &PeerId| self.topics.get(topic).is_none_or(|mesh| !mesh.mesh.contains(peer));
        sample(self.subscribers(topic).filter(is_stranger).collect(), count, rng)
    }
}

impl TopicMesh {
    fn given_lanes(&self) -> impl Iterator<Item = (PeerId, Lane)> + '_ {
        let of = self.slots.len() as u32;
        self.slots.iter().zip(0..).map(move |(&peer, slot)| (peer, Lane { slot, of }))
    }
}

/// The peers from the lowest rank up; those of one rank stay in their order. By insertion: the compiler would make a
/// sort of several kilobytes for each type.
pub(crate) fn ranked(
    peers: impl IntoIterator<Item = PeerId>,
    rank: impl Fn(PeerId) -> u64,
) -> Vec<(u64, PeerId)> {
    let mut sorted: Vec<(u64, PeerId)> = Vec::new();
    for peer in peers {
        let rank = rank(peer);
        let at = sorted.partition_point(|other| other.0 <= rank);
        sorted.insert(at, (rank, peer));
    }
    sorted
}

/// At most `count` of `items`, in random order.
pub(crate) fn sample<T>(mut items: Vec<T>, count: usize, rng: &mut Rng) -> Vec<T> {
    rng.shuffle(&mut items);
    items.truncate(count);
    items
}

/// Most neighbours of a topic that push unasked. Guess: above the default of `mesh_max`.
const LANES: usize = 16;
/// With so many good neighbours, bad ones are not needed. Guess.
const ENOUGH: usize = 2;
/// The longest that a peer can make us wait. Guess.
const BACKOFF_MAX: Duration = Duration::from_secs(3600);
/// gossipsub v1.0: one minute.
const FANOUT_TTL: Duration = Duration::from_secs(60);
