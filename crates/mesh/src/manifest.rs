//! The manifest: what a publisher signs about a message, and the checks that a receiver makes of it.

use alloc::{string::String, vec::Vec};

use braidcast_machine::{Offence, WallTime};
use braidcast_rlnc::Shape;
use braidcast_wire::{Domain, Identity, MessageId, PeerId, Topic, limits};
use bytes::Bytes;
use prost::Message as _;

use crate::{
    api::Config,
    frame,
    pack::Method,
    params::{LONGEST_K, Mode, TopicParams},
};

/// The signed bytes of a manifest, as protobuf.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Body {
    /// Topic name.
    #[prost(string, tag = "1")]
    pub topic: String,
    /// The publisher's public key, 32 bytes.
    #[prost(bytes = "bytes", tag = "2")]
    pub publisher: Bytes,
    /// The publisher's number for the message, growing.
    #[prost(uint64, tag = "3")]
    pub seqno: u64,
    /// The publisher's wall clock, in milliseconds since the Unix epoch.
    #[prost(uint64, tag = "4")]
    pub time_ms: u64,
    /// Media type; may be empty.
    #[prost(string, tag = "5")]
    pub content_type: String,
    /// File name or title; may be empty.
    #[prost(string, tag = "6")]
    pub name: String,
    /// Bytes of the payload after unpacking.
    #[prost(uint64, tag = "7")]
    pub payload_len: u64,
    /// Compression method: 0 is none, 1 is LZ4 in blocks (see `pack.rs`); others are of later versions.
    #[prost(uint32, tag = "8")]
    pub compression: u32,
    /// Bytes of the payload as it travels.
    #[prost(uint64, tag = "9")]
    pub stored_len: u64,
    /// BLAKE3 of the payload as it travels, 32 bytes.
    #[prost(bytes = "bytes", tag = "10")]
    pub stored_hash: Bytes,
    /// How the payload is cut, in order; empty for an inline message.
    #[prost(message, repeated, tag = "11")]
    pub generations: Vec<GenerationBody>,
}

/// One generation of a manifest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct GenerationBody {
    /// Payload bytes in it; the last piece is padded with zeros.
    #[prost(uint32, tag = "1")]
    pub len: u32,
    /// K, the number of source pieces.
    #[prost(uint32, tag = "2")]
    pub k: u32,
    /// M, the number of parity pieces.
    #[prost(uint32, tag = "3")]
    pub m: u32,
    /// Bytes of a piece.
    #[prost(uint32, tag = "4")]
    pub piece_len: u32,
    /// BLAKE3 of the K+M piece hashes, one after the other; 32 bytes.
    #[prost(bytes = "bytes", tag = "5")]
    pub root: Bytes,
}

/// A manifest that passed every check but the payload's.
#[derive(Clone, Debug)]
pub(crate) struct Manifest {
    pub(crate) id: MessageId,
    pub(crate) topic: Topic,
    pub(crate) publisher: PeerId,
    pub(crate) seqno: u64,
    pub(crate) published: WallTime,
    pub(crate) content_type: String,
    pub(crate) name: String,
    /// Payload bytes, unpacked.
    pub(crate) plain_len: usize,
    /// How it is packed.
    pub(crate) method: Method,
    /// Payload bytes as they travel.
    pub(crate) len: usize,
    pub(crate) hash: [u8; 32],
    pub(crate) generations: Vec<Generation>,
    /// As it travels: signed bytes and signature.
    pub(crate) body: Bytes,
    pub(crate) signature: Bytes,
}

/// How one generation is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Generation {
    /// Payload bytes in it.
    pub(crate) len: usize,
    pub(crate) shape: Shape,
    pub(crate) root: [u8; 32],
}

/// The BLAKE3 hashes of all pieces of a generation, in order.
pub(crate) type PieceHashes = Vec<[u8; 32]>;

/// How a payload of `len` bytes is cut into generations: their lengths and shapes. None for an inline one.
///
/// Sizes after the simulations in `docs/decisions`: K and n = K + M by payload length, unless the parameters say
/// otherwise, several generations above [`limits::GENERATION_BYTES`]. Pieces are multiples of 64 bytes, at least
/// [`limits::PIECE_BYTES_MIN`].
pub(crate) fn cut(len: usize, params: &TopicParams) -> Vec<(usize, Shape)> {
    if len <= limits::INLINE_BYTES {
        return Vec::new();
    }
    let count = len.div_ceil(limits::GENERATION_BYTES);
    let longest = len.div_ceil(count);
    (0..count)
        .map(|index| longest.min(len - index * longest))
        .map(|len| {
            let small = len.div_ceil(limits::PIECE_BYTES_MIN).min(8);
            let (k, m) = match len {
                0..=0x8000 => (small, small),
                0x8001..=0x4_0000 if params.mode != Mode::Open => (32, 0),
                0x8001..=0x4_0000 => (16, 16),
                0x4_0001..=0x20_0000 => (64, 64),
                _ => (LONGEST_K, 64),
            };
            let (k, m) = params.shards(len, (k, m));
            let piece_len = len.div_ceil(k).next_multiple_of(64).max(limits::PIECE_BYTES_MIN);
            // Rounding up may have left the last without payload.
            let k = len.div_ceil(piece_len);
            (len, Shape::new(k, m, piece_len).expect("k + m is at most 256 and pieces are not empty"))
        })
        .collect()
}

