//! The task behind a [`Node`](crate::Node): it turns the crank of the swarm and does what the application asks.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    future::poll_fn,
    sync::{Arc, atomic::Ordering::Relaxed},
    task::{Context, Poll},
};

use braidcast_core::{
    Core,
    machine::Time,
    mesh::{self, CheckedParams, Content, Publish, PublishError, Verdict},
    wire::{MessageId, PeerId, Topic, limits},
};
use bytes::Bytes;
use futures::{
    FutureExt, StreamExt,
    channel::{mpsc, oneshot},
    future::{Either, select},
};
use futures_timer::Delay;
use libp2p::{
    Multiaddr, PeerId as NetPeerId, Swarm, identify,
    identity::Keypair,
    ping, relay,
    swarm::{ConnectionId, DialError, SwarmEvent, dial_opts::DialOpts},
};

use crate::{
    Config, Event, Link, Path, PeerInfo, Published, StartError,
    address::with_peer,
    alarm::Alarm,
    behaviour::{self, Behaviour, core_id, net_id},
    inbox::Inbox,
    introductions::{Attempt, Introductions},
    links::Route,
    path,
    peers::Peers,
    platform::{self, Network, NetworkEvent, Resumed},
    quota::Spent,
    reason,
    records::own_record,
    relays::Relays,
    reservations::Reservations,
    stats::{CircuitCounters, Counters, add},
    switchboard::Switchboard,
};

/// Most records of peers that are given to be kept.
const ACQUAINTANCES: usize = 16;

/// How long a stopping node goes on, so that it has said what it has: that it holds the message that it was waiting for. Guess:
/// announcements wait for 5 ms.
const LAST_WORDS: std::time::Duration = std::time::Duration::from_millis(50);

/// How long a stopping node waits for its connections to close.
const CLOSING: std::time::Duration = std::time::Duration::from_secs(1);

/// What the application asks.
pub(crate) enum Command {
    Subscribe(Topic, oneshot::Sender<()>),
    Unsubscribe(Topic, oneshot::Sender<()>),
    Configure(Topic, CheckedParams, oneshot::Sender<()>),
    Judge(MessageId, Verdict, oneshot::Sender<()>),
    Publish(Topic, Content, oneshot::Sender<Result<Published, PublishError>>),
    Peers(oneshot::Sender<Vec<PeerInfo>>),
    Path(PeerId, oneshot::Sender<Path>),
    Addresses(oneshot::Sender<Vec<Multiaddr>>),
    Acquaintances(oneshot::Sender<Vec<Bytes>>),
    Dial(Multiaddr, oneshot::Sender<()>),
    Stop(oneshot::Sender<()>),
}

/// See the module.
pub(crate) struct Driver {
    swarm: Swarm<Network>,
    commands: mpsc::Receiver<Command>,
    inbox: Arc<Inbox>,
    counters: Arc<Counters>,
    circuits: Arc<CircuitCounters>,
    keypair: Keypair,
    peers: Peers,
    relays: Relays,
    alarm: Alarm,
    is_relay: bool,
    /// None for a node that others can dial.
    reservations: Option<Reservations>,
    resumed: Resumed,
    introductions: Introductions,
    /// Links beyond this many are not dialled for.
    wanted_peers: usize,
    /// Announce what we listen on as reachable, because nothing else was configured.
    announce_listeners: bool,
    /// The addresses in the record that the mesh has.
    recorded: Vec<Multiaddr>,
    tickets: BTreeMap<u64, oneshot::Sender<Result<Published, PublishError>>>,
    next_ticket: u64,
    /// Whose turn it is first.
    commands_first: bool,
}

/// What happens next.
#[expect(clippy::large_enum_variant, reason = "it lives for one turn")]
enum Turn {
    Swarm(SwarmEvent<NetworkEvent>),
    Command(Option<Command>),
    Rested,
    Resumed,
}

