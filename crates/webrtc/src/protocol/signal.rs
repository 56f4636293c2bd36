//! Messages of `/webrtc-signaling/0.0.1`, <https://github.com/libp2p/specs/blob/master/webrtc/webrtc.md>.

use bytes::{Bytes, BytesMut};

use super::delimited::{self, DelimitError};

/// The protocol on whose stream two peers signal.
pub const SIGNALING_PROTOCOL: &str = "/webrtc-signaling/0.0.1";

/// Most bytes of a message, length prefix included. A description takes 0.5 to 5 kB. Guess.
pub const SIGNAL_BYTES: usize = 64 * 1024;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signal {
    /// SDP of who dials; first of all.
    Offer(String),
    /// SDP of who is dialled; after the offer.
    Answer(String),
    /// An `RTCIceCandidateInit` as JSON, from each side after its description. `null`, `""` and an object whose
    /// `candidate` is empty mean that no more will come; js-libp2p does not say so.
    Candidate(String),
}

/// Why bytes are no signal. The sender is at fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignalError {
    /// The framing is broken.
    #[error(transparent)]
    Delimit(#[from] DelimitError),
    /// Without a type, or of one that is none.
    #[error("signalling message has no known type")]
    Type,
}

impl Signal {
    /// As it goes on the wire.
    pub fn encode(&self) -> Bytes {
        let (kind, data) = match self {
            Self::Offer(data) => (Kind::SdpOffer, data),
            Self::Answer(data) => (Kind::SdpAnswer, data),
            Self::Candidate(data) => (Kind::IceCandidate, data),
        };
        delimited::encode(&Wire { kind: Some(kind as i32), data: Some(data.clone()) })
    }
}

/// Signals out of a stream of bytes.
#[derive(Debug, Default)]
pub struct SignalDecoder {
    buffer: BytesMut,
}

impl SignalDecoder {
    /// Adds what was read. Call it when [`next`](Self::next) has nothing more, then an unfinished message is all that
    /// is held.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next message; `None` when more bytes are needed.
    #[expect(clippy::should_implement_trait, reason = "after None there may be more")]
    pub fn next(&mut self) -> Result<Option<Signal>, SignalError> {
        let Some(wire) = delimited::decode::<Wire>(&mut self.buffer, SIGNAL_BYTES)? else { return Ok(None) };
        let data = wire.data.unwrap_or_default();
        match wire.kind.and_then(|kind| Kind::try_from(kind).ok()) {
            Some(Kind::SdpOffer) => Ok(Some(Signal::Offer(data))),
            Some(Kind::SdpAnswer) => Ok(Some(Signal::Answer(data))),
            Some(Kind::IceCandidate) => Ok(Some(Signal::Candidate(data))),
            None => Err(SignalError::Type),
        }
    }
}

/// proto3 with explicit presence, so the offer's zero is on the wire.
#[derive(Clone, PartialEq, prost::Message)]
struct Wire {
    #[prost(enumeration = "Kind", optional, tag = "1")]
    kind: Option<i32>,
    #[prost(string, optional, tag = "2")]
    data: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
enum Kind {
    SdpOffer = 0,
    SdpAnswer = 1,
    IceCandidate = 2,
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn decode(bytes: &[u8]) -> Result<Option<Signal>, SignalError> {
        let mut decoder = SignalDecoder::default();
        decoder.push(bytes);
        decoder.next()
    }

    #[test]
    fn an_offers_type_is_on_the_wire() {
        assert_eq!(&Signal::Offer("v=0".into()).encode()[..], b"\x07\x08\x00\x12\x03v=0");
        assert_eq!(&Signal::Candidate("{}".into()).encode()[..], b"\x06\x08\x02\x12\x02{}");
    }

    #[test]
    fn signals_come_back_byte_by_byte() {
        let sent =
            [Signal::Offer("o".repeat(300)), Signal::Answer(String::new()), Signal::Candidate("null".into())];
        let (mut decoder, mut got) = (SignalDecoder::default(), Vec::new());
        for byte in sent.iter().flat_map(Signal::encode) {
            decoder.push(&[byte]);
            got.extend(decoder.next().expect("all are signals"));
        }
        assert_eq!(got, sent);
    }

    #[test]
    fn what_has_no_known_type_is_refused() {
        assert_eq!(decode(b"\x04\x12\x02hi"), Err(SignalError::Type));
        assert_eq!(decode(b"\x02\x08\x03"), Err(SignalError::Type));
    }

    #[test]
    fn what_is_too_long_is_refused_before_it_is_there() {
        assert!(matches!(
            decode(&[0xff, 0xff, 0x7f]),
            Err(SignalError::Delimit(DelimitError::TooLong { .. }))
        ));
    }
}
