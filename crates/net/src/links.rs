//! Which connection carries the link to a peer.
//!
//! A peer may be connected several times: both sides dialled, or through a relay and directly. One connection is
//! active at a time, direct before relayed, then the oldest. The side with the smaller key decides and opens its
//! streams there; the other side takes what it is offered. When the link moves to another connection it begins anew:
//! the machine sees the peer go and come, because what was on its way is lost.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::Arc,
};

use braidcast_core::{machine::Direction, wire::PeerId};
use libp2p::{Multiaddr, swarm::ConnectionId};

use crate::outlet::Outlet;

/// All peers that are connected and have a core id, whether or not they speak our protocol.
#[derive(Debug)]
pub(crate) struct Links {
    local: PeerId,
    peers: BTreeMap<PeerId, Peer>,
}

#[derive(Debug, Default)]
struct Peer {
    connections: BTreeMap<ConnectionId, Connection>,
    active: Option<ConnectionId>,
}

#[derive(Debug)]
struct Connection {
    route: Route,
    state: State,
    outlet: Arc<Outlet>,
}

/// Where a connection leads and who made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) address: Multiaddr,
    pub(crate) inbound: bool,
    pub(crate) circuit: bool,
}

impl Route {
    pub(crate) fn direction(&self) -> Direction {
        if self.inbound { Direction::Inbound } else { Direction::Outbound }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Without streams, or the active one.
    Idle,
    /// We told it to open streams.
    Opening,
    /// The peer does not speak our protocol, or the connection is being closed.
    Useless,
}

/// What is to be done now, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The connection opens its streams.
    Open(ConnectionId),
    /// The connection drops its streams.
    Shut(ConnectionId),
    /// The connection is closed.
    Close(ConnectionId),
    /// The link is up.
    Up(ConnectionId),
    /// The link is down.
    Down,
}

impl Links {
    pub(crate) fn new(local: PeerId) -> Self {
        Self { local, peers: BTreeMap::new() }
    }

    /// True when `peer` chooses the connection and we follow.
    pub(crate) fn follows(&self, peer: PeerId) -> bool {
        peer < self.local
    }

    /// The outlet of the connection that carries the link.
    pub(crate) fn outlet(&self, peer: PeerId) -> Option<&Arc<Outlet>> {
        let peer = self.peers.get(&peer)?;
        peer.connections.get(&peer.active?).map(|connection| &connection.outlet)
    }

    /// Whether this connection carries the link.
    pub(crate) fn is_active(&self, peer: PeerId, connection: ConnectionId) -> bool {
        self.peers.get(&peer).is_some_and(|peer| peer.active == Some(connection))
    }

    /// The links that are up and their routes, in order of peers.
    pub(crate) fn routes(&self) -> impl Iterator<Item = (PeerId, &Route)> {
        self.peers.iter().filter_map(|(id, peer)| Some((*id, &peer.connections.get(&peer.active?)?.route)))
    }

    /// The route of the link to `peer`.
    pub(crate) fn route(&self, peer: PeerId) -> Option<&Route> {
        let peer = self.peers.get(&peer)?;
        peer.connections.get(&peer.active?).map(|connection| &connection.route)
    }

    pub(crate) fn on_established(
        &mut self,
        peer: PeerId,
        id: ConnectionId,
        route: Route,
        outlet: Arc<Outlet>,
    ) -> Vec<Step> {
        let connection = Connection { route, state: State::Idle, outlet };
        self.peers.entry(peer).or_default().connections.insert(id, connection);
        Vec::from_iter(self.choose(peer))
    }

    pub(crate) fn on_closed(&mut self, peer: PeerId, id: ConnectionId) -> Vec<Step> {
        let Entry::Occupied(mut entry) = self.peers.entry(peer) else { return Vec::new() };
        entry.get_mut().connections.remove(&id);
        let down = entry.get_mut().drop_link(id);
        if entry.get().connections.is_empty() {
            entry.remove();
        }
        down.into_iter().chain(self.choose(peer)).collect()
    }

