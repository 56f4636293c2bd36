use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use braidcast_machine::Time;

use crate::link::Pipe;

/// What is to happen, by time; at the same time in the order of booking.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    booked: u64,
}

/// Small, because the heap moves it about; frames wait with their link or node.
#[derive(Clone, Copy, Debug)]
struct Entry {
    time: Time,
    sequence: u64,
    happening: Happening,
}

/// A node by its place, a pipe with the epoch of the connection that it is about.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Happening {
    /// The last bit of the pipe's oldest flight reaches the receiver's downlink.
    Arrive { pipe: Pipe, epoch: u32 },
    /// The oldest frame in the node's downlink is through.
    Deliver { node: u32 },
    /// The sender learns that this many bulk bytes came.
    Acknowledge { pipe: Pipe, epoch: u32, bytes: u32 },
    /// The node's uplink is free.
    Free { node: u32 },
    /// A deadline of the node.
    Wake { node: u32 },
    /// The node goes on computing.
    Work { node: u32 },
    /// The sending end of the pipe finds its link gone.
    Close { pipe: Pipe, epoch: u32 },
    /// Both ends notice the cut of this number, if it lasts.
    Notice { pipe: Pipe, cut: u32 },
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.time, self.sequence).cmp(&(other.time, other.sequence))
    }
}

impl Agenda {
    pub(crate) fn book(&mut self, time: Time, happening: Happening) {
        self.booked += 1;
        self.heap.push(Reverse(Entry { time, sequence: self.booked, happening }));
    }

    /// The next, if it is not after `limit`.
    pub(crate) fn next(&mut self, limit: Time) -> Option<(Time, Happening)> {
        if self.heap.peek()?.0.time > limit {
            return None;
        }
        self.heap.pop().map(|Reverse(entry)| (entry.time, entry.happening))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.heap.is_empty()
    }
}
