//! What a run needs to know of a system.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use braidcast_core::{
    machine::{Duration, Machine, Rng, Time},
    wire::PeerId,
};
use braidcast_sim::NodeIndex;

use super::{
    baseline::{
        Delivered, Publish,
        coded::{self, Coded},
        gossip::{self, Gossip},
    },
    outcome::Ledger,
    plan::{Message, Plan},
};

/// A protocol, as it is put into a world and read there.
pub(crate) trait System: 'static {
    type Machine: Machine<Event = Self::Event>;
    /// What the machine says to applications.
    type Event: 'static;

    /// The id of the node at this place.
    fn peer(&self, node: u32) -> PeerId {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&node.to_be_bytes());
        PeerId(id)
    }

    /// A node; `mesh` is its part of the given overlay.
    fn machine(&self, plan: &Plan, node: u32, mesh: BTreeSet<PeerId>, rng: Rng) -> Self::Machine;

    /// What every node is told at the start.
    fn start(&self) -> Option<<Self::Machine as Machine>::Command> {
        None
    }

    /// To publish the message of this number.
    fn publish(&self, number: u32, message: &Message) -> <Self::Machine as Machine>::Command;

    /// Payload bytes in a frame.
    fn payload(frame: &<Self::Machine as Machine>::Frame) -> u64;

    /// True for a control frame that says what its sender has.
    fn is_announcement(frame: &<Self::Machine as Machine>::Frame) -> bool;

    /// Puts other bytes into a frame that carries payload, and a mark on them; nothing where payloads are not simulated.
    fn pollute(_: &mut <Self::Machine as Machine>::Frame) {}

    /// True when payload in the frame bears the mark of [`System::pollute`].
    fn is_polluted(_: &<Self::Machine as Machine>::Frame) -> bool {
        false
    }

    /// Writes what a machine says into the ledger.
    fn observer(&self, ledger: Rc<RefCell<Ledger>>) -> Observer<Self>;

    /// True when every bulk frame is verified on its own.
    fn verifies_frames(&self) -> bool;
}

/// See [`System::observer`].
pub(crate) type Observer<S> = Box<dyn FnMut(Time, NodeIndex, <S as System>::Event)>;

/// gossipsub of some version.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Gossipsub(pub(crate) gossip::Config);

impl Gossipsub {
    pub(crate) const V1_1: Self = Self(gossip::Config { idontwant: false, ..gossip::Config::GO });
    pub(crate) const V1_2: Self = Self(gossip::Config::GO);
    pub(crate) const V1_2_QUIET: Self = Self(gossip::Config { heartbeat: None, ..gossip::Config::GO });
    pub(crate) const RUST: Self = Self(gossip::Config::RUST);
}

impl System for Gossipsub {
    type Machine = Gossip;
    type Event = Delivered;

    fn machine(&self, _: &Plan, _: u32, mesh: BTreeSet<PeerId>, rng: Rng) -> Gossip {
        Gossip::new(self.0, mesh, rng)
    }

    fn publish(&self, number: u32, message: &Message) -> Publish {
        Publish { number, bytes: message.bytes }
    }

    fn payload(frame: &gossip::Frame) -> u64 {
        match frame {
            gossip::Frame::Part { len, .. } => u64::from(*len),
            _ => 0,
        }
    }

    fn is_announcement(frame: &gossip::Frame) -> bool {
        matches!(frame, gossip::Frame::IHave(_))
    }

    fn observer(&self, ledger: Rc<RefCell<Ledger>>) -> Observer<Self> {
        Box::new(move |time, node, Delivered(number)| {
            ledger.borrow_mut().deliver(number, node.0, time, Duration::ZERO);
        })
    }

    fn verifies_frames(&self) -> bool {
        false
    }
}

/// Erasure coding with bitmaps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EcBitmap;

impl System for EcBitmap {
    type Machine = Coded;
    type Event = Delivered;

    fn machine(&self, _: &Plan, _: u32, mesh: BTreeSet<PeerId>, rng: Rng) -> Coded {
        Coded::new(mesh, rng)
    }

    fn publish(&self, number: u32, message: &Message) -> Publish {
        Publish { number, bytes: message.bytes }
    }

    fn payload(frame: &coded::Frame) -> u64 {
        match frame {
            coded::Frame::Part { len, .. } => u64::from(*len),
            _ => 0,
        }
    }

    fn is_announcement(frame: &coded::Frame) -> bool {
        matches!(frame, coded::Frame::Bitmap { .. })
    }

    fn observer(&self, ledger: Rc<RefCell<Ledger>>) -> Observer<Self> {
        Box::new(move |time, node, Delivered(number)| {
            ledger.borrow_mut().deliver(number, node.0, time, Duration::ZERO);
        })
    }

    fn verifies_frames(&self) -> bool {
        true
    }
}
