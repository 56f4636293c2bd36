//! A peer connection without input or output: ICE, DTLS in it, SCTP in that. Datagrams and time go in, datagrams come out.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use dimpl::{Dtls, Output};
use is::{
    Candidate, IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol,
    stun::{StunMessage, StunPacket},
};
use sha2::{Digest, Sha256};

use super::{
    certificate::Certificate,
    sctp::Sctp,
    stun::{Questions, TransactionId},
};
use crate::{
    Lost,
    protocol::{Credentials, Fingerprint, Link},
};

/// Bytes of the largest datagram that leaves.
const DATAGRAM_BYTES: usize = 2048;

/// Most sockets of one peer, as we see them: its own, and those that a NAT makes of them. Guess.
const SOURCES: usize = 64;

/// A datagram, either way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    /// The peer's socket.
    pub(super) remote: SocketAddr,
    /// Our own, to which it came or from which it is to go.
    pub(super) local: SocketAddr,
    pub(super) bytes: Bytes,
}

/// How a connection begins.
pub(super) struct Begin {
    pub(super) certificate: Certificate,
    /// We answer checks and make none.
    pub(super) lite: bool,
    /// We choose among the pairs of addresses.
    pub(super) controlling: bool,
    /// Channel 0 is agreed upon in advance.
    pub(super) negotiated: bool,
}

pub(super) struct Peer {
    ice: IceAgent,
    /// From where authentic STUN came.
    sources: BTreeSet<SocketAddr>,
    questions: Questions,
    /// Addresses of ours that the peer should hear of.
    candidates: VecDeque<Candidate>,
    dtls: Dtls,
    pub(super) sctp: Sctp,
    /// Whether DTLS has a role, and whether it is the client's.
    client: Option<bool>,
    started: bool,
    /// What the peer's certificate must be.
    expected: Option<Fingerprint>,
    /// What it is.
    theirs: Option<Fingerprint>,
    /// Where the peer is, as ICE found.
    route: Option<(SocketAddr, SocketAddr)>,
    out: VecDeque<Datagram>,
    dtls_timeout: Option<Instant>,
    lost: Option<Lost>,
    /// We close: at once, or when the peer has everything.
    closing: bool,
    finishing: bool,
    /// Of who waits for the connection to come up.
    waiting: Option<Waker>,
    /// Of who waits for its end.
    ends: Option<Waker>,
    buffer: Vec<u8>,
}

impl Peer {
    pub(super) fn new(begin: Begin, now: Instant) -> Self {
        // No cookie, which not every dialler knows. Where both check by ICE, the peer is where it says; a listener of
        // webrtc-direct has only a binding request for that.
        let config = dimpl::Config::builder().use_server_cookie(false).build();
        let config = config.expect("the crypto is compiled in");
        let certificate = dimpl::DtlsCertificate::clone(&begin.certificate.dtls);
        let mut ice = IceAgent::new(IceCreds::new());
        ice.set_ice_lite(begin.lite);
        ice.set_controlling(begin.controlling);
        // A peer that is not heard for 12 s is gone. Guess.
        ice.set_max_stun_retransmits(7);
        ice.set_max_stun_rto(Duration::from_secs(2));
        Self {
            ice,
            sources: BTreeSet::new(),
            questions: Questions::default(),
            candidates: VecDeque::new(),
            dtls: Dtls::new_auto(Arc::new(config), certificate, now),
            sctp: Sctp::new(begin.negotiated),
            client: None,
            started: false,
            expected: None,
            theirs: None,
            route: None,
            out: VecDeque::new(),
            dtls_timeout: None,
            lost: None,
            closing: false,
            finishing: false,
            waiting: None,
            ends: None,
            buffer: vec![0; DATAGRAM_BYTES],
        }
    }

    pub(super) fn set_local(&mut self, credentials: Credentials) {
        self.ice.set_local_credentials(IceCreds { ufrag: credentials.ufrag, pass: credentials.password });
    }

    /// What the peer says of itself, and which side of DTLS we take. Without a fingerprint any certificate will do.
    pub(super) fn set_remote(
        &mut self,
        credentials: Credentials,
        fingerprint: Option<Fingerprint>,
        client: bool,
    ) {
        self.ice.set_remote_credentials(IceCreds { ufrag: credentials.ufrag, pass: credentials.password });
        self.expected = fingerprint;
        self.client = Some(client);
    }

    /// Our credentials.
    pub(super) fn local(&self) -> Credentials {
        let IceCreds { ufrag, pass } = self.ice.local_credentials().clone();
        Credentials { ufrag, password: pass }
    }

    /// An address of ours.
    pub(super) fn add_local(&mut self, address: SocketAddr) {
        if let Ok(candidate) = Candidate::host(address, Protocol::Udp) {
            self.add_candidate(candidate);
        }
    }