/// Hash of a generation's piece hashes.
pub(crate) fn root(hashes: &[[u8; 32]]) -> [u8; 32] {
    *blake3::hash(hashes.as_flattened()).as_bytes()
}

impl Manifest {
    /// Signs a body of our own.
    pub(crate) fn sign(body: &Body, identity: &Identity, config: &Config) -> Self {
        let body = Bytes::from(body.encode_to_vec());
        let signature = Bytes::copy_from_slice(&identity.sign(Domain::Manifest, &body));
        Self::check(body, signature, config).expect("what we sign passes our own checks")
    }

    /// Checks everything that can be known without the payload.
    pub(crate) fn verify(body: Bytes, signature: Bytes, config: &Config) -> Result<Self, Offence> {
        let manifest = Self::check(body, signature, config)?;
        if !(config.verify)(manifest.publisher, Domain::Manifest, &manifest.body, &manifest.signature) {
            return Err(Offence::fatal("manifest signature does not verify"));
        }
        Ok(manifest)
    }

    fn check(bytes: Bytes, signature: Bytes, config: &Config) -> Result<Self, Offence> {
        let body = Body::decode(bytes.clone()).map_err(|_| Offence::fatal("manifest does not decode"))?;
        let Some(method) = Method::of(body.compression) else {
            return Err(Offence::harmless("manifest names an unknown compression"));
        };
        let is_shorter = match method {
            Method::Plain => body.stored_len == body.payload_len,
            Method::Lz4 => body.stored_len < body.payload_len,
        };
        if !is_shorter {
            return Err(Offence::fatal("stored length does not go with the payload's"));
        }
        // Before anything is unpacked.
        if body.payload_len > config.message_bytes as u64 {
            return Err(Offence::harmless("message is longer than this node accepts"));
        }
        let len = body.stored_len as usize;
        if body.content_type.len() > limits::CONTENT_TYPE_BYTES || body.name.len() > limits::NAME_BYTES {
            return Err(Offence::fatal("content type or name is too long"));
        }
        // Each costs memory before its first byte comes.
        if body.generations.len() > len.div_ceil(limits::GENERATION_BYTES) {
            return Err(Offence::fatal("message is cut into more generations than its length needs"));
        }
        let lens: u64 = body.generations.iter().map(|generation| u64::from(generation.len)).sum();
        let is_inline = body.generations.is_empty() && len <= limits::INLINE_BYTES;
        if !is_inline && lens != body.stored_len {
            return Err(Offence::fatal("generations do not add up to the payload"));
        }
        Ok(Self {
            id: MessageId(*blake3::hash(&bytes).as_bytes()),
            topic: frame::topic(&body.topic).ok_or(Offence::fatal("topic name is empty or too long"))?,
            publisher: PeerId(array(&body.publisher)?),
            seqno: body.seqno,
            published: WallTime(body.time_ms),
            content_type: body.content_type,
            name: body.name,
            plain_len: body.payload_len as usize,
            method,
            len,
            hash: array(&body.stored_hash)?,
            generations: body.generations.iter().map(Generation::check).collect::<Result<_, _>>()?,
            body: bytes,
            signature,
        })
    }

    /// Of the payload, what `stored` bytes of it as it travels stand for.
    pub(crate) fn plain_share(&self, stored: usize) -> usize {
        (stored as u64 * self.plain_len as u64 / self.len.max(1) as u64) as usize
    }

    /// True when the payload travels with the manifest.
    pub(crate) fn is_inline(&self) -> bool {
        self.generations.is_empty()
    }
}

impl Generation {
    fn check(body: &GenerationBody) -> Result<Self, Offence> {
        let (len, k, piece_len) = (body.len as usize, body.k as usize, body.piece_len as usize);
        if len > limits::GENERATION_BYTES || piece_len < limits::PIECE_BYTES_MIN {
            return Err(Offence::fatal("generation is too long, or its pieces too short"));
        }
        // Neither a piece without payload nor payload without a piece.
        let last = k.checked_sub(1).and_then(|before| before.checked_mul(piece_len));
        if last.is_none_or(|start| len <= start || len - start > piece_len) {
            return Err(Offence::fatal("pieces do not fit their generation"));
        }
        let shape = Shape::new(k, body.m as usize, piece_len)
            .map_err(|_| Offence::fatal("generation has too many pieces"))?;
        Ok(Self { len, shape, root: array(&body.root)? })
    }

