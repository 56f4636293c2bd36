//! Frames on a data channel, <https://github.com/libp2p/specs/tree/master/webrtc#multiplexing>: data channels know
//! neither half-close nor reset, so both are flags beside the data.

use bytes::{Bytes, BytesMut};
use prost::{
    encoding::{WireType, encode_key, encode_varint},
    length_delimiter_len,
};

use super::delimited::{self, DelimitError};

/// Most bytes of a frame, length prefix included: "Encoded messages including their length prefix MUST NOT exceed
/// 16kiB to support all major browsers."
pub const FRAME_BYTES: usize = 16 * 1024;

/// Most data bytes of a frame: what the prefix (3), the flag (2), and the data's own tag and length (1 + 3) leave.
pub const PAYLOAD_BYTES: usize = FRAME_BYTES - 9;

/// What the sender says about the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum Flag {
    /// It will send no more.
    Fin = 0,
    /// It will read no more and discards what comes.
    StopSending = 1,
    /// It gives the stream up; what it sent may be discarded.
    ResetStream = 2,
    /// It has everything up to the other side's [`Flag::Fin`].
    FinAck = 3,
}

/// One message on a data channel.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Frame {
    /// A [`Flag`]; proto2, so a number that is none counts as absent.
    #[prost(enumeration = "Flag", optional, tag = "1")]
    flag: Option<i32>,
    /// Data, before whatever the flag says.
    #[prost(bytes = "bytes", optional, tag = "2")]
    message: Option<Bytes>,
}

impl Frame {
    /// A frame of data on the wire, copied once. At most [`PAYLOAD_BYTES`].
    pub fn encode_data(data: &[u8]) -> Bytes {
        debug_assert!(data.len() <= PAYLOAD_BYTES);
        let frame = 1 + length_delimiter_len(data.len()) + data.len();
        let mut out = BytesMut::with_capacity(length_delimiter_len(frame) + frame);
        encode_varint(frame as u64, &mut out);
        encode_key(2, WireType::LengthDelimited, &mut out);
        encode_varint(data.len() as u64, &mut out);
        out.extend_from_slice(data);
        out.freeze()
    }

    /// A frame that is only a flag, on the wire.
    pub fn encode_flag(flag: Flag) -> Bytes {
        delimited::encode(&Self::of_flag(flag))
    }

    /// A frame that is only a flag.
    pub fn of_flag(flag: Flag) -> Self {
        Self { flag: Some(flag as i32), message: None }
    }

    /// A frame that is only data.
    pub fn of_data(data: Bytes) -> Self {
        Self { flag: None, message: Some(data) }
    }

    /// The flag, if it is one that we know.
    pub fn known_flag(&self) -> Option<Flag> {
        self.flag.and_then(|flag| Flag::try_from(flag).ok())
    }

    /// The data, often none.
    pub fn into_data(self) -> Bytes {
        self.message.unwrap_or_default()
    }
}

/// Frames out of the messages of a data channel. One message is one frame for us; rust-libp2p puts several into one,
/// or one into several.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    buffer: BytesMut,
}

impl FrameDecoder {
    /// Adds a message. Call it when [`next`](Self::next) has nothing more, then at most one message and one unfinished
    /// frame are held.
    pub fn push(&mut self, message: Bytes) {
        if self.buffer.is_empty() {
            self.buffer = message.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        } else {
            self.buffer.extend_from_slice(&message);
        }
    }

    /// The next frame, sharing memory with the message; `None` when more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "after None there may be more")]
    pub fn next(&mut self) -> Result<Option<Frame>, DelimitError> {
        delimited::decode(&mut self.buffer, FRAME_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn frames_are_bytes_of_the_specification() {
        assert_eq!(&Frame::encode_data(b"hi")[..], b"\x04\x12\x02hi");
        // FIN is zero, and there all the same.
        assert_eq!(&Frame::encode_flag(Flag::Fin)[..], b"\x02\x08\x00");
        assert_eq!(&Frame::encode_flag(Flag::FinAck)[..], b"\x02\x08\x03");
    }

    #[test]
    fn the_longest_frame_is_within_16_kib() {
        let flagged = Frame { flag: Some(3), message: Some(Bytes::from(vec![7; PAYLOAD_BYTES])) };
        let wire = delimited::encode(&flagged);
        assert!(wire.len() <= FRAME_BYTES, "{}", wire.len());
        let mut decoder = FrameDecoder::default();
        decoder.push(wire);
        assert_eq!(decoder.next(), Ok(Some(flagged)));
    }

    #[test]
    fn an_unknown_flag_is_none_and_its_data_stays() {
        let mut decoder = FrameDecoder::default();
        decoder.push(Bytes::from_static(b"\x06\x08\x09\x12\x02hi"));
        let frame = decoder.next().expect("is a frame").expect("is whole");
        assert_eq!(frame.known_flag(), None);
        assert_eq!(&frame.into_data()[..], b"hi");
    }

    #[test]
    fn a_frame_beyond_16_kib_is_refused() {
        let mut decoder = FrameDecoder::default();
        decoder.push(delimited::encode(&Frame::of_data(Bytes::from(vec![0; FRAME_BYTES]))));
        assert!(matches!(decoder.next(), Err(DelimitError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn frames_survive_any_cut_into_messages(
            lens in prop::collection::vec(0_usize..300, 1..8),
            cut in 1_usize..400,
        ) {
            let frames: Vec<_> = lens.iter().map(|&len| Frame::of_data(Bytes::from(vec![len as u8; len]))).collect();
            let wire: Vec<u8> = lens.iter().flat_map(|&len| Frame::encode_data(&vec![len as u8; len])).collect();
            let (mut decoder, mut got) = (FrameDecoder::default(), Vec::new());
            for message in wire.chunks(cut) {
                decoder.push(Bytes::copy_from_slice(message));
                while let Some(frame) = decoder.next().expect("all are frames") {
                    got.push(frame);
                }
            }
            prop_assert_eq!(got, frames);
        }
    }
}
