//! A peer connection at work: the task that moves its datagrams, and the handles of those who use it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Instant,
};

use bytes::Bytes;
use futures::{
    FutureExt,
    future::{join, join_all, pending},
};
use tokio::sync::{Notify, mpsc};

use super::{
    peer::{Datagram, Peer},
    sctp::{ChannelId, NEGOTIATED},
    udp::Sockets,
};
use crate::{Channel, Channels, Closed, Lost, protocol::Fingerprint};

/// Datagrams that may wait for their connection; more are lost, as on any way.
pub(super) const QUEUE: usize = 1024;

/// Datagrams taken at once.
const BATCH: usize = 256;

/// A peer connection.
pub(super) struct Link {
    peer: Mutex<Peer>,
    /// There is something to send, or to do.
    changed: Notify,
}

impl Link {
    pub(super) fn new(peer: Peer) -> Arc<Self> {
        Arc::new(Self { peer: Mutex::new(peer), changed: Notify::new() })
    }

    /// Works on the connection; who waits for it is woken when nobody holds it any more.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut Peer) -> R) -> R {
        let (result, wakers) = {
            let mut peer = self.peer.lock().unwrap_or_else(PoisonError::into_inner);
            let result = work(&mut peer);
            (result, std::mem::take(&mut peer.sctp.wakers))
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
        result
    }

    /// The same, after which there may be something to send.
    pub(super) fn change<R>(&self, work: impl FnOnce(&mut Peer) -> R) -> R {
        let result = self.with(work);
        self.changed.notify_one();
        result
    }

    /// Works until the connection is lost or closed, over sockets that it has to itself, and on `task` beside.
    pub(super) async fn run(self: Arc<Self>, sockets: Sockets, task: impl Future<Output = ()>) {
        let (datagrams, queue) = mpsc::channel(QUEUE);
        let pumps = join_all(sockets.0.iter().map(|socket| socket.pump(datagrams.clone())));
        drop(datagrams);
        tokio::select! {
            () = self.drive(queue, sockets.clone()) => {}
            // The driver finds out.
            _ = join(pumps, task).then(|_| pending::<()>()) => {}
        }
    }

    /// Moves datagrams until the connection is lost or closed.
    pub(super) async fn drive(self: Arc<Self>, mut datagrams: mpsc::Receiver<Datagram>, sockets: Sockets) {
        let (mut arrived, mut leaving) = (Vec::new(), Vec::new());
        loop {
            let (timeout, over) = self.with(|peer| {
                let now = now();
                for datagram in arrived.drain(..) {
                    peer.handle(now, &datagram);
                }
                peer.turn(now);
                leaving.extend(std::iter::from_fn(|| peer.poll_out()));
                (peer.timeout(), peer.lost().is_some())
            });
            sockets.send(&leaving).await;
            leaving.clear();
            if over {
                return;
            }
            let timer = async {
                match timeout {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                count = datagrams.recv_many(&mut arrived, BATCH) => {
                    if count == 0 {
                        self.with(|peer| peer.lose(Lost::Broken("the socket is gone".into())));
                    }
                }
                () = self.changed.notified() => {}
                () = timer => {}
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is where the clock comes in")]
pub(super) fn now() -> Instant {
    Instant::now()
}

/// A peer connection. Closed when dropped.
pub struct Connection {
    pub(super) link: Arc<Link>,
}

impl Connection {
    /// The peer's certificate, when the connection is up.
    pub(super) async fn up(&self) -> Result<Fingerprint, Lost> {
        std::future::poll_fn(|context| self.link.with(|peer| peer.poll_up(context))).await
    }

    /// The channel that both sides have without opening it.
    pub(super) fn negotiated(&self) -> DataChannel {
        DataChannel { link: self.link.clone(), id: NEGOTIATED }
    }
}

impl Channels for Connection {
    type Channel = DataChannel;

    fn open(&mut self) -> Result<DataChannel, Lost> {
        let id = self.link.change(|peer| match peer.lost() {
            Some(lost) => Err(lost.clone()),
            None => peer.sctp.open("").ok_or(Lost::Broken("no data channel is free".into())),
        })?;
        Ok(DataChannel { link: self.link.clone(), id })
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<DataChannel> {
        let id = self.link.with(|peer| peer.sctp.poll_incoming(context));
        id.map(|id| DataChannel { link: self.link.clone(), id })
    }

    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Lost> {
        self.link.with(|peer| peer.poll_lost(context))
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.link.change(|peer| peer.poll_close(context))
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.link.change(Peer::close);
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("lost", &self.link.with(|peer| peer.lost().cloned())).finish()
    }
}

/// A data channel.
pub struct DataChannel {
    link: Arc<Link>,
    id: ChannelId,
}

impl Channel for DataChannel {
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let message = self.link.with(|peer| peer.sctp.poll_message(self.id, context));
        if message.is_ready() {
            // There is room for more, and the peer must learn it.
            self.link.changed.notify_one();
        }
        message
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        self.link.with(|peer| peer.sctp.poll_ready(self.id, context))
    }

    fn send(&mut self, message: Bytes) {
        self.link.change(|peer| peer.sctp.send(self.id, &message));
    }
}

impl Drop for DataChannel {
    fn drop(&mut self) {
        self.link.change(|peer| peer.sctp.close(self.id, now()));
    }
}

impl std::fmt::Debug for DataChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DataChannel").field("id", &self.id).finish_non_exhaustive()
    }
}
