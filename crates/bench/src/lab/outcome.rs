//! What came of a run: the ledger that is kept during it, and the line of figures that is printed after it.

use braidcast_core::machine::{Duration, Time};
use serde::{Deserialize, Serialize};

use super::plan::Plan;

/// Who had what when.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Payload bytes that were handed to machines since the first measured message.
    pub(crate) payload: u64,
    /// Deliveries of something that nobody published.
    pub(crate) corrupt: u64,
    messages: Vec<Entry>,
    /// Deliveries that are still to come, of all messages.
    missing: u64,
}

#[derive(Debug)]
struct Entry {
    published: Time,
    publisher: u32,
    bytes: u32,
    is_measured: bool,
    /// By node.
    arrivals: Vec<Option<Time>>,
}

impl Ledger {
    pub(crate) fn new(plan: &Plan) -> Self {
        let nodes = plan.network.hosts.len();
        let entry = |message: &super::plan::Message| Entry {
            published: message.at,
            publisher: message.node,
            bytes: message.bytes,
            is_measured: message.is_measured,
            arrivals: vec![None; nodes],
        };
        let messages: Vec<Entry> = plan.messages.iter().map(entry).collect();
        let missing = messages.len() as u64 * (nodes as u64 - 1);
        Self { payload: 0, corrupt: 0, messages, missing }
    }

    /// The length of a message.
    pub(crate) fn bytes(&self, number: u32) -> u32 {
        self.messages[number as usize].bytes
    }

    /// `node` has a message at `time`, and after `more` its application has looked at it.
    pub(crate) fn deliver(&mut self, number: u32, node: u32, time: Time, more: Duration) {
        let entry = &mut self.messages[number as usize];
        let arrival = &mut entry.arrivals[node as usize];
        if node != entry.publisher && arrival.is_none() {
            *arrival = Some(time + more);
            self.missing -= 1;
        }
    }

    /// True when everybody has everything.
    pub(crate) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    fn measured(&self) -> impl Iterator<Item = &Entry> {
        self.messages.iter().filter(|entry| entry.is_measured)
    }
}

/// Bytes that machines were handed while measured messages spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) payload: u64,
    pub(crate) all: u64,
}

/// One line of figures, as the design's section 9 has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) sim: String,
    pub(crate) nodes: u32,
    pub(crate) bytes: u64,
    pub(crate) publisher: String,
    pub(crate) seed: u64,
    pub(crate) system: String,
    /// From publishing to delivery, over all receivers of all measured messages; null when so many did not receive.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p90_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) last_ms: Option<f64>,
    /// Share of receivers.
    pub(crate) delivered: f64,
    /// Payload bytes received per receiver, over the message length.
    pub(crate) copies: f64,
    /// Received bytes that are not payload, over all received.
    pub(crate) control_share: f64,
    /// Deliveries of what nobody published.
    pub(crate) corrupt: u64,
    /// Fingerprint of the run.
    pub(crate) trace: String,
    /// The percentiles 0 to 100 of what the times above are of, in milliseconds; for plots.
    #[serde(skip)]
    pub(crate) curve: Vec<Option<f64>>,
}

impl Outcome {
    pub(crate) fn new(plan: &Plan, system: &str, ledger: &Ledger, received: Received, trace: String) -> Self {
        let mut delays: Vec<Option<u64>> = Vec::new();
        for entry in ledger.measured() {
            let others = entry.arrivals.iter().enumerate();
            let others = others.filter(|&(node, _)| node != entry.publisher as usize);
            delays.extend(others.map(|(_, at)| at.map(|at| at.since(entry.published).as_micros())));
        }
        let wanted: u64 = ledger.measured().map(|entry| u64::from(entry.bytes)).sum();
        let receivers = plan.network.hosts.len() as u64 - 1;
        Self::of(plan, system, delays, trace, |outcome| {
            outcome.copies = round(received.payload as f64 / (wanted * receivers).max(1) as f64, 4);
            let control = received.all - received.payload;
            outcome.control_share = round(control as f64 / received.all.max(1) as f64, 5);
            outcome.corrupt = ledger.corrupt;
        })
    }

    /// Of these delays in microseconds, one per receiver and message.
    pub(crate) fn of(
        plan: &Plan,
        system: &str,
        mut delays: Vec<Option<u64>>,
        trace: String,
        fill: impl FnOnce(&mut Self),
    ) -> Self {
        delays.sort_unstable_by_key(|delay| delay.unwrap_or(u64::MAX));
        let at = |percent: usize| {
            let place = (delays.len() * percent).div_ceil(100).saturating_sub(1);
            delays.get(place).copied().flatten().map(|micros| round(micros as f64 / 1000.0, 1))
        };
        let there = delays.iter().flatten().count();
        let mut outcome = Self {
            sim: plan.scenario.name.clone(),
            nodes: plan.choice.nodes,
            bytes: plan.choice.bytes,
            publisher: plan.choice.publisher.clone(),
            seed: plan.choice.seed,
            system: system.to_owned(),
            p50_ms: at(50),
            p90_ms: at(90),
            p99_ms: at(99),
            last_ms: at(100),
            delivered: round(there as f64 / delays.len().max(1) as f64, 6),
            copies: 1.0,
            control_share: 0.0,
            corrupt: 0,
            trace,
            curve: (0..=100).map(at).collect(),
        };
        fill(&mut outcome);
        outcome
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
