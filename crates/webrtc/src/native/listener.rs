//! All connections of one UDP port: datagrams go by the address they come from, first ones by their STUN user name.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use bytes::BytesMut;
use is::{DefaultSha1HmacProvider, Sha1HmacProvider, stun::StunMessage};
use tokio::sync::mpsc;

use super::{
    certificate::Certificate,
    link::{Connection, Link, QUEUE, now},
    peer::{Begin, Datagram, Peer},
    udp::{Socket, Sockets},
};
use crate::{
    Lost,
    protocol::{Dialed, Fingerprint},
};

/// Most connections that have not proved who they are; the oldest goes when one more comes. Guess.
pub(super) const HALF_OPEN: usize = 256;

/// The same from one address. An office behind one address, or a machine's tests, open many at once. Guess.
const HALF_OPEN_PER_IP: usize = 64;

/// Most sockets of one peer. A browser tries a few. Guess.
const SOCKETS: usize = 16;

/// A connection that somebody opens.
pub(super) struct Incoming {
    pub(super) connection: Connection,
    pub(super) remote: SocketAddr,
    pub(super) local: SocketAddr,
    /// To be set when the peer has proved who it is.
    pub(super) proved: Arc<AtomicBool>,
}

/// Dispatches what `socket` receives.
pub(super) struct Listener {
    socket: Arc<Socket>,
    certificate: Certificate,
    incoming: mpsc::Sender<Incoming>,
    sessions: BTreeMap<u64, Session>,
    by_socket: HashMap<SocketAddr, u64>,
    by_ufrag: HashMap<String, u64>,
    next: u64,
    /// Sessions that are over.
    over: (mpsc::UnboundedSender<u64>, mpsc::UnboundedReceiver<u64>),
}

struct Session {
    link: Arc<Link>,
    datagrams: mpsc::Sender<Datagram>,
    ufrag: String,
    sockets: Vec<SocketAddr>,
    ip: IpAddr,
    proved: Arc<AtomicBool>,
}

impl Listener {
    pub(super) fn new(
        socket: Arc<Socket>,
        certificate: Certificate,
        incoming: mpsc::Sender<Incoming>,
    ) -> Self {
        Self {
            socket,
            certificate,
            incoming,
            sessions: BTreeMap::new(),
            by_socket: HashMap::new(),
            by_ufrag: HashMap::new(),
            next: 0,
            over: mpsc::unbounded_channel(),
        }
    }

    /// Until nobody takes what comes in, or the socket breaks.
    pub(super) async fn run(mut self) -> io::Result<()> {
        let (socket, mut buffer, mut arrived) = (self.socket.clone(), BytesMut::new(), Vec::new());
        loop {
            tokio::select! {
                received = socket.receive(&mut buffer, &mut arrived) => received?,
                Some(id) = self.over.1.recv() => self.forget(id),
                // Connections live on as long as somebody holds them.
                () = self.incoming.closed(), if self.sessions.is_empty() => return Ok(()),
            }
            for datagram in arrived.drain(..) {
                self.dispatch(datagram);
            }
        }
    }

    fn dispatch(&mut self, datagram: Datagram) {
        let id = self.by_socket.get(&datagram.remote).copied().or_else(|| self.admit(&datagram));
        if let Some(session) = id.and_then(|id| self.sessions.get(&id)) {
            // One that finds no room is lost.
            let _ = session.datagrams.try_send(datagram);
        }
    }

