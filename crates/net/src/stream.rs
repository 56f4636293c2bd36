//! Frames on one substream: whole ones in, whole ones out.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use braidcast_core::{
    Frame,
    wire::{frame, limits},
};
use bytes::{Buf, Bytes, BytesMut};
use futures::{AsyncRead, AsyncWrite};
use libp2p::{StreamProtocol, swarm::Stream};

/// The two streams that each side opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Control,
    Bulk,
}

impl Kind {
    /// What a direct connection carries.
    pub(crate) const ALL: &'static [Self] = &[Self::Control, Self::Bulk];
    /// What a connection through a relay carries.
    pub(crate) const RELAYED: &'static [Self] = &[Self::Control];

    /// The name that multistream-select negotiates.
    pub(crate) const fn protocol(self) -> StreamProtocol {
        match self {
            Self::Control => StreamProtocol::new("/braidcast/1.0.0/control"),
            Self::Bulk => StreamProtocol::new("/braidcast/1.0.0/bulk"),
        }
    }

    /// Longest frame.
    const fn frame_bytes(self) -> usize {
        match self {
            Self::Control => limits::CONTROL_FRAME_BYTES,
            Self::Bulk => limits::BULK_FRAME_BYTES,
        }
    }

    /// How much to read while no length is known. Control frames are short and many; a bulk frame is read alone, so
    /// that a piece kept for long keeps no neighbour's bytes alive.
    const fn read_bytes(self) -> usize {
        match self {
            Self::Control => 4 * 1024,
            Self::Bulk => 3,
        }
    }
}

/// Our substream of one kind.
#[derive(Debug)]
pub(crate) struct Writer {
    stream: Stream,
    /// One after the other.
    pending: [Bytes; 2],
    flushed: bool,
}

impl Writer {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, pending: Default::default(), flushed: true }
    }

    /// Starts writing; only when [`poll_idle`](Self::poll_idle) is ready.
    pub(crate) fn start(&mut self, parts: [Bytes; 2]) {
        self.pending = parts;
        self.flushed = false;
    }

    /// Ready when everything has been handed to the muxer.
    pub(crate) fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        for part in &mut self.pending {
            while !part.is_empty() {
                let written = ready!(Pin::new(&mut self.stream).poll_write(context, part))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                part.advance(written);
            }
        }
        if !self.flushed {
            ready!(Pin::new(&mut self.stream).poll_flush(context))?;
            self.flushed = true;
        }
        Poll::Ready(Ok(()))
    }
}

/// The peer's substream of one kind.
#[derive(Debug)]
pub(crate) struct Reader {
    stream: Stream,
    kind: Kind,
    /// Room for what is read next; the first `filled` bytes are read.
    buffer: BytesMut,
    filled: usize,
}

/// What ends a substream of the peer's.
#[derive(Debug)]
pub(crate) enum ReadError {
    /// The stream ended or broke.
    Closed(io::Error),
    /// The peer sent what no peer may send.
    Fault(String),
}

impl Reader {
    pub(crate) fn new(stream: Stream, kind: Kind) -> Self {
        Self { stream, kind, buffer: BytesMut::new(), filled: 0 }
    }

    /// The next frame, and its length on the wire.
    pub(crate) fn poll_frame(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Result<(Frame, usize), ReadError>> {
        loop {
            let limit = self.kind.frame_bytes();
            let missing = match missing(&self.buffer[..self.filled], limit) {
                Some(0) => return Poll::Ready(self.decode()),
                Some(missing) => missing,
                None => self.kind.read_bytes(),
            };
            let end = self.filled + missing;
            if self.buffer.len() < end {
                self.buffer.resize(end, 0);
            }
            let room = &mut self.buffer[self.filled..end];
            match ready!(Pin::new(&mut self.stream).poll_read(context, room)) {
                Ok(0) => return Poll::Ready(Err(ReadError::Closed(io::ErrorKind::UnexpectedEof.into()))),
                Ok(len) => self.filled += len,
                Err(error) => return Poll::Ready(Err(ReadError::Closed(error))),
            }
        }
    }

    /// Takes the frame that is whole, or the error that is certain.
    fn decode(&mut self) -> Result<(Frame, usize), ReadError> {
        self.buffer.truncate(self.filled);
        let decoded = frame::decode::<Frame>(&mut self.buffer, self.kind.frame_bytes());
        let len = self.filled - self.buffer.len();
        self.filled = self.buffer.len();
        match decoded {
            Ok(Some(frame)) if frame.is_bulk() == (self.kind == Kind::Bulk) => Ok((frame, len)),
            Ok(Some(_)) => Err(ReadError::Fault(format!("frame on the wrong stream ({:?})", self.kind))),
            Ok(None) => Err(ReadError::Fault("length prefix is read differently by two functions".into())),
            Err(error) => Err(ReadError::Fault(error.to_string())),
        }
    }
}

/// How many bytes are missing from the frame at the front: zero when it is whole, or wrong for certain; `None` while
/// its length is not known.
fn missing(input: &[u8], limit: usize) -> Option<usize> {
    let mut len = 0_u64;
    for (at, &byte) in input.iter().take(10).enumerate() {
        len |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return match usize::try_from(len) {
                Ok(len) if len <= limit => Some((at + 1 + len).saturating_sub(input.len())),
                _ => Some(0),
            };
        }
    }
    (input.len() >= 10).then_some(0)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_is_missing_is_known_from_the_prefix() {
        assert_eq!(missing(&[], 100), None);
        assert_eq!(missing(&[0x80], 100), None);
        assert_eq!(missing(&[0], 100), Some(0));
        assert_eq!(missing(&[3], 100), Some(3));
        assert_eq!(missing(&[3, 1, 2], 100), Some(1));
        assert_eq!(missing(&[3, 1, 2, 3, 9], 100), Some(0));
        assert_eq!(missing(&[0x80, 0x01], 1000), Some(128));
    }

    #[test]
    fn what_is_too_long_needs_no_further_byte() {
        assert_eq!(missing(&[101], 100), Some(0));
        assert_eq!(missing(&[0xff; 10], 100), Some(0));
        assert_eq!(missing(&[0xff, 0xff, 0xff, 0xff, 0x7f], 100), Some(0));
    }
}
