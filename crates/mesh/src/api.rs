//! What the application asks of the mesh and what it is told.

use alloc::{string::String, vec::Vec};

use braidcast_machine::{Duration, Time, WallTime};
use braidcast_wire::{Domain, MessageId, PeerId, Topic, limits};
use bytes::Bytes;

use crate::{params::CheckedParams, trace::Trace};

/// How a mesh behaves. The defaults are gossipsub v1.1's where the name is the same.
#[derive(Clone, Debug)]
pub struct Config {
    /// Of topics that [`Command::Configure`] did not name.
    pub topic: CheckedParams,
    /// Longest payload to publish or to accept, in bytes.
    pub message_bytes: usize,
    /// Period of mesh maintenance and of `IHave`. A host that wakes late only delays maintenance.
    pub heartbeat: Duration,
    /// Hand newcomers a sample of the topic's peers; a relay does.
    pub introduces: bool,
    /// Tell of every decision by [`Event::Trace`].
    pub traces: bool,
    /// Tell a peer only of topics that it named itself; a relay does, whose topics are other people's rooms.
    pub is_discreet: bool,
    /// Given a verified piece, the equal bytes to keep in its place: a process with many nodes, as a simulator is, holds
    /// one copy for all.
    pub share: fn(Bytes) -> Bytes,
    /// What [`braidcast_wire::verify`] says, which is the default: such a process needs to ask it only once of each
    /// signature.
    pub verify: fn(PeerId, Domain, &[u8], &[u8]) -> bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            topic: CheckedParams::default(),
            message_bytes: limits::MESSAGE_BYTES,
            heartbeat: Duration::from_secs(1),
            introduces: false,
            is_discreet: false,
            traces: false,
            share: |piece| piece,
            verify: braidcast_wire::verify,
        }
    }
}

/// What the application asks.
#[derive(Clone, Debug)]
pub enum Command {
    /// Receive the messages of this topic, and help to spread them.
    Subscribe(Topic),
    /// Stop both.
    Unsubscribe(Topic),
    /// How to spread the messages of this topic from now on; better before subscribing. Kept when unsubscribing.
    Configure(Topic, CheckedParams),
    /// What the application thinks of a message that it was to judge, see [`Message::judge_by`].
    Judge(MessageId, Verdict),
    /// Spread a message. Answered by [`Event::Published`] or [`Event::Refused`].
    Publish(Publish),
    /// Our own signed peer record, opaque here, at most [`limits::RECORD_BYTES`]; shown to neighbours so that
    /// introducers can hand it on.
    SetRecord(Bytes),
}

/// What becomes of a message; the words are gossipsub v1.1's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Spread it and tell of it.
    Accept,
    /// Stop spreading it.
    Ignore,
    /// The same, and its publisher is to blame: four within 20 seconds are a ban.
    Reject,
}

/// A message to be spread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publish {
    /// The caller's number for this request; comes back in the answer.
    pub ticket: u64,
    /// Where to.
    pub topic: Topic,
    /// What, and what it is.
    pub content: Content,
}

/// A payload and what a reader needs to show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// The bytes.
    pub payload: Payload,
    /// Media type, at most [`limits::CONTENT_TYPE_BYTES`]; may be empty.
    pub content_type: String,
    /// File name or title, at most [`limits::NAME_BYTES`]; may be empty. For people: never a path to write to.
    pub name: String,
}

/// Bytes in segments, so that a payload is not copied to be put together. Segments are not empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Payload(Vec<Bytes>);

