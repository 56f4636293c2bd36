//! `sim report`: the laboratory's figures as a page with tables and plots.

mod page;
mod plot;

use std::{fs, path::Path};

use anyhow::Context as _;

use self::page::Page;
use super::{
    batch, cost,
    store::{Store, Task},
    summary::{REFERENCES, summarise},
};
use crate::lab::{
    outcome::Outcome,
    plan::Choice,
    run::{CLOSED, SYSTEMS},
    scenario::{FILES, Scenario},
};

/// How much is run.
#[derive(Clone, Debug)]
pub(crate) struct Extent {
    /// Lengths of the one message of `pop-1000`, in bytes.
    sizes: Vec<u64>,
    /// Nodes of the growing network.
    growth: Vec<u32>,
    /// Nodes of a browser room, its relay among them.
    rooms: Vec<u32>,
    /// Honest nodes where sybils attack.
    attacked: u32,
    seeds: u64,
    /// Names of the other scenarios.
    scenarios: Vec<&'static str>,
    /// At most so many nodes in any run.
    nodes_max: u32,
}

impl Extent {
    /// Some minutes: small networks, to see that all works.
    pub(crate) fn quick() -> Self {
        let sizes = vec![1 << 10, 128 << 10];
        Self { sizes, growth: vec![20, 40], rooms: vec![21], seeds: 1, nodes_max: 40, ..Self::usual() }
    }

    /// Within an hour on two cores.
    pub(crate) fn usual() -> Self {
        let sizes = vec![200, 1 << 10, 16 << 10, 128 << 10, 1 << 20, 4 << 20, 8 << 20];
        let growth = vec![50, 200, 1_000, 5_000];
        let rooms = vec![51, 201, 1_001];
        let names = FILES.iter().map(|&(name, _)| name);
        let scenarios = names.filter(|name| !["pop-1000", "browser-room"].contains(name)).collect();
        Self { sizes, growth, rooms, attacked: 200, seeds: 5, scenarios, nodes_max: 5_000 }
    }

    /// Sybils in the numbers of gossipsub-hardening too.
    pub(crate) fn full() -> Self {
        Self { attacked: 1_000, ..Self::usual() }
    }
}

/// Runs what is not kept from before and writes `README.md` and its plots into `folder`.
pub(crate) fn run(extent: &Extent, store: &Store, jobs: usize, folder: &Path) -> anyhow::Result<()> {
    let lab = Lab { extent, store, jobs };
    let mut page = Page::new(folder, extent.seeds);
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    lab.sizes(&mut page)?;
    lab.growth(&mut page)?;
    lab.rooms(&mut page)?;
    lab.scenarios(&mut page)?;
    page.decisions(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/decisions"))?;
    let path = folder.join("README.md");
    fs::write(&path, page.text()).with_context(|| path.display().to_string())?;
    eprintln!("wrote {}", path.display());
    Ok(())
}

struct Lab<'a> {
    extent: &'a Extent,
    store: &'a Store,
    jobs: usize,
}