impl Driver {
    /// A node that does not listen and does not run yet.
    pub(crate) fn new(
        config: Config,
        commands: mpsc::Receiver<Command>,
        inbox: Arc<Inbox>,
        counters: Arc<Counters>,
        circuits: Arc<CircuitCounters>,
    ) -> Result<Self, StartError> {
        let keypair = Keypair::ed25519_from_bytes(config.identity.to_seed())
            .map_err(|error| StartError::Platform(error.to_string()))?;
        let mut mesh = mesh::Config { traces: true, ..config.mesh.clone() };
        // Who cannot be dialled is found through neighbours, also when no relay is left to tell of it.
        mesh.introduces |= config.serve_relay || config.listen.is_empty();
        if config.serve_relay {
            mesh.is_discreet = true;
            let mut topic = mesh.topic.clone().into_inner();
            topic.mesh_max = config.peer_limit().clamp(topic.mesh_target, limits::PEERS);
            mesh.topic = topic.checked().expect("the bounds are still in order");
        }
        let wanted_peers = mesh.topic.mesh_target + platform::spare_peers(&config);
        let local = config.identity.peer_id();
        let core = Core::new(braidcast_core::Config { mesh }, config.identity.clone(), platform::entropy()?);
        let switchboard = Switchboard::new(&config.identity, platform::entropy()?);
        let quota = platform::quota(&config);
        let hub = Behaviour::new(core, local, quota, switchboard, counters.clone());
        let mut swarm = platform::swarm(&config, &keypair, hub)?;
        for address in &config.external {
            swarm.add_external_address(address.clone());
        }
        let mut introductions =
            Introductions::new(platform::entropy()?, platform::dials, quota.made.is_some());
        introductions.offer(config.acquaintances.clone(), platform::now().time, |peer| peer != net_id(local));
        Ok(Self {
            swarm,
            commands,
            inbox,
            counters,
            circuits,
            keypair,
            peers: Peers::default(),
            relays: Relays::new(config.relays, platform::entropy()?, platform::now().time),
            alarm: Alarm::default(),
            is_relay: config.serve_relay,
            reservations: (config.listen.is_empty() && !config.serve_relay).then(Reservations::default),
            resumed: Resumed::new(),
            introductions,
            wanted_peers,
            announce_listeners: config.serve_relay && config.external.is_empty(),
            recorded: Vec::new(),
            tickets: BTreeMap::new(),
            next_ticket: 0,
            commands_first: false,
        })
    }

    /// Listens on every address, or on none.
    pub(crate) async fn listen(&mut self, addresses: Vec<Multiaddr>) -> Result<(), StartError> {
        let mut pending = HashMap::new();
        for address in addresses {
            let failed = |reason| StartError::Listen { address: address.clone(), reason };
            let listener =
                self.swarm.listen_on(address.clone()).map_err(|error| failed(reason::of(&error)))?;
            pending.insert(listener, address);
        }
        while !pending.is_empty() {
            let event = self.swarm.select_next_some().await;
            match &event {
                SwarmEvent::NewListenAddr { listener_id, .. } => {
                    pending.remove(listener_id);
                }
                SwarmEvent::ListenerClosed { listener_id, reason: Err(error), .. }
                | SwarmEvent::ListenerError { listener_id, error } => {
                    if let Some(address) = pending.remove(listener_id) {
                        return Err(StartError::Listen { address, reason: reason::of(error) });
                    }
                }
                _ => {}
            }
            self.on_swarm(event);
        }
        Ok(())
    }

    /// Runs until the application has no more to ask.
    pub(crate) async fn run(mut self) {
        self.dial_introduced(platform::now().time);
        let stopped = loop {
            self.tend_relays();
            match poll_fn(|context| self.poll_turn(context)).await {
                Turn::Swarm(SwarmEvent::Behaviour(NetworkEvent::Hub(behaviour::Event::Pause))) => {
                    platform::yield_now().await;
                    self.hub().resume();
                }
                Turn::Swarm(event) => self.on_swarm(event),
                Turn::Command(Some(Command::Stop(reply))) => break Some(reply),
                Turn::Command(Some(command)) => self.on_command(command),
                Turn::Command(None) => break None,
                Turn::Rested => self.dial_introduced(platform::now().time),
                Turn::Resumed => self.relays.hurry(platform::now().time),
            }
        };
        self.close().await;
        self.inbox.close();
        if let Some(reply) = stopped {
            // Who asked may have stopped waiting.
            let _ = reply.send(());
        }
    }

