use alloc::{string::String, sync::Arc, vec::Vec};
use core::{cmp::Ordering, fmt, str::FromStr};

use crate::limits::TOPIC_BYTES;

/// A node: its Ed25519 public key, 32 bytes.
///
/// Its text form is libp2p's peer id of an Ed25519 key (`12D3KooW...`): base58btc of the identity multihash of the
/// protobuf-encoded key, <https://github.com/libp2p/specs/blob/master/peer-ids/peer-ids.md>.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerId(pub [u8; 32]);

/// Identity multihash (0x00) of 36 bytes (0x24): key type Ed25519 (08 01), then the 32-byte key (12 20).
const PEER_ID_PREFIX: [u8; 6] = [0x00, 0x24, 0x08, 0x01, 0x12, 0x20];

impl PeerId {
    /// The multihash bytes that libp2p calls a peer id.
    pub fn to_multihash(self) -> [u8; 38] {
        let mut bytes = [0; 38];
        bytes[..6].copy_from_slice(&PEER_ID_PREFIX);
        bytes[6..].copy_from_slice(&self.0);
        bytes
    }

    /// Reads the multihash bytes of a libp2p peer id; none but an Ed25519 key fits.
    pub fn from_multihash(bytes: &[u8]) -> Result<Self, ParseIdError> {
        let key = bytes.strip_prefix(&PEER_ID_PREFIX).ok_or(ParseIdError::NotEd25519)?;
        key.try_into().map(Self).map_err(|_| ParseIdError::Length { len: key.len(), expected: 32 })
    }
}

impl Ord for PeerId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for PeerId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&bs58::encode(self.to_multihash()).into_string())
    }
}

impl fmt::Debug for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PeerId({:02x}{:02x}{:02x}{:02x})", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

impl FromStr for PeerId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        // 38 bytes are at most 52 characters; refuse before decoding, which is quadratic.
        if text.len() > 64 {
            return Err(ParseIdError::Length { len: text.len(), expected: 52 });
        }
        let bytes: Vec<u8> = bs58::decode(text).into_vec().map_err(|_| ParseIdError::NotBase58)?;
        Self::from_multihash(&bytes)
    }
}

/// A message: the BLAKE3 hash of its manifest's signed bytes. Equal payloads published twice are two messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MessageId(pub [u8; 32]);

impl Ord for MessageId {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        compare(&self.0, &other.0)
    }
}

impl PartialOrd for MessageId {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for MessageId {
    /// 64 lower-case hexadecimal digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MessageId({:02x}{:02x}{:02x}{:02x})", self.0[0], self.0[1], self.0[2], self.0[3])
    }
}

/// In the order of the bytes. Every map is keyed by ids, and almost all pairs differ in their first eight bytes, which
/// compare as one integer.
#[inline]
fn compare(a: &[u8; 32], b: &[u8; 32]) -> Ordering {
    let head = |id: &[u8; 32]| u64::from_be_bytes(core::array::from_fn(|at| id[at]));
    head(a).cmp(&head(b)).then_with(|| a.cmp(b))
}

/// Why a text or byte string is not an id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The text has a character outside base58btc.
    #[error("not base58: a peer id looks like 12D3KooW...")]
    NotBase58,
    /// A libp2p peer id, but of an RSA, secp256k1 or ECDSA key.
    #[error("not an Ed25519 peer id: only keys of that type fit")]
    NotEd25519,
    /// Too short or too long.
    #[error("id is {len} long, expected {expected}")]
    Length {
        /// What was given.
        len: usize,
        /// What an id has.
        expected: usize,
    },
}

/// The name of a topic: 1 to [`TOPIC_BYTES`] bytes of UTF-8. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

impl Topic {
    /// Checks the length.
    pub fn new(name: impl Into<String>) -> Result<Self, TopicError> {
        let name = name.into();
        match name.len() {
            0 => Err(TopicError::Empty),
            1..=TOPIC_BYTES => Ok(Self(name.into())),
            len => Err(TopicError::TooLong { len }),
        }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Why a name is no topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// The name is the empty string.
    #[error("topic name is empty: give it at least one character")]
    Empty,
    /// The name is longer than [`TOPIC_BYTES`].
    #[error("topic name is {len} bytes, the limit is {TOPIC_BYTES}: shorten it")]
    TooLong {
        /// Bytes of UTF-8 given.
        len: usize,
    },
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// The Ed25519 vector of libp2p's peer-ids specification has this form; the key here is all zeros.
    #[test]
    fn peer_id_text_round_trips_and_starts_like_libp2p() {
        let id = PeerId([7; 32]);
        let text = id.to_string();
        assert!(text.starts_with("12D3KooW"), "{text}");
        assert_eq!(text.parse(), Ok(id));
    }

    #[test]
    fn peer_id_refuses_other_texts() {
        assert_eq!("".parse::<PeerId>(), Err(ParseIdError::NotEd25519));
        assert_eq!("0OIl".parse::<PeerId>(), Err(ParseIdError::NotBase58));
        assert_eq!("x".repeat(1000).parse::<PeerId>(), Err(ParseIdError::Length { len: 1000, expected: 52 }));
        // An RSA peer id (sha2-256 multihash).
        assert_eq!(
            "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5N".parse::<PeerId>(),
            Err(ParseIdError::NotEd25519)
        );
        assert_eq!(
            PeerId::from_multihash(&PEER_ID_PREFIX),
            Err(ParseIdError::Length { len: 0, expected: 32 })
        );
    }

    #[test]
    fn ids_are_in_the_order_of_their_bytes() {
        for (at, other) in [(0, 1), (0, 31), (7, 8), (30, 31)] {
            let (mut a, mut b) = ([5; 32], [5; 32]);
            (a[at], b[other]) = (200, 201);
            assert_eq!(PeerId(a).cmp(&PeerId(b)), a.cmp(&b));
            assert_eq!(MessageId(b).cmp(&MessageId(a)), b.cmp(&a));
        }
        assert_eq!(PeerId([9; 32]).cmp(&PeerId([9; 32])), Ordering::Equal);
    }

    #[test]
    fn topic_length_is_bounded_in_bytes() {
        assert_eq!(Topic::new(""), Err(TopicError::Empty));
        assert!(Topic::new("é".repeat(128)).is_ok());
        assert_eq!(Topic::new("é".repeat(129)), Err(TopicError::TooLong { len: 258 }));
    }
}
