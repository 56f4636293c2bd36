use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use braidcast_core::machine::Time;

use crate::platform::{TIMER_GRAIN, Timer, now, timer};

/// One alarm that is set to a point in the machine's time.
///
/// Setting a timer takes a lock and may wake a thread, so an alarm that is put off keeps the timer that it has: it rings
/// early, unheard, and is set anew then.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    at: Option<Time>,
    timer: Option<(Time, Timer)>,
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
        self.timer = Some((at, timer(span.into())));
    }

    /// Ready once when the time has come; pending for ever after, until set again.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Some((rings, timer)) = &mut self.timer {
            if Pin::new(timer).poll(context).is_pending() {
                return Poll::Pending;
            }
            let is_early = self.at.is_none_or(|at| *rings < at && now().time < at);
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

#[cfg(test)]
mod tests {
    use std::time;

    use braidcast_core::machine::Duration;
    use futures::{
        future::{Either, poll_fn, select},
        task::noop_waker_ref,
    };
    use futures_timer::Delay;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test;

    use super::*;

    /// Whether it rings within 200 ms, and whether its time had come then.
    async fn rings(alarm: &mut Alarm, at: Time) -> Option<bool> {
        let ringing = poll_fn(|context| alarm.poll(context));
        match select(ringing, Delay::new(time::Duration::from_millis(200))).await {
            Either::Left(_) => Some(now().time >= at),
            Either::Right(_) => None,
        }
    }

    #[cfg_attr(not(target_arch = "wasm32"), tokio::test)]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test)]
    async fn it_rings_when_its_time_has_come_and_not_before() {
        let (mut alarm, start) = (Alarm::default(), now().time);
        let [soon, late, never] = [5, 40, 60_000].map(|millis| start + Duration::from_millis(millis));

        alarm.set(Some(soon), start);
        alarm.set(Some(late), start);
        assert_eq!(rings(&mut alarm, late).await, Some(true), "put off");
        assert!(alarm.poll(&mut Context::from_waker(noop_waker_ref())).is_pending(), "once");

        let start = now().time;
        let soon = start + Duration::from_millis(5);
        alarm.set(Some(never), start);
        alarm.set(Some(soon), start);
        assert_eq!(rings(&mut alarm, soon).await, Some(true), "brought forward");

        let start = now().time;
        alarm.set(Some(start), start);
        alarm.set(None, start);
        assert_eq!(rings(&mut alarm, start).await, None, "called off");
    }

    #[cfg_attr(not(target_arch = "wasm32"), tokio::test)]
    #[cfg_attr(target_arch = "wasm32", wasm_bindgen_test)]
    async fn who_looks_late_does_not_wait_for_another_timer() {
        let (mut alarm, start) = (Alarm::default(), now().time);
        alarm.set(Some(start), start);
        alarm.set(Some(start + Duration::from_millis(10)), start);
        Delay::new(time::Duration::from_millis(50)).await;
        assert!(alarm.poll(&mut Context::from_waker(noop_waker_ref())).is_ready());
    }
}
