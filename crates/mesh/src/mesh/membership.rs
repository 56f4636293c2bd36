//! Who subscribes to what, whom we introduce and believe, and who becomes a neighbour.

use alloc::vec::Vec;

use braidcast_machine::{Direction, Duration, Offence, Time};
use braidcast_wire::{MessageId, PeerId, Topic, limits};
use bytes::Bytes;

use super::Mesh;
use crate::{
    api::{Divide, Event},
    frame::{self, Body},
    lane::Lane,
    link::Link,
    overlay::{Change, Grafted},
    params::{CheckedParams, Mode},
    trace::{Parting, Refusal, Trace},
    transfer::{Push, Transfer},
};

impl Mesh {
    pub(super) fn on_subscribe(&mut self, topic: Topic, now: Time) {
        if self.overlay.is_subscribed(&topic) {
            return;
        }
        self.overlay.subscribe(&topic);
        let is_closed = self.params.of(&topic).mode != Mode::Open;
        let join = alloc::vec![topic.as_str().into()];
        self.tell_concerned(&topic, &Body::Subscriptions(frame::Subscriptions { join, leave: Vec::new() }));
        if is_closed {
            let others = self.links.iter().filter(|(_, link)| link.topics.contains(&topic));
            let others: Vec<PeerId> = others.map(|(&peer, _)| peer).collect();
            others.into_iter().for_each(|peer| self.challenge(peer, &topic));
        }
        let (overlay, mut scene) = self.scene(now);
        let changes = overlay.fill(&topic, &mut scene);
        self.apply(changes);
        self.heartbeat_at.get_or_insert(now + self.config.heartbeat);
    }

    pub(super) fn on_unsubscribe(&mut self, topic: &Topic) {
        if !self.overlay.is_subscribed(topic) {
            return;
        }
        let changes = self.overlay.unsubscribe(topic);
        self.apply(changes);
        let leave = alloc::vec![topic.as_str().into()];
        self.tell_concerned(topic, &Body::Subscriptions(frame::Subscriptions { join: Vec::new(), leave }));
        self.forget_members(topic);
        let is_over = |transfer: &Transfer| transfer.whole_at.is_none() && transfer.manifest.topic == *topic;
        let over: Vec<MessageId> =
            self.transfers.iter().filter(|(_, transfer)| is_over(transfer)).map(|(&id, _)| id).collect();
        over.into_iter().for_each(|id| self.drop_transfer(id));
    }

    /// Nor are we a member to them any more.
    fn forget_members(&mut self, topic: &Topic) {
        for (&peer, link) in &mut self.links {
            link.told.retain(|(of, _)| of != topic);
            if link.members.remove(topic) {
                self.overlay.on_peer_left(peer, topic);
                self.outbox.event(Event::Left { peer, topic: topic.clone() });
            }
        }
    }

    /// With another mode, we leave and come back, and so does everybody else as far as we are concerned.
    pub(super) fn on_configure(&mut self, topic: Topic, params: CheckedParams, now: Time) {
        if self.params.of(&topic).mode == params.mode {
            return self.params.set(topic, params);
        }
        let (was_open, is_open) = (self.params.of(&topic).mode == Mode::Open, params.mode == Mode::Open);
        let was_subscribed = self.overlay.is_subscribed(&topic);
        self.on_unsubscribe(&topic);
        self.forget_members(&topic);
        self.params.set(topic.clone(), params);
        let knows = |link: &Link| link.topics.contains(&topic);
        for (&peer, link) in self.links.iter().filter(|(_, link)| knows(link)) {
            if is_open {
                self.overlay.on_peer_joined(peer, link.direction, &topic);
                self.outbox.event(Event::Joined { peer, topic: topic.clone() });
            } else if was_open {
                self.overlay.on_peer_left(peer, &topic);
                self.outbox.event(Event::Left { peer, topic: topic.clone() });
            }
        }
        if was_subscribed {
            self.on_subscribe(topic, now);
        }
    }

    pub(super) fn on_subscriptions(
        &mut self,
        peer: PeerId,
        frame: &frame::Subscriptions,
        now: Time,
    ) -> Result<(), Offence> {
        for name in &frame.leave {
            let topic = frame::topic(name).ok_or(Offence::fatal("topic name is empty or too long"))?;
            let link = self.links.get_mut(&peer);
            if let Some(link) = link.filter(|link| link.topics.contains(&topic)) {
                link.topics.remove(&topic);
                link.told.retain(|(of, _)| *of != topic);
                // It may publish there all the same.
                link.sought.insert(topic.clone());
                let was_member = link.members.remove(&topic) || self.params.of(&topic).mode == Mode::Open;
                if was_member {
                    self.overlay.on_peer_left(peer, &topic);
                    self.outbox.event(Event::Left { peer, topic });
                }
            }
        }
        for name in &frame.join {
            let topic = frame::topic(name).ok_or(Offence::fatal("topic name is empty or too long"))?;
            self.on_peer_joined(peer, topic, now)?;
        }
        Ok(())
    }

