//! Where the clocks and the operating system's random numbers come in; the rest of the program is given them.
#![allow(clippy::disallowed_methods, reason = "this is the place for them")]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The wall clock, in seconds since the Unix epoch; 0 before it.
pub(crate) fn unix_secs() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// 32 random bytes, fit for a key.
pub(crate) fn random_seed() -> Result<[u8; 32], getrandom::Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)?;
    Ok(seed)
}
