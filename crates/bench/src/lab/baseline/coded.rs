//! Erasure-coded broadcast with bitmaps, the way of ethp2p's Reed-Solomon strategy
//! (`specs/003`: k = 16, n = 32, bitmap after half, least-allocated shard first, a forward multiplier of 4).
//!
//! The publisher sends each of 32 shards, the ones that it sent least first; a relay passes on what it has verified, each
//! shard at most four times until it has the whole, and tells its neighbours which shards it has once it has half of
//! them. Any 16 shards make the message; then everybody is told to stop, and all 32 can be served.

use std::collections::{BTreeMap, BTreeSet};

use braidcast_core::{
    machine::{Budget, Duration, Input, Machine, Now, Outbox, Output, PeerSet, Rng, Time, WireLen},
    wire::PeerId,
};

use super::{Delivered, Number, PART_BYTES, Publish, turns::Turns, validation};

/// A set of shards.
type Shards = u32;

/// What travels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// `len` bytes of a shard, up to `end`; `preamble` bytes of hashes go ahead of a message's first shard on a link.
    Part { number: Number, bytes: u32, shard: u8, end: u32, len: u32, preamble: u32 },
    /// The sender has these shards.
    Bitmap { number: Number, shards: Shards },
    /// The sender has the message: stop, now.
    Done { number: Number, bytes: u32 },
}

impl WireLen for Frame {
    fn wire_len(&self) -> usize {
        match self {
            Self::Part { len, preamble, .. } => PART_HEADER + (len + preamble) as usize,
            Self::Bitmap { .. } | Self::Done { .. } => CONTROL_BYTES,
        }
    }
}

/// One node.
#[derive(Debug)]
pub(crate) struct Coded {
    mesh: BTreeSet<PeerId>,
    links: BTreeMap<PeerId, Link>,
    turns: Turns,
    messages: BTreeMap<Number, Message>,
    /// When decoding and validation of each message are over.
    due: BTreeSet<(Time, Number)>,
    rng: Rng,
    outbox: Outbox<Frame, Delivered>,
}

#[derive(Debug, Default)]
struct Link {
    /// The shard that is going out, and how much of it went.
    sending: Option<(Number, u8, u32)>,
    in_turns: bool,
}

#[derive(Debug)]
struct Message {
    bytes: u32,
    held: Shards,
    /// Sends that are allowed; without limit once the message is whole.
    budget: u32,
    /// How often each shard was sent.
    sends: [u32; N as usize],
    /// A random order for shards that were sent equally often.
    order: [u8; N as usize],
    peers: BTreeMap<PeerId, Peer>,
}

/// What a neighbour has of a message.
#[derive(Clone, Copy, Debug, Default)]
struct Peer {
    /// Has or was sent.
    has: Shards,
    knows_preamble: bool,
    is_done: bool,
}

impl Coded {
    /// A node that talks to `mesh` only, of all that it gets connected to.
    pub(crate) fn new(mesh: BTreeSet<PeerId>, rng: Rng) -> Self {
        Self {
            mesh,
            links: BTreeMap::new(),
            turns: Turns::default(),
            messages: BTreeMap::new(),
            due: BTreeSet::new(),
            rng,
            outbox: Outbox::new(usize::MAX),
        }
    }

    fn message(&mut self, number: Number, bytes: u32) -> &mut Message {
        let rng = &mut self.rng;
        self.messages.entry(number).or_insert_with(|| {
            let mut order = core::array::from_fn(|shard| shard as u8);
            rng.shuffle(&mut order);
            Message { bytes, held: 0, budget: 0, sends: [0; N as usize], order, peers: BTreeMap::new() }
        })
    }

    fn on_part(&mut self, now: Time, peer: PeerId, number: Number, bytes: u32, shard: u8, end: u32) {
        let message = self.message(number, bytes);
        let from = message.peers.entry(peer).or_default();
        from.knows_preamble = true;
        if end < shard_bytes(bytes) {
            return;
        }
        let bit = 1 << shard;
        from.has |= bit;
        if message.is_whole() || message.held & bit != 0 {
            return;
        }
        message.held |= bit;
        message.budget = message.budget.saturating_add(FORWARD);
        let count = message.held.count_ones();
        let shards = message.held;
        if count == K {
            (message.held, message.budget) = (Shards::MAX, u32::MAX);
            let decode = Duration::from_millis(1) + Duration::from_micros(u64::from(bytes) / 1_000);
            self.due.insert((now + decode + validation(bytes.into()), number));
        }
        let frame = match count {
            K => Some(Frame::Done { number, bytes }),
            _ if count >= K / 2 => Some(Frame::Bitmap { number, shards }),
            _ => None,
        };
        if let Some(frame) = frame {
            let peers = &self.messages[&number].peers;
            let told = self.mesh.iter().filter(|peer| peers.get(peer).is_none_or(|peer| !peer.is_done));
            told.for_each(|&peer| self.outbox.send(peer, frame.clone()));
        }
        self.wake_links();
    }

