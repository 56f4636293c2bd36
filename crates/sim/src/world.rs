use std::collections::BTreeMap;

use braidcast_machine::{Direction, Duration, Input, Machine, Now, Rng, Time, WallTime};
use braidcast_wire::PeerId;

use crate::{
    LinkProfile, NodeIndex, NodeProfile,
    agenda::{Agenda, Happening},
    link::{End, Link, Pipe, Way},
    node::Node,
    trace::Trace,
};

/// Nodes, the links between them, and a virtual clock. See the crate's page for the model.
pub struct World<M: Machine> {
    pub(crate) time: Time,
    wall_start: WallTime,
    pub(crate) rng: Rng,
    pub(crate) agenda: Agenda,
    pub(crate) nodes: Vec<Node<M>>,
    pub(crate) links: Vec<Link<M::Frame>>,
    pub(crate) places: BTreeMap<PeerId, NodeIndex>,
    pub(crate) trace: Trace<M::Event>,
    pub(crate) intercept: Option<Intercept<M::Frame>>,
    pub(crate) observe: Option<Observe<M::Event>>,
    pub(crate) digest: Option<fn(&M::Frame) -> u64>,
    pub(crate) steps: u64,
    pub(crate) pulls_when_ready: bool,
}

pub(crate) type Intercept<F> = Box<dyn FnMut(NodeIndex, NodeIndex, &mut F) -> Verdict>;
pub(crate) type Observe<E> = Box<dyn FnMut(Time, NodeIndex, E) -> Option<E>>;

/// What becomes of a frame at the receiver's door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is handed in, as it is now.
    Deliver,
    /// It is gone; the sender's window does not notice.
    Drop,
}

/// Why two nodes are not connected now. Nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectError {
    /// One of them refuses the other.
    Banned {
        /// Who refuses.
        by: NodeIndex,
        /// Until when.
        until: Time,
    },
    /// They are connected.
    Already,
    /// A node cannot dial itself.
    Itself,
    /// One of them is stopped.
    Stopped(NodeIndex),
}

impl<M: Machine> World<M> {
    /// An empty world at time zero. Its chance (loss, jitter, [`draw_seed`](Self::draw_seed)) comes from `seed` alone.
    pub fn new(seed: u64) -> Self {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        Self {
            time: Time::ZERO,
            // 2026-01-01.
            wall_start: WallTime(1_767_225_600_000),
            rng: Rng::from_seed(bytes),
            agenda: Agenda::default(),
            nodes: Vec::new(),
            links: Vec::new(),
            places: BTreeMap::new(),
            trace: Trace::new(),
            intercept: None,
            observe: None,
            digest: None,
            steps: 0,
            pulls_when_ready: false,
        }
    }

    /// What wall clocks without skew show at time zero.
    pub fn set_wall_start(&mut self, wall: WallTime) {
        self.wall_start = wall;
    }

    /// A seed for a machine, or for a test's own dice.
    pub fn draw_seed(&mut self) -> [u8; 32] {
        let mut seed = [0; 32];
        self.rng.fill(&mut seed);
        seed
    }

