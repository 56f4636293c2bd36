use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use futures_timer::Delay;
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, StreamMuxerEvent, SubstreamBox};

/// How long a peer may take to let us go. Guess.
const CLOSING: Duration = Duration::from_secs(3);

/// A muxer that does not wait long when it is closed. Closing flushes, and a peer that has stopped reading would hold
/// its place among our connections until TCP gives up, which takes a quarter of an hour.
pub(crate) struct Hasty {
    inner: StreamMuxerBox,
    closing: Option<Delay>,
}

impl Hasty {
    pub(crate) fn boxed(inner: StreamMuxerBox) -> StreamMuxerBox {
        StreamMuxerBox::new(Self { inner, closing: None })
    }

    fn inner(self: Pin<&mut Self>) -> Pin<&mut StreamMuxerBox> {
        Pin::new(&mut self.get_mut().inner)
    }
}

impl StreamMuxer for Hasty {
    type Substream = SubstreamBox;
    type Error = io::Error;

    fn poll_inbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        self.inner().poll_inbound(context)
    }

    fn poll_outbound(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<SubstreamBox>> {
        self.inner().poll_outbound(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.as_mut().inner().poll_close(context)?.is_ready() {
            return Poll::Ready(Ok(()));
        }
        let closing = self.closing.get_or_insert_with(|| Delay::new(CLOSING));
        Pin::new(closing).poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        self.inner().poll(context)
    }
}
