//! What comes of what the swarm and the mesh tell.

use std::sync::atomic::Ordering::Relaxed;

use braidcast_core::mesh::{self, PublishError};
use libp2p::{PeerId as NetPeerId, identify, ping, relay, swarm::SwarmEvent};

use super::Driver;
use crate::{
    Event, Published,
    behaviour::{self, core_id, net_id},
    platform::{self, NetworkEvent},
    quota::Spent,
    reason,
    stats::add,
};

impl Driver {
    pub(super) fn on_swarm(&mut self, event: SwarmEvent<NetworkEvent>) {
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
}
