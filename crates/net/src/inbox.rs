use std::{
    pin::Pin,
    task::{Context, Poll},
};

use braidcast_core::{
    mesh::{Message, Progress},
    wire::{MessageId, PeerId, Topic},
};
use futures::Stream;
use libp2p::Multiaddr;

use crate::PeerInfo;

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message arrived whole and verified.
    Message(Message),
    /// A large message moves. At most one waits per message: the newest.
    Progress(Progress),
    /// Neighbours hold the whole of a message that was published here. At most one waits per message: the newest.
    Reached {
        /// The message.
        id: MessageId,
        /// Neighbours that hold it.
        peers: usize,
        /// Neighbours that it was offered to.
        of: usize,
    },
    /// A peer that speaks our protocol is connected.
    PeerConnected(PeerInfo),
    /// Its last connection is gone.
    PeerDisconnected {
        /// Who.
        id: PeerId,
    },
    /// A connected peer subscribed to a topic.
    Joined {
        /// Who.
        peer: PeerId,
        /// Where.
        topic: Topic,
    },
    /// It unsubscribed, or left.
    Left {
        /// Who.
        peer: PeerId,
        /// Where.
        topic: Topic,
    },
    /// A configured relay answers and speaks our protocol.
    RelayConnected {
        /// As configured.
        address: Multiaddr,
        /// Who it is.
        id: PeerId,
    },
    /// A configured relay does not answer, or went away. It is dialled again.
    RelayLost {
        /// As configured.
        address: Multiaddr,
        /// Why.
        error: String,
        /// When it is dialled next, in milliseconds from now.
        retry_in_ms: u64,
    },
    /// The application was too slow: so many of the oldest events were dropped, messages first.
    Lagged {
        /// How many.
        messages: u64,
    },
}

/// The events of one node, for a single consumer. Also a [`Stream`].
#[derive(Debug)]
pub struct Events {}

impl Events {
    /// The next event; `None` when the node has stopped and everything was taken.
    pub async fn next(&mut self) -> Option<Event> {
        todo!()
    }

    /// The next event, if one is waiting.
    pub fn try_next(&mut self) -> Option<Event> {
        todo!()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Option<Event>> {
        todo!()
    }
}
