//! Timing on a machine that others use too.
#![allow(clippy::disallowed_methods, reason = "a benchmark measures time")]

use std::time::Duration;
#[cfg(not(target_arch = "wasm32"))]
use std::time::Instant;

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

/// JavaScript's clock.
#[cfg(target_arch = "wasm32")]
struct Instant(f64);

#[cfg(target_arch = "wasm32")]
impl Instant {
    fn now() -> Self {
        #[wasm_bindgen::prelude::wasm_bindgen]
        extern "C" {
            #[wasm_bindgen(js_namespace = performance, js_name = now)]
            fn milliseconds() -> f64;
        }
        Self(milliseconds())
    }

    fn elapsed(&self) -> Duration {
        Duration::from_secs_f64((Self::now().0 - self.0).max(0.0) / 1000.0)
    }
}

/// What `work` returns, and how long it took.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn timed_result<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = work();
    (result, start.elapsed())
}

/// The shortest time of each run. They take turns, so that what disturbs the machine disturbs all alike.
///
/// At least two turns, then as many as fit into `budget`.
pub(crate) fn best_of(runs: &mut [Run], budget: Duration) -> Vec<Duration> {
    let mut best = vec![Duration::MAX; runs.len()];
    let start = Instant::now();
    let mut turns = 0;
    while turns < 2 || start.elapsed() < budget {
        for (best, run) in best.iter_mut().zip(runs.iter_mut()) {
            *best = turn(run).min(*best);
        }
        turns += 1;
    }
    best
}

/// The shortest of three runs: the first finds the caches full of what another left.
#[cfg(not(target_arch = "wasm32"))]
fn turn(run: &mut Run) -> Duration {
    (0..3).map(|_| run()).min().unwrap_or(Duration::MAX)
}

/// The mean of as many runs as take 200 ticks of a browser's clock, which are of 5 us, after one that fills the caches.
#[cfg(target_arch = "wasm32")]
fn turn(run: &mut Run) -> Duration {
    run();
    let (mut total, mut runs) = (Duration::ZERO, 0);
    while total < Duration::from_millis(1) {
        total += run();
        runs += 1;
    }
    total / runs
}
