//! Waking late: the timers of a hidden tab come once a second or once a minute, and a laptop sleeps for hours.
//!
//! What ran out while nobody looked is not for others to answer for: what they sent may lie in the host's buffers. So a
//! late wake-up gives everything that is awaited its time again, from now, and once each: a node that always wakes late
//! would wait for ever otherwise.

use braidcast_machine::{Duration, Machine as _, Time};

use crate::mesh::Mesh;

impl Mesh {
    /// Before anything else is done at `now`.
    pub(crate) fn notice_lateness(&mut self, now: Time) {
        if self.deadline().is_none_or(|due| now.since(due) < LATE) {
            return;
        }
        for transfer in self.transfers.values_mut().filter(|transfer| transfer.whole_at.is_none()) {
            if !core::mem::replace(&mut transfer.is_excused, true) {
                transfer.moved_at = now;
            }
            for ask in transfer.neighbours.values_mut().flat_map(|neighbour| &mut neighbour.asks) {
                if !core::mem::replace(&mut ask.is_excused, true) {
                    (ask.at, ask.deadline) = (now, now + ask.deadline.since(ask.at));
                }
            }
        }
        self.asked.excuse(now);
        self.pending.excuse(now);
    }
}

/// Timers of a page in view are not as late as this. Guess.
const LATE: Duration = Duration::from_millis(250);
