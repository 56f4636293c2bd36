//! IHAVE and IWANT: peers outside the mesh hear which messages there were, and ask for those that they missed.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use braidcast_machine::{Duration, Offence, Time};
use braidcast_wire::{MessageId, PeerId, Topic, limits};

use crate::{
    frame::{self, Body},
    mesh::Mesh,
    overlay::sample,
    trace::Trace,
    transfer::{Push, Transfer},
};

/// Messages that we asked somebody for, and until when nobody else is asked.
#[derive(Debug, Default)]
pub(crate) struct Asked(BTreeMap<MessageId, Promise>);

#[derive(Debug)]
struct Promise {
    by: PeerId,
    until: Time,
    /// It had its time twice, because we woke late.
    is_excused: bool,
}

impl Asked {
    /// True when `peer` was asked for the message.
    pub(crate) fn is_of(&self, id: MessageId, peer: PeerId) -> bool {
        self.0.get(&id).is_some_and(|promise| promise.by == peer)
    }

    /// True when `peer` may be asked for the message now.
    pub(crate) fn insert(&mut self, id: MessageId, peer: PeerId, now: Time) -> bool {
        if self.0.contains_key(&id) || self.0.len() >= ASKED_MAX {
            return false;
        }
        self.0.insert(id, Promise { by: peer, until: now + PROMISE, is_excused: false });
        true
    }

    pub(crate) fn remove(&mut self, id: MessageId) {
        self.0.remove(&id);
    }

    /// `peer` sent the message, whatever we make of it.
    pub(crate) fn on_kept(&mut self, id: MessageId, peer: PeerId) {
        if self.0.get(&id).is_some_and(|promise| promise.by == peer) {
            self.0.remove(&id);
        }
    }

    /// Those that said to have a message and did not send it: once each.
    fn expire(&mut self, now: Time) -> BTreeSet<PeerId> {
        let late = self.0.extract_if(.., |_, promise| promise.until <= now);
        late.map(|(_, promise)| promise.by).collect()
    }

    /// See `wake.rs`.
    pub(crate) fn excuse(&mut self, now: Time) {
        for promise in self.0.values_mut().filter(|promise| !promise.is_excused) {
            (promise.until, promise.is_excused) = (now + PROMISE, true);
        }
    }
}

impl Mesh {
    /// Tells some peers outside the mesh what came of late. Once per heartbeat.
    pub(crate) fn gossip(&mut self, now: Time) {
        for peer in self.asked.expire(now) {
            self.outbox.trace(Trace::BrokenPromise { by: peer });
            if self.scores.on_unserved(peer) {
                self.outbox.trace(Trace::Suspect { peer });
            }
        }
        self.send_spared(now);
        let topics: Vec<Topic> = self.overlay.subscriptions().cloned().collect();
        for topic in topics {
            let ids = self.recent(&topic, now);
            if ids.is_empty() {
                continue;
            }
            for peer in self.overlay.strangers(&topic, GOSSIP_PEERS, &mut self.rng) {
                self.tell_ids(peer, &topic, &ids);
            }
        }
    }

    /// Sends inline messages to neighbours that were spared them (see [`crate::lane::Lane::takes_inline`]) and have not said
    /// since that they are done.
    fn send_spared(&mut self, now: Time) {
        let mut due: Vec<(PeerId, MessageId)> = Vec::new();
        for (&id, transfer) in &mut self.transfers {
            let is_old = transfer.whole_at.is_some_and(|at| now.since(at) >= self.config.heartbeat);
            if !is_old || !transfer.manifest.is_inline() {
                continue;
            }
            for (&peer, neighbour) in &mut transfer.neighbours {
                if neighbour.push == Push::Lane && !neighbour.knows_manifest && !neighbour.is_done {
                    neighbour.push = Push::All;
                    due.push((peer, id));
                }
            }
        }
        due.into_iter().for_each(|(peer, id)| self.enqueue(peer, id));
    }

    /// Tells a new neighbour what came of late.
    pub(crate) fn tell_recent(&mut self, peer: PeerId, topic: &Topic) {
        let ids: Vec<MessageId> = self.finished(topic).map(|(id, _)| id).collect();
        if !ids.is_empty() {
            self.tell_ids(peer, topic, &ids);
        }
    }

    fn recent(&self, topic: &Topic, now: Time) -> Vec<MessageId> {
        let window = self.config.heartbeat.saturating_mul(GOSSIP_HEARTBEATS);
        self.finished(topic).filter(|&(_, at)| now.since(at) <= window).map(|(id, _)| id).collect()
    }

