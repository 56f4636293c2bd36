//! Protobuf messages behind their length, within a limit.

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

/// Why bytes are no message. The sender is at fault, and nothing after them can be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DelimitError {
    /// Longer than allowed, its length prefix included; nothing was allocated.
    #[error("message is {len} bytes, the limit is {limit}")]
    TooLong {
        /// Announced length with its prefix.
        len: usize,
        /// Limit of the protocol.
        limit: usize,
    },
    /// The length prefix is no unsigned varint of the shortest form, or beyond any limit.
    #[error("length prefix is not a varint")]
    Prefix,
    /// No message of the expected kind.
    #[error("message does not decode: {0}")]
    Decode(prost::DecodeError),
}

/// `message` behind its length, an unsigned varint.
pub(super) fn encode(message: &impl Message) -> Bytes {
    let mut out = BytesMut::with_capacity(message.encoded_len() + PREFIX_BYTES);
    message.encode_length_delimited(&mut out).expect("the buffer grows as needed");
    out.freeze()
}

/// Takes the message at the front of `input`; `None` while it is not whole. At most `limit` bytes, prefix included.
pub(super) fn decode<M: Message + Default>(
    input: &mut BytesMut,
    limit: usize,
) -> Result<Option<M>, DelimitError> {
    let Some((len, prefix)) = prefix(input)? else { return Ok(None) };
    let whole = prefix + len;
    if whole > limit {
        return Err(DelimitError::TooLong { len: whole, limit });
    }
    if input.len() < whole {
        return Ok(None);
    }
    input.advance(prefix);
    M::decode(input.split_to(len).freeze()).map(Some).map_err(DelimitError::Decode)
}

/// The length at the front and how many bytes it takes.
fn prefix(input: &[u8]) -> Result<Option<(usize, usize)>, DelimitError> {
    let mut len = 0;
    for (at, &byte) in input.iter().take(PREFIX_BYTES).enumerate() {
        len |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            // <https://github.com/multiformats/unsigned-varint>: "must be encoded with as few bytes as possible".
            return if byte == 0 && at > 0 { Err(DelimitError::Prefix) } else { Ok(Some((len, at + 1))) };
        }
    }
    if input.len() < PREFIX_BYTES { Ok(None) } else { Err(DelimitError::Prefix) }
}

/// Longest prefix: 2 MiB, beyond every limit here.
const PREFIX_BYTES: usize = 3;

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_prefix_is_short_and_shortest() {
        assert_eq!(prefix(&[]), Ok(None));
        assert_eq!(prefix(&[0x80, 0x80]), Ok(None));
        assert_eq!(prefix(&[5]), Ok(Some((5, 1))));
        assert_eq!(prefix(&[0xff, 0x7f]), Ok(Some((16383, 2))));
        assert_eq!(prefix(&[0x80, 0x80, 0x01]), Ok(Some((16384, 3))));
        assert_eq!(prefix(&[0x80, 0x00]), Err(DelimitError::Prefix));
        assert_eq!(prefix(&[0xff, 0xff, 0xff]), Err(DelimitError::Prefix));
    }

    #[test]
    fn what_is_too_long_is_refused_by_its_prefix() {
        let mut input = BytesMut::from(&[0x80, 0x80, 0x01][..]);
        assert_eq!(decode::<()>(&mut input, 16384), Err(DelimitError::TooLong { len: 16387, limit: 16384 }));
    }
}