    fn on_publish(&mut self, number: Number, bytes: u32) {
        let message = self.message(number, bytes);
        (message.held, message.budget) = (Shards::MAX, u32::MAX);
        for &peer in &self.mesh {
            self.outbox.send(peer, Frame::Done { number, bytes });
        }
        self.wake_links();
    }

    fn on_done(&mut self, peer: PeerId, number: Number, bytes: u32) {
        self.message(number, bytes).peers.entry(peer).or_default().is_done = true;
        if let Some(link) = self.links.get_mut(&peer) {
            link.sending = link.sending.filter(|&(sending, ..)| sending != number);
        }
    }

    /// Every neighbour may have something to be sent now; `pull` finds out.
    fn wake_links(&mut self) {
        for (&peer, link) in self.links.iter_mut().filter(|(_, link)| !link.in_turns) {
            link.in_turns = true;
            self.turns.push(peer);
        }
    }

    fn next_for(&mut self, peer: PeerId) -> Option<Frame> {
        let link = self.links.get_mut(&peer)?;
        let (number, shard, offset, preamble) = match link.sending {
            Some((number, shard, offset)) => (number, shard, offset, 0),
            None => {
                let mut choices = self.messages.iter_mut();
                let (number, shard, preamble) =
                    choices.find_map(|(&number, message)| message.choose(number, peer))?;
                (number, shard, 0, preamble)
            }
        };
        let bytes = self.messages[&number].bytes;
        let end = shard_bytes(bytes).min(offset + PART_BYTES);
        link.sending = (end < shard_bytes(bytes)).then_some((number, shard, end));
        Some(Frame::Part { number, bytes, shard, end, len: end - offset, preamble })
    }
}

impl Message {
    fn is_whole(&self) -> bool {
        self.budget == u32::MAX
    }

    /// The shard that was sent least and that `peer` lacks; notes that it is sent.
    fn choose(&mut self, number: Number, peer: PeerId) -> Option<(Number, u8, u32)> {
        let to = self.peers.entry(peer).or_default();
        let fresh = self.held & !to.has;
        if to.is_done || self.budget == 0 || fresh == 0 || to.has.count_ones() >= N {
            return None;
        }
        let shard = (0..N as u8)
            .filter(|shard| fresh >> shard & 1 == 1)
            .min_by_key(|&shard| (self.sends[usize::from(shard)], self.order[usize::from(shard)]))?;
        if self.budget < u32::MAX {
            self.budget -= 1;
        }
        self.sends[usize::from(shard)] += 1;
        to.has |= 1 << shard;
        let preamble = if to.knows_preamble { 0 } else { PREAMBLE_BYTES };
        to.knows_preamble = true;
        Some((number, shard, preamble))
    }
}

impl Machine for Coded {
    type Frame = Frame;
    type Command = Publish;
    type Event = Delivered;

    fn handle(&mut self, now: Now, input: Input<Frame, Publish>) {
        match input {
            Input::Connected { peer, .. } if self.mesh.contains(&peer) => {
                self.links.insert(peer, Link::default());
            }
            Input::Connected { .. } => {}
            Input::Disconnected { peer } => {
                self.links.remove(&peer);
                self.turns.remove(peer);
            }
            Input::Received { peer, frame } => match frame {
                Frame::Part { number, bytes, shard, end, .. } => {
                    self.on_part(now.time, peer, number, bytes, shard, end);
                }
                Frame::Bitmap { number, shards } => {
                    if let Some(message) = self.messages.get_mut(&number) {
                        message.peers.entry(peer).or_default().has |= shards;
                    }
                }
                Frame::Done { number, bytes } => self.on_done(peer, number, bytes),
            },
            Input::Command(Publish { number, bytes }) => self.on_publish(number, bytes),
            Input::Tick => {}
        }
        while let Some(&(at, number)) = self.due.first()
            && at <= now.time
        {
            self.due.pop_first();
            self.outbox.event(Delivered(number));
        }
    }

    fn poll(&mut self) -> Option<Output<Frame, Delivered>> {
        self.outbox.pop()
    }

    fn pull(&mut self, _: Now, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        loop {
            let peer = self.turns.take(writable)?;
            if let Some(frame) = self.next_for(peer) {
                self.turns.push(peer);
                return Some((peer, frame));
            }
            if let Some(link) = self.links.get_mut(&peer) {
                link.in_turns = false;
            }
        }
    }

    fn work(&mut self, _: Now, _: Budget) -> bool {
        false
    }

    fn deadline(&self) -> Option<Time> {
        self.due.first().map(|&(at, _)| at)
    }
}

fn shard_bytes(bytes: u32) -> u32 {
    bytes.div_ceil(K)
}

/// Shards that make a message.
const K: u32 = 16;
/// Shards in all: as many as a [`Shards`] has bits.
const N: u32 = 32;
/// Sends that each new shard grants a relay.
const FORWARD: u32 = 4;
/// A hash of 32 bytes for each shard, and the message's own.
const PREAMBLE_BYTES: u32 = 32 * N + 200;
/// Stream and chunk header. Guess.
const PART_HEADER: usize = 16;
/// Message id and bitmap. Guess.
const CONTROL_BYTES: usize = 40;
