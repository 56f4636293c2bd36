//! The hub: one [`Core`] as a libp2p behaviour. It never waits for a peer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    task::{Context, Poll},
};

use braidcast_core::{
    Command, Core, Event as CoreEvent, Frame,
    machine::{Budget, Duration, Input, Machine, Now, Output, PeerSet, Time},
    mesh::{self, Trace},
    wire::{PeerId, Topic},
};
use braidcast_webrtc::Pipe;
use bytes::Bytes;
use futures::FutureExt;
use libp2p::{
    Multiaddr, PeerId as NetPeerId,
    core::{Endpoint, transport::PortUse},
    swarm::{
        CloseConnection, ConnectionDenied, ConnectionId, FromSwarm, NetworkBehaviour, NotifyHandler, ToSwarm,
        behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure, ListenFailure},
    },
};

use crate::{
    address::{self, PeerConnection, is_circuit},
    alarm::Alarm,
    handler::{Handler, Notice, Order},
    links::{Links, Route, Step},
    outlet::Outlet,
    platform::{self, Yield},
    progress::Reports,
    quota::{Limits, Place, Quota, Spent},
    reason,
    stats::{Counters, add},
    stream::Kind,
    switchboard::{self, Switchboard},
};

/// Most bans remembered; beyond it the one that ends first is forgotten. Guess.
const BANS: usize = 4096;

/// How long the hub works before others get a turn: the driver's commands and, in a browser, the page.
const TURN: Duration = Duration::from_millis(4);

/// Fewest frames in a turn, so that one frame after a silence does not end it.
const TURN_FRAMES: usize = 16;

/// What the hub tells the driver.
#[derive(Debug)]
pub(crate) enum Event {
    /// From the mesh; never a [`mesh::Event::Trace`].
    Mesh(mesh::Event),
    /// A peer that speaks our protocol is there.
    LinkUp { peer: PeerId, route: Route },
    /// It is gone.
    LinkDown { peer: PeerId, reason: String },
    /// A connected peer does not speak our protocol.
    Unsupported { peer: PeerId },
    /// A peer that was to be called through neighbours awaits an offer.
    Reached { peer: PeerId, pipe: Pipe },
    /// No neighbour reaches it.
    Unreached { peer: PeerId },
    /// A peer has called through a neighbour, and is going to offer.
    Called { peer: PeerId, pipe: Pipe },
    /// No more peer connections can be tried for a while.
    Spent(Spent),
    /// The hub has worked for a while: a chance for others.
    Pause,
}

/// See the module.
pub(crate) struct Behaviour {
    core: Core,
    links: Links,
    /// Peers whose bulk stream can take a frame.
    writable: PeerSet,
    bans: BTreeMap<PeerId, Time>,
    quota: Quota,
    /// The dial that is about to be made leads to a relay.
    favoured: Option<ConnectionId>,
    switchboard: Switchboard,
    /// Connections that another behaviour may still refuse.
    admitted: BTreeMap<ConnectionId, (Route, Arc<Outlet>)>,
    queue: VecDeque<ToSwarm<Event, Order>>,
    reports: Reports,
    alarm: Alarm,
    /// The pause before the next slice of a long computation, while there is one.
    work: Option<Yield>,
    turn_began: Time,
    frames_this_turn: usize,
    counters: Arc<Counters>,
}

