//! Extremes of late.

use braidcast_machine::{Duration, Time};

/// The greatest value of the last one to two spans.
#[derive(Debug)]
pub(crate) struct WindowedMax {
    span: Duration,
    current: u64,
    before: u64,
    since: Time,
}

impl WindowedMax {
    pub(crate) fn over(span: Duration) -> Self {
        Self { span, current: 0, before: 0, since: Time::ZERO }
    }

    pub(crate) fn insert(&mut self, now: Time, value: u64) {
        if now.since(self.since) > self.span {
            (self.before, self.current, self.since) = (self.current, 0, now);
        }
        self.current = self.current.max(value);
    }

    /// 0 before the first.
    pub(crate) fn max(&self) -> u64 {
        self.current.max(self.before)
    }
}

/// The least value of the last one to two spans.
#[derive(Debug)]
pub(crate) struct WindowedMin {
    span: Duration,
    current: Option<Duration>,
    before: Option<Duration>,
    since: Time,
}

impl WindowedMin {
    /// A span of zero keeps the newest.
    pub(crate) fn over(span: Duration) -> Self {
        Self { span, current: None, before: None, since: Time::ZERO }
    }

    pub(crate) fn insert(&mut self, now: Time, value: Duration) {
        if self.span == Duration::ZERO {
            self.current = None;
        } else if now.since(self.since) > self.span {
            (self.before, self.current, self.since) = (self.current, None, now);
        }
        self.current = Some(self.current.map_or(value, |current| current.min(value)));
    }

    pub(crate) fn min(&self) -> Option<Duration> {
        self.current.into_iter().chain(self.before).min()
    }
}