    /// Swarm and commands take turns, so that neither can starve the other.
    fn poll_turn(&mut self, context: &mut Context<'_>) -> Poll<Turn> {
        self.commands_first = !self.commands_first;
        if self.commands_first
            && let Poll::Ready(command) = self.commands.poll_next_unpin(context)
        {
            return Poll::Ready(Turn::Command(command));
        }
        if let Poll::Ready(Some(event)) = self.swarm.poll_next_unpin(context) {
            return Poll::Ready(Turn::Swarm(event));
        }
        if let Poll::Ready(command) = self.commands.poll_next_unpin(context) {
            return Poll::Ready(Turn::Command(command));
        }
        if self.alarm.poll(context).is_ready() {
            return Poll::Ready(Turn::Rested);
        }
        self.resumed.poll(context).map(|()| Turn::Resumed)
    }

    /// Closes every connection, so that the peers need not find out by themselves.
    async fn close(&mut self) {
        if self.hub().routes().next().is_some() {
            let mut end = Delay::new(LAST_WORDS).fuse();
            loop {
                let event = match select(&mut end, self.swarm.select_next_some()).await {
                    Either::Left(_) => break,
                    Either::Right((event, _)) => event,
                };
                self.on_swarm(event);
                platform::yield_now().await;
            }
        }
        let peers: Vec<_> = self.swarm.connected_peers().copied().collect();
        for peer in peers {
            // Gone meanwhile is as good.
            let _ = self.swarm.disconnect_peer_id(peer);
        }
        let closed = poll_fn(|context| {
            while self.swarm.network_info().num_peers() > 0 {
                if self.swarm.poll_next_unpin(context).is_pending() {
                    return Poll::Pending;
                }
            }
            Poll::Ready(())
        });
        if let Either::Right(_) = select(closed, Delay::new(CLOSING).fuse()).await {
            tracing::debug!("stopped before every connection was closed");
        }
    }

    fn hub(&mut self) -> &mut Behaviour {
        &mut self.swarm.behaviour_mut().hub
    }

    fn tell(&self, events: Vec<Event>) {
        events.into_iter().for_each(|event| self.inbox.push(event));
    }

    fn on_command(&mut self, command: Command) {
        // Who asked may have stopped waiting; what was asked is done all the same.
        match command {
            Command::Subscribe(topic, reply) => {
                self.hub().command(mesh::Command::Subscribe(topic));
                let _ = reply.send(());
            }
            Command::Unsubscribe(topic, reply) => {
                self.hub().command(mesh::Command::Unsubscribe(topic));
                let _ = reply.send(());
            }
            Command::Configure(topic, params, reply) => {
                self.hub().command(mesh::Command::Configure(topic, params));
                let _ = reply.send(());
            }
            Command::Judge(id, verdict, reply) => {
                self.hub().command(mesh::Command::Judge(id, verdict));
                let _ = reply.send(());
            }
            Command::Publish(topic, content, reply) => {
                let ticket = self.next_ticket;
                self.next_ticket += 1;
                self.tickets.insert(ticket, reply);
                self.hub().command(mesh::Command::Publish(Publish { ticket, topic, content }));
            }
            Command::Peers(reply) => {
                let _ = reply.send(self.infos());
            }
            Command::Path(peer, reply) => {
                let _ = reply.send(self.path(peer));
            }
            Command::Addresses(reply) => {
                let local = *self.swarm.local_peer_id();
                let full = self.addresses().into_iter().map(|address| with_peer(address, local)).collect();
                let _ = reply.send(full);
            }
            Command::Acquaintances(reply) => {
                let _ = reply.send(self.acquaintances());
            }
            Command::Dial(address, reply) => {
                self.dial(DialOpts::unknown_peer_id().address(address).build());
                let _ = reply.send(());
            }
            Command::Stop(_) => unreachable!("handled where the loop ends"),
        }
    }

