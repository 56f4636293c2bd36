//! Carries out what a [`Session`] says.

use std::{
    error::Error as StdError,
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::select;
use futures_timer::Delay;

use crate::{
    Channels,
    pipe::Pipe,
    protocol::{Command, Link, Session, SessionError, Signal},
};

/// How long a connection that is up waits until its signalling has ended in order. Guess.
const CLOSING: Duration = Duration::from_secs(1);

/// A peer connection that is still to be negotiated. It knows its role, and so which description is the offer.
pub trait Negotiate: Channels {
    /// Why a step fails; the connection is of no more use then.
    type Error: StdError + Send + Sync + 'static;

    /// Opens the channel [`INIT_LABEL`](crate::protocol::INIT_LABEL) and makes an offer.
    fn create_offer(&mut self) -> impl Future<Output = Result<String, Self::Error>> + Send;

    /// Makes an answer to the remote description.
    fn create_answer(&mut self) -> impl Future<Output = Result<String, Self::Error>> + Send;

    /// Takes our description.
    fn set_local(&mut self, sdp: String) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Takes the peer's description.
    fn set_remote(&mut self, sdp: String) -> impl Future<Output = Result<(), Self::Error>> + Send;

    /// Takes an address of the peer's, JSON as in [`Signal::Candidate`]. One that makes no sense is ignored.
    fn add_candidate(&mut self, candidate: String) -> impl Future<Output = ()> + Send;

    /// Closes the channel [`INIT_LABEL`](crate::protocol::INIT_LABEL).
    fn close_init(&mut self);

    /// The next address of ours, as JSON.
    fn poll_candidate(&mut self, context: &mut Context<'_>) -> Poll<String>;

    /// What becomes of the connection, each once.
    fn poll_link(&mut self, context: &mut Context<'_>) -> Poll<Link>;
}

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum NegotiateError {
    /// The way to signal broke, or what came was no signalling.
    #[error("signalling broke: {0}")]
    Pipe(#[from] io::Error),
    /// The session failed.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The peer's dial goes on instead of ours.
    #[error("the peer dials us at the same time, and its dial goes on")]
    Crossed,
    /// WebRTC refused a step.
    #[error(transparent)]
    Connection(Box<dyn StdError + Send + Sync>),
}

impl NegotiateError {
    pub(crate) fn connection(error: impl StdError + Send + Sync + 'static) -> Self {
        Self::Connection(Box::new(error))
    }
}

/// What happens next.
enum Next {
    Signal(io::Result<Option<Signal>>),
    Candidate(String),
    Link(Link),
}

/// Negotiates `connection` to the end. `leave` is asked before an offer leaves.
pub(crate) async fn negotiate<C: Negotiate>(
    mut connection: C,
    mut pipe: Pipe,
    mut session: Session,
    leave: impl Fn() -> bool,
) -> Result<C, NegotiateError> {
    let failed = |error: C::Error| NegotiateError::connection(error);
    let mut open = true;
    loop {
        while let Some(command) = session.poll() {
            match command {
                Command::CreateOffer => {
                    session.on_local_description(connection.create_offer().await.map_err(failed)?);
                }
                Command::CreateAnswer => {
                    session.on_local_description(connection.create_answer().await.map_err(failed)?);
                }
                Command::SetLocal(sdp) => connection.set_local(sdp).await.map_err(failed)?,
                Command::SetRemote(sdp) => connection.set_remote(sdp).await.map_err(failed)?,
                Command::AddCandidate(candidate) => connection.add_candidate(candidate).await,
                Command::Send(Signal::Offer(_)) if !leave() => return Err(NegotiateError::Crossed),
                // When it fails, so does receiving.
                Command::Send(signal) => _ = pipe.send(signal).await,
                Command::CloseInit => connection.close_init(),
                Command::Finish => {
                    end(pipe).await;
                    return Ok(connection);
                }
                Command::Fail(error) => return Err(error.into()),
            }
        }
        match poll_fn(|context| poll_next(&mut connection, &mut pipe, open, context)).await {
            Next::Link(link) => session.on_link(link),
            Next::Candidate(candidate) => session.on_local_candidate(candidate),
            Next::Signal(Ok(Some(signal))) => session.on_signal(signal),
            Next::Signal(ended) => {
                open = false;
                session.on_ended();
                if let Err(error) = ended
                    && let Some(Command::Fail(_)) = session.poll()
                {
                    return Err(error.into());
                }
            }
        }
    }
}

/// Ends the signalling in order, if that works soon.
pub(crate) async fn end(mut pipe: Pipe) {
    let _ = select(pin!(pipe.close()), Delay::new(CLOSING)).await;
}

fn poll_next<C: Negotiate>(
    connection: &mut C,
    pipe: &mut Pipe,
    open: bool,
    context: &mut Context<'_>,
) -> Poll<Next> {
    if let Poll::Ready(link) = connection.poll_link(context) {
        return Poll::Ready(Next::Link(link));
    }
    if let Poll::Ready(candidate) = connection.poll_candidate(context) {
        return Poll::Ready(Next::Candidate(candidate));
    }
    if open && let Poll::Ready(signal) = pipe.poll_receive(context) {
        return Poll::Ready(Next::Signal(signal));
    }
    Poll::Pending
}