impl Behaviour {
    pub(crate) fn new(
        core: Core,
        local: PeerId,
        limits: Limits,
        switchboard: Switchboard,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            core,
            links: Links::new(local),
            writable: PeerSet::new(),
            bans: BTreeMap::new(),
            quota: Quota::new(limits),
            favoured: None,
            switchboard,
            admitted: BTreeMap::new(),
            queue: VecDeque::new(),
            reports: Reports::default(),
            alarm: Alarm::default(),
            work: None,
            turn_began: platform::now().time,
            frames_this_turn: 0,
            counters,
        }
    }

    /// The application asks.
    pub(crate) fn command(&mut self, command: mesh::Command) {
        self.input(platform::now(), Input::Command(Command::Mesh(command)));
    }

    /// The links that are up.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (PeerId, &Route)> {
        self.links.routes()
    }

    /// Whether the link to `peer` is up.
    pub(crate) fn is_linked(&self, peer: PeerId) -> bool {
        self.links.outlet(peer).is_some()
    }

    /// Calls a peer through some of these neighbours, one after the other.
    pub(crate) fn call(&mut self, peer: PeerId, carriers: Vec<PeerId>) {
        let now = platform::now();
        self.switchboard.call(peer, carriers, now.time);
        self.work.get_or_insert_default();
    }

    /// The next dial, which is this one, leads to a relay.
    pub(crate) fn favour(&mut self, connection: ConnectionId) {
        self.favoured = Some(connection);
    }

    /// `peer` relays for others: a neighbour of last resort.
    pub(crate) fn set_last_resort(&mut self, peer: PeerId) {
        self.core.set_last_resort(peer);
    }

    /// The signed record that `peer` showed, unverified.
    pub(crate) fn record_of(&self, peer: PeerId) -> Option<Bytes> {
        self.core.record_of(peer).cloned()
    }

    /// Topics that `peer` subscribes to and that we know of as well.
    pub(crate) fn topics_of(&self, peer: PeerId) -> Vec<Topic> {
        self.core.topics_of(peer).cloned().collect()
    }

    /// The pause is over.
    pub(crate) fn resume(&mut self) {
        self.turn_began = platform::now().time;
        self.frames_this_turn = 0;
    }

    fn input(&mut self, now: Now, input: Input<Frame, Command>) {
        self.core.handle(now, input);
        self.settle(now);
        self.work.get_or_insert_default();
    }

    /// Takes out all that the machine has to say, and gives bulk to whoever can take it.
    fn settle(&mut self, now: Now) {
        loop {
            while let Some(output) = self.core.poll() {
                self.on_output(now, output);
            }
            let Some((peer, frame)) = self.core.pull(now, &self.writable) else { break };
            let outlet = self.links.outlet(peer);
            debug_assert!(outlet.is_some(), "{peer:?} is writable without a link");
            if !outlet.is_some_and(|outlet| outlet.push_bulk(frame)) {
                self.writable.remove(&peer);
            }
        }
        let next = [self.core.deadline(), self.switchboard.deadline()];
        self.alarm.set(next.into_iter().flatten().min(), now.time);
    }

    fn on_output(&mut self, now: Now, output: Output<Frame, CoreEvent>) {
        match output {
            Output::Send { peer, frame } => self.send(now, peer, frame),
            Output::Event(CoreEvent::Mesh(mesh::Event::Trace(trace))) => count(&self.counters, trace),
            Output::Event(CoreEvent::Mesh(mesh::Event::Progress(progress)))
                if !self.reports.is_due(&progress, now.time) => {}
            Output::Event(CoreEvent::Mesh(event)) => self.tell(Event::Mesh(event)),
            Output::Event(CoreEvent::Carried { carrier, origin, sealed }) => {
                self.switchboard.on_carried(carrier, origin, &sealed);
            }
            Output::Event(CoreEvent::Uncarried { carrier, target }) => {
                self.switchboard.on_uncarried(carrier, target, now.time);
            }
            // Every settling pulls for all who can take something.
            Output::BulkReady(_) => {}
            Output::Offence { peer, offence } => {
                add(&self.counters.offences, 1);
                tracing::debug!(%peer, offence.rule, offence.points, "offence");
            }
            Output::Disconnect { peer, until } => {
                tracing::debug!(%peer, "banned");
                self.ban(peer, until);
                self.drop_peer(now, peer, "it was banned");
            }
        }
    }

    fn send(&mut self, now: Now, peer: PeerId, frame: Frame) {
        let Some(outlet) = self.links.outlet(peer) else { return };
        if outlet.push_control(frame).is_err() {
            tracing::debug!(%peer, "disconnected: it does not read");
            self.drop_peer(now, peer, "it reads too slowly");
        }
    }

    fn drop_peer(&mut self, now: Now, peer: PeerId, reason: &str) {
        let steps = self.links.drop_peer(peer);
        self.take(now, peer, steps, reason);
    }

    fn ban(&mut self, peer: PeerId, until: Time) {
        self.bans.insert(peer, until);
        if self.bans.len() > BANS
            && let Some(first) = self.bans.iter().min_by_key(|(_, until)| **until).map(|(peer, _)| *peer)
        {
            self.bans.remove(&first);
        }
    }

    /// Whether no connection with the peer is accepted for now.
    pub(crate) fn is_banned(&self, peer: PeerId) -> bool {
        self.bans.get(&peer).is_some_and(|until| platform::now().time < *until)
    }

    fn check_ban(&mut self, peer: NetPeerId) -> Result<(), ConnectionDenied> {
        let Some(peer) = core_id(peer) else { return Ok(()) };
        if self.is_banned(peer) {
            return Err(ConnectionDenied::new(Banned));
        }
        self.bans.remove(&peer);
        Ok(())
    }

    /// The quota, as of now.
    fn quota(&mut self) -> &mut Quota {
        self.quota.on_made(platform::peer_connections_made());
        &mut self.quota
    }

    /// Counts an attempt's peer connections.
    fn attempt(&mut self, connection: ConnectionId, count: usize) -> Result<(), ConnectionDenied> {
        let now = platform::now().time;
        let is_favoured = self.favoured.take() == Some(connection);
        let attempt = self.quota().attempt(connection, count, is_favoured, now);
        if let Some(spent) = self.quota.take_news() {
            self.tell(Event::Spent(spent));
        }
        attempt.map_err(ConnectionDenied::new)
    }

    /// Finds a place for a connection, at the cost of another if need be.
    fn place(
        &mut self,
        peer: NetPeerId,
        connection: ConnectionId,
        route: &Route,
    ) -> Result<(), ConnectionDenied> {
        let kind = address::peer_connection(&route.address);
        let (Some(PeerConnection::Link), Some(id)) = (kind, core_id(peer)) else {
            self.quota().on_other(connection, kind.is_some());
            return Ok(());
        };
        let now = platform::now();
        let worth = |peer| (self.core.is_neighbour(peer), self.core.conduct(peer).useful_bytes);
        let place = self.quota.place(id, route.inbound, now.time, worth).map_err(ConnectionDenied::new)?;
        self.quota().on_link(connection, id, place, now.time);
        if let Place::Of(least) = place {
            self.drop_peer(now, least, "it makes room for another");
            self.settle(now);
        }
        Ok(())
    }

    fn tell(&mut self, event: Event) {
        self.queue.push_back(ToSwarm::GenerateEvent(event));
    }

    /// Takes the steps of [`Links`] in order. `reason` is for a link that goes down.
    fn take(&mut self, now: Now, peer: PeerId, steps: Vec<Step>, reason: &str) {
        for step in steps {
            match step {
                Step::Open(connection) => self.order(peer, connection, Order::Open),
                Step::Shut(connection) => self.order(peer, connection, Order::Shut),
                Step::Close(connection) => {
                    let connection = CloseConnection::One(connection);
                    self.queue.push_back(ToSwarm::CloseConnection { peer_id: net_id(peer), connection });
                }
                Step::Up(_) => self.on_link_up(now, peer),
                Step::Down => {
                    self.writable.remove(&peer);
                    self.core.handle(now, Input::Disconnected { peer });
                    self.tell(Event::LinkDown { peer, reason: reason.into() });
                }
            }
        }
    }

    fn on_link_up(&mut self, now: Now, peer: PeerId) {
        let Some(route) = self.links.route(peer).cloned() else { return };
        // A relay's bytes are for signalling: the core knows only peers to whom bulk can go.
        if !route.circuit {
            self.core.handle(now, Input::Connected { peer, direction: route.direction() });
        }
        self.tell(Event::LinkUp { peer, route });
    }

    fn order(&mut self, peer: PeerId, connection: ConnectionId, order: Order) {
        let handler = NotifyHandler::One(connection);
        self.queue.push_back(ToSwarm::NotifyHandler { peer_id: net_id(peer), handler, event: order });
    }

    fn handler(&mut self, peer: NetPeerId, connection: ConnectionId, route: Route) -> Handler {
        let Some(peer) = core_id(peer) else { return Handler::disabled(self.counters.clone()) };
        let outlet = Arc::<Outlet>::default();
        let kinds = if route.circuit { Kind::RELAYED } else { Kind::ALL };
        let handler = Handler::new(kinds, self.links.follows(peer), outlet.clone(), self.counters.clone());
        self.admitted.insert(connection, (route, outlet));
        handler
    }

    fn on_established(&mut self, peer: PeerId, connection: ConnectionId) {
        let Some((route, outlet)) = self.admitted.remove(&connection) else { return };
        let steps = self.links.on_established(peer, connection, route, outlet);
        self.take(platform::now(), peer, steps, "");
    }

    fn on_closed(&mut self, peer: PeerId, connection: ConnectionId, reason: String) {
        let now = platform::now();
        let steps = self.links.on_closed(peer, connection);
        self.take(now, peer, steps, &reason);
        self.settle(now);
    }

    fn on_notice(&mut self, now: Now, peer: PeerId, connection: ConnectionId, notice: Notice) {
        let active = self.links.is_active(peer, connection);
        match notice {
            // Settled once: one acknowledgement for all.
            Notice::Received(frames) if active => {
                for frame in frames {
                    self.core.handle(now, Input::Received { peer, frame });
                }
                self.work.get_or_insert_default();
            }
            Notice::BulkFree if active => {
                self.writable.insert(peer);
            }
            // From streams that do not carry the link any more.
            Notice::Received(_) | Notice::BulkFree => return,
            Notice::Up => {
                let steps = self.links.on_up(peer, connection);
                self.take(now, peer, steps, "it moves to another connection");
            }
            Notice::Unsupported => {
                self.links.on_unsupported(peer, connection);
                self.tell(Event::Unsupported { peer });
            }
            Notice::Down(reason) => {
                let steps = self.links.on_down(peer, connection);
                self.take(now, peer, steps, &reason);
            }
            Notice::Fault(rule) => {
                add(&self.counters.offences, 1);
                tracing::debug!(%peer, rule, "disconnected: it broke the protocol");
                self.drop_peer(now, peer, &rule);
            }
        }
        self.settle(now);
    }

    fn on_step(&mut self, step: switchboard::Step) {
        match step {
            switchboard::Step::Carry { carrier, target, sealed } => {
                self.input(platform::now(), Input::Command(Command::Carry { carrier, target, sealed }));
            }
            switchboard::Step::Reached(peer, pipe) => self.tell(Event::Reached { peer, pipe }),
            switchboard::Step::Failed(peer) => self.tell(Event::Unreached { peer }),
            switchboard::Step::Called(peer, pipe) => self.tell(Event::Called { peer, pipe }),
        }
    }

    /// One slice of a long computation, when its turn has come.
    fn poll_work(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let Some(pause) = &mut self.work else { return Poll::Pending };
        if pause.poll_unpin(context).is_pending() {
            return Poll::Pending;
        }
        let now = platform::now();
        self.work = self.core.work(now, Budget(platform::WORK_BYTES)).then(platform::yield_now);
        self.settle(now);
        Poll::Ready(())
    }
}

