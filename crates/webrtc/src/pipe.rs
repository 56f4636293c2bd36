use std::{
    any::Any,
    fmt, io,
    pin::Pin,
    task::{Context, Poll},
};

use asynchronous_codec::{Decoder, Encoder, Framed};
use bytes::BytesMut;
use futures::{AsyncRead, AsyncWrite, Sink, SinkExt, Stream, StreamExt, TryStreamExt};

use crate::protocol::{Signal, SignalDecoder};

/// A way to exchange signalling with one peer, reliably and in order. Whoever makes it must know that nobody but that
/// peer is at the other end: the connection that comes of it is as trustworthy as what was signalled.
pub struct Pipe(Pin<Box<dyn Signals>>);

/// What a [`Pipe`] is made of.
pub trait Signals: Stream<Item = io::Result<Signal>> + Sink<Signal, Error = io::Error> + Send {}

impl<T: Stream<Item = io::Result<Signal>> + Sink<Signal, Error = io::Error> + Send> Signals for T {}

impl Pipe {
    /// Of anything that carries signalling in both directions.
    pub fn new(signals: impl Signals + 'static) -> Self {
        Self(Box::pin(signals))
    }

    /// Over a stream that has negotiated `/webrtc-signaling/0.0.1`. Keeps `token` as long.
    pub(crate) fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        token: impl Any + Send,
    ) -> Self {
        Self::new(Framed::new(stream, Codec { decoder: SignalDecoder::default(), _token: token }))
    }

    /// Sends.
    pub async fn send(&mut self, signal: Signal) -> io::Result<()> {
        self.0.send(signal).await
    }

    /// `None` when the peer has ended the signalling.
    pub async fn receive(&mut self) -> io::Result<Option<Signal>> {
        self.0.try_next().await
    }

    /// As [`receive`](Self::receive).
    pub(crate) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Signal>>> {
        self.0.poll_next_unpin(context).map(Option::transpose)
    }

    pub(crate) async fn close(&mut self) -> io::Result<()> {
        self.0.close().await
    }
}

impl fmt::Debug for Pipe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Pipe")
    }
}

struct Codec<T> {
    decoder: SignalDecoder,
    _token: T,
}

impl<T> Encoder for Codec<T> {
    type Item<'a> = Signal;
    type Error = io::Error;

    fn encode(&mut self, signal: Signal, out: &mut BytesMut) -> io::Result<()> {
        out.extend_from_slice(&signal.encode());
        Ok(())
    }
}

impl<T> Decoder for Codec<T> {
    type Item = Signal;
    type Error = io::Error;

    fn decode(&mut self, input: &mut BytesMut) -> io::Result<Option<Signal>> {
        self.decoder.push(&input.split());
        self.decoder.next().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    }
}