    fn on_swarm(&mut self, event: SwarmEvent<NetworkEvent>) {
        match event {
            SwarmEvent::Behaviour(NetworkEvent::Hub(event)) => self.on_hub(event),
            SwarmEvent::Behaviour(NetworkEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => self.on_identified(peer_id, &info),
            SwarmEvent::Behaviour(NetworkEvent::Ping(ping)) => self.on_ping(ping),
            SwarmEvent::Behaviour(NetworkEvent::Circuits(relay::client::Event::ReservationReqAccepted {
                relay_peer_id,
                ..
            })) => self.reservations.iter_mut().for_each(|places| places.on_granted(relay_peer_id)),
            SwarmEvent::Behaviour(event) => platform::count(&event, &self.circuits),
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, .. } => {
                self.introductions.on_dialled(connection_id, platform::now().time);
                let linked = core_id(peer_id).is_some_and(|peer| self.hub().is_linked(peer));
                let now = platform::now().time;
                let events = self.relays.on_established(connection_id, peer_id, linked, now);
                self.tell(events);
            }
            SwarmEvent::ConnectionClosed { peer_id, num_established: 0, cause, .. } => {
                let reason = cause.map_or_else(|| "closed".into(), |cause| reason::of(&cause));
                self.peers.on_disconnected(peer_id);
                self.reservations.iter_mut().for_each(|places| places.on_disconnected(peer_id));
                let events = self.relays.on_disconnected(peer_id, &reason, platform::now().time);
                self.tell(events);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                self.on_dial_failed(connection_id, &error);
            }
            SwarmEvent::NewListenAddr { address, .. } => {
                tracing::info!(%address, "listening");
                if self.announce_listeners {
                    self.swarm.add_external_address(address);
                }
                self.record();
            }
            SwarmEvent::ExpiredListenAddr { address, .. } => {
                if self.announce_listeners {
                    self.swarm.remove_external_address(&address);
                }
                self.record();
            }
            SwarmEvent::ListenerClosed { listener_id, addresses, reason } => {
                let now = platform::now().time;
                let is_place =
                    self.reservations.as_mut().is_some_and(|places| places.on_closed(listener_id, now));
                match reason {
                    Err(error) if is_place => tracing::debug!(error = reason::of(&error), "no reservation"),
                    Err(error) => tracing::warn!(?addresses, %error, "no longer listening"),
                    Ok(()) => {}
                }
            }
            SwarmEvent::ListenerError { error, .. } => tracing::debug!(%error, "listener"),
            other => tracing::trace!(?other, "swarm"),
        }
    }

    fn on_identified(&mut self, peer: NetPeerId, info: &identify::Info) {
        self.peers.on_identified(peer, info);
        self.spare(peer);
        let Some(address) = self.relays.address(peer) else { return };
        if let Some(places) = &mut self.reservations
            && self.peers.get(peer).relays
        {
            places.on_relay(peer, address, platform::now().time);
        }
    }

    /// A relay's uplink is everybody's. Relays do not spare each other.
    fn spare(&mut self, peer: NetPeerId) {
        let is_relay = self.peers.get(peer).relays || self.relays.contains(peer);
        if let Some(id) = core_id(peer).filter(|_| is_relay && !self.is_relay) {
            self.hub().set_last_resort(id);
        }
    }

    fn on_hub(&mut self, event: behaviour::Event) {
        let now = platform::now().time;
        match event {
            behaviour::Event::Mesh(event) => self.on_mesh(event),
            behaviour::Event::LinkUp { peer, route } => {
                let linked = self.hub().routes().count();
                self.counters.peers.store(linked as u64, Relaxed);
                self.inbox.push(Event::PeerConnected(self.info(peer, &route, Vec::new())));
                let events = self.relays.on_link_up(net_id(peer), now);
                self.tell(events);
                let dialled = (!route.inbound).then_some(&route.address);
                self.introductions.on_link_up(net_id(peer), dialled, now);
                self.spare(net_id(peer));
            }
            behaviour::Event::LinkDown { peer, reason } => {
                let linked = self.hub().routes().count();
                self.counters.peers.store(linked as u64, Relaxed);
                self.inbox.push(Event::PeerDisconnected { id: peer });
                let events = self.relays.on_link_down(net_id(peer), &reason, now);
                self.tell(events);
                self.introductions.on_link_down(net_id(peer), now);
                self.dial_introduced(now);
            }
            behaviour::Event::Unsupported { peer } => {
                let events = self.relays.on_unsupported(net_id(peer), now);
                self.tell(events);
            }
            behaviour::Event::Reached { peer, pipe } => {
                let opts = self.introductions.on_reached(net_id(peer));
                platform::lend(self.swarm.behaviour_mut(), net_id(peer), pipe);
                self.dial(opts);
            }
            behaviour::Event::Unreached { peer } => {
                self.introductions.on_unreached(net_id(peer), now);
                self.dial_introduced(now);
            }
            behaviour::Event::Called { peer, pipe } => {
                platform::accept(self.swarm.behaviour(), net_id(peer), pipe);
            }
            behaviour::Event::Spent(Spent { made, wait }) => {
                tracing::warn!(made, ?wait, "no new direct links: too many peer connections were made");
                self.inbox.push(Event::Exhausted { attempts: made, retry_in_ms: wait.as_millis() });
            }
            behaviour::Event::Pause => self.hub().resume(),
        }
    }

