//! How many peer connections (WebRTC) a node may have, for all topics together. Decides; opens and closes nothing.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use braidcast_core::{
    machine::{Duration, Time},
    wire::PeerId,
};
use libp2p::swarm::ConnectionId;

/// Over how long they are counted: the browser forgets a closed connection when it collects garbage. Guess.
pub(crate) const PERIOD: Duration = Duration::from_secs(3600);

/// How many more there may be for relays, without which a page finds nobody: one in a minute. Guess.
const RESERVE: usize = 60;

/// A link that is younger is not given up for another. Guess.
const SETTLED: Duration = Duration::from_secs(30);

/// Time between two links that are given up for others. Guess.
const EVICTION: Duration = Duration::from_secs(10);

/// The numbers of one target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Most peers linked by one.
    pub(crate) links: usize,
    /// Most at once, attempts and those to relays included.
    pub(crate) connections: usize,
    /// Most made in [`PERIOD`], if that matters.
    pub(crate) made: Option<usize>,
}

/// The peer connections that a page made, for all its nodes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    /// How many in all.
    pub(crate) total: usize,
    /// When those of at least the last [`PERIOD`], oldest first.
    pub(crate) times: VecDeque<Time>,
}

/// What there is and what was made of late.
#[derive(Debug)]
pub(crate) struct Quota {
    limits: Limits,
    /// Attempts, oldest first.
    pending: BTreeMap<ConnectionId, Pending>,
    /// Links to peers, and since when.
    links: BTreeMap<ConnectionId, (PeerId, Time)>,
    /// Other connections: to relays.
    others: BTreeSet<ConnectionId>,
    made: Made,
    /// The last attempt was refused because too many were made.
    is_spent: bool,
    /// Nobody has been told yet.
    news: Option<Spent>,
    evicted_at: Option<Time>,
}

/// The peer connections of an attempt.
#[derive(Clone, Copy, Debug)]
struct Pending {
    count: usize,
    /// So many of them may not have been made yet.
    unmade: usize,
}

/// Too many were made of late.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spent {
    /// In [`PERIOD`].
    pub(crate) made: usize,
    /// Until there may be another.
    pub(crate) wait: Duration,
}

/// Why there is no room. The attempt is not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("{open} peer connections are open or being made, the limit is {limit}: wait until one is closed")]
    Full { open: usize, limit: usize },
    #[error(
        "{made} peer connections were made within an hour, the limit is {limit} and the browser's is 500: reload the page"
    )]
    Spent { made: usize, limit: usize },
    #[error("this node has as many links as it wants")]
    Enough,
}

/// What a new link costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Free,
    /// This peer's link is given up for it.
    Of(PeerId),
}

impl Quota {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            pending: BTreeMap::new(),
            links: BTreeMap::new(),
            others: BTreeSet::new(),
            made: Made::default(),
            is_spent: false,
            news: None,
            evicted_at: None,
        }
    }

    /// Linked peers.
    pub(crate) fn peers(&self) -> BTreeSet<PeerId> {
        self.links.values().map(|(peer, _)| *peer).collect()
    }

    /// So many peer connections have been made, whoever made them. To be told before anything else, so that those of an
    /// attempt are known to be its own and not counted twice.
    pub(crate) fn on_made(&mut self, made: Made) {
        if self.limits.made.is_none() {
            return;
        }
        let mut fresh = made.total - self.made.total;
        for pending in self.pending.values_mut() {
            let its = fresh.min(pending.unmade);
            pending.unmade -= its;
            fresh -= its;
        }
        self.made = made;
    }

    /// An attempt that may make up to `count` peer connections, or one of another kind with `count` 0. One to a lost relay
    /// is `favoured`.
    pub(crate) fn attempt(
        &mut self,
        id: ConnectionId,
        count: usize,
        favoured: bool,
        now: Time,
    ) -> Result<(), Refused> {
        if count == 0 {
            return Ok(());
        }
        let (open, limit) = (self.open(), self.limits.connections);
        if open + count > limit {
            return Err(Refused::Full { open, limit });
        }
        self.check(count, favoured, now)?;
        self.pending.insert(id, Pending { count, unmade: count });
        Ok(())
    }

    /// Whether there may be `count` more within [`PERIOD`], if attempts under way make all that they may.
    fn check(&mut self, count: usize, favoured: bool, now: Time) -> Result<(), Refused> {
        let Some(limit) = self.limits.made.map(|limit| limit + if favoured { RESERVE } else { 0 }) else {
            return Ok(());
        };
        let times = &mut self.made.times;
        while times.front().is_some_and(|&at| now.since(at) >= PERIOD) {
            times.pop_front();
        }
        let made = times.len() + self.pending.values().map(|pending| pending.unmade).sum::<usize>();
        if made + count > limit {
            let enough = times.get(made + count - limit - 1).or(times.back());
            let wait = enough.map_or(PERIOD, |&at| (at + PERIOD).since(now));
            if !std::mem::replace(&mut self.is_spent, true) {
                self.news = Some(Spent { made, wait });
            }
            return Err(Refused::Spent { made, limit });
        }
        if !favoured {
            self.is_spent = false;
        }
        Ok(())
    }

    /// That attempts have been used up: once, until there may be some again.
    pub(crate) fn take_news(&mut self) -> Option<Spent> {
        self.news.take()
    }

    /// The attempt led to something else than a link: to a relay by a peer connection, or anywhere by another transport.
    pub(crate) fn on_other(&mut self, id: ConnectionId, is_peer_connection: bool) {
        self.pending.remove(&id);
        if is_peer_connection {
            self.others.insert(id);
        }
    }

    /// Whether a new link to `peer` has a place. `worth` ranks the links there are; the least is given up when it is our
    /// turn to make room for somebody who comes to us.
    pub(crate) fn place<Worth: Ord>(
        &self,
        peer: PeerId,
        inbound: bool,
        now: Time,
        worth: impl Fn(PeerId) -> Worth,
    ) -> Result<Place, Refused> {
        let peers = self.peers();
        if peers.len() < self.limits.links || peers.contains(&peer) {
            return Ok(Place::Free);
        }
        if !inbound || self.evicted_at.is_some_and(|at| now.since(at) < EVICTION) {
            return Err(Refused::Enough);
        }
        let young: BTreeSet<PeerId> = self
            .links
            .values()
            .filter(|(_, since)| now.since(*since) < SETTLED)
            .map(|(peer, _)| *peer)
            .collect();
        let settled = peers.difference(&young).copied();
        settled.min_by_key(|&peer| worth(peer)).map(Place::Of).ok_or(Refused::Enough)
    }

    /// A link is up, in its [`place`](Self::place).
    pub(crate) fn on_link(&mut self, id: ConnectionId, peer: PeerId, place: Place, now: Time) {
        self.pending.remove(&id);
        self.links.insert(id, (peer, now));
        if place != Place::Free {
            self.evicted_at = Some(now);
        }
    }

    /// An attempt has failed or a connection is closed.
    pub(crate) fn on_gone(&mut self, id: ConnectionId) {
        self.pending.remove(&id);
        self.links.remove(&id);
        self.others.remove(&id);
    }

    fn open(&self) -> usize {
        let pending: usize = self.pending.values().map(|pending| pending.count).sum();
        pending + self.links.len() + self.others.len()
    }
}
