use core::ops::AddAssign;

use braidcast_machine::{Offence, Time};
use braidcast_wire::PeerId;

use crate::NodeIndex;

/// A machine's complaint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// When.
    pub time: Time,
    /// Who says so.
    pub node: NodeIndex,
    /// Of whom.
    pub peer: PeerId,
    /// What.
    pub offence: Offence,
}

/// A machine closed a link for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ban {
    /// When.
    pub time: Time,
    /// Who banned.
    pub node: NodeIndex,
    /// Whom.
    pub peer: PeerId,
    /// When it ends.
    pub until: Time,
}

/// Frames and their bytes on the wire. Bulk is what [`pull`](braidcast_machine::Machine::pull) gave, control what
/// [`poll`](braidcast_machine::Machine::poll) did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Bulk frames.
    pub bulk_frames: u64,
    /// Their bytes.
    pub bulk_bytes: u64,
    /// Control frames.
    pub control_frames: u64,
    /// Their bytes.
    pub control_bytes: u64,
}

/// Traffic of a node or of one end of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Put on the uplink.
    pub sent: Traffic,
    /// Handed to the machine.
    pub received: Traffic,
}

impl Traffic {
    pub(crate) fn count(&mut self, bytes: u32, is_bulk: bool) {
        if is_bulk {
            self.bulk_frames += 1;
            self.bulk_bytes += u64::from(bytes);
        } else {
            self.control_frames += 1;
            self.control_bytes += u64::from(bytes);
        }
    }
}

impl AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        self.bulk_frames += other.bulk_frames;
        self.bulk_bytes += other.bulk_bytes;
        self.control_frames += other.control_frames;
        self.control_bytes += other.control_bytes;
    }
}

/// What is remembered of a run.
pub(crate) struct Trace<E> {
    pub(crate) events: Vec<(Time, NodeIndex, E)>,
    pub(crate) reports: Vec<Report>,
    pub(crate) bans: Vec<Ban>,
    hasher: blake3::Hasher,
}

impl<E> Trace<E> {
    pub(crate) fn new() -> Self {
        Self { events: Vec::new(), reports: Vec::new(), bans: Vec::new(), hasher: blake3::Hasher::new() }
    }

    /// A frame was delivered: 28 bytes, little-endian.
    pub(crate) fn deliver(&mut self, time: Time, from: u32, to: u32, bytes: u32, digest: u64) {
        let mut entry = [0; 28];
        entry[..8].copy_from_slice(&time.as_micros().to_le_bytes());
        entry[8..12].copy_from_slice(&from.to_le_bytes());
        entry[12..16].copy_from_slice(&to.to_le_bytes());
        entry[16..20].copy_from_slice(&bytes.to_le_bytes());
        entry[20..].copy_from_slice(&digest.to_le_bytes());
        self.hasher.update(&entry);
    }

    pub(crate) fn hash(&self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}