    fn on_mesh(&mut self, event: mesh::Event) {
        match event {
            mesh::Event::Published { ticket, id, peers } => {
                add(&self.counters.messages_out, 1);
                self.answer(ticket, Ok(Published { id, peers }));
            }
            mesh::Event::Refused { ticket, error } => self.answer(ticket, Err(error)),
            mesh::Event::Message(message) => {
                add(&self.counters.messages_in, 1);
                self.inbox.push(Event::Message(message));
            }
            mesh::Event::Progress(progress) => self.inbox.push(Event::Progress(progress)),
            mesh::Event::Reached { id, peers, of } => self.inbox.push(Event::Reached { id, peers, of }),
            mesh::Event::Joined { peer, topic } => self.inbox.push(Event::Joined { peer, topic }),
            mesh::Event::Left { peer, topic } => self.inbox.push(Event::Left { peer, topic }),
            mesh::Event::Outsider { peer, topic, why } => {
                self.inbox.push(Event::Outsider { peer, topic, why });
            }
            mesh::Event::Introduced { records, .. } => self.on_introduced(records),
            mesh::Event::Trace(_) => {}
        }
    }

    fn on_introduced(&mut self, records: Vec<Bytes>) {
        let (now, local) = (platform::now().time, *self.swarm.local_peer_id());
        self.introductions.offer(records, now, |peer| peer != local && core_id(peer).is_some());
        self.dial_introduced(now);
    }

    fn answer(&mut self, ticket: u64, answer: Result<Published, PublishError>) {
        if let Some(reply) = self.tickets.remove(&ticket) {
            // Who asked may have stopped waiting.
            let _ = reply.send(answer);
        }
    }

    fn on_ping(&mut self, ping: ping::Event) {
        match ping.result {
            Ok(rtt) => self.peers.on_round_trip(ping.peer, rtt),
            Err(ping::Failure::Unsupported) => {}
            Err(error) => {
                tracing::debug!(peer = %ping.peer, %error, "closed: it does not answer");
                self.swarm.close_connection(ping.connection);
            }
        }
    }

    fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        let reason = reason::of_dial(error);
        tracing::debug!(reason, "dial failed");
        let now = platform::now().time;
        self.introductions.on_dial_failed(connection, &reason, now);
        let events = self.relays.on_dial_failed(connection, &reason, now);
        self.tell(events);
        self.dial_introduced(now);
    }

    fn dial(&mut self, opts: DialOpts) {
        let connection = opts.connection_id();
        if let Err(error) = self.swarm.dial(opts) {
            self.on_dial_failed(connection, &error);
        }
    }

    /// Dials the relays whose time has come, and sets the alarm for the others.
    fn tend_relays(&mut self) {
        let now = platform::now().time;
        let events = self.relays.expire(now);
        self.tell(events);
        for opts in self.relays.dial(now) {
            self.hub().favour(opts.connection_id());
            self.dial(opts);
        }
        self.reserve(now);
        let places = self.reservations.as_ref().and_then(Reservations::deadline);
        let next = [self.relays.deadline(), places, self.introductions.deadline(now)];
        self.alarm.set(next.into_iter().flatten().min(), now);
    }

    /// Asks relays to let others through to us.
    fn reserve(&mut self, now: Time) {
        let Some(places) = &mut self.reservations else { return };
        for (relay, address) in places.due(now) {
            match self.swarm.listen_on(address) {
                Ok(listener) => places.on_asked(relay, listener),
                Err(error) => {
                    tracing::debug!(%relay, error = reason::of(&error), "no reservation");
                    places.on_disconnected(relay);
                }
            }
        }
    }

    /// Dials introduced peers while more are wanted.
    fn dial_introduced(&mut self, now: Time) {
        loop {
            let linked: BTreeSet<NetPeerId> = self.direct().collect();
            let relays = &self.relays;
            let next = self.introductions.dial(now, self.room(), &linked, |relay| relays.contains(relay));
            match next {
                Some(Attempt::Dial(opts)) => self.dial(opts),
                Some(Attempt::Call { peer, carriers }) => {
                    let carriers = carriers.into_iter().filter_map(core_id).collect();
                    if let Some(peer) = core_id(peer) {
                        self.hub().call(peer, carriers);
                    }
                }
                None => return,
            }
        }
    }

    /// How many more direct links are wanted.
    fn room(&self) -> usize {
        self.wanted_peers.saturating_sub(self.direct().count())
    }

    /// Peers with a link of their own, the relays aside.
    fn direct(&self) -> impl Iterator<Item = NetPeerId> {
        let direct = self.swarm.behaviour().hub.routes().filter(|(_, route)| !route.circuit);
        direct.map(|(peer, _)| net_id(peer)).filter(|peer| !self.relays.contains(*peer))
    }

    /// Gives the mesh our signed record, if our addresses have changed.
    fn record(&mut self) {
        let addresses = self.addresses();
        if addresses == self.recorded {
            return;
        }
        if let Some(record) = own_record(&self.keypair, addresses.clone()) {
            self.hub().command(mesh::Command::SetRecord(record));
        }
        self.recorded = addresses;
    }

    /// Where others can dial us: the external addresses first.
    fn addresses(&self) -> Vec<Multiaddr> {
        let mut addresses: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        for address in self.swarm.listeners() {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// What may lead back to the room.
    fn acquaintances(&self) -> Vec<Bytes> {
        let hub = &self.swarm.behaviour().hub;
        self.direct().filter_map(core_id).filter_map(|peer| hub.record_of(peer)).take(ACQUAINTANCES).collect()
    }

    fn path(&self, id: PeerId) -> Path {
        let route = self.swarm.behaviour().hub.routes().find(|(peer, _)| *peer == id).map(|(_, route)| route);
        let link = route.map(|route| self.link(id, route));
        let is_direct = matches!(link, Some(Link::Direct | Link::Relay));
        let obstacle = || match platform::handicap() {
            _ if self.swarm.behaviour().hub.is_banned(id) => path::Obstacle::Banned.to_string(),
            Some(handicap) => handicap.into(),
            None => self.introductions.obstacle(net_id(id), self.room()).to_string(),
        };
        let obstacle = (!is_direct).then(obstacle);
        let via = route.filter(|route| route.circuit).and_then(|route| path::relay(&route.address));
        Path { link, via, obstacle }
    }

    fn infos(&self) -> Vec<PeerInfo> {
        let hub = &self.swarm.behaviour().hub;
        hub.routes().map(|(peer, route)| self.info(peer, route, hub.topics_of(peer))).collect()
    }

    fn info(&self, id: PeerId, route: &Route, topics: Vec<Topic>) -> PeerInfo {
        let peer: NetPeerId = net_id(id);
        let known = self.peers.get(peer);
        PeerInfo {
            id,
            link: self.link(id, route),
            address: route.address.to_string(),
            agent: known.agent,
            rtt_ms: known.rtt.map(|rtt| rtt.as_secs_f64() * 1_000.0),
            topics,
            inbound: route.inbound,
        }
    }

    fn link(&self, id: PeerId, route: &Route) -> Link {
        let peer = net_id(id);
        match route.circuit {
            true => Link::Circuit,
            false if self.peers.get(peer).relays || self.relays.contains(peer) => Link::Relay,
            false => Link::Direct,
        }
    }
}
