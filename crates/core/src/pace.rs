//! A rate that is found by sending, and the tokens to send at about that rate.
//!
//! Measured as in BBR ([draft-cardwell-iccrg-bbr-congestion-control-02, section
//! 4.1](https://datatracker.ietf.org/doc/html/draft-cardwell-iccrg-bbr-congestion-control-02)), with one change that lets
//! one estimate serve many links of different round trips: an acknowledgement says that all bytes sent before its frame,
//! on whatever link, had left the shortest round trip of its own link earlier.

use braidcast_machine::{Duration, Time};
use braidcast_wire::limits::BULK_FRAME_BYTES;

use crate::windowed::{WindowedMax, WindowedMin};

/// Of one link, or of the uplink that all links share.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What is assumed before anything is known.
    first: First,
    sent: u64,
    /// Bytes sent, and neither acknowledged nor lost with their link.
    under_way: u64,
    left: Left,
    rate: WindowedMax,
    /// Bytes that may go at `tokens_at`; negative after a frame that was longer than what was left.
    tokens: i64,
    tokens_at: Time,
    gain: Gain,
    /// `None` once the rate is found.
    startup: Option<Startup>,
    is_starved: bool,
    /// What round trips were longer than the shortest of their link, at least, over a while.
    queue: WindowedMin,
}

/// A first guess.
#[derive(Clone, Copy, Debug)]
struct First {
    /// Bytes that may go at once.
    burst: u64,
    /// Bytes per second.
    rate: u64,
}

/// This many bytes had left at this time.
#[derive(Clone, Copy, Debug, Default)]
struct Left {
    bytes: u64,
    at: Time,
}

/// The rate of the last round that still grew, and rounds since.
#[derive(Clone, Copy, Debug, Default)]
struct Startup {
    rate: u64,
    round_end: u64,
    flat_rounds: u32,
}

/// What was known when a frame left.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    at: Time,
    len: u64,
    /// All bytes sent, this frame's included.
    end: u64,
    left: Left,
    is_starved: bool,
}

/// How much faster or slower than the measured rate to send, in percent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gain {
    /// Twice the rate, until it stops growing (BBR: 2.89; lower, for shorter queues).
    Startup = 200,
    /// The queue is short: see whether there is more.
    Probe = 125,
    /// The queue is as long as it may be.
    Hold = 100,
    /// It is too long.
    Drain = 75,
}

impl Pace {
    /// For one link.
    pub(crate) fn of_link() -> Self {
        Self::new(First { burst: INITIAL_WINDOW, rate: FIRST_RATE }, Duration::ZERO)
    }

    /// For the uplink of all links together. A queue at one receiver is no queue at the uplink: the shortest counts.
    pub(crate) fn of_uplink() -> Self {
        Self::new(First { burst: 8 * INITIAL_WINDOW, rate: 4 * FIRST_RATE }, UPLINK_SPAN)
    }

    fn new(first: First, queue_span: Duration) -> Self {
        Self {
            first,
            sent: 0,
            under_way: 0,
            left: Left::default(),
            rate: WindowedMax::over(RATE_SPAN),
            tokens: first.burst as i64,
            tokens_at: Time::ZERO,
            gain: Gain::Startup,
            startup: Some(Startup::default()),
            is_starved: false,
            queue: WindowedMin::over(queue_span),
        }
    }

    /// Bytes per second; 0 before anything was measured.
    pub(crate) fn rate(&self) -> u64 {
        self.rate.max()
    }

    /// The rate is still growing, or unknown.
    pub(crate) fn is_startup(&self) -> bool {
        self.startup.is_some()
    }

    /// The rate that may be assumed: the measured one, and while it still grows no less than the first guess.
    pub(crate) fn assumed(&self) -> u64 {
        self.rate().max(if self.is_startup() { self.first.rate } else { 0 })
    }

    fn send_rate(&self) -> u64 {
        let measured = self.rate().saturating_mul(self.gain as u64) / 100;
        measured.max(if self.is_startup() { self.first.rate } else { RATE_MIN })
    }

    /// When the tokens suffice for another frame.
    pub(crate) fn ready_at(&self) -> Time {
        if self.tokens >= 0 {
            return self.tokens_at;
        }
        let micros = self.tokens.unsigned_abs().saturating_mul(1_000_000).div_ceil(self.send_rate());
        self.tokens_at + Duration::from_micros(micros)
    }

