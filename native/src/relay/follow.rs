//! Which topics the relay subscribes to: those of its peers. So a message from one browser tab reaches another that
//! only the relay connects it to, and the relay knows no topic's name in advance.
//!
//! [`Follow`] decides and does no I/O; [`run`] carries its decisions to the node.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use braidcast_net::{Divide, Event, Events, Node, PeerId, Stopped, Topic};

use super::metrics::Counters;
use crate::{platform, sanitise};

/// How long a topic is kept after its last peer left: a page that is reloaded finds its mesh as it was, and the newest
/// messages are still there to be asked for.
pub(crate) const GRACE: Duration = Duration::from_secs(60);

/// How often topics are looked through for an end of grace.
const TICK: Duration = Duration::from_secs(1);

/// A decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Subscribe(Topic),
    Unsubscribe(Topic),
}

/// The topics and who is there.
#[derive(Debug)]
pub(crate) struct Follow {
    max_topics: usize,
    grace: Duration,
    /// Closed topics that the relay is a member of, and always subscribes to.
    kept: BTreeSet<Topic>,
    topics: BTreeMap<Topic, Followed>,
    refused: u64,
    /// Some topic was refused that may fit when another is dropped.
    waiting: bool,
}

#[derive(Debug)]
struct Followed {
    peers: BTreeSet<PeerId>,
    /// When the last peer left, and the topic is dropped after a while.
    empty_since: Option<Instant>,
    /// A peer asked for a proof of membership that the relay does not have.
    is_closed: bool,
}

impl Follow {
    /// Follows `max_topics` topics at most, and leaves those of `kept` alone.
    pub(crate) fn new(max_topics: usize, grace: Duration, kept: BTreeSet<Topic>) -> Self {
        Self { max_topics, grace, kept, topics: BTreeMap::new(), refused: 0, waiting: false }
    }

    /// Topics followed now.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }

    /// Times that a topic was not followed because there were too many.
    pub(crate) fn refused(&self) -> u64 {
        self.refused
    }

    /// True when a topic that was refused may have a place now: a census would find it.
    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting && self.len() < self.max_topics
    }

    /// A peer subscribed. A topic without peers gives way to a new one.
    pub(crate) fn on_joined(&mut self, peer: PeerId, topic: &Topic) -> Vec<Decision> {
        if self.kept.contains(topic) {
            return Vec::new();
        }
        if let Some(followed) = self.topics.get_mut(topic) {
            followed.peers.insert(peer);
            followed.empty_since = None;
            return Vec::new();
        }
        let mut decisions = Vec::new();
        if self.len() >= self.max_topics {
            let Some(topic) = self.longest_empty() else {
                self.refused += 1;
                self.waiting = true;
                return decisions;
            };
            self.topics.remove(&topic);
            decisions.push(Decision::Unsubscribe(topic));
        }
        self.topics
            .insert(topic.clone(), Followed { peers: [peer].into(), empty_since: None, is_closed: false });
        decisions.push(Decision::Subscribe(topic.clone()));
        decisions
    }

    /// A peer unsubscribed.
    pub(crate) fn on_left(&mut self, now: Instant, peer: PeerId, topic: &Topic) {
        if let Some(followed) = self.topics.get_mut(topic) {
            followed.retain(now, |present| present != peer);
        }
    }

    /// A member of a closed topic says that the relay is none. True the first time: whoever says so for an open topic changes
    /// nothing but that.
    pub(crate) fn on_closed(&mut self, topic: &Topic) -> bool {
        self.topics.get_mut(topic).is_some_and(|followed| !std::mem::replace(&mut followed.is_closed, true))
    }

    /// Topics followed now that some peer holds for closed.
    pub(crate) fn closed(&self) -> usize {
        self.topics.values().filter(|followed| followed.is_closed).count()
    }

    /// Who is where, all of it: repairs what was missed.
    pub(crate) fn on_census(&mut self, now: Instant, present: &BTreeSet<(PeerId, Topic)>) -> Vec<Decision> {
        self.waiting = false;
        for (topic, followed) in &mut self.topics {
            followed.retain(now, |peer| present.contains(&(peer, topic.clone())));
        }
        present.iter().flat_map(|(peer, topic)| self.on_joined(*peer, topic)).collect()
    }

    /// Drops the topics whose grace has run out.
    pub(crate) fn on_tick(&mut self, now: Instant) -> Vec<Decision> {
        let over = |followed: &Followed| followed.empty_since.is_some_and(|since| now >= since + self.grace);
        let dropped: Vec<_> = self
            .topics
            .iter()
            .filter(|(_, followed)| over(followed))
            .map(|(topic, _)| topic.clone())
            .collect();
        dropped.iter().for_each(|topic| drop(self.topics.remove(topic)));
        dropped.into_iter().map(Decision::Unsubscribe).collect()
    }

    fn longest_empty(&self) -> Option<Topic> {
        let empty = self.topics.iter().filter_map(|(topic, followed)| Some((followed.empty_since?, topic)));
        empty.min().map(|(_, topic)| topic.clone())
    }
}