    /// Streams are open both ways.
    pub(crate) fn on_up(&mut self, peer: PeerId, id: ConnectionId) -> Vec<Step> {
        let chooses = !self.follows(peer);
        let Some(link) = self.peers.get_mut(&peer) else { return Vec::new() };
        let Some(connection) = link.connections.get_mut(&id) else { return Vec::new() };
        if connection.state == State::Useless || (chooses && connection.state != State::Opening) {
            return vec![Step::Shut(id)];
        }
        connection.state = State::Idle;
        let mut steps = Vec::new();
        if let Some(old) = link.active.replace(id).filter(|old| *old != id) {
            steps.push(link.leave(old, chooses));
            steps.push(Step::Down);
        }
        steps.push(Step::Up(id));
        steps.extend(self.choose(peer));
        steps
    }

    /// The streams are gone.
    pub(crate) fn on_down(&mut self, peer: PeerId, id: ConnectionId) -> Vec<Step> {
        let chooses = !self.follows(peer);
        let Some(link) = self.peers.get_mut(&peer) else { return Vec::new() };
        let mut steps = Vec::from_iter(link.drop_link(id));
        if let Some(connection) = link.connections.get_mut(&id)
            && chooses
            && connection.state != State::Useless
        {
            // We did not end it, and who follows has no reason to.
            connection.state = State::Useless;
            steps.push(Step::Close(id));
        }
        steps.extend(self.choose(peer));
        steps
    }

    /// The peer does not speak our protocol on this connection.
    pub(crate) fn on_unsupported(&mut self, peer: PeerId, id: ConnectionId) {
        let connection = self.peers.get_mut(&peer).and_then(|peer| peer.connections.get_mut(&id));
        if let Some(connection) = connection {
            connection.state = State::Useless;
        }
    }

    /// Gives up every connection to `peer`.
    pub(crate) fn drop_peer(&mut self, peer: PeerId) -> Vec<Step> {
        let Some(link) = self.peers.get_mut(&peer) else { return Vec::new() };
        let mut steps = Vec::new();
        for (id, connection) in &mut link.connections {
            connection.state = State::Useless;
            steps.push(Step::Close(*id));
        }
        if link.active.take().is_some() {
            steps.push(Step::Down);
        }
        steps
    }

    /// Opens the best connection, when the choice is ours and a better one than the active is there.
    fn choose(&mut self, peer: PeerId) -> Option<Step> {
        if self.follows(peer) {
            return None;
        }
        let link = self.peers.get_mut(&peer)?;
        if link.connections.values().any(|connection| connection.state == State::Opening) {
            return None;
        }
        let circuit = link.active.and_then(|id| link.connections.get(&id)).map(|active| active.route.circuit);
        let (id, best) = link
            .connections
            .iter_mut()
            .filter(|(_, connection)| connection.state == State::Idle)
            .min_by_key(|(id, connection)| (connection.route.circuit, **id))?;
        // A link that is up moves only to get off a relay.
        let better = circuit.is_none_or(|circuit| circuit && !best.route.circuit);
        better.then(|| {
            best.state = State::Opening;
            Step::Open(*id)
        })
    }
}

impl Peer {
    /// The link has moved away from this connection. A circuit takes a place at its relay, and who chose closes it.
    fn leave(&mut self, id: ConnectionId, chooses: bool) -> Step {
        match self.connections.get_mut(&id) {
            Some(circuit) if chooses && circuit.route.circuit => {
                circuit.state = State::Useless;
                Step::Close(id)
            }
            _ => Step::Shut(id),
        }
    }

