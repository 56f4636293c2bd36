//! The laboratory: scenarios, the systems that are compared in them, and what came of it.
//!
//! A [`scenario`] is a TOML file in `crates/bench/scenarios`. A seed makes a [`network`] of it: hosts with rates and
//! places, a random overlay, further connections, publishers. Every [`system`] then runs in that same network, in a
//! world of `braidcast-sim`: [`braid`] is the production code, [`baseline`] what it is compared with. [`run`] does one
//! run, [`outcome`] turns it into figures. A [`fault`] is part of a scenario; a [`script`] says when, an [`actor`] how.

pub(crate) mod actor;
pub(crate) mod baseline;
pub(crate) mod braid;
pub(crate) mod fault;
pub(crate) mod network;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod run;
pub(crate) mod scenario;
pub(crate) mod script;
pub(crate) mod shared;
pub(crate) mod stage;
pub(crate) mod system;
#[cfg(test)]
mod tests;

use braidcast_core::machine::Rng;

/// The chance of one purpose in the run of one seed. What one system draws never moves what another sees.
pub(crate) fn dice(seed: u64, purpose: &str) -> Rng {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes()).update(purpose.as_bytes());
    Rng::from_seed(hasher.finalize().into())
}