impl Followed {
    fn retain(&mut self, now: Instant, mut keep: impl FnMut(PeerId) -> bool) {
        self.peers.retain(|peer| keep(*peer));
        if self.peers.is_empty() {
            self.empty_since.get_or_insert(now);
        }
    }
}

/// Follows until the node stops. Messages are taken from the inbox and dropped at once: the mesh has spread them.
pub(crate) async fn run(node: Node, mut events: Events, mut follow: Follow, counters: Arc<Counters>) {
    let mut tick = tokio::time::interval(TICK);
    let mut missed = false;
    loop {
        let decisions = tokio::select! {
            event = events.next() => match event {
                Some(Event::Lagged { .. }) => {
                    missed = true;
                    continue;
                }
                Some(event) => on_event(&mut follow, event),
                None => return,
            },
            _ = tick.tick() => follow.on_tick(platform::now()),
        };
        let done = async {
            carry_out(&node, decisions).await?;
            if std::mem::take(&mut missed) || follow.is_waiting() {
                let census = census(&node).await?;
                carry_out(&node, follow.on_census(platform::now(), &census)).await?;
            }
            Ok::<_, Stopped>(())
        };
        if done.await.is_err() {
            return;
        }
        counters.topics.store(follow.len() as u64, Relaxed);
        counters.topics_refused.store(follow.refused(), Relaxed);
        counters.topics_closed.store(follow.closed() as u64, Relaxed);
    }
}

fn on_event(follow: &mut Follow, event: Event) -> Vec<Decision> {
    match event {
        Event::Joined { peer, topic } => return follow.on_joined(peer, &topic),
        Event::Left { peer, topic } => follow.on_left(platform::now(), peer, &topic),
        Event::PeerConnected(peer) => {
            tracing::debug!(peer = %peer.id, address = %peer.address, agent = ?peer.agent, "peer connected");
        }
        Event::PeerDisconnected { id } => tracing::debug!(peer = %id, "peer disconnected"),
        Event::Outsider { peer, topic, why: Divide::NoKey } => {
            if follow.on_closed(&topic) {
                let topic = sanitise::line(topic.as_str());
                tracing::info!(%peer, topic, "closed: members are introduced, nothing is carried; see --closed-topic");
            }
        }
        Event::Exhausted { .. }
        | Event::Outsider { .. }
        | Event::Lagged { .. }
        | Event::Message(_)
        | Event::Progress(_)
        | Event::Reached { .. }
        | Event::RelayConnected { .. }
        | Event::RelayLost { .. } => {}
    }
    Vec::new()
}

async fn carry_out(node: &Node, decisions: Vec<Decision>) -> Result<(), Stopped> {
    for decision in decisions {
        match decision {
            Decision::Subscribe(topic) => node.subscribe(topic).await?,
            Decision::Unsubscribe(topic) => node.unsubscribe(topic).await?,
        }
    }
    Ok(())
}

