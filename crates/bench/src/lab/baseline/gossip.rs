//! gossipsub [v1.1](https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md) and
//! [v1.2](https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.2.md) (IDONTWANT), as far as it
//! decides who gets which copy when.
//!
//! The mesh is given and stands. A link sends whole messages one after the other ([`links`]); a message waits only
//! behind another one, so IDONTWANT rarely finds one to take back, and mostly says what not to begin with. Each
//! heartbeat tells some peers outside the mesh what came of late (IHAVE); who has not seen it asks (IWANT) and is sent a
//! whole further copy. Not modelled: scores, grafts, the control of IHAVE floods.

mod config;
mod links;
mod yamux;

use std::collections::{BTreeMap, BTreeSet};

use braidcast_core::{
    machine::{Budget, Duration, Input, Machine, Now, Outbox, Output, PeerSet, Rng, Time, WireLen},
    wire::PeerId,
};

use self::links::{Links, Queued};
pub(crate) use self::{config::Config, links::Uplink};
use super::{Delivered, Number, Publish};

/// What travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `len` bytes of a message of `bytes`, up to `end`.
    Part {
        number: Number,
        bytes: u32,
        end: u32,
        len: u32,
    },
    /// The sender has these.
    IHave(Vec<Number>),
    /// Send these, whole.
    IWant(Vec<Number>),
    /// Do not send these.
    IDontWant(Number),
    /// Of yamux: credit for so many bytes more.
    Grant(u32),
    Ping,
    Pong,
}

impl WireLen for Frame {
    fn wire_len(&self) -> usize {
        match self {
            Self::Part { end, len, .. } if end == len => MESSAGE_HEADER + *len as usize,
            Self::Part { len, .. } => *len as usize,
            Self::IHave(ids) | Self::IWant(ids) => CONTROL_HEADER + ids.len() * ID_BYTES,
            Self::IDontWant(_) => CONTROL_HEADER + ID_BYTES,
            Self::Grant(_) | Self::Ping | Self::Pong => YAMUX_HEADER,
        }
    }
}

/// One node.
#[derive(Debug)]
pub(crate) struct Gossip {
    config: Config,
    mesh: BTreeSet<PeerId>,
    links: Links,
    /// Who does not want what, and until when that is remembered.
    unwanted: BTreeMap<(PeerId, Number), Time>,
    messages: BTreeMap<Number, Message>,
    /// When each validation is over.
    validating: BTreeSet<(Time, Number)>,
    /// Validated of late, with the heartbeats that told of it.
    recent: Vec<(Number, u32)>,
    /// Messages that were asked for, of whom, and until when nobody else is.
    promised: BTreeMap<Number, (PeerId, Time)>,
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
    /// How often each peer was sent it for asking.
    served: BTreeMap<PeerId, u32>,
}

impl Gossip {
    /// A node whose neighbours in the mesh will be `mesh`, of all that it gets connected to.
    pub(crate) fn new(config: Config, mesh: BTreeSet<PeerId>, mut rng: Rng) -> Self {
        let phase = |period: Duration| Time::from_micros(rng.below(period.as_micros().max(1)));
        Self {
            heartbeat_at: config.heartbeat.map(phase),
            mesh,
            links: Links::new(config.uplink),
            unwanted: BTreeMap::new(),
            messages: BTreeMap::new(),
            validating: BTreeSet::new(),
            recent: Vec::new(),
            promised: BTreeMap::new(),
            rng,
            config,
            outbox: Outbox::new(usize::MAX),
        }
    }

    fn on_frame(&mut self, now: Time, peer: PeerId, frame: Frame) {
        let bytes = if let Frame::Part { len, .. } = frame { len } else { 0 };
        self.links.on_frame(now, peer, bytes);
        match frame {
            Frame::Part { number, bytes, end, .. } if end == bytes => self.on_whole(now, peer, number, bytes),
            Frame::Part { .. } => {}
            Frame::IHave(ids) => self.on_ihave(now, peer, &ids),
            Frame::IWant(ids) => self.on_iwant(now, peer, &ids),
            Frame::IDontWant(number) => self.on_idontwant(now, peer, number),
            Frame::Grant(bytes) => self.links.on_grant(now, peer, bytes),
            Frame::Ping => self.links.on_ping(peer),
            Frame::Pong => self.links.on_pong(now, peer),
        }
    }

    fn on_publish(&mut self, now: Time, Publish { number, bytes }: Publish) {
        self.messages.insert(number, Message { bytes, source: None, served: BTreeMap::new() });
        self.on_valid(now, number);
    }

    fn on_whole(&mut self, now: Time, peer: PeerId, number: Number, bytes: u32) {
        if self.messages.contains_key(&number) {
            return;
        }
        let source = Some(peer);
        self.messages.insert(number, Message { bytes, source, served: BTreeMap::new() });
        if self.config.idontwant && bytes >= IDONTWANT_BYTES {
            let others = self.mesh.iter().copied().filter(|&other| other != peer);
            // Whoever promised it would otherwise send it for nothing.
            let promised = self.promised.get(&number).map(|&(other, _)| other).filter(|&other| other != peer);
            for other in others.chain(promised).collect::<BTreeSet<PeerId>>() {
                self.control(other, Frame::IDontWant(number));
            }
        }
        self.validating.insert((now + (self.config.validation)(bytes.into()), number));
    }

