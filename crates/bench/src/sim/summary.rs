//! Medians over seeds, and what they are of the best gossipsub's and of the floor's.

use serde::Serialize;

use crate::lab::outcome::Outcome;

/// The systems that ratios are about; "gossip" is the better of the first two.
pub(crate) const REFERENCES: [&str; 3] = ["gossipsub-1.2", "gossipsub-1.2-quiet", "floor"];

/// One system in one setting, over several seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    pub(crate) sim: String,
    pub(crate) nodes: u32,
    pub(crate) bytes: u64,
    pub(crate) publisher: String,
    /// How many seeds the medians are of.
    pub(crate) seeds: usize,
    pub(crate) system: String,
    /// Medians; null when in half of the runs so many did not receive.
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p90_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) last_ms: Option<f64>,
    pub(crate) copies: f64,
    pub(crate) control_share: f64,
    /// The worst run's share of receivers.
    pub(crate) delivered: f64,
    /// The worst run's.
    pub(crate) in_time: f64,
    /// Over all runs, as what follows.
    pub(crate) corrupt: u64,
    pub(crate) corrupt_forwarded: u64,
    pub(crate) honest_bans: u64,
    pub(crate) attacked: u64,
    pub(crate) unpunished: u64,
    /// Median p99 over that of the better gossipsub 1.2, with or without heartbeat gossip.
    pub(crate) p99_over_gossip: Option<f64>,
    /// Median p99 over that of the floor.
    pub(crate) p99_over_floor: Option<f64>,
}

/// One summary per system and setting, in the order in which they first come.
pub(crate) fn summarise(outcomes: &[Outcome]) -> Vec<Summary> {
    let mut groups: Vec<Vec<&Outcome>> = Vec::new();
    for outcome in outcomes {
        match groups.iter_mut().find(|group| key(group[0]) == key(outcome)) {
            Some(group) => group.push(outcome),
            None => groups.push(vec![outcome]),
        }
    }
    let mut summaries: Vec<Summary> = groups.iter().map(|group| of_group(group)).collect();
    for at in 0..summaries.len() {
        let peers = |name: &str| {
            let peer =
                summaries.iter().find(|peer| peer.system == name && setting(peer) == setting(&summaries[at]));
            peer.and_then(|peer| peer.p99_ms)
        };
        let [gossip, quiet, floor] = REFERENCES.map(peers);
        let gossip = gossip.into_iter().chain(quiet).min_by(f64::total_cmp);
        let over = |other: Option<f64>| Some(round(summaries[at].p99_ms? / other?, 3));
        let ratios = (over(gossip), over(floor));
        (summaries[at].p99_over_gossip, summaries[at].p99_over_floor) = ratios;
    }
    summaries
}

fn key(outcome: &Outcome) -> (&str, u32, u64, &str, &str) {
    (&outcome.sim, outcome.nodes, outcome.bytes, &outcome.publisher, &outcome.system)
}

fn setting(summary: &Summary) -> (&str, u32, u64, &str) {
    (&summary.sim, summary.nodes, summary.bytes, &summary.publisher)
}

fn of_group(group: &[&Outcome]) -> Summary {
    let first = group[0];
    let median_of = |field: fn(&Outcome) -> f64| median(group.iter().map(|outcome| field(outcome)).collect());
    let sum_of = |field: fn(&Outcome) -> u64| group.iter().map(|outcome| field(outcome)).sum();
    let time_of = |field: fn(&Outcome) -> Option<f64>| {
        let times = group.iter().map(|outcome| field(outcome).unwrap_or(f64::INFINITY)).collect();
        Some(median(times)).filter(|time| time.is_finite())
    };
    Summary {
        sim: first.sim.clone(),
        nodes: first.nodes,
        bytes: first.bytes,
        publisher: first.publisher.clone(),
        seeds: group.len(),
        system: first.system.clone(),
        p50_ms: time_of(|outcome| outcome.p50_ms),
        p90_ms: time_of(|outcome| outcome.p90_ms),
        p99_ms: time_of(|outcome| outcome.p99_ms),
        last_ms: time_of(|outcome| outcome.last_ms),
        copies: median_of(|outcome| outcome.copies),
        control_share: median_of(|outcome| outcome.control_share),
        delivered: group.iter().map(|outcome| outcome.delivered).fold(1.0, f64::min),
        in_time: group.iter().map(|outcome| outcome.in_time).fold(1.0, f64::min),
        corrupt: sum_of(|outcome| outcome.corrupt),
        corrupt_forwarded: sum_of(|outcome| outcome.corrupt_forwarded),
        honest_bans: sum_of(|outcome| outcome.honest_bans),
        attacked: sum_of(|outcome| outcome.attacked),
        unpunished: sum_of(|outcome| outcome.unpunished),
        p99_over_gossip: None,
        p99_over_floor: None,
    }
}