    /// Reads a list of piece hashes and checks it against the root.
    pub(crate) fn hashes(&self, bytes: &[u8]) -> Option<PieceHashes> {
        let (hashes, rest) = bytes.as_chunks::<32>();
        let is_ours = rest.is_empty() && hashes.len() == self.shape.pieces() && root(hashes) == self.root;
        is_ours.then(|| hashes.to_vec())
    }
}

fn array(bytes: &[u8]) -> Result<[u8; 32], Offence> {
    bytes.try_into().map_err(|_| Offence::fatal("key, hash or root is not 32 bytes"))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn every_length_is_cut_into_pieces_that_fit() {
        let around = |len: usize| [len - 1, len, len + 1];
        let plain = TopicParams::default();
        let many = TopicParams {
            shard_factor: Some(250),
            shard_multiplier_percent: Some(102),
            ..TopicParams::default()
        };
        let few = TopicParams { shard_factor: Some(1), ..TopicParams::default() };
        let lens = [4097, 8192, 0x8000, 0x4_0000, 0x20_0000, 16 << 20, 64 << 20].into_iter().flat_map(around);
        let lens = lens.filter(|&len| len > limits::INLINE_BYTES);
        for (len, params) in lens.flat_map(|len| [&plain, &many, &few].map(|params| (len, params))) {
            let generations = cut(len, params);
            assert_eq!(generations.iter().map(|(len, _)| len).sum::<usize>(), len);
            for (len, shape) in generations {
                let body = GenerationBody {
                    len: len as u32,
                    k: shape.k() as u32,
                    m: shape.m() as u32,
                    piece_len: shape.piece_len() as u32,
                    root: Bytes::from_static(&[0; 32]),
                };
                assert_eq!(Generation::check(&body).map(|checked| checked.shape), Ok(shape), "{len}");
                assert!(shape.piece_len() % 64 == 0);
            }
        }
        assert_eq!(cut(limits::INLINE_BYTES, &plain), []);
        assert_eq!(cut(16 << 20, &plain).len(), 1);
        assert_eq!(cut((16 << 20) + 1, &plain).len(), 2);
    }

    fn inline(change: impl FnOnce(&mut Body)) -> Result<Manifest, Offence> {
        let identity = Identity::from_seed(&[1; 32]);
        let mut body = Body {
            topic: "t".into(),
            publisher: Bytes::copy_from_slice(&identity.peer_id().0),
            payload_len: 3,
            stored_len: 3,
            stored_hash: Bytes::from_static(&[0; 32]),
            ..Body::default()
        };
        change(&mut body);
        let bytes = Bytes::from(body.encode_to_vec());
        let signature = identity.sign(Domain::Manifest, &bytes);
        Manifest::verify(bytes, Bytes::copy_from_slice(&signature), &Config::default())
    }

    #[test]
    fn a_manifest_that_breaks_a_rule_is_refused() {
        assert!(inline(|_| {}).is_ok());
        let refused: [(fn(&mut Body), _); 12] = [
            (|body| body.topic.clear(), "topic name is empty or too long"),
            (|body| body.publisher = Bytes::from_static(&[1; 31]), "key, hash or root is not 32 bytes"),
            (|body| body.publisher = Bytes::from_static(&[1; 32]), "manifest signature does not verify"),
            (|body| body.stored_len = u64::MAX, "stored length does not go with the payload's"),
            (|body| body.compression = 1, "stored length does not go with the payload's"),
            (
                |body| (body.compression, body.payload_len, body.stored_len) = (1, 2, 3),
                "stored length does not go with the payload's",
            ),
            (
                |body| (body.compression, body.payload_len) = (1, 1 << 40),
                "message is longer than this node accepts",
            ),
            (|body| body.compression = 9, "manifest names an unknown compression"),
            (|body| set_len(body, 1 << 40), "message is longer than this node accepts"),
            (|body| set_len(body, 5000), "generations do not add up to the payload"),
            (
                |body| {
                    set_len(body, 5000);
                    let root = Bytes::from_static(&[0; 32]);
                    let half = GenerationBody { len: 2500, k: 3, m: 0, piece_len: 1024, root };
                    body.generations.extend([half.clone(), half]);
                },
                "message is cut into more generations than its length needs",
            ),
            (
                |body| {
                    set_len(body, 5000);
                    let root = Bytes::from_static(&[0; 32]);
                    body.generations.push(GenerationBody { len: 5000, k: 3, m: 0, piece_len: 1024, root });
                },
                "pieces do not fit their generation",
            ),
        ];
        for (change, rule) in refused {
            assert_eq!(inline(change).map(|_| ()).map_err(|offence| offence.rule), Err(rule));
        }
    }

    fn set_len(body: &mut Body, len: u64) {
        (body.stored_len, body.payload_len) = (len, len);
    }
}
