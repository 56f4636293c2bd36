//! Outcomes on disk, so that only what can have changed runs again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use crate::lab::{
    outcome::Outcome,
    plan::{Choice, Plan},
    run::{is_ours, run},
    scenario::Scenario,
};

/// One run: a scenario in which everything is chosen, and a system.
#[derive(Clone, Debug)]
pub(crate) struct Task {
    pub(crate) scenario: Scenario,
    pub(crate) choice: Choice,
    pub(crate) system: String,
}

/// A folder with one file per run.
#[derive(Debug)]
pub(crate) struct Store {
    folder: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
struct Kept {
    outcome: Outcome,
    curve: Vec<Option<f64>>,
}

impl Store {
    /// In [`Store::folder`].
    pub(crate) fn beside_program() -> anyhow::Result<Self> {
        let folder = Self::folder()?;
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        Ok(Self { folder: Some(folder) })
    }

    /// `lab` in cargo's target folder, beside the folder that this program lies in.
    pub(crate) fn folder() -> anyhow::Result<PathBuf> {
        let program = std::env::current_exe()?;
        let target = program.parent().and_then(Path::parent).context("the program lies in no folder")?;
        Ok(target.join("lab"))
    }

    /// Keeps nothing.
    pub(crate) fn none() -> Self {
        Self { folder: None }
    }

    /// What was kept of the run, if anything.
    pub(crate) fn find(&self, task: &Task) -> Option<Outcome> {
        let text = fs::read(self.path(task)?).ok()?;
        let Kept { outcome, curve } = serde_json::from_slice(&text).ok()?;
        Some(Outcome { curve, ..outcome })
    }

    /// Runs it, and keeps what comes of it.
    pub(crate) fn run(&self, task: &Task) -> anyhow::Result<Outcome> {
        let outcome = run(&Plan::draw(&task.scenario, task.choice.clone())?, &task.system)?;
        if let Some(path) = self.path(task) {
            let kept = Kept { curve: outcome.curve.clone(), outcome: outcome.clone() };
            // Renamed when it is whole: another process may be looking.
            let partial = path.with_extension(std::process::id().to_string());
            fs::write(&partial, serde_json::to_vec(&kept)?)?;
            fs::rename(&partial, &path)?;
        }
        Ok(outcome)
    }

    fn path(&self, task: &Task) -> Option<PathBuf> {
        Some(self.folder.as_ref()?.join(format!("{}.json", key(task))))
    }
}

/// A hash of everything that decides what comes of the run.
fn key(task: &Task) -> String {
    let code = if is_ours(&task.system) { env!("LAB_BRAIDCAST") } else { env!("LAB_WORLD") };
    let text = format!("{code} {} {:?} {:?}", task.system, task.scenario, task.choice);
    blake3::hash(text.as_bytes()).to_hex()[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_run_is_found_again_and_nothing_else_is() {
        let folder = std::env::temp_dir().join(format!("braidcast-lab-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder for temporary files");
        let store = Store { folder: Some(folder.clone()) };
        let scenario = Scenario::named("pop-1000").expect("it is a file of ours");
        let choice = Choice { nodes: 20, bytes: 1_000, publisher: "fast".into(), seed: 1 };
        let task = Task { scenario, choice, system: "ec-bitmap".into() };
        assert_eq!(store.find(&task), None);
        let outcome = store.run(&task).expect("it is a system of ours");
        assert_eq!(store.find(&task), Some(outcome));
        let mut other = task.clone();
        other.choice.seed = 2;
        assert_eq!(store.find(&other), None);
        assert_eq!(Store::none().find(&task), None);
        fs::remove_dir_all(folder).expect("it was made above");
    }
}