    fn add_candidate(&mut self, candidate: Candidate) {
        if let Some(candidate) = self.ice.add_local_candidate(candidate) {
            self.candidates.push_back(candidate.clone());
            self.sctp.wakers.extend(self.waiting.take());
        }
    }

    /// Asks a STUN server for the address behind which our address `local` is.
    pub(super) fn ask(&mut self, server: SocketAddr, local: SocketAddr, id: TransactionId, now: Instant) {
        self.questions.ask(server, local, id, now);
    }

    pub(super) fn set_controlling(&mut self) {
        self.ice.set_controlling(true);
    }

    pub(super) fn add_remote(&mut self, candidate: Candidate) {
        self.ice.add_remote_candidate(candidate);
    }

    pub(super) fn handle(&mut self, now: Instant, datagram: &Datagram) {
        let Some(&first) = datagram.bytes.first() else { return };
        match first {
            0..=3 => {
                if let Some((seen, base)) = self.questions.handle(datagram) {
                    if let Ok(candidate) = Candidate::server_reflexive(seen, base, Protocol::Udp) {
                        self.add_candidate(candidate);
                    }
                    return;
                }
                let Ok(message) = StunMessage::parse(&datagram.bytes) else { return };
                let is_new = !self.sources.contains(&datagram.remote);
                if is_new && self.sources.len() >= SOURCES {
                    return;
                }
                if message.is_binding_request() && message.split_username().is_none() {
                    return;
                }
                let (source, destination) = (datagram.remote, datagram.local);
                let packet = StunPacket { proto: Protocol::Udp, source, destination, message };
                if self.ice.handle_packet(now, packet) && is_new {
                    self.sources.insert(source);
                }
            }
            // Of others, one that makes no sense would end the connection.
            20..=63 if self.client.is_some() && self.sources.contains(&datagram.remote) => {
                // The peer may begin before it has told us which pair of addresses it takes.
                if self.route.is_none() && self.ice.has_viable_remote_candidate(datagram.remote) {
                    self.route = Some((datagram.local, datagram.remote));
                }
                self.start_dtls(now);
                if let Err(error) = self.dtls.handle_packet(&datagram.bytes) {
                    self.lose(Lost::Broken(format!("DTLS: {error}").into()));
                }
                // It holds few records.
                self.settle_dtls(now);
            }
            _ => {}
        }
    }

    /// Lets time pass and everything happen that can. Then come [`poll_out`](Self::poll_out) and
    /// [`timeout`](Self::timeout).
    pub(super) fn turn(&mut self, now: Instant) {
        if self.lost.is_some() {
            return;
        }
        if self.ice.poll_timeout().is_none_or(|at| at <= now) {
            self.ice.handle_timeout(now);
        }
        if self.dtls_timeout.is_some_and(|at| at <= now)
            && let Err(error) = self.dtls.handle_timeout(now)
        {
            self.lose(Lost::Broken(format!("DTLS: {error}").into()));
        }
        if self.sctp.timeout().is_some_and(|at| at <= now) {
            self.sctp.handle_timeout(now);
        }
        self.out.extend(std::iter::from_fn(|| self.questions.poll(now)));
        self.settle_ice(now);
        self.settle_dtls(now);
        while let Some(packets) = self.sctp.poll_packets(now) {
            for packet in packets {
                if let Err(error) = self.dtls.send_application_data(&packet) {
                    return self.lose(Lost::Broken(format!("DTLS: {error}").into()));
                }
                self.settle_dtls(now);
            }
        }
        if let Some(reason) = self.sctp.lost() {
            let reason = format!("SCTP: {reason}").into();
            self.lose(Lost::Broken(reason));
        }
        if self.closing || self.finishing && self.sctp.is_flushed() {
            let _ = self.dtls.close();
            self.settle_dtls(now);
            self.lose(Lost::Closed);
        }
        if self.sctp.is_connected() {
            self.sctp.wakers.extend(self.waiting.take());
        }
    }

    fn settle_ice(&mut self, now: Instant) {
        while let Some(event) = self.ice.poll_event() {
            match event {
                IceAgentEvent::NominatedSend { source, destination, .. } => {
                    self.route = Some((source, destination));
                    if self.client == Some(true) {
                        self.start_dtls(now);
                    }
                }
                // Before the first route it may only be early: candidates trickle in.
                IceAgentEvent::IceConnectionStateChange(IceConnectionState::Disconnected)
                    if self.route.is_some() =>
                {
                    self.lose(Lost::Broken("the peer is not heard any more".into()));
                }
                _ => {}
            }
        }
        while let Some(transmit) = self.ice.poll_transmit() {
            let bytes = Vec::from(transmit.contents).into();
            self.out.push_back(Datagram { remote: transmit.destination, local: transmit.source, bytes });
        }
    }

