//! One machine by hand, with its clock.
#![allow(dead_code, reason = "each test uses some of it")]

use braidcast_machine::{Budget, Direction, Duration, Input, Machine, Now, Output, PeerSet};
use braidcast_mesh::{
    Command, Config, Content, Event, Frame, Mesh, Publish, TopicParams,
    frame::{self, Body},
};
use braidcast_wire::{Identity, PeerId, Topic};
use bytes::Bytes;

pub(crate) type Said = Output<Frame, Event>;

/// A machine, and its clock.
pub(crate) struct Node {
    pub(crate) mesh: Mesh,
    pub(crate) now: Now,
    pub(crate) manifest: Option<Body>,
}

impl Node {
    /// What it publishes travels as it is.
    pub(crate) fn new(number: u8) -> Self {
        let params = TopicParams { compress: false, ..TopicParams::default() };
        let topic = params.checked().expect("they fit");
        Self::with(number, Config { topic, ..Config::default() })
    }

    pub(crate) fn with(number: u8, config: Config) -> Self {
        let config = Config { traces: true, ..config };
        Self { mesh: Mesh::new(config, identity(number), [number; 32]), now: Now::default(), manifest: None }
    }

    /// Subscribed, and in one mesh with a peer.
    pub(crate) fn joined(number: u8, other: u8) -> Self {
        let mut node = Self::new(number);
        node.subscribe();
        node.connect(other);
        node.receive(other, subscriptions(&["t"], &[]));
        // Lanes go out.
        node.tick(Duration::from_millis(5));
        node
    }

    pub(crate) fn subscribe(&mut self) {
        self.handle(Input::Command(Command::Subscribe(topic())));
    }

    pub(crate) fn connect(&mut self, other: u8) -> Vec<Said> {
        self.handle(Input::Connected { peer: peer(other), direction: Direction::Inbound })
    }

    pub(crate) fn publish(&mut self, payload: &[u8]) -> Vec<Said> {
        let content = Content { payload: Bytes::copy_from_slice(payload).into(), ..Content::default() };
        self.handle(Input::Command(Command::Publish(Publish { ticket: 9, topic: topic(), content })))
    }

    pub(crate) fn receive(&mut self, from: u8, body: Body) -> Vec<Said> {
        self.receive_frame(from, body.into())
    }

    pub(crate) fn receive_frame(&mut self, from: u8, frame: Frame) -> Vec<Said> {
        self.handle(Input::Received { peer: peer(from), frame })
    }

    /// Lets time pass as a host does that wakes at each deadline.
    pub(crate) fn pass(&mut self, span: Duration) -> Vec<Said> {
        let (end, mut said) = (self.now.time + span, Vec::new());
        while let Some(due) = self.mesh.deadline().filter(|&due| due <= end) {
            said.extend(self.tick(due.since(self.now.time)));
        }
        self.now.time = end;
        said
    }

    /// Wakes once, after this long.
    pub(crate) fn tick(&mut self, span: Duration) -> Vec<Said> {
        self.now.time = self.now.time + span;
        self.handle(Input::Tick)
    }

    pub(crate) fn handle(&mut self, input: Input<Frame, Command>) -> Vec<Said> {
        self.mesh.handle(self.now, input);
        while self.mesh.work(self.now, Budget(1 << 20)) {}
        std::iter::from_fn(|| self.mesh.poll()).collect()
    }

    /// All bulk for a peer.
    pub(crate) fn pull(&mut self, to: u8) -> Vec<Frame> {
        let writable = PeerSet::from([peer(to)]);
        let frames: Vec<Frame> =
            std::iter::from_fn(|| self.mesh.pull(self.now, &writable)).map(|(_, frame)| frame).collect();
        while self.mesh.poll().is_some() {}
        self.manifest = self.manifest.take().or_else(|| frames.first()?.body.clone());
        frames
    }
}

pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

pub(crate) fn peer(number: u8) -> PeerId {
    identity(number).peer_id()
}

pub(crate) fn topic() -> Topic {
    Topic::new("t").expect("a name")
}

pub(crate) fn send(to: u8, body: Body) -> Said {
    Output::Send { peer: peer(to), frame: body.into() }
}

pub(crate) fn subscriptions(join: &[&str], leave: &[&str]) -> Body {
    let names = |topics: &[&str]| topics.iter().map(|name| name.to_string()).collect();
    Body::Subscriptions(frame::Subscriptions { join: names(join), leave: names(leave) })
}

pub(crate) fn graft() -> Body {
    Body::Graft(frame::Graft { topic: "t".into() })
}

pub(crate) fn prune(backoff_ms: u64) -> Body {
    Body::Prune(frame::Prune { topic: "t".into(), backoff_ms })
}
