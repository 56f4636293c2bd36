//! What the mesh keeps about one connected peer.

use alloc::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    vec::Vec,
};

use braidcast_machine::Direction;
use braidcast_wire::{MessageId, Topic};
use bytes::Bytes;

use crate::piece_set::PieceSet;

/// A connected peer.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) direction: Direction,
    /// What it subscribes to.
    pub(crate) topics: BTreeSet<Topic>,
    /// Its own signed record, unverified.
    pub(crate) record: Option<Bytes>,
    /// Messages that may have something for it, in turn.
    pub(crate) queue: VecDeque<MessageId>,
    /// The piece that is going out.
    pub(crate) sending: Option<Place>,
    /// The piece that is coming in.
    pub(crate) receiving: Option<(Place, Vec<u8>)>,
    /// Announcements that wait for the batch.
    pub(crate) news: News,
    /// Points of its offences; fall by one each heartbeat.
    pub(crate) points: u32,
    /// `IHave` frames since the last heartbeat.
    pub(crate) ihaves: u32,
}

/// A place in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) message: MessageId,
    pub(crate) generation: usize,
    pub(crate) piece: u8,
    /// Bytes of the piece that went already.
    pub(crate) offset: usize,
}

/// What a peer is to be told with the next batch.
#[derive(Debug, Default)]
pub(crate) struct News {
    pub(crate) have: BTreeMap<(MessageId, usize), PieceSet>,
    pub(crate) done: Vec<MessageId>,
}

impl Link {
    pub(crate) fn new(direction: Direction) -> Self {
        Self {
            direction,
            topics: BTreeSet::new(),
            record: None,
            queue: VecDeque::new(),
            sending: None,
            receiving: None,
            news: News::default(),
            points: 0,
            ihaves: 0,
        }
    }

    /// True while there may be bulk for the peer.
    pub(crate) fn has_bulk(&self) -> bool {
        self.sending.is_some() || !self.queue.is_empty()
    }

    /// Puts a message in the queue; true when there was no bulk for this peer before.
    pub(crate) fn enqueue(&mut self, message: MessageId, is_urgent: bool) -> bool {
        let was_idle = !self.has_bulk();
        if !self.queue.contains(&message) {
            if is_urgent {
                self.queue.push_front(message);
            } else {
                self.queue.push_back(message);
            }
        }
        was_idle
    }

    /// Forgets what goes to and comes from the peer of this message.
    pub(crate) fn drop_message(&mut self, message: MessageId) {
        self.queue.retain(|&queued| queued != message);
        self.sending = self.sending.filter(|place| place.message != message);
        self.receiving = self.receiving.take().filter(|(place, _)| place.message != message);
        self.news.have.retain(|&(of, _), _| of != message);
    }
}

impl News {
    pub(crate) fn is_empty(&self) -> bool {
        self.have.is_empty() && self.done.is_empty()
    }

    /// Says that the whole of `message` is here, which covers every piece.
    pub(crate) fn add_done(&mut self, message: MessageId) {
        self.have.retain(|&(of, _), _| of != message);
        if !self.done.contains(&message) {
            self.done.push(message);
        }
    }
}
