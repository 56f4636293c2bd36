//! The machine: who is connected, what is on its way, what is due.

mod membership;
mod publish;

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use braidcast_machine::{
    Budget, Direction, Duration, Input, Machine, Now, Offence, Output, PeerSet, Rng, Time,
};
use braidcast_wire::{Identity, MessageId, PeerId, Topic, limits};
use bytes::Bytes;

use crate::{
    announce::BATCH,
    api::{Command, Config, Event},
    closed::doubt::Compares,
    frame::{self, Body, Frame},
    gossip::Asked,
    job::{Decode, Encode, Regenerate},
    link::Link,
    overlay::{Overlay, Scene},
    params::{Mode, Params},
    score::{Conduct, Scores},
    seen::{Rumours, Seen},
    trace::Out,
    transfer::Transfer,
    verdict::Pending,
};

/// The mesh of one node, for all its topics.
#[derive(Debug)]
pub struct Mesh {
    pub(crate) config: Config,
    pub(crate) params: Params,
    pub(crate) identity: Identity,
    pub(crate) rng: Rng,
    pub(crate) overlay: Overlay,
    pub(crate) links: BTreeMap<PeerId, Link>,
    pub(crate) scores: Scores,
    pub(crate) transfers: BTreeMap<MessageId, Transfer>,
    pub(crate) seen: Seen,
    pub(crate) rumours: Rumours,
    pub(crate) asked: Asked,
    pub(crate) pending: Pending,
    /// Messages of our own that are not signed yet, in order.
    encodes: VecDeque<Encode>,
    /// Messages that have all pieces and are not checked as a whole yet, in order.
    pub(crate) decodes: VecDeque<Decode>,
    /// Whole messages whose parity is made again for neighbours, in order.
    pub(crate) regenerates: VecDeque<Regenerate>,
    /// See [`crate::closed::doubt`].
    pub(crate) compares: Compares,
    pub(crate) outbox: Out,
    /// Our own signed peer record.
    record: Bytes,
    last_seqno: u64,
    /// See [`Mesh::busy`].
    pub(crate) busy: PeerSet,
    /// The link that was served last, for turns.
    pub(crate) cursor: PeerId,
    heartbeat_at: Option<Time>,
    /// Heartbeats that were due and did not come before the last.
    pub(crate) missed: u32,
    /// When announcements that wait are to go.
    pub(crate) flush_at: Option<Time>,
    /// When to look for messages that have stopped moving.
    pub(crate) repair_at: Option<Time>,
    /// Messages that were unfinished when requests were last looked at.
    pub(crate) unfinished: usize,
}

impl Machine for Mesh {
    type Frame = Frame;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, now: Now, input: Input<Frame, Command>) {
        self.notice_lateness(now.time);
        match input {
            Input::Connected { peer, direction } => self.on_connected(peer, direction),
            Input::Disconnected { peer } => self.on_disconnected(peer),
            Input::Received { peer, frame } => self.on_frame(peer, frame, now.time),
            Input::Command(command) => self.on_command(command, now),
            Input::Tick => {}
        }
        self.on_time(now.time);
    }

    fn poll(&mut self) -> Option<Output<Frame, Event>> {
        self.outbox.pop()
    }

    fn pull(&mut self, now: Now, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        self.next_bulk(now.time, writable)
    }

    fn work(&mut self, now: Now, budget: Budget) -> bool {
        let mut left = budget.0;
        while left > 0 {
            if let Some(mut encode) = self.encodes.pop_front() {
                if encode.step(&mut left) {
                    self.encodes.push_front(encode);
                } else {
                    self.on_encoded(encode, now);
                }
            } else if let Some(decode) = self.decodes.pop_front() {
                self.on_decode(decode, now.time, &mut left);
            } else if let Some(regenerate) = self.regenerates.pop_front() {
                self.on_regenerate(regenerate, now.time, &mut left);
            } else if let Some(compare) = self.compares.pop_front() {
                self.on_compare(compare, &mut left);
            } else {
                return false;
            }
        }
        !(self.encodes.is_empty()
            && self.decodes.is_empty()
            && self.regenerates.is_empty()
            && self.compares.is_empty())
    }

    fn deadline(&self) -> Option<Time> {
        [self.heartbeat_at, self.flush_at, self.repair_at].into_iter().flatten().min()
    }
}

impl Mesh {
    /// A node with this key. `seed` feeds the only generator.
    pub fn new(config: Config, identity: Identity, seed: [u8; 32]) -> Self {
        Self {
            params: Params::new(config.topic.clone()),
            outbox: Out::new(OUTBOX_FRAMES, config.traces),
            config,
            identity,
            rng: Rng::from_seed(seed),
            overlay: Overlay::default(),
            links: BTreeMap::new(),
            scores: Scores::default(),
            transfers: BTreeMap::new(),
            seen: Seen::default(),
            rumours: Rumours::default(),
            asked: Asked::default(),
            pending: Pending::default(),
            encodes: VecDeque::new(),
            decodes: VecDeque::new(),
            regenerates: VecDeque::new(),
            compares: VecDeque::new(),
            record: Bytes::new(),
            last_seqno: 0,
            busy: PeerSet::new(),
            cursor: PeerId([0; 32]),
            heartbeat_at: None,
            missed: 0,
            flush_at: None,
            repair_at: None,
            unfinished: 0,
        }
    }

