//! The task behind a [`Node`](crate::Node): it turns the crank of the swarm and does what the application asks.

mod events;
mod reach;
mod report;

use std::{
    collections::{BTreeMap, HashMap},
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll},
};

use braidcast_core::{
    Core,
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
    Multiaddr, Swarm,
    identity::Keypair,
    swarm::{SwarmEvent, dial_opts::DialOpts},
};

use crate::{
    Config, Event, Path, PeerInfo, Published, StartError,
    address::with_peer,
    alarm::Alarm,
    behaviour::{self, Behaviour, net_id},
    inbox::Inbox,
    introductions::Introductions,
    peers::Peers,
    platform::{self, Network, NetworkEvent, Resumed},
    reason,
    relays::Relays,
    reservations::Reservations,
    stats::{CircuitCounters, Counters},
    switchboard::Switchboard,
};

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
}
