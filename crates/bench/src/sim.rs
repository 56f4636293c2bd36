//! `sim`: a scenario in virtual time.

mod batch;
mod cost;
mod report;
mod store;
mod summary;
mod text;
mod validate;

use std::{io::Write as _, path::Path, str::FromStr};

use self::{
    report::Extent,
    store::{Store, Task},
    summary::REFERENCES,
};
use crate::{
    lab::{
        outcome::Outcome,
        plan::Choice,
        run::{SYSTEMS, check_name},
        scenario::Scenario,
    },
    size::Size,
    soak,
};

/// Run a scenario of the laboratory in virtual time.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A scenario's name, the path of a TOML file, `soak` (small networks in which everything goes wrong, and promises
    /// that hold all the same), `validate` (the simulated gossipsub beside figures of real ones), or `report` (all
    /// scenarios, as the page docs/lab with tables and plots).
    scenario: String,
    /// Message lengths: bytes, or with a unit as in 16KiB or 4MiB.
    #[arg(long, value_delimiter = ',')]
    size: Vec<Size>,
    /// The same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Several seeds: how many (5 is 1 to 5), or which (2,3,9 or 101-200). Prints medians, and what they are of gossipsub's and
    /// of the floor's, which run too.
    #[arg(long, conflicts_with = "seed")]
    seeds: Option<Seeds>,
    /// Classes of the hosts that publish, as in `fast` or `slow`; the scenario's first when none is given.
    #[arg(long, value_delimiter = ',')]
    publisher: Vec<String>,
    /// Systems to run; all when none is named.
    #[arg(long, value_delimiter = ',')]
    system: Vec<String>,
    /// How many nodes, instead of the scenario's number.
    #[arg(long, value_delimiter = ',')]
    nodes: Vec<u32>,
    /// How many runs at once.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Run what was kept from before too, and keep nothing.
    #[arg(long)]
    fresh: bool,
    /// Of the report: networks of 40 nodes, into the folder of kept runs.
    #[arg(long)]
    quick: bool,
    /// Of the report: sybil attacks on 1,000 nodes instead of 200.
    #[arg(long, conflicts_with = "quick")]
    full: bool,
    /// Of validate: write what it prints to docs/lab/validation.md too.
    #[arg(long)]
    write: bool,
    /// One JSON object per line: for each run, then for each median.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    match args.scenario.as_str() {
        "soak" => return soak::run(&args.seeds(), args.jobs, args.json),
        "report" => return args.report(),
        "validate" => return validate::run(args),
        _ => {}
    }
    let tasks = tasks(args)?;
    let store = args.store()?;
    let is_many = args.seeds.is_some();
    let print = |outcome: &Outcome| -> anyhow::Result<()> {
        match (args.json, is_many) {
            (true, _) => print_line(&serde_json::to_string(outcome)?),
            (false, false) => print_line(&line(outcome)),
            (false, true) => Ok(()),
        }
    };
    let outcomes = batch::run_all(&tasks, &store, args.jobs, print)?;
    if !is_many {
        return Ok(());
    }
    let summaries = summary::summarise(&outcomes);
    if !args.json {
        return print_line(&summary::table(&summaries));
    }
    summaries.iter().try_for_each(|summary| print_line(&serde_json::to_string(summary)?))
}

impl Args {
    fn report(&self) -> anyhow::Result<()> {
        let store = self.store()?;
        let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/lab");
        let (extent, folder) = match (self.quick, self.full) {
            (true, _) => (Extent::quick(), Store::folder()?.join("report")),
            (_, true) => (Extent::full(), docs),
            _ => (Extent::usual(), docs),
        };
        report::run(&extent, &store, self.jobs, &folder)
    }

    fn store(&self) -> anyhow::Result<Store> {
        if self.fresh { Ok(Store::none()) } else { Store::beside_program() }
    }

    fn seeds(&self) -> Vec<u64> {
        self.seeds.as_ref().map_or(vec![self.seed], |seeds| seeds.0.clone())
    }
}

/// In the order of tables: sizes, publishers, systems, seeds.
fn tasks(args: &Args) -> anyhow::Result<Vec<Task>> {
    let scenario = Scenario::named(&args.scenario)?;
    eprintln!("{}: {}", scenario.name, scenario.about);
    let or = |given: &[u64], otherwise: u64| if given.is_empty() { vec![otherwise] } else { given.to_vec() };
    let sizes: Vec<u64> = args.size.iter().map(|size| size.0).collect();
    let nodes: Vec<u64> = args.nodes.iter().map(|&nodes| nodes.into()).collect();
    let mut publishers = args.publisher.clone();
    if publishers.is_empty() {
        publishers.push(scenario.classes[0].name.clone());
    }
    let seeds = args.seeds();
    let mut tasks = Vec::new();
    for nodes in or(&nodes, scenario.nodes.into()) {
        anyhow::ensure!(nodes >= 2, "a run needs at least 2 nodes");
        for bytes in or(&sizes, scenario.bytes) {
            for publisher in &publishers {
                for system in systems(args, &scenario)? {
                    for &seed in &seeds {
                        let publisher = publisher.clone();
                        let choice = Choice { nodes: nodes as u32, bytes, publisher, seed };
                        tasks.push(Task { scenario: scenario.clone(), choice, system: system.clone() });
                    }
                }
            }
        }
    }
    Ok(tasks)
}

fn systems(args: &Args, scenario: &Scenario) -> anyhow::Result<Vec<String>> {
    let mut systems: Vec<String> = match (args.system.is_empty(), scenario.systems.is_empty()) {
        (true, true) => SYSTEMS.map(String::from).into(),
        (true, false) => scenario.systems.clone(),
        (false, _) => args.system.clone(),
    };
    systems.iter().try_for_each(|system| check_name(system).map(|_| ()))?;
    if args.seeds.is_some() && scenario.systems.is_empty() {
        let missing: Vec<&str> =
            REFERENCES.into_iter().filter(|name| !systems.iter().any(|system| system == name)).collect();
        systems.extend(missing.into_iter().map(String::from));
    }
    Ok(systems)
}

fn print_line(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

fn line(outcome: &Outcome) -> String {
    let ms = |value: Option<f64>| value.map_or("-".into(), |ms| format!("{ms:.0}"));
    format!(
        "{:20} p50 {:>6} p90 {:>6} p99 {:>6} last {:>6} ms, {:.3} delivered, {:.2} copies, {:.1} % control",
        outcome.system,
        ms(outcome.p50_ms),
        ms(outcome.p90_ms),
        ms(outcome.p99_ms),
        ms(outcome.last_ms),
        outcome.delivered,
        outcome.copies,
        outcome.control_share * 100.0,
    )
}

/// Which seeds.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seeds(Vec<u64>);

impl FromStr for Seeds {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let seeds: Vec<u64> = match text.split_once('-') {
            Some((first, last)) => (first.parse()?..=last.parse()?).collect(),
            None => text.split(',').map(str::parse).collect::<Result<_, _>>()?,
        };
        let seeds = match seeds[..] {
            [count] if !text.contains('-') => (1..=count).collect(),
            _ => seeds,
        };
        anyhow::ensure!(!seeds.is_empty(), "0 seeds are no run");
        Ok(Self(seeds))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_counted_or_named() {
        let read = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0).ok();
        assert_eq!(read("3"), Some(vec![1, 2, 3]));
        assert_eq!(read("7,2"), Some(vec![7, 2]));
        assert_eq!(read("4-6"), Some(vec![4, 5, 6]));
        assert_eq!(read("4-4"), Some(vec![4]));
        assert_eq!(read("0"), None);
        assert_eq!(read("a"), None);
    }
}
