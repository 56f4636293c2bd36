//! What the mesh keeps about one connected peer.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use braidcast_machine::{Direction, Duration, Time};
use braidcast_wire::{MessageId, Topic};
use bytes::Bytes;

use crate::{api::Divide, closed::shard::Partial, piece_set::PieceSet};

/// A connected peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) direction: Direction,
    /// When something came from it last.
    pub(crate) heard_at: Time,
    /// What it subscribes to.
    pub(crate) topics: BTreeSet<Topic>,
    /// Closed topics of which it proved to be a member.
    pub(crate) members: BTreeSet<Topic>,
    /// What it sent before it proved to be a member.
    pub(crate) early: Vec<MessageId>,
    /// Of which closed topics the application was told that it is an outsider, and why.
    pub(crate) told: BTreeSet<(Topic, Divide)>,
    /// What we ask it to prove membership with.
    pub(crate) nonce: Option<[u8; 32]>,
    /// What else it would like to publish to.
    pub(crate) sought: BTreeSet<Topic>,
    /// Its own signed record, unverified.
    pub(crate) record: Option<Bytes>,
    /// Inline messages for it, in order.
    pub(crate) urgent: VecDeque<MessageId>,
    /// Other messages that may have something for it, in turn.
    pub(crate) queue: VecDeque<MessageId>,
    /// The piece that is going out.
    pub(crate) sending: Option<Place>,
    /// The piece that is coming in.
    pub(crate) receiving: Option<(Place, Vec<u8>)>,
    /// The shard that is going out, and the one that is coming in.
    pub(crate) shard_out: Option<Partial<Bytes>>,
    pub(crate) shard_in: Option<Partial<Vec<u8>>>,
    /// Announcements that wait for the batch.
    pub(crate) news: News,
    /// Points of minor offences since the last heartbeat.
    pub(crate) points: u32,
    /// `IHave` frames since the last heartbeat.
    pub(crate) ihaves: u32,
    /// How it serves what it is asked for.
    pub(crate) service: Service,
}

/// A place in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) message: MessageId,
    pub(crate) generation: usize,
    pub(crate) piece: u8,
    /// Bytes of the piece that went already.
    pub(crate) offset: usize,
}

/// What a peer is to be told with the next batch.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) have: BTreeMap<(MessageId, usize), PieceSet>,
    pub(crate) done: Vec<MessageId>,
}

impl Link {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            direction,
            heard_at: Time::ZERO,
            topics: BTreeSet::new(),
            members: BTreeSet::new(),
            early: Vec::new(),
            told: BTreeSet::new(),
            nonce: None,
            sought: BTreeSet::new(),
            record: None,
            urgent: VecDeque::new(),
            queue: VecDeque::new(),
            sending: None,
            receiving: None,
            shard_out: None,
            shard_in: None,
            news: News::default(),
            points: 0,
            ihaves: 0,
            service: Service::default(),
        }
    }

    /// True when the peer named the topic itself.
    pub(crate) fn knows(&self, topic: &Topic) -> bool {
        self.topics.contains(topic) || self.sought.contains(topic)
    }

    /// True while there may be bulk for the peer.
    pub(crate) fn has_bulk(&self) -> bool {
        self.sending.is_some()
            || self.shard_out.is_some()
            || !self.urgent.is_empty()
            || !self.queue.is_empty()
    }

    /// Puts a message in the queue; true when there was no bulk for this peer before.
    pub(crate) fn enqueue(&mut self, message: MessageId, is_inline: bool) -> bool {
        let was_idle = !self.has_bulk();
        let queue = if is_inline { &mut self.urgent } else { &mut self.queue };
        if !queue.contains(&message) {
            queue.push_back(message);
        }
        was_idle
    }

    /// Forgets what goes to and comes from the peer of this message.
    pub(crate) fn drop_message(&mut self, message: MessageId) {
        self.urgent.retain(|&queued| queued != message);
        self.queue.retain(|&queued| queued != message);
        self.sending = self.sending.filter(|place| place.message != message);
        self.shard_out.take_if(|shard| shard.message == message);
        self.shard_in.take_if(|shard| shard.message == message);
        self.receiving = self.receiving.take().filter(|(place, _)| place.message != message);
        self.news.forget(message);
    }
}

/// How a peer serves requests, learned over all messages.
#[derive(Debug)]
pub(crate) struct Service {
    /// Bytes asked for and not there yet.
    pub(crate) asked_bytes: usize,
    /// From a request to the first byte of its answer, in microseconds; smoothed.
    latency_us: u64,
    /// Time per byte of an answer in nanoseconds; smoothed.
    per_byte_ns: u64,
    last_at: Time,
    /// The shortest time from a request to the piece, in microseconds.
    shortest_us: u64,
    /// Bytes that it may be asked for at a time, by what it has shown: more while pieces come soon, fewer when not. `None`
    /// until it has shown something.
    depth: Option<usize>,
    /// What was asked for earlier makes `depth` no smaller again.
    lowered_at: Time,
    round_trip: Duration,
}