/// Of an even number, the lower of the two in the middle: a value that was measured.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[(values.len() - 1) / 2]
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10_f64.powi(digits);
    (value * scale).round() / scale
}

/// For people: a block of lines per setting.
pub(crate) fn table(summaries: &[Summary]) -> String {
    let ms = |value: Option<f64>| value.map_or("-".into(), |ms| format!("{ms:.0}"));
    let ratio = |value: Option<f64>| value.map_or("-".into(), |ratio| format!("{ratio:.3}"));
    let mut text = String::new();
    for (at, summary) in summaries.iter().enumerate() {
        if at == 0 || setting(summary) != setting(&summaries[at - 1]) {
            text += &format!(
                "\n{}: {} nodes, {} bytes, publisher {}, medians of {} seeds\n{:20} {:>7} {:>7} {:>7} {:>7}  {:>8} {:>8} {:>7} {:>9} {:>9}\n",
                summary.sim,
                summary.nodes,
                summary.bytes,
                summary.publisher,
                summary.seeds,
                "system",
                "p50 ms",
                "p90",
                "p99",
                "last",
                "/gossip",
                "/floor",
                "copies",
                "control %",
                "delivered",
            );
        }
        text += &format!(
            "{:20} {:>7} {:>7} {:>7} {:>7}  {:>8} {:>8} {:>7.2} {:>9.2} {:>9}\n",
            summary.system,
            ms(summary.p50_ms),
            ms(summary.p90_ms),
            ms(summary.p99_ms),
            ms(summary.last_ms),
            ratio(summary.p99_over_gossip),
            ratio(summary.p99_over_floor),
            summary.copies,
            summary.control_share * 100.0,
            summary.delivered,
        );
        if summary.attacked + summary.honest_bans + summary.corrupt > 0 {
            text += &format!(
                "{:20} {} corrupt deliveries, {} corrupt frames forwarded, {} of {} attacks unpunished, {} honest nodes banned\n",
                "",
                summary.corrupt,
                summary.corrupt_forwarded,
                summary.unpunished,
                summary.attacked,
                summary.honest_bans,
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(system: &str, seed: u64, p99_ms: Option<f64>) -> Outcome {
        let delivered = if p99_ms.is_some() { 1.0 } else { 0.5 };
        let (system, copies) = (system.to_owned(), seed as f64);
        Outcome { seed, system, p99_ms, delivered, copies, corrupt: 1, ..Outcome::default() }
    }

    #[test]
    fn ratios_are_of_medians_and_of_the_better_gossip() {
        let mut outcomes = Vec::new();
        for (seed, ours) in [(1, Some(50.0)), (2, Some(10.0)), (3, None)] {
            outcomes.push(outcome("braidcast-open", seed, ours));
            outcomes.push(outcome("gossipsub-1.2", seed, Some(200.0)));
            outcomes.push(outcome("gossipsub-1.2-quiet", seed, Some(100.0)));
            outcomes.push(outcome("floor", seed, Some(40.0)));
        }
        let summaries = summarise(&outcomes);
        assert_eq!(summaries.len(), 4);
        let ours = &summaries[0];
        assert_eq!((ours.p99_ms, ours.copies, ours.delivered, ours.corrupt), (Some(50.0), 2.0, 0.5, 3));
        assert_eq!((ours.p99_over_gossip, ours.p99_over_floor), (Some(0.5), Some(1.25)));
        assert_eq!(summaries[1].p99_over_gossip, Some(2.0));
    }

    #[test]
    fn without_references_there_are_no_ratios() {
        let outcomes = [outcome("ec-bitmap", 1, Some(5.0))];
        assert_eq!(summarise(&outcomes)[0].p99_over_gossip, None);
    }
}
