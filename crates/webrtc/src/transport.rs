use std::{
    collections::{BTreeSet, VecDeque},
    fmt,
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::{BoxFuture, Either, select},
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
    multiaddr::Protocol,
};

use crate::{
    Muxer,
    behaviour::{Behaviour, News, Request, Unreachable},
    negotiate::{Negotiate, NegotiateError, end, negotiate},
    pipe::Pipe,
    placed::Placed,
    protocol::{CircuitAddress, Role, SESSION_TIMEOUT, Session as Negotiation, Signal, webrtc_peer},
    sessions::{Limits, Refusal, Sessions},
};

/// How `/webrtc` connections are made.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// How long it may take to make one, the connection over which to signal included.
    pub timeout: Duration,
    /// How many there may be.
    pub limits: Limits,
    /// Most streams of one connection.
    pub streams: usize,
}

impl Default for Config {
    fn default() -> Self {
        let limits = Limits { sessions: 8, connections: 64 };
        Self { timeout: SESSION_TIMEOUT, limits, streams: 256 }
    }
}

/// Makes peer connections that are still to be negotiated.
pub trait Backend: Clone + Send + Sync + Unpin + 'static {
    /// One of them.
    type Connection: Negotiate;

    /// A fresh one.
    fn connection(&self, role: Role) -> Result<Self::Connection, <Self::Connection as Negotiate>::Error>;
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Too many connections, or one with this peer is being made.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Both sides dialled, and the peer's dial goes on.
    #[error("the peer dials us at the same time, and its dial goes on")]
    Crossed,
    /// No way to signal.
    #[error(transparent)]
    Unreachable(#[from] Unreachable),
    /// Signalling or connecting failed.
    #[error(transparent)]
    Failed(#[from] NegotiateError),
    /// The peer began to signal with something else.
    #[error("the peer began without an offer")]
    NoOffer,
    /// Nothing worked in time.
    #[error("no connection after {0:?}")]
    Late(Duration),
    /// The behaviour is gone.
    #[error("the node has stopped")]
    Stopped,
    /// One listener is enough.
    #[error("already listening on /webrtc")]
    Listening,
}

/// Where a peer listens for offers.
struct Target {
    peer: PeerId,
    /// Where it can be dialled to signal; without, an existing connection is needed.
    circuit: Option<Multiaddr>,
}

impl Target {
    fn of(address: &Multiaddr) -> Option<Self> {
        if let Ok(CircuitAddress { circuit, target }) = CircuitAddress::try_from(address) {
            return Some(Self { peer: target, circuit: Some(circuit) });
        }
        match address.iter().last() {
            Some(Protocol::P2p(peer)) if *address == webrtc_peer(peer) => Some(Self { peer, circuit: None }),
            _ => None,
        }
    }
}

/// Where we can be found by who would find us at `circuit`, if that is the address of a circuit.
pub(crate) fn over(circuit: &Multiaddr) -> Option<Multiaddr> {
    let parts: Vec<_> = circuit.iter().collect();
    match &parts[..] {
        [relay @ .., Protocol::P2pCircuit, us @ Protocol::P2p(_)] => {
            let webrtc = [Protocol::P2pCircuit, Protocol::WebRTC, us.clone()];
            Some(relay.iter().cloned().chain(webrtc).collect())
        }
        _ => None,
    }
}

/// Half of what [`pair`] makes: it dials `<relay>/p2p-circuit/webrtc/p2p/<peer>`, or `/webrtc/p2p/<peer>` where there is
/// a connection to the peer already, and listens on `/webrtc`.
pub struct Transport<B: Backend> {
    backend: B,
    config: Config,
    sessions: Sessions,
    requests: mpsc::UnboundedSender<Request>,
    news: mpsc::UnboundedReceiver<News>,
    listener: Option<ListenerId>,
    reachable: BTreeSet<Multiaddr>,
    events: VecDeque<TransportEvent<Upgrade<B>, Error>>,
}

type Connected<B> = (PeerId, Muxer<Placed<<B as Backend>::Connection>>);
type Upgrade<B> = BoxFuture<'static, Result<Connected<B>, Error>>;

/// A transport and its behaviour, which belong in the same swarm.
pub fn pair<B: Backend>(local: PeerId, backend: B, config: Config) -> (Transport<B>, Behaviour) {
    let sessions = Sessions::new(local, config.limits);
    let (requests, requested) = mpsc::unbounded();
    let (tell, news) = mpsc::unbounded();
    let behaviour = Behaviour::new(sessions.clone(), requested, tell);
    let transport = Transport {
        backend,
        config,
        sessions,
        requests,
        news,
        listener: None,
        reachable: BTreeSet::new(),
        events: VecDeque::new(),
    };
    (transport, behaviour)
}

impl<B: Backend> libp2p::Transport for Transport<B> {
    type Output = Connected<B>;
    type Error = Error;
    type ListenerUpgrade = Upgrade<B>;
    type Dial = Upgrade<B>;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        if address != Multiaddr::from(Protocol::WebRTC) {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        if self.listener.is_some() {
            return Err(TransportError::Other(Error::Listening));
        }
        self.listener = Some(id);
        let known = self.reachable.iter().cloned();
        self.events
            .extend(known.map(|listen_addr| TransportEvent::NewAddress { listener_id: id, listen_addr }));
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let removed = self.listener.take_if(|listener| *listener == id).is_some();
        if removed {
            self.events.push_back(TransportEvent::ListenerClosed { listener_id: id, reason: Ok(()) });
        }
        removed
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<Upgrade<B>, TransportError<Error>> {
        match Target::of(&address) {
            Some(target) if opts.role.is_dialer() => {
                let (backend, config) = (self.backend.clone(), self.config);
                let (sessions, requests) = (self.sessions.clone(), self.requests.clone());
                Ok(dial(backend, config, sessions, requests, target).boxed())
            }
            _ => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TransportEvent<Upgrade<B>, Error>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            match self.news.poll_next_unpin(context) {
                Poll::Ready(Some(news)) => self.on_news(news),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

impl<B: Backend> fmt::Debug for Transport<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Transport").field("reachable", &self.reachable).finish_non_exhaustive()
    }
}

impl<B: Backend> Transport<B> {
    fn on_news(&mut self, news: News) {
        let event = match (news, self.listener) {
            (News::Offered(peer, ..), None) => return tracing::debug!(%peer, "offer refused: not listening"),
            (News::Offered(peer, send_back_addr, pipe), Some(listener_id)) => TransportEvent::Incoming {
                listener_id,
                upgrade: accept(self.backend.clone(), self.config, self.sessions.clone(), peer, pipe).boxed(),
                local_addr: Protocol::WebRTC.into(),
                send_back_addr,
            },
            (News::Reachable(address), listener) => {
                let (new, Some(listener_id)) = (self.reachable.insert(address.clone()), listener) else {
                    return;
                };
                if !new {
                    return;
                }
                TransportEvent::NewAddress { listener_id, listen_addr: address }
            }
            (News::Unreachable(address), listener) => {
                let (old, Some(listener_id)) = (self.reachable.remove(&address), listener) else { return };
                if !old {
                    return;
                }
                TransportEvent::AddressExpired { listener_id, listen_addr: address }
            }
        };
        self.events.push_back(event);
    }
}

async fn dial<B: Backend>(
    backend: B,
    config: Config,
    sessions: Sessions,
    requests: mpsc::UnboundedSender<Request>,
    Target { peer, circuit }: Target,
) -> Result<Connected<B>, Error> {
    let (session, crossed) = sessions.dial(peer)?;
    let connected = pin!(within(config.timeout, async {
        let (reply, answer) = oneshot::channel();
        requests.unbounded_send(Request { peer, circuit, reply }).map_err(|_| Error::Stopped)?;
        let pipe = answer.await.map_err(|_| Error::Stopped)??;
        let connection = backend.connection(Role::Dialer).map_err(NegotiateError::connection)?;
        let connection =
            negotiate(connection, pipe, Negotiation::new(Role::Dialer), || session.offer()).await?;
        Ok((peer, Muxer::new(Placed::new(connection, session.place()), config.streams)))
    }));
    match select(connected, crossed).await {
        Either::Left((connected, _)) => connected,
        Either::Right(_) => Err(Error::Crossed),
    }
}

async fn accept<B: Backend>(
    backend: B,
    config: Config,
    sessions: Sessions,
    peer: PeerId,
    mut pipe: Pipe,
) -> Result<Connected<B>, Error> {
    within(config.timeout, async {
        let mut negotiation = Negotiation::new(Role::Listener);
        match pipe.receive().await.map_err(NegotiateError::from)? {
            Some(offer @ Signal::Offer(_)) => negotiation.on_signal(offer),
            _ => return Err(Error::NoOffer),
        }
        let session = match sessions.accept(peer) {
            Ok(session) => session,
            Err(refusal) => {
                end(pipe).await;
                return Err(refusal.into());
            }
        };
        let connection = backend.connection(Role::Listener).map_err(NegotiateError::connection)?;
        let connection = negotiate(connection, pipe, negotiation, || true).await?;
        Ok((peer, Muxer::new(Placed::new(connection, session.place()), config.streams)))
    })
    .await
}

async fn within<T>(timeout: Duration, task: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match select(pin!(task), Delay::new(timeout)).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => Err(Error::Late(timeout)),
    }
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
