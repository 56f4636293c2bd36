//! The grammar: every frame of the mesh and the rule that it triggers.
//!
//! Protobuf, proto3. A list of message ids is one byte string of 32 bytes each; a list of pieces is one byte string of
//! one index each, since a generation has at most 256.

use alloc::{string::String, vec::Vec};

use braidcast_wire::{MessageId, Topic, limits};
use bytes::Bytes;

use crate::piece_set::PieceSet;

/// One frame of the mesh.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Frame {
    /// What it says; `None` is a frame of a later version, and ignored.
    #[prost(
        oneof = "Body",
        tags = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21"
    )]
    pub body: Option<Body>,
}

/// The sorts of frames. [`Frame::is_bulk`] tells which go on the bulk stream.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Body {
    /// The sender joined or left topics. The first frame on a link, when there are any.
    #[prost(message, tag = "1")]
    Subscriptions(Subscriptions),
    /// The sender has put the receiver into its mesh for a topic. The receiver does the same, or answers `Prune`.
    #[prost(message, tag = "2")]
    Graft(Graft),
    /// The sender has taken the receiver out of its mesh, or refuses a graft; no graft before the back-off is over.
    #[prost(message, tag = "3")]
    Prune(Prune),
    /// The sender holds these messages whole. A receiver that has not seen one answers `IWant`.
    #[prost(message, tag = "4")]
    IHave(IHave),
    /// Push these messages to the sender. Served a bounded number of times per message.
    #[prost(message, tag = "5")]
    IWant(Ids),
    /// The sender has the manifest and holds these pieces: do not send them, and ask for them if need be.
    #[prost(message, tag = "6")]
    Have(Pieces),
    /// Send these pieces, ahead of anything unasked.
    #[prost(message, tag = "7")]
    Want(Pieces),
    /// The sender holds these messages whole, or enough pieces of them: stop sending, at once.
    #[prost(message, tag = "8")]
    Done(Ids),
    /// The sender's own signed peer record, for introductions.
    #[prost(message, tag = "9")]
    Record(Record),
    /// Other subscribers of a topic.
    #[prost(message, tag = "10")]
    Introduce(Introduce),
    /// What the receiver may push to the sender unasked: of each message in the topic, the pieces of its lanes. Comes
    /// after each change of the sender's mesh; without one, nothing is pushed unasked but by a message's publisher.
    #[prost(message, tag = "11")]
    Lanes(Lanes),
    /// Push nothing more of these messages unasked: the sender asks for the rest.
    #[prost(message, tag = "12")]
    Pause(Ids),
    /// The sender no longer wants these pieces: they came from elsewhere.
    #[prost(message, tag = "13")]
    Cancel(Pieces),
    /// The sender would like to publish to these topics. A receiver that tells its topics only to those who name them
    /// answers with `Subscriptions` of those that it subscribes to, now and whenever that changes.
    #[prost(message, tag = "14")]
    Seek(Seek),
    /// Of a closed topic: the sender holds so many independent shards, and the receiver may send it so many in all.
    #[prost(message, tag = "15")]
    Rank(Rank),
    /// A message begins; its payload as well when it is small. The first bulk frame of a message on a link.
    #[prost(message, tag = "16")]
    Manifest(Manifest),
    /// The piece hashes of a later generation; comes before its first piece on a link.
    #[prost(message, tag = "17")]
    Hashes(Hashes),
    /// Part of a piece. The chunks of a piece come in order and without another piece's between them; a new piece
    /// before the end of the last means that the rest of that will not come.
    #[prost(message, tag = "18")]
    Chunk(Chunk),
    /// Prove that you are a member of this closed topic: 32 bytes of the sender's choice for this link.
    #[prost(message, tag = "19")]
    Challenge(Evidence),
    /// The answer: 32 bytes that only members can make of the challenge. Nobody takes part in a closed topic before.
    #[prost(message, tag = "20")]
    Proof(Evidence),
    /// Shards of these messages, the sender's own among them, may be wrong: send no more, and none that is mixed with
    /// them; the rest comes in pieces.
    #[prost(message, tag = "21")]
    Doubt(Ids),
    /// The sender was asked for pieces of these messages and no longer holds any: ask others.
    #[prost(message, tag = "22")]
    Forgotten(Ids),
}

/// See [`Body::Subscriptions`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Subscriptions {
    /// Names of topics that the sender subscribes to from now on.
    #[prost(string, repeated, tag = "1")]
    pub join: Vec<String>,
    /// Names of topics that the sender no longer subscribes to.
    #[prost(string, repeated, tag = "2")]
    pub leave: Vec<String>,
}

/// See [`Body::Seek`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Seek {
    /// Names of topics.
    #[prost(string, repeated, tag = "1")]
    pub topics: Vec<String>,
}

/// See [`Body::Graft`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Graft {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
}

/// See [`Body::Prune`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Prune {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// How long the receiver must not graft again, in milliseconds.
    #[prost(uint64, tag = "2")]
    pub backoff_ms: u64,
}

/// See [`Body::IHave`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct IHave {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// 32 bytes per message.
    #[prost(bytes = "bytes", tag = "2")]
    pub ids: Bytes,
}

