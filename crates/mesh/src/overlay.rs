//! Who subscribes to what, and which of them are neighbours: GRAFT, PRUNE and back-off after gossipsub v1.1,
//! <https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md>.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use braidcast_machine::{Direction, Duration, Rng, Time};
use braidcast_wire::{PeerId, Topic, limits};

use crate::{api::Config, lane::Lane};

/// Topics, and our neighbours in each.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    topics: BTreeMap<Topic, TopicMesh>,
    /// Connected peers by topic, whether or not it is ours.
    subscribers: BTreeMap<Topic, BTreeMap<PeerId, Direction>>,
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
}

/// What to tell a peer about a mesh.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Graft { peer: PeerId, topic: Topic },
    Prune { peer: PeerId, topic: Topic, backoff: Duration },
}

/// What became of a graft that a peer asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Grafted {
    /// It is a neighbour now, or was one.
    Accepted,
    /// It is told to go away.
    Refused,
    /// The same, and it was told before.
    TooSoon,
    /// We know nothing of the topic; nothing is answered and nothing remembered.
    Unknown,
}

impl Overlay {
    pub(crate) fn is_subscribed(&self, topic: &Topic) -> bool {
        self.topics.get(topic).is_some_and(|mesh| mesh.is_subscribed)
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
        let prune = |peer| Change::Prune { peer, topic: topic.clone(), backoff: LEAVE_BACKOFF };
        mesh.mesh.into_iter().map(prune).collect()
    }

