use alloc::collections::BTreeMap;

use braidcast_machine::{
    Budget, Duration, Input, Machine, Now, Offence, Outbox, Output, PeerSet, Time, WireLen,
};
use braidcast_mesh::{self as mesh, Mesh};
use braidcast_wire::{Identity, PeerId, Topic};
use bytes::Bytes;

use crate::{
    carry::{self, Carriage, Duty},
    flow::{ACK_DELAY, LinkFlow},
    frame::{Body, Carry, Frame},
    pace::Pace,
};

/// How a node behaves.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The mesh.
    pub mesh: mesh::Config,
}

/// What the application asks.
#[derive(Clone, Debug)]
pub enum Command {
    /// Of the mesh.
    Mesh(mesh::Command),
    /// Have signalling carried to a peer; by whom is the caller's choice among the neighbours. Not answered, unless by
    /// [`Event::Uncarried`].
    Carry {
        /// Who is to carry it.
        carrier: PeerId,
        /// Whom to.
        target: PeerId,
        /// Encrypted to the target, at most [`SEALED_BYTES`](braidcast_wire::limits::SEALED_BYTES).
        sealed: Bytes,
    },
}

/// What the application is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// By the mesh.
    Mesh(mesh::Event),
    /// Signalling came, by way of a neighbour.
    Carried {
        /// Who brought it.
        carrier: PeerId,
        /// Who signed it.
        origin: PeerId,
        /// Encrypted to us, or else nonsense.
        sealed: Bytes,
    },
    /// Signalling was not carried: the two are no neighbours, or the carrier is none of ours.
    Uncarried {
        /// Who was to carry it.
        carrier: PeerId,
        /// Whom to.
        target: PeerId,
    },
}

/// One link as flow control sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkInfo {
    /// Who.
    pub peer: PeerId,
    /// Shortest round trip of late, if one was measured.
    pub rtt: Option<Duration>,
    /// The newest round trip: of a bulk frame, from its choice to its acknowledgement.
    pub last_rtt: Option<Duration>,
    /// Bulk bytes sent and not yet acknowledged.
    pub in_flight_bytes: u64,
    /// Most bulk bytes that may be unacknowledged.
    pub window_bytes: u64,
    /// Measured delivery rate in bytes per second.
    pub rate: u64,
}

/// A whole node without input or output.
#[derive(Debug)]
pub struct Core {
    identity: Identity,
    mesh: Mesh,
    carriage: Carriage,
    links: BTreeMap<PeerId, LinkFlow>,
    uplink: Pace,
    /// Acknowledgements and offences of ours; the mesh has its own.
    outbox: Outbox<Frame, Event>,
    ack_at: Option<Time>,
    /// When a link that has bulk may send again.
    pace_at: Option<Time>,
}

impl Core {
    /// A node with this key. `seed` feeds the only generator.
    pub fn new(config: Config, identity: Identity, seed: [u8; 32]) -> Self {
        Self {
            mesh: Mesh::new(config.mesh, identity.clone(), seed),
            identity,
            carriage: Carriage::default(),
            links: BTreeMap::new(),
            uplink: Pace::of_uplink(),
            outbox: Outbox::new(braidcast_wire::limits::PEERS),
            ack_at: None,
            pace_at: None,
        }
    }

    /// Every link, in order of peer ids.
    pub fn links(&self) -> impl Iterator<Item = LinkInfo> + '_ {
        self.links.iter().map(|(&peer, flow)| LinkInfo {
            peer,
            rtt: flow.round_trip(),
            last_rtt: flow.last_round_trip(),
            in_flight_bytes: flow.in_flight(),
            window_bytes: flow.window(),
            rate: flow.rate(),
        })
    }

    /// How many messages are in memory: unfinished, or kept for others for a while.
    pub fn messages(&self) -> usize {
        self.mesh.messages()
    }

    /// Topics that a connected peer subscribes to.
    pub fn topics_of(&self, peer: PeerId) -> impl Iterator<Item = &Topic> {
        self.mesh.topics_of(peer)
    }

    /// A connected peer is to be a neighbour only where there are few others: a relay, whose uplink all share.
    pub fn set_last_resort(&mut self, peer: PeerId) {
        self.mesh.set_last_resort(peer);
    }

    /// The signed record that a connected peer showed, unverified.
    pub fn record_of(&self, peer: PeerId) -> Option<&Bytes> {
        self.mesh.record_of(peer)
    }

    /// Whether a peer is a neighbour in a topic of ours.
    pub fn is_neighbour(&self, peer: PeerId) -> bool {
        self.mesh.is_neighbour(peer)
    }

    /// What is known of a peer's conduct, connected or not.
    pub fn conduct(&self, peer: PeerId) -> mesh::Conduct {
        self.mesh.conduct(peer)
    }

    fn on_received(&mut self, now: Now, peer: PeerId, frame: Frame) {
        let Some(flow) = self.links.get_mut(&peer) else { return };
        if frame.is_bulk() {
            if flow.on_received(frame.wire_len() as u64) {
                let total = flow.ack();
                self.outbox.send(peer, Body::Ack(total).into());
            } else {
                self.ack_at.get_or_insert(now.time + ACK_DELAY);
            }
        }
        match frame.body {
            Some(Body::Mesh(frame)) => self.mesh.handle(now, Input::Received { peer, frame }),
            Some(Body::Ack(total)) => {
                if flow.on_ack(now.time, total, &mut self.uplink) {
                    self.outbox.push(Output::BulkReady(peer));
                } else {
                    let offence = Offence::fatal("acknowledged bytes were never sent");
                    self.outbox.push(Output::Offence { peer, offence });
                    self.outbox.push(Output::Disconnect { peer, until: now.time });
                }
            }
            Some(Body::Ping(number)) => self.outbox.send(peer, Body::Pong(number).into()),
            Some(Body::Pong(number)) => {
                flow.on_pong(now.time, number);
                flow.round_trip().into_iter().for_each(|rtt| self.mesh.set_round_trip(peer, rtt));
            }
            Some(Body::Carry(carry)) => self.on_carry(now.time, peer, carry),
            Some(Body::Uncarried(target)) => match carry::key(&target) {
                Ok(target) => self.outbox.event(Event::Uncarried { carrier: peer, target }),
                Err(offence) => self.mesh.punish(peer, offence, now.time),
            },
            None => {}
        }
    }

    fn on_carry(&mut self, now: Time, peer: PeerId, carry: Carry) {
        match self.carriage.judge(now, self.identity.peer_id(), peer, &carry) {
            Ok(Duty::Take { origin, sealed }) => {
                if self.mesh.conduct(origin).banned_until <= now {
                    self.outbox.event(Event::Carried { carrier: peer, origin, sealed });
                }
            }
            Ok(Duty::Pass(target)) if self.links.contains_key(&target) => {
                self.outbox.send(target, Body::Carry(carry).into());
            }
            Ok(Duty::Pass(_)) => self.outbox.send(peer, Body::Uncarried(carry.target).into()),
            Err(offence) => self.mesh.punish(peer, offence, now),
        }
    }

    fn have_carried(&mut self, carrier: PeerId, target: PeerId, sealed: Bytes) {
        if self.links.contains_key(&carrier) {
            let carry = carry::carry(&self.identity, target, sealed);
            self.outbox.send(carrier, Body::Carry(carry).into());
        } else {
            self.outbox.event(Event::Uncarried { carrier, target });
        }
    }

    fn send_acks(&mut self) {
        self.ack_at = None;
        for (&peer, flow) in self.links.iter_mut().filter(|(_, flow)| flow.owes_ack()) {
            let total = flow.ack();
            self.outbox.send(peer, Body::Ack(total).into());
        }
    }
}

