//! What the application is told of peers and how they are linked.

use braidcast_core::wire::{PeerId, Topic};
use libp2p::PeerId as NetPeerId;

use super::Driver;
use crate::{Link, Path, PeerInfo, behaviour::net_id, links::Route, path, platform};

impl Driver {
    pub(super) fn path(&self, id: PeerId) -> Path {
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

    pub(super) fn infos(&self) -> Vec<PeerInfo> {
        let hub = &self.swarm.behaviour().hub;
        hub.routes().map(|(peer, route)| self.info(peer, route, hub.topics_of(peer))).collect()
    }

    pub(super) fn info(&self, id: PeerId, route: &Route, topics: Vec<Topic>) -> PeerInfo {
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
