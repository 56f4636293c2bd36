//! Getting a message across: what comes in, what is announced, what goes out next, and what happens when it stalls.

use alloc::vec::Vec;

use braidcast_machine::{Duration, Offence, PeerSet, Time};
use braidcast_wire::{MessageId, PeerId, limits};
use bytes::Bytes;

use crate::{
    api::{Content, Event, Message, Progress, Trace},
    frame::{self, Body, Frame},
    job::{Decode, Step, payload},
    link::{Link, Place},
    manifest::Manifest,
    mesh::Mesh,
    piece_set::PieceSet,
    transfer::{Next, Transfer},
};

// What comes in.
impl Mesh {
    pub(crate) fn on_manifest(
        &mut self,
        peer: PeerId,
        frame: frame::Manifest,
        now: Time,
    ) -> Result<(), Offence> {
        let id = MessageId(*blake3::hash(&frame.body).as_bytes());
        if let Some(transfer) = self.transfers.get_mut(&id) {
            let is_inline = transfer.manifest.is_inline();
            let neighbour = transfer.neighbour(peer);
            neighbour.knows_manifest = true;
            if is_inline {
                neighbour.is_done = true;
                self.outbox.event(Event::Trace(Trace::DuplicatePiece { bytes: frame.payload.len() }));
            }
            return Ok(());
        }
        if self.seen.contains(id) {
            self.tell_done(peer, id, now);
            return Ok(());
        }
        let manifest = self.accept(peer, &frame).inspect_err(|_| {
            // Whatever the reason, the rest is of no use.
            self.seen.insert(id, now);
            self.tell_done(peer, id, now);
        })?;
        self.seen.insert(id, now);
        self.asked.remove(id);
        let is_inline = manifest.is_inline();
        let topic = manifest.topic.clone();
        let mut transfer = Transfer::new(manifest, frame.payload, now);
        if let Some(first) = transfer.generations.first_mut() {
            first.hashes = first.generation.hashes(&frame.hashes);
        }
        for neighbour in self.overlay.mesh(&topic) {
            transfer.neighbour(neighbour).is_pushed = true;
        }
        for done in self.rumours.take(id) {
            if self.links.contains_key(&done) {
                transfer.neighbour(done).is_done = true;
            }
        }
        let sender = transfer.neighbour(peer);
        sender.knows_manifest = true;
        sender.is_done |= is_inline;
        self.transfers.insert(id, transfer);
        if is_inline {
            self.on_whole(id, now);
        } else {
            self.repair_at.get_or_insert(now + REPAIR_PERIOD);
            self.offer(id, true);
        }
        Ok(())
    }

    /// Checks a manifest that is new to us, and the payload or the hashes that came with it.
    fn accept(&self, peer: PeerId, frame: &frame::Manifest) -> Result<Manifest, Offence> {
        let manifest = Manifest::verify(frame.body.clone(), frame.signature.clone(), &self.config)?;
        if !self.overlay.is_subscribed(&manifest.topic) {
            return Err(Offence::minor("message of a topic that we do not subscribe to"));
        }
        if manifest.is_inline() {
            let is_right = frame.payload.len() == manifest.len
                && *blake3::hash(&frame.payload).as_bytes() == manifest.hash;
            return if is_right {
                Ok(manifest)
            } else {
                Err(Offence::fatal("payload is not what was signed"))
            };
        }
        if !frame.payload.is_empty() || manifest.generations[0].hashes(&frame.hashes).is_none() {
            return Err(Offence::fatal("piece hashes are not what was signed"));
        }
        let unfinished = self.transfers.values().filter(|transfer| transfer.whole_at.is_none());
        let from_peer =
            unfinished.filter(|transfer| transfer.neighbours.get(&peer).is_some_and(|n| n.knows_manifest));
        if from_peer.count() >= limits::TRANSFERS_PER_PEER {
            return Err(Offence::minor("more unfinished messages from one peer than the limit"));
        }
        Ok(manifest)
    }

