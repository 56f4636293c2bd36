//! Who is taken into a mesh and who is let go.

use alloc::vec::Vec;

use braidcast_machine::{Direction, Duration, Rng, Time};
use braidcast_wire::{PeerId, Topic};

use super::{Change, ENOUGH, Overlay, PRUNE_BACKOFF, TopicMesh, sample};
use crate::{params::Params, score::Scores, trace::Parting};

/// What a choice of neighbours depends on.
pub(crate) struct Scene<'a> {
    pub(crate) now: Time,
    pub(crate) params: &'a Params,
    pub(crate) scores: &'a Scores,
    pub(crate) rng: &'a mut Rng,
}

impl Overlay {
    /// Takes in a new subscriber at once while there are hardly any neighbours; else it waits for the heartbeat, when
    /// round trips are known.
    pub(crate) fn welcome(&mut self, peer: PeerId, topic: &Topic, scene: &Scene<'_>) -> Vec<Change> {
        let may = self.candidates(topic, scene).any(|(candidate, _)| candidate == peer);
        if !may
            || !scene.scores.is_welcome(peer)
            || self.mesh(topic).count() >= AT_ONCE.min(scene.params.of(topic).mesh_target)
        {
            return Vec::new();
        }
        self.graft(topic, alloc::vec![peer])
    }

    /// Takes in half of those that are missing, since others take us in meanwhile.
    pub(crate) fn fill(&mut self, topic: &Topic, scene: &mut Scene<'_>) -> Vec<Change> {
        let target = scene.params.of(topic).mesh_target;
        let missing = target.saturating_sub(self.mesh(topic).count()).div_ceil(2);
        let mut changes = self.fill_quota(topic, missing, scene);
        let missing = missing - changes.len();
        let candidates = scene.rng.shuffled(self.candidates(topic, scene).map(|(peer, _)| peer));
        let (good, bad): (Vec<PeerId>, Vec<PeerId>) =
            candidates.into_iter().partition(|&peer| scene.scores.is_welcome(peer));
        // Better than nobody.
        let few = ENOUGH.saturating_sub(self.mesh(topic).count() + good.len());
        let mut chosen = self.pick(good, missing);
        chosen.extend(bad.into_iter().take(few));
        changes.extend(self.graft(topic, chosen));
        changes
    }

    /// Takes in links of our own choice, at most `most`, as long as they are fewer than a quarter of the target: whoever
    /// comes to us by the thousand cannot take the whole mesh (gossipsub's D_out).
    fn fill_quota(&mut self, topic: &Topic, most: usize, scene: &mut Scene<'_>) -> Vec<Change> {
        let outbound = self.mesh(topic).filter(|&peer| self.is_outbound(peer, topic)).count();
        let missing = (scene.params.of(topic).mesh_target / 4).saturating_sub(outbound).min(most);
        let ours = self
            .candidates(topic, scene)
            .filter(|&(peer, direction)| direction == Direction::Outbound && scene.scores.is_welcome(peer));
        let chosen = sample(ours.map(|(peer, _)| peer).collect(), missing, scene.rng);
        self.graft(topic, chosen)
    }

