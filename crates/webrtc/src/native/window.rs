//! How much a channel may have under way: what the path has been seen to take.
//!
//! SCTP's congestion window grows by a packet each round trip, so on a short path it fills the peer's socket again many times
//! a second, and a browser's holds about 90 datagrams. What is lost at the end of a flight waits for a timeout of at least
//! 400 ms. This window, within SCTP's, grows with time instead: CUBIC, <https://www.rfc-editor.org/rfc/rfc9438>.

use std::time::Instant;

/// Bytes at first, and never less: three frames. A browser's socket has room for them.
const LEAST: usize = 48 * 1024;

/// Never more: 100 Mbit/s at 100 ms take 1.2 MB.
const MOST: usize = 1024 * 1024;

/// What is left after a loss (section 4.6).
const BETA: f64 = 0.7;

/// Bytes per second cubed (section 5): 0.4 segments.
const C: f64 = 0.4 * 1200.0;

/// A channel's window.
#[derive(Debug)]
pub(super) struct Window {
    bytes: usize,
    /// Bytes written since the channel is there, and those of them that the peer has.
    written: u64,
    acknowledged: u64,
    loss: Option<Loss>,
}

/// The last time that something was lost.
#[derive(Debug)]
struct Loss {
    at: Instant,
    /// What the window was, in bytes.
    window: f64,
    /// What was written: until that is acknowledged, more losses are of the same flight.
    written: u64,
}

impl Default for Window {
    fn default() -> Self {
        Self { bytes: LEAST, written: 0, acknowledged: 0, loss: None }
    }
}

impl Window {
    /// Bytes that may be written and not acknowledged.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// `len` bytes are written.
    pub(super) fn on_written(&mut self, len: usize) {
        self.written += len as u64;
    }

    /// Whether there is something that [`on_acknowledged`](Self::on_acknowledged) can tell.
    pub(super) fn is_open(&self) -> bool {
        self.written > self.acknowledged
    }

    /// All but `buffered` bytes are acknowledged; since the last time, something of the association was `lost` or not.
    pub(super) fn on_acknowledged(&mut self, buffered: usize, lost: bool, now: Instant) {
        let acknowledged = self.written.saturating_sub(buffered as u64);
        let news = acknowledged.saturating_sub(self.acknowledged) as usize;
        self.acknowledged += news as u64;
        if lost && self.loss.as_ref().is_none_or(|loss| self.acknowledged >= loss.written) {
            self.loss = Some(Loss { at: now, window: self.bytes as f64, written: self.written });
        }
        let bytes = match &self.loss {
            Some(loss) => loss.window_at(now),
            // Who writes less learns nothing of how much there is room for.
            None if buffered + news > self.bytes / 2 => self.bytes + news / 2,
            None => self.bytes,
        };
        self.bytes = bytes.clamp(LEAST, MOST);
    }
}

impl Loss {
    /// Section 4.2.
    fn window_at(&self, now: Instant) -> usize {
        let k = (self.window * (1.0 - BETA) / C).cbrt();
        let t = (now - self.at).as_secs_f64();
        (C * (t - k).powi(3) + self.window) as usize
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[expect(clippy::disallowed_methods, reason = "any time will do")]
    fn now() -> Instant {
        Instant::now()
    }

    /// Keeps the window full for some round trips.
    fn fill(window: &mut Window, round_trips: usize, now: Instant) {
        for _ in 0..round_trips {
            window.on_written(window.bytes());
            window.on_acknowledged(0, false, now);
        }
    }

    fn lose(window: &mut Window, now: Instant) {
        window.on_written(window.bytes());
        window.on_acknowledged(window.bytes(), true, now);
    }

    #[test]
    fn it_is_all_open_after_eight_round_trips_without_loss() {
        let mut window = Window::default();
        fill(&mut window, 7, now());
        assert!(window.bytes() < MOST);
        fill(&mut window, 1, now());
        assert_eq!(window.bytes(), MOST);
    }

    #[test]
    fn after_a_loss_it_grows_with_time() {
        let (mut window, began) = (Window::default(), now());
        fill(&mut window, 8, began);
        lose(&mut window, began);
        let after = |window: &mut Window, seconds| {
            fill(window, 1000, began + Duration::from_secs(seconds));
            window.bytes() as f64 / MOST as f64
        };
        assert!((0.69..0.71).contains(&after(&mut window, 0)));
        assert!((0.95..1.0).contains(&after(&mut window, 6)));
        assert!((0.99..=1.0).contains(&after(&mut window, 9)));
    }

    #[test]
    fn losses_of_one_flight_are_one() {
        let (mut window, began) = (Window::default(), now());
        fill(&mut window, 8, began);
        lose(&mut window, began);
        let once = window.bytes();
        window.on_acknowledged(MOST / 2, true, began);
        assert_eq!(window.bytes(), once);
        window.on_acknowledged(0, true, began);
        assert!(window.bytes() < once);
    }

    #[test]
    fn it_never_closes() {
        let mut window = Window::default();
        for _ in 0..20 {
            lose(&mut window, now());
            fill(&mut window, 1, now());
        }
        assert_eq!(window.bytes(), LEAST);
    }

    #[test]
    fn who_writes_little_opens_nothing() {
        let mut window = Window::default();
        for _ in 0..1000 {
            window.on_written(LEAST / 4);
            window.on_acknowledged(0, false, now());
        }
        assert_eq!(window.bytes(), LEAST);
    }
}