    /// Ends the link if this connection carries it.
    fn drop_link(&mut self, id: ConnectionId) -> Option<Step> {
        self.active.take_if(|active| *active == id).map(|_| Step::Down)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const SMALL: PeerId = PeerId([1; 32]);
    const LARGE: PeerId = PeerId([2; 32]);

    fn id(number: usize) -> ConnectionId {
        ConnectionId::new_unchecked(number)
    }

    fn connect(links: &mut Links, peer: PeerId, number: usize, circuit: bool) -> Vec<Step> {
        let route = Route { address: Multiaddr::empty(), inbound: false, circuit };
        links.on_established(peer, id(number), route, Arc::default())
    }

    #[test]
    fn the_smaller_key_chooses_and_the_larger_follows() {
        let mut small = Links::new(SMALL);
        assert_eq!(connect(&mut small, LARGE, 1, false), [Step::Open(id(1))]);
        assert_eq!(connect(&mut small, LARGE, 2, false), []);
        assert_eq!(small.on_up(LARGE, id(1)), [Step::Up(id(1))]);
        assert!(small.is_active(LARGE, id(1)));

        let mut large = Links::new(LARGE);
        assert_eq!(connect(&mut large, SMALL, 1, false), []);
        assert_eq!(connect(&mut large, SMALL, 2, false), []);
        assert_eq!(large.on_up(SMALL, id(2)), [Step::Up(id(2))]);
    }

    #[test]
    fn the_link_moves_when_its_connection_closes() {
        let mut links = Links::new(SMALL);
        connect(&mut links, LARGE, 1, false);
        connect(&mut links, LARGE, 2, false);
        links.on_up(LARGE, id(1));
        assert_eq!(links.on_closed(LARGE, id(1)), [Step::Down, Step::Open(id(2))]);
        assert_eq!(links.on_up(LARGE, id(2)), [Step::Up(id(2))]);
        assert_eq!(links.on_closed(LARGE, id(2)), [Step::Down]);
        assert!(links.peers.is_empty());
    }

    #[test]
    fn a_direct_connection_replaces_a_relayed_one() {
        let mut links = Links::new(SMALL);
        assert_eq!(connect(&mut links, LARGE, 1, true), [Step::Open(id(1))]);
        links.on_up(LARGE, id(1));
        assert_eq!(connect(&mut links, LARGE, 2, false), [Step::Open(id(2))]);
        assert_eq!(links.on_up(LARGE, id(2)), [Step::Close(id(1)), Step::Down, Step::Up(id(2))]);
        assert_eq!(connect(&mut links, LARGE, 3, true), []);
        assert_eq!(links.on_closed(LARGE, id(1)), []);
    }

    #[test]
    fn who_follows_moves_when_told() {
        let mut links = Links::new(LARGE);
        connect(&mut links, SMALL, 1, false);
        connect(&mut links, SMALL, 2, false);
        links.on_up(SMALL, id(1));
        assert_eq!(links.on_up(SMALL, id(2)), [Step::Shut(id(1)), Step::Down, Step::Up(id(2))]);
        assert_eq!(links.on_down(SMALL, id(1)), []);
        assert_eq!(links.on_down(SMALL, id(2)), [Step::Down]);
    }

    #[test]
    fn a_follower_that_ends_the_streams_is_closed() {
        let mut links = Links::new(SMALL);
        connect(&mut links, LARGE, 1, false);
        links.on_up(LARGE, id(1));
        assert_eq!(links.on_down(LARGE, id(1)), [Step::Down, Step::Close(id(1))]);
        assert_eq!(links.on_closed(LARGE, id(1)), []);
    }

    #[test]
    fn streams_that_were_not_asked_for_are_shut() {
        let mut links = Links::new(SMALL);
        connect(&mut links, LARGE, 1, false);
        connect(&mut links, LARGE, 2, false);
        assert_eq!(links.on_up(LARGE, id(2)), [Step::Shut(id(2))]);
    }

    #[test]
    fn a_dropped_peer_cannot_come_back_on_a_closing_connection() {
        let mut links = Links::new(LARGE);
        connect(&mut links, SMALL, 1, false);
        links.on_up(SMALL, id(1));
        assert_eq!(links.drop_peer(SMALL), [Step::Close(id(1)), Step::Down]);
        assert_eq!(links.on_up(SMALL, id(1)), [Step::Shut(id(1))]);
        assert_eq!(links.on_down(SMALL, id(1)), []);
    }
}