    /// Subscribers that may be grafted.
    pub(super) fn candidates(
        &self,
        topic: &Topic,
        scene: &Scene<'_>,
    ) -> impl Iterator<Item = (PeerId, Direction)> + '_ {
        let now = scene.now;
        let mesh = self.topics.get(topic).filter(|mesh| mesh.is_subscribed);
        let known = mesh.and_then(|_| self.subscribers.get(topic)).into_iter().flatten();
        let may = move |peer: &PeerId| {
            mesh.is_some_and(|mesh| {
                !mesh.mesh.contains(peer) && mesh.backoff.get(peer).is_none_or(|&until| until <= now)
            })
        };
        known.map(|(&peer, &direction)| (peer, direction)).filter(move |(peer, _)| may(peer))
    }

    pub(super) fn is_outbound(&self, peer: PeerId, topic: &Topic) -> bool {
        self.subscribers.get(topic).and_then(|peers| peers.get(&peer)) == Some(&Direction::Outbound)
    }

    pub(super) fn graft(&mut self, topic: &Topic, chosen: Vec<PeerId>) -> Vec<Change> {
        let Some(mesh) = self.topics.get_mut(topic) else { return Vec::new() };
        mesh.mesh.extend(&chosen);
        self.is_changed |= !chosen.is_empty();
        chosen.into_iter().map(|peer| Change::Graft { peer, topic: topic.clone() }).collect()
    }

    pub(super) fn prune(
        &mut self,
        topic: &Topic,
        chosen: Vec<PeerId>,
        why: Parting,
        now: Time,
    ) -> Vec<Change> {
        let Some(mesh) = self.topics.get_mut(topic) else { return Vec::new() };
        self.is_changed |= !chosen.is_empty();
        let prune = |peer: PeerId| {
            mesh.mesh.remove(&peer);
            mesh.backoff.insert(peer, now + PRUNE_BACKOFF);
            Change::Prune { peer, topic: topic.clone(), why }
        };
        chosen.into_iter().map(prune).collect()
    }

    /// Keeps every mesh between its bounds and free of those that are of no use, and forgets what is over.
    pub(crate) fn maintain(&mut self, scene: &mut Scene<'_>) -> Vec<Change> {
        let now = scene.now;
        let mut changes = Vec::new();
        self.topics.retain(|_, mesh| {
            mesh.backoff.retain(|_, until| *until > now);
            mesh.is_subscribed || mesh.fanout_until > now
        });
        let topics: Vec<Topic> = self.subscriptions().cloned().collect();
        for topic in &topics {
            changes.extend(self.weed(topic, scene));
            let count = self.mesh(topic).count();
            let params = scene.params.of(topic);
            if count < params.mesh_min.midpoint(params.mesh_target) {
                changes.extend(self.fill(topic, scene));
            } else if count > params.mesh_max {
                changes.extend(self.thin(topic, scene));
            } else {
                changes.extend(self.fill_quota(topic, usize::MAX, scene));
                changes.extend(self.improve(topic, scene));
                changes.extend(self.approach(topic, scene));
            }
        }
        changes
    }

    /// Prunes those that are of no use, once enough others are: when nobody serves us, it is hardly their fault.
    fn weed(&mut self, topic: &Topic, scene: &Scene<'_>) -> Vec<Change> {
        let scores = scene.scores;
        let is_useful = |&peer: &PeerId| scores.is_welcome(peer) && scores.useful_bytes(peer) > 0;
        let useful = self.mesh(topic).filter(is_useful).count();
        let bad: Vec<PeerId> = self.mesh(topic).filter(|&peer| !scores.is_welcome(peer)).collect();
        if useful >= ENOUGH {
            return self.prune(topic, bad, Parting::Unwelcome, scene.now);
        }
        // Those that stay lose their lanes.
        let has_lane = |mesh: &TopicMesh| mesh.slots.iter().any(|peer| bad.contains(peer));
        self.is_changed |= self.topics.get(topic).is_some_and(has_lane);
        Vec::new()
    }

    /// Prunes down to the target, and those that we chose ourselves only down to the limit. The most useful stay, and
    /// the rest is chance, so that who was useful first cannot take all places.
    fn thin(&mut self, topic: &Topic, scene: &mut Scene<'_>) -> Vec<Change> {
        let scores = scene.scores;
        let mut ranked = scene.rng.shuffled(self.mesh(topic));
        ranked.sort_by_key(|&peer| core::cmp::Reverse(scores.useful_bytes(peer)));
        let count = ranked.len();
        let (ours, theirs): (Vec<PeerId>, Vec<PeerId>) = scene
            .rng
            .shuffled(ranked.split_off(count.min(BEST)))
            .into_iter()
            .partition(|&peer| self.is_outbound(peer, topic));
        let surplus = count.saturating_sub(scene.params.of(topic).mesh_target);
        let mut chosen: Vec<PeerId> = theirs.into_iter().take(surplus).collect();
        let beyond = count.saturating_sub(chosen.len() + scene.params.of(topic).mesh_max);
        chosen.extend(ours.into_iter().take(beyond));
        self.prune(topic, chosen, Parting::Surplus, scene.now)
    }

    /// Once in a while, takes in peers that were of far more use than our neighbours: gossipsub's opportunistic graft.
    fn improve(&mut self, topic: &Topic, scene: &Scene<'_>) -> Vec<Change> {
        let now = scene.now;
        let Some(mesh) = self.topics.get_mut(topic).filter(|mesh| mesh.better_at <= now) else {
            return Vec::new();
        };
        mesh.better_at = now + IMPROVE_PERIOD;
        let mut ranks: Vec<u64> = mesh.mesh.iter().map(|&peer| scene.scores.useful_bytes(peer)).collect();
        ranks.sort_unstable();
        let median = ranks.get(ranks.len() / 2).copied().unwrap_or(0);
        let useful_bytes = |peer| scene.scores.useful_bytes(peer);
        let is_better =
            |&peer: &PeerId| scene.scores.is_welcome(peer) && useful_bytes(peer) > median.saturating_mul(2);
        let mut better: Vec<PeerId> =
            self.candidates(topic, scene).map(|(peer, _)| peer).filter(is_better).collect();
        better.sort_by_key(|&peer| core::cmp::Reverse(useful_bytes(peer)));
        better.truncate(IMPROVE_PEERS);
        self.graft(topic, better)
    }
}

