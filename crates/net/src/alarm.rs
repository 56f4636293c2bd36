use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use braidcast_core::machine::Time;
use futures_timer::Delay;

use crate::platform::{TIMER_GRAIN, now};

/// One alarm that is set to a point in the machine's time.
///
/// Setting a timer wakes the thread of all timers, so an alarm that is put off keeps the timer that it has: it rings early,
/// unheard, and is set anew then.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    at: Option<Time>,
    timer: Option<(Time, Delay)>,
}

impl Alarm {
    /// Rings at `at`, or never.
    pub(crate) fn set(&mut self, at: Option<Time>, now: Time) {
        self.at = at;
        let Some(at) = at else { return };
        if self.timer.as_ref().is_some_and(|(rings, _)| *rings <= at) {
            return;
        }
        // Rounded up: a timer that rings early rings again, and again. At least one grain, so that a time in
        // the past cannot keep its task busy.
        let grains = at.since(now).as_micros().div_ceil(TIMER_GRAIN.as_micros()).max(1);
        let span = TIMER_GRAIN.saturating_mul(grains);
        self.timer = Some((at, Delay::new(span.into())));
    }

    /// Ready once when the time has come; pending for ever after, until set again.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some((rings, delay)) = &mut self.timer {
            if Pin::new(delay).poll(context).is_pending() {
                return Poll::Pending;
            }
            let is_early = self.at.is_none_or(|at| *rings < at);
            self.timer = None;
            if !is_early {
                self.at = None;
                return Poll::Ready(());
            }
            self.set(self.at, now().time);
        }
        Poll::Pending
    }
}
