//! webrtc-direct, dialled by the browser.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    FutureExt,
    future::{BoxFuture, Either, Pending, select, select_ok},
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId, TransportError,
    core::{
        muxing::StreamMuxer,
        transport::{DialOpts, ListenerId, TransportEvent},
    },
    identity::Keypair,
    noise,
};
use send_wrapper::SendWrapper;

use super::Connection;
use crate::{
    Lost, Muxer, Negotiate,
    handshake::{Side, authenticate},
    protocol::{
        AddressError, Credentials, Description, DirectAddress, Fingerprint, Role, SdpError, Version, munge,
    },
};

/// How much earlier version 1 is tried when it is not known what the listener takes. One of version 1 alone drops version 2
/// without a word.
const HEAD_START: Duration = Duration::from_millis(300);

/// How webrtc-direct is dialled.
#[derive(Clone, Debug)]
pub struct Config {
    /// Who we are.
    pub keypair: Keypair,
    /// Most streams of one connection.
    pub streams: usize,
    /// Certificates of those that are known to take version 2, which needs no change of what the browser offers. Others are
    /// dialled with both versions, if need be.
    pub v2: BTreeSet<Fingerprint>,
}

impl Config {
    /// 256 streams; nobody is known to take version 2.
    pub fn new(keypair: Keypair) -> Self {
        Self { keypair, streams: 256, v2: BTreeSet::new() }
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
    /// The browser makes no such connection.
    #[error(transparent)]
    Browser(#[from] super::Error),
    /// The browser's offer is not understood.
    #[error(transparent)]
    Offer(#[from] SdpError),
    /// The connection broke while it came up, or nobody answers.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The peer did not prove who it is.
    #[error("the peer's identity is not proved: {0}")]
    Identity(#[from] noise::Error),
}

type Output = (PeerId, Muxer<Connection>);

/// The transport, dial only. Its output is authenticated and multiplexed. A dial has no time limit.
#[derive(Clone, Debug)]
pub struct Transport {
    config: Config,
}

impl Transport {
    /// Dials nobody yet. Where there is no WebRTC, dials fail with [`Missing`](super::Error::Missing).
    pub fn new(config: Config) -> Self {
        Self { config }
    }
}

impl libp2p::Transport for Transport {
    type Output = Output;
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Output, Error>>;
    type Dial = BoxFuture<'static, Result<Output, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        let direct = DirectAddress::try_from(&address).map_err(|error| match error {
            AddressError::Foreign => TransportError::MultiaddrNotSupported(address.clone()),
            error => TransportError::Other(error.into()),
        })?;
        if opts.role.is_listener() || direct.socket.port() == 0 || direct.socket.ip().is_unspecified() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        let theirs = direct.fingerprint.ok_or(TransportError::Other(Error::NoCertificate))?;
        Ok(SendWrapper::new(connect(direct, theirs, self.config.clone())).boxed())
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

async fn connect(direct: DirectAddress, theirs: Fingerprint, config: Config) -> Result<Output, Error> {
    let attempt = |version| attempt(version, &direct, theirs, &config);
    if config.v2.contains(&theirs) {
        return attempt(Version::V2).await;
    }
    let first = pin!(attempt(Version::V1));
    let first = match select(first, Delay::new(HEAD_START)).await {
        Either::Left((Ok(output), _)) => return Ok(output),
        // It may be that this browser lets nobody change its offer.
        Either::Left((Err(error), _)) => {
            tracing::debug!(%error, "webrtc-direct version 1 failed");
            return attempt(Version::V2).await;
        }
        Either::Right(((), first)) => first,
    };
    let second = pin!(attempt(Version::V2));
    select_ok([Either::Left(first), Either::Right(second)]).await.map(|(output, _)| output)
}

async fn attempt(
    version: Version,
    direct: &DirectAddress,
    theirs: Fingerprint,
    config: &Config,
) -> Result<Output, Error> {
    let mut connection = Connection::new(&[], Role::Dialer)?;
    let channel = connection.negotiated(0)?;
    let offer = connection.offer().await?;
    let own = Description::parse(&offer)?;
    let password = &own.credentials.password;
    let (server, offer) = match version {
        Version::V1 => {
            let shared = Credentials::v1_with(password).ok_or(SdpError("ice-pwd"))?;
            let offer = munge(&offer, &shared);
            (shared, offer)
        }
        Version::V2 => (Credentials::v2(password).ok_or(SdpError("ice-pwd"))?, offer),
    };
    connection.set_local(offer).await?;
    let answer = Description { mid: own.mid, ..Description::of_server(server, theirs, direct.socket) };
    connection.set_remote(answer.to_string()).await?;
    let mut muxer = Muxer::new(connection, config.streams);
    let stream = muxer.handshake(channel);
    let proof = pin!(authenticate(stream, &config.keypair, Side::Client, own.fingerprint, theirs));
    let lost = poll_fn(|context| match Pin::new(&mut muxer).poll(context) {
        Poll::Ready(Err(lost)) => Poll::Ready(lost),
        _ => Poll::Pending,
    });
    match select(lost, proof).await {
        Either::Left((lost, _)) => Err(lost.into()),
        Either::Right((peer, _)) => Ok((peer?, muxer)),
    }
}