/// Neighbours that a mesh gets without waiting for the heartbeat. Guess.
const AT_ONCE: usize = 2;
/// gossipsub's D_score.
const BEST: usize = 4;
/// gossipsub's opportunisticGraftTicks, in seconds.
const IMPROVE_PERIOD: Duration = Duration::from_secs(60);
/// gossipsub's opportunisticGraftPeers.
const IMPROVE_PEERS: usize = 2;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::{
        lane::Lane,
        overlay::Grafted,
        params::{CheckedParams, TopicParams},
        trace::Refusal,
    };

    struct Fixture {
        overlay: Overlay,
        topic: Topic,
        rng: Rng,
        params: Params,
        scores: Scores,
        now: Time,
    }

    impl Fixture {
        /// Subscribed, with peers 0 to `count`.
        fn new(count: u8, direction: Direction) -> Self {
            let mut fixture = Self {
                overlay: Overlay::default(),
                topic: Topic::new("t").expect("a name"),
                rng: Rng::from_seed([1; 32]),
                params: Params::new(CheckedParams::default()),
                scores: Scores::default(),
                now: Time::ZERO,
            };
            fixture.overlay.subscribe(&fixture.topic);
            fixture.know(0..count, direction);
            fixture
        }

        fn know(&mut self, peers: impl IntoIterator<Item = u8>, direction: Direction) {
            peers.into_iter().for_each(|at| self.overlay.on_peer_joined(peer(at), direction, &self.topic));
        }

        fn with<T>(&mut self, what: impl FnOnce(&mut Overlay, &Topic, &mut Scene<'_>) -> T) -> T {
            let (now, params, scores) = (self.now, &self.params, &self.scores);
            let mut scene = Scene { now, params, scores, rng: &mut self.rng };
            what(&mut self.overlay, &self.topic, &mut scene)
        }

        fn graft(&mut self, at: u8) -> Grafted {
            self.with(|overlay, topic, scene| overlay.on_graft(peer(at), topic, scene))
        }

        /// As several heartbeats do.
        fn fill(&mut self) -> Vec<Change> {
            let fill =
                |overlay: &mut Overlay, topic: &Topic, scene: &mut Scene<'_>| overlay.fill(topic, scene);
            (0..4).flat_map(|_| self.with(fill)).collect()
        }

        fn maintain(&mut self) -> Vec<Change> {
            self.with(|overlay, _, scene| overlay.maintain(scene))
        }

        fn mesh(&self) -> Vec<u8> {
            self.overlay.mesh(&self.topic).map(|peer| peer.0[0]).collect()
        }

        fn limit(&mut self, mesh_max: usize) {
            let params = TopicParams { mesh_max, ..TopicParams::default() };
            self.params = Params::new(params.checked().expect("they fit"));
        }

        fn be_silent(&mut self, at: u8) {
            assert!((0..3).any(|_| self.scores.on_unserved(peer(at))));
        }
    }

    fn peer(at: u8) -> PeerId {
        PeerId([at; 32])
    }

    #[test]
    fn fills_to_the_target_and_thins_when_too_many() {
        let mut fixture = Fixture::new(30, Direction::Inbound);
        assert_eq!(fixture.fill().len(), 8);
        (0..30).for_each(|at| assert_ne!(fixture.graft(at), Grafted::Unknown));
        assert_eq!(fixture.mesh().len(), 12, "inbound grafts stop at mesh_max");
        // Those refused have to wait for their back-off.
        fixture.now = Time::ZERO + PRUNE_BACKOFF;
        fixture.limit(30);
        assert!((0..30).all(|at| fixture.graft(at) == Grafted::Accepted));
        fixture.limit(12);
        assert_eq!(fixture.maintain().len(), 22);
        assert_eq!(fixture.mesh().len(), 8);
    }

    #[test]
    fn half_of_a_mesh_are_the_nearest() {
        let mut fixture = Fixture::new(40, Direction::Inbound);
        (0..40).for_each(|at| fixture.overlay.set_round_trip(peer(at), Duration::from_millis(100)));
        fixture.fill();
        let near: Vec<u8> = (0..40).filter(|at| !fixture.mesh().contains(at)).take(6).collect();
        near.iter().for_each(|&at| fixture.overlay.set_round_trip(peer(at), Duration::from_millis(10)));
        (0..20).for_each(|_| drop(fixture.maintain()));
        let mesh = fixture.mesh();
        assert_eq!(mesh.iter().filter(|at| near.contains(at)).count(), 4, "{mesh:?}");
        assert_eq!(mesh.len(), 8);
    }

    #[test]
    fn only_the_first_two_are_taken_in_at_once() {
        let mut fixture = Fixture::new(4, Direction::Inbound);
        let welcome = |fixture: &mut Fixture, at| {
            fixture.with(|overlay, topic, scene| overlay.welcome(peer(at), topic, scene).len())
        };
        assert_eq!((0..4).map(|at| welcome(&mut fixture, at)).collect::<Vec<_>>(), [1, 1, 0, 0]);
    }

    #[test]
    fn a_graft_within_the_backoff_is_refused() {
        let mut fixture = Fixture::new(1, Direction::Inbound);
        assert_eq!(fixture.graft(0), Grafted::Accepted);
        let forever = Duration::from_secs(u64::MAX);
        assert!(fixture.overlay.on_prune(peer(0), &fixture.topic, forever, Time::ZERO));
        fixture.now = Time::ZERO + Duration::from_secs(3599);
        assert_eq!(fixture.graft(0), Grafted::Refused(Refusal::TooSoon));
    }

    #[test]
    fn a_graft_for_an_unknown_topic_leaves_nothing_behind() {
        let mut fixture = Fixture::new(1, Direction::Inbound);
        fixture.overlay.unsubscribe(&fixture.topic);
        assert_eq!(fixture.graft(0), Grafted::Unknown);
        assert!(!fixture.overlay.on_prune(peer(0), &fixture.topic, PRUNE_BACKOFF, Time::ZERO));
        assert!(fixture.overlay.topics.is_empty());
    }

    #[test]
    fn lanes_are_told_to_those_whose_lane_changed() {
        let mut fixture = Fixture::new(40, Direction::Inbound);
        fixture.limit(40);
        let mut graft = |at: u8| {
            fixture.graft(at);
            fixture.overlay.assign_lanes(&fixture.scores)
        };
        let topic = Topic::new("t").expect("a name");
        assert_eq!(graft(0), [(peer(0), topic, Lane { slot: 0, of: 1 })]);
        assert_eq!(graft(1).len(), 2, "there are more lanes now");
        let told: usize = (2..40).map(|at| graft(at).len()).sum();
        assert_eq!(told, (3..=16).sum::<usize>(), "beyond 16 nobody is told");
        fixture.overlay.on_peer_left(peer(0), &fixture.topic);
        let told = fixture.overlay.assign_lanes(&fixture.scores);
        assert_eq!(told.len(), 16);
        assert!(told.iter().any(|(peer, _, _)| peer.0[0] == 16), "the next moves in");
        assert!(!fixture.overlay.is_lane_due());
    }

    #[test]
    fn links_of_our_own_choice_and_the_most_useful_survive_thinning() {
        let mut fixture = Fixture::new(20, Direction::Inbound);
        fixture.know(100..105, Direction::Outbound);
        fixture.limit(30);
        (0..20).chain(100..105).for_each(|at| assert_ne!(fixture.graft(at), Grafted::Unknown));
        fixture.limit(12);
        fixture.scores.on_useful(peer(7), 1);
        fixture.maintain();
        let mesh = fixture.mesh();
        assert_eq!(mesh.iter().filter(|&&at| at >= 100).count(), 5);
        assert!(mesh.len() == 8 && mesh.contains(&7), "{mesh:?}");
    }

    #[test]
    fn inbound_peers_never_take_all_places() {
        let mut fixture = Fixture::new(200, Direction::Inbound);
        fixture.know([250, 251, 252], Direction::Outbound);
        fixture.fill();
        assert_eq!(fixture.mesh().iter().filter(|&&at| at >= 250).count(), 2);
        fixture.overlay.on_peer_left(peer(250), &fixture.topic);
        fixture.overlay.on_peer_left(peer(251), &fixture.topic);
        (0..12).for_each(|at| assert_ne!(fixture.graft(at), Grafted::Unknown));
        fixture.maintain();
        assert!(fixture.mesh().contains(&252), "also when the mesh is full");
    }

    #[test]
    fn the_silent_are_pruned_when_others_serve_and_stay_out() {
        let mut fixture = Fixture::new(4, Direction::Inbound);
        fixture.fill();
        [0, 1].into_iter().for_each(|at| fixture.be_silent(at));
        assert_eq!(fixture.maintain(), [], "nobody serves: it may be us");
        let lanes = fixture.overlay.assign_lanes(&fixture.scores);
        assert_eq!(lanes.iter().map(|(peer, _, _)| peer.0[0]).collect::<Vec<_>>(), [2, 3]);
        [2, 3].into_iter().for_each(|at| fixture.scores.on_useful(peer(at), 1));
        assert_eq!(fixture.maintain().len(), 2);
        assert_eq!(fixture.mesh(), [2, 3]);
        fixture.now = Time::ZERO + PRUNE_BACKOFF;
        assert_eq!(fixture.maintain(), []);
        assert_eq!(fixture.graft(0), Grafted::Refused(Refusal::Unwelcome));
        // But better they than nobody.
        fixture.overlay.on_peer_left(peer(2), &fixture.topic);
        fixture.now = fixture.now + PRUNE_BACKOFF;
        fixture.maintain();
        assert_eq!(fixture.mesh().len(), 2);
    }

    #[test]
    fn far_more_useful_peers_are_taken_in_once_in_a_while() {
        let mut fixture = Fixture::new(30, Direction::Inbound);
        fixture.fill();
        fixture.maintain();
        let outside = (0..30).find(|at| !fixture.mesh().contains(at)).expect("22 of them");
        fixture.scores.on_useful(peer(outside), 5_000);
        assert_eq!(fixture.maintain(), []);
        fixture.now = Time::ZERO + IMPROVE_PERIOD;
        let topic = fixture.topic.clone();
        assert_eq!(fixture.maintain(), [Change::Graft { peer: peer(outside), topic }]);
    }
}
