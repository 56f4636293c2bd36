//! Flow control of one yamux stream, and the ping that sets its pace, after the crate `yamux` 0.14 (`flow_control.rs`,
//! `rtt.rs`): libp2p's muxer over TCP.
//!
//! A receiver grants more when half of its window came, and doubles the window when that took less than two round
//! trips. A ping waits behind the bulk of both ends, so links that happen to be measured while they are busy believe
//! in long round trips, double, and from then on get more of an uplink than others.

use braidcast_core::machine::{Duration, Time};

/// Of one direction each: credit to send, window to receive.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Bytes that may be sent.
    pub(crate) credit: u32,
    /// Bytes that the peer may have under way.
    window: u32,
    /// Bytes of it that have not come.
    left: u32,
    granted_at: Time,
    round_trip: Option<Duration>,
    ping: Ping,
}

/// A connection is pinged when it is busy, and at most once in a while.
#[derive(Clone, Copy, Debug)]
enum Ping {
    Due(Time),
    Sent(Time),
}

impl Stream {
    pub(crate) fn new(now: Time) -> Self {
        Self {
            credit: WINDOW,
            window: WINDOW,
            left: WINDOW,
            granted_at: now,
            round_trip: None,
            ping: Ping::Due(now),
        }
    }

    /// Bytes came and were read. How many more to grant, if it is time to.
    pub(crate) fn on_bytes(&mut self, now: Time, bytes: u32) -> Option<u32> {
        self.left = self.left.saturating_sub(bytes);
        if self.window - self.left < self.window / 2 {
            return None;
        }
        let is_fast = |round_trip: Duration| now.since(self.granted_at) < round_trip.saturating_mul(2);
        if self.round_trip.is_some_and(is_fast) {
            self.window = self.window.saturating_mul(2);
        }
        let more = self.window - self.left;
        self.left = self.window;
        self.granted_at = now;
        Some(more)
    }

    /// True when the connection, which is busy now, is to be pinged: then it is.
    pub(crate) fn is_ping_due(&mut self, now: Time) -> bool {
        let is_due = matches!(self.ping, Ping::Due(at) if at <= now);
        if is_due {
            self.ping = Ping::Sent(now);
        }
        is_due
    }

    pub(crate) fn on_pong(&mut self, now: Time) {
        if let Ping::Sent(at) = self.ping {
            self.round_trip = Some(now.since(at));
            self.ping = Ping::Due(now + PING_PERIOD);
        }
    }
}

/// `DEFAULT_CREDIT`.
const WINDOW: u32 = 256 * 1024;
/// From a pong to the next ping.
const PING_PERIOD: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    const HALF: u32 = WINDOW / 2;

    fn at(ms: u64) -> Time {
        Time::from_micros(ms * 1_000)
    }

    #[test]
    fn half_a_window_is_granted_anew_when_it_came() {
        let mut stream = Stream::new(at(0));
        assert_eq!(stream.on_bytes(at(1), HALF - 1), None);
        assert_eq!(stream.on_bytes(at(2), 1), Some(HALF));
    }

    #[test]
    fn a_window_doubles_when_half_of_it_takes_less_than_two_round_trips() {
        let mut stream = Stream::new(at(0));
        assert!(stream.is_ping_due(at(0)) && !stream.is_ping_due(at(1)));
        stream.on_pong(at(100));
        assert_eq!(stream.on_bytes(at(1_000), HALF), Some(HALF));
        assert_eq!(stream.on_bytes(at(1_200), HALF), Some(HALF));
        assert_eq!(stream.on_bytes(at(1_399), HALF), Some(HALF + WINDOW));
    }
}