impl Machine for Core {
    type Frame = Frame;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, now: Now, input: Input<Frame, Command>) {
        match input {
            Input::Connected { peer, direction } => {
                let mut flow = LinkFlow::default();
                self.outbox.send(peer, Body::Ping(flow.ping(now.time)).into());
                self.links.insert(peer, flow);
                self.mesh.handle(now, Input::Connected { peer, direction });
            }
            Input::Disconnected { peer } => {
                if let Some(flow) = self.links.remove(&peer) {
                    self.uplink.lost(flow.in_flight());
                }
                self.carriage.on_disconnected(peer);
                self.mesh.handle(now, Input::Disconnected { peer });
            }
            Input::Received { peer, frame } => self.on_received(now, peer, frame),
            Input::Command(Command::Mesh(command)) => self.mesh.handle(now, Input::Command(command)),
            Input::Command(Command::Carry { carrier, target, sealed }) => {
                self.have_carried(carrier, target, sealed);
            }
            Input::Tick => self.mesh.handle(now, Input::Tick),
        }
        if self.ack_at.is_some_and(|at| at <= now.time) {
            self.send_acks();
        }
        // The host pulls now if it can; if it cannot, it pulls when it can.
        self.pace_at = self.pace_at.filter(|&at| at > now.time);
    }

    fn poll(&mut self) -> Option<Output<Frame, Event>> {
        self.outbox.pop().or_else(|| {
            self.mesh.poll().map(|output| match output {
                Output::Send { peer, frame } => Output::Send { peer, frame: Body::Mesh(frame).into() },
                Output::Event(event) => Output::Event(Event::Mesh(event)),
                Output::BulkReady(peer) => {
                    // There was nothing for it until now.
                    self.links.get_mut(&peer).into_iter().for_each(LinkFlow::on_starved);
                    Output::BulkReady(peer)
                }
                Output::Offence { peer, offence } => Output::Offence { peer, offence },
                Output::Disconnect { peer, until } => Output::Disconnect { peer, until },
            })
        })
    }

    /// As the trait says, within credit and pace; [`Core::deadline`] tells when pacing allows more.
    fn pull(&mut self, now: Now, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        self.pace_at = None;
        let uplink_at = self.uplink.ready_at();
        let mut ready = PeerSet::new();
        for &peer in self.mesh.busy().intersection(writable) {
            let Some(flow) = self.links.get_mut(&peer) else { continue };
            let Some(link_at) = flow.ready_at() else { continue };
            if link_at <= now.time && uplink_at > now.time {
                // The uplink holds it back: this says nothing of the link.
                flow.on_starved();
            }
            let at = link_at.max(uplink_at);
            if at <= now.time {
                ready.insert(peer);
            } else {
                self.pace_at = Some(self.pace_at.map_or(at, |earlier| earlier.min(at)));
            }
        }
        let Some((peer, frame)) = self.mesh.pull(now, &ready) else {
            if uplink_at <= now.time {
                self.uplink.on_starved();
            }
            return None;
        };
        let frame = Frame::from(Body::Mesh(frame));
        let flow = self.links.get_mut(&peer).expect("only links with credit were offered");
        flow.on_sent(now.time, frame.wire_len() as u64, &mut self.uplink);
        Some((peer, frame))
    }

    fn work(&mut self, now: Now, budget: Budget) -> bool {
        self.mesh.work(now, budget)
    }

    fn deadline(&self) -> Option<Time> {
        [self.mesh.deadline(), self.ack_at, self.pace_at].into_iter().flatten().min()
    }
}