    pub(crate) fn on_hashes(&mut self, peer: PeerId, frame: &frame::Hashes) -> Result<(), Offence> {
        let id = frame::message_id(&frame.message).ok_or(Offence::fatal("message id is not 32 bytes"))?;
        let Some(transfer) = self.transfers.get_mut(&id) else { return Ok(()) };
        let at = frame.generation as usize;
        let pieces =
            transfer.generations.get_mut(at).ok_or(Offence::fatal("message has no such generation"))?;
        if pieces.hashes.is_none() {
            let hashes = pieces.generation.hashes(&frame.hashes);
            pieces.hashes = Some(hashes.ok_or(Offence::fatal("piece hashes are not what was signed"))?);
        }
        transfer.neighbour(peer).knows_manifest = true;
        Ok(())
    }

    pub(crate) fn on_chunk(&mut self, peer: PeerId, chunk: &frame::Chunk, now: Time) -> Result<(), Offence> {
        let message =
            frame::message_id(&chunk.message).ok_or(Offence::fatal("message id is not 32 bytes"))?;
        let bytes = &chunk.bytes;
        let (Some(transfer), Some(link)) = (self.transfers.get_mut(&message), self.links.get_mut(&peer))
        else {
            // Given up, or finished and forgotten: it was under way when we said so.
            self.outbox.event(Event::Trace(Trace::UnnecessaryPiece { bytes: bytes.len() }));
            return Ok(());
        };
        let (generation, offset) = (chunk.generation as usize, chunk.offset as usize);
        let pieces =
            transfer.generations.get(generation).ok_or(Offence::fatal("message has no such generation"))?;
        let shape = pieces.generation.shape;
        let piece = u8::try_from(chunk.piece).ok().filter(|&piece| usize::from(piece) < shape.pieces());
        let piece = piece.ok_or(Offence::fatal("generation has no such piece"))?;
        let fits = offset.checked_add(bytes.len()).is_some_and(|end| end <= shape.piece_len());
        if bytes.is_empty() || bytes.len() > limits::CHUNK_BYTES || !fits {
            return Err(Offence::fatal("chunk is empty, too long, or beyond the end of its piece"));
        }
        let is_decodable = pieces.is_decodable();
        if is_decodable || pieces.held.contains(piece) {
            let is_duplicate = pieces.held.contains(piece);
            if offset + bytes.len() == shape.piece_len() {
                transfer.on_announced(peer, generation, piece);
            }
            self.outbox.event(Event::Trace(match is_duplicate {
                true => Trace::DuplicatePiece { bytes: bytes.len() },
                false => Trace::UnnecessaryPiece { bytes: bytes.len() },
            }));
            return Ok(());
        }
        let Some(hashes) = &pieces.hashes else {
            return Err(Offence::minor("piece before the hashes of its generation"));
        };
        transfer.moved_at = now;
        transfer.repairs = 0;
        let place = Place { message, generation, piece, offset: 0 };
        let Some(whole) = assemble(link, place, offset, bytes, shape.piece_len())? else { return Ok(()) };
        if *blake3::hash(&whole).as_bytes() != hashes[usize::from(piece)] {
            self.outbox.event(Event::Trace(Trace::CorruptPiece));
            return Err(Offence::fatal("piece is not what the publisher signed"));
        }
        transfer.on_announced(peer, generation, piece);
        self.on_piece(place, whole, now);
        Ok(())
    }

