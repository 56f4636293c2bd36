use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use braidcast_core::machine::Time;
use futures_timer::Delay;

use crate::platform::TIMER_GRAIN;

/// One timer that is set to a point in the machine's time.
#[derive(Debug, Default)]
pub(crate) struct Alarm(Option<(Time, Delay)>);

impl Alarm {
    /// Rings at `at`, or never. Setting it to the same time again costs nothing.
    pub(crate) fn set(&mut self, at: Option<Time>, now: Time) {
        match (&self.0, at) {
            (Some((current, _)), Some(at)) if *current == at => {}
            (_, None) => self.0 = None,
            (_, Some(at)) => {
                // Rounded up: a timer that rings early rings again, and again. At least one grain, so that a time in
                // the past cannot keep its task busy.
                let grains = at.since(now).as_micros().div_ceil(TIMER_GRAIN.as_micros()).max(1);
                let span = TIMER_GRAIN.saturating_mul(grains);
                self.0 = Some((at, Delay::new(span.into())));
            }
        }
    }

    /// Ready once when the time has come; pending for ever after, until set again.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some((_, delay)) = &mut self.0 else { return Poll::Pending };
        let ready = Pin::new(delay).poll(context);
        if ready.is_ready() {
            self.0 = None;
        }
        ready
    }
}
