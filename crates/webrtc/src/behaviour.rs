use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    error::Error as StdError,
    task::{Context, Poll},
};

use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{ConnectedPoint, Endpoint, transport::PortUse},
    multiaddr::Protocol,
    swarm::{
        ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure, ExpiredListenAddr, NewListenAddr},
        dial_opts::{DialOpts, PeerCondition},
    },
};

use crate::{
    handler::{Failure, Handler, Notice, Open},
    pipe::Pipe,
    protocol::webrtc_peer,
    sessions::Sessions,
    transport,
};

/// What the transport asks for.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) peer: PeerId,
    /// Where the peer can be dialled, when there is no connection to it yet.
    pub(crate) circuit: Option<Multiaddr>,
    pub(crate) reply: oneshot::Sender<Result<Pipe, Unreachable>>,
}

/// What the behaviour tells the transport.
#[derive(Debug)]
pub(crate) enum News {
    /// The peer at this address wants to signal.
    Offered(PeerId, Multiaddr, Pipe),
    /// We are reachable at this address, or not any more.
    Reachable(Multiaddr),
    Unreachable(Multiaddr),
}

/// Why there is no way to signal to a peer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// It is not connected, and no address is known.
    #[error("there is no connection to the peer over which to signal")]
    NoConnection,
    /// The connection over which to signal cannot be made.
    #[error("no connection over which to signal: {0}")]
    Dial(String),
    /// The connection is there, and the stream is not.
    #[error(transparent)]
    Stream(#[from] Failure),
    /// The connection was closed meanwhile.
    #[error("the connection over which to signal was closed")]
    Closed,
}

/// Half of what [`pair`](crate::pair) makes: it opens and accepts the streams over which peers signal, and dials the
/// relay for it where there is no connection yet.
#[derive(Debug)]
pub struct Behaviour {
    sessions: Sessions,
    requests: mpsc::UnboundedReceiver<Request>,
    news: mpsc::UnboundedSender<News>,
    /// Over which connections each peer can be signalled to, and what its address is then.
    connections: BTreeMap<PeerId, BTreeMap<ConnectionId, Multiaddr>>,
    /// Pipes that the application has for peers, for the next dial.
    lent: BTreeMap<PeerId, Pipe>,
    waiting: BTreeMap<u64, Waiting>,
    next_number: u64,
    queue: VecDeque<ToSwarm<Infallible, Open>>,
}

/// A request, and the connection on which it is being met: one that is being made, or one that is to open a stream.
#[derive(Debug)]
struct Waiting {
    request: Request,
    connection: ConnectionId,
}

impl Behaviour {
    pub(crate) fn new(
        sessions: Sessions,
        requests: mpsc::UnboundedReceiver<Request>,
        news: mpsc::UnboundedSender<News>,
    ) -> Self {
        Self {
            sessions,
            requests,
            news,
            connections: BTreeMap::new(),
            lent: BTreeMap::new(),
            waiting: BTreeMap::new(),
            next_number: 0,
            queue: VecDeque::new(),
        }
    }

    /// Peer connections that are there or being made.
    pub fn connections(&self) -> usize {
        self.sessions.connections()
    }

    /// Attempts to make one, in both directions, ever.
    pub fn attempts(&self) -> u64 {
        self.sessions.begun()
    }

    /// Lends a way to signal to `peer` to the next dial of it, whether or not it is connected.
    pub fn lend(&mut self, peer: PeerId, pipe: Pipe) {
        self.lent.insert(peer, pipe);
    }

    /// Hands over a way to signal on which `peer` is going to offer.
    pub fn accept(&self, peer: PeerId, pipe: Pipe) {
        self.tell(News::Offered(peer, webrtc_peer(peer), pipe));
    }

    fn on_inbound(&self, peer: PeerId, connection: ConnectionId, pipe: Pipe) {
        let address = self.connections.get(&peer).and_then(|connections| connections.get(&connection));
        if let Some(address) = address {
            self.tell(News::Offered(peer, address.clone(), pipe));
        }
    }

    fn tell(&self, news: News) {
        // The transport is gone when the node stops.
        let _ = self.news.unbounded_send(news);
    }

