//! webrtc-direct as a libp2p transport: listens for versions 1 and 2 on one UDP port, dials either.

use std::{
    collections::VecDeque,
    fmt, io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream::SelectAll};
use if_watch::{IfEvent, tokio::IfWatcher};
use libp2p::{
    Multiaddr, PeerId, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
    identity::Keypair,
    noise,
};
use tokio::{sync::mpsc, time::timeout};

use super::{
    certificate::Certificate,
    link::Connection,
    listener::{Dial, HALF_OPEN, Incoming, Listener, dial},
    system::{hex, local_address, random},
    udp::Socket,
};
use crate::{
    Lost, Muxer,
    handshake::{Side, authenticate},
    protocol::{AddressError, Credentials, DirectAddress, Version},
};

/// How long a connection may take until the peer has proved who it is. Guess.
const OPENING: Duration = Duration::from_secs(15);

/// How webrtc-direct is spoken.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub keypair: Keypair,
    /// For those who dial us; it is in our address.
    pub certificate: Certificate,
    /// As which version we dial. Every listener understands version 1.
    pub version: Version,
    /// Most streams of one connection.
    pub streams: usize,
}

impl Config {
    /// A certificate that is a function of `keypair`, so that our address stays the same; version 1 when dialling; 256
    /// streams.
    pub fn new(keypair: Keypair) -> Self {
        // Only an RSA key has no secret to derive from.
        let secret = keypair.derive_secret(b"braidcast webrtc-direct certificate").unwrap_or_else(random);
        let certificate = Certificate::from_secret(&secret);
        Self { keypair, certificate, version: Version::V1, streams: 256 }
    }
}

/// What went wrong with an address or a connection.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is of webrtc-direct, and wrong.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// It lacks `/certhash`.
    #[error("the address has no /certhash")]
    NoCertificate,
    /// No socket.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The connection broke while it came up.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The peer did not prove who it is.
    #[error("the peer's identity is not proved: {0}")]
    Identity(#[from] noise::Error),
    /// Nothing came of it in time.
    #[error("no connection after {0:?}")]
    Late(Duration),
}

type Output = (PeerId, Muxer<Connection>);
type Upgrade = BoxFuture<'static, Result<Output, Error>>;
type Event = TransportEvent<Upgrade, Error>;

/// The transport. Its output is authenticated and multiplexed.
pub struct Transport {
    config: Config,
    listeners: SelectAll<Listening>,
    /// Woken by a new listener.
    waker: Option<Waker>,
}

impl Transport {
    /// Nothing listens yet.
    pub fn new(config: Config) -> Self {
        Self { config, listeners: SelectAll::new(), waker: None }
    }
}

impl libp2p::Transport for Transport {
    type Output = Output;
    type Error = Error;
    type ListenerUpgrade = Upgrade;
    type Dial = Upgrade;

    fn listen_on(&mut self, id: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        let direct = parse(&address)?;
        let listening = Listening::new(id, direct.socket, self.config.clone())
            .map_err(|error| TransportError::Other(error.into()))?;
        self.listeners.push(listening);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Ok(())
    }

