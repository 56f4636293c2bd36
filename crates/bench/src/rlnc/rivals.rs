//! Codecs that one would use otherwise.

mod raptorq;
mod reed_solomon;
mod rlnc;

use super::System;

/// All of them, each with the instructions it chooses by itself.
pub(super) fn all() -> Vec<Box<dyn System>> {
    vec![Box::new(rlnc::Rlnc), Box::new(reed_solomon::ReedSolomon), Box::new(raptorq::RaptorQ)]
}

/// What a rival's `kernel` is called: it finds its instructions by itself.
const NATIVE: &str = "native";
