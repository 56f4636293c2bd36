//! Bulk on credit: how much may be under way on a link, and how fast the node may send in all.
//!
//! A link that is writable is not sent: kernel and muxer buffers take megabytes, and what lies there can no longer be
//! chosen, nor stopped. So the receiver acknowledges cumulative bulk bytes, and the sender keeps at most one
//! bandwidth-delay product and [`SLACK`] unacknowledged per link ([`LinkFlow`]) and lets bytes go at the rate at
//! which they were seen to arrive, per link and for the node's uplink as a whole ([`Pace`]).
//!
//! Rates are measured as in BBR ([draft-cardwell-iccrg-bbr-congestion-control-02, section
//! 4.1](https://datatracker.ietf.org/doc/html/draft-cardwell-iccrg-bbr-congestion-control-02)): bytes acknowledged
//! between a frame's departure and its acknowledgement, over the time that took. How far above or below that rate to
//! send is decided by the queue that the round trips show, so that it stays below a round trip and a frame.

use alloc::collections::VecDeque;

use braidcast_machine::{Duration, Time};
use braidcast_wire::limits::BULK_FRAME_BYTES;

/// Both directions of one link.
#[derive(Debug)]
pub(crate) struct LinkFlow {
    /// What we send.
    sent: u64,
    acked: u64,
    departures: VecDeque<Departure>,
    round_trip: WindowedMin,
    last_round_trip: Option<Duration>,
    pace: Pace,
    /// What we receive.
    received: u64,
    told: u64,
}

/// A frame under way.
#[derive(Clone, Copy, Debug)]
struct Departure {
    /// `sent` of the link when it had left.
    end: u64,
    at: Time,
    link: Mark,
    uplink: Mark,
}

impl Default for LinkFlow {
    fn default() -> Self {
        Self {
            sent: 0,
            acked: 0,
            departures: VecDeque::new(),
            round_trip: WindowedMin::over(ROUND_TRIP_SPAN),
            last_round_trip: None,
            pace: Pace::default(),
            received: 0,
            told: 0,
        }
    }
}

impl LinkFlow {
    /// Bulk bytes sent and not acknowledged.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sent - self.acked
    }

    /// Shortest round trip of late.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.min()
    }

    /// The newest round trip.
    pub(crate) fn last_round_trip(&self) -> Option<Duration> {
        self.last_round_trip
    }

    /// Measured delivery rate, bytes per second.
    pub(crate) fn rate(&self) -> u64 {
        self.pace.rate()
    }

    /// One bandwidth-delay product and [`SLACK`]; while the rate still grows two products, so that a slow link is not
    /// swamped before it is known to be one.
    pub(crate) fn window(&self) -> u64 {
        match self.round_trip.min() {
            None => INITIAL_WINDOW,
            Some(rtt) => {
                let product = bytes_in(self.pace.rate(), rtt);
                match self.pace.startup {
                    Some(_) => product.saturating_mul(2).max(INITIAL_WINDOW),
                    None => product + SLACK,
                }
            }
        }
    }

    /// When the next frame may go; `None` when only an acknowledgement can tell.
    pub(crate) fn ready_at(&self) -> Option<Time> {
        (self.in_flight() < self.window()).then(|| self.pace.ready_at())
    }

    /// A bulk frame of `len` bytes leaves now.
    pub(crate) fn on_sent(&mut self, now: Time, len: u64, uplink: &mut Pace) {
        let is_idle = self.in_flight() == 0;
        self.sent += len;
        let link = self.pace.on_sent(now, len, is_idle);
        let is_uplink_idle = uplink.under_way == 0;
        let uplink = uplink.on_sent(now, len, is_uplink_idle);
        self.departures.push_back(Departure { end: self.sent, at: now, link, uplink });
    }

    /// The peer has received `total` bulk bytes since the link came up. False when it cannot be.
    pub(crate) fn on_ack(&mut self, now: Time, total: u64, uplink: &mut Pace) -> bool {
        if total > self.sent || total < self.acked {
            return false;
        }
        let acked = total - self.acked;
        self.acked = total;
        self.pace.delivered(now, acked);
        uplink.delivered(now, acked);
        while let Some(departure) =
            self.departures.front().copied().filter(|departure| departure.end <= total)
        {
            self.departures.pop_front();
            let rtt = now.since(departure.at);
            self.round_trip.insert(now, rtt);
            self.last_round_trip = Some(rtt);
            let shortest = self.round_trip.min().unwrap_or(rtt);
            self.pace.on_round_trip(now, departure.link, rtt, shortest);
            uplink.on_round_trip(now, departure.uplink, rtt, shortest);
        }
        true
    }

    /// There was nothing to send although the link was free: what is measured now says little of what it can carry.
    pub(crate) fn on_starved(&mut self) {
        self.pace.on_starved();
    }

    /// A bulk frame of `len` bytes came. True when it is time to acknowledge.
    pub(crate) fn on_received(&mut self, len: u64) -> bool {
        self.received += len;
        self.received - self.told >= ACK_BYTES
    }

    /// True when bytes wait to be acknowledged.
    pub(crate) fn owes_ack(&self) -> bool {
        self.received > self.told
    }

    /// The number to acknowledge with.
    pub(crate) fn ack(&mut self) -> u64 {
        self.told = self.received;
        self.received
    }
}

