//! `sim validate`: the simulated gossipsub beside figures of real ones.

mod page;

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::Serialize;

use super::{Args, batch, print_line, store::Task};
use crate::lab::{outcome::Outcome, plan::Choice, run::RUST, scenario::Scenario};

/// A run that somebody made with real nodes, and what came of it.
#[derive(Clone, Debug)]
struct Published {
    preset: Preset,
    nodes: u32,
    /// Published at once by one node, each of this length.
    messages: u32,
    bytes: u64,
    publisher: &'static str,
    /// Messages of the same length that other nodes sent before.
    before: u32,
    figures: Vec<(Figure, f64, Option<Bound>)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Preset {
    /// go-libp2p-pubsub in Shadow, ethresear.ch 21893: copies beyond the first.
    Go,
    /// rust-libp2p's gossipsub 0.50 in virtual time.
    Rust,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Figure {
    /// Payload that a node receives, over what it has to.
    Copies,
    /// Median time of delivery.
    P50Ms,
    P99Ms,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Bound {
    /// The simulated figure differs by at most this share.
    Share(f64),
    /// It is greater than that of the row before, as the published one is.
    Grows,
}

/// A published figure and the simulated one.
#[derive(Clone, Debug, Serialize)]
struct Row {
    sim: &'static str,
    preset: Preset,
    nodes: u32,
    messages: u32,
    bytes: u64,
    publisher: &'static str,
    before: u32,
    /// Of how many seeds the simulated figure is the median.
    seeds: usize,
    figure: Figure,
    published: f64,
    /// Median of the seeds.
    simulated: f64,
    /// Of one seed.
    least: f64,
    most: f64,
    /// Simulated over published.
    ratio: f64,
    bound: Option<Bound>,
    within: Option<bool>,
}

/// Prints a row per published figure. An error when one with a bound is not within it.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let rows = measure(args)?;
    for row in &rows {
        print_line(&if args.json { serde_json::to_string(row)? } else { page::line(row) })?;
    }
    if args.write {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lab/validation.md");
        fs::create_dir_all(path.parent().context("it has a folder")?)?;
        fs::write(&path, page::page(&rows)).with_context(|| path.display().to_string())?;
        eprintln!("wrote {}", path.display());
    }
    let bounded = rows.iter().filter(|row| row.within.is_some()).count();
    let outside = rows.iter().filter(|row| row.within == Some(false)).count();
    anyhow::ensure!(outside == 0, "{outside} of {bounded} figures with a bound are outside it");
    Ok(())
}

fn measure(args: &Args) -> anyhow::Result<Vec<Row>> {
    let mut rows: Vec<Row> = Vec::new();
    let (mut tasks, mut counts) = (Vec::new(), Vec::new());
    let all = published();
    for published in &all {
        let seeds = args.seeds.as_ref().map_or_else(|| published.preset.seeds(), |seeds| seeds.0.clone());
        counts.push(seeds.len());
        for seed in seeds {
            tasks.push(published.task(seed)?);
        }
    }
    let outcomes = batch::run_all(&tasks, &args.store()?, args.jobs, |_| Ok(()))?;
    let mut rest = &outcomes[..];
    for (published, count) in all.iter().zip(counts) {
        let (group, others) = rest.split_at(count);
        rest = others;
        for &(figure, value, bound) in &published.figures {
            rows.push(published.row(group, figure, value, bound, rows.last()));
        }
    }
    Ok(rows)
}

impl Preset {
    /// Unless the command says otherwise. The runs with rust-libp2p are short.
    fn seeds(self) -> Vec<u64> {
        match self {
            Self::Go => (1..=3).collect(),
            Self::Rust => (1..=9).collect(),
        }
    }
}

impl Figure {
    fn of(self, outcome: &Outcome) -> f64 {
        match self {
            Self::Copies => outcome.copies,
            Self::P50Ms => outcome.p50_ms.unwrap_or(f64::INFINITY),
            Self::P99Ms => outcome.p99_ms.unwrap_or(f64::INFINITY),
        }
    }
}

impl Published {
    fn task(&self, seed: u64) -> anyhow::Result<Task> {
        let (mut scenario, system) = match self.preset {
            Preset::Go => (Scenario::named("pop-1000")?, "gossipsub-1.2"),
            Preset::Rust => (Scenario::read("rust-libp2p", RUST_LIBP2P)?, RUST),
        };
        scenario.load.messages = self.messages;
        scenario.load.warm_messages = self.before;
        let choice = Choice { nodes: self.nodes, bytes: self.bytes, publisher: self.publisher.into(), seed };
        Ok(Task { scenario, choice, system: system.into() })
    }

    fn row(
        &self,
        group: &[Outcome],
        figure: Figure,
        value: f64,
        bound: Option<Bound>,
        before: Option<&Row>,
    ) -> Row {
        let mut values: Vec<f64> = group.iter().map(|outcome| figure.of(outcome)).collect();
        values.sort_by(f64::total_cmp);
        let simulated = values[(values.len() - 1) / 2];
        let ratio = simulated / value;
        let within = bound.map(|bound| match bound {
            Bound::Share(share) => (ratio - 1.0).abs() <= share,
            Bound::Grows => before.is_some_and(|before| simulated > before.simulated),
        });
        Row {
            sim: "validate",
            preset: self.preset,
            nodes: self.nodes,
            messages: self.messages,
            bytes: self.bytes,
            publisher: self.publisher,
            before: self.before,
            seeds: group.len(),
            figure,
            published: value,
            simulated,
            least: values[0],
            most: values[values.len() - 1],
            ratio: (ratio * 1_000.0).round() / 1_000.0,
            bound,
            within,
        }
    }
}

const RUST_LIBP2P: &str = include_str!("../../scenarios/validation/rust-libp2p.toml");

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
/// What is demanded of copies and medians.
const SHARE: Bound = Bound::Share(0.15);

/// Every figure there is to compare with.
fn published() -> Vec<Published> {
    let go = |messages, bytes, duplicates: f64, bound| Published {
        preset: Preset::Go,
        nodes: 1_000,
        messages,
        bytes,
        publisher: "fast",
        before: 0,
        figures: vec![(Figure::Copies, duplicates + 1.0, bound)],
    };
    let single = SINGLE.iter().map(|&(bytes, duplicates)| {
        go(1, bytes, duplicates, Some(if bytes <= MIB { SHARE } else { Bound::Grows }))
    });
    let several = SEVERAL.iter().map(|&(messages, duplicates)| go(messages, 128 * KIB, duplicates, None));
    let real = REAL.iter().flat_map(|&(nodes, publisher, bytes, p50_s, p99_s, copies)| {
        // Whether anything was sent before is not known: the bound is on the case in which nothing was.
        [0, 3].map(|before| {
            let bound = (before == 0).then_some(SHARE);
            let mut figures =
                vec![(Figure::P50Ms, p50_s * 1_000.0, bound), (Figure::P99Ms, p99_s * 1_000.0, None)];
            figures.extend(copies.map(|copies| (Figure::Copies, copies, bound)));
            Published { preset: Preset::Rust, nodes, messages: 1, bytes, publisher, before, figures }
        })
    });
    single.chain(several).chain(real).collect()
}

/// gossipsub v1.2, one message: bytes, copies beyond the first.
const SINGLE: &[(u64, f64)] = &[
    (128 * KIB, 4.515),
    (256 * KIB, 4.749),
    (512 * KIB, 5.122),
    (MIB, 5.832),
    (2 * MIB, 8.909),
    (4 * MIB, 11.022),
    (8 * MIB, 12.990),
];

/// gossipsub v1.2, messages of 128 KiB at once: how many, copies beyond the first.
const SEVERAL: &[(u32, f64)] = &[(2, 5.492), (4, 5.658), (8, 5.686), (16, 6.161), (32, 7.394), (64, 9.232)];

/// rust-libp2p: nodes, publisher, bytes, median and 99th percentile in seconds, copies where they are known.
type Real = (u32, &'static str, u64, f64, f64, Option<f64>);
const REAL: &[Real] = &[
    (100, "slow", 128 * KIB, 0.33, 0.46, Some(5.0)),
    (100, "slow", MIB, 2.7, 3.7, Some(4.0)),
    (100, "slow", 4 * MIB, 9.3, 14.0, Some(3.9)),
    (100, "fast", 128 * KIB, 0.32, 0.82, None),
    (100, "fast", MIB, 1.1, 2.2, None),
    (100, "fast", 4 * MIB, 3.4, 8.6, None),
    (300, "slow", MIB, 3.2, 4.8, None),
    (300, "fast", MIB, 1.7, 2.9, None),
];
