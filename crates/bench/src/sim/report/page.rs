//! The page: Markdown, and which plot stands where.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::plot::{Line, Plot};
use crate::{
    lab::outcome::Outcome,
    sim::{summary::Summary, text::size},
};

pub(crate) struct Page {
    folder: PathBuf,
    text: String,
}

impl Page {
    pub(crate) fn new(folder: &Path, seeds: u64) -> Self {
        let text = format!(
            "# The laboratory\n\nWritten by `cargo xtask sim report`; do not edit. Everything here is simulated: whole \
             nodes of the production code in virtual time, beside gossipsub and others in the same network \
             (`crates/sim`, `crates/bench/src/lab`). Medians of {seeds} seeds unless said otherwise.\n\n\
             - `gossip`: the better p99 of gossipsub 1.2 with heartbeat gossip and without (`-quiet`). Both get a random \
             mesh of degree 8; Braidcast forms its own among the same acquaintances.\n\
             - `floor`: latency of the shortest path, and the message once through the narrowest of the publisher's uplink \
             and the receiver's downlink. Not reachable in that mesh.\n\
             - `copies`: payload bytes received per node, over the message's length. `control`: received bytes that are not \
             payload.\n"
        );
        Self { folder: folder.to_owned(), text }
    }

    pub(crate) fn text(self) -> String {
        self.text
    }

    pub(crate) fn sizes(&mut self, publisher: &str, summaries: &[Summary]) {
        let first = summaries.first().map_or(0, |summary| summary.nodes);
        self.text += &format!("\n## One message to {first} nodes, {publisher} publisher\n\n");
        self.text += "| size | system | p50 ms | p99 ms | last ms | p99 / gossip | p99 / floor | copies | control % |\n";
        self.text += "|---|---|---|---|---|---|---|---|---|\n";
        for summary in summaries {
            self.text += &format!(
                "| {} | {} | {} | {} | {} | {} | {} | {:.2} | {:.2} |\n",
                size(summary.bytes),
                summary.system,
                ms(summary.p50_ms),
                ms(summary.p99_ms),
                ms(summary.last_ms),
                ratio(summary.p99_over_gossip),
                ratio(summary.p99_over_floor),
                summary.copies,
                summary.control_share * 100.0,
            );
        }
    }

    /// Shares of receivers over time, of one seed.
    pub(crate) fn curves(&mut self, bytes: u64, outcomes: &[&Outcome]) -> anyhow::Result<()> {
        let line = |outcome: &&Outcome| Line {
            name: outcome.system.clone(),
            points: (0..=100)
                .zip(&outcome.curve)
                .filter_map(|(percent, at)| Some(((*at)?, f64::from(percent))))
                .collect(),
        };
        let title = format!("{} from a fast publisher: who has it when", size(bytes));
        self.plot(
            &format!("delivery-{bytes}"),
            &title,
            "ms after publishing",
            "% of nodes",
            outcomes.iter().map(line),
        )
    }

    pub(crate) fn copies(&mut self, summaries: &[Summary]) -> anyhow::Result<()> {
        let lines = by_system(summaries, |summary| Some((summary.bytes as f64 / 1024.0, summary.copies)));
        self.plot(
            "copies",
            "Copies of the payload that a node receives",
            "message length in KiB",
            "copies",
            lines,
        )?;
        self.text +=
            "\nWhether the gossipsub of this simulator is a fair one: [its validation](validation.md).\n";
        Ok(())
    }

    pub(crate) fn growth(&mut self, summaries: &[Summary]) -> anyhow::Result<()> {
        self.text += "\n## As the network grows\n\n1 MiB from a fast publisher.\n\n";
        self.text += "| nodes | system | p50 ms | p99 ms | p99 / gossip | copies | control % |\n|---|---|---|---|---|---|---|\n";
        for summary in summaries {
            self.text += &format!(
                "| {} | {} | {} | {} | {} | {:.2} | {:.2} |\n",
                summary.nodes,
                summary.system,
                ms(summary.p50_ms),
                ms(summary.p99_ms),
                ratio(summary.p99_over_gossip),
                summary.copies,
                summary.control_share * 100.0,
            );
        }
        let times = by_system(summaries, |summary| Some((f64::from(summary.nodes), summary.p99_ms?)));
        self.plot("growth", "1 MiB: when 99 % of the nodes have it", "nodes", "ms", times)
    }

