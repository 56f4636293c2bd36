//! gossipsub [v1.1](https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md) and
//! [v1.2](https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.2.md) (IDONTWANT), as far as it
//! decides who gets which copy when.
//!
//! The mesh is given and stands. A message is queued whole on each mesh link, links share the uplink part by part, and
//! a queued message is taken back by IDONTWANT only while no byte of it has left. Each heartbeat tells some peers
//! outside the mesh what came of late (IHAVE); who has not seen it asks (IWANT) and is sent a whole further copy.
//! Not modelled: scores, grafts, the control of IHAVE floods.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use braidcast_core::{
    machine::{Budget, Duration, Input, Machine, Now, Outbox, Output, PeerSet, Rng, Time, WireLen},
    wire::PeerId,
};

use super::{Delivered, Number, PART_BYTES, Publish, turns::Turns};

/// Which gossipsub. Names are the specification's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// v1.2: tell mesh peers what came, when it is long enough.
    pub(crate) idontwant: bool,
    /// Publish to every connected peer, not to the mesh alone.
    pub(crate) flood_publish: bool,
    /// Period of IHAVE; none for no gossip.
    pub(crate) heartbeat: Option<Duration>,
    /// After asking one peer for a message, ask no other for this long.
    pub(crate) promise: Duration,
    /// Between a message's last byte and its delivery and forwarding.
    pub(crate) validation: fn(u64) -> Duration,
}

impl Config {
    /// go-libp2p-pubsub as it is set up for Ethereum: heartbeat of 700 ms, no flood publishing; asks every peer that
    /// says IHAVE.
    pub(crate) const GO: Self = Self {
        idontwant: true,
        flood_publish: false,
        heartbeat: Some(Duration::from_millis(700)),
        promise: Duration::ZERO,
        validation: super::validation,
    };

    /// rust-libp2p's defaults: heartbeat of 1 s, flood publishing, one promise per message (`iwant_followup` 3 s), no
    /// validator.
    pub(crate) const RUST: Self = Self {
        idontwant: true,
        flood_publish: true,
        heartbeat: Some(Duration::from_secs(1)),
        promise: Duration::from_secs(3),
        validation: |_| Duration::ZERO,
    };
}

/// What travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `len` bytes of a message of `bytes`, up to `end`.
    Part { number: Number, bytes: u32, end: u32, len: u32 },
    /// The sender has these.
    IHave(Vec<Number>),
    /// Send these, whole.
    IWant(Vec<Number>),
    /// Do not send these.
    IDontWant(Number),
}

impl WireLen for Frame {
    fn wire_len(&self) -> usize {
        match self {
            Self::Part { end, len, .. } if end == len => MESSAGE_HEADER + *len as usize,
            Self::Part { len, .. } => *len as usize,
            Self::IHave(ids) | Self::IWant(ids) => CONTROL_HEADER + ids.len() * ID_BYTES,
            Self::IDontWant(_) => CONTROL_HEADER + ID_BYTES,
        }
    }
}

/// One node.
#[derive(Debug)]
pub(crate) struct Gossip {
    config: Config,
    mesh: BTreeSet<PeerId>,
    links: BTreeMap<PeerId, Link>,
    turns: Turns,
    messages: BTreeMap<Number, Message>,
    /// When each validation is over.
    validating: BTreeSet<(Time, Number)>,
    /// Validated of late, with the heartbeats that told of it.
    recent: Vec<(Number, u32)>,
    /// Messages that were asked for, and until when nobody else is.
    promised: BTreeMap<Number, Time>,
    heartbeat_at: Option<Time>,
    rng: Rng,
    outbox: Outbox<Frame, Delivered>,
}

/// A message that came whole.
#[derive(Debug)]
struct Message {
    bytes: u32,
    /// Who sent it first; nobody for our own.
    source: Option<PeerId>,
    is_valid: bool,
    /// How often each peer was sent it for asking.
    served: BTreeMap<PeerId, u32>,
}

