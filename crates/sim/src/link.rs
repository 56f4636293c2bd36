use std::collections::VecDeque;

use braidcast_machine::{Duration, Time};

use crate::{rate::Server, trace::Traffic};

/// What a link is like, in both directions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkProfile {
    /// One way.
    pub latency: Duration,
    /// Each frame takes up to this much longer, uniformly; order is kept.
    pub jitter: Duration,
    /// Frames lost on the way, per million, retransmissions too; each loss costs one round trip. Capped at 900,000.
    pub loss_ppm: u32,
    /// Bulk bytes under way, each direction.
    pub window: Window,
    /// Rate of each direction, bytes/s; [`World::throttle`](crate::World::throttle) changes one of them.
    pub bytes_per_s: u64,
}

impl LinkProfile {
    /// A clean link of this one-way latency.
    pub fn new(latency: Duration) -> Self {
        Self {
            latency,
            jitter: Duration::ZERO,
            loss_ppm: 0,
            window: Window::default(),
            bytes_per_s: u64::MAX,
        }
    }
}

/// How many bulk bytes may be under way on a link before it is no longer writable. The last frame may overshoot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// This many bytes.
    Bytes(u64),
    /// One bandwidth-delay product (the lowest of the uplink's, the link's and the downlink's rate, times the round
    /// trip) and this many bytes.
    Product(u64),
    /// A fresh connection: `first` at first, and more by as many as are acknowledged while at least half of it is
    /// used (slow start as Linux does it), up to one product and `extra`. It never shrinks.
    Cold {
        /// Bytes to begin with.
        first: u64,
        /// Bytes beyond the product in the end.
        extra: u64,
    },
}

impl Default for Window {
    /// One bandwidth-delay product and 64 KiB: a transport that has found its rate.
    fn default() -> Self {
        Self::Product(64 * 1024)
    }
}

impl Window {
    /// In bytes at first and at most, at this rate and round trip.
    pub(crate) fn bytes(self, bytes_per_s: u64, round_trip: Duration) -> (u64, u64) {
        let product = u128::from(bytes_per_s) * u128::from(round_trip.as_micros()) / 1_000_000;
        let product = u64::try_from(product).unwrap_or(u64::MAX);
        match self {
            Self::Bytes(bytes) => (bytes, bytes),
            Self::Product(extra) => (product.saturating_add(extra), product.saturating_add(extra)),
            Self::Cold { first, extra } => (first, product.saturating_add(extra).max(first)),
        }
    }
}

/// One direction of a link: twice the link's place, plus the sending end's (0 or 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pipe(pub(crate) u32);

impl Pipe {
    pub(crate) fn link(self) -> usize {
        self.0 as usize >> 1
    }

    /// The sending end.
    pub(crate) fn side(self) -> usize {
        self.0 as usize & 1
    }

    /// The other direction; its sending end is the receiver here.
    pub(crate) fn back(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// A pair of nodes that is or was connected.
#[derive(Debug)]
pub(crate) struct Link<F> {
    pub(crate) profile: LinkProfile,
    /// Nodes by place; end `n` sends into `ways[n]`.
    pub(crate) ends: [u32; 2],
    pub(crate) ways: [Way<F>; 2],
    /// Counts connections; what is about an older one is void.
    pub(crate) epoch: u32,
    /// Counts cuts.
    pub(crate) cuts: u32,
    pub(crate) is_cut: bool,
}

/// What one end sees of the link, and what it has sent into it.
#[derive(Debug)]
pub(crate) struct Way<F> {
    pub(crate) end: End,
    pub(crate) throttle: Server,
    pub(crate) window: u64,
    /// What a cold window grows to.
    pub(crate) window_max: u64,
    /// Bulk bytes sent and not acknowledged.
    pub(crate) under_way: u64,
    /// Nothing may arrive before what was sent earlier.
    pub(crate) last_arrival: Time,
    /// In order; only the arrival of the oldest is booked, which keeps the agenda short.
    pub(crate) flights: VecDeque<Flight<F>>,
    /// What has come to the place of the cut, in order.
    pub(crate) held: VecDeque<Flight<F>>,
    pub(crate) held_acknowledgements: u64,
    /// The send buffer: written by the machine, not yet on the uplink.
    pub(crate) buffer: VecDeque<Parcel<F>>,
    pub(crate) buffered: u64,
    /// In the uplink's round.
    pub(crate) in_turn: bool,
    pub(crate) sent: Traffic,
    pub(crate) delivered: Traffic,
}

/// What the machine at one end believes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    /// Gone, and the machine is about to be told.
    Closing,
    Closed,
}

/// A frame and its length on the wire.
#[derive(Debug)]
pub(crate) struct Parcel<F> {
    pub(crate) frame: F,
    pub(crate) bytes: u32,
    pub(crate) is_bulk: bool,
}

/// A parcel between two nodes.
#[derive(Debug)]
pub(crate) struct Flight<F> {
    pub(crate) parcel: Parcel<F>,
    /// When its first bit arrives.
    pub(crate) first: Time,
    /// When its last bit arrives.
    pub(crate) last: Time,
}

impl<F> Link<F> {
    pub(crate) fn new(ends: [u32; 2]) -> Self {
        Self {
            profile: LinkProfile::new(Duration::ZERO),
            ends,
            ways: [Way::new(), Way::new()],
            epoch: 0,
            cuts: 0,
            is_cut: false,
        }
    }

    pub(crate) fn round_trip(&self) -> Duration {
        self.profile.latency.saturating_mul(2)
    }
}

impl<F> Way<F> {
    fn new() -> Self {
        Self {
            end: End::Closed,
            throttle: Server::new(u64::MAX),
            window: 0,
            window_max: 0,
            under_way: 0,
            last_arrival: Time::ZERO,
            flights: VecDeque::new(),
            held: VecDeque::new(),
            held_acknowledgements: 0,
            buffer: VecDeque::new(),
            buffered: 0,
            in_turn: false,
            sent: Traffic::default(),
            delivered: Traffic::default(),
        }
    }

    /// A new connection: nothing is left of the old one but its counters.
    pub(crate) fn open(&mut self, bytes_per_s: u64) {
        self.end = End::Open;
        self.throttle = Server::new(bytes_per_s);
        self.under_way = 0;
        self.last_arrival = Time::ZERO;
        self.flights.clear();
        self.held.clear();
        self.held_acknowledgements = 0;
        self.empty_buffer();
    }

    /// This many bulk bytes came.
    pub(crate) fn acknowledge(&mut self, bytes: u64) {
        if self.window < self.under_way.saturating_mul(2) {
            self.window = self.window.saturating_add(bytes).min(self.window_max);
        }
        self.under_way -= bytes;
    }

    pub(crate) fn empty_buffer(&mut self) {
        self.buffer.clear();
        self.buffered = 0;
    }

    /// Room for one more bulk frame, with `send_buffer` bytes of buffer.
    pub(crate) fn is_writable(&self, send_buffer: u64) -> bool {
        self.end == End::Open
            && if send_buffer > 0 { self.buffered < send_buffer } else { self.under_way < self.window }
    }
}