    pub(crate) fn on_graft(&mut self, peer: PeerId, topic: &Topic, now: Time, config: &Config) -> Grafted {
        let Some(direction) = self.subscribers.get(topic).and_then(|peers| peers.get(&peer)).copied() else {
            return Grafted::Unknown;
        };
        let Some(mesh) = self.topics.get_mut(topic).filter(|mesh| mesh.is_subscribed) else {
            return Grafted::Unknown;
        };
        if mesh.mesh.contains(&peer) {
            return Grafted::Accepted;
        }
        if mesh.backoff.get(&peer).is_some_and(|&until| now < until) {
            mesh.backoff.insert(peer, now + PRUNE_BACKOFF);
            return Grafted::TooSoon;
        }
        // Links that we chose ourselves are welcome beyond the limit, so that inbound peers cannot fill the mesh.
        if mesh.mesh.len() >= config.mesh_max && direction == Direction::Inbound {
            mesh.backoff.insert(peer, now + PRUNE_BACKOFF);
            return Grafted::Refused;
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

    /// Takes peers in while there are fewer than wanted; a new subscriber need not wait for the heartbeat.
    pub(crate) fn fill(&mut self, topic: &Topic, now: Time, rng: &mut Rng, config: &Config) -> Vec<Change> {
        let Some(mesh) = self.topics.get_mut(topic).filter(|mesh| mesh.is_subscribed) else {
            return Vec::new();
        };
        let missing = config.mesh_target.saturating_sub(mesh.mesh.len());
        let candidates = self.subscribers.get(topic).into_iter().flat_map(|peers| peers.keys().copied());
        let may = |peer: &PeerId| {
            !mesh.mesh.contains(peer) && mesh.backoff.get(peer).is_none_or(|&until| until <= now)
        };
        let chosen = sample(candidates.filter(may).collect(), missing, rng);
        mesh.mesh.extend(&chosen);
        self.is_changed |= !chosen.is_empty();
        chosen.into_iter().map(|peer| Change::Graft { peer, topic: topic.clone() }).collect()
    }

    /// Keeps every mesh between its bounds, and forgets what is over.
    pub(crate) fn maintain(&mut self, now: Time, rng: &mut Rng, config: &Config) -> Vec<Change> {
        let mut changes = Vec::new();
        self.topics.retain(|_, mesh| {
            mesh.backoff.retain(|_, until| *until > now);
            mesh.is_subscribed || mesh.fanout_until > now
        });
        let topics: Vec<Topic> = self.subscriptions().cloned().collect();
        for topic in &topics {
            let count = self.mesh(topic).count();
            if count < config.mesh_min {
                changes.extend(self.fill(topic, now, rng, config));
            } else if count > config.mesh_max {
                changes.extend(self.thin(topic, now, rng, config));
            }
        }
        changes
    }

    /// Prunes down to the target; links that we chose ourselves stay longest.
    fn thin(&mut self, topic: &Topic, now: Time, rng: &mut Rng, config: &Config) -> Vec<Change> {
        let Some(mesh) = self.topics.get_mut(topic) else { return Vec::new() };
        let surplus = mesh.mesh.len().saturating_sub(config.mesh_target);
        let directions = self.subscribers.get(topic);
        let is_inbound =
            |peer: &PeerId| directions.and_then(|peers| peers.get(peer)) != Some(&Direction::Outbound);
        let chosen = sample(mesh.mesh.iter().copied().filter(is_inbound).collect(), surplus, rng);
        self.is_changed |= !chosen.is_empty();
        let prune = |peer: PeerId| {
            mesh.mesh.remove(&peer);
            mesh.backoff.insert(peer, now + PRUNE_BACKOFF);
            Change::Prune { peer, topic: topic.clone(), backoff: PRUNE_BACKOFF }
        };
        chosen.into_iter().map(prune).collect()
    }

    /// Whom to offer a message of our own to: the mesh, filled up with other subscribers.
    pub(crate) fn audience(
        &mut self,
        topic: &Topic,
        now: Time,
        rng: &mut Rng,
        config: &Config,
    ) -> Vec<PeerId> {
        let known = self.subscribers.get(topic);
        let is_here = |peer: &PeerId| known.is_some_and(|peers| peers.contains_key(peer));
        let mesh = self.topics.get(topic);
        let mut audience: BTreeSet<PeerId> = mesh
            .into_iter()
            .flat_map(|mesh| mesh.mesh.union(&mesh.fanout))
            .copied()
            .filter(is_here)
            .collect();
        let missing = config.mesh_target.saturating_sub(audience.len());
        let others = known.into_iter().flat_map(BTreeMap::keys).copied();
        audience.extend(sample(others.filter(|peer| !audience.contains(peer)).collect(), missing, rng));
        if !self.is_subscribed(topic) && !audience.is_empty() {
            let mesh = self.topics.entry(topic.clone()).or_default();
            mesh.fanout.clone_from(&audience);
            mesh.fanout_until = now + FANOUT_TTL;
        }
        audience.into_iter().collect()
    }

    /// The lane in which we may push to a neighbour.
    pub(crate) fn lane(&self, peer: PeerId, topic: &Topic) -> Option<Lane> {
        self.topics.get(topic)?.granted.get(&peer).copied()
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

    /// Gives new neighbours slots and closes gaps. Whose lane changed is to be told; beyond [`LANES`] neighbours, as a
    /// relay may have, the rest get none and are asked for what they announce.
    pub(crate) fn assign_lanes(&mut self) -> Vec<(PeerId, Topic, Lane)> {
        self.is_changed = false;
        let mut told = Vec::new();
        for (topic, mesh) in &mut self.topics {
            let before = mesh.slots.clone();
            mesh.slots.retain(|peer| mesh.mesh.contains(peer));
            mesh.granted.retain(|peer, _| mesh.mesh.contains(peer));
            let room = LANES.saturating_sub(mesh.slots.len());
            let fresh = mesh.mesh.iter().filter(|peer| !mesh.slots.contains(peer)).take(room).copied();
            let fresh: Vec<PeerId> = fresh.collect();
            mesh.slots.extend(fresh);
            if mesh.slots == before {
                continue;
            }
            let of = mesh.slots.len() as u32;
            let lanes = mesh.slots.iter().zip(0..);
            told.extend(lanes.map(|(&peer, slot)| (peer, topic.clone(), Lane { slot, of })));
        }
        told
    }

    /// Some subscribers that are no neighbours, to be told what we have.
    pub(crate) fn strangers(&self, topic: &Topic, count: usize, rng: &mut Rng) -> Vec<PeerId> {
        let is_stranger = |peer: &PeerId| self.topics.get(topic).is_none_or(|mesh| !mesh.mesh.contains(peer));
        sample(self.subscribers(topic).filter(is_stranger).collect(), count, rng)
    }
}

/// At most `count` of `items`, in random order.
pub(crate) fn sample<T>(mut items: Vec<T>, count: usize, rng: &mut Rng) -> Vec<T> {
    rng.shuffle(&mut items);
    items.truncate(count);
    items
}

/// Most neighbours of a topic that push unasked. Guess: above the default of `mesh_max`.
const LANES: usize = 16;
/// gossipsub v1.1: one minute.
pub(crate) const PRUNE_BACKOFF: Duration = Duration::from_secs(60);
/// gossipsub v1.1: ten seconds after leaving a topic.
const LEAVE_BACKOFF: Duration = Duration::from_secs(10);
/// The longest that a peer can make us wait. Guess.
const BACKOFF_MAX: Duration = Duration::from_secs(3600);
/// gossipsub v1.0: one minute.
const FANOUT_TTL: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn with_subscribers(count: u8, direction: Direction) -> (Overlay, Topic, Rng, Config) {
        let (mut overlay, topic) = (Overlay::default(), Topic::new("t").expect("a name"));
        for peer in 0..count {
            overlay.on_peer_joined(PeerId([peer; 32]), direction, &topic);
        }
        (overlay, topic, Rng::from_seed([1; 32]), Config::default())
    }

    #[test]
    fn fills_to_the_target_and_thins_when_too_many() {
        let (mut overlay, topic, mut rng, config) = with_subscribers(30, Direction::Inbound);
        overlay.subscribe(&topic);
        assert_eq!(overlay.fill(&topic, Time::ZERO, &mut rng, &config).len(), 8);
        for peer in 0..30 {
            overlay.on_graft(PeerId([peer; 32]), &topic, Time::ZERO, &config);
        }
        assert_eq!(overlay.mesh(&topic).count(), 12, "inbound grafts stop at mesh_max");
        let roomy = Config { mesh_max: 30, ..config.clone() };
        // Those refused have to wait for their back-off.
        let later = Time::ZERO + PRUNE_BACKOFF;
        for peer in 0..30 {
            assert_eq!(overlay.on_graft(PeerId([peer; 32]), &topic, later, &roomy), Grafted::Accepted);
        }
        assert_eq!(overlay.maintain(later, &mut rng, &config).len(), 22);
        assert_eq!(overlay.mesh(&topic).count(), 8);
    }

    #[test]
    fn a_graft_within_the_backoff_is_refused() {
        let (mut overlay, topic, _, config) = with_subscribers(1, Direction::Inbound);
        let peer = PeerId([0; 32]);
        overlay.subscribe(&topic);
        assert_eq!(overlay.on_graft(peer, &topic, Time::ZERO, &config), Grafted::Accepted);
        assert!(overlay.on_prune(peer, &topic, Duration::from_secs(u64::MAX), Time::ZERO));
        let hour = Time::ZERO + Duration::from_secs(3599);
        assert_eq!(overlay.on_graft(peer, &topic, hour, &config), Grafted::TooSoon);
    }

    #[test]
    fn a_graft_for_an_unknown_topic_leaves_nothing_behind() {
        let (mut overlay, _, _, config) = with_subscribers(1, Direction::Inbound);
        let other = Topic::new("other").expect("a name");
        assert_eq!(overlay.on_graft(PeerId([0; 32]), &other, Time::ZERO, &config), Grafted::Unknown);
        assert!(!overlay.on_prune(PeerId([0; 32]), &other, PRUNE_BACKOFF, Time::ZERO));
        assert!(overlay.topics.is_empty());
    }

    #[test]
    fn lanes_are_told_to_those_whose_lane_changed() {
        let (mut overlay, topic, _, config) = with_subscribers(40, Direction::Inbound);
        overlay.subscribe(&topic);
        let roomy = Config { mesh_max: 40, ..config };
        let graft = |overlay: &mut Overlay, peer: u8| {
            overlay.on_graft(PeerId([peer; 32]), &topic, Time::ZERO, &roomy);
            overlay.assign_lanes()
        };
        assert_eq!(graft(&mut overlay, 0), [(PeerId([0; 32]), topic.clone(), Lane { slot: 0, of: 1 })]);
        assert_eq!(graft(&mut overlay, 1).len(), 2, "there are more lanes now");
        let told: usize = (2..40).map(|peer| graft(&mut overlay, peer).len()).sum();
        assert_eq!(told, (3..=16).sum::<usize>(), "beyond 16 nobody is told");
        overlay.on_peer_left(PeerId([0; 32]), &topic);
        let told = overlay.assign_lanes();
        assert_eq!(told.len(), 16);
        assert!(told.iter().any(|(peer, _, _)| *peer == PeerId([16; 32])), "the next moves in");
        assert!(!overlay.is_lane_due());
    }

    #[test]
    fn links_of_our_own_choice_survive_thinning() {
        let (mut overlay, topic, mut rng, config) = with_subscribers(20, Direction::Inbound);
        overlay.subscribe(&topic);
        for peer in 100..105 {
            overlay.on_peer_joined(PeerId([peer; 32]), Direction::Outbound, &topic);
        }
        let roomy = Config { mesh_max: 30, ..config.clone() };
        for peer in (0..20).chain(100..105) {
            overlay.on_graft(PeerId([peer; 32]), &topic, Time::ZERO, &roomy);
        }
        overlay.maintain(Time::ZERO, &mut rng, &config);
        assert_eq!(overlay.mesh(&topic).filter(|peer| peer.0[0] >= 100).count(), 5);
    }
}
