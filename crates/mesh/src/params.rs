//! What may differ from topic to topic. Names are OptimumP2P's where they mean the same.

use alloc::collections::BTreeMap;
use core::{fmt, ops::Deref};

use braidcast_machine::Duration;
use braidcast_wire::{Topic, limits};

/// How a topic is spread. Becomes [`CheckedParams`] to be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicParams {
    /// Who may take part.
    pub mode: Mode,
    /// Fewest mesh neighbours before more are grafted (gossipsub's D_lo).
    pub mesh_min: usize,
    /// How many to graft towards (D).
    pub mesh_target: usize,
    /// Most before some are pruned (D_hi). A relay that must take everyone sets it to its connection limit.
    pub mesh_max: usize,
    /// K: source pieces of each generation that we publish, fewer where they would be shorter than
    /// [`limits::PIECE_BYTES_MIN`]. `None`: by its length, see `docs/protocol.md`.
    pub shard_factor: Option<usize>,
    /// n / K in percent, where n counts source and parity pieces; 150 is OptimumP2P's 1.5. `None`: by its length. In a
    /// closed topic n is how many shards a publisher sends before neighbours may ask for more, 100 % unless given.
    pub shard_multiplier_percent: Option<usize>,
    /// Others' pieces are pushed on unasked once this share of a generation's K is here. At 0, the default, each at
    /// once.
    pub threshold_percent: usize,
    /// Payloads that get shorter by it travel compressed.
    pub compress: bool,
    /// The application judges each message, by [`Command::Judge`](crate::Command::Judge), within this time; one that it
    /// does not is ignored. While [`VERDICTS`](crate::VERDICTS) messages or [`VERDICT_BYTES`](crate::VERDICT_BYTES) of them
    /// wait, over all topics, what comes is ignored unseen, and traced. `None`: every message is accepted.
    pub verdict_within: Option<Duration>,
}

/// Who may take part in a topic, and what travels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Anybody. Pieces that can be verified one by one.
    #[default]
    Open,
    /// Who proves to hold the secret. Members mix what they hold into new shards before they have the whole, which can
    /// be verified only at the end: see `docs/protocol.md`. To publish takes a subscription.
    Closed {
        /// The same at all members.
        secret: Secret,
    },
}

/// What the members of a closed topic share. 32 bytes that nobody can guess: a proof of membership can be tried
/// against guesses.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 32]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl Default for TopicParams {
    fn default() -> Self {
        Self {
            mode: Mode::Open,
            mesh_min: 6,
            mesh_target: 8,
            mesh_max: 12,
            shard_factor: None,
            shard_multiplier_percent: None,
            threshold_percent: 0,
            compress: true,
            verdict_within: None,
        }
    }
}

impl TopicParams {
    /// With these bounds of the mesh. Those that are not given stay, but give way to `target`.
    #[must_use]
    pub fn with_mesh(mut self, target: Option<usize>, min: Option<usize>, max: Option<usize>) -> Self {
        self.mesh_target = target.unwrap_or(self.mesh_target);
        self.mesh_min = min.unwrap_or(self.mesh_min.min(self.mesh_target));
        self.mesh_max = max.unwrap_or(self.mesh_max.max(self.mesh_target));
        self
    }

    /// Checks that they fit each other and the limits.
    pub fn checked(self) -> Result<CheckedParams, ParamsError> {
        let Self { mesh_min: min, mesh_target: target, mesh_max: max, .. } = self;
        if !(1 <= min && min <= target && target <= max && max <= limits::PEERS) {
            return Err(ParamsError::Mesh { min, target, max });
        }
        if let Some(percent) = self.shard_multiplier_percent.filter(|&percent| percent < 100) {
            return Err(ParamsError::Multiplier { percent });
        }
        let k = self.shard_factor.unwrap_or(LONGEST_K);
        let m = parity(k, self.shard_multiplier_percent.unwrap_or(100));
        if k == 0 || k.saturating_add(m) > limits::PIECES {
            return Err(ParamsError::Pieces { k, m });
        }
        if self.threshold_percent > 100 {
            return Err(ParamsError::Threshold { percent: self.threshold_percent });
        }
        Ok(CheckedParams(self))
    }

    /// K and M of a generation of `len` bytes, where `table` is what its length suggests.
    pub(crate) fn shards(&self, len: usize, table: (usize, usize)) -> (usize, usize) {
        let most = len.div_ceil(limits::PIECE_BYTES_MIN);
        let k = self.shard_factor.map_or(table.0, |k| k.min(most));
        if self.mode != Mode::Open {
            // Shards are made as they go.
            return (k, 0);
        }
        let percent = self.shard_multiplier_percent.unwrap_or((table.0 + table.1) * 100 / table.0);
        (k, parity(k, percent).min(limits::PIECES - k))
    }
}

/// M for these K and n / K.
fn parity(k: usize, percent: usize) -> usize {
    k.saturating_mul(percent - 100).div_ceil(100)
}

/// Parameters that fit each other and the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckedParams(TopicParams);

impl CheckedParams {
    /// To be changed and checked again.
    pub fn into_inner(self) -> TopicParams {
        self.0
    }
}

impl Deref for CheckedParams {
    type Target = TopicParams;

    fn deref(&self) -> &TopicParams {
        &self.0
    }
}

