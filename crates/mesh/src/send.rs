//! What goes out: the next bulk frame, chosen when the uplink is free.

use alloc::vec::Vec;

use braidcast_machine::{PeerSet, Time};
use braidcast_wire::{PeerId, limits};
use bytes::Bytes;

use crate::{
    api::{Event, Trace},
    frame::{self, Body, Frame},
    link::Place,
    mesh::Mesh,
    transfer::{Next, Transfer},
};

impl Mesh {
    /// The next bulk frame: peers take turns.
    pub(crate) fn next_bulk(&mut self, now: Time, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        let after = (core::ops::Bound::Excluded(self.cursor), core::ops::Bound::Unbounded);
        let turns: Vec<PeerId> =
            writable.range(after).chain(writable.range(..=self.cursor)).copied().collect();
        turns.into_iter().find_map(|peer| {
            let body = self.next_for(peer, now)?;
            self.cursor = peer;
            Some((peer, body.into()))
        })
    }

    fn next_for(&mut self, peer: PeerId, now: Time) -> Option<Body> {
        loop {
            let link = self.links.get_mut(&peer)?;
            if let Some(place) = link.sending.take() {
                let chunk = self.chunk(peer, place, now);
                if chunk.is_some() {
                    return chunk;
                }
                continue;
            }
            let &id = link.queue.front()?;
            let Some(next) = self.transfers.get(&id).and_then(|transfer| transfer.next(peer)) else {
                link.queue.pop_front();
                continue;
            };
            let transfer = self.transfers.get_mut(&id)?;
            transfer.on_sent(peer, next);
            transfer.moved_at = now;
            match next {
                Next::Manifest => return Some(Body::Manifest(manifest(transfer))),
                Next::Hashes { generation } => return Some(Body::Hashes(hashes(transfer, generation))),
                Next::Piece { generation, piece } => {
                    // Messages take turns piece by piece.
                    link.queue.rotate_left(1);
                    link.sending = Some(Place { message: id, generation, piece, offset: 0 });
                }
            }
        }
    }

    /// The chunk at `place`, and a note of where the next begins; `None` when the piece is gone.
    fn chunk(&mut self, peer: PeerId, place: Place, now: Time) -> Option<Body> {
        let transfer = self.transfers.get_mut(&place.message)?;
        let bytes = transfer.generations.get(place.generation)?.pieces[usize::from(place.piece)].clone()?;
        transfer.moved_at = now;
        let end = bytes.len().min(place.offset + limits::CHUNK_BYTES);
        if end < bytes.len() {
            self.links.get_mut(&peer)?.sending = Some(Place { offset: end, ..place });
        } else {
            self.outbox.event(Event::Trace(Trace::SentPiece { bytes: bytes.len() }));
        }
        Some(Body::Chunk(frame::Chunk {
            message: Bytes::copy_from_slice(&place.message.0),
            generation: place.generation as u32,
            piece: place.piece.into(),
            offset: place.offset as u32,
            bytes: bytes.slice(place.offset..end),
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