    /// The client begins when it knows the way, the server when the client does.
    fn start_dtls(&mut self, now: Instant) {
        if !self.started {
            self.started = true;
            self.dtls.set_active(self.client == Some(true));
            if let Err(error) = self.dtls.handle_timeout(now) {
                self.lose(Lost::Broken(format!("DTLS: {error}").into()));
            }
        }
    }

    fn settle_dtls(&mut self, now: Instant) {
        if !self.started {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        loop {
            match self.dtls.poll_output(&mut buffer) {
                // Without a route it is lost, as any datagram may be.
                Output::Packet(packet) => {
                    if let Some((local, remote)) = self.route {
                        self.out.push_back(Datagram { remote, local, bytes: Bytes::copy_from_slice(packet) });
                    }
                }
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::Timeout(at) => {
                    self.dtls_timeout = Some(at);
                    break;
                }
                Output::PeerCert(certificate) => {
                    let theirs = Fingerprint::new(Sha256::digest(certificate).into());
                    self.theirs = Some(theirs);
                    if self.expected.is_some_and(|expected| expected != theirs) {
                        self.lose(Lost::Broken("the peer has another certificate than it said".into()));
                        break;
                    }
                }
                Output::Connected => {
                    if self.theirs.is_none() {
                        self.lose(Lost::Broken("the peer has no certificate".into()));
                        break;
                    }
                    self.sctp.start(self.client == Some(true));
                }
                Output::ApplicationData(data) => self.sctp.handle(now, Bytes::copy_from_slice(data)),
                Output::CloseNotify => {
                    self.lose(Lost::Closed);
                    break;
                }
                _ => {}
            }
        }
        self.buffer = buffer;
    }

    #[cfg(test)]
    pub(super) fn remote_candidates(&self) -> usize {
        self.ice.remote_candidates().count()
    }

    /// What is to be sent.
    pub(super) fn poll_out(&mut self) -> Option<Datagram> {
        self.out.pop_front()
    }

    /// When the next [`turn`](Self::turn) is due.
    pub(super) fn timeout(&mut self) -> Option<Instant> {
        let timeouts =
            [self.ice.poll_timeout(), self.questions.timeout(), self.dtls_timeout, self.sctp.timeout()];
        timeouts.into_iter().flatten().min()
    }

    /// Ready with the peer's certificate when channels can be opened.
    pub(super) fn poll_up(&mut self, context: &Context<'_>) -> Poll<Result<Fingerprint, Lost>> {
        match (&self.lost, self.theirs) {
            (Some(lost), _) => Poll::Ready(Err(lost.clone())),
            (None, Some(theirs)) if self.sctp.is_connected() => Poll::Ready(Ok(theirs)),
            _ => {
                self.waiting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    /// The next address of ours that the peer should hear of.
    pub(super) fn poll_candidate(&mut self, context: &Context<'_>) -> Poll<Candidate> {
        let candidate = self.candidates.pop_front();
        self.or_wait(context, candidate)
    }

    /// What becomes of the connection, each once.
    pub(super) fn poll_link(&mut self, context: &Context<'_>) -> Poll<Link> {
        let link = self.sctp.links.pop_front();
        self.or_wait(context, link)
    }

    fn or_wait<T>(&mut self, context: &Context<'_>, found: Option<T>) -> Poll<T> {
        if found.is_none() {
            self.waiting = Some(context.waker().clone());
        }
        found.map_or(Poll::Pending, Poll::Ready)
    }

    /// Ready when nothing comes or goes any more.
    pub(super) fn poll_lost(&mut self, context: &Context<'_>) -> Poll<Lost> {
        match &self.lost {
            Some(lost) => Poll::Ready(lost.clone()),
            None => {
                self.ends.clone_from(&Some(context.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Closes once the peer has everything, ready when it is closed.
    pub(super) fn poll_close(&mut self, context: &Context<'_>) -> Poll<()> {
        if self.lost.is_some() {
            return Poll::Ready(());
        }
        self.finishing = true;
        self.ends = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn lost(&self) -> Option<&Lost> {
        self.lost.as_ref()
    }

    /// Says goodbye with the next [`turn`](Self::turn).
    pub(super) fn close(&mut self) {
        self.closing = true;
    }

    pub(super) fn lose(&mut self, lost: Lost) {
        if self.lost.is_none() {
            self.sctp.lose(lost.to_string());
            self.lost = Some(lost);
            self.sctp.wakers.extend([self.waiting.take(), self.ends.take()].into_iter().flatten());
        }
    }
}