impl Lab<'_> {
    fn run(&self, part: &str, tasks: &[Task]) -> anyhow::Result<Vec<Outcome>> {
        let missing: Vec<&Task> = tasks.iter().filter(|task| self.store.find(task).is_none()).collect();
        let seconds: f64 = missing.iter().map(|task| cost::seconds(task)).sum();
        let minutes = seconds / 60.0 / self.jobs as f64;
        eprintln!("{part}: {} of {} runs, about {minutes:.1} minutes", missing.len(), tasks.len());
        batch::run_all(tasks, self.store, self.jobs, |_| Ok(()))
    }

    fn tasks(
        &self,
        scenario: &Scenario,
        bytes: u64,
        publisher: &str,
        nodes: u32,
        systems: &[&str],
    ) -> Vec<Task> {
        let nodes = nodes.min(self.extent.nodes_max);
        let task = |system: &&str, seed| Task {
            scenario: scenario.clone(),
            choice: Choice { nodes, bytes, publisher: publisher.into(), seed },
            system: (*system).into(),
        };
        systems
            .iter()
            .flat_map(|system| (1..=self.extent.seeds).map(move |seed| task(system, seed)))
            .collect()
    }

    /// One message to 1,000 nodes, by its length.
    fn sizes(&self, page: &mut Page) -> anyhow::Result<()> {
        let scenario = Scenario::named("pop-1000")?;
        for publisher in ["fast", "slow"] {
            let of_size = |&bytes: &u64| {
                let of = |systems: &[&str]| self.tasks(&scenario, bytes, publisher, scenario.nodes, systems);
                let is_closed_too = publisher == "fast" && bytes <= CLOSED_MAX;
                of(&SYSTEMS).into_iter().chain(of(if is_closed_too { &[CLOSED] } else { &[] }))
            };
            let tasks: Vec<Task> = self.extent.sizes.iter().flat_map(of_size).collect();
            let outcomes = self.run(&format!("sizes, {publisher} publisher"), &tasks)?;
            let summaries = summarise(&outcomes);
            page.sizes(publisher, &summaries);
            if publisher == "fast" {
                for &bytes in &self.extent.sizes {
                    let of_size: Vec<&Outcome> = outcomes
                        .iter()
                        .filter(|outcome| outcome.bytes == bytes && outcome.seed == 1)
                        .collect();
                    page.curves(bytes, &of_size)?;
                }
                page.copies(&summaries)?;
            }
        }
        Ok(())
    }

    /// One message of 1 MiB, by how many nodes there are.
    fn growth(&self, page: &mut Page) -> anyhow::Result<()> {
        let scenario = Scenario::named("pop-1000")?;
        let systems = ["braidcast-open", REFERENCES[0], REFERENCES[1], REFERENCES[2]];
        let of_nodes = |&nodes: &u32| self.tasks(&scenario, scenario.bytes, "fast", nodes, &systems);
        let tasks: Vec<Task> = self.extent.growth.iter().flat_map(of_nodes).collect();
        page.growth(&summarise(&self.run("growth", &tasks)?))
    }

    /// Rooms of tabs, by how many there are.
    fn rooms(&self, page: &mut Page) -> anyhow::Result<()> {
        let scenario = Scenario::named("browser-room")?;
        let mut tasks = Vec::new();
        for &nodes in &self.extent.rooms {
            for bytes in [128 << 10, 1 << 20] {
                tasks.extend(self.once(&scenario, bytes, nodes));
                let closed = self.tasks(&scenario, bytes, &scenario.classes[0].name, nodes, &[CLOSED]);
                tasks.extend(closed.into_iter().filter(|task| task.choice.seed == 1));
            }
        }
        page.rooms(&summarise(&self.run("rooms", &tasks)?));
        Ok(())
    }

    /// Every other scenario at its own length.
    fn scenarios(&self, page: &mut Page) -> anyhow::Result<()> {
        let mut tasks = Vec::new();
        for name in &self.extent.scenarios {
            let scenario = Scenario::named(name)?;
            let is_attacked = scenario.faults.attack.is_some();
            let nodes = if is_attacked { self.extent.attacked } else { scenario.nodes };
            tasks.extend(self.once(&scenario, scenario.bytes, nodes));
        }
        page.scenarios(&summarise(&self.run("scenarios", &tasks)?));
        Ok(())
    }

    /// Braidcast and what it is compared with, with one seed: there are many such runs, and some are long.
    fn once(&self, scenario: &Scenario, bytes: u64, nodes: u32) -> Vec<Task> {
        let systems = ["braidcast-open", REFERENCES[0], REFERENCES[1], REFERENCES[2]];
        let systems = if scenario.systems.is_empty() { &systems[..] } else { &systems[..1] };
        let mut tasks = self.tasks(scenario, bytes, &scenario.classes[0].name, nodes, systems);
        tasks.retain(|task| task.choice.seed == 1);
        tasks
    }
}

/// Longer messages of closed topics take minutes each to simulate: every shard is coded.
const CLOSED_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_report_has_tables_and_plots() {
        let folder = std::env::temp_dir().join(format!("braidcast-report-{}", std::process::id()));
        let scenarios = vec!["polluters", "home"];
        let (sizes, growth, rooms) = (vec![1_000], vec![10, 16], vec![9]);
        let extent = Extent { sizes, growth, rooms, attacked: 10, seeds: 1, scenarios, nodes_max: 16 };
        run(&extent, &Store::none(), 2, &folder).expect("a report");
        let page = fs::read_to_string(folder.join("README.md")).expect("it was written");
        for plot in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if plot.ends_with(".svg") {
                let svg = fs::read_to_string(folder.join(plot)).expect("a plot that the page shows");
                assert!(svg.starts_with("<svg") && svg.contains("braidcast-open"), "{plot}");
            }
        }
        for part in ["| braidcast-open |", "polluters", "Rooms of browsers", "Lanes, then requests"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        fs::remove_dir_all(folder).expect("it was made above");
    }
}
