//! libp2p's muxer over a peer connection: one data channel per stream, nothing negotiated.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures::{StreamExt, channel::mpsc};
use futures_timer::Delay;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerEvent};

use crate::{Channels, Lost, Stream, protocol::FIN_ACK_TIMEOUT, stream::Wire};

/// The streams of a peer connection.
pub struct Muxer<C: Channels> {
    channels: C,
    /// Most streams at once that the peer may bring it to.
    limit: usize,
    /// One count for each stream, those included that wait for their end.
    alive: Arc<()>,
    /// Channels of dropped streams: the peer has not acknowledged our FIN, or may await that we acknowledge its own.
    left: mpsc::UnboundedReceiver<Wire<C::Channel>>,
    leave: mpsc::UnboundedSender<Wire<C::Channel>>,
    lingering: Vec<(Wire<C::Channel>, Delay)>,
}

impl<C: Channels> Muxer<C> {
    /// Takes over a connection that is up. While `limit` streams exist, those that the peer opens are closed at once.
    pub fn new(channels: C, limit: usize) -> Self {
        let (leave, left) = mpsc::unbounded();
        Self { channels, limit, alive: Arc::new(()), left, leave, lingering: Vec::new() }
    }

    /// A stream over a channel that is no stream of the peer's or ours: webrtc-direct's handshake.
    pub fn handshake(&self, channel: C::Channel) -> Stream<C::Channel> {
        self.stream(channel)
    }

    /// How many there are, those included that wait for their end.
    pub fn streams(&self) -> usize {
        Arc::strong_count(&self.alive) - 1
    }

    fn stream(&self, channel: C::Channel) -> Stream<C::Channel> {
        Stream::new(channel, self.alive.clone(), self.leave.clone())
    }

    /// Ready when no channel waits for its end; what we may still acknowledge is no reason to wait.
    fn poll_lingering(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(Some(wire)) = self.left.poll_next_unpin(context) {
            self.lingering.push((wire, Delay::new(FIN_ACK_TIMEOUT)));
        }
        // What we only may have to acknowledge counts as no stream: the oldest give way.
        let mut surplus = self.lingering.len().saturating_sub(self.limit);
        self.lingering.retain(|(wire, _)| {
            let gives_way = surplus > 0 && wire.is_done();
            surplus -= usize::from(gives_way);
            !gives_way
        });
        self.lingering.retain_mut(|(wire, timeout)| {
            wire.poll_over(context).is_pending() && Pin::new(timeout).poll(context).is_pending()
        });
        if self.lingering.iter().all(|(wire, _)| wire.is_done()) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl<C: Channels> StreamMuxer for Muxer<C> {
    type Substream = Stream<C::Channel>;
    type Error = Lost;

    fn poll_inbound(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Result<Self::Substream, Lost>> {
        loop {
            let channel = ready!(self.channels.poll_incoming(context));
            if self.streams() < self.limit {
                return Poll::Ready(Ok(self.stream(channel)));
            }
            tracing::debug!(limit = self.limit, "a peer opens too many streams");
            // The peer is told by a reset, however late the channel is closed.
            drop(self.stream(channel));
        }
    }

    fn poll_outbound(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<Self::Substream, Lost>> {
        let channel = self.channels.open()?;
        Poll::Ready(Ok(self.stream(channel)))
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Lost>> {
        if self.channels.poll_lost(context).is_pending() {
            ready!(self.poll_lingering(context));
        }
        self.channels.poll_close(context).map(Ok)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<StreamMuxerEvent, Lost>> {
        if let Poll::Ready(lost) = self.channels.poll_lost(context) {
            return Poll::Ready(Err(lost));
        }
        let _ = self.poll_lingering(context);
        Poll::Pending
    }
}

impl<C: Channels> fmt::Debug for Muxer<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Muxer").field("streams", &self.streams()).finish_non_exhaustive()
    }
}
