//! What goes out: the next bulk frame, chosen when the uplink is free.

use alloc::vec::Vec;

use braidcast_machine::{PeerSet, Time};
use braidcast_wire::{MessageId, PeerId, limits};
use bytes::Bytes;

use crate::{
    frame::{self, Body, Frame},
    link::Place,
    mesh::Mesh,
    trace::Trace,
    transfer::{Next, Transfer},
};

impl Mesh {
    /// The next bulk frame: the piece that is going out, to its end; then inline messages and what was asked for; then
    /// what was not. Peers take turns piece by piece.
    pub(crate) fn next_bulk(&mut self, now: Time, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        let after = (core::ops::Bound::Excluded(self.cursor), core::ops::Bound::Unbounded);
        let turns = self.busy.range(after).chain(self.busy.range(..=self.cursor));
        let turns: Vec<PeerId> = turns.filter(|peer| writable.contains(peer)).copied().collect();
        let body = writable.contains(&self.cursor).then(|| self.continued(self.cursor, now)).flatten();
        if let Some(body) = body {
            return Some((self.cursor, body.into()));
        }
        let next = turns
            .iter()
            .find_map(|&peer| Some((peer, self.continued(peer, now).or_else(|| self.asked_for(peer, now))?)))
            .or_else(|| turns.iter().find_map(|&peer| Some((peer, self.unasked(peer, now)?))));
        let Some((peer, body)) = next else {
            turns.iter().for_each(|peer| _ = self.busy.remove(peer));
            return None;
        };
        self.cursor = peer;
        Some((peer, body.into()))
    }

    /// The next chunk of a piece that is going out to `peer`.
    fn continued(&mut self, peer: PeerId, now: Time) -> Option<Body> {
        let link = self.links.get_mut(&peer)?;
        if let Some(shard) = link.shard_out.take() {
            return self.shard_chunk(peer, shard);
        }
        let place = link.sending.take()?;
        self.chunk(peer, place, now)
    }

    fn asked_for(&mut self, peer: PeerId, now: Time) -> Option<Body> {
        while let Some(id) = self.links.get_mut(&peer)?.urgent.pop_front() {
            if let Some((Next::Manifest, transfer)) = self.next(peer, id, now) {
                return Some(Body::Manifest(manifest(transfer)));
            }
        }
        let link = self.links.get_mut(&peer)?;
        let is_wanted =
            |id: &MessageId| self.transfers.get(id).is_some_and(|transfer| transfer.is_wanted(peer));
        let at = link.queue.iter().position(is_wanted)?;
        link.queue.swap(0, at);
        self.front(peer, now)
    }

    fn unasked(&mut self, peer: PeerId, now: Time) -> Option<Body> {
        while self.links.get(&peer).is_some_and(|link| !link.queue.is_empty()) {
            if let Some(body) = self.front(peer, now) {
                return Some(body);
            }
        }
        None
    }

    /// The next frame of the first message in the peer's queue, which leaves the queue when there is none.
    fn front(&mut self, peer: PeerId, now: Time) -> Option<Body> {
        let &id = self.links.get(&peer)?.queue.front()?;
        let Some((next, transfer)) = self.next(peer, id, now) else {
            self.links.get_mut(&peer)?.queue.pop_front();
            self.let_ask(peer, id, now);
            return None;
        };
        match next {
            Next::Manifest => Some(Body::Manifest(manifest(transfer))),
            Next::Hashes { generation } => Some(Body::Hashes(hashes(transfer, generation))),
            Next::Shard { generation } => {
                self.links.get_mut(&peer)?.queue.rotate_left(1);
                self.let_all_ask(id, now);
                self.make_shard(peer, id, generation)
            }
            Next::Piece { generation, piece } => {
                self.links.get_mut(&peer)?.queue.rotate_left(1);
                self.chunk(peer, Place { message: id, generation, piece, offset: 0 }, now)
            }
        }
    }

    /// What of the message goes to the peer next; noted as sent.
    fn next(&mut self, peer: PeerId, id: MessageId, now: Time) -> Option<(Next, &Transfer)> {
        let is_crowded = self.unfinished > 1 || self.links.get(&peer)?.queue.len() > 1;
        let transfer = self.transfers.get_mut(&id)?;
        let lane = self.overlay.lane(peer, &transfer.manifest.topic);
        let next = transfer.next(peer, lane, is_crowded)?;
        transfer.on_sent(peer, next);
        transfer.on_moved_out(now);
        Some((next, transfer))
    }

    /// The chunk at `place`, and a note of where the next begins; `None` when the piece is gone.
    fn chunk(&mut self, peer: PeerId, place: Place, now: Time) -> Option<Body> {
        let transfer = self.transfers.get_mut(&place.message)?;
        let bytes = transfer.generations.get(place.generation)?.pieces[usize::from(place.piece)].clone()?;
        transfer.on_moved_out(now);
        let (is_ours, end) = (transfer.is_ours, bytes.len().min(place.offset + limits::CHUNK_BYTES));
        if end < bytes.len() {
            self.links.get_mut(&peer)?.sending = Some(Place { offset: end, ..place });
        } else {
            self.outbox.trace(Trace::SentPiece { to: peer, bytes: bytes.len() });
            if is_ours {
                self.let_all_ask(place.message, now);
                self.tell_progress(place.message);
            }
        }
        Some(Body::Chunk(frame::Chunk {
            message: Bytes::copy_from_slice(&place.message.0),
            generation: place.generation as u32,
            piece: place.piece.into(),
            offset: place.offset as u32,
            bytes: bytes.slice(place.offset..end),
            coefficients: Bytes::new(),
        }))
    }
}

fn manifest(transfer: &Transfer) -> frame::Manifest {
    let hashes = transfer.generations.first().and_then(|pieces| pieces.hashes.as_deref());
    frame::Manifest {
        body: transfer.manifest.body.clone(),
        signature: transfer.manifest.signature.clone(),
        payload: transfer.inline.clone(),
        hashes: Bytes::copy_from_slice(hashes.unwrap_or_default().as_flattened()),
    }
}

fn hashes(transfer: &Transfer, generation: usize) -> frame::Hashes {
    let hashes = transfer.generations[generation].hashes.as_deref();
    frame::Hashes {
        message: Bytes::copy_from_slice(&transfer.manifest.id.0),
        generation: generation as u32,
        hashes: Bytes::copy_from_slice(hashes.unwrap_or_default().as_flattened()),
    }
}