    /// A verified piece that we lacked.
    fn on_piece(&mut self, place: Place, bytes: Bytes, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&place.message) else { return };
        self.outbox.event(Event::Trace(Trace::NewPiece { bytes: bytes.len() }));
        transfer.generations[place.generation].insert(place.piece, bytes);
        let is_decodable = transfer.is_decodable();
        self.tell_progress(place.message);
        if is_decodable {
            self.tell_all_done(place.message, now);
            self.decodes.push_back(Decode::new(place.message));
        } else {
            self.tell_have(place, now);
        }
        self.offer(place.message, false);
    }

    pub(crate) fn on_decode(&mut self, mut decode: Decode, now: Time, budget: &mut usize) {
        let Some(transfer) = self.transfers.get_mut(&decode.id) else { return };
        match decode.step(transfer, budget) {
            Step::More => self.decodes.push_front(decode),
            Step::Whole => self.on_whole(decode.id, now),
            Step::Inconsistent => {
                let publisher = transfer.manifest.publisher;
                self.outbox.event(Event::Trace(Trace::Abandoned));
                self.drop_transfer(decode.id);
                self.punish(
                    publisher,
                    Offence::fatal("published pieces do not make the payload signed"),
                    now,
                );
            }
        }
    }

    /// The payload is there and verified: deliver it, and spread it if it came whole.
    fn on_whole(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        transfer.whole_at = Some(now);
        let manifest = &transfer.manifest;
        let message = Message {
            id,
            topic: manifest.topic.clone(),
            from: manifest.publisher,
            seqno: manifest.seqno,
            published: manifest.published,
            content: Content {
                payload: payload(transfer),
                content_type: manifest.content_type.clone(),
                name: manifest.name.clone(),
            },
        };
        let is_inline = manifest.is_inline();
        self.outbox.event(Event::Trace(Trace::Delivered { bytes: manifest.len }));
        self.outbox.event(Event::Message(message));
        if is_inline {
            self.tell_all_done(id, now);
            self.offer(id, true);
        }
    }

    pub(crate) fn on_have(&mut self, peer: PeerId, frame: &frame::Pieces, now: Time) -> Result<(), Offence> {
        let Some((id, generation)) = self.locate(frame)? else { return Ok(()) };
        let Some(transfer) = self.transfers.get_mut(&id) else { return Ok(()) };
        let count = transfer.generations[generation].generation.shape.pieces();
        for &piece in &frame.pieces {
            if usize::from(piece) >= count {
                return Err(Offence::fatal("generation has no such piece"));
            }
            transfer.on_announced(peer, generation, piece);
        }
        if transfer.is_ours {
            self.tell_progress(id);
        }
        self.repair_at.get_or_insert(now + REPAIR_PERIOD);
        Ok(())
    }

    pub(crate) fn on_want(&mut self, peer: PeerId, frame: &frame::Pieces) -> Result<(), Offence> {
        let Some((id, generation)) = self.locate(frame)? else { return Ok(()) };
        let Some(link) = self.links.get(&peer) else { return Ok(()) };
        let Some(transfer) = self.transfers.get_mut(&id) else { return Ok(()) };
        let count = transfer.generations[generation].generation.shape.pieces();
        let on_its_way = link.sending.filter(|place| place.message == id && place.generation == generation);
        for &piece in &frame.pieces {
            if usize::from(piece) >= count {
                return Err(Offence::fatal("generation has no such piece"));
            }
            if on_its_way.is_none_or(|place| place.piece != piece) {
                transfer.on_wanted(peer, generation, piece);
            }
        }
        self.enqueue(peer, id, true);
        Ok(())
    }

    /// The message and generation that a frame is about; `None` when we do not know it.
    fn locate(&self, frame: &frame::Pieces) -> Result<Option<(MessageId, usize)>, Offence> {
        let id = frame::message_id(&frame.message).ok_or(Offence::fatal("message id is not 32 bytes"))?;
        let Some(transfer) = self.transfers.get(&id) else { return Ok(None) };
        let generation = frame.generation as usize;
        if generation >= transfer.generations.len() || frame.pieces.len() > limits::PIECES {
            return Err(Offence::fatal("message has no such generation"));
        }
        Ok(Some((id, generation)))
    }

    pub(crate) fn on_done(&mut self, peer: PeerId, frame: &frame::Ids) -> Result<(), Offence> {
        let ids = frame::unpack(&frame.ids).ok_or(Offence::fatal("list of ids is odd or too long"))?;
        for id in ids {
            let Some(transfer) = self.transfers.get_mut(&id) else {
                if !self.seen.contains(id) {
                    self.rumours.insert(id, peer);
                }
                continue;
            };
            let neighbour = transfer.neighbour(peer);
            let is_news = !core::mem::replace(&mut neighbour.is_done, true);
            if let Some(link) = self.links.get_mut(&peer) {
                link.sending = link.sending.filter(|place| place.message != id);
                link.queue.retain(|&queued| queued != id);
            }
            if is_news && transfer.is_ours {
                let peers = transfer.neighbours.values().filter(|neighbour| neighbour.is_done).count();
                let of = transfer.neighbours.len();
                self.outbox.event(Event::Reached { id, peers, of });
                self.tell_progress(id);
            }
        }
        Ok(())
    }
}