impl NetworkBehaviour for Behaviour {
    type ConnectionHandler = Handler;
    type ToSwarm = Event;

    fn handle_pending_inbound_connection(
        &mut self,
        connection: ConnectionId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<(), ConnectionDenied> {
        let is_any = [local, remote].into_iter().any(|address| address::peer_connection(address).is_some());
        self.attempt(connection, usize::from(is_any))
    }

    fn handle_established_inbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: NetPeerId,
        local: &Multiaddr,
        remote: &Multiaddr,
    ) -> Result<Handler, ConnectionDenied> {
        self.check_ban(peer)?;
        // Through a relay, the local address is the one that names it.
        let circuit = is_circuit(local) || is_circuit(remote);
        let route = Route { address: remote.clone(), inbound: true, circuit };
        self.place(peer, connection, &route)?;
        Ok(self.handler(peer, connection, route))
    }

    fn handle_pending_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: Option<NetPeerId>,
        addresses: &[Multiaddr],
        _role: Endpoint,
    ) -> Result<Vec<Multiaddr>, ConnectionDenied> {
        peer.map_or(Ok(()), |peer| self.check_ban(peer))?;
        self.attempt(connection, addresses.iter().map(platform::peer_connections).sum())?;
        Ok(Vec::new())
    }

    fn handle_established_outbound_connection(
        &mut self,
        connection: ConnectionId,
        peer: NetPeerId,
        address: &Multiaddr,
        _role: Endpoint,
        _port: PortUse,
    ) -> Result<Handler, ConnectionDenied> {
        self.check_ban(peer)?;
        let route = Route { address: address.clone(), inbound: false, circuit: is_circuit(address) };
        self.place(peer, connection, &route)?;
        Ok(self.handler(peer, connection, route))
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        match event {
            FromSwarm::ConnectionEstablished(ConnectionEstablished { peer_id, connection_id, .. }) => {
                if let Some(peer) = core_id(peer_id) {
                    self.on_established(peer, connection_id);
                }
            }
            FromSwarm::ConnectionClosed(ConnectionClosed { peer_id, connection_id, cause, .. }) => {
                self.quota().on_gone(connection_id);
                if let Some(peer) = core_id(peer_id) {
                    let reason = cause.map_or_else(|| "closed".into(), |cause| reason::of(cause));
                    self.on_closed(peer, connection_id, reason);
                }
            }
            FromSwarm::ListenFailure(ListenFailure { connection_id, .. })
            | FromSwarm::DialFailure(DialFailure { connection_id, .. }) => {
                self.admitted.remove(&connection_id);
                self.quota().on_gone(connection_id);
            }
            _ => {}
        }
    }

    fn on_connection_handler_event(&mut self, peer: NetPeerId, connection: ConnectionId, notice: Notice) {
        let Some(peer) = core_id(peer) else { return };
        let now = platform::now();
        self.frames_this_turn += if let Notice::Received(frames) = &notice { frames.len() } else { 1 };
        self.on_notice(now, peer, connection, notice);
        if self.frames_this_turn >= TURN_FRAMES && now.time.since(self.turn_began) > TURN {
            self.turn_began = now.time;
            self.frames_this_turn = 0;
            self.tell(Event::Pause);
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Event, Order>> {
        loop {
            if let Some(event) = self.queue.pop_front() {
                return Poll::Ready(event);
            }
            if self.alarm.poll(context).is_ready() {
                let now = platform::now();
                self.switchboard.on_time(now.time);
                self.input(now, Input::Tick);
                continue;
            }
            if let Poll::Ready(step) = self.switchboard.poll(context) {
                self.on_step(step);
                continue;
            }
            if self.poll_work(context).is_ready() {
                continue;
            }
            return Poll::Pending;
        }
    }
}

/// A refused connection's reason.
#[derive(Debug, thiserror::Error)]
#[error("this peer is banned")]
struct Banned;

/// The core id of a libp2p peer; `None` unless its key is Ed25519.
pub(crate) fn core_id(peer: NetPeerId) -> Option<PeerId> {
    PeerId::from_multihash(&peer.to_bytes()).ok()
}

/// The libp2p id of a core peer.
pub(crate) fn net_id(peer: PeerId) -> NetPeerId {
    NetPeerId::from_bytes(&peer.to_multihash())
        .expect("a core id becomes an identity multihash of a public key")
}

fn count(counters: &Counters, trace: Trace) {
    match trace {
        Trace::NewPiece { .. } => add(&counters.pieces_new, 1),
        Trace::DuplicatePiece { .. } => add(&counters.pieces_duplicate, 1),
        Trace::UnnecessaryPiece { .. } => add(&counters.pieces_unnecessary, 1),
        Trace::SentPiece { .. } => add(&counters.pieces_sent, 1),
        Trace::CorruptPiece { .. } => add(&counters.pieces_corrupt, 1),
        Trace::Graft { .. } => add(&counters.grafts, 1),
        Trace::Prune { .. } => add(&counters.prunes, 1),
        Trace::Want { pieces, .. } => add(&counters.wants, pieces),
        Trace::Delivered { bytes, .. } => add(&counters.delivered_bytes, bytes),
        Trace::Abandoned { .. } => add(&counters.abandoned, 1),
        Trace::Refused { .. } => add(&counters.refused, 1),
        Trace::Unjudged { id, waiting, waiting_bytes } => {
            add(&counters.refused, 1);
            tracing::debug!(%id, waiting, waiting_bytes, "message refused: too many wait for the application's verdict");
        }
        _ => {}
    }
}
