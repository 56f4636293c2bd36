//! Who is taken into a mesh and who is let go.

use alloc::{collections::BTreeSet, vec::Vec};

use braidcast_machine::{Direction, Duration, Rng, Time};
use braidcast_wire::{PeerId, Topic};

use super::{Change, ENOUGH, Overlay, TopicMesh, ranked, sample};
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
        let has_others = self.has_others(topic);
        known
            .map(|(&peer, &direction)| (peer, direction))
            .filter(move |(peer, _)| may(peer) && !(has_others && self.last_resorts.contains(peer)))
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
            mesh.backoff.insert(peer, now + why.backoff());
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
            changes.extend(self.spare(topic, scene));
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
        let best_first = ranked(scene.rng.shuffled(self.mesh(topic)), |peer| !scores.useful_bytes(peer));
        let count = best_first.len();
        let others = best_first.into_iter().skip(BEST).map(|(_, peer)| peer);
        let (ours, theirs): (Vec<PeerId>, Vec<PeerId>) =
            scene.rng.shuffled(others).into_iter().partition(|&peer| self.is_outbound(peer, topic));
        let surplus = count.saturating_sub(scene.params.of(topic).mesh_target);
        let mut chosen: Vec<PeerId> = theirs.into_iter().take(surplus).collect();
        let beyond = count.saturating_sub(chosen.len() + scene.params.of(topic).mesh_max);
        chosen.extend(ours.into_iter().take(beyond));
        self.prune(topic, chosen, Parting::Surplus, scene.now)
    }

    /// Once in a while, takes in peers that were of far more use than our neighbours: gossipsub's opportunistic graft.
    fn improve(&mut self, topic: &Topic, scene: &mut Scene<'_>) -> Vec<Change> {
        let now = scene.now;
        let Some(mesh) = self.topics.get_mut(topic).filter(|mesh| mesh.better_at <= now) else {
            return Vec::new();
        };
        mesh.better_at = now + IMPROVE_PERIOD;
        let mut changes = self.rotate(topic, scene);
        let Some(mesh) = self.topics.get(topic) else { return changes };
        let useful_bytes = |peer| scene.scores.useful_bytes(peer);
        let neighbours = ranked(mesh.mesh.iter().copied(), useful_bytes);
        let median = neighbours.get(neighbours.len() / 2).map_or(0, |&(useful, _)| useful);
        let is_better =
            |&peer: &PeerId| scene.scores.is_welcome(peer) && useful_bytes(peer) > median.saturating_mul(2);
        let better = self.candidates(topic, scene).map(|(peer, _)| peer).filter(is_better);
        let better = ranked(better, |peer| !useful_bytes(peer)).into_iter().take(IMPROVE_PEERS);
        changes.extend(self.graft(topic, better.map(|(_, peer)| peer).collect()));
        changes
    }

    /// Those that came to us and sent nothing from one look to the next make room for others, while most neighbours
    /// send: they may take without giving, or only be behind. A node that takes everyone keeps them.
    fn rotate(&mut self, topic: &Topic, scene: &mut Scene<'_>) -> Vec<Change> {
        let (params, sent) = (scene.params.of(topic), |peer| scene.scores.of(peer).sent);
        let idle = self.mesh(topic).filter(|&peer| sent(peer) == 0 && !self.is_outbound(peer, topic));
        let idle: BTreeSet<PeerId> = idle.collect();
        let count = self.mesh(topic).count();
        let busy = self.mesh(topic).filter(|&peer| sent(peer) >= BUSY).count();
        let others = self.candidates(topic, scene).map(|(peer, _)| peer);
        let others: Vec<PeerId> = others.filter(|&peer| scene.scores.is_welcome(peer)).collect();
        let Some(mesh) = self.topics.get_mut(topic) else { return Vec::new() };
        let before = core::mem::replace(&mut mesh.idle, idle);
        let takes_everyone = params.mesh_max > 2 * params.mesh_target;
        if takes_everyone || count < params.mesh_target || busy * 2 < count {
            return Vec::new();
        }
        let chosen = mesh.idle.intersection(&before).copied();
        let chosen: Vec<PeerId> = chosen.take(others.len().min(IMPROVE_PEERS)).collect();
        let others = sample(others, chosen.len(), scene.rng);
        let mut changes = self.prune(topic, chosen, Parting::Idle, scene.now);
        changes.extend(self.graft(topic, others));
        changes
    }
}

/// Neighbours that a mesh gets without waiting for the heartbeat. Guess.
const AT_ONCE: usize = 2;
/// gossipsub's D_score.
const BEST: usize = 4;
/// gossipsub's opportunisticGraftTicks, in seconds.
pub(super) const IMPROVE_PERIOD: Duration = Duration::from_secs(60);
/// Pieces and small messages of late that show that a peer sends. Guess.
const BUSY: u32 = 4;
/// gossipsub's opportunisticGraftPeers.
const IMPROVE_PEERS: usize = 2;
