//! One measured figure, as a line of JSON or of a table.

use serde::Serialize;

/// The fields are those of all of Braidcast's benchmarks, in this order.
#[derive(Serialize)]
pub(crate) struct Figure<'a> {
    pub(crate) bench: &'a str,
    pub(crate) case: &'a str,
    /// Source pieces.
    pub(crate) k: usize,
    /// Bytes of the message, all source pieces together.
    pub(crate) bytes: usize,
    /// Name and version.
    pub(crate) system: &'a str,
    /// Instruction set; a rival's own choice is `native`.
    pub(crate) kernel: &'a str,
    pub(crate) value: f64,
    /// `s`, `GB/s`, `coef-bytes/s`, or `x`: how many times as long as Braidcast's fastest kernel in this run.
    pub(crate) unit: &'a str,
    pub(crate) cpu: &'a str,
}

impl Figure<'_> {
    pub(crate) fn json(&self) -> String {
        let rounded = Self { value: significant(self.value), ..*self };
        serde_json::to_string(&rounded).expect("texts and numbers")
    }
}

/// Four significant digits: more is noise.
fn significant(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
