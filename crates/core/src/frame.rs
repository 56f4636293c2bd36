//! The envelope: which protocol a frame belongs to.

use braidcast_mesh::{self as mesh, frame::Chunk};
use braidcast_wire::frame;
use bytes::{Bytes, BytesMut};
use prost::{
    Message as _,
    encoding::{WireType, encode_key, encode_varint},
};

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
    /// The frame behind its length, in two parts, of which the second may be empty: that of a chunk is not copied.
    pub fn encode_in_parts(&self) -> [Bytes; 2] {
        let Some((frame, chunk)) = self.long_chunk() else {
            return [frame::encode(self), Bytes::new()];
        };
        let (first, rest) = (chunk.bytes.slice(..COPIED_BYTES), chunk.bytes.slice(COPIED_BYTES..));
        let mut out = BytesMut::with_capacity(COPIED_BYTES + 128);
        encode_varint(self.encoded_len() as u64, &mut out);
        // As `tag` says of the fields that lead to its bytes, which are the last.
        for (tag, len) in [(1, frame.encoded_len()), (18, chunk.encoded_len())] {
            encode_key(tag, WireType::LengthDelimited, &mut out);
            encode_varint(len as u64, &mut out);
        }
        Chunk { bytes: Bytes::new(), ..chunk.clone() }.encode_raw(&mut out);
        encode_key(5, WireType::LengthDelimited, &mut out);
        encode_varint(chunk.bytes.len() as u64, &mut out);
        out.extend_from_slice(&first);
        [out.freeze(), rest]
    }

    fn long_chunk(&self) -> Option<(&mesh::Frame, &Chunk)> {
        let Some(Body::Mesh(frame)) = &self.body else { return None };
        let Some(mesh::frame::Body::Chunk(chunk)) = &frame.body else { return None };
        let is_long = chunk.bytes.len() > 2 * COPIED_BYTES && chunk.coefficients.is_empty();
        is_long.then_some((frame, chunk))
    }

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

/// So much of a chunk stays with its head, so that no muxer sends a head alone. Guess.
const COPIED_BYTES: usize = 1024;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn the_parts_of_a_frame_are_the_frame() {
        let chunk = |len, coefficients: &'static [u8]| {
            let chunk = Chunk {
                message: Bytes::from_static(&[7; 32]),
                generation: 1,
                piece: 200,
                offset: 16_384,
                bytes: Bytes::from(alloc::vec![3; len]),
                coefficients: Bytes::from_static(coefficients),
            };
            Frame::from(Body::Mesh(mesh::frame::Body::Chunk(chunk).into()))
        };
        let frames = [(16_384, 15_360), (2049, 1025), (2048, 0), (0, 0)];
        let frames = frames.map(|(len, rest)| (chunk(len, &[]), rest));
        for (frame, rest) in
            frames.into_iter().chain([(chunk(16_384, &[1, 2]), 0), (Body::Ping(7).into(), 0)])
        {
            let parts = frame.encode_in_parts();
            assert_eq!(parts[1].len(), rest);
            assert_eq!(parts.concat(), frame::encode(&frame));
        }
    }
}
