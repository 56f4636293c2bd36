//! A libp2p stream over a data channel.

use std::{
    fmt, io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Wake, Waker, ready},
};

use bytes::{Buf, Bytes};
use futures::{AsyncRead, AsyncWrite, channel::mpsc, task::AtomicWaker};

use crate::{
    Channel,
    protocol::{Flag, Frame, FrameDecoder, Halves, PAYLOAD_BYTES, ReadHalf, WriteHalf},
};

/// A stream. Dropped before it is closed, it is reset.
///
/// Closing sends the FIN and does not wait for the peer's FIN_ACK, because not every implementation sends one; the
/// [`Muxer`](crate::Muxer) keeps the channel of a dropped stream until it comes.
pub struct Stream<C: Channel> {
    /// Taken by drop.
    wire: Option<Wire<C>>,
    /// Data of the last frame that nobody has read.
    data: Bytes,
    wakers: Arc<Wakers>,
    /// Both of `wakers`.
    message_waker: Waker,
    leave: mpsc::UnboundedSender<Wire<C>>,
}

/// A data channel and what its frames have said.
pub(crate) struct Wire<C> {
    channel: C,
    decoder: FrameDecoder,
    halves: Halves,
    /// For the muxer to count, until the channel can be closed without loss.
    alive: Option<Arc<()>>,
}

/// A message may concern the reader and the writer, who may be two tasks.
#[derive(Default)]
struct Wakers {
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Wake for Wakers {
    fn wake(self: Arc<Self>) {
        self.reader.wake();
        self.writer.wake();
    }
}

impl<C: Channel> Stream<C> {
    /// `leave` takes the channel when the stream is dropped.
    pub(crate) fn new(channel: C, alive: Arc<()>, leave: mpsc::UnboundedSender<Wire<C>>) -> Self {
        let wakers = Arc::new(Wakers::default());
        Self {
            wire: Some(Wire {
                channel,
                decoder: FrameDecoder::default(),
                halves: Halves::default(),
                alive: Some(alive),
            }),
            data: Bytes::new(),
            message_waker: wakers.clone().into(),
            wakers,
            leave,
        }
    }

    /// Takes frames until there is data or nothing has come.
    fn look(&mut self) {
        let mut context = Context::from_waker(&self.message_waker);
        let wire = self.wire.as_mut().expect("there until drop");
        while self.data.is_empty() {
            let Poll::Ready(Some(data)) = wire.poll_frame(&mut context) else { return };
            self.data = data;
        }
    }

    fn wire(&mut self) -> &mut Wire<C> {
        self.wire.as_mut().expect("there until drop")
    }
}

impl<C: Channel> Wire<C> {
    /// The data of the next frame, often none; `None` when no more will come.
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        loop {
            match self.decoder.next() {
                Ok(Some(frame)) => {
                    let received = self.halves.on_frame(frame);
                    if let Some(flag) = received.reply {
                        self.say(flag);
                    }
                    return Poll::Ready(Some(received.data));
                }
                Ok(None) => match ready!(self.channel.poll_message(context)) {
                    Some(message) => self.decoder.push(message),
                    None => {
                        self.halves.on_closed();
                        return Poll::Ready(None);
                    }
                },
                Err(error) => {
                    tracing::debug!(%error, "a peer breaks the framing");
                    self.say(Flag::ResetStream);
                    self.halves.on_closed();
                    return Poll::Ready(None);
                }
            }
        }
    }

    /// The stream is gone: the frames that still matter. Ready when the channel can be closed.
    pub(crate) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.is_over() {
            ready!(self.poll_frame(context));
        }
        Poll::Ready(())
    }

    /// Whether the channel can be closed, and nobody waits for us.
    fn is_over(&mut self) -> bool {
        if self.is_done() {
            self.alive = None;
        }
        self.is_done() && !self.halves.owes_ack()
    }

    /// Whether the channel can be closed without loss.
    pub(crate) fn is_done(&self) -> bool {
        self.halves.is_done()
    }

    fn say(&mut self, flag: Flag) {
        self.channel.send(Frame::encode_flag(flag));
    }
}

impl<C: Channel> AsyncRead for Stream<C> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.wakers.reader.register(context.waker());
        self.look();
        if !self.data.is_empty() {
            let len = self.data.len().min(into.len());
            self.data.copy_to_slice(&mut into[..len]);
            return Poll::Ready(Ok(len));
        }
        match self.wire().halves.read() {
            ReadHalf::Open => Poll::Pending,
            ReadHalf::Ended | ReadHalf::Stopped => Poll::Ready(Ok(0)),
            ReadHalf::Broken => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl<C: Channel> AsyncWrite for Stream<C> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.wakers.writer.register(context.waker());
        self.look();
        let wire = self.wire();
        if wire.halves.write() == WriteHalf::Open && ready!(wire.channel.poll_ready(context)).is_err() {
            wire.halves.on_closed();
        }
        match wire.halves.write() {
            WriteHalf::Open => {}
            WriteHalf::Broken => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            WriteHalf::Finished | WriteHalf::Acknowledged | WriteHalf::Stopped => {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
        }
        let len = data.len().min(PAYLOAD_BYTES);
        wire.channel.send(Frame::encode_data(&data[..len]));
        Poll::Ready(Ok(len))
    }

    /// What is written leaves by itself.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.wire();
        if let Some(flag) = wire.halves.finish() {
            wire.say(flag);
        }
        match wire.halves.write() {
            WriteHalf::Broken => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

impl<C: Channel> Drop for Stream<C> {
    fn drop(&mut self) {
        let Some(mut wire) = self.wire.take() else { return };
        if let Some(flag) = wire.halves.abandon() {
            wire.say(flag);
        }
        if !wire.is_over() {
            // Without a muxer there is no connection.
            let _ = self.leave.unbounded_send(wire);
        }
    }
}

impl<C: Channel> fmt::Debug for Stream<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("halves", &self.wire.as_ref().map(|wire| &wire.halves)).finish()
    }
}