/// Adds a chunk to the piece that is coming in; the piece when it is whole.
fn assemble(
    link: &mut Link,
    place: Place,
    offset: usize,
    bytes: &Bytes,
    piece_len: usize,
) -> Result<Option<Bytes>, Offence> {
    let mut partial = match link.receiving.take() {
        Some((of, partial)) if of == place && partial.len() == offset => partial,
        _ if offset == 0 => Vec::with_capacity(piece_len),
        // The start went to waste when the message was given up and came back, or by a fault of the peer.
        _ => return Err(Offence::minor("chunk out of order")),
    };
    partial.extend_from_slice(bytes);
    if partial.len() == piece_len {
        return Ok(Some(partial.into()));
    }
    link.receiving = Some((place, partial));
    Ok(None)
}

// What is announced.
impl Mesh {
    /// Queues a message for every neighbour that may need something of it now.
    fn offer(&mut self, id: MessageId, is_urgent: bool) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        let peers: Vec<PeerId> =
            transfer.neighbours.keys().copied().filter(|&peer| transfer.next(peer).is_some()).collect();
        peers.into_iter().for_each(|peer| self.enqueue(peer, id, is_urgent));
    }

    fn tell_have(&mut self, place: Place, now: Time) {
        let Some(transfer) = self.transfers.get(&place.message) else { return };
        for (peer, neighbour) in &transfer.neighbours {
            let knows = neighbour.is_done || neighbour.announced[place.generation].contains(place.piece);
            if !knows && let Some(link) = self.links.get_mut(peer) {
                let pieces: &mut PieceSet =
                    link.news.have.entry((place.message, place.generation)).or_default();
                pieces.insert(place.piece);
            }
        }
        self.flush_at.get_or_insert(now + BATCH);
    }

    fn tell_done(&mut self, peer: PeerId, id: MessageId, now: Time) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.news.add_done(id);
            self.flush_at.get_or_insert(now + BATCH);
        }
    }

    /// Stops everybody who might send more of a message. Not batched when it is large: each moment costs a piece.
    fn tell_all_done(&mut self, id: MessageId, now: Time) {
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

    fn tell_progress(&mut self, id: MessageId) {
        let Some(transfer) = self.transfers.get(&id).filter(|transfer| !transfer.manifest.is_inline()) else {
            return;
        };
        let manifest = &transfer.manifest;
        self.outbox.event(Event::Progress(Progress {
            id,
            topic: manifest.topic.clone(),
            from: manifest.publisher,
            name: manifest.name.clone(),
            held_bytes: if transfer.is_ours { transfer.reached_bytes() } else { transfer.held_bytes() },
            total_bytes: manifest.len,
        }));
    }

    /// Sends the announcements that wait.
    pub(crate) fn flush(&mut self) {
        self.flush_at = None;
        for (&peer, link) in self.links.iter_mut().filter(|(_, link)| !link.news.is_empty()) {
            let news = core::mem::take(&mut link.news);
            for ids in news.done.chunks(limits::IDS_PER_FRAME) {
                let ids = frame::pack(ids.iter().copied());
                self.outbox.send(peer, Body::Done(frame::Ids { ids }).into());
            }
            for ((id, generation), pieces) in news.have {
                self.outbox.send(peer, Body::Have(list(id, generation, pieces)).into());
            }
        }
    }
}

