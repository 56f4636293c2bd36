//! Whom the node dials, and where others can dial it.

use std::collections::BTreeSet;

use braidcast_core::{machine::Time, mesh};
use bytes::Bytes;
use libp2p::{
    Multiaddr, PeerId as NetPeerId,
    swarm::{ConnectionId, DialError, dial_opts::DialOpts},
};

use super::Driver;
use crate::{
    behaviour::{core_id, net_id},
    introductions::Attempt,
    platform, reason,
    records::own_record,
    reservations::Reservations,
};

/// Most records of peers that are given to be kept.
const ACQUAINTANCES: usize = 16;

impl Driver {
    pub(super) fn on_introduced(&mut self, records: Vec<Bytes>) {
        let (now, local) = (platform::now().time, *self.swarm.local_peer_id());
        self.introductions.offer(records, now, |peer| peer != local && core_id(peer).is_some());
        self.dial_introduced(now);
    }

    pub(super) fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError) {
        let reason = reason::of_dial(error);
        tracing::debug!(reason, "dial failed");
        let now = platform::now().time;
        self.introductions.on_dial_failed(connection, &reason, now);
        let events = self.relays.on_dial_failed(connection, &reason, now);
        self.tell(events);
        self.dial_introduced(now);
    }

    pub(super) fn dial(&mut self, opts: DialOpts) {
        let connection = opts.connection_id();
        if let Err(error) = self.swarm.dial(opts) {
            self.on_dial_failed(connection, &error);
        }
    }

    /// Dials the relays whose time has come, and sets the alarm for the others.
    pub(super) fn tend_relays(&mut self) {
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
    pub(super) fn dial_introduced(&mut self, now: Time) {
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
    pub(super) fn room(&self) -> usize {
        self.wanted_peers.saturating_sub(self.direct().count())
    }

    /// Peers with a link of their own, the relays aside.
    fn direct(&self) -> impl Iterator<Item = NetPeerId> {
        let direct = self.swarm.behaviour().hub.routes().filter(|(_, route)| !route.circuit);
        direct.map(|(peer, _)| net_id(peer)).filter(|peer| !self.relays.contains(*peer))
    }

    /// Gives the mesh our signed record, if our addresses have changed.
    pub(super) fn record(&mut self) {
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
    pub(super) fn addresses(&self) -> Vec<Multiaddr> {
        let mut addresses: Vec<Multiaddr> = self.swarm.external_addresses().cloned().collect();
        for address in self.swarm.listeners() {
            if !addresses.contains(address) {
                addresses.push(address.clone());
            }
        }
        addresses
    }

    /// What may lead back to the room.
    pub(super) fn acquaintances(&self) -> Vec<Bytes> {
        let hub = &self.swarm.behaviour().hub;
        self.direct().filter_map(core_id).filter_map(|peer| hub.record_of(peer)).take(ACQUAINTANCES).collect()
    }
}
