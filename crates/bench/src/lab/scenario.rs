//! A scenario as its file says it. Every field is in `crates/bench/scenarios/pop-1000.toml` or has a default here.

use anyhow::Context as _;
use serde::Deserialize;

use super::fault::Faults;

/// A setting to run systems in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Scenario {
    /// Its file's name without the ending.
    #[serde(skip)]
    pub(crate) name: String,
    /// In one line, for people.
    pub(crate) about: String,
    /// How many nodes, unless the command says otherwise.
    pub(crate) nodes: u32,
    /// Message length, unless the command says otherwise.
    pub(crate) bytes: u64,
    pub(crate) latency: Latency,
    /// Kinds of hosts; the first publishes unless the command says otherwise.
    pub(crate) classes: Vec<Class>,
    pub(crate) overlay: Overlay,
    /// Connections begin with a small window; when not given, they have found their rates.
    pub(crate) cold_window: Option<ColdWindow>,
    #[serde(default)]
    pub(crate) load: Load,
    #[serde(default)]
    pub(crate) computing: Computing,
    /// What goes wrong.
    #[serde(default)]
    pub(crate) faults: Faults,
    /// The systems that it makes sense for; all when not given.
    #[serde(default)]
    pub(crate) systems: Vec<String>,
    /// What [`Outcome::in_time`](super::outcome::Outcome::in_time) is about.
    #[serde(default = "deadline_ms")]
    pub(crate) deadline_ms: u64,
}

/// Filecoin's, of the gossipsub v1.1 evaluation.
fn deadline_ms() -> u64 {
    6_000
}

/// One-way latency between hosts.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Latency {
    /// By their regions.
    Regions,
    /// The same between all.
    FixedMs(u64),
    /// Each pair its own: half of them between `least_ms` and `median_ms`, the others up to `most_ms`.
    Drawn { least_ms: u64, median_ms: u64, most_ms: u64 },
}

/// See [`braidcast_sim::Window::Cold`].
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ColdWindow {
    pub(crate) first: u64,
    #[serde(default = "extra")]
    pub(crate) extra: u64,
}

/// As in the simulator's default window.
fn extra() -> u64 {
    64 * 1024
}

/// A kind of host.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Class {
    pub(crate) name: String,
    /// Its share of the nodes, relative to the other classes.
    #[serde(default)]
    pub(crate) weight: u32,
    /// This many nodes, before the others share the rest.
    #[serde(default)]
    pub(crate) count: u32,
    /// Everybody knows these nodes, as a room's tabs know its relay.
    #[serde(default)]
    pub(crate) is_hub: bool,
    pub(crate) up_mbps: u64,
    pub(crate) down_mbps: u64,
    /// One-way latency that its access adds.
    #[serde(default)]
    pub(crate) added_ms: u64,
    /// Frames lost on its side, per million; each costs a round trip.
    #[serde(default)]
    pub(crate) loss_ppm: u32,
}

/// Who knows whom.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Overlay {
    /// Mean mesh neighbours.
    pub(crate) degree: u32,
    /// Fewest.
    pub(crate) min: u32,
    /// Most.
    pub(crate) max: u32,
    /// Mean further connections.
    pub(crate) others: u32,
    /// The mesh is not drawn, but grafted among all connections as they come up: while one of the two has fewer
    /// neighbours than this, as rust-libp2p does with `mesh_n_low`.
    pub(crate) joins: Option<u32>,
}

/// What is published.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Load {
    /// Messages that are measured.
    pub(crate) messages: u32,
    /// Nodes that publish them, in turn.
    pub(crate) publishers: u32,
    /// When the first is published: meshes form before.
    pub(crate) starts_ms: u64,
    /// Between one message and the next.
    pub(crate) spacing_us: u64,
    /// Messages of the same length that other nodes publish before, one every [`Load::warm_spacing_ms`]: links find
    /// their rates.
    pub(crate) warm_messages: u32,
    pub(crate) warm_spacing_ms: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            messages: 1,
            publishers: 1,
            starts_ms: 10_000,
            spacing_us: 0,
            warm_messages: 0,
            warm_spacing_ms: 4_000,
        }
    }
}

/// What computing costs.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Computing {
    /// Between a bulk frame's arrival and its machine, where each frame is verified: not for gossipsub, which verifies
    /// whole messages.
    pub(crate) handling_us: u64,
    /// Of coding and hashing: multiply-accumulates and hashed bytes, in MB/s.
    pub(crate) work_mb_per_s: u64,
}

impl Default for Computing {
    /// The handling of `meshlab.md` section 1. The rate: guess, below what one core with AVX2 does.
    fn default() -> Self {
        Self { handling_us: 500, work_mb_per_s: 10_000 }
    }
}

/// Names and texts.
macro_rules! files {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../scenarios/", $name, ".toml")))),*]
    };
}

/// Every scenario's name and text.
pub(crate) const FILES: &[(&str, &str)] = files![
    "pop-1000",
    "pop-1000-cold",
    "burst-16",
    "burst-64",
    "burst-small",
    "browser-room",
    "home",
    "interop",
    "ton",
    "churn",
    "partition",
    "freeriders",
    "silent",
    "polluters",
    "sybil",
    "eclipse",
    "eclipse-network",
    "eclipse-publishers",
];

impl Scenario {
    /// By the name of a scenario of ours, or by the path of a TOML file.
    pub(crate) fn named(name: &str) -> anyhow::Result<Self> {
        let ours = FILES.iter().find(|(known, _)| *known == name);
        let text = match ours {
            Some((_, text)) => (*text).to_owned(),
            None if name.ends_with(".toml") => {
                std::fs::read_to_string(name).with_context(|| name.to_owned())?
            }
            None => {
                let names: Vec<&str> = FILES.iter().map(|(name, _)| *name).collect();
                anyhow::bail!("no scenario {name:?}: take one of {}, or a .toml file", names.join(", "))
            }
        };
        Self::read(name.trim_end_matches(".toml").rsplit('/').next().unwrap_or(name), &text)
    }

    pub(crate) fn read(name: &str, text: &str) -> anyhow::Result<Self> {
        let mut scenario: Self = toml::from_str(text).with_context(|| format!("scenario {name}"))?;
        name.clone_into(&mut scenario.name);
        anyhow::ensure!(scenario.nodes >= 2, "a scenario needs at least 2 nodes");
        anyhow::ensure!(!scenario.classes.is_empty(), "a scenario needs a class of hosts");
        Ok(scenario)
    }

    /// The place of a class.
    pub(crate) fn class(&self, name: &str) -> anyhow::Result<usize> {
        self.classes.iter().position(|class| class.name == name).with_context(|| {
            let names: Vec<&str> = self.classes.iter().map(|class| class.name.as_str()).collect();
            format!("{} has no hosts {name:?}, but {}", self.name, names.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_ours_reads() {
        for (name, _) in FILES {
            assert_eq!(Scenario::named(name).map(|scenario| scenario.name).ok().as_deref(), Some(*name));
        }
        assert!(Scenario::named("nowhere").is_err());
    }
}