async fn census(node: &Node) -> Result<BTreeSet<(PeerId, Topic)>, Stopped> {
    let peers = node.peers().await?;
    Ok(peers
        .into_iter()
        .flat_map(|peer| peer.topics.into_iter().map(move |topic| (peer.id, topic)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: PeerId = PeerId([1; 32]);
    const BOB: PeerId = PeerId([2; 32]);
    const SECOND: Duration = Duration::from_secs(1);

    fn topic(name: &str) -> Topic {
        Topic::new(name).unwrap()
    }

    fn subscribe(name: &str) -> Decision {
        Decision::Subscribe(topic(name))
    }

    fn unsubscribe(name: &str) -> Decision {
        Decision::Unsubscribe(topic(name))
    }

    #[test]
    fn follows_from_the_first_peer_until_a_while_after_the_last() {
        let (mut follow, start) = (Follow::new(8, SECOND, BTreeSet::new()), platform::now());
        assert_eq!(follow.on_joined(ADA, &topic("a")), [subscribe("a")]);
        assert_eq!(follow.on_joined(ADA, &topic("a")), []);
        assert_eq!(follow.on_joined(BOB, &topic("a")), []);
        follow.on_left(start, ADA, &topic("a"));
        assert_eq!(follow.on_tick(start + 2 * SECOND), []);
        follow.on_left(start + 2 * SECOND, BOB, &topic("a"));
        // Said again; the first time counts.
        follow.on_left(start + SECOND * 5 / 2, BOB, &topic("a"));
        assert_eq!(follow.on_tick(start + SECOND * 5 / 2), []);
        assert_eq!(follow.on_tick(start + 3 * SECOND), [unsubscribe("a")]);
        assert_eq!(follow.len(), 0);
    }

    #[test]
    fn a_peer_that_comes_back_in_time_keeps_its_topic() {
        let (mut follow, start) = (Follow::new(8, SECOND, BTreeSet::new()), platform::now());
        follow.on_joined(ADA, &topic("a"));
        follow.on_left(start, ADA, &topic("a"));
        assert_eq!(follow.on_joined(ADA, &topic("a")), []);
        assert_eq!(follow.on_tick(start + 2 * SECOND), []);
    }

    #[test]
    fn a_full_relay_drops_the_topic_that_is_empty_longest_and_else_refuses() {
        let (mut follow, start) = (Follow::new(2, SECOND, BTreeSet::new()), platform::now());
        follow.on_joined(ADA, &topic("a"));
        follow.on_joined(ADA, &topic("b"));
        assert_eq!(follow.on_joined(BOB, &topic("c")), []);
        assert_eq!((follow.refused(), follow.is_waiting()), (1, false));
        follow.on_left(start, ADA, &topic("b"));
        follow.on_left(start + SECOND / 2, ADA, &topic("a"));
        assert_eq!(follow.on_joined(BOB, &topic("d")), [unsubscribe("b"), subscribe("d")]);
        assert_eq!(follow.on_tick(start + 2 * SECOND), [unsubscribe("a")]);
        assert!(follow.is_waiting());
        let census = [(BOB, topic("c")), (BOB, topic("d"))].into();
        assert_eq!(follow.on_census(start, &census), [subscribe("c")]);
        assert!(!follow.is_waiting());
    }

    #[test]
    fn a_census_repairs_what_was_missed() {
        let (mut follow, start) = (Follow::new(8, SECOND, BTreeSet::new()), platform::now());
        follow.on_joined(ADA, &topic("a"));
        follow.on_joined(ADA, &topic("b"));
        let census = [(ADA, topic("b")), (BOB, topic("c"))].into();
        assert_eq!(follow.on_census(start, &census), [subscribe("c")]);
        assert_eq!(follow.on_tick(start + SECOND), [unsubscribe("a")]);
        assert_eq!(follow.len(), 2);
    }

    #[test]
    fn a_topic_that_the_relay_is_a_member_of_is_left_alone() {
        let (mut follow, start) = (Follow::new(1, SECOND, [topic("a")].into()), platform::now());
        assert_eq!(follow.on_joined(ADA, &topic("a")), []);
        follow.on_left(start, ADA, &topic("a"));
        assert_eq!((follow.on_tick(start + 2 * SECOND), follow.len()), (Vec::new(), 0));
        assert_eq!(follow.on_joined(ADA, &topic("b")), [subscribe("b")]);
    }

    #[test]
    fn a_closed_topic_is_counted_once_and_followed_like_any_other() {
        let (mut follow, start) = (Follow::new(8, SECOND, BTreeSet::new()), platform::now());
        follow.on_joined(ADA, &topic("a"));
        assert_eq!(
            (follow.on_closed(&topic("a")), follow.on_closed(&topic("a")), follow.closed()),
            (true, false, 1)
        );
        assert!(!follow.on_closed(&topic("z")));
        assert_eq!(follow.on_joined(BOB, &topic("a")), []);
        follow.on_census(start, &BTreeSet::new());
        assert_eq!(follow.on_tick(start + 2 * SECOND), [unsubscribe("a")]);
        assert_eq!(follow.closed(), 0);
    }

    #[test]
    fn a_stranger_to_a_topic_changes_nothing_by_leaving() {
        let (mut follow, start) = (Follow::new(2, SECOND, BTreeSet::new()), platform::now());
        follow.on_joined(ADA, &topic("a"));
        follow.on_left(start, BOB, &topic("a"));
        follow.on_left(start, BOB, &topic("z"));
        assert_eq!((follow.on_tick(start + SECOND), follow.len()), (Vec::new(), 1));
    }
}
