//! What Braidcast is compared with. Sizes travel, not bytes: the machines here count, and carry no payload.

pub(crate) mod coded;
pub(crate) mod floor;
pub(crate) mod gossip;
mod turns;

use braidcast_core::machine::Duration;

/// A message in its scenario's list.
pub(crate) type Number = u32;

/// Ask a baseline to spread a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) number: Number,
    /// At least 1.
    pub(crate) bytes: u32,
}

/// A message is there and validated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Delivered(pub(crate) Number);

/// Most payload bytes in one frame. Links take turns frame by frame, so that large messages share the uplink as TCP
/// streams would.
pub(crate) const PART_BYTES: u32 = 16 * 1024;

/// What an application takes to validate a message: 5 ms as in gossipsub-interop (`experiment.py`), 1 ms for what is
/// checked at a glance.
pub(crate) fn validation(bytes: u64) -> Duration {
    Duration::from_millis(if bytes <= 1024 { 1 } else { 5 })
}