    fn finished(&self, topic: &Topic) -> impl Iterator<Item = (MessageId, Time)> + '_ {
        let topic = topic.clone();
        self.transfers
            .iter()
            .filter(move |(id, transfer)| transfer.manifest.topic == topic && !self.pending.contains(**id))
            .filter_map(|(&id, transfer)| Some((id, transfer.whole_at?)))
    }

    fn tell_ids(&mut self, peer: PeerId, topic: &Topic, ids: &[MessageId]) {
        let is_done = |id: &MessageId| {
            self.transfers
                .get(id)
                .and_then(|transfer| transfer.neighbours.get(&peer))
                .is_some_and(|n| n.is_done)
        };
        let fresh: Vec<MessageId> = ids.iter().copied().filter(|id| !is_done(id)).collect();
        let fresh = sample(fresh, limits::IDS_PER_FRAME, &mut self.rng);
        if !fresh.is_empty() {
            self.outbox.trace(Trace::Told { peer, messages: fresh.len() });
            let ihave = frame::IHave { topic: topic.as_str().into(), ids: frame::pack(fresh) };
            self.send(peer, Body::IHave(ihave));
        }
    }

    pub(crate) fn on_ihave(&mut self, peer: PeerId, frame: &frame::IHave, now: Time) -> Result<(), Offence> {
        let topic = frame::topic(&frame.topic).ok_or(Offence::fatal("topic name is empty or too long"))?;
        let ids = frame::unpack(&frame.ids).ok_or(Offence::fatal("list of ids is odd or too long"))?;
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        link.ihaves += 1;
        // What waited while we slept comes at once.
        if link.ihaves > IHAVES_PER_HEARTBEAT.saturating_mul(self.missed.saturating_add(1)) {
            return Err(Offence::minor("more IHAVE frames in a heartbeat than the limit"));
        }
        if !self.overlay.is_subscribed(&topic) || !self.is_admitted(peer, &topic) {
            return Ok(());
        }
        // If a message has begun to come and stands still, its neighbours may all be bad.
        let is_stalled = |transfer: &Transfer| {
            transfer.is_stalled(now, self.config.heartbeat) && !transfer.neighbours.contains_key(&peer)
        };
        let is_news = |id| {
            !self.seen.contains(id)
                || self.seen.is_given_up(id)
                || self.transfers.get(&id).is_some_and(is_stalled)
        };
        let wanted: Vec<MessageId> =
            ids.filter(|&id| is_news(id) && self.asked.insert(id, peer, now)).collect();
        if !wanted.is_empty() {
            self.outbox.trace(Trace::Asked { peer, messages: wanted.len() });
            self.send(peer, Body::IWant(frame::Ids { ids: frame::pack(wanted) }));
        }
        Ok(())
    }

    pub(crate) fn on_iwant(&mut self, peer: PeerId, frame: &frame::Ids, now: Time) -> Result<(), Offence> {
        let ids = frame::unpack(&frame.ids).ok_or(Offence::fatal("list of ids is odd or too long"))?;
        for id in ids {
            self.admits(peer, id)?;
            let Some(transfer) = self.transfers.get_mut(&id) else { continue };
            transfer.moved_at = now;
            let is_inline = transfer.manifest.is_inline();
            let neighbour = transfer.neighbour(peer);
            neighbour.asked += 1;
            if neighbour.asked > RETRANSMISSIONS {
                return Err(Offence::minor("message asked for more often than the limit"));
            }
            neighbour.push = Push::All;
            if is_inline || !neighbour.accounts.is_empty() {
                // It may have come before the proof, or the subscription, that lets us be heard, and all that followed.
                neighbour.knows_manifest = false;
                neighbour.accounts.iter_mut().for_each(|account| account.sent = 0);
            }
            self.enqueue(peer, id);
        }
        Ok(())
    }
}

/// gossipsub's D_lazy.
const GOSSIP_PEERS: usize = 6;
/// gossipsub's mcache_gossip: heartbeats that a message is told of.
const GOSSIP_HEARTBEATS: u64 = 3;
/// rust-libp2p's gossipsub: iwant_followup of 3 s.
const PROMISE: Duration = Duration::from_secs(3);
/// rust-libp2p's gossipsub.
const IHAVES_PER_HEARTBEAT: u32 = 10;
/// gossipsub v1.1 GossipRetransmission.
const RETRANSMISSIONS: u32 = 3;
/// Guess.
const ASKED_MAX: usize = 5_000;
