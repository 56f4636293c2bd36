//! The peer connection of `/webrtc`: both sides tell each other by signalling what they are and where.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
};

use is::{Candidate, Protocol};
use tokio::net::lookup_host;

use super::{
    certificate::Certificate,
    link::{Connection, DataChannel, Link, now},
    peer::{Begin, Peer},
    sctp::MESSAGE_BYTES,
    system::{hex, local_address, random},
    udp::{Socket, Sockets},
};
use crate::{
    Backend, Channels, IceServer, Lost, Negotiate,
    protocol::{CANDIDATES, Credentials, Description, Link as Event, Role, SdpError, Setup},
};

/// Most addresses of our own that a peer is told, public ones first. Guess.
const ADDRESSES: usize = 16;

/// The port of a STUN server that names none.
const STUN_PORT: u16 = 3478;

/// Makes peer connections of a native node.
#[derive(Clone, Debug, Default)]
pub struct Native {
    /// Of these the STUN servers are asked for our public address; TURN is not spoken here.
    pub servers: Vec<IceServer>,
    /// Connects over loopback as well, which a machine without any other address does anyway. Otherwise no loopback
    /// address of a peer's is tried: it would be a service of this machine.
    pub loopback: bool,
}

impl Backend for Native {
    type Connection = Signalled;

    fn connection(&self, role: Role) -> Result<Signalled, Error> {
        Ok(Signalled::new(self.clone(), role))
    }
}