impl Default for Service {
    /// 60 ms and 4 MB/s, until something was served. Guess.
    fn default() -> Self {
        Self {
            asked_bytes: 0,
            latency_us: 60_000,
            per_byte_ns: 250,
            last_at: Time::ZERO,
            shortest_us: u64::MAX,
            depth: None,
            lowered_at: Time::ZERO,
            round_trip: Duration::ZERO,
        }
    }
}

impl Service {
    /// How long a piece asked for now may be expected to take.
    pub(crate) fn expected(&self, piece_len: usize) -> Duration {
        let bytes = (self.asked_bytes + piece_len) as u64;
        Duration::from_micros(self.latency_us + bytes * self.per_byte_ns / 1000)
    }

    /// What the link takes at least.
    pub(crate) fn on_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
        self.latency_us = self.latency_us.max(round_trip.as_micros().min(LATENCY_MAX_US));
    }

    pub(crate) fn on_asked(&mut self, piece_len: usize) {
        self.asked_bytes += piece_len;
    }

    /// A piece asked for at `asked_at` came.
    pub(crate) fn on_served(&mut self, now: Time, asked_at: Time, piece_len: usize) {
        let depth = self.depth(piece_len);
        let is_full = self.asked_bytes + piece_len > depth;
        self.on_settled(piece_len);
        let took_us = now.since(asked_at).as_micros();
        self.shortest_us = self.shortest_us.min(took_us);
        if took_us > self.shortest_us + SOON.as_micros() {
            self.lower_depth(now, asked_at, depth / 4 * 3);
        } else if is_full {
            self.depth = Some((depth + piece_len).min(DEPTH_MAX));
        }
        let transfer_us = piece_len as u64 * self.per_byte_ns / 1000;
        if asked_at >= self.last_at {
            // Nothing else was in front of it.
            self.latency_us =
                smooth(self.latency_us, now.since(asked_at).as_micros().saturating_sub(transfer_us));
        } else {
            let per_byte = now.since(self.last_at).as_micros() * 1000 / piece_len.max(1) as u64;
            self.per_byte_ns = smooth(self.per_byte_ns, per_byte);
        }
        self.last_at = now;
    }

    /// It has never answered a request.
    pub(crate) fn is_unproven(&self) -> bool {
        self.shortest_us == u64::MAX
    }

    /// Bytes that it may be asked for at a time, in pieces of this length.
    pub(crate) fn depth(&self, piece_len: usize) -> usize {
        self.depth.unwrap_or_else(|| match piece_len > LONG_PIECE {
            true => {
                let round_trips = self.round_trip.as_micros().min(LATENCY_MAX_US) / FIRST_SPAN.as_micros();
                DEPTH_FIRST_LONG * (round_trips as usize).max(1)
            }
            false => DEPTH_FIRST,
        })
    }

    /// Once for all that was asked for before.
    fn lower_depth(&mut self, now: Time, asked_at: Time, depth: usize) {
        if asked_at >= self.lowered_at {
            (self.depth, self.lowered_at) = (Some(depth), now);
        }
    }

    /// A piece is no longer expected of the peer.
    pub(crate) fn on_settled(&mut self, piece_len: usize) {
        self.asked_bytes = self.asked_bytes.saturating_sub(piece_len);
    }

    /// A piece asked for at `asked_at` did not come in time.
    pub(crate) fn on_late(&mut self, now: Time, asked_at: Time, piece_len: usize) {
        self.on_settled(piece_len);
        self.lower_depth(now, asked_at, self.depth(piece_len) / 2);
        // It may only be slow: wait longer the next time.
        self.latency_us = (self.latency_us * 5 / 4).min(LATENCY_MAX_US);
    }
}

fn smooth(old: u64, new: u64) -> u64 {
    (old * 3 + new) / 4
}

impl News {
    pub(crate) fn is_empty(&self) -> bool {
        self.have.is_empty() && self.done.is_empty()
    }

    /// Says nothing of pieces of `message`.
    pub(crate) fn forget(&mut self, message: MessageId) {
        self.have.retain(|&(of, _), _| of != message);
    }

    /// Says that the whole of `message` is here, which covers every piece.
    pub(crate) fn add_done(&mut self, message: MessageId) {
        self.forget(message);
        if !self.done.contains(&message) {
            self.done.push(message);
        }
    }
}

/// Bytes that a neighbour of which nothing is known may be asked for at a time. After simulations: more is worse where uplinks
/// are slow, since what waits for one neighbour could come from another.
const DEPTH_FIRST: usize = 64 * 1024;
/// The same in longer pieces, for each 100 ms of a link's round trip: what is asked for then is all that comes within one.
/// Measured: `docs/decisions/022`.
const DEPTH_FIRST_LONG: usize = 128 * 1024;
const FIRST_SPAN: Duration = Duration::from_millis(100);
/// Pieces longer than this are those of messages above 2 MiB.
pub(crate) const LONG_PIECE: usize = 16 * 1024;
/// And any neighbour.
const DEPTH_MAX: usize = 512 * 1024;
/// A piece comes soon when it takes at most this much longer than the fastest. Guess.
const SOON: Duration = Duration::from_millis(100);
/// No answer is expected to take longer, whatever a peer's round trips. Guess.
const LATENCY_MAX_US: u64 = 2_000_000;