#[derive(Debug, Default)]
struct Link {
    /// Messages to send, in order; while there are any, the link is in the turns.
    queue: VecDeque<Number>,
    /// Bytes of the first that have left.
    offset: u32,
    unwanted: BTreeSet<Number>,
}

impl Gossip {
    /// A node whose neighbours in the mesh will be `mesh`, of all that it gets connected to.
    pub(crate) fn new(config: Config, mesh: BTreeSet<PeerId>, mut rng: Rng) -> Self {
        let phase = |period: Duration| Time::from_micros(rng.below(period.as_micros().max(1)));
        Self {
            heartbeat_at: config.heartbeat.map(phase),
            config,
            mesh,
            links: BTreeMap::new(),
            turns: Turns::default(),
            messages: BTreeMap::new(),
            validating: BTreeSet::new(),
            recent: Vec::new(),
            promised: BTreeMap::new(),
            rng,
            outbox: Outbox::new(usize::MAX),
        }
    }

    fn on_publish(&mut self, Publish { number, bytes }: Publish) {
        self.messages
            .insert(number, Message { bytes, source: None, is_valid: false, served: BTreeMap::new() });
        self.on_valid(number);
    }

    fn on_whole(&mut self, now: Time, peer: PeerId, number: Number, bytes: u32) {
        if self.messages.contains_key(&number) {
            return;
        }
        let source = Some(peer);
        self.messages.insert(number, Message { bytes, source, is_valid: false, served: BTreeMap::new() });
        if self.config.idontwant && bytes >= IDONTWANT_BYTES {
            for &neighbour in self.mesh.iter().filter(|&&neighbour| neighbour != peer) {
                self.outbox.send(neighbour, Frame::IDontWant(number));
            }
        }
        self.validating.insert((now + (self.config.validation)(bytes.into()), number));
    }

    fn on_valid(&mut self, number: Number) {
        let message = self.messages.get_mut(&number).expect("it is validated because it came");
        message.is_valid = true;
        let source = message.source;
        if source.is_some() {
            self.outbox.event(Delivered(number));
        }
        let floods = source.is_none() && self.config.flood_publish;
        let is_meant = |peer: &PeerId| (floods || self.mesh.contains(peer)) && Some(*peer) != source;
        let mut peers: Vec<PeerId> = self.links.keys().copied().filter(is_meant).collect();
        // In the order of the ids, the same nodes would be served first each time.
        self.rng.shuffle(&mut peers);
        peers.into_iter().for_each(|peer| self.enqueue(peer, number));
        self.recent.push((number, 0));
    }

    fn enqueue(&mut self, peer: PeerId, number: Number) {
        if let Some(link) = self.links.get_mut(&peer)
            && !link.unwanted.contains(&number)
        {
            if link.queue.is_empty() {
                self.turns.push(peer);
            }
            link.queue.push_back(number);
        }
    }

