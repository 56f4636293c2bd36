//! The envelope: which protocol a frame belongs to.

use braidcast_mesh as mesh;
use bytes::Bytes;

/// One frame on one of the two streams of a link.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Frame {
    /// Whose it is; `None` is a frame of a later version, and ignored.
    #[prost(oneof = "Body", tags = "1, 2, 3, 4, 5, 6")]
    pub body: Option<Body>,
}

/// The protocols of a link.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Body {
    /// Of the mesh.
    #[prost(message, tag = "1")]
    Mesh(mesh::Frame),
    /// Bulk bytes that the sender has received on this link since it came up, frame prefixes included. The receiver
    /// may send more.
    #[prost(uint64, tag = "2")]
    Ack(u64),
    /// To be answered at once: a link's round trip is known before the first bulk frame. The number is the asker's.
    #[prost(uint64, tag = "3")]
    Ping(u64),
    /// The answer, with the same number.
    #[prost(uint64, tag = "4")]
    Pong(u64),
    /// From its origin: to be passed on to its target, which is a neighbour of the receiver. From anybody else: for the
    /// receiver.
    #[prost(message, tag = "5")]
    Carry(Carry),
    /// The answer when the target, whose public key this is, is no neighbour.
    #[prost(bytes = "bytes", tag = "6")]
    Uncarried(Bytes),
}

/// Signalling between two peers that share a neighbour, which carries it and can neither read nor change it.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Carry {
    /// Who says it: its public key, 32 bytes.
    #[prost(bytes = "bytes", tag = "1")]
    pub origin: Bytes,
    /// Whom to: its public key, 32 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub target: Bytes,
    /// Encrypted to the target, at most [`SEALED_BYTES`](braidcast_wire::limits::SEALED_BYTES); opaque here.
    #[prost(bytes = "bytes", tag = "3")]
    pub sealed: Bytes,
    /// The origin's, over origin, target and sealed bytes.
    #[prost(bytes = "bytes", tag = "4")]
    pub signature: Bytes,
}

impl Frame {
    /// True for a frame of the bulk stream; one on the wrong stream is an offence.
    pub fn is_bulk(&self) -> bool {
        matches!(&self.body, Some(Body::Mesh(frame)) if frame.is_bulk())
    }
}

impl From<Body> for Frame {
    fn from(body: Body) -> Self {
        Self { body: Some(body) }
    }
}
