//! A machine that does what it is told and tells what happens to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use braidcast_machine::{
    Budget, Direction, Duration, Input, Machine, Now, Offence, Output, PeerSet, Time, WallTime, WireLen,
};
use braidcast_sim::{LinkProfile, NodeIndex, NodeProfile, Window, World};
use braidcast_wire::PeerId;

/// A number, and how long it is on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) number: u64,
    pub(crate) bytes: usize,
}

impl WireLen for Frame {
    fn wire_len(&self) -> usize {
        self.bytes
    }
}

#[derive(Debug)]
pub(crate) enum Command {
    /// One control frame.
    Say(PeerId, Frame),
    /// A control frame to all neighbours, who pass it on once.
    Flood(Frame),
    /// So many bulk frames, numbered from 0, as fast as they go.
    Stream(PeerId, u64, usize),
    /// No more bulk.
    Hush,
    WakeAt(Time),
    Ban(PeerId, Time),
    /// So many slices.
    Work(u32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Up(PeerId, Direction),
    Down(PeerId),
    Got(u64),
    Ticked(WallTime),
    Worked,
}

#[derive(Default)]
pub(crate) struct Toy {
    peers: BTreeSet<PeerId>,
    seen: BTreeSet<u64>,
    /// Next number, end, length.
    streams: BTreeMap<PeerId, (u64, u64, usize)>,
    /// Who got the last bulk frame: the next in order is next.
    last: Option<PeerId>,
    deadline: Option<Time>,
    slices: u32,
    outbox: VecDeque<Output<Frame, Event>>,
    /// Says nothing of its streams.
    is_mute: bool,
}

impl Machine for Toy {
    type Frame = Frame;
    type Command = Command;
    type Event = Event;

    fn handle(&mut self, now: Now, input: Input<Frame, Command>) {
        match input {
            Input::Connected { peer, direction } => {
                self.peers.insert(peer);
                self.say(Event::Up(peer, direction));
            }
            Input::Disconnected { peer } => {
                self.peers.remove(&peer);
                self.say(Event::Down(peer));
            }
            Input::Received { peer, frame } if frame.number == LIE => {
                let until = now.time + Duration::from_secs(1);
                self.outbox.push_back(Output::Offence { peer, offence: Offence::fatal("a lie") });
                self.outbox.push_back(Output::Disconnect { peer, until });
            }
            Input::Received { peer, frame } => {
                self.say(Event::Got(frame.number));
                if frame.number >= FLOOD {
                    self.flood(frame, Some(peer));
                }
            }
            Input::Command(command) => self.on_command(command),
            Input::Tick => {
                if self.deadline.is_some_and(|deadline| deadline <= now.time) {
                    self.deadline = None;
                    self.say(Event::Ticked(now.wall));
                }
            }
        }
    }

    fn poll(&mut self) -> Option<Output<Frame, Event>> {
        self.outbox.pop_front()
    }

    fn pull(&mut self, _: Now, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        let open = |peer: &&PeerId| writable.contains(*peer);
        let after = self.last.and_then(|last| self.streams.keys().filter(open).find(|peer| **peer > last));
        let peer = *after.or_else(|| self.streams.keys().find(open))?;
        let (next, end, bytes) = self.streams.get_mut(&peer).expect("just found");
        let frame = Frame { number: *next, bytes: *bytes };
        *next += 1;
        if next == end {
            self.streams.remove(&peer);
        }
        self.last = Some(peer);
        Some((peer, frame))
    }

    fn work(&mut self, _: Now, _: Budget) -> bool {
        if self.slices == 0 {
            return false;
        }
        self.slices -= 1;
        if self.slices == 0 {
            self.say(Event::Worked);
        }
        self.slices > 0
    }

    fn deadline(&self) -> Option<Time> {
        self.deadline
    }
}

impl Toy {
    /// Breaks the contract: no `BulkReady`.
    pub(crate) fn mute() -> Self {
        Self { is_mute: true, ..Self::default() }
    }

    fn on_command(&mut self, command: Command) {
        match command {
            Command::Say(peer, frame) => self.outbox.push_back(Output::Send { peer, frame }),
            Command::Flood(frame) => self.flood(frame, None),
            Command::Stream(peer, count, bytes) => {
                self.streams.insert(peer, (0, count, bytes));
                if !self.is_mute {
                    self.outbox.push_back(Output::BulkReady(peer));
                }
            }
            Command::Hush => self.streams.clear(),
            Command::WakeAt(time) => self.deadline = Some(time),
            Command::Ban(peer, until) => self.outbox.push_back(Output::Disconnect { peer, until }),
            Command::Work(slices) => self.slices = slices,
        }
    }

    fn flood(&mut self, frame: Frame, from: Option<PeerId>) {
        if self.seen.insert(frame.number) {
            let others = self.peers.iter().filter(|peer| Some(**peer) != from);
            let sends = others.map(|&peer| Output::Send { peer, frame: frame.clone() });
            self.outbox.extend(sends);
        }
    }

    fn say(&mut self, event: Event) {
        self.outbox.push_back(Output::Event(event));
    }
}

/// Numbers from here on are passed on.
pub(crate) const FLOOD: u64 = 1 << 32;

/// Whoever sends this number is banned for a second.
pub(crate) const LIE: u64 = u64::MAX;

pub(crate) fn id(number: u8) -> PeerId {
    PeerId([number; 32])
}

pub(crate) fn at(micros: u64) -> Time {
    Time::from_micros(micros)
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Nodes 0, 1, ... of these rates, ids alike; nobody is connected.
pub(crate) fn world(rates: &[u64]) -> (World<Toy>, Vec<NodeIndex>) {
    let mut world = World::new(7);
    let add = |(number, &rate): (usize, &u64)| {
        world.add_node(id(number as u8), Toy::default(), NodeProfile::rates(rate, rate))
    };
    let nodes = rates.iter().enumerate().map(add).collect();
    (world, nodes)
}

/// A link of 50 ms that takes this many bytes.
pub(crate) fn link(window: u64) -> LinkProfile {
    LinkProfile { window: Window::Bytes(window), ..LinkProfile::new(ms(50)) }
}

/// When `node` got which number, in order; empties the events.
pub(crate) fn got(world: &mut World<Toy>, node: NodeIndex) -> Vec<(u64, u64)> {
    let arrivals = world.take_events().into_iter().filter_map(|(time, who, event)| match event {
        Event::Got(number) if who == node => Some((time.as_micros(), number)),
        _ => None,
    });
    arrivals.collect()
}

pub(crate) fn say(number: u64, bytes: usize, to: u8) -> Command {
    Command::Say(id(to), Frame { number, bytes })
}

pub(crate) const FOREVER: Time = Time::from_micros(u64::MAX);