/// Why there is no connection; what there is of it is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The peer's description lacks something.
    #[error(transparent)]
    Description(#[from] SdpError),
    /// The peer's ICE credentials are longer or shorter than credentials are.
    #[error("the peer's ICE credentials are {ufrag} and {password} bytes long")]
    Credentials {
        /// Bytes of the user name fragment.
        ufrag: usize,
        /// Bytes of the password.
        password: usize,
    },
    /// An answer must say who begins the DTLS handshake.
    #[error("the peer's answer leaves open who begins")]
    Setup,
    /// No socket.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// A peer connection of `/webrtc`, negotiated or not. Dropping it closes it.
#[derive(Debug)]
pub struct Signalled {
    pub(super) connection: Connection,
    config: Native,
    certificate: Certificate,
    role: Role,
    /// What the peer's offer says: the name of its section, and which side of DTLS is left to us.
    mid: String,
    setup: Setup,
    /// Candidates of the peer, so far.
    candidates: usize,
    /// We have told of a loopback address of our own.
    loopback: bool,
}

impl Signalled {
    fn new(config: Native, role: Role) -> Self {
        let certificate = Certificate::from_secret(&random());
        let controlling = role == Role::Dialer;
        let begin = Begin { certificate: certificate.clone(), lite: false, controlling, negotiated: false };
        let mut peer = Peer::new(begin, now());
        peer.set_local(Credentials { ufrag: hex(random::<4>()), password: hex(random::<16>()) });
        Self {
            connection: Connection { link: Link::new(peer) },
            certificate,
            role,
            mid: "0".into(),
            setup: Setup::ActPass,
            candidates: 0,
            loopback: addresses(config.loopback).is_ok_and(|all| all.iter().any(IpAddr::is_loopback)),
            config,
        }
    }

    fn description(&self) -> String {
        let description = Description {
            credentials: self.connection.link.with(|peer| peer.local()),
            fingerprint: self.certificate.fingerprint(),
            setup: self.setup,
            ice_lite: false,
            mid: self.mid.clone(),
            max_message_bytes: MESSAGE_BYTES,
            candidates: Vec::new(),
        };
        description.to_string()
    }

    /// Binds our sockets and begins.
    fn begin(&self) -> io::Result<()> {
        let any = [IpAddr::from(Ipv4Addr::UNSPECIFIED), IpAddr::from(Ipv6Addr::UNSPECIFIED)];
        let (bound, failed): (Vec<_>, Vec<_>) =
            any.map(|ip| Socket::bind(SocketAddr::new(ip, 0))).into_iter().partition(Result::is_ok);
        let sockets: Vec<_> = bound.into_iter().flatten().map(Arc::new).collect();
        if sockets.is_empty() {
            return failed.into_iter().find_map(Result::err).map_or(Ok(()), Err);
        }
        let addresses = addresses(self.config.loopback)?;
        self.connection.link.change(|peer| {
            for socket in &sockets {
                let port = socket.address().port();
                let same = addresses.iter().filter(|ip| ip.is_ipv4() == socket.address().is_ipv4());
                same.for_each(|&ip| peer.add_local(SocketAddr::new(ip, port)));
            }
        });
        let asking = ask(self.connection.link.clone(), self.config.servers.clone(), sockets.clone());
        tokio::spawn(self.connection.link.clone().run(Sockets(sockets), asking));
        Ok(())
    }

    fn take(&mut self, description: Description) -> Result<(), Error> {
        let Description { credentials, fingerprint, setup, ice_lite, mid, candidates, .. } = description;
        if !credentials.is_usual() {
            let (ufrag, password) = (credentials.ufrag.len(), credentials.password.len());
            return Err(Error::Credentials { ufrag, password });
        }
        let client = match (setup, self.role) {
            (Setup::Passive, _) | (Setup::ActPass, Role::Listener) => true,
            (Setup::Active, _) => false,
            (Setup::ActPass, Role::Dialer) => return Err(Error::Setup),
        };
        self.setup = if client { Setup::Active } else { Setup::Passive };
        self.mid = mid;
        self.connection.link.change(|peer| {
            if ice_lite {
                peer.set_controlling();
            }
            peer.set_remote(credentials, Some(fingerprint), client);
        });
        for text in candidates {
            self.consider(Candidate::from_sdp_string(&text).ok());
        }
        Ok(())
    }

    /// An address of the peer, if it is one that can be reached from here.
    fn consider(&mut self, candidate: Option<Candidate>) {
        self.candidates += 1;
        if self.candidates > CANDIDATES {
            return;
        }
        match candidate.filter(|candidate| self.reaches(candidate)) {
            Some(candidate) => self.connection.link.change(|peer| peer.add_remote(candidate)),
            // Browsers hide their addresses behind names in `.local`: they are seen when they come to us.
            None => tracing::debug!("candidate ignored"),
        }
    }

    fn reaches(&self, candidate: &Candidate) -> bool {
        let ip = candidate.addr().ip();
        let is_local = match ip {
            IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unicast_link_local(),
        };
        candidate.proto() == Protocol::Udp
            && candidate.addr().port() != 0
            && !is_local
            && !ip.is_unspecified()
            && !ip.is_multicast()
            && (self.loopback || !ip.to_canonical().is_loopback())
    }
}

impl Negotiate for Signalled {
    type Error = Error;

    async fn create_offer(&mut self) -> Result<String, Error> {
        self.connection.link.change(|peer| peer.sctp.open_init());
        Ok(self.description())
    }

    async fn create_answer(&mut self) -> Result<String, Error> {
        Ok(self.description())
    }

    async fn set_local(&mut self, _: String) -> Result<(), Error> {
        Ok(self.begin()?)
    }

    async fn set_remote(&mut self, sdp: String) -> Result<(), Error> {
        self.take(Description::parse(&sdp)?)
    }

    async fn add_candidate(&mut self, candidate: String) {
        self.consider(serde_json::from_str(&candidate).ok());
    }

    fn close_init(&mut self) {
        self.connection.link.change(|peer| peer.sctp.close_init());
    }

    fn poll_candidate(&mut self, context: &mut Context<'_>) -> Poll<String> {
        let candidate = self.connection.link.with(|peer| peer.poll_candidate(context));
        candidate.map(|candidate| {
            serde_json::json!({
                "candidate": candidate.to_sdp_string(),
                "sdpMid": self.mid,
                "sdpMLineIndex": 0,
                "usernameFragment": candidate.ufrag(),
            })
            .to_string()
        })
    }

    fn poll_link(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        self.connection.link.with(|peer| peer.poll_link(context))
    }
}

impl Channels for Signalled {
    type Channel = DataChannel;

    fn open(&mut self) -> Result<DataChannel, Lost> {
        self.connection.open()
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<DataChannel> {
        self.connection.poll_incoming(context)
    }

    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Lost> {
        self.connection.poll_lost(context)
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.connection.poll_close(context)
    }
}

/// Our addresses on all interfaces.
fn addresses(loopback: bool) -> io::Result<Vec<IpAddr>> {
    let all = if_addrs::get_if_addrs()?;
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_link_local(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local(),
    };
    let all = all.into_iter().map(|interface| interface.ip()).filter(usable);
    Ok(choose(all.collect(), loopback))
}

/// Those through which most peers may come, first.
fn choose(all: Vec<IpAddr>, loopback: bool) -> Vec<IpAddr> {
    let (near, mut far): (Vec<_>, Vec<_>) = all.into_iter().partition(IpAddr::is_loopback);
    far.sort_by_key(is_private);
    if loopback || far.is_empty() {
        far.extend(near);
    }
    far.truncate(ADDRESSES);
    far
}

fn is_private(ip: &IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_private(),
        IpAddr::V6(ip) => ip.is_unique_local(),
    }
}

/// Asks the STUN servers where others see us.
async fn ask(link: Arc<Link>, servers: Vec<IceServer>, sockets: Vec<Arc<Socket>>) {
    for url in servers.iter().flat_map(|server| &server.urls) {
        let Some((host, port)) = stun_server(url) else {
            tracing::debug!(url, "no STUN server");
            continue;
        };
        let found = match lookup_host((host, port)).await {
            Ok(found) => found.collect::<Vec<_>>(),
            Err(error) => {
                tracing::debug!(url, %error, "the STUN server is not found");
                continue;
            }
        };
        for socket in &sockets {
            let is_same = |server: &&SocketAddr| server.is_ipv4() == socket.address().is_ipv4();
            let Some(&server) = found.iter().find(is_same) else { continue };
            if let Ok(local) = local_address(server) {
                let local = SocketAddr::new(local, socket.address().port());
                link.change(|peer| peer.ask(server, local, random(), now()));
            }
        }
    }
}

/// Host and port of `stun:host:port`, <https://www.rfc-editor.org/rfc/rfc7064>.
fn stun_server(url: &str) -> Option<(&str, u16)> {
    let server = url.strip_prefix("stun:")?;
    let server = server.split_once('?').map_or(server, |(server, _)| server);
    let (host, port) = match server.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()?),
        _ => (server, STUN_PORT),
    };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_hears_of_public_addresses_first() {
        let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
        let bridges = (0..20).map(|i| ip(&format!("172.17.{i}.1")));
        let all: Vec<_> = [ip("127.0.0.1")].into_iter().chain(bridges).chain([ip("192.0.2.1")]).collect();
        let chosen = choose(all, true);
        assert_eq!((chosen[0], chosen.len()), (ip("192.0.2.1"), ADDRESSES));
        assert_eq!(choose(vec![ip("127.0.0.1")], false), [ip("127.0.0.1")], "there is no other");
        let both = vec![ip("127.0.0.1"), ip("192.0.2.1")];
        assert_eq!(choose(both.clone(), false), [ip("192.0.2.1")]);
        assert_eq!(choose(both, true), [ip("192.0.2.1"), ip("127.0.0.1")]);
    }

    #[test]
    fn a_peer_cannot_point_at_this_machine() {
        let reaches = |loopback, text: &str| {
            let mut signalled = Signalled::new(Native::default(), Role::Listener);
            signalled.loopback = loopback;
            let address = SocketAddr::new(text.parse().expect("an address"), 9);
            signalled.reaches(&Candidate::host(address, Protocol::Udp).expect("a candidate"))
        };
        for loopback in ["127.0.0.1", "127.8.8.8", "::1"] {
            assert!(!reaches(false, loopback) && reaches(true, loopback), "{loopback}");
        }
        assert!(reaches(false, "192.0.2.1"));
    }

    #[test]
    fn stun_servers_are_named_by_urls() {
        assert_eq!(stun_server("stun:stun.example.org"), Some(("stun.example.org", 3478)));
        assert_eq!(stun_server("stun:stun.example.org:19302"), Some(("stun.example.org", 19302)));
        assert_eq!(stun_server("stun:192.0.2.1:1?transport=udp"), Some(("192.0.2.1", 1)));
        assert_eq!(stun_server("stun:[2001:db8::1]:1"), Some(("2001:db8::1", 1)));
        assert_eq!(stun_server("stun:[2001:db8::1]"), Some(("2001:db8::1", 3478)));
        for url in ["turn:turn.example.org", "stun:", "stun:a:b", "a"] {
            assert_eq!(stun_server(url), None, "{url}");
        }
    }
}
