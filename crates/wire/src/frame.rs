//! Length-prefixed protobuf within a limit.

use bytes::{Buf, Bytes, BytesMut};
use prost::Message;

/// How many bytes a frame takes on the wire, its length prefix included.
pub trait WireLen {
    /// In bytes.
    fn wire_len(&self) -> usize;
}

impl<M: Message> WireLen for M {
    fn wire_len(&self) -> usize {
        let len = self.encoded_len();
        len + prost::length_delimiter_len(len)
    }
}

/// Why bytes are no frame. The sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The announced length is beyond the limit; nothing was allocated.
    #[error("frame is {len} bytes, the limit is {limit}")]
    TooLong {
        /// Announced length.
        len: u64,
        /// Limit for this stream.
        limit: usize,
    },
    /// The length prefix is no unsigned varint of at most 10 bytes.
    #[error("length prefix is not a varint")]
    Prefix,
    /// The bytes are no message of the expected kind.
    #[error("frame does not decode: {0}")]
    Decode(prost::DecodeError),
}

/// Writes `message` behind its length.
pub fn encode(message: &impl Message) -> Bytes {
    let mut out = BytesMut::with_capacity(message.wire_len());
    encode_to(message, &mut out);
    out.freeze()
}

/// The same behind what is there already.
pub fn encode_to(message: &impl Message, out: &mut BytesMut) {
    message.encode_length_delimited(out).expect("the buffer grows as needed");
}

/// Takes one whole frame off the front of `input`; `None` when more bytes are needed.
///
/// Byte fields of the message share memory with `input`.
pub fn decode<M: Message + Default>(input: &mut BytesMut, limit: usize) -> Result<Option<M>, FrameError> {
    let Some((len, prefix)) = prefix(input)? else { return Ok(None) };
    if len > limit as u64 {
        return Err(FrameError::TooLong { len, limit });
    }
    let len = len as usize;
    if input.len() < prefix + len {
        input.reserve(prefix + len - input.len());
        return Ok(None);
    }
    input.advance(prefix);
    M::decode(input.split_to(len).freeze()).map(Some).map_err(FrameError::Decode)
}

/// The varint in front of a frame and how many bytes it takes (at most 10, LEB128).
fn prefix(input: &[u8]) -> Result<Option<(u64, usize)>, FrameError> {
    let mut len = 0_u64;
    for (at, &byte) in input.iter().take(10).enumerate() {
        let low = u64::from(byte & 0x7f);
        if at == 9 && byte > 1 {
            return Err(FrameError::Prefix);
        }
        len |= low << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((len, at + 1)));
        }
    }
    if input.len() >= 10 { Err(FrameError::Prefix) } else { Ok(None) }
}

#[cfg(test)]
mod tests {
    use alloc::vec::Vec;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn frames_arrive_in_any_slices() {
        let bytes = [encode(&Bytes::from_static(b"one")), encode(&Bytes::from(Vec::from([2; 300])))].concat();
        for cut in 0..=bytes.len() {
            let (mut input, mut got) = (BytesMut::new(), Vec::new());
            for slice in [&bytes[..cut], &bytes[cut..]] {
                input.extend_from_slice(slice);
                while let Some(frame) = decode::<Bytes>(&mut input, 1000).expect("whole frames") {
                    got.push(frame.len());
                }
            }
            assert_eq!(got, [3, 300], "cut at {cut}");
        }
    }

    #[test]
    fn a_long_frame_is_refused_by_its_prefix_alone() {
        let mut input = BytesMut::from(&[0x80, 0x80, 0x80, 0x80, 0x01][..]);
        assert_eq!(decode::<Bytes>(&mut input, 1000), Err(FrameError::TooLong { len: 1 << 28, limit: 1000 }));
        let mut input = BytesMut::from(&[0xff; 11][..]);
        assert_eq!(decode::<Bytes>(&mut input, 1000), Err(FrameError::Prefix));
    }

    #[test]
    fn the_announced_length_is_the_encoded_length() {
        for len in [0, 1, 127, 128, 20_000] {
            let frame = Bytes::from(Vec::from_iter(core::iter::repeat_n(1, len)));
            assert_eq!(encode(&frame).len(), frame.wire_len());
        }
    }
}
