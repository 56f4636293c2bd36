//! Timing on a machine that others use too.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::time::{Duration, Instant};

/// Does its work once and says how long it took.
pub(crate) type Run<'a> = Box<dyn FnMut() -> Duration + 'a>;

/// How long `work` takes. What it returns is dropped after the clock has stopped.
pub(crate) fn timed<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    let result = std::hint::black_box(work());
    let elapsed = start.elapsed();
    drop(result);
    elapsed
}

/// What `work` returns, and how long it took.
pub(crate) fn timed_result<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The shortest time of each run. They take turns, so that what disturbs the machine disturbs all alike.
///
/// A turn is three runs in a row: the first finds the caches full of what another left. At least two turns, then as
/// many as fit into `budget`.
pub(crate) fn best_of(runs: &mut [Run], budget: Duration) -> Vec<Duration> {
    let mut best = vec![Duration::MAX; runs.len()];
    let start = Instant::now();
    let mut turns = 0;
    while turns < 2 || start.elapsed() < budget {
        for (best, run) in best.iter_mut().zip(runs.iter_mut()) {
            *best = (0..3).map(|_| run()).min().map_or(*best, |time| time.min(*best));
        }
        turns += 1;
    }
    best
}
