use std::collections::{BTreeMap, VecDeque};

use braidcast_machine::{Budget, Duration, Machine, PeerSet, Time};
use braidcast_wire::PeerId;

use crate::{
    link::{Parcel, Pipe},
    rate::Server,
};

/// A node of a world: the order of [`World::add_node`](crate::World::add_node), from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

impl NodeIndex {
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// What a node is like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeProfile {
    /// Uplink of all its links together, bytes/s. [`u64::MAX`] for no limit.
    pub up_bytes_per_s: u64,
    /// Downlink of all its links together, bytes/s.
    pub down_bytes_per_s: u64,
    /// 0: a bulk frame is made when the uplink is free. Otherwise the host takes frames for each link until this many
    /// bytes wait, as a kernel would, and the uplink serves the links in turn; control waits its turn too.
    pub send_buffer_bytes: u64,
    /// What one slice of [`Machine::work`] may do.
    pub work_budget: Budget,
    /// How long a slice takes that leaves something to do. Zero: all is computed at once.
    pub work_slice: Duration,
    /// Between a bulk frame's end in the downlink and the machine, for all frames in a row at once: what it takes to
    /// read and verify one. Later frames, control too, do not overtake.
    pub bulk_handling: Duration,
    /// Ticks come at whole multiples of this, like the timers of a hidden browser tab. Zero: exactly at the deadline.
    pub timer_grain: Duration,
    /// How far the wall clock is ahead, in milliseconds.
    pub wall_skew_ms: i64,
}

impl NodeProfile {
    /// These rates in bytes/s, and the defaults.
    pub fn rates(up_bytes_per_s: u64, down_bytes_per_s: u64) -> Self {
        Self { up_bytes_per_s, down_bytes_per_s, ..Self::default() }
    }
}

impl Default for NodeProfile {
    /// 1 Gbit/s both ways, late choice, no time for computing, exact clocks.
    fn default() -> Self {
        Self {
            up_bytes_per_s: 125_000_000,
            down_bytes_per_s: 125_000_000,
            send_buffer_bytes: 0,
            work_budget: Budget(2 * 1024 * 1024),
            work_slice: Duration::ZERO,
            bulk_handling: Duration::ZERO,
            timer_grain: Duration::ZERO,
            wall_skew_ms: 0,
        }
    }
}

/// A machine and its host.
pub(crate) struct Node<M: Machine> {
    pub(crate) id: PeerId,
    pub(crate) machine: M,
    pub(crate) profile: NodeProfile,
    pub(crate) up: Server,
    pub(crate) down: Server,
    /// The way to everyone that it is or was connected to.
    pub(crate) links: BTreeMap<PeerId, Pipe>,
    pub(crate) writable: PeerSet,
    /// Named by `BulkReady` since there was last nothing for them; kept in a world that pulls when ready.
    pub(crate) ready: PeerSet,
    /// Links with a frame in their send buffer and room in their window; the uplink serves them round robin.
    pub(crate) turns: VecDeque<Pipe>,
    /// In the downlink, with when they are through.
    pub(crate) incoming: VecDeque<Incoming<M::Frame>>,
    pub(crate) bans: BTreeMap<PeerId, Time>,
    pub(crate) is_running: bool,
    /// `Free` is booked.
    pub(crate) awaits_uplink: bool,
    /// `Work` is booked.
    pub(crate) is_computing: bool,
    /// The `Wake` that counts; others are void.
    pub(crate) wake: Option<Time>,
    /// Ticks at one moment, to tell a machine that runs in circles.
    pub(crate) ticks: (Time, u32),
}

/// A frame in a downlink.
pub(crate) struct Incoming<F> {
    pub(crate) pipe: Pipe,
    pub(crate) epoch: u32,
    pub(crate) parcel: Parcel<F>,
    pub(crate) through: Time,
}

impl<M: Machine> Node<M> {
    pub(crate) fn new(id: PeerId, machine: M, profile: NodeProfile) -> Self {
        Self {
            id,
            machine,
            up: Server::new(profile.up_bytes_per_s),
            down: Server::new(profile.down_bytes_per_s),
            profile,
            links: BTreeMap::new(),
            writable: PeerSet::new(),
            ready: PeerSet::new(),
            turns: VecDeque::new(),
            incoming: VecDeque::new(),
            bans: BTreeMap::new(),
            is_running: true,
            awaits_uplink: false,
            is_computing: false,
            wake: None,
            ticks: (Time::ZERO, 0),
        }
    }
}
