//! Yamux, corked: what a connection writes in one turn leaves as one.
//!
//! Rust's yamux flushes after each of its frames, and each flush is an encrypted message and a call of the kernel of its
//! own: two for a bulk frame, one for an acknowledgement, and as many wakings of the peer.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use futures::{
    AsyncRead, AsyncWrite,
    future::{Ready, ready},
};
use libp2p::{
    core::{
        muxing::{StreamMuxer, StreamMuxerEvent},
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade, UpgradeInfo},
    },
    yamux,
};

use crate::yamux::{Cut, Yamux};

/// How much is held back at most until the muxer's next flush: Noise's longest message has 64 KB. Guess.
const HELD_BYTES: usize = 48 * 1024;

/// The upgrade.
#[derive(Clone, Debug)]
pub(crate) struct Cork(pub(crate) Yamux);

/// A connection, uncorked whenever it was polled.
pub(crate) struct Muxer<C> {
    inner: yamux::Muxer<Cut<Corked<C>>>,
    io: Corked<C>,
}

/// Does not flush what its muxer wants flushed.
#[derive(Debug)]
pub(crate) struct Corked<C>(Arc<Mutex<Held<C>>>);

#[derive(Debug)]
struct Held<C> {
    io: C,
    /// Written and not flushed.
    bytes: usize,
    /// Why it can be used no more.
    failure: Option<(io::ErrorKind, String)>,
}

impl<C> Corked<C> {
    fn new(io: C) -> Self {
        Self(Arc::new(Mutex::new(Held { io, bytes: 0, failure: None })))
    }

    fn share(&self) -> Self {
        Self(self.0.clone())
    }

    fn held(&self) -> MutexGuard<'_, Held<C>> {
        self.0.lock().expect("no code panics while it holds this lock")
    }
}

impl<C: AsyncWrite + Unpin> Corked<C> {
    /// Sends what is held. Whatever cannot leave yet wakes the task when it can.
    fn uncork(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held().flush(context)
    }
}

impl<C: AsyncWrite + Unpin> Held<C> {
    fn flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = self.with(|io| io.poll_flush(context));
        if flushed.is_ready() {
            self.bytes = 0;
        }
        flushed
    }
}

impl<C: Unpin> Held<C> {
    /// What failed is not touched again: a stream whose protocol was not agreed on panics then.
    fn with<T>(&mut self, act: impl FnOnce(Pin<&mut C>) -> Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Some((kind, why)) = &self.failure {
            return Poll::Ready(Err(io::Error::new(*kind, why.clone())));
        }
        let done = act(Pin::new(&mut self.io));
        if let Poll::Ready(Err(error)) = &done {
            self.failure = Some((error.kind(), error.to_string()));
        }
        done
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Corked<C> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.held().with(|io| io.poll_read(context, buffer))
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Corked<C> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut held = self.held();
        let written = held.with(|io| io.poll_write(context, bytes));
        if let Poll::Ready(Ok(len)) = written {
            held.bytes += len;
        }
        written
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.held();
        if held.bytes < HELD_BYTES { Poll::Ready(Ok(())) } else { held.flush(context) }
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.held().with(|io| io.poll_close(context))
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + 'static> Muxer<C> {
    /// Sends what the muxer wrote, and says what it said; else why that cannot be sent. An error of the muxer's says more.
    fn uncorked<T>(
        &self,
        context: &mut Context<'_>,
        polled: Poll<Result<T, yamux::Error>>,
    ) -> Poll<io::Result<T>> {
        match (polled, self.io.uncork(context)) {
            (Poll::Pending | Poll::Ready(Ok(_)), Poll::Ready(Err(error))) => Poll::Ready(Err(error)),
            (polled, _) => polled.map_err(io::Error::from),
        }
    }
}

impl<C: AsyncRead + AsyncWrite + Unpin + 'static> StreamMuxer for Muxer<C> {
    type Substream = yamux::Stream;
    type Error = io::Error;

    fn poll_inbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<yamux::Stream>> {
        let polled = Pin::new(&mut self.inner).poll_inbound(context);
        self.uncorked(context, polled)
    }