/// A list of messages.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Ids {
    /// 32 bytes per message.
    #[prost(bytes = "bytes", tag = "1")]
    pub ids: Bytes,
}

/// Some pieces of one generation.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Pieces {
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub message: Bytes,
    /// From 0.
    #[prost(uint32, tag = "2")]
    pub generation: u32,
    /// One byte per piece: its index.
    #[prost(bytes = "bytes", tag = "3")]
    pub pieces: Bytes,
}

/// See [`Body::Record`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Record {
    /// A libp2p signed envelope of a peer record, opaque to the mesh.
    #[prost(bytes = "bytes", tag = "1")]
    pub envelope: Bytes,
}

/// See [`Body::Introduce`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Introduce {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// Signed envelopes, as in [`Record`].
    #[prost(bytes = "bytes", repeated, tag = "2")]
    pub records: Vec<Bytes>,
}

/// See [`Body::Lanes`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Lanes {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// The receiver's place among the sender's neighbours, from 0.
    #[prost(uint32, tag = "2")]
    pub slot: u32,
    /// How many neighbours the sender has.
    #[prost(uint32, tag = "3")]
    pub of: u32,
}

/// See [`Body::Manifest`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Manifest {
    /// The signed bytes: an encoded [`crate::manifest::Body`]. Their BLAKE3 hash is the message id.
    #[prost(bytes = "bytes", tag = "1")]
    pub body: Bytes,
    /// The publisher's Ed25519 signature, 64 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub signature: Bytes,
    /// The whole payload of an inline message; else empty.
    #[prost(bytes = "bytes", tag = "3")]
    pub payload: Bytes,
    /// The piece hashes of generation 0, 32 bytes each; empty for an inline message.
    #[prost(bytes = "bytes", tag = "4")]
    pub hashes: Bytes,
}

/// See [`Body::Hashes`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hashes {
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub message: Bytes,
    /// From 1: generation 0 comes with the manifest.
    #[prost(uint32, tag = "2")]
    pub generation: u32,
    /// 32 bytes per piece.
    #[prost(bytes = "bytes", tag = "3")]
    pub hashes: Bytes,
}

/// See [`Body::Chunk`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Chunk {
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub message: Bytes,
    /// From 0.
    #[prost(uint32, tag = "2")]
    pub generation: u32,
    /// Index of the piece.
    #[prost(uint32, tag = "3")]
    pub piece: u32,
    /// Where in the piece the bytes belong.
    #[prost(uint32, tag = "4")]
    pub offset: u32,
    /// At most [`limits::CHUNK_BYTES`].
    #[prost(bytes = "bytes", tag = "5")]
    pub bytes: Bytes,
    /// Of a shard, one byte per source piece; `piece` is 0 then. Empty for a piece.
    #[prost(bytes = "bytes", tag = "6")]
    pub coefficients: Bytes,
}

/// See [`Body::Rank`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Rank {
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub message: Bytes,
    /// From 0.
    #[prost(uint32, tag = "2")]
    pub generation: u32,
    /// At most K.
    #[prost(uint32, tag = "3")]
    pub rank: u32,
    /// Shards that the receiver may send, since the beginning; those that it may send unasked do not count up to here.
    #[prost(uint32, tag = "4")]
    pub credit: u32,
}

/// See [`Body::Challenge`] and [`Body::Proof`].
#[derive(Clone, PartialEq, prost::Message)]
pub struct Evidence {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// 32 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub bytes: Bytes,
}

impl Frame {
    /// True when the frame belongs on the bulk stream.
    pub fn is_bulk(&self) -> bool {
        matches!(self.body, Some(Body::Manifest(_) | Body::Hashes(_) | Body::Chunk(_)))
    }
}

impl From<Body> for Frame {
    fn from(body: Body) -> Self {
        Self { body: Some(body) }
    }
}

/// Packs ids for a frame.
pub(crate) fn pack(ids: impl IntoIterator<Item = MessageId>) -> Bytes {
    ids.into_iter().flat_map(|id| id.0).collect::<Vec<u8>>().into()
}

/// Unpacks a list of ids; `None` when it is no multiple of 32 bytes or longer than the limit.
pub(crate) fn unpack(ids: &[u8]) -> Option<impl Iterator<Item = MessageId> + '_> {
    let (ids, rest) = ids.as_chunks::<32>();
    (rest.is_empty() && ids.len() <= limits::IDS_PER_FRAME).then(|| ids.iter().map(|id| MessageId(*id)))
}

/// A list of pieces.
pub(crate) fn pieces(id: MessageId, generation: usize, pieces: PieceSet) -> Pieces {
    Pieces {
        message: Bytes::copy_from_slice(&id.0),
        generation: generation as u32,
        pieces: pieces.to_bytes().into(),
    }
}

/// One id.
pub(crate) fn message_id(bytes: &[u8]) -> Option<MessageId> {
    bytes.try_into().ok().map(MessageId)
}

/// A topic name from the wire.
pub(crate) fn topic(name: &str) -> Option<Topic> {
    Topic::new(name).ok()
}