    /// A frame of `len` bytes leaves now.
    pub(crate) fn on_sent(&mut self, now: Time, len: u64) -> Mark {
        let earned = bytes_in(self.send_rate(), now.since(self.tokens_at));
        // What was not used does not pile up beyond a few milliseconds' worth: timers are that coarse.
        let first = if self.is_startup() { self.first.burst } else { 0 };
        let most = bytes_in(self.send_rate(), BURST).max(first);
        self.tokens = self.tokens.saturating_add(earned as i64).min(most as i64) - len as i64;
        self.tokens_at = now;
        if self.under_way == 0 {
            self.left = Left { bytes: self.sent, at: now };
        }
        self.sent += len;
        self.under_way += len;
        Mark { at: now, len, end: self.sent, left: self.left, is_starved: self.is_starved }
    }

    /// There was nothing to send although it could: what is measured now says little of what it can carry.
    pub(crate) fn on_starved(&mut self) {
        self.is_starved = true;
    }

    /// A link is gone with this many bytes under way.
    pub(crate) fn lost(&mut self, bytes: u64) {
        self.under_way = self.under_way.saturating_sub(bytes);
    }

    /// The frame of `mark` was acknowledged after `rtt`, on a link where `shortest` is the least of late.
    pub(crate) fn on_acked(&mut self, now: Time, mark: Mark, rtt: Duration, shortest: Duration) {
        self.under_way = self.under_way.saturating_sub(mark.len);
        let queued = rtt - shortest;
        let left = Left { bytes: mark.end, at: mark.at + queued };
        if left.bytes > self.left.bytes {
            self.left = left;
        }
        let micros = left.at.since(mark.left.at).max(INTERVAL_MIN).as_micros();
        let rate = left.bytes.saturating_sub(mark.left.bytes).saturating_mul(1_000_000) / micros;
        if !mark.is_starved || rate > self.rate() {
            self.rate.insert(now, rate);
        }
        if self.startup.is_some_and(|startup| mark.left.bytes >= startup.round_end) {
            self.on_startup_round(mark.is_starved);
        }
        self.queue.insert(now, queued);
        self.steer(shortest);
        self.is_starved = false;
    }

    /// Chooses the gain by the queue.
    fn steer(&mut self, shortest: Duration) {
        let queue = self.queue.min().unwrap_or_default();
        let frame = Duration::from_micros(
            (BULK_FRAME_BYTES as u64).saturating_mul(1_000_000) / self.rate().max(RATE_MIN),
        );
        // Its own length is part of a frame's round trip. Fractions: guesses that keep the tests' promises.
        let short = Duration::from_micros(shortest.as_micros() / 8 + frame.as_micros());
        let long = Duration::from_micros((shortest.as_micros() + frame.as_micros() * 6) / 4);
        if queue > long {
            self.startup = None;
        }
        self.gain = match () {
            () if self.startup.is_some() => Gain::Startup,
            () if queue > long => Gain::Drain,
            () if queue > short => Gain::Hold,
            () => Gain::Probe,
        };
    }

    fn on_startup_round(&mut self, is_starved: bool) {
        let (rate, sent) = (self.rate(), self.sent);
        let Some(startup) = &mut self.startup else { return };
        startup.round_end = sent;
        if rate >= startup.rate / 4 * 5 {
            (startup.rate, startup.flat_rounds) = (rate, 0);
        } else if !is_starved {
            startup.flat_rounds += 1;
        }
        if startup.flat_rounds >= 3 {
            self.startup = None;
        }
    }
}

pub(crate) fn bytes_in(rate: u64, span: Duration) -> u64 {
    (u128::from(rate) * u128::from(span.as_micros()) / 1_000_000).min(u128::from(u32::MAX)) as u64
}

/// Two frames: their acknowledgements give the first rate (TCP starts with 10 packets, RFC 6928).
pub(crate) const INITIAL_WINDOW: u64 = 32 * 1024;
/// 10 Mbit/s, what most homes send. Guess; a link that is slower shows a queue within a round trip.
const FIRST_RATE: u64 = 1_250_000;
/// Tokens for this long may pile up. Guess: twice what a browser's timers are late.
const BURST: Duration = Duration::from_millis(8);
/// A slower link is treated as if it had this rate: 8 kbit/s. Guess.
const RATE_MIN: u64 = 1_000;
/// Over less, chance decides. Guess: a little more than a burst.
const INTERVAL_MIN: Duration = Duration::from_millis(10);
/// BBR: ten round trips. Here a time, as links' round trips differ; guess.
const RATE_SPAN: Duration = Duration::from_secs(2);
/// About a round trip. Guess.
const UPLINK_SPAN: Duration = Duration::from_millis(100);
