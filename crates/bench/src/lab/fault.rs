//! What goes wrong in a scenario, as its file says it.

use serde::Deserialize;

/// What goes wrong. Who publishes neither leaves nor misbehaves.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Faults {
    /// Nodes that do not do their part, in percent.
    pub(crate) rogues_percent: u32,
    /// What those do.
    pub(crate) rogues: Rogue,
    pub(crate) churn: Option<Churn>,
    pub(crate) partition: Option<Partition>,
    pub(crate) attack: Option<Attack>,
}

/// How a node misbehaves. In everything else it follows its protocol.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Rogue {
    /// Takes, and passes nothing on, nor says what it has.
    #[default]
    Freerider,
    /// Says what it has, and serves nothing of it.
    Silent,
    /// Sends other bytes than were published.
    Polluter,
}

/// Nodes leave without a word and come back as if new, to the acquaintances of before.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Churn {
    /// Leaving per minute, of all nodes.
    pub(crate) percent_per_minute: u32,
    /// How long they stay away.
    pub(crate) away_ms: u64,
    /// When their neighbours notice.
    pub(crate) notice_ms: u64,
    /// How long after the first message nodes go on leaving.
    pub(crate) lasts_ms: u64,
}

/// Two halves of the nodes cannot reach each other for a while.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Partition {
    /// Before the first message.
    pub(crate) before_ms: u64,
    pub(crate) lasts_ms: u64,
    /// When the links across are found gone. They are dialled again when it is over.
    pub(crate) notice_ms: u64,
}

/// Further nodes, free-riders all, that come and dial ours, after gossipsub-hardening's configurations.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Attack {
    /// How many come, for each hundred nodes of ours.
    pub(crate) sybils_percent: u32,
    /// How many of the targets each dials.
    pub(crate) dials: u32,
    pub(crate) on: Target,
    /// Before the first message.
    pub(crate) before_ms: u64,
}

/// Whom an attack is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Target {
    /// One node; only its deliveries count.
    One,
    Publishers,
    All,
}