    /// Adds a node; its machine may speak at once. Panics when `id` is taken.
    pub fn add_node(&mut self, id: PeerId, machine: M, profile: NodeProfile) -> NodeIndex {
        let node = NodeIndex(u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes"));
        assert!(self.places.insert(id, node).is_none(), "{id:?} is in this world already");
        self.nodes.push(Node::new(id, machine, profile));
        self.settle(node.at());
        node
    }

    /// `dialler` opens a clean link to `other`, of this one-way latency. Both are told now.
    pub fn connect(
        &mut self,
        dialler: NodeIndex,
        other: NodeIndex,
        latency: Duration,
    ) -> Result<(), ConnectError> {
        self.connect_with(dialler, other, LinkProfile::new(latency))
    }

    /// `dialler` opens a link to `other`. Both are told now.
    ///
    /// An end that has not noticed yet that an earlier link is gone is told that first.
    pub fn connect_with(
        &mut self,
        dialler: NodeIndex,
        other: NodeIndex,
        profile: LinkProfile,
    ) -> Result<(), ConnectError> {
        self.check_connect(dialler, other)?;
        let pipe = self.pipe(dialler, other).unwrap_or_else(|| self.add_link(dialler, other));
        self.close_now(pipe);
        let link = &mut self.links[pipe.link()];
        link.epoch += 1;
        link.is_cut = false;
        for way in &mut link.ways {
            way.open(profile.bytes_per_s);
        }
        link.profile = profile;
        for pipe in [pipe, pipe.back()] {
            self.size_window(pipe);
            self.refresh_writable(pipe);
        }
        let (a, b) = (self.nodes[dialler.at()].id, self.nodes[other.at()].id);
        self.input(dialler.at(), Input::Connected { peer: b, direction: Direction::Outbound });
        self.input(other.at(), Input::Connected { peer: a, direction: Direction::Inbound });
        Ok(())
    }

    fn check_connect(&self, a: NodeIndex, b: NodeIndex) -> Result<(), ConnectError> {
        if a == b {
            return Err(ConnectError::Itself);
        }
        for (node, peer) in [(a, b), (b, a)] {
            if !self.nodes[node.at()].is_running {
                return Err(ConnectError::Stopped(node));
            }
            let bans = &self.nodes[node.at()].bans;
            if let Some(&until) = bans.get(&self.nodes[peer.at()].id)
                && self.time < until
            {
                return Err(ConnectError::Banned { by: node, until });
            }
        }
        if self.is_connected(a, b) { Err(ConnectError::Already) } else { Ok(()) }
    }

    fn add_link(&mut self, a: NodeIndex, b: NodeIndex) -> Pipe {
        let pipe = Pipe(u32::try_from(self.links.len() * 2).expect("fewer than 2^31 links"));
        self.links.push(Link::new([a.0, b.0]));
        let (a_id, b_id) = (self.nodes[a.at()].id, self.nodes[b.at()].id);
        self.nodes[a.at()].links.insert(b_id, pipe);
        self.nodes[b.at()].links.insert(a_id, pipe.back());
        pipe
    }

    /// Closes the link, if there is one; both are told now, what is under way is lost.
    pub fn disconnect(&mut self, a: NodeIndex, b: NodeIndex) {
        if let Some(pipe) = self.pipe(a, b) {
            self.close_now(pipe);
        }
    }

    /// From now on nothing moves between the two until [`heal`](Self::heal); frames are held, not lost. After
    /// `notice` both find the link gone; with `None` nobody is told.
    pub fn cut(&mut self, a: NodeIndex, b: NodeIndex, notice: Option<Duration>) {
        let Some(pipe) = self.pipe(a, b) else { return };
        let link = &mut self.links[pipe.link()];
        link.is_cut = true;
        link.cuts += 1;
        if let Some(notice) = notice {
            let cut = link.cuts;
            self.agenda.book(self.time + notice, Happening::Notice { pipe, cut });
        }
    }

    /// Ends a cut: what was held comes now. A link that was found gone stays so until it is connected again.
    pub fn heal(&mut self, a: NodeIndex, b: NodeIndex) {
        if let Some(pipe) = self.pipe(a, b)
            && self.links[pipe.link()].is_cut
        {
            self.release(pipe);
        }
    }

    /// Limits the direction `from` to `to` of an open link to this rate from now on; its [`Window`](crate::Window)
    /// follows.
    pub fn throttle(&mut self, from: NodeIndex, to: NodeIndex, bytes_per_s: u64) {
        if let Some(pipe) = self.pipe(from, to) {
            self.way_mut(pipe).throttle.set_rate(bytes_per_s);
            self.size_window(pipe);
            self.refresh_writable(pipe);
        }
    }

    /// Changes a node's rates from now on; windows that follow rates follow at the next connect or throttle.
    pub fn set_rates(&mut self, node: NodeIndex, up_bytes_per_s: u64, down_bytes_per_s: u64) {
        let node = &mut self.nodes[node.at()];
        node.up.set_rate(up_bytes_per_s);
        node.down.set_rate(down_bytes_per_s);
    }

    /// Stops a node as pulling the plug does: its machine gets nothing more, its neighbours find the links gone after
    /// `notice`, or never.
    pub fn stop(&mut self, node: NodeIndex, notice: Option<Duration>) {
        self.nodes[node.at()].is_running = false;
        let pipes: Vec<Pipe> = self.nodes[node.at()].links.values().copied().collect();
        for pipe in pipes {
            self.shut(pipe, End::Closed);
            if let Some(notice) = notice {
                let epoch = self.links[pipe.link()].epoch;
                self.agenda.book(self.time + notice, Happening::Close { pipe: pipe.back(), epoch });
            }
        }
    }

    /// Starts a stopped node with a new machine and no links; its bans are forgotten. Returns the old machine.
    pub fn restart(&mut self, node: NodeIndex, machine: M) -> M {
        assert!(!self.nodes[node.at()].is_running, "{node:?} is running: stop it first");
        let state = &mut self.nodes[node.at()];
        state.is_running = true;
        state.wake = None;
        state.bans.clear();
        let old = core::mem::replace(&mut state.machine, machine);
        self.settle(node.at());
        old
    }

    /// The application of `node` asks, now.
    pub fn command(&mut self, node: NodeIndex, command: M::Command) {
        self.input(node.at(), Input::Command(command));
    }

    /// Sends `frame` as a control frame of `from`, whatever its machine thinks: a liar's voice. False when they are
    /// not connected.
    pub fn inject(&mut self, from: NodeIndex, to: NodeIndex, frame: M::Frame) -> bool {
        let Some(pipe) = self.pipe(from, to).filter(|&pipe| self.way(pipe).end == End::Open) else {
            return false;
        };
        self.send(pipe, frame, false);
        self.feed(from.at());
        true
    }

    /// Sees every frame at its receiver's door and may change it or drop it. Replaces an earlier hook.
    pub fn intercept(&mut self, hook: impl FnMut(NodeIndex, NodeIndex, &mut M::Frame) -> Verdict + 'static) {
        self.intercept = Some(Box::new(hook));
    }

    /// Removes the hook of [`intercept`](Self::intercept).
    pub fn intercept_none(&mut self) {
        self.intercept = None;
    }

    /// Sees every event when it happens; what it returns is kept for [`take_events`](Self::take_events). Large worlds
    /// need it, so that payloads are dropped.
    pub fn observe(&mut self, hook: impl FnMut(Time, NodeIndex, M::Event) -> Option<M::Event> + 'static) {
        self.observe = Some(Box::new(hook));
    }

    /// From now on hosts offer only peers that [`BulkReady`](braidcast_machine::Output::BulkReady) named since `pull`
    /// last had nothing for them; without this they offer every writable peer after every input.
    pub fn pull_when_ready(&mut self) {
        self.pulls_when_ready = true;
    }

    /// Adds `digest` of each delivered frame to the trace; without it only lengths count.
    pub fn digest_frames(&mut self, digest: fn(&M::Frame) -> u64) {
        self.digest = Some(digest);
    }

    /// Both clocks of a node.
    pub fn now(&self, node: NodeIndex) -> Now {
        self.now_at(node.at())
    }

    pub(crate) fn now_at(&self, at: usize) -> Now {
        let wall = self.wall_start.0.saturating_add(self.time.as_micros() / 1_000);
        let wall = WallTime(wall.saturating_add_signed(self.nodes[at].profile.wall_skew_ms));
        Now { time: self.time, wall }
    }

    pub(crate) fn pipe(&self, from: NodeIndex, to: NodeIndex) -> Option<Pipe> {
        self.nodes[from.at()].links.get(&self.nodes[to.at()].id).copied()
    }

    pub(crate) fn way(&self, pipe: Pipe) -> &Way<M::Frame> {
        &self.links[pipe.link()].ways[pipe.side()]
    }

    pub(crate) fn way_mut(&mut self, pipe: Pipe) -> &mut Way<M::Frame> {
        &mut self.links[pipe.link()].ways[pipe.side()]
    }

    /// The node that sends into this pipe.
    pub(crate) fn sender(&self, pipe: Pipe) -> usize {
        self.links[pipe.link()].ends[pipe.side()] as usize
    }

    fn size_window(&mut self, pipe: Pipe) {
        let (from, to) = (self.sender(pipe), self.sender(pipe.back()));
        let ends = self.nodes[from].up.bytes_per_s().min(self.nodes[to].down.bytes_per_s());
        let link = &mut self.links[pipe.link()];
        let (profile, round_trip) = (link.profile.window, link.round_trip());
        let way = &mut link.ways[pipe.side()];
        (way.window, way.window_max) = profile.bytes(ends.min(way.throttle.bytes_per_s()), round_trip);
    }
}
