//! What a protocol is in Braidcast: a [`Machine`], a state machine without input or output of its own.
//!
//! The host (a network, a simulator, a test) hands in what happened and the time; the machine says what to send, when
//! to wake it, and, when an uplink is free, which bulk frame goes next. It never blocks, reads no clock and draws no
//! entropy: the same inputs give the same outputs everywhere.
//!
//! One rule of use: after each [`Machine::handle`], drain [`Machine::poll`] until `None`, then
//! read [`Machine::deadline`].
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod outbox;
mod rng;
mod time;

use alloc::collections::BTreeSet;

use braidcast_wire::PeerId;
pub use braidcast_wire::WireLen;
pub use outbox::Outbox;
pub use rng::Rng;
pub use time::{Duration, Now, Time, WallTime};

/// A sans-IO protocol.
pub trait Machine {
    /// What travels between nodes.
    type Frame: WireLen;
    /// What the application asks for.
    type Command;
    /// What the application is told.
    type Event;

    /// One thing happened. Never fails on remote input: a bad frame becomes an [`Output::Offence`].
    fn handle(&mut self, now: Now, input: Input<Self::Frame, Self::Command>);

    /// The next control frame, event or note to the host; `None` when there is nothing left to say.
    fn poll(&mut self) -> Option<Output<Self::Frame, Self::Event>>;

    /// The uplink is free and these peers can take a bulk frame: who gets which one now?
    ///
    /// The frame is made at this moment, from what is known at this moment; nothing that grows stale waits in a queue.
    fn pull(&mut self, now: Now, writable: &PeerSet) -> Option<(PeerId, Self::Frame)>;

    /// Long computations, at most about `budget` of them; true while something is left.
    fn work(&mut self, now: Now, budget: Budget) -> bool;

    /// When to call `handle(Tick)` next, at the latest; `None` for never.
    fn deadline(&self) -> Option<Time>;
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input<F, C> {
    /// A link to `peer` is up. A peer is connected at most once: several connections are one link.
    Connected {
        /// Who.
        peer: PeerId,
        /// Who dialled.
        direction: Direction,
    },
    /// The link to `peer` is gone.
    Disconnected {
        /// Who.
        peer: PeerId,
    },
    /// `peer` sent `frame`.
    Received {
        /// The sender, authenticated by the link.
        peer: PeerId,
        /// What came.
        frame: F,
    },
    /// The application asks.
    Command(C),
    /// Time has passed.
    Tick,
}

/// Who opened a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The other side dialled; whoever wants many links to us can have them.
    Inbound,
    /// We dialled: our choice.
    Outbound,
}

/// What a machine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<F, E> {
    /// Send this control frame.
    Send {
        /// To whom.
        peer: PeerId,
        /// What.
        frame: F,
    },
    /// Tell the application.
    Event(E),
    /// There may be bulk for `peer`: call [`Machine::pull`] when it is writable.
    BulkReady(PeerId),
    /// `peer` broke a rule; for logs and counters. Nothing is to be done.
    Offence {
        /// The offender.
        peer: PeerId,
        /// Which rule.
        offence: Offence,
    },
    /// Close every connection to `peer` and refuse new ones until `until`.
    Disconnect {
        /// Who.
        peer: PeerId,
        /// When the ban ends.
        until: Time,
    },
}

/// A rule that a peer broke, and how much of its credit that costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offence {
    /// What it did, with the values.
    pub rule: &'static str,
    /// Points off its score; at [`Offence::BAN`] in total it is banned.
    pub points: u32,
}

impl Offence {
    /// The sum of points at which a peer is banned. Guess.
    pub const BAN: u32 = 100;

    /// Something an honest peer of the same version never sends: banned at once.
    pub const fn fatal(rule: &'static str) -> Self {
        Self { rule, points: Self::BAN }
    }

    /// No fault of the peer's, but worth a line in the log: it may be newer, or allow more.
    pub const fn harmless(rule: &'static str) -> Self {
        Self { rule, points: 0 }
    }

    /// Something that a slow or confused peer may do once in a while.
    pub const fn minor(rule: &'static str) -> Self {
        Self { rule, points: 5 }
    }
}

/// The peers that can take a bulk frame.
pub type PeerSet = BTreeSet<PeerId>;

/// How much of a long computation to do now: payload bytes hashed, plus multiply-accumulates in GF(2^8).
///
/// About 1 GB/s natively and 0.5 GB/s in a browser with the scalar kernel, so 2 MiB are about 4 ms there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget(pub usize);