    fn poll_outbound(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<yamux::Stream>> {
        let polled = Pin::new(&mut self.inner).poll_outbound(context);
        self.uncorked(context, polled)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_close(context).map_err(io::Error::from)
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<StreamMuxerEvent>> {
        let polled = Pin::new(&mut self.inner).poll(context);
        self.uncorked(context, polled)
    }
}

impl UpgradeInfo for Cork {
    type Info = <Yamux as UpgradeInfo>::Info;
    type InfoIter = <Yamux as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<C> for Cork {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_inbound(self, io: C, info: Self::Info) -> Self::Future {
        let io = Corked::new(io);
        let upgraded = self.0.upgrade_inbound(io.share(), info).into_inner();
        ready(upgraded.map(|inner| Muxer { inner, io }))
    }
}

impl<C: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<C> for Cork {
    type Output = Muxer<C>;
    type Error = io::Error;
    type Future = Ready<io::Result<Muxer<C>>>;

    fn upgrade_outbound(self, io: C, info: Self::Info) -> Self::Future {
        let io = Corked::new(io);
        let upgraded = self.0.upgrade_outbound(io.share(), info).into_inner();
        ready(upgraded.map(|inner| Muxer { inner, io }))
    }
}

#[cfg(test)]
mod tests {
    use futures::{
        io::{BufWriter, Cursor},
        task::noop_waker_ref,
    };
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn what_is_written_is_held_until_the_turn_ends_or_there_is_enough() {
        let context = &mut Context::from_waker(noop_waker_ref());
        let io = Corked::new(BufWriter::with_capacity(2 * HELD_BYTES, Cursor::new(Vec::new())));
        let sent = |io: &Corked<BufWriter<Cursor<Vec<u8>>>>| io.held().io.get_ref().position();
        let write = |len: usize, context: &mut Context<'_>| {
            let mut io = io.share();
            assert!(Pin::new(&mut io).poll_write(context, &vec![0; len]).is_ready());
            assert!(Pin::new(&mut io).poll_flush(context).is_ready());
        };
        write(100, context);
        write(200, context);
        assert_eq!(sent(&io), 0);
        assert!(io.uncork(context).is_ready());
        assert_eq!(sent(&io), 300);
        write(HELD_BYTES, context);
        assert_eq!(sent(&io), 300 + HELD_BYTES as u64);
    }

    #[test]
    fn what_a_stream_wrote_leaves_when_the_connection_is_polled() {
        let context = &mut Context::from_waker(noop_waker_ref());
        let socket = BufWriter::with_capacity(2 * HELD_BYTES, Silent::default());
        let upgraded = Cork(Yamux::default()).upgrade_outbound(socket, "/yamux/1.0.0").into_inner();
        let mut muxer = upgraded.expect("it cannot fail");
        let Poll::Ready(Ok(mut stream)) = Pin::new(&mut muxer).poll_outbound(context) else {
            panic!("no stream");
        };
        let sent = |muxer: &Muxer<BufWriter<Silent>>| muxer.io.held().io.get_ref().0;
        assert!(Pin::new(&mut stream).poll_write(context, b"hello").is_ready());
        assert_eq!(sent(&muxer), 0);
        assert!(Pin::new(&mut muxer).poll(context).is_pending());
        assert!(sent(&muxer) >= 5, "{} bytes", sent(&muxer));
    }

    /// As a stream does on which the peer refuses the protocol.
    #[test]
    fn what_failed_is_not_touched_again() {
        let context = &mut Context::from_waker(noop_waker_ref());
        let upgraded = Cork(Yamux::default()).upgrade_outbound(Touchy(false), "/yamux/1.0.0").into_inner();
        let mut muxer = upgraded.expect("it cannot fail");
        let Poll::Ready(Err(error)) = Pin::new(&mut muxer).poll(context) else { panic!("no error") };
        assert!(error.to_string().contains("refused"), "{error}");
        assert!(matches!(muxer.io.uncork(context), Poll::Ready(Err(_))));
        assert!(Pin::new(&mut muxer).poll_close(context).is_ready());
    }

    /// Fails, and panics when it is asked anything after that.
    struct Touchy(bool);

    impl Touchy {
        fn fail<T>(&mut self) -> Poll<io::Result<T>> {
            assert!(!std::mem::replace(&mut self.0, true), "touched again");
            Poll::Ready(Err(io::Error::other("refused")))
        }
    }

    impl AsyncRead for Touchy {
        fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            self.fail()
        }
    }

    impl AsyncWrite for Touchy {
        fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
            self.fail()
        }

        fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.fail()
        }

        fn poll_close(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            self.fail()
        }
    }

    /// Takes so many bytes, and never says anything.
    #[derive(Default)]
    struct Silent(usize);

    impl AsyncRead for Silent {
        fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, _: &mut [u8]) -> Poll<io::Result<usize>> {
            Poll::Pending
        }
    }

    impl AsyncWrite for Silent {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0 += bytes.len();
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }
}