    fn on_idontwant(&mut self, peer: PeerId, number: Number) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        link.unwanted.insert(number);
        let (was_empty, started) = (link.queue.is_empty(), usize::from(link.offset > 0));
        let mut at = 0..;
        link.queue.retain(|&queued| at.next().is_some_and(|at| at < started) || queued != number);
        if link.queue.is_empty() && !was_empty {
            self.turns.remove(peer);
        }
    }

    fn on_ihave(&mut self, now: Time, peer: PeerId, ids: &[Number]) {
        let mut wanted = Vec::new();
        for &number in ids {
            let is_promised = self.promised.get(&number).is_some_and(|&until| now < until);
            if !self.messages.contains_key(&number) && !is_promised {
                self.promised.insert(number, now + self.config.promise);
                wanted.push(number);
            }
        }
        if !wanted.is_empty() {
            self.outbox.send(peer, Frame::IWant(wanted));
        }
    }

    fn on_iwant(&mut self, peer: PeerId, ids: &[Number]) {
        for &number in ids {
            let Some(message) = self.messages.get_mut(&number).filter(|message| message.is_valid) else {
                continue;
            };
            let served = message.served.entry(peer).or_default();
            *served += 1;
            if *served <= RETRANSMISSIONS {
                self.enqueue(peer, number);
            }
        }
    }

    fn heartbeat(&mut self) {
        let ids: Vec<Number> = self.recent.iter().map(|&(number, _)| number).collect();
        if !ids.is_empty() {
            let mut others: Vec<PeerId> =
                self.links.keys().copied().filter(|peer| !self.mesh.contains(peer)).collect();
            let count = D_LAZY.max(others.len() / GOSSIP_FACTOR);
            self.rng.shuffle(&mut others);
            for &peer in others.iter().take(count) {
                self.outbox.send(peer, Frame::IHave(ids.clone()));
            }
        }
        self.recent.iter_mut().for_each(|(_, told)| *told += 1);
        self.recent.retain(|&(_, told)| told < MCACHE_GOSSIP);
    }
}

impl Machine for Gossip {
    type Frame = Frame;
    type Command = Publish;
    type Event = Delivered;

    fn handle(&mut self, now: Now, input: Input<Frame, Publish>) {
        match input {
            Input::Connected { peer, .. } => {
                self.links.insert(peer, Link::default());
            }
            Input::Disconnected { peer } => {
                self.links.remove(&peer);
                self.turns.remove(peer);
            }
            Input::Received { peer, frame } => match frame {
                Frame::Part { number, bytes, end, .. } if end == bytes => {
                    self.on_whole(now.time, peer, number, bytes);
                }
                Frame::Part { .. } => {}
                Frame::IHave(ids) => self.on_ihave(now.time, peer, &ids),
                Frame::IWant(ids) => self.on_iwant(peer, &ids),
                Frame::IDontWant(number) => self.on_idontwant(peer, number),
            },
            Input::Command(publish) => self.on_publish(publish),
            Input::Tick => {}
        }
        while let Some(&(at, number)) = self.validating.first()
            && at <= now.time
        {
            self.validating.pop_first();
            self.on_valid(number);
        }
        if let (Some(at), Some(period)) = (self.heartbeat_at, self.config.heartbeat)
            && at <= now.time
        {
            self.heartbeat_at = Some(at + period);
            self.heartbeat();
        }
    }

    fn poll(&mut self) -> Option<Output<Frame, Delivered>> {
        self.outbox.pop()
    }

    fn pull(&mut self, _: Now, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        let peer = self.turns.take(writable)?;
        let link = self.links.get_mut(&peer).expect("turns are of links");
        let number = *link.queue.front().expect("a link in the turns has something");
        let bytes = self.messages[&number].bytes;
        let len = PART_BYTES.min(bytes - link.offset);
        let end = link.offset + len;
        link.offset = end;
        if end == bytes {
            link.queue.pop_front();
            link.offset = 0;
        }
        if !link.queue.is_empty() {
            self.turns.push(peer);
        }
        Some((peer, Frame::Part { number, bytes, end, len }))
    }

    fn work(&mut self, _: Now, _: Budget) -> bool {
        false
    }

    fn deadline(&self) -> Option<Time> {
        let valid_at = self.validating.first().map(|&(at, _)| at);
        valid_at.into_iter().chain(self.heartbeat_at).min()
    }
}

/// Protobuf, topic, sender, sequence number and signature. Guess.
const MESSAGE_HEADER: usize = 160;
/// Of a control RPC, topic included. Guess.
const CONTROL_HEADER: usize = 24;
/// Ethereum's message ids.
const ID_BYTES: usize = 20;
/// go-libp2p-pubsub's and rust-libp2p's threshold.
const IDONTWANT_BYTES: u32 = 1024;
/// Peers told of messages each heartbeat, at least.
const D_LAZY: usize = 6;
/// One in this many is told (gossip factor 0.25).
const GOSSIP_FACTOR: usize = 4;
/// Heartbeats that a message is told of.
const MCACHE_GOSSIP: u32 = 3;
/// `GossipRetransmission`.
const RETRANSMISSIONS: u32 = 3;

