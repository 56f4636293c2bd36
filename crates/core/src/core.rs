use braidcast_machine::{Budget, Duration, Input, Machine, Now, Output, PeerSet, Time};
use braidcast_mesh as mesh;
use braidcast_wire::{Identity, PeerId, Topic};
use bytes::Bytes;

/// How a node behaves.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The mesh.
    pub mesh: mesh::Config,
}

/// What the application asks.
#[derive(Clone, Debug)]
pub enum Command {
    /// Of the mesh.
    Mesh(mesh::Command),
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// By the mesh.
    Mesh(mesh::Event),
}

/// What travels on one of the two streams of a link (placeholder: becomes the protobuf envelope).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Frame {
    #[prost(bytes = "bytes", tag = "1")]
    placeholder: Bytes,
}

impl Frame {
    /// True for a frame of the bulk stream; one on the wrong stream is an offence.
    pub fn is_bulk(&self) -> bool {
        false
    }
}

/// One link as flow control sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Who.
    pub peer: PeerId,
    /// Shortest round trip of late, if one was measured.
    pub rtt: Option<Duration>,
    /// Bulk bytes sent and not yet acknowledged.
    pub in_flight_bytes: usize,
    /// Measured delivery rate in bytes per second.
    pub rate: u64,
    /// Topics that the peer subscribes to.
    pub topics: alloc::vec::Vec<Topic>,
}

/// A whole node without input or output.
#[derive(Debug)]
pub struct Core {}

impl Core {
    /// A node with this key. `seed` feeds the only generator.
    pub fn new(_config: Config, _identity: Identity, _seed: [u8; 32]) -> Self {
        Self {}
    }

    /// Every link, in order of peer ids.
    pub fn links(&self) -> impl Iterator<Item = LinkInfo> + '_ {
        core::iter::empty()
    }
}

impl Machine for Core {
    type Frame = Frame;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, _now: Now, _input: Input<Frame, Command>) {}

    fn poll(&mut self) -> Option<Output<Frame, Event>> {
        None
    }

    fn pull(&mut self, _now: Now, _writable: &PeerSet) -> Option<(PeerId, Frame)> {
        None
    }

    fn work(&mut self, _now: Now, _budget: Budget) -> bool {
        false
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}
