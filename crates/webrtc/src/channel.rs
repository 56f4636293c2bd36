//! What a backend provides: peer connections and their data channels.
//!
//! All of it is used from one task at a time, except that the two halves of a stream may be polled by two tasks: each
//! `poll_` method has a waker of its own, that of its last caller. Backends must not call a waker from within a call
//! into them or while they hold a lock.

use std::{
    borrow::Cow,
    task::{Context, Poll},
};

use bytes::Bytes;

/// A data channel, ordered and reliable. Dropping it closes it, after what was sent is out.
pub trait Channel: Send + Unpin + 'static {
    /// The next message; `None` when the channel is closed and all messages have been read.
    ///
    /// The backend holds at least 256 KiB that nobody has read. Beyond it, a backend that cannot hold the sender back
    /// closes the channel.
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>>;

    /// Ready when the channel is open and little of what was sent waits to leave.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>>;

    /// Sends a message, whether or not the channel is ready, so that a flag needs no waiting: kept while the channel is
    /// not open yet, forgotten when it is closed.
    fn send(&mut self, message: Bytes);
}

/// A peer connection that is up. Dropping it closes it at once.
pub trait Channels: Send + Unpin + 'static {
    /// Its data channels.
    type Channel: Channel;

    /// Opens a channel; it is not ready yet.
    fn open(&mut self) -> Result<Self::Channel, Lost>;

    /// The next channel that the peer opened, none forgotten since the connection came up. Pending when it is lost.
    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<Self::Channel>;

    /// Ready when the connection is lost, as soon as the backend knows, and again ever after.
    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Lost>;

    /// Closes the connection after what was sent is out, as far as the backend can tell.
    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<()>;
}

/// The channel is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data channel is closed")]
pub struct Closed;

/// Why a connection is no more.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// The peer closed it, or we did.
    #[error("the peer connection is closed")]
    Closed,
    /// The peer is not heard any more, or broke the protocol.
    #[error("the peer connection broke: {0}")]
    Broken(Cow<'static, str>),
}