    /// The session of a socket that has not been seen. Only an authentic binding request makes one.
    fn admit(&mut self, datagram: &Datagram) -> Option<u64> {
        if datagram.bytes.first().is_none_or(|first| *first > 3) {
            return None;
        }
        let message = StunMessage::parse(&datagram.bytes).ok()?;
        if !message.is_binding_request() {
            return None;
        }
        let dialed = Dialed::from_username(message.username()?).ok()?;
        let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
        if !message.verify(dialed.server.password.as_bytes(), hmac) {
            return None;
        }
        let id = match self.by_ufrag.get(&dialed.server.ufrag) {
            Some(&id) => id,
            None => self.open(datagram, dialed)?,
        };
        let session = self.sessions.get_mut(&id)?;
        if session.sockets.len() >= SOCKETS {
            return None;
        }
        session.sockets.push(datagram.remote);
        self.by_socket.insert(datagram.remote, id);
        Some(id)
    }

    fn open(&mut self, datagram: &Datagram, dialed: Dialed) -> Option<u64> {
        self.make_room(datagram.remote.ip())?;
        let place = self.incoming.clone().try_reserve_owned().ok()?;
        let local = datagram.local;
        let certificate = self.certificate.clone();
        let begin = Begin { certificate, lite: true, controlling: false, negotiated: true };
        let mut peer = Peer::new(begin, now());
        let ufrag = dialed.server.ufrag.clone();
        peer.set_local(dialed.server);
        peer.set_remote(dialed.dialer, None, false);
        peer.add_local(local);

        let link = Link::new(peer);
        let (datagrams, queue) = mpsc::channel(QUEUE);
        let id = self.next;
        self.next += 1;
        let (driver, over) =
            (link.clone().drive(queue, Sockets(vec![self.socket.clone()])), self.over.0.clone());
        tokio::spawn(async move {
            driver.await;
            let _ = over.send(id);
        });
        let proved = Arc::new(AtomicBool::new(false));
        place.send(Incoming {
            connection: Connection { link: link.clone() },
            remote: datagram.remote,
            local,
            proved: proved.clone(),
        });
        self.by_ufrag.insert(ufrag.clone(), id);
        self.sessions.insert(
            id,
            Session { link, datagrams, ufrag, sockets: Vec::new(), ip: datagram.remote.ip(), proved },
        );
        Some(id)
    }

    /// Drops the oldest half-open session when there are too many; refuses an address that has too many itself.
    fn make_room(&mut self, ip: IpAddr) -> Option<()> {
        let half_open = || self.sessions.iter().filter(|(_, session)| !session.proved.load(Relaxed));
        if half_open().filter(|(_, session)| session.ip == ip).count() >= HALF_OPEN_PER_IP {
            return None;
        }
        if half_open().count() >= HALF_OPEN {
            let (&oldest, session) = half_open().next()?;
            session
                .link
                .change(|peer| peer.lose(Lost::Broken("too many connections are being opened".into())));
            self.forget(oldest);
        }
        Some(())
    }

    fn forget(&mut self, id: u64) {
        let Some(session) = self.sessions.remove(&id) else { return };
        self.by_ufrag.remove(&session.ufrag);
        for socket in session.sockets {
            self.by_socket.remove(&socket);
        }
    }
}

/// What a connection of webrtc-direct needs to be dialled.
pub(super) struct Dial {
    pub(super) remote: SocketAddr,
    pub(super) fingerprint: Fingerprint,
    pub(super) server: crate::protocol::Credentials,
    pub(super) dialer: crate::protocol::Credentials,
}

/// Dials from a socket of its own. `local` is our address on the way to the peer.
pub(super) fn dial(dial: Dial, certificate: Certificate, socket: Socket, local: SocketAddr) -> Connection {
    let begin = Begin { certificate, lite: false, controlling: true, negotiated: true };
    let mut peer = Peer::new(begin, now());
    peer.set_local(dial.dialer);
    peer.set_remote(dial.server, Some(dial.fingerprint), true);
    peer.add_local(local);
    if let Ok(candidate) = is::Candidate::host(dial.remote, is::Protocol::Udp) {
        peer.add_remote(candidate);
    }
    let link = Link::new(peer);
    tokio::spawn(link.clone().run(Sockets(vec![Arc::new(socket)]), std::future::ready(())));
    Connection { link }
}