#[cfg(test)]
mod tests {
    use braidcast_core::machine::{Direction, WallTime};

    use super::*;

    const NOW: Now = Now { time: Time::ZERO, wall: WallTime(0) };

    /// A publisher with two mesh neighbours, 1 and 2, that has sent the first part to one of them.
    fn started() -> (Gossip, PeerId, PeerId) {
        let peers = [1, 2].map(|id| PeerId([id; 32]));
        let config = Config { heartbeat: None, ..Config::GO };
        let mut node = Gossip::new(config, peers.into(), Rng::from_seed([1; 32]));
        for peer in peers {
            node.handle(NOW, Input::Connected { peer, direction: Direction::Outbound });
        }
        node.handle(NOW, Input::Command(Publish { number: 7, bytes: 40_000 }));
        let (first, frame) = node.pull(NOW, &peers.into()).expect("there is a message to send");
        assert_eq!(frame, Frame::Part { number: 7, bytes: 40_000, end: PART_BYTES, len: PART_BYTES });
        let other = if first == peers[0] { peers[1] } else { peers[0] };
        (node, first, other)
    }

    fn parts(node: &mut Gossip, peers: &[PeerId]) -> Vec<PeerId> {
        let writable = peers.iter().copied().collect();
        core::iter::from_fn(|| node.pull(NOW, &writable)).map(|(peer, _)| peer).collect()
    }

    #[test]
    fn links_share_the_uplink_part_by_part() {
        let (mut node, first, other) = started();
        assert_eq!(parts(&mut node, &[first, other]), [other, first, other, first, other]);
    }

    #[test]
    fn idontwant_takes_back_only_what_has_not_started() {
        let (mut node, first, other) = started();
        for peer in [first, other] {
            node.handle(NOW, Input::Received { peer, frame: Frame::IDontWant(7) });
        }
        assert_eq!(parts(&mut node, &[first, other]), [first, first]);
    }

    #[test]
    fn iwant_is_answered_with_a_whole_copy_three_times() {
        let (mut node, first, other) = started();
        parts(&mut node, &[first, other]);
        for asked in 1..=4 {
            node.handle(NOW, Input::Received { peer: other, frame: Frame::IWant(vec![7, 8]) });
            assert_eq!(parts(&mut node, &[first, other]).len(), if asked <= 3 { 3 } else { 0 });
        }
    }

    #[test]
    fn a_message_is_passed_on_after_validation_and_not_to_its_source() {
        let (source, other) = (PeerId([1; 32]), PeerId([2; 32]));
        let config = Config { heartbeat: None, ..Config::GO };
        let mut node = Gossip::new(config, [source, other].into(), Rng::from_seed([1; 32]));
        for peer in [source, other] {
            node.handle(NOW, Input::Connected { peer, direction: Direction::Outbound });
        }
        let frame = Frame::Part { number: 7, bytes: 2_000, end: 2_000, len: 2_000 };
        node.handle(NOW, Input::Received { peer: source, frame: frame.clone() });
        assert_eq!(node.poll(), Some(Output::Send { peer: other, frame: Frame::IDontWant(7) }));
        assert_eq!((node.poll(), parts(&mut node, &[source, other]).len()), (None, 0));
        let later = Now { time: node.deadline().expect("a validation"), ..NOW };
        assert_eq!(later.time.as_micros(), 5_000);
        node.handle(later, Input::Tick);
        assert_eq!(node.poll(), Some(Output::Event(Delivered(7))));
        assert_eq!(node.pull(later, &[source, other].into()), Some((other, frame)));
        assert_eq!(node.pull(later, &[source, other].into()), None);
    }
}