    fn remove_listener(&mut self, id: ListenerId) -> bool {
        let found = self.listeners.iter_mut().find(|listening| listening.id == id && !listening.closed);
        found.map(|listening| listening.close(Ok(()))).is_some()
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<Upgrade, TransportError<Error>> {
        let direct = parse(&address)?;
        if opts.role.is_listener() || direct.socket.port() == 0 || direct.socket.ip().is_unspecified() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        Ok(in_time(connect(direct, self.config.clone())))
    }

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Event> {
        match self.listeners.poll_next_unpin(context) {
            Poll::Ready(Some(event)) => Poll::Ready(event),
            Poll::Ready(None) | Poll::Pending => {
                self.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

fn parse(address: &Multiaddr) -> Result<DirectAddress, TransportError<Error>> {
    DirectAddress::try_from(address).map_err(|error| match error {
        AddressError::Foreign => TransportError::MultiaddrNotSupported(address.clone()),
        error => TransportError::Other(error.into()),
    })
}

fn in_time(opening: impl Future<Output = Result<Output, Error>> + Send + 'static) -> Upgrade {
    async { timeout(OPENING, opening).await.unwrap_or(Err(Error::Late(OPENING))) }.boxed()
}

/// Dials.
async fn connect(direct: DirectAddress, config: Config) -> Result<Output, Error> {
    let fingerprint = direct.fingerprint.ok_or(Error::NoCertificate)?;
    let local = local_address(direct.socket)?;
    let socket = Socket::bind(SocketAddr::new(local, 0))?;
    let local = socket.address();
    let (server, dialer) = match config.version {
        Version::V1 => {
            let shared = Credentials::v1(random());
            (shared.clone(), shared)
        }
        Version::V2 => {
            let (ufrag, password) = (hex(random::<4>()), hex(random::<16>()));
            let server = Credentials::v2(&password).expect("32 letters are a password");
            (server, Credentials { ufrag, password })
        }
    };
    // "SHOULD NOT reuse the same certificate": it would tell who we are to whoever looks on.
    let certificate = Certificate::from_secret(&random());
    let ours = certificate.fingerprint();
    let connection =
        dial(Dial { remote: direct.socket, fingerprint, server, dialer }, certificate, socket, local);
    let theirs = connection.up().await?;
    let channel = connection.negotiated();
    let muxer = Muxer::new(connection, config.streams);
    let peer = authenticate(muxer.handshake(channel), &config.keypair, Side::Client, ours, theirs).await?;
    Ok((peer, muxer))
}

/// Is dialled.
async fn accept(incoming: Incoming, config: Config) -> Result<Output, Error> {
    let Incoming { connection, proved, .. } = incoming;
    let theirs = connection.up().await?;
    let channel = connection.negotiated();
    let muxer = Muxer::new(connection, config.streams);
    let ours = config.certificate.fingerprint();
    let peer = authenticate(muxer.handshake(channel), &config.keypair, Side::Server, ours, theirs).await?;
    proved.store(true, Relaxed);
    Ok((peer, muxer))
}

/// One listening socket.
struct Listening {
    id: ListenerId,
    config: Config,
    socket: SocketAddr,
    /// Of a socket that listens on all interfaces.
    interfaces: Option<IfWatcher>,
    incoming: mpsc::Receiver<Incoming>,
    events: VecDeque<Event>,
    closed: bool,
    /// Woken when it is closed from outside.
    waker: Option<Waker>,
}

impl Listening {
    fn new(id: ListenerId, address: SocketAddr, config: Config) -> io::Result<Self> {
        let socket = Arc::new(Socket::bind(address)?);
        let address = socket.address();
        let (sender, incoming) = mpsc::channel(HALF_OPEN);
        let listener = Listener::new(socket, config.certificate.clone(), sender);
        tokio::spawn(async {
            if let Err(error) = listener.run().await {
                tracing::warn!(%error, "webrtc-direct does not listen any more");
            }
        });
        let interfaces = if address.ip().is_unspecified() { Some(IfWatcher::new()?) } else { None };
        let mut listening = Self {
            id,
            config,
            socket: address,
            interfaces,
            incoming,
            events: VecDeque::new(),
            closed: false,
            waker: None,
        };
        if listening.interfaces.is_none() {
            let listen_addr = listening.address(address.ip());
            listening.events.push_back(TransportEvent::NewAddress { listener_id: id, listen_addr });
        }
        Ok(listening)
    }

    /// As others dial it.
    fn address(&self, ip: IpAddr) -> Multiaddr {
        self.at(SocketAddr::new(ip, self.socket.port()))
    }

    fn at(&self, socket: SocketAddr) -> Multiaddr {
        let fingerprint = Some(self.config.certificate.fingerprint());
        Multiaddr::from(&DirectAddress { socket, fingerprint, peer: None })
    }

    fn close(&mut self, reason: Result<(), Error>) {
        self.closed = true;
        self.events.push_back(TransportEvent::ListenerClosed { listener_id: self.id, reason });
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn on_interface(&mut self, event: IfEvent) {
        let (IfEvent::Up(net) | IfEvent::Down(net)) = event;
        if net.addr().is_ipv4() != self.socket.is_ipv4() {
            return;
        }
        let (listener_id, listen_addr) = (self.id, self.address(net.addr()));
        self.events.push_back(match event {
            IfEvent::Up(_) => TransportEvent::NewAddress { listener_id, listen_addr },
            IfEvent::Down(_) => TransportEvent::AddressExpired { listener_id, listen_addr },
        });
    }

    fn on_incoming(&self, incoming: Incoming) -> Event {
        // It has no certificate that anybody could know in advance.
        let send_back = DirectAddress { socket: incoming.remote, fingerprint: None, peer: None };
        TransportEvent::Incoming {
            listener_id: self.id,
            local_addr: self.at(incoming.local),
            send_back_addr: Multiaddr::from(&send_back),
            upgrade: in_time(accept(incoming, self.config.clone())),
        }
    }
}

impl futures::Stream for Listening {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(Some(event));
            }
            if self.closed {
                return Poll::Ready(None);
            }
            self.waker = Some(context.waker().clone());
            match self.incoming.poll_recv(context) {
                Poll::Ready(Some(incoming)) => return Poll::Ready(Some(self.on_incoming(incoming))),
                Poll::Ready(None) => {
                    self.close(Err(io::Error::other("the socket broke").into()));
                    continue;
                }
                Poll::Pending => {}
            }
            match self.interfaces.as_mut().map(|interfaces| interfaces.poll_next_unpin(context)) {
                Some(Poll::Ready(Some(Ok(event)))) => self.on_interface(event),
                Some(Poll::Ready(Some(Err(error)))) => {
                    tracing::debug!(%error, "a change of the interfaces is not known");
                }
                Some(Poll::Ready(None) | Poll::Pending) | None => return Poll::Pending,
            }
        }
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("listeners", &self.listeners.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::future::poll_fn;
    use libp2p::Transport as _;

    use super::*;

    #[tokio::test]
    async fn who_waits_for_a_listener_hears_of_its_removal() {
        let mut transport = Transport::new(Config::new(Keypair::generate_ed25519()));
        let id = ListenerId::next();
        let address = "/ip4/127.0.0.1/udp/0/webrtc-direct".parse().expect("an address");
        transport.listen_on(id, address).expect("a free port");
        let mut is_removed = false;
        let closed = poll_fn(|context| {
            loop {
                match Pin::new(&mut transport).poll(context) {
                    Poll::Ready(TransportEvent::ListenerClosed { listener_id, .. }) => {
                        return Poll::Ready(listener_id);
                    }
                    Poll::Ready(_) => {}
                    Poll::Pending => break,
                }
            }
            if !std::mem::replace(&mut is_removed, true) {
                assert!(transport.remove_listener(id));
            }
            Poll::Pending
        });
        assert_eq!(timeout(Duration::from_secs(5), closed).await, Ok(id));
    }
}