    fn on_request(&mut self, request: Request) {
        let peer = request.peer;
        if let Some(pipe) = self.lent.remove(&peer) {
            // The dial may have been given up.
            return drop(request.reply.send(Ok(pipe)));
        }
        let number = self.next_number;
        self.next_number += 1;
        // The oldest will do, whatever it is: the stream goes to the right peer.
        if let Some(connection) =
            self.connections.get(&peer).and_then(|connections| connections.keys().next()).copied()
        {
            self.waiting.insert(number, Waiting { request, connection });
            return self.open(peer, connection, number);
        }
        let Some(circuit) = request.circuit.clone() else {
            return drop(request.reply.send(Err(Unreachable::NoConnection)));
        };
        let opts = DialOpts::peer_id(peer).condition(PeerCondition::Always).addresses(vec![circuit]).build();
        self.waiting.insert(number, Waiting { request, connection: opts.connection_id() });
        self.queue.push_back(ToSwarm::Dial { opts });
    }

    fn open(&mut self, peer_id: PeerId, connection: ConnectionId, number: u64) {
        let handler = NotifyHandler::One(connection);
        self.queue.push_back(ToSwarm::NotifyHandler { peer_id, handler, event: Open(number) });
    }

    fn on_established(&mut self, peer: PeerId, connection: ConnectionId, endpoint: &ConnectedPoint) {
        let address = address_over(endpoint, peer);
        self.connections.entry(peer).or_default().insert(connection, address);
        let numbers: Vec<_> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| waiting.connection == connection)
            .map(|(number, _)| *number)
            .collect();
        for number in numbers {
            self.open(peer, connection, number);
        }
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId) {
        if let Some(connections) = self.connections.get_mut(&peer) {
            connections.remove(&connection);
            if connections.is_empty() {
                self.connections.remove(&peer);
            }
        }
        self.fail(connection, &Unreachable::Closed);
    }

    fn fail(&mut self, connection: ConnectionId, reason: &Unreachable) {
        for (_, waiting) in self.waiting.extract_if(.., |_, waiting| waiting.connection == connection) {
            // The dial may have been given up.
            let _ = waiting.request.reply.send(Err(reason.clone()));
        }
    }

    fn answer(&mut self, number: u64, answer: Result<Pipe, Unreachable>) {
        if let Some(waiting) = self.waiting.remove(&number) {
            // The dial may have been given up.
            let _ = waiting.request.reply.send(answer);
        }
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Infallible;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished {
                peer_id,
                connection_id,
                endpoint,
                ..
            }) => {
                self.on_established(peer_id, connection_id, endpoint);
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, .. }) => {
                self.on_closed(peer_id, connection_id);
            }
            FromSwarm::DialFailure(DialFailure { connection_id, error, .. }) => {
                self.fail(connection_id, &Unreachable::Dial(innermost(error)));
            }
            FromSwarm::NewListenAddr(NewListenAddr { addr, .. }) => {
                if let Some(address) = transport::over(addr) {
                    self.tell(News::Reachable(address));
                }
            }
            FromSwarm::ExpiredListenAddr(ExpiredListenAddr { addr, .. }) => {
                if let Some(address) = transport::over(addr) {
                    self.tell(News::Unreachable(address));
                }
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: PeerId, connection: ConnectionId, notice: Notice) {
        match notice {
            Notice::Opened(number, stream) => self.answer(number, Ok(Pipe::over(stream, ()))),
            Notice::Failed(number, failure) => self.answer(number, Err(failure.into())),
            Notice::Inbound(stream, token) => self.on_inbound(peer, connection, Pipe::over(stream, token)),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Infallible, Open>> {
        loop {
            if let Some(order) = self.queue.pop_front() {
                return Poll::Ready(order);
            }
            match self.requests.poll_next_unpin(context) {
                Poll::Ready(Some(request)) => self.on_request(request),
                Poll::Ready(None) | Poll::Pending => return Poll::Pending,
            }
        }
    }
}

/// Where a peer that signals over this connection is, as it would be dialled: js-libp2p's identify fails at an observed address
/// without a host.
fn address_over(endpoint: &ConnectedPoint, peer: PeerId) -> Multiaddr {
    let circuit = match endpoint {
        ConnectedPoint::Dialer { address, .. } => address.clone(),
        ConnectedPoint::Listener { local_addr, .. } => {
            let relay = local_addr.iter().take_while(|part| *part != Protocol::P2pCircuit);
            relay.chain([Protocol::P2pCircuit, Protocol::P2p(peer)]).collect()
        }
    };
    if endpoint.is_relayed() { transport::over(&circuit) } else { None }.unwrap_or_else(|| webrtc_peer(peer))
}

/// The cause, without the path to it.
pub(crate) fn innermost(error: &dyn StdError) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}
