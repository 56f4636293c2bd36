//! What implementations differ in.

use braidcast_core::machine::Duration;

use super::Uplink;

/// Which gossipsub. Names are the specification's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Config {
    /// v1.2: tell mesh peers what came, when it is long enough.
    pub(crate) idontwant: bool,
    /// Publish to every connected peer, not to the mesh alone.
    pub(crate) flood_publish: bool,
    /// Period of IHAVE; none for no gossip.
    pub(crate) heartbeat: Option<Duration>,
    /// After asking one peer for a message, ask no other for this long.
    pub(crate) promise: Duration,
    /// How long an IDONTWANT is remembered.
    pub(crate) idontwant_lasts: Duration,
    /// Heartbeats for which IWANT is answered.
    pub(crate) history: u32,
    /// A message of our own, and one of others, that waits for its link longer than this is not sent.
    pub(crate) patience: [Duration; 2],
    pub(crate) uplink: Uplink,
    /// Between a message's last byte and its delivery and forwarding.
    pub(crate) validation: fn(u64) -> Duration,
}

impl Config {
    /// go-libp2p-pubsub as it is set up for Ethereum: heartbeat of 700 ms, no flood publishing; asks every peer that
    /// says IHAVE.
    pub(crate) const GO: Self = Self {
        idontwant: true,
        flood_publish: false,
        heartbeat: Some(Duration::from_millis(700)),
        promise: Duration::ZERO,
        idontwant_lasts: Duration::from_millis(3 * 700),
        history: 6,
        patience: [FOR_EVER; 2],
        uplink: Uplink::Fair,
        validation: super::super::validation,
    };

    /// rust-libp2p's defaults: heartbeat of 1 s, flood publishing, no validator; a promise ends when the message comes,
    /// as without scoring nothing else ends it.
    pub(crate) const RUST: Self = Self {
        idontwant: true,
        flood_publish: true,
        heartbeat: Some(Duration::from_secs(1)),
        promise: FOR_EVER,
        idontwant_lasts: Duration::from_secs(3),
        history: 5,
        patience: [Duration::from_secs(5), Duration::from_secs(1)],
        uplink: Uplink::Written,
        validation: |_| Duration::ZERO,
    };
}

const FOR_EVER: Duration = Duration::from_secs(u64::MAX);
