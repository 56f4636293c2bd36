//! The same as a wasm module, for whoever holds a clock: `tests/rlnc-bench.mjs` runs it in Node.js and in Chromium.
#![allow(unreachable_pub, reason = "JavaScript reaches it")]

use std::vec::IntoIter;

use braidcast_rlnc::Engine;
use wasm_bindgen::prelude::*;

use super::cases::{Case, Message, plan};
use super::{Report, engines};

/// A benchmark under way.
#[wasm_bindgen]
pub struct Bench {
    report: Report,
    engines: Vec<Engine>,
    plan: IntoIter<(Case, usize, usize)>,
}

#[wasm_bindgen]
impl Bench {
    /// `machine`: processor and JavaScript engine. The others are as for the command `bench rlnc`.
    #[wasm_bindgen(constructor)]
    pub fn new(
        machine: String,
        json: bool,
        quick: bool,
        case: Option<String>,
        k: Option<usize>,
        bytes: Option<usize>,
    ) -> Result<Bench, String> {
        let report = Report::new("rlnc-wasm", json, machine, quick);
        Ok(Self { report, engines: engines(), plan: plan(case.as_deref(), k, bytes)?.into_iter() })
    }

    /// The lines above all others.
    pub fn head(&self) -> String {
        self.report.head()
    }

    /// Measures the next case; its lines. Undefined at the end.
    #[allow(clippy::should_implement_trait, reason = "JavaScript knows no Iterator of ours")]
    pub fn next(&mut self) -> Option<String> {
        let (case, k, bytes) = self.plan.next()?;
        Some(self.report.measure(case, &Message::new(k, bytes), &self.engines))
    }
}