    pub(crate) fn rooms(&mut self, summaries: &[Summary]) {
        self.text += "\n## Rooms of browsers\n\nOne seed each; nodes with the relay that all know. A tab has 5 Mbit/s up and \
                      20 down, and one in twenty leaves and another joins per minute.\n\n";
        self.text += "| nodes | size | system | p50 ms | p99 ms | last ms | p99 / gossip | p99 / floor | copies | delivered |\n\
                      |---|---|---|---|---|---|---|---|---|---|\n";
        for summary in summaries.iter().filter(|summary| summary.system != "floor") {
            self.text += &format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {:.2} | {} |\n",
                summary.nodes,
                size(summary.bytes),
                summary.system,
                ms(summary.p50_ms),
                ms(summary.p99_ms),
                ms(summary.last_ms),
                ratio(summary.p99_over_gossip),
                ratio(summary.p99_over_floor),
                summary.copies,
                summary.delivered,
            );
        }
    }

    pub(crate) fn scenarios(&mut self, summaries: &[Summary]) {
        self.text += "\n## What goes wrong\n\nOne seed each. A scenario's setting is in `crates/bench/scenarios`. Of honest \
                      nodes that stayed: the share that received, and that did within 6 s. Attacks are pairs of a polluter \
                      and an honest node that it sent corrupt pieces to.\n\n";
        self.text += "| scenario | system | nodes | size | p50 ms | p99 ms | p99 / gossip | p99 / floor | delivered | in time | copies | corrupt delivered, \
                      forwarded | attacks, unpunished | honest banned |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n";
        for summary in summaries.iter().filter(|summary| summary.system != "floor") {
            self.text += &format!(
                "| {} | {} | {} | {} | {} | {} | {} | {} | {} | {} | {:.2} | {}, {} | {}, {} | {} |\n",
                summary.sim,
                summary.system,
                summary.nodes,
                size(summary.bytes),
                ms(summary.p50_ms),
                ms(summary.p99_ms),
                ratio(summary.p99_over_gossip),
                ratio(summary.p99_over_floor),
                summary.delivered,
                summary.in_time,
                summary.copies,
                summary.corrupt,
                summary.corrupt_forwarded,
                summary.attacked,
                summary.unpunished,
                summary.honest_bans,
            );
        }
        self.text +=
            "\n`cargo xtask sim soak --seeds N` runs small networks in which all of this happens at once.\n";
    }

    /// Each decision's title, and its paragraph on what was tried.
    pub(crate) fn decisions(&mut self, folder: &Path) -> anyhow::Result<()> {
        self.text +=
            "\n## What was tried and lost\n\nFrom [the decisions](../decisions), which have the figures.\n\n";
        let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
        let mut paths: Vec<PathBuf> =
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths {
            let text = fs::read_to_string(&path)?;
            let title = text.lines().next().unwrap_or_default().trim_start_matches("# ");
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let tried = text.split("\n\n").find_map(|paragraph| paragraph.strip_prefix("**Tried.** "));
            let tried = tried.map_or(String::new(), |tried| format!(": {}", tried.replace('\n', " ")));
            self.text += &format!("- [{title}](../decisions/{name}){tried}\n");
        }
        Ok(())
    }

    fn plot(
        &mut self,
        name: &str,
        title: &str,
        x: &str,
        y: &str,
        lines: impl Iterator<Item = Line>,
    ) -> anyhow::Result<()> {
        let lines = lines.filter(|line| !line.points.is_empty()).collect();
        Plot { title, x, y, lines }.draw(&self.folder.join(format!("{name}.svg")))?;
        self.text += &format!("\n![{title}]({name}.svg)\n");
        Ok(())
    }
}

fn by_system(
    summaries: &[Summary],
    point: impl Fn(&Summary) -> Option<(f64, f64)>,
) -> impl Iterator<Item = Line> {
    let mut lines: Vec<Line> = Vec::new();
    for summary in summaries.iter().filter(|summary| summary.system != "floor") {
        let Some(point) = point(summary) else { continue };
        match lines.iter_mut().find(|line| line.name == summary.system) {
            Some(line) => line.points.push(point),
            None => lines.push(Line { name: summary.system.clone(), points: vec![point] }),
        }
    }
    lines.into_iter()
}

fn ms(value: Option<f64>) -> String {
    value.map_or("-".into(), |ms| format!("{ms:.0}"))
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("-".into(), |ratio| format!("{ratio:.2}"))
}