// What goes out.
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

fn list(id: MessageId, generation: usize, pieces: PieceSet) -> frame::Pieces {
    frame::Pieces {
        message: Bytes::copy_from_slice(&id.0),
        generation: generation as u32,
        pieces: pieces.to_bytes().into(),
    }
}

// What happens when it stalls, and how it ends.
impl Mesh {
    /// Asks for pieces of messages that have stopped moving, one neighbour after the other; gives up in the end.
    pub(crate) fn repair(&mut self, now: Time) {
        let unfinished = |transfer: &Transfer| transfer.whole_at.is_none() && !transfer.is_decodable();
        let stalled: Vec<MessageId> = self
            .transfers
            .iter()
            .filter(|(_, transfer)| {
                unfinished(transfer) && now.since(transfer.moved_at) >= patience(transfer.repairs)
            })
            .map(|(&id, _)| id)
            .collect();
        for id in stalled {
            if self.transfers[&id].repairs >= REPAIRS {
                self.outbox.event(Event::Trace(Trace::Abandoned));
                self.drop_transfer(id);
                self.seen.forget(id);
            } else {
                self.ask(id);
            }
        }
        let is_left = self.transfers.values().any(unfinished);
        self.repair_at = is_left.then(|| now + REPAIR_PERIOD);
    }

    fn ask(&mut self, id: MessageId) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        let able: Vec<PeerId> = transfer.neighbours.keys().copied().collect();
        let able: Vec<_> =
            able.into_iter().filter_map(|peer| Some((peer, transfer.missing_at(peer)?))).collect();
        let turn = transfer.repairs as usize;
        transfer.repairs += 1;
        if able.is_empty() {
            return;
        }
        let (peer, (generation, pieces)) = able[turn % able.len()];
        self.outbox.event(Event::Trace(Trace::Want { pieces: pieces.len() }));
        self.send(peer, Body::Want(list(id, generation, pieces)));
    }

    /// Forgets finished messages: when they have not moved for a while, or when they take too much memory.
    pub(crate) fn evict(&mut self, now: Time) {
        let mut finished: Vec<(Time, MessageId, usize)> = self
            .transfers
            .iter()
            .filter(|(_, transfer)| transfer.whole_at.is_some())
            .map(|(&id, transfer)| (transfer.moved_at, id, transfer.manifest.len))
            .collect();
        finished.sort_unstable();
        let mut bytes: usize = finished.iter().map(|(_, _, len)| len).sum();
        for (moved_at, id, len) in finished {
            if now.since(moved_at) >= KEEP || bytes > limits::TRANSFER_BYTES {
                self.drop_transfer(id);
                bytes -= len;
            }
        }
    }

    pub(crate) fn drop_transfer(&mut self, id: MessageId) {
        self.transfers.remove(&id);
        self.links.values_mut().for_each(|link| link.drop_message(id));
    }
}

/// How long nothing may move before the next request: doubles from 200 ms to 3.2 s. Guess.
fn patience(repairs: u32) -> Duration {
    Duration::from_millis(200).saturating_mul(1 << repairs.min(4))
}

/// Announcements wait this long for company: `docs/decisions`, "announcements in batches".
const BATCH: Duration = Duration::from_millis(5);
/// How often messages are looked at that may have stalled. Guess.
const REPAIR_PERIOD: Duration = Duration::from_millis(100);
/// Requests without anything new before a message is given up: about 40 s in all. Guess.
const REPAIRS: u32 = 16;
/// How long a finished message is kept after it last moved. Guess.
const KEEP: Duration = Duration::from_secs(10);
