//! Peer connections within a process, for tests.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    future::Future,
    sync::{Arc, Mutex},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::{Shared, ready},
    task::AtomicWaker,
};

use crate::{
    Backend, Channel, Channels, Closed, Lost, Negotiate,
    protocol::{Link, Role},
};

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

/// Makes connections that find each other by their descriptions.
#[derive(Clone, Default)]
pub(crate) struct Exchange {
    /// What each answer leads to.
    answers: Arc<Mutex<BTreeMap<String, MemoryChannels>>>,
    /// Nothing connects.
    is_broken: bool,
}

impl Exchange {
    pub(crate) fn broken() -> Self {
        Self { is_broken: true, ..Self::default() }
    }
}

/// A [`MemoryChannels`] that has to be negotiated.
pub(crate) struct MemoryConnection {
    exchange: Exchange,
    role: Role,
    channels: Option<MemoryChannels>,
    candidates: VecDeque<String>,
    links: VecDeque<Link>,
}

impl Backend for Exchange {
    type Connection = MemoryConnection;

    fn connection(&self, role: Role) -> Result<MemoryConnection, Infallible> {
        let (candidates, links) = (VecDeque::new(), VecDeque::new());
        Ok(MemoryConnection { exchange: self.clone(), role, channels: None, candidates, links })
    }
}

impl Negotiate for MemoryConnection {
    type Error = Infallible;

    fn create_offer(&mut self) -> impl Future<Output = Result<String, Infallible>> + Send {
        ready(Ok("offer".into()))
    }

    fn create_answer(&mut self) -> impl Future<Output = Result<String, Infallible>> + Send {
        let (ours, theirs) = MemoryChannels::pair();
        self.channels = Some(ours);
        let mut answers = self.exchange.answers.lock().expect("nobody panics");
        let answer = answers.len().to_string();
        answers.insert(answer.clone(), theirs);
        ready(Ok(answer))
    }

    fn set_local(&mut self, _: String) -> impl Future<Output = Result<(), Infallible>> + Send {
        self.candidates.push_back("{}".into());
        ready(Ok(()))
    }

    fn set_remote(&mut self, sdp: String) -> impl Future<Output = Result<(), Infallible>> + Send {
        if self.role == Role::Dialer {
            self.channels = self.exchange.answers.lock().expect("nobody panics").remove(&sdp);
        }
        ready(Ok(()))
    }

    fn add_candidate(&mut self, _: String) -> impl Future<Output = ()> + Send {
        if !self.exchange.is_broken {
            self.links.extend([Link::InitOpen, Link::Connected]);
        }
        ready(())
    }

    fn close_init(&mut self) {
        self.links.push_back(Link::InitClosed);
    }

    fn poll_candidate(&mut self, _: &mut Context<'_>) -> Poll<String> {
        self.candidates.pop_front().map_or(Poll::Pending, Poll::Ready)
    }

    fn poll_link(&mut self, _: &mut Context<'_>) -> Poll<Link> {
        self.links.pop_front().map_or(Poll::Pending, Poll::Ready)
    }
}

impl MemoryConnection {
    fn channels(&mut self) -> &mut MemoryChannels {
        self.channels.as_mut().expect("it is connected")
    }
}

impl Channels for MemoryConnection {
    type Channel = MemoryChannel;

    fn open(&mut self) -> Result<MemoryChannel, Lost> {
        self.channels().open()
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<MemoryChannel> {
        self.channels().poll_incoming(context)
    }

    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Lost> {
        self.channels().poll_lost(context)
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.channels().poll_close(context)
    }
}