    fn on_valid(&mut self, now: Time, number: Number) {
        let source = self.messages[&number].source;
        if source.is_some() {
            self.outbox.event(Delivered(number));
        }
        let floods = source.is_none() && self.config.flood_publish;
        let is_meant = |peer: &PeerId| (floods || self.mesh.contains(peer)) && Some(*peer) != source;
        let mut peers: Vec<PeerId> = self.links.peers().filter(is_meant).collect();
        // In the order of the ids, the same nodes would be served first each time.
        self.rng.shuffle(&mut peers);
        let [own, others] = self.config.patience;
        let until = now + if source.is_none() { own } else { others };
        peers.into_iter().for_each(|peer| self.enqueue(now, peer, number, until));
        self.recent.push((number, 0));
    }

    fn enqueue(&mut self, now: Time, peer: PeerId, number: Number, until: Time) {
        if self.unwanted.get(&(peer, number)).is_none_or(|&until| until < now) {
            let bytes = self.messages[&number].bytes;
            self.links.enqueue(now, peer, Queued { number, bytes, until });
        }
    }

    fn control(&mut self, peer: PeerId, frame: Frame) {
        if let Some(frame) = self.links.control(peer, frame) {
            self.outbox.send(peer, frame);
        }
    }

    fn on_idontwant(&mut self, now: Time, peer: PeerId, number: Number) {
        self.unwanted.insert((peer, number), now + self.config.idontwant_lasts);
        self.links.take_back(peer, number);
    }

    fn on_ihave(&mut self, now: Time, peer: PeerId, ids: &[Number]) {
        let mut wanted = Vec::new();
        for &number in ids {
            let is_promised = self.promised.get(&number).is_some_and(|&(_, until)| now < until);
            if !self.messages.contains_key(&number) && !is_promised {
                self.promised.insert(number, (peer, now + self.config.promise));
                wanted.push(number);
            }
        }
        if !wanted.is_empty() {
            self.control(peer, Frame::IWant(wanted));
        }
    }

    fn on_iwant(&mut self, now: Time, peer: PeerId, ids: &[Number]) {
        for &number in ids {
            let is_kept = self.recent.iter().any(|&(recent, _)| recent == number);
            let Some(message) = self.messages.get_mut(&number).filter(|_| is_kept) else { continue };
            let served = message.served.entry(peer).or_default();
            *served += 1;
            if *served <= RETRANSMISSIONS {
                self.enqueue(now, peer, number, now + self.config.patience[1]);
            }
        }
    }

    fn heartbeat(&mut self) {
        let told = self.recent.iter().filter(|&&(_, told)| told < MCACHE_GOSSIP);
        let ids: Vec<Number> = told.map(|&(number, _)| number).collect();
        if !ids.is_empty() {
            let mut others: Vec<PeerId> =
                self.links.peers().filter(|peer| !self.mesh.contains(peer)).collect();
            let count = D_LAZY.max(others.len() / GOSSIP_FACTOR);
            self.rng.shuffle(&mut others);
            for &peer in others.iter().take(count) {
                self.control(peer, Frame::IHave(ids.clone()));
            }
        }
        self.recent.iter_mut().for_each(|(_, told)| *told += 1);
        self.recent.retain(|&(_, told)| told < self.config.history);
    }
}

impl Machine for Gossip {
    type Frame = Frame;
    type Command = Publish;
    type Event = Delivered;

    fn handle(&mut self, now: Now, input: Input<Frame, Publish>) {
        match input {
            Input::Connected { peer, .. } => self.links.open(now.time, peer),
            Input::Disconnected { peer } => self.links.close(peer),
            Input::Received { peer, frame } => self.on_frame(now.time, peer, frame),
            Input::Command(publish) => self.on_publish(now.time, publish),
            Input::Tick => {}
        }
        while let Some(&(at, number)) = self.validating.first()
            && at <= now.time
        {
            self.validating.pop_first();
            self.on_valid(now.time, number);
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

    fn pull(&mut self, now: Now, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        self.links.pull(now.time, writable)
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
/// Of a frame that carries no data.
const YAMUX_HEADER: usize = 12;
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

    use super::{super::PART_BYTES, *};

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
    fn idontwant_takes_back_only_what_waits_behind_another_message() {
        let (mut node, first, other) = started();
        node.handle(NOW, Input::Command(Publish { number: 8, bytes: 1 }));
        for number in [7, 8] {
            node.handle(NOW, Input::Received { peer: first, frame: Frame::IDontWant(number) });
        }
        let all = parts(&mut node, &[first, other]);
        assert_eq!([first, other].map(|peer| all.iter().filter(|&&to| to == peer).count()), [2, 4]);
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