    /// Topics in which a connected peer takes part: it subscribes, and is a member where the topic is closed here.
    pub fn topics_of(&self, peer: PeerId) -> impl Iterator<Item = &Topic> {
        let topics = self.links.get(&peer).into_iter().flat_map(|link| &link.topics);
        topics.filter(move |topic| self.is_admitted(peer, topic))
    }

    /// What is known of a peer's conduct, connected or not.
    pub fn conduct(&self, peer: PeerId) -> Conduct {
        self.scores.of(peer)
    }

    /// The signed record that a connected peer showed, unverified.
    pub fn record_of(&self, peer: PeerId) -> Option<&Bytes> {
        self.links.get(&peer)?.record.as_ref()
    }

    /// Whether a peer is a neighbour in a topic of ours.
    pub fn is_neighbour(&self, peer: PeerId) -> bool {
        self.overlay.subscriptions().any(|topic| self.neighbours(topic).any(|neighbour| neighbour == peer))
    }

    /// Our neighbours in a topic.
    pub fn neighbours(&self, topic: &Topic) -> impl Iterator<Item = PeerId> {
        self.overlay.mesh(topic)
    }

    /// How many messages are in memory: unfinished, or kept for others for a while.
    pub fn messages(&self) -> usize {
        self.transfers.len()
    }

    /// Peers for which [`Machine::pull`] may have something; of no others need it be asked.
    pub fn busy(&self) -> &PeerSet {
        &self.busy
    }

    /// The shortest round trip to a connected peer that was measured of late: near peers make better neighbours,
    /// and nobody answers sooner.
    pub fn set_round_trip(&mut self, peer: PeerId, round_trip: Duration) {
        if let Some(link) = self.links.get_mut(&peer) {
            self.overlay.set_round_trip(peer, round_trip);
            link.service.on_round_trip(round_trip);
        }
    }

    /// A connected peer is to be a neighbour only where there are few others: a relay, whose uplink all share.
    pub fn set_last_resort(&mut self, peer: PeerId) {
        if self.links.contains_key(&peer) {
            self.overlay.set_last_resort(peer);
        }
    }

    fn on_connected(&mut self, peer: PeerId, direction: Direction) {
        self.links.insert(peer, Link::new(direction));
        if !self.record.is_empty() {
            self.send(peer, Body::Record(frame::Record { envelope: self.record.clone() }));
        }
        if self.config.is_discreet {
            return;
        }
        let topics: Vec<Topic> = self.overlay.subscriptions().cloned().collect();
        for some in topics.chunks(TOPICS_PER_FRAME) {
            let join = some.iter().map(|topic| topic.as_str().into()).collect();
            self.send(peer, Body::Subscriptions(frame::Subscriptions { join, leave: Vec::new() }));
        }
    }

    fn on_disconnected(&mut self, peer: PeerId) {
        let Some(link) = self.links.remove(&peer) else { return };
        self.busy.remove(&peer);
        self.overlay.forget_round_trip(peer);
        self.overlay.forget_last_resort(peer);
        for topic in link.topics {
            if self.params.of(&topic).mode != Mode::Open && !link.members.contains(&topic) {
                continue;
            }
            self.overlay.on_peer_left(peer, &topic);
            self.outbox.event(Event::Left { peer, topic });
        }
        for transfer in self.transfers.values_mut() {
            transfer.on_gone(peer);
        }
    }