    fn on_peer_joined(&mut self, peer: PeerId, topic: Topic, now: Time) -> Result<(), Offence> {
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        if link.topics.len() >= limits::TOPICS_PER_PEER {
            return Err(Offence::minor("peer subscribes to more topics than the limit"));
        }
        if !link.topics.insert(topic.clone()) {
            return Ok(());
        }
        let is_news = !link.sought.remove(&topic);
        if self.config.is_discreet && is_news {
            self.tell_subscribed(peer, &topic);
        }
        if self.params.of(&topic).mode == Mode::Open {
            self.admit(peer, topic, now);
        } else if self.overlay.is_subscribed(&topic) {
            self.challenge(peer, &topic);
        }
        Ok(())
    }

    /// A subscriber may take part.
    pub(crate) fn admit(&mut self, peer: PeerId, topic: Topic, now: Time) {
        let Some(link) = self.links.get(&peer) else { return };
        self.overlay.on_peer_joined(peer, link.direction, &topic);
        if self.config.introduces {
            self.introduce(peer, &topic);
        }
        let (overlay, scene) = self.scene(now);
        let changes = overlay.welcome(peer, &topic, &scene);
        self.apply(changes);
        self.outbox.event(Event::Joined { peer, topic });
    }

    pub(super) fn on_seek(&mut self, peer: PeerId, frame: &frame::Seek) -> Result<(), Offence> {
        for name in &frame.topics {
            let topic = frame::topic(name).ok_or(Offence::fatal("topic name is empty or too long"))?;
            let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
            if link.topics.len() + link.sought.len() >= limits::TOPICS_PER_PEER {
                return Err(Offence::minor("peer names more topics than the limit"));
            }
            if self.config.is_discreet && !link.knows(&topic) {
                link.sought.insert(topic.clone());
                self.tell_subscribed(peer, &topic);
            }
        }
        Ok(())
    }

    /// Tells a peer that we subscribe to a topic, if we do.
    fn tell_subscribed(&mut self, peer: PeerId, topic: &Topic) {
        if self.overlay.is_subscribed(topic) {
            let join = alloc::vec![topic.as_str().into()];
            self.send(peer, Body::Subscriptions(frame::Subscriptions { join, leave: Vec::new() }));
        }
    }

    /// Hands a newcomer a sample of the topic's peers.
    fn introduce(&mut self, newcomer: PeerId, topic: &Topic) {
        let may = |&peer: &PeerId| peer != newcomer && self.scores.is_welcome(peer);
        let others: Vec<PeerId> = self.overlay.subscribers(topic).filter(may).collect();
        let others = crate::overlay::sample(others, limits::RECORDS_PER_FRAME, &mut self.rng);
        let records: Vec<Bytes> =
            others.iter().filter_map(|peer| self.links.get(peer)?.record.clone()).collect();
        if !records.is_empty() {
            self.send(newcomer, Body::Introduce(frame::Introduce { topic: topic.as_str().into(), records }));
        }
    }

    pub(super) fn on_record(&mut self, peer: PeerId, envelope: Bytes) -> Result<(), Offence> {
        if envelope.len() > limits::RECORD_BYTES {
            return Err(Offence::fatal("peer record is longer than the limit"));
        }
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        let is_first = link.record.replace(envelope).is_none();
        if self.config.introduces && is_first {
            // Of two who joined before they knew their addresses, the later must hear of the earlier.
            let mut topics: Vec<Topic> = link.topics.iter().cloned().collect();
            topics.retain(|topic| self.is_admitted(peer, topic));
            for topic in topics {
                self.introduce(peer, &topic);
            }
        }
        Ok(())
    }

    pub(super) fn on_introduce(&mut self, peer: PeerId, frame: frame::Introduce) -> Result<(), Offence> {
        if frame.records.len() > limits::RECORDS_PER_FRAME
            || frame.records.iter().any(|record| record.len() > limits::RECORD_BYTES)
        {
            return Err(Offence::fatal("introduction is longer than the limit"));
        }
        match frame::topic(&frame.topic) {
            // Whoever comes to us and was of no use yet may lead us anywhere.
            Some(_) if !self.is_trusted(peer) => Ok(()),
            Some(topic) if self.overlay.is_subscribed(&topic) => {
                self.outbox.event(Event::Introduced { topic, records: frame.records });
                Ok(())
            }
            _ => Err(Offence::minor("introduction for a topic that we do not subscribe to")),
        }
    }

