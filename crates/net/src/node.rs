use std::sync::Arc;

use braidcast_core::{
    mesh::{CheckedParams, Content, PublishError, Verdict},
    wire::{MessageId, PeerId, Topic},
};
use bytes::Bytes;
use futures::{
    SinkExt,
    channel::{mpsc, oneshot},
    lock::Mutex,
};
use libp2p::Multiaddr;

use crate::{
    Config, Events, Path, Stats,
    driver::{Command, Driver},
    inbox::Inbox,
    platform,
    stats::{CircuitCounters, CircuitStats, Counters},
};

/// How many requests of the application wait for the node's task; who asks more waits to ask.
const COMMANDS: usize = 64;

/// A running node. Clones are handles to the same node; it runs until [`Node::stop`] or until the last is dropped.
#[derive(Clone, Debug)]
pub struct Node {
    peer_id: PeerId,
    counters: Arc<Counters>,
    circuits: Arc<CircuitCounters>,
    // Behind one lock, because every clone of a sender would widen the channel by one.
    commands: Arc<Mutex<mpsc::Sender<Command>>>,
}

impl Node {
    /// Starts a node. Natively it returns when listening, and must be called inside a tokio runtime with timers. Does not
    /// wait for relays: [`Event::RelayConnected`](crate::Event::RelayConnected) tells.
    pub async fn start(config: Config) -> Result<(Self, Events), StartError> {
        platform::check(&config)?;
        let peer_id = config.identity.peer_id();
        let counters = Arc::<Counters>::default();
        let inbox = Arc::new(Inbox::new(config.inbox_bytes, counters.clone()));
        let (sender, receiver) = mpsc::channel(COMMANDS);
        let listen = config.listen.clone();
        let circuits = Arc::<CircuitCounters>::default();
        let mut driver = Driver::new(config, receiver, inbox.clone(), counters.clone(), circuits.clone())?;
        driver.listen(listen).await?;
        platform::spawn(driver.run());
        let node = Self { peer_id, counters, circuits, commands: Arc::new(Mutex::new(sender)) };
        Ok((node, Events::new(inbox)))
    }

    /// Our id.
    pub fn peer_id(&self) -> PeerId {
        self.peer_id
    }

    /// Receives the messages of `topic`, and helps to spread them.
    pub async fn subscribe(&self, topic: Topic) -> Result<(), Stopped> {
        self.ask(|reply| Command::Subscribe(topic, reply)).await
    }

    /// Stops both.
    pub async fn unsubscribe(&self, topic: Topic) -> Result<(), Stopped> {
        self.ask(|reply| Command::Unsubscribe(topic, reply)).await
    }

    /// How the messages of `topic` are spread from now on; better before subscribing.
    pub async fn configure(&self, topic: Topic, params: CheckedParams) -> Result<(), Stopped> {
        self.ask(|reply| Command::Configure(topic, params, reply)).await
    }

    /// What the application thinks of a message that came with [`Message::judge_by`](crate::Message::judge_by).
    pub async fn judge(&self, id: MessageId, verdict: Verdict) -> Result<(), Stopped> {
        self.ask(|reply| Command::Judge(id, verdict, reply)).await
    }

    /// Spreads a message. Answers when it has its id and is on its way; [`Event::Reached`](crate::Event::Reached)
    /// tells who has it.
    pub async fn publish(&self, topic: Topic, content: Content) -> Result<Published, PublishFailed> {
        Ok(self.ask(|reply| Command::Publish(topic, content, reply)).await??)
    }

    /// The connected peers that speak our protocol, in order of ids.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Stopped> {
        self.ask(Command::Peers).await
    }

    /// How what `peer` publishes comes to us, and why not directly.
    pub async fn path(&self, peer: PeerId) -> Result<Path, Stopped> {
        self.ask(|reply| Command::Path(peer, reply)).await
    }

    /// Where others can dial us, external addresses first, each with `/p2p/<id>`.
    pub async fn addresses(&self) -> Result<Vec<Multiaddr>, Stopped> {
        self.ask(Command::Addresses).await
    }

    /// Dials once. A failure is a line in the log.
    pub async fn dial(&self, address: Multiaddr) -> Result<(), Stopped> {
        self.ask(|reply| Command::Dial(address, reply)).await
    }

    /// Signed records of peers that we are linked to, at most 16, for [`Config::acquaintances`] of a later start: they may know
    /// the way when no relay does.
    pub async fn acquaintances(&self) -> Result<Vec<Bytes>, Stopped> {
        self.ask(Command::Acquaintances).await
    }

    /// The counters now.
    pub fn stats(&self) -> Stats {
        self.counters.snapshot()
    }

    /// What was granted to others with [`Config::serve_relay`], now.
    pub fn circuit_stats(&self) -> CircuitStats {
        self.circuits.snapshot()
    }

    /// Closes every connection and ends the node. Again is nothing.
    pub async fn stop(&self) {
        // Stopped already is stopped.
        let _ = self.ask(Command::Stop).await;
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.commands.lock().await.send(command(reply)).await.map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
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
    /// Topics in which it takes part, of those that we know of as well: subscribed, and a member where we closed one.
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
