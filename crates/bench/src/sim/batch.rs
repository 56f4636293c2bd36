//! Several runs at once.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
};

use super::store::{Store, Task};
use crate::{clock::timed_result, lab::outcome::Outcome};

/// Runs every task, `jobs` at a time. `tell` hears of each as it is done; the outcomes come in the order of the tasks.
pub(crate) fn run_all(
    tasks: &[Task],
    store: &Store,
    jobs: usize,
    mut tell: impl FnMut(&Outcome) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes: Vec<Option<Outcome>> = tasks.iter().map(|task| store.find(task)).collect();
    for outcome in outcomes.iter().flatten() {
        tell(outcome)?;
    }
    let missing: Vec<usize> = (0..tasks.len()).filter(|&at| outcomes[at].is_none()).collect();
    eprintln!("{} of {} runs are kept from before", tasks.len() - missing.len(), tasks.len());
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::channel();
        for _ in 0..jobs.max(1) {
            let (sender, missing, next) = (sender.clone(), &missing, &next);
            scope.spawn(move || {
                while let Some(&at) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let (outcome, time) = timed_result(|| store.run(&tasks[at]));
                    if sender.send((at, outcome, time)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for (done, (at, outcome, time)) in receiver.into_iter().enumerate() {
            let outcome = outcome?;
            let task = &tasks[at];
            eprintln!(
                "{}/{}: {} {} {} B {} seed {}: {:.1} s",
                done + 1,
                missing.len(),
                task.scenario.name,
                task.system,
                task.choice.bytes,
                task.choice.publisher,
                task.choice.seed,
                time.as_secs_f64(),
            );
            tell(&outcome)?;
            outcomes[at] = Some(outcome);
        }
        anyhow::Ok(())
    })?;
    Ok(outcomes.into_iter().map(|outcome| outcome.expect("each was kept or run")).collect())
}