    /// Its introductions count: we chose it, or it was of use, and it did nothing wrong.
    fn is_trusted(&self, peer: PeerId) -> bool {
        let is_ours = self.links.get(&peer).is_some_and(|link| link.direction == Direction::Outbound);
        let conduct = self.scores.of(peer);
        conduct.is_welcome() && (is_ours || conduct.useful_bytes > 0)
    }

    pub(super) fn on_graft(&mut self, peer: PeerId, name: &str, now: Time) -> Result<(), Offence> {
        let topic = frame::topic(name).ok_or(Offence::fatal("topic name is empty or too long"))?;
        if !self.is_admitted(peer, &topic) {
            self.refuse(peer, &topic, Refusal::Outsider);
            self.tell_outsider(peer, &topic, Divide::NoProof);
            return Ok(());
        }
        let was_neighbour = self.overlay.mesh(&topic).any(|neighbour| neighbour == peer);
        let (overlay, scene) = self.scene(now);
        let grafted = overlay.on_graft(peer, &topic, &scene);
        match grafted {
            Grafted::Accepted if !was_neighbour => self.on_neighbour(peer, &topic),
            Grafted::Accepted | Grafted::Unknown => {}
            Grafted::Refused(why) => {
                self.refuse(peer, &topic, why);
                match why {
                    Refusal::Full => self.introduce(peer, &topic),
                    Refusal::Unwelcome | Refusal::Outsider | Refusal::Spared => {}
                    Refusal::TooSoon => return Err(Offence::minor("graft within the back-off")),
                }
            }
        }
        Ok(())
    }

    fn refuse(&mut self, peer: PeerId, topic: &Topic, why: Refusal) {
        self.outbox.trace(Trace::GraftRefused { peer, why });
        let backoff_ms = why.backoff().as_millis();
        self.send(peer, Body::Prune(frame::Prune { topic: topic.as_str().into(), backoff_ms }));
    }

    pub(super) fn on_lanes(&mut self, peer: PeerId, frame: &frame::Lanes) -> Result<(), Offence> {
        let topic = frame::topic(&frame.topic).ok_or(Offence::fatal("topic name is empty or too long"))?;
        if frame.slot >= frame.of || frame.of as usize > limits::PEERS {
            return Err(Offence::fatal("lane is beyond the number of lanes"));
        }
        let lane = Lane { slot: frame.slot, of: frame.of };
        if self.overlay.on_lane(peer, &topic, lane) {
            // What it may be pushed has changed, also of messages that were whole before the lane came.
            let of_topic = |transfer: &&Transfer| transfer.manifest.topic == topic;
            let ids: Vec<MessageId> = self.transfers.values().filter(of_topic).map(Transfer::id).collect();
            ids.into_iter().for_each(|id| self.enqueue(peer, id));
        }
        Ok(())
    }

    pub(super) fn on_prune(&mut self, peer: PeerId, frame: &frame::Prune, now: Time) -> Result<(), Offence> {
        let topic = frame::topic(&frame.topic).ok_or(Offence::fatal("topic name is empty or too long"))?;
        if self.overlay.on_prune(peer, &topic, Duration::from_millis(frame.backoff_ms), now) {
            self.outbox.trace(Trace::Prune { peer, why: Parting::Theirs });
        }
        Ok(())
    }

    /// Tells peers of changes of our own making.
    pub(super) fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Graft { peer, topic } => {
                    self.send(peer, Body::Graft(frame::Graft { topic: topic.as_str().into() }));
                    self.on_neighbour(peer, &topic);
                }
                Change::Prune { peer, topic, why } => {
                    let backoff_ms = why.backoff().as_millis();
                    self.send(peer, Body::Prune(frame::Prune { topic: topic.as_str().into(), backoff_ms }));
                    self.outbox.trace(Trace::Prune { peer, why });
                }
            }
        }
    }

    /// A new neighbour takes part in what is on its way, and hears what came of late.
    fn on_neighbour(&mut self, peer: PeerId, topic: &Topic) {
        self.outbox.trace(Trace::Graft { peer });
        let unfinished = |transfer: &&mut Transfer| {
            transfer.manifest.topic == *topic && transfer.whole_at.is_none_or(|_| transfer.is_ours)
        };
        let mut ids = Vec::new();
        for transfer in self.transfers.values_mut().filter(unfinished) {
            let push = if transfer.is_ours { Push::All } else { Push::Lane };
            let neighbour = transfer.neighbour(peer);
            neighbour.push = neighbour.push.max(push);
            ids.push(transfer.manifest.id);
        }
        ids.into_iter().for_each(|id| self.enqueue(peer, id));
        self.tell_recent(peer, topic);
    }
}