impl Payload {
    /// Length in bytes over all segments.
    pub fn len(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    /// True for the empty payload, which is a message like any other.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The segments in order.
    pub fn segments(&self) -> &[Bytes] {
        &self.0
    }

    /// One contiguous buffer; copies unless there is at most one segment.
    pub fn into_bytes(mut self) -> Bytes {
        match self.0.len() {
            0 => Bytes::new(),
            1 => self.0.remove(0),
            _ => self.0.concat().into(),
        }
    }
}

impl From<Bytes> for Payload {
    fn from(bytes: Bytes) -> Self {
        Self::from_iter([bytes])
    }
}

impl FromIterator<Bytes> for Payload {
    fn from_iter<I: IntoIterator<Item = Bytes>>(segments: I) -> Self {
        Self(segments.into_iter().filter(|segment| !segment.is_empty()).collect())
    }
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The message of this ticket has its id and is on its way.
    Published {
        /// The caller's number.
        ticket: u64,
        /// The message.
        id: MessageId,
        /// Neighbours that it is offered to; at least 1.
        peers: usize,
    },
    /// The message of this ticket was not taken; nothing was sent.
    Refused {
        /// The caller's number.
        ticket: u64,
        /// Why.
        error: PublishError,
    },
    /// Another neighbour holds the whole of a message that we published.
    Reached {
        /// The message.
        id: MessageId,
        /// Neighbours that hold it.
        peers: usize,
        /// Neighbours that it was offered to.
        of: usize,
    },
    /// A large message moves: pieces came, or neighbours told what they have of ours. Only the newest counts.
    Progress(Progress),
    /// A message arrived whole and verified.
    Message(Message),
    /// `peer` subscribed to `topic`, whether or not we do.
    Joined {
        /// Who.
        peer: PeerId,
        /// Where.
        topic: Topic,
    },
    /// `peer` unsubscribed from `topic` or left.
    Left {
        /// Who.
        peer: PeerId,
        /// Where.
        topic: Topic,
    },
    /// `peer` and we take no part in a closed topic together: nothing of the topic goes to it or is taken from it. Told once
    /// per link and cause, and again when the peer has left the topic and comes back; introductions and signalling go on.
    Outsider {
        /// Who.
        peer: PeerId,
        /// Where.
        topic: Topic,
        /// Why.
        why: Divide,
    },
    /// Other subscribers of `topic`, as signed peer records to be verified and dialled.
    Introduced {
        /// Where.
        topic: Topic,
        /// Unverified bytes from another node, each at most [`limits::RECORD_BYTES`].
        records: Vec<Bytes>,
    },
    /// A decision of the machine, if [`Config::traces`] is set.
    Trace(Trace),
}

/// What keeps a peer and us from taking part in a closed topic together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Divide {
    /// Its proof does not fit our key: one of the two keys is wrong.
    OtherKey,
    /// It would be a neighbour and has proved nothing: a relay or another node that has no key.
    NoProof,
    /// It asks for proof, and the topic is open here: we have no key. It takes members only, or, as a relay, carries to
    /// members only.
    NoKey,
}

/// How far a large message is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The message.
    pub id: MessageId,
    /// Its topic.
    pub topic: Topic,
    /// Its publisher.
    pub from: PeerId,
    /// Its title.
    pub name: String,
    /// Payload bytes that stand for the pieces held: by us, or, for a message of our own, by the neighbour that has most.
    pub held_bytes: usize,
    /// Payload bytes in all.
    pub total_bytes: usize,
}

/// A message that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Hash of its manifest.
    pub id: MessageId,
    /// Where it was published.
    pub topic: Topic,
    /// Who signed it.
    pub from: PeerId,
    /// The publisher's number for it, growing per publisher.
    pub seqno: u64,
    /// The publisher's wall clock; unverified.
    pub published: WallTime,
    /// The payload, verified against the publisher's signature.
    pub content: Content,
    /// Until when [`Command::Judge`] is expected, if the topic's parameters want it; it may come at once or later. A message
    /// that travels in pieces is spread in the meantime, and no longer when the time is over; one that fits into its manifest
    /// waits.
    pub judge_by: Option<Time>,
}

/// Why a message is not taken. Nothing was sent and no state changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No neighbour subscribes to the topic.
    #[error("no connected peer subscribes to topic {topic:?}: wait for one, or check the topic's name")]
    NoPeers {
        /// The topic.
        topic: Topic,
    },
    /// The topic is closed, and no connected peer has proved to be a member.
    #[error(
        "no connected peer has proved to be a member of closed topic {topic:?}; {outsiders} subscribe without (relays, or \
         peers with another key): wait for a direct link to a member, or compare keys"
    )]
    NoMembers {
        /// The topic.
        topic: Topic,
        /// Connected peers that subscribe and are no members.
        outsiders: usize,
    },
    /// The topic is open here and closed to every subscriber that is connected: each has asked us to prove that we are a
    /// member.
    #[error(
        "topic {topic:?} is closed to this node: its subscribers take messages of members only; get the key from one and \
         configure the topic with it"
    )]
    NoKey {
        /// The topic.
        topic: Topic,
    },
    /// The topic is closed, and we do not subscribe.
    #[error(
        "topic {topic:?} is closed: subscribe before you publish, only subscribers prove that they are members"
    )]
    NotSubscribed {
        /// The topic.
        topic: Topic,
    },
    /// The payload is longer than [`Config::message_bytes`].
    #[error("payload is {len} bytes, the limit is {limit}: send less, or raise the limit on every node")]
    TooLong {
        /// Payload bytes.
        len: usize,
        /// The limit.
        limit: usize,
    },
    /// The media type is longer than [`limits::CONTENT_TYPE_BYTES`].
    #[error("content type is {len} bytes, the limit is {}", limits::CONTENT_TYPE_BYTES)]
    ContentType {
        /// Bytes given.
        len: usize,
    },
    /// The name is longer than [`limits::NAME_BYTES`].
    #[error("name is {len} bytes, the limit is {}: shorten it", limits::NAME_BYTES)]
    Name {
        /// Bytes given.
        len: usize,
    },
    /// Too many unfinished messages of our own.
    #[error("{len} messages are still being encoded, the limit is {limit}: wait for their answers")]
    Busy {
        /// Unfinished messages.
        len: usize,
        /// The limit.
        limit: usize,
    },
}
