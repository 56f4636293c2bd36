//! Codecs that one would use otherwise.

#[cfg(not(target_arch = "wasm32"))]
mod raptorq;
#[cfg(not(target_arch = "wasm32"))]
mod reed_solomon;
mod rlnc;

use super::System;

/// All of them, each with the instructions it chooses by itself.
#[cfg(not(target_arch = "wasm32"))]
pub(super) fn all() -> Vec<Box<dyn System>> {
    vec![Box::new(rlnc::Rlnc), Box::new(reed_solomon::ReedSolomon), Box::new(raptorq::RaptorQ)]
}

/// The one that recodes.
#[cfg(target_arch = "wasm32")]
pub(super) fn all() -> Vec<Box<dyn System>> {
    vec![Box::new(rlnc::Rlnc)]
}

/// What a rival's `kernel` is called: it finds its instructions by itself.
const NATIVE: &str = if cfg!(target_arch = "wasm32") { "compiler" } else { "native" };
