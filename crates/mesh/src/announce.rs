//! What neighbours are told: which pieces we have, that we need no more, and, to the application, how far it is.

use alloc::vec::Vec;

use braidcast_machine::{Duration, Time};
use braidcast_wire::{MessageId, PeerId, limits};

use crate::{
    api::{Event, Progress},
    frame::{self, Body},
    link::{Link, News, Place},
    mesh::Mesh,
    trace::Trace,
    transfer::Push,
};

impl Mesh {
    /// Queues a message for every neighbour that may need something of it now.
    pub(crate) fn offer(&mut self, id: MessageId) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        let topic = &transfer.manifest.topic;
        let needs = |&peer: &PeerId| transfer.next(peer, self.overlay.lane(peer, topic), false).is_some();
        let peers: Vec<PeerId> = transfer.neighbours.keys().copied().filter(needs).collect();
        peers.into_iter().for_each(|peer| self.enqueue(peer, id));
    }

    /// The same for one neighbour.
    pub(crate) fn offer_to(&mut self, peer: PeerId, id: MessageId) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        if transfer.next(peer, self.overlay.lane(peer, &transfer.manifest.topic), false).is_some() {
            self.enqueue(peer, id);
        }
    }

    pub(crate) fn tell_have(&mut self, place: Place, now: Time) {
        let Some(transfer) = self.transfers.get(&place.message) else { return };
        for (peer, neighbour) in &transfer.neighbours {
            let knows = neighbour.is_done || neighbour.announced[place.generation].contains(place.piece);
            if !knows && let Some(link) = self.links.get_mut(peer) {
                let pieces = link.news.have.entry((place.message, place.generation)).or_default();
                pieces.insert(place.piece);
            }
        }
        self.flush_at.get_or_insert(now + BATCH);
    }

    /// Tells neighbours that we have the manifest, so that they need not send it.
    pub(crate) fn tell_known(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        for (peer, neighbour) in &transfer.neighbours {
            if !neighbour.knows_manifest
                && let Some(link) = self.links.get_mut(peer)
            {
                link.news.have.entry((id, 0)).or_default();
            }
        }
        self.flush_at.get_or_insert(now + BATCH);
    }

    /// Tells neighbours to push no more; once per message.
    pub(crate) fn tell_pause(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        if transfer.paused_at.is_some() {
            return;
        }
        transfer.paused_at = Some(now);
        self.outbox.trace(Trace::Pause { id });
        let ids = frame::Ids { ids: frame::pack([id]) };
        for (&peer, _) in transfer.neighbours.iter().filter(|(_, neighbour)| neighbour.push == Push::Lane) {
            self.outbox.send(peer, Body::Pause(ids.clone()).into());
        }
    }

    pub(crate) fn tell_done(&mut self, peer: PeerId, id: MessageId, now: Time) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.news.add_done(id);
            self.flush_at.get_or_insert(now + BATCH);
        }
    }

    /// Lets all neighbours ask for pieces of a message of ours once each piece went to one of them. Before, a piece that
    /// nobody has yet is worth more than any that was asked for.
    pub(crate) fn let_all_ask(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        if transfer.take_spread() {
            let peers: Vec<PeerId> = transfer.neighbours.keys().copied().collect();
            peers.into_iter().for_each(|peer| self.let_ask(peer, id, now));
        }
    }

    /// Lets a neighbour ask for any piece of a message of ours: nothing is left to be pushed to it.
    pub(crate) fn let_ask(&mut self, peer: PeerId, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        if !transfer.is_ours || transfer.manifest.is_inline() {
            return;
        }
        let neighbour = transfer.neighbour(peer);
        if !neighbour.is_done && !core::mem::replace(&mut neighbour.may_ask, true) {
            self.tell_done(peer, id, now);
        }
    }

    /// Stops everybody who might send more of a message. Not batched when it is large: each moment costs a piece.
    pub(crate) fn tell_all_done(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        let publisher = transfer.manifest.publisher;
        for (peer, neighbour) in &transfer.neighbours {
            // The publisher counts whom it reached; to others that are done it is no news.
            if (!neighbour.is_done || *peer == publisher)
                && let Some(link) = self.links.get_mut(peer)
            {
                link.news.add_done(id);
            }
        }
        if transfer.manifest.is_inline() {
            self.flush_at.get_or_insert(now + BATCH);
        } else {
            self.flush();
        }
    }

    pub(crate) fn tell_progress(&mut self, id: MessageId) {
        let Some(transfer) = self.transfers.get(&id).filter(|transfer| !transfer.manifest.is_inline()) else {
            return;
        };
        let manifest = &transfer.manifest;
        let held = if transfer.is_ours { transfer.reached_bytes() } else { transfer.held_bytes() };
        self.outbox.event(Event::Progress(Progress {
            id,
            topic: manifest.topic.clone(),
            from: manifest.publisher,
            name: manifest.name.clone(),
            held_bytes: manifest.plain_share(held),
            total_bytes: manifest.plain_len,
        }));
    }

    /// Sends the announcements that wait.
    pub(crate) fn flush(&mut self) {
        self.flush_at = None;
        for (peer, topic, lane) in self.overlay.assign_lanes(&self.scores) {
            let lanes = frame::Lanes { topic: topic.as_str().into(), slot: lane.slot, of: lane.of };
            self.outbox.send(peer, Body::Lanes(lanes).into());
        }
        let is_due = |(peer, link): (&PeerId, &mut Link)| {
            (!link.news.is_empty()).then(|| (*peer, core::mem::take(&mut link.news)))
        };
        let due: Vec<(PeerId, News)> = self.links.iter_mut().filter_map(is_due).collect();
        for (peer, news) in due {
            for ids in news.done.chunks(limits::IDS_PER_FRAME) {
                let ids = frame::pack(ids.iter().copied());
                self.outbox.send(peer, Body::Done(frame::Ids { ids }).into());
            }
            for ((id, generation), pieces) in news.have {
                let body = match self.rank_for(peer, id, generation) {
                    Some(rank) => Body::Rank(rank),
                    None => Body::Have(frame::pieces(id, generation, pieces)),
                };
                self.outbox.send(peer, body.into());
            }
        }
    }
}

/// Announcements wait this long for company; 20 ms made the 99th percentile 6 to 10 % later in simulation.
pub(crate) const BATCH: Duration = Duration::from_millis(5);
