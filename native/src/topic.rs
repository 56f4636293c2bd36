//! How `publish` and `subscribe` take part in their topic.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use braidcast_net::{CheckedParams, Divide, Mode, PeerId, Secret, Topic, TopicParams};
use clap::ValueEnum;

use crate::key_file::{self, KeyFileError, What};

/// Names as in OptimumP2P.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Topic")]
pub(crate) struct TopicArgs {
    /// Who takes part: anybody, or only who holds the key. The same at all nodes
    #[arg(long, value_enum, default_value_t = ModeName::Open, env = "BRAIDCAST_MODE")]
    mode: ModeName,
    /// Key of a closed topic, see `braidcast keygen --topic-key`; needs --mode closed
    #[arg(long, value_name = "FILE", env = "BRAIDCAST_KEY_FILE")]
    key_file: Option<PathBuf>,
    /// K: source pieces of each generation that is published here, 1 to 256 [default: by length, 8 to 128]
    #[arg(long, value_name = "K")]
    shard_factor: Option<usize>,
    /// n / K, where n counts source and parity pieces, like 1.5; K and parity are 256 at most [default: by length, 1.5 to 2]
    #[arg(long, value_name = "FACTOR", value_parser = factor)]
    shard_multiplier: Option<Percent>,
    /// Share of K, 0 to 1, that is held before others' pieces are passed on unasked [default: 0]
    #[arg(long, value_name = "SHARE", value_parser = share)]
    threshold: Option<Percent>,
    /// Neighbours to aim for [default: 8]
    #[arg(long, value_name = "N")]
    mesh_target: Option<usize>,
    /// Fewest neighbours before more are taken [default: 6, or the target if that is less]
    #[arg(long, value_name = "N")]
    mesh_min: Option<usize>,
    /// Most neighbours before some are let go [default: 12, or the target if that is more]
    #[arg(long, value_name = "N")]
    mesh_max: Option<usize>,
}

/// Who takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ModeName {
    /// Anybody; pieces are verified one by one.
    Open,
    /// Who proves to hold the key; members recode (full RLNC).
    Closed,
}

/// Hundredths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Percent(usize);

impl TopicArgs {
    pub(crate) fn is_closed(&self) -> bool {
        self.mode == ModeName::Closed
    }

    /// Reads the key, if there is one, and checks how the values fit each other.
    pub(crate) fn params(&self, topic: &Topic) -> anyhow::Result<CheckedParams> {
        let mut params = TopicParams::default();
        params.mode = match (self.mode, &self.key_file) {
            (ModeName::Open, None) => Mode::Open,
            (ModeName::Closed, Some(path)) => Mode::Closed { secret: secret(path, "--key-file")? },
            (ModeName::Closed, None) => anyhow::bail!(
                "--mode closed needs --key-file FILE: get the key from a member, or make one with `braidcast keygen \
                 --topic-key --out FILE`"
            ),
            (ModeName::Open, Some(path)) => anyhow::bail!(
                "key file {} is given for an open topic: add --mode closed, or leave it out",
                path.display()
            ),
        };
        params.shard_factor = self.shard_factor;
        params.shard_multiplier_percent = self.shard_multiplier.map(|Percent(percent)| percent);
        params.threshold_percent =
            self.threshold.map_or(params.threshold_percent, |Percent(percent)| percent);
        let params = params.with_mesh(self.mesh_target, self.mesh_min, self.mesh_max);
        params.checked().with_context(|| format!("topic {:?}", topic.as_str()))
    }

    /// What to tell of a peer that takes no part with us.
    pub(crate) fn outsider(&self, topic: &Topic, peer: PeerId, why: Divide) -> String {
        let name = topic.as_str();
        match (why, &self.key_file) {
            (Divide::OtherKey, Some(path)) => format!(
                "{peer} holds another key of topic {name:?} than {}: compare the two, one is wrong",
                path.display()
            ),
            (Divide::OtherKey, None) => format!("{peer} holds another key of topic {name:?}"),
            (Divide::NoProof, _) => format!(
                "{peer} proved no membership of topic {name:?}, as a relay that has no key: it carries nothing for members"
            ),
            (Divide::NoKey, _) => format!(
                "topic {name:?} is closed: {peer} takes members only, or carries to members only; get the key and use --mode closed --key-file FILE"
            ),
        }
    }
}

/// The secret of a closed topic.
pub(crate) fn secret(path: &Path, flag: &'static str) -> Result<Secret, KeyFileError> {
    key_file::load(What::TopicKey, path, flag).map(Secret)
}

fn factor(text: &str) -> Result<Percent, &'static str> {
    percent(text, 100, 25_600).ok_or("expected a number from 1 to 256, like 1.5")
}

fn share(text: &str) -> Result<Percent, &'static str> {
    percent(text, 0, 100).ok_or("expected a number from 0 to 1, like 0.75")
}

fn percent(text: &str, min: usize, max: usize) -> Option<Percent> {
    let value: f64 = text.parse().ok()?;
    let percent = (value * 100.0).round();
    (percent >= min as f64 && percent <= max as f64).then_some(Percent(percent as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors_and_shares_are_hundredths() {
        assert_eq!(
            (factor("1.5"), factor("1"), factor("256")),
            (Ok(Percent(150)), Ok(Percent(100)), Ok(Percent(25_600)))
        );
        assert_eq!(
            (share("0"), share("0.755"), share("1")),
            (Ok(Percent(0)), Ok(Percent(76)), Ok(Percent(100)))
        );
        for wrong in ["0.9", "257", "-1", "NaN", "inf", "much", ""] {
            assert!(factor(wrong).is_err(), "{wrong}");
        }
        for wrong in ["-0.1", "1.1", "75%"] {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }
}
