//! What a test may look at.

use braidcast_machine::{Machine, Time};
use braidcast_wire::PeerId;

use crate::{Ban, NodeIndex, Report, Traffic, Usage, World, link::End};

impl<M: Machine> World<M> {
    /// The time of the world.
    pub fn time(&self) -> Time {
        self.time
    }

    /// How many things have happened.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// No nodes yet.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// All nodes, in order.
    pub fn nodes(&self) -> impl Iterator<Item = NodeIndex> + use<M> {
        (0..self.nodes.len() as u32).map(NodeIndex)
    }

    /// A look at a machine.
    pub fn machine(&self, node: NodeIndex) -> &M {
        &self.nodes[node.at()].machine
    }

    /// Who a node is.
    pub fn peer(&self, node: NodeIndex) -> PeerId {
        self.nodes[node.at()].id
    }

    /// Where a peer is.
    pub fn node(&self, peer: &PeerId) -> Option<NodeIndex> {
        self.places.get(peer).copied()
    }

    /// True when both ends have the link open; a cut that nobody noticed does not count.
    pub fn is_connected(&self, a: NodeIndex, b: NodeIndex) -> bool {
        self.pipe(a, b)
            .is_some_and(|pipe| self.way(pipe).end == End::Open && self.way(pipe.back()).end == End::Open)
    }

    /// The peers to whom `node` has an open link, in order of their ids.
    pub fn neighbours(&self, node: NodeIndex) -> impl Iterator<Item = NodeIndex> + '_ {
        let open = self.nodes[node.at()].links.iter().filter(|(_, pipe)| self.way(**pipe).end == End::Open);
        open.map(|(peer, _)| self.places[peer])
    }

    /// What applications were told since the last call, in order.
    pub fn take_events(&mut self) -> Vec<(Time, NodeIndex, M::Event)> {
        core::mem::take(&mut self.trace.events)
    }

    /// All complaints so far.
    pub fn reports(&self) -> &[Report] {
        &self.trace.reports
    }

    /// All bans so far.
    pub fn bans(&self) -> &[Ban] {
        &self.trace.bans
    }

    /// What a node sent and received over all its links, past ones included.
    pub fn usage(&self, node: NodeIndex) -> Usage {
        let mut usage = Usage::default();
        for &pipe in self.nodes[node.at()].links.values() {
            usage.sent += self.way(pipe).sent;
            usage.received += self.way(pipe.back()).delivered;
        }
        usage
    }

    /// What `from` sent to `to` and what was handed to `to`'s machine, past connections included.
    pub fn traffic(&self, from: NodeIndex, to: NodeIndex) -> (Traffic, Traffic) {
        let way = self.pipe(from, to).map(|pipe| self.way(pipe));
        way.map(|way| (way.sent, way.delivered)).unwrap_or_default()
    }

    /// A fingerprint of every delivery so far: BLAKE3 over time, sender, receiver, length and digest of each frame.
    pub fn trace_hash(&self) -> [u8; 32] {
        self.trace.hash()
    }
}
