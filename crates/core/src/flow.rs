//! Bulk on credit: how much may be under way on a link, and how fast the node may send in all.
//!
//! A link that is writable is not sent: kernel and muxer buffers take megabytes, and what lies there can no longer be
//! chosen, nor stopped. So the receiver acknowledges cumulative bulk bytes, and the sender keeps at most one
//! bandwidth-delay product and [`SLACK`] unacknowledged per link ([`LinkFlow`]) and lets bytes go at the rate at
//! which they were seen to arrive, per link and for the node's uplink as a whole ([`Pace`]).
//!
//! How far above or below that rate to send is decided by the queue that the round trips show, so that it stays below a
//! round trip and a frame.

use alloc::collections::VecDeque;

use braidcast_machine::{Duration, Time};

use crate::{
    pace::{INITIAL_WINDOW, Mark, Pace, bytes_in},
    windowed::WindowedMin,
};

/// Both directions of one link.
#[derive(Debug)]
pub(crate) struct LinkFlow {
    /// What we send.
    sent: u64,
    acked: u64,
    departures: VecDeque<Departure>,
    round_trip: WindowedMin,
    last_round_trip: Option<Duration>,
    pinged_at: Option<Time>,
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
            pinged_at: None,
            pace: Pace::of_link(),
            received: 0,
            told: 0,
        }
    }
}

impl LinkFlow {
    /// The number to ask with; it is answered with the same.
    pub(crate) fn ping(&mut self, now: Time) -> u64 {
        self.pinged_at = Some(now);
        now.as_micros()
    }

    /// Our question of this number was answered.
    pub(crate) fn on_pong(&mut self, now: Time, number: u64) {
        if let Some(at) = self.pinged_at.take_if(|at| at.as_micros() == number) {
            self.round_trip.insert(now, now.since(at));
        }
    }

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
            Some(rtt) if self.pace.is_startup() => {
                let product = bytes_in(self.pace.rate(), rtt).saturating_mul(2);
                product.max(bytes_in(self.pace.assumed(), rtt)).max(INITIAL_WINDOW)
            }
            Some(rtt) => bytes_in(self.pace.rate(), rtt) + SLACK,
        }
    }

    /// When the next frame may go; `None` when only an acknowledgement can tell.
    pub(crate) fn ready_at(&self) -> Option<Time> {
        (self.in_flight() < self.window()).then(|| self.pace.ready_at())
    }

    /// A bulk frame of `len` bytes leaves now.
    pub(crate) fn on_sent(&mut self, now: Time, len: u64, uplink: &mut Pace) {
        self.sent += len;
        let (link, uplink) = (self.pace.on_sent(now, len), uplink.on_sent(now, len));
        self.departures.push_back(Departure { end: self.sent, at: now, link, uplink });
    }

    /// The peer has received `total` bulk bytes since the link came up. False when it cannot be.
    pub(crate) fn on_ack(&mut self, now: Time, total: u64, uplink: &mut Pace) -> bool {
        if total > self.sent || total < self.acked {
            return false;
        }
        self.acked = total;
        while let Some(departure) =
            self.departures.front().copied().filter(|departure| departure.end <= total)
        {
            self.departures.pop_front();
            let rtt = now.since(departure.at);
            self.round_trip.insert(now, rtt);
            self.last_round_trip = Some(rtt);
            let shortest = self.round_trip.min().unwrap_or(rtt);
            self.pace.on_acked(now, departure.link, rtt, shortest);
            uplink.on_acked(now, departure.uplink, rtt, shortest);
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

/// Unacknowledged bytes beyond one bandwidth-delay product.
pub(crate) const SLACK: u64 = 64 * 1024;
/// Acknowledge when this many bytes came: each full frame.
const ACK_BYTES: u64 = 8 * 1024;
/// Acknowledge fewer bytes after this long.
pub(crate) const ACK_DELAY: Duration = Duration::from_millis(10);
/// BBR: ten seconds.
const ROUND_TRIP_SPAN: Duration = Duration::from_secs(10);