/// A measured rate, and the tokens to send at about that rate.
#[derive(Debug)]
pub(crate) struct Pace {
    /// Bytes acknowledged so far, and when the last were.
    delivered: u64,
    delivered_at: Time,
    /// Bytes sent, and neither acknowledged nor lost with their link.
    under_way: u64,
    rate: WindowedMax,
    /// Bytes that may go at `tokens_at`; negative after a frame that was longer than what was left.
    tokens: i64,
    tokens_at: Time,
    gain: Gain,
    /// The rate of the last round that still grew, and rounds since; `None` once the rate is found.
    startup: Option<Startup>,
    is_starved: bool,
    /// What round trips were longer than the shortest of their link, at least, over a while.
    queue: WindowedMin,
}

#[derive(Clone, Copy, Debug, Default)]
struct Startup {
    rate: u64,
    round_end: u64,
    flat_rounds: u32,
}

/// What had been delivered when a frame left.
#[derive(Clone, Copy, Debug)]
struct Mark {
    delivered: u64,
    at: Time,
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

impl Default for Pace {
    fn default() -> Self {
        Self {
            delivered: 0,
            delivered_at: Time::ZERO,
            under_way: 0,
            rate: WindowedMax::default(),
            tokens: INITIAL_WINDOW as i64,
            tokens_at: Time::ZERO,
            gain: Gain::Startup,
            startup: Some(Startup::default()),
            is_starved: false,
            queue: WindowedMin::over(Duration::ZERO),
        }
    }
}

impl Pace {
    /// For the uplink of all links together. A queue at one receiver is no queue at the uplink: the shortest counts.
    pub(crate) fn of_uplink() -> Self {
        Self { queue: WindowedMin::over(UPLINK_SPAN), ..Self::default() }
    }

    /// Bytes per second; 0 before anything was measured.
    pub(crate) fn rate(&self) -> u64 {
        self.rate.max()
    }

    fn send_rate(&self) -> u64 {
        (self.rate().saturating_mul(self.gain as u64) / 100).max(RATE_MIN)
    }

    /// When the tokens suffice for another frame.
    pub(crate) fn ready_at(&self) -> Time {
        if self.rate() == 0 || self.tokens >= 0 {
            return self.tokens_at;
        }
        let micros = self.tokens.unsigned_abs().saturating_mul(1_000_000).div_ceil(self.send_rate());
        self.tokens_at + Duration::from_micros(micros)
    }

    fn on_sent(&mut self, now: Time, len: u64, is_idle: bool) -> Mark {
        let earned = bytes_in(self.send_rate(), now.since(self.tokens_at)) as i64;
        // What was not used does not pile up beyond a few milliseconds' worth: timers are that coarse.
        let most = bytes_in(self.send_rate(), BURST) as i64;
        self.tokens = self.tokens.saturating_add(earned).min(most) - len as i64;
        self.tokens_at = now;
        self.under_way += len;
        if is_idle {
            self.delivered_at = now;
        }
        Mark { delivered: self.delivered, at: self.delivered_at.max(Time::ZERO), is_starved: self.is_starved }
    }