/// Why parameters are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParamsError {
    /// The bounds of the mesh are out of order or beyond [`limits::PEERS`].
    #[error(
        "mesh minimum {min}, target {target}, maximum {max}: each must be from 1 to {}, and none below the one before",
        limits::PEERS
    )]
    Mesh {
        /// `mesh_min`.
        min: usize,
        /// `mesh_target`.
        target: usize,
        /// `mesh_max`.
        max: usize,
    },
    /// K is 0, or K + M is more than [`limits::PIECES`]. K is the longest messages' when it was not given.
    #[error(
        "shard factor and multiplier make {k} source and {m} parity pieces, the limit is 1 to {} together: choose a smaller \
         factor or multiplier (without a factor, the longest messages have {} source pieces)",
        limits::PIECES,
        LONGEST_K
    )]
    Pieces {
        /// Source pieces.
        k: usize,
        /// Parity pieces.
        m: usize,
    },
    /// Fewer pieces in all than sources.
    #[error(
        "shard multiplier is {percent} %, the least is 100 %: that many pieces in all for each hundred source pieces"
    )]
    Multiplier {
        /// Given.
        percent: usize,
    },
    /// More than all pieces.
    #[error("threshold is {percent} %, the most is 100 %: it is a share of the source pieces")]
    Threshold {
        /// Given.
        percent: usize,
    },
}

/// The parameters of every topic.
#[derive(Debug)]
pub(crate) struct Params {
    default: CheckedParams,
    topics: BTreeMap<Topic, CheckedParams>,
}

impl Params {
    pub(crate) fn new(default: CheckedParams) -> Self {
        Self { default, topics: BTreeMap::new() }
    }

    pub(crate) fn of(&self, topic: &Topic) -> &TopicParams {
        self.topics.get(topic).unwrap_or(&self.default)
    }

    pub(crate) fn set(&mut self, topic: Topic, params: CheckedParams) {
        if params == self.default {
            self.topics.remove(&topic);
        } else {
            self.topics.insert(topic, params);
        }
    }
}

/// K of the longest generations.
pub(crate) const LONGEST_K: usize = 128;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn refused(change: impl FnOnce(&mut TopicParams)) -> Option<ParamsError> {
        let mut params = TopicParams::default();
        change(&mut params);
        params.checked().err()
    }

    #[test]
    fn errors_name_the_values() {
        assert_eq!(refused(|_| {}), None);
        assert_eq!(
            refused(|params| params.mesh_min = 9),
            Some(ParamsError::Mesh { min: 9, target: 8, max: 12 })
        );
        assert_eq!(refused(|params| params.shard_factor = Some(0)), Some(ParamsError::Pieces { k: 0, m: 0 }));
        let error = refused(|params| {
            params.shard_factor = Some(128);
            params.shard_multiplier_percent = Some(201);
        });
        let error = error.expect("257 pieces");
        assert_eq!(error, ParamsError::Pieces { k: 128, m: 130 });
        assert_eq!(
            alloc::string::ToString::to_string(&error),
            "shard factor and multiplier make 128 source and 130 parity pieces, the limit is 1 to 256 together: choose a \
             smaller factor or multiplier (without a factor, the longest messages have 128 source pieces)"
        );
        assert_eq!(
            refused(|params| params.shard_multiplier_percent = Some(300)),
            Some(ParamsError::Pieces { k: 128, m: 256 }),
            "the longest generations have 128 sources"
        );
        assert_eq!(
            refused(|params| params.shard_multiplier_percent = Some(usize::MAX)),
            Some(ParamsError::Pieces { k: 128, m: usize::MAX.div_ceil(100) })
        );
        assert_eq!(
            refused(|params| params.shard_multiplier_percent = Some(99)),
            Some(ParamsError::Multiplier { percent: 99 })
        );
        assert_eq!(
            refused(|params| params.threshold_percent = 101),
            Some(ParamsError::Threshold { percent: 101 })
        );
    }

    #[test]
    fn a_target_moves_the_bounds_that_were_not_given() {
        let mesh = |target, min, max| {
            let params = TopicParams::default().with_mesh(target, min, max);
            (params.mesh_min, params.mesh_target, params.mesh_max)
        };
        assert_eq!(mesh(None, None, None), (6, 8, 12));
        assert_eq!(mesh(Some(4), None, None), (4, 4, 12));
        assert_eq!(mesh(Some(20), Some(2), None), (2, 20, 20));
        assert_eq!(mesh(None, Some(9), Some(7)), (9, 8, 7), "which is refused");
    }

    #[test]
    fn shards_follow_the_parameters_as_far_as_pieces_stay_long_enough() {
        let shards = |shard_factor, shard_multiplier_percent, len| {
            let params = TopicParams { shard_factor, shard_multiplier_percent, ..TopicParams::default() };
            params.checked().expect("they fit").shards(len, (16, 16))
        };
        assert_eq!(shards(None, None, 100_000), (16, 16));
        assert_eq!(shards(Some(4), Some(150), 100_000), (4, 2));
        assert_eq!(shards(Some(200), Some(125), 100_000), (98, 25));
        assert_eq!(shards(None, Some(100), 100_000), (16, 0));
        assert_eq!(shards(Some(3), None, 100_000), (3, 3));
        assert_eq!(shards(Some(250), None, 1 << 20), (250, 6), "as many as there can be");
    }
}
