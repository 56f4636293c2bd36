//! Peer connections within a process, for tests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::Shared,
    task::AtomicWaker,
};

use crate::{Channel, Channels, Closed, Lost};

/// Messages that may wait in one direction.
pub(crate) const MARK: usize = 4;

/// One direction of a channel.
#[derive(Default)]
struct Pipe {
    state: Mutex<(VecDeque<Bytes>, bool)>,
    reader: AtomicWaker,
    writer: AtomicWaker,
}

impl Pipe {
    fn close(&self) {
        self.state.lock().expect("nobody panics").1 = true;
        self.reader.wake();
        self.writer.wake();
    }
}

pub(crate) struct MemoryChannel {
    incoming: Arc<Pipe>,
    outgoing: Arc<Pipe>,
}

impl Channel for MemoryChannel {
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.incoming.reader.register(context.waker());
        let mut state = self.incoming.state.lock().expect("nobody panics");
        match state.0.pop_front() {
            Some(message) => {
                drop(state);
                self.incoming.writer.wake();
                Poll::Ready(Some(message))
            }
            None if state.1 => Poll::Ready(None),
            None => Poll::Pending,
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.outgoing.writer.register(context.waker());
        match &*self.outgoing.state.lock().expect("nobody panics") {
            (_, true) => Poll::Ready(Err(Closed)),
            (queue, false) if queue.len() < MARK => Poll::Ready(Ok(())),
            _ => Poll::Pending,
        }
    }

    fn send(&mut self, message: Bytes) {
        self.outgoing.state.lock().expect("nobody panics").0.push_back(message);
        self.outgoing.reader.wake();
    }
}

impl Drop for MemoryChannel {
    fn drop(&mut self) {
        self.incoming.close();
        self.outgoing.close();
    }
}

pub(crate) struct MemoryChannels {
    incoming: mpsc::UnboundedReceiver<MemoryChannel>,
    outgoing: mpsc::UnboundedSender<MemoryChannel>,
    /// Ends when the other side is dropped.
    lost: Shared<oneshot::Receiver<()>>,
    _life: oneshot::Sender<()>,
}

impl MemoryChannels {
    pub(crate) fn pair() -> (Self, Self) {
        let (a_life, a_lost) = oneshot::channel();
        let (b_life, b_lost) = oneshot::channel();
        let (to_a, at_a) = mpsc::unbounded();
        let (to_b, at_b) = mpsc::unbounded();
        (
            Self { incoming: at_a, outgoing: to_b, lost: b_lost.shared(), _life: a_life },
            Self { incoming: at_b, outgoing: to_a, lost: a_lost.shared(), _life: b_life },
        )
    }
}

impl Channels for MemoryChannels {
    type Channel = MemoryChannel;

    fn open(&mut self) -> Result<MemoryChannel, Lost> {
        let (there, back) = (Arc::new(Pipe::default()), Arc::new(Pipe::default()));
        let theirs = MemoryChannel { incoming: there.clone(), outgoing: back.clone() };
        self.outgoing.unbounded_send(theirs).map_err(|_| Lost::Closed)?;
        Ok(MemoryChannel { incoming: back, outgoing: there })
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<MemoryChannel> {
        match self.incoming.poll_next_unpin(context) {
            Poll::Ready(Some(channel)) => Poll::Ready(channel),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    }

    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Lost> {
        self.lost.poll_unpin(context).map(|_| Lost::Closed)
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}