    fn on_frame(&mut self, peer: PeerId, frame: Frame, now: Time) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        link.heard_at = now;
        let Some(body) = frame.body else { return };
        let result = match body {
            Body::Subscriptions(subscriptions) => self.on_subscriptions(peer, &subscriptions, now),
            Body::Graft(graft) => self.on_graft(peer, &graft.topic, now),
            Body::Prune(prune) => self.on_prune(peer, &prune, now),
            Body::IHave(ihave) => self.on_ihave(peer, &ihave, now),
            Body::IWant(ids) => self.on_iwant(peer, &ids, now),
            Body::Have(pieces) => self.on_have(peer, &pieces, now),
            Body::Want(pieces) => self.on_want(peer, &pieces),
            Body::Done(ids) => self.on_done(peer, &ids, now),
            Body::Record(record) => self.on_record(peer, record.envelope),
            Body::Introduce(introduce) => self.on_introduce(peer, introduce),
            Body::Lanes(lanes) => self.on_lanes(peer, &lanes),
            Body::Pause(ids) => self.on_pause(peer, &ids),
            Body::Cancel(pieces) => self.on_cancel(peer, &pieces),
            Body::Seek(seek) => self.on_seek(peer, &seek),
            Body::Rank(rank) => self.on_rank(peer, &rank, now),
            Body::Doubt(ids) => self.on_doubt(peer, &ids, now),
            Body::Forgotten(ids) => self.on_forgotten(peer, &ids, now),
            Body::Challenge(evidence) => self.on_challenge(peer, &evidence),
            Body::Proof(evidence) => self.on_proof(peer, &evidence, now),
            Body::Manifest(manifest) => self.on_manifest(peer, manifest, now),
            Body::Hashes(hashes) => self.on_hashes(peer, &hashes),
            Body::Chunk(chunk) => self.on_chunk(peer, &chunk, now),
        };
        if let Err(offence) = result {
            self.punish(peer, offence, now);
        }
    }

    fn on_command(&mut self, command: Command, now: Now) {
        match command {
            Command::Subscribe(topic) => self.on_subscribe(topic, now.time),
            Command::Unsubscribe(topic) => self.on_unsubscribe(&topic),
            Command::Configure(topic, params) => self.on_configure(topic, params, now.time),
            Command::Judge(id, verdict) => self.on_verdict(id, verdict, now.time),
            Command::Publish(publish) => self.on_publish(publish),
            Command::SetRecord(envelope) => {
                self.record = envelope;
                let record = frame::Record { envelope: self.record.clone() };
                self.tell_all(&Body::Record(record));
            }
        }
    }

    fn on_time(&mut self, now: Time) {
        if self.overlay.is_lane_due() {
            self.flush_at.get_or_insert(now + BATCH);
        }
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush();
        }
        if self.repair_at.is_some_and(|at| at <= now) {
            self.repair(now);
        }
        if self.heartbeat_at.is_some_and(|at| at <= now) {
            self.heartbeat(now);
        }
    }

    fn heartbeat(&mut self, now: Time) {
        let late = self.heartbeat_at.map_or(0, |at| now.since(at).as_micros());
        self.missed = u32::try_from(late / self.config.heartbeat.as_micros().max(1)).unwrap_or(u32::MAX);
        self.scores.age(now, |peer| self.links.contains_key(peer));
        let (overlay, mut scene) = self.scene(now);
        let changes = overlay.maintain(&mut scene);
        self.apply(changes);
        self.expire_verdicts(now);
        self.convict(now);
        self.gossip(now);
        self.evict(now);
        for link in self.links.values_mut() {
            (link.points, link.ihaves) = (0, 0);
        }
        let is_idle = self.overlay.subscriptions().next().is_none() && self.transfers.is_empty();
        self.heartbeat_at = (!is_idle).then(|| now + self.config.heartbeat);
    }

    /// Counts an offence; bans at [`Offence::BAN`] points. What is minor weighs only so much per heartbeat: a burst can
    /// be what was under way when something changed.
    pub fn punish(&mut self, peer: PeerId, offence: Offence, now: Time) {
        let mut points = offence.points;
        if points <= MINOR_POINTS {
            let Some(link) = self.links.get_mut(&peer) else { return };
            points = points.min(MINOR_POINTS - link.points);
            link.points += points;
        }
        self.outbox.push(Output::Offence { peer, offence });
        if let Some(until) = self.scores.on_offence(peer, points, now) {
            self.on_disconnected(peer);
            self.outbox.push(Output::Disconnect { peer, until });
        }
    }

    fn scene(&mut self, now: Time) -> (&mut Overlay, Scene<'_>) {
        let scene = Scene { now, params: &self.params, scores: &self.scores, rng: &mut self.rng };
        (&mut self.overlay, scene)
    }

    /// Puts a message in a peer's queue and tells the host.
    pub(crate) fn enqueue(&mut self, peer: PeerId, message: MessageId) {
        let is_inline = self.transfers.get(&message).is_some_and(|transfer| transfer.manifest.is_inline());
        if is_inline && self.pending.contains(message) {
            // It goes on when the application accepts it.
            return;
        }
        if let Some(link) = self.links.get_mut(&peer)
            && link.enqueue(message, is_inline)
        {
            self.busy.insert(peer);
            self.outbox.push(Output::BulkReady(peer));
        }
    }

    pub(crate) fn send(&mut self, peer: PeerId, body: Body) {
        self.outbox.send(peer, body.into());
    }

    /// Tells every peer, or, when discreet, those that named the topic.
    fn tell_concerned(&mut self, topic: &Topic, body: &Body) {
        let is_concerned = |link: &Link| !self.config.is_discreet || link.knows(topic);
        let peers: Vec<PeerId> =
            self.links.iter().filter(|(_, link)| is_concerned(link)).map(|(&peer, _)| peer).collect();
        peers.into_iter().for_each(|peer| self.send(peer, body.clone()));
    }

    fn tell_all(&mut self, body: &Body) {
        let peers: BTreeSet<PeerId> = self.links.keys().copied().collect();
        peers.into_iter().for_each(|peer| self.send(peer, body.clone()));
    }
}

/// Control frames that one input may cause: a subscription told to every peer. Guess.
const OUTBOX_FRAMES: usize = 4 * limits::PEERS;
/// Names of 256 bytes each, and what protobuf adds, stay below the limit of a control frame.
const TOPICS_PER_FRAME: usize = limits::CONTROL_FRAME_BYTES / (limits::TOPIC_BYTES + 8);
/// Most points of minor offences in a heartbeat. Guess: a ban takes five of them.
const MINOR_POINTS: u32 = 20;
