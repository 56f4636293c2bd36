//! A list of named jobs, run one after another: the steps of `check` and the suites of `test`. Each has extras, which
//! run only when they are named.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

pub(crate) struct Job {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn() -> Result<()>,
}

#[derive(clap::Args)]
pub(crate) struct Selection {
    /// Run only this one, extras included (may be given several times).
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Print the names and stop.
    #[arg(long)]
    list: bool,
}

/// How one job ended, for the summary.
pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    pub(crate) took: Duration,
    pub(crate) error: Option<anyhow::Error>,
}

/// Runs the chosen jobs to the last, so that one run shows every failure; `None` when only the list was asked for.
pub(crate) fn run(
    command: &str,
    jobs: &[Job],
    extras: &[Job],
    selection: &Selection,
) -> Result<Option<Vec<Outcome>>> {
    if selection.list {
        jobs.iter().for_each(|job| println!("{:<10} {}", job.name, job.about));
        extras.iter().for_each(|job| println!("{:<10} {} (only when named)", job.name, job.about));
        return Ok(None);
    }
    let chosen = choose(jobs, extras, &selection.only)?;
    Ok(Some(chosen.into_iter().map(|job| run_one(command, job)).collect()))
}

fn choose<'a>(jobs: &'a [Job], extras: &'a [Job], only: &[String]) -> Result<Vec<&'a Job>> {
    if only.is_empty() {
        return Ok(jobs.iter().collect());
    }
    let all = || jobs.iter().chain(extras);
    if let Some(unknown) = only.iter().find(|name| all().all(|job| job.name != name.as_str())) {
        let names: Vec<_> = all().map(|job| job.name).collect();
        bail!("there is no `{unknown}`; the names are {}", names.join(", "));
    }
    Ok(all().filter(|job| only.iter().any(|name| name == job.name)).collect())
}

fn run_one(command: &str, job: &Job) -> Outcome {
    eprintln!("\n== {command} {}: {}", job.name, job.about);
    let start = Instant::now();
    let error = (job.run)().err();
    let took = start.elapsed();
    match &error {
        None => eprintln!("== {command} {}: ok, {:.1} s", job.name, took.as_secs_f64()),
        Some(error) => eprintln!("== {command} {}: FAILED, {:.1} s\n{error:#}", job.name, took.as_secs_f64()),
    }
    Outcome { name: job.name, took, error }
}

/// One line per job, the failed ones with how to run them again alone.
pub(crate) fn summary(command: &str, outcomes: &[Outcome]) -> String {
    outcomes
        .iter()
        .map(|Outcome { name, took, error }| {
            let seconds = took.as_secs_f64();
            match error {
                None => format!("  {name:<10} ok      {seconds:>7.1} s\n"),
                Some(error) => format!(
                    "  {name:<10} FAILED  {seconds:>7.1} s  {}\n  {:<10} again:  cargo xtask {command} --only {name}\n",
                    first_line(error),
                    "",
                ),
            }
        })
        .collect()
}

fn first_line(error: &anyhow::Error) -> String {
    format!("{error:#}").lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const JOBS: &[Job] = &[
        Job { name: "good", about: "", run: || Ok(()) },
        Job { name: "bad", about: "", run: || bail!("seven is odd\nsecond line") },
    ];
    const EXTRAS: &[Job] = &[Job { name: "slow", about: "", run: || Ok(()) }];

    fn only(names: &[&str]) -> Selection {
        Selection { only: names.iter().map(ToString::to_string).collect(), list: false }
    }

    #[test]
    fn a_failure_does_not_stop_the_others_and_says_how_to_repeat_it() {
        let outcomes = run("check", JOBS, EXTRAS, &only(&[])).unwrap().unwrap();
        assert_eq!(outcomes.iter().map(|o| o.error.is_some()).collect::<Vec<_>>(), [false, true]);
        let summary = summary("check", &outcomes);
        assert!(summary.contains("seven is odd\n") && summary.contains("cargo xtask check --only bad"));
        assert!(!summary.contains("second line"));
    }

    #[test]
    fn only_runs_what_was_asked_for() {
        for name in ["good", "slow"] {
            let outcomes = run("check", JOBS, EXTRAS, &only(&[name])).unwrap().unwrap();
            assert_eq!(outcomes.iter().map(|o| o.name).collect::<Vec<_>>(), [name]);
        }
    }

    #[test]
    fn an_unknown_name_lists_the_known_ones() {
        let error = run("check", JOBS, EXTRAS, &only(&["goood"])).err().unwrap().to_string();
        assert_eq!(error, "there is no `goood`; the names are good, bad, slow");
    }
}
