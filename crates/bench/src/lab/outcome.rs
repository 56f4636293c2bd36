//! What came of a run: the ledger that is kept during it, and the line of figures that is printed after it.

use std::collections::BTreeSet;

use braidcast_core::machine::{Duration, Time};
use serde::{Deserialize, Serialize};

use super::plan::Plan;

/// Who had what when.
#[derive(Debug)]
pub(crate) struct Ledger {
    /// Payload bytes that were handed to machines that count, since the first measured message.
    pub(crate) payload: u64,
    /// Deliveries of something that nobody published.
    pub(crate) corrupt: u64,
    pub(crate) conduct: Conduct,
    messages: Vec<Entry>,
    /// By node: its deliveries count.
    counted: Vec<bool>,
    /// Who was away from when until when.
    absences: Vec<(u32, Time, Time)>,
}

/// What nodes did to each other.
#[derive(Debug, Default)]
pub(crate) struct Conduct {
    /// Corrupt frames that honest nodes sent.
    pub(crate) forwarded: u64,
    /// Rogues that sent corrupt frames, and to which honest node.
    pub(crate) attacks: BTreeSet<(u32, u32)>,
    /// Who banned whom.
    pub(crate) bans: BTreeSet<(u32, u32)>,
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
        Self {
            payload: 0,
            corrupt: 0,
            conduct: Conduct::default(),
            messages: plan.messages.iter().map(entry).collect(),
            counted: plan.counted(),
            absences: Vec::new(),
        }
    }

    /// The length of a message.
    pub(crate) fn bytes(&self, number: u32) -> u32 {
        self.messages[number as usize].bytes
    }

    /// True when the node's deliveries count.
    pub(crate) fn counts(&self, node: u32) -> bool {
        self.counted[node as usize]
    }

    /// `node` has a message at `time`, and after `more` its application has looked at it.
    pub(crate) fn deliver(&mut self, number: u32, node: u32, time: Time, more: Duration) {
        let entry = &mut self.messages[number as usize];
        entry.arrivals[node as usize].get_or_insert(time + more);
    }

    /// `node` is away between these times.
    pub(crate) fn away(&mut self, node: u32, from: Time, until: Time) {
        self.absences.push((node, from, until));
    }

    /// True when everybody has everything.
    pub(crate) fn is_complete(&self) -> bool {
        self.messages.iter().all(|entry| self.arrivals(entry).all(|(_, arrival)| arrival.is_some()))
    }

    /// The nodes that should receive a message, with when they did. Who was away after it was published and before it
    /// was there, or shortly before, need not.
    fn arrivals<'a>(&'a self, entry: &'a Entry) -> impl Iterator<Item = (u32, Option<Time>)> {
        let expected = |&(node, arrival): &(u32, Option<Time>)| {
            let since = Time::ZERO + entry.published.since(Time::ZERO + GRACE);
            self.counted[node as usize]
                && node != entry.publisher
                && !self.absences.iter().any(|&(who, from, to)| {
                    who == node && since < to && arrival.is_none_or(|arrival| from < arrival)
                })
        };
        (0..).zip(entry.arrivals.iter().copied()).filter(expected)
    }

    fn measured(&self) -> impl Iterator<Item = &Entry> {
        self.messages.iter().filter(|entry| entry.is_measured)
    }
}

/// Who comes back needs this long to be one of the room again. Guess.
const GRACE: Duration = Duration::from_secs(5);

/// Bytes that machines were handed while measured messages spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) payload: u64,
    pub(crate) all: u64,
}

/// One line of figures, as the design's section 9 has it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
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
    /// Share of receivers: of those that are honest and stayed.
    pub(crate) delivered: f64,
    /// Share of receivers that had it within the scenario's deadline.
    pub(crate) in_time: f64,
    /// Payload bytes received per receiver, over the message length.
    pub(crate) copies: f64,
    /// Received bytes that are not payload, over all received.
    pub(crate) control_share: f64,
    /// Deliveries of what nobody published.
    pub(crate) corrupt: u64,
    /// Corrupt frames that honest nodes passed on.
    pub(crate) corrupt_forwarded: u64,
    /// Pairs of honest nodes of which one banned the other.
    pub(crate) honest_bans: u64,
    /// Pairs of a rogue and an honest node to whom it sent corrupt frames.
    pub(crate) attacked: u64,
    /// Those of them in which it was not banned.
    pub(crate) unpunished: u64,
    /// Fingerprint of the run.
    pub(crate) trace: String,
    /// The percentiles 0 to 100 of what the times above are of, in milliseconds; for plots.
    #[serde(skip)]
    pub(crate) curve: Vec<Option<f64>>,
}

impl Outcome {
    pub(crate) fn new(plan: &Plan, system: &str, ledger: &Ledger, received: Received, trace: String) -> Self {
        let delays: Vec<Option<u64>> = ledger
            .measured()
            .flat_map(|entry| {
                ledger.arrivals(entry).map(|(_, at)| Some(at?.since(entry.published).as_micros()))
            })
            .collect();
        let wanted: u64 = ledger.measured().map(|entry| u64::from(entry.bytes)).sum();
        let counted = ledger.counted.iter().filter(|&&counts| counts).count() as u64;
        let receivers = if ledger.counted.iter().all(|&counts| counts) { counted - 1 } else { counted };
        let honest = |node: u32| plan.rogues[node as usize].is_none();
        Self::of(plan, system, delays, trace, |outcome| {
            outcome.copies = round(received.payload as f64 / (wanted * receivers).max(1) as f64, 4);
            let control = received.all.saturating_sub(received.payload);
            outcome.control_share = round(control as f64 / received.all.max(1) as f64, 5);
            outcome.corrupt = ledger.corrupt;
            let Conduct { forwarded, attacks, bans } = &ledger.conduct;
            outcome.corrupt_forwarded = *forwarded;
            outcome.honest_bans = bans.iter().filter(|&&(by, of)| honest(by) && honest(of)).count() as u64;
            outcome.attacked = attacks.len() as u64;
            outcome.unpunished = attacks.iter().filter(|&&(by, on)| !bans.contains(&(on, by))).count() as u64;
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
        let share = |limit: u64| {
            let there = delays.iter().flatten().filter(|&&delay| delay <= limit).count();
            round(there as f64 / delays.len().max(1) as f64, 6)
        };
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
            delivered: share(u64::MAX),
            in_time: share(plan.scenario.deadline_ms * 1_000),
            copies: 1.0,
            trace,
            curve: (0..=100).map(at).collect(),
            ..Self::default()
        };
        fill(&mut outcome);
        outcome
    }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}