    fn delivered(&mut self, now: Time, bytes: u64) {
        self.delivered += bytes;
        self.delivered_at = now;
        self.under_way = self.under_way.saturating_sub(bytes);
    }

    /// See [`LinkFlow::on_starved`].
    pub(crate) fn on_starved(&mut self) {
        self.is_starved = true;
    }

    /// A link is gone with this many bytes under way.
    pub(crate) fn lost(&mut self, bytes: u64) {
        self.under_way = self.under_way.saturating_sub(bytes);
    }

    /// The frame that left at `mark` was acknowledged after `rtt`.
    fn on_round_trip(&mut self, now: Time, mark: Mark, rtt: Duration, shortest: Duration) {
        let micros = now.since(mark.at).as_micros().max(rtt.as_micros()).max(1);
        let rate = (self.delivered - mark.delivered).saturating_mul(1_000_000) / micros;
        if !mark.is_starved || rate > self.rate() {
            self.rate.insert(now, rate);
        }
        if mark.delivered >= self.startup.map_or(u64::MAX, |startup| startup.round_end) {
            self.on_startup_round(mark.is_starved);
        }
        let frame = Duration::from_micros(
            (BULK_FRAME_BYTES as u64).saturating_mul(1_000_000) / self.rate().max(RATE_MIN),
        );
        self.queue.insert(now, rtt - shortest);
        let queue = self.queue.min().unwrap_or_default();
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
        self.is_starved = false;
    }

    fn on_startup_round(&mut self, is_starved: bool) {
        let (rate, delivered) = (self.rate(), self.delivered);
        let Some(startup) = &mut self.startup else { return };
        startup.round_end = delivered;
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

/// The greatest value of the last one to two spans.
#[derive(Debug, Default)]
struct WindowedMax {
    current: u64,
    before: u64,
    since: Time,
}

impl WindowedMax {
    fn insert(&mut self, now: Time, value: u64) {
        if now.since(self.since) > RATE_SPAN {
            (self.before, self.current, self.since) = (self.current, 0, now);
        }
        self.current = self.current.max(value);
    }

    fn max(&self) -> u64 {
        self.current.max(self.before)
    }
}

/// The least value of the last one to two spans.
#[derive(Debug)]
struct WindowedMin {
    span: Duration,
    current: Option<Duration>,
    before: Option<Duration>,
    since: Time,
}

impl WindowedMin {
    /// A span of zero keeps the newest.
    fn over(span: Duration) -> Self {
        Self { span, current: None, before: None, since: Time::ZERO }
    }

    fn insert(&mut self, now: Time, value: Duration) {
        if self.span == Duration::ZERO {
            self.current = None;
        } else if now.since(self.since) > self.span {
            (self.before, self.current, self.since) = (self.current, None, now);
        }
        self.current = Some(self.current.map_or(value, |current| current.min(value)));
    }

    fn min(&self) -> Option<Duration> {
        self.current.into_iter().chain(self.before).min()
    }
}

fn bytes_in(rate: u64, span: Duration) -> u64 {
    (u128::from(rate) * u128::from(span.as_micros()) / 1_000_000).min(u128::from(u32::MAX)) as u64
}

/// Unacknowledged bytes beyond one bandwidth-delay product.
pub(crate) const SLACK: u64 = 64 * 1024;
/// Two frames: their acknowledgements give the first rate (TCP starts with 10 packets, RFC 6928).
const INITIAL_WINDOW: u64 = 32 * 1024;
/// Acknowledge when this many bytes came: each full frame.
const ACK_BYTES: u64 = 8 * 1024;
/// Acknowledge fewer bytes after this long.
pub(crate) const ACK_DELAY: Duration = Duration::from_millis(10);
/// Tokens for this long may pile up. Guess: twice what a browser's timers are late.
const BURST: Duration = Duration::from_millis(8);
/// A slower link is treated as if it had this rate: 8 kbit/s. Guess.
const RATE_MIN: u64 = 1_000;
/// BBR: ten round trips. Here a time, as links' round trips differ; guess.
const RATE_SPAN: Duration = Duration::from_secs(2);
/// BBR: ten seconds.
const ROUND_TRIP_SPAN: Duration = Duration::from_secs(10);
/// About a round trip. Guess.
const UPLINK_SPAN: Duration = Duration::from_millis(100);
