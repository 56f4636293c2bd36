//! `sim`: a scenario in virtual time.

use std::{io::Write as _, str::FromStr};

use crate::lab::{
    outcome::Outcome,
    plan::{Choice, Plan},
    run::{SYSTEMS, run as run_system},
    scenario::Scenario,
};

/// Run a scenario of the laboratory in virtual time.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A scenario's name, or the path of a TOML file.
    scenario: String,
    /// Message length: bytes, or with a unit as in 16KiB or 4MiB.
    #[arg(long)]
    size: Option<Size>,
    /// The same seed gives the same run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Class of the hosts that publish, as in `fast` or `slow`; the scenario's first when not given.
    #[arg(long)]
    publisher: Option<String>,
    /// Systems to run, repeated; all when none is named.
    #[arg(long)]
    system: Vec<String>,
    /// How many nodes, instead of the scenario's number.
    #[arg(long)]
    nodes: Option<u32>,
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let scenario = Scenario::named(&args.scenario)?;
    let choice = Choice {
        nodes: args.nodes.unwrap_or(scenario.nodes),
        bytes: args.size.map_or(scenario.bytes, |size| size.0),
        publisher: args.publisher.clone().unwrap_or_else(|| scenario.classes[0].name.clone()),
        seed: args.seed,
    };
    anyhow::ensure!(choice.nodes >= 2, "a run needs at least 2 nodes");
    let plan = Plan::draw(&scenario, choice)?;
    eprintln!("{}: {}", scenario.name, scenario.about);
    let systems: Vec<&str> = match args.system.is_empty() {
        true => SYSTEMS.to_vec(),
        false => args.system.iter().map(String::as_str).collect(),
    };
    let mut out = std::io::stdout().lock();
    for system in systems {
        let outcome = run_system(&plan, system)?;
        if args.json {
            serde_json::to_writer(&mut out, &outcome)?;
            writeln!(out)?;
        } else {
            writeln!(out, "{}", line(&outcome))?;
        }
        out.flush()?;
    }
    Ok(())
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

/// A length in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Size(u64);

impl FromStr for Size {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
        let unit: u64 = match text[digits.len()..].trim() {
            "" | "B" => 1,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            unit => anyhow::bail!("unknown unit {unit:?}: write B, KiB or MiB"),
        };
        let count: u64 = digits.trim().parse()?;
        count.checked_mul(unit).map(Self).ok_or_else(|| anyhow::anyhow!("{text} is too long"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        let read = |text: &str| text.parse::<Size>().map(|size| size.0).ok();
        assert_eq!(read("200"), Some(200));
        assert_eq!(read("200B"), Some(200));
        assert_eq!(read("16KiB"), Some(16_384));
        assert_eq!(read("4MiB"), Some(4_194_304));
        assert_eq!(read("1GB"), None);
        assert_eq!(read("MiB"), None);
        assert_eq!(read("99999999999999999999MiB"), None);
    }
}
