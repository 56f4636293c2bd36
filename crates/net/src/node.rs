use braidcast_core::{
    mesh::{Content, PublishError},
    wire::{MessageId, PeerId, Topic},
};
use libp2p::Multiaddr;

use crate::{Config, Events, Stats};

/// A running node. Clones are handles to the same node; it runs until [`Node::stop`] or until the last is dropped.
#[derive(Clone, Debug)]
pub struct Node {}

impl Node {
    /// Starts a node. Natively it returns when listening, and must be called inside a tokio runtime. Does not wait
    /// for relays: [`Event::RelayConnected`](crate::Event::RelayConnected) tells.
    pub async fn start(_config: Config) -> Result<(Self, Events), StartError> {
        todo!()
    }

    /// Our id.
    pub fn peer_id(&self) -> PeerId {
        todo!()
    }

    /// Receives the messages of `topic`, and helps to spread them.
    pub async fn subscribe(&self, _topic: Topic) -> Result<(), Stopped> {
        todo!()
    }

    /// Stops both.
    pub async fn unsubscribe(&self, _topic: Topic) -> Result<(), Stopped> {
        todo!()
    }

    /// Spreads a message. Answers when it has its id and is on its way; [`Event::Reached`](crate::Event::Reached)
    /// tells who has it.
    pub async fn publish(&self, _topic: Topic, _content: Content) -> Result<Published, PublishFailed> {
        todo!()
    }

    /// The connected peers that speak our protocol, in order of ids.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Stopped> {
        todo!()
    }

    /// Where others can dial us, listening and external, each with `/p2p/<id>`.
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, Stopped> {
        todo!()
    }

    /// Dials once. A failure is a line in the log.
    pub async fn dial(&self, _address: Multiaddr) -> Result<(), Stopped> {
        todo!()
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        todo!()
    }

    /// Closes every connection and ends the node. Again is nothing.
    pub async fn stop(&self) {
        todo!()
    }
}

/// A message that is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Published {
    /// The message.
    pub id: MessageId,
    /// Neighbours that it is offered to; at least 1.
    pub peers: usize,
}

/// A connected peer.
#[derive(Clone, Debug, PartialEq)]
pub struct PeerInfo {
    /// Who.
    pub id: PeerId,
    /// Over what.
    pub link: Link,
    /// Its address as this side sees it.
    pub address: String,
    /// What it calls itself; unverified, empty until identify has run.
    pub agent: String,
    /// Latest round trip of libp2p's ping, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Topics that it subscribes to and that we know of as well.
    pub topics: Vec<Topic>,
    /// True when it dialled us.
    pub inbound: bool,
}

/// The kind of the connection that a peer's frames use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// A configured relay, or a peer that offers to relay.
    Relay,
    /// Any other direct connection.
    Direct,
    /// Over a relay (`/p2p-circuit`).
    Circuit,
}

/// Why a node did not start. Nothing runs.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address that can never work here, as relay or to listen on.
    #[error("address {address} cannot be used: {reason}")]
    Address {
        /// As configured.
        address: Multiaddr,
        /// Why.
        reason: String,
    },
    /// Listening failed.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// As configured.
        address: Multiaddr,
        /// The system's error.
        reason: String,
    },
    /// A setting that does not fit this platform.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The platform refused something that every node needs.
    #[error("{0}")]
    Platform(String),
}

/// Why a message was not published. Nothing was sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishFailed {
    /// The mesh did not take it.
    #[error(transparent)]
    Refused(#[from] PublishError),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// The node has stopped; nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the node has stopped")]
pub struct Stopped;
