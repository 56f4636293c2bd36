//! What comes in of a message: manifests, hashes, chunks, and what neighbours say of their own pieces.

use alloc::vec::Vec;

use braidcast_machine::{Offence, Time};
use braidcast_wire::{MessageId, PeerId, limits};
use bytes::Bytes;

use crate::{
    api::{Content, Event, Message, Payload},
    closed::{doubt::Compare, proof::OUTSIDER},
    frame::{self, Body},
    job::{Decode, Regenerate, Step, inline_payload},
    link::{Link, Place},
    manifest::Manifest,
    mesh::Mesh,
    params::Mode,
    repair::REPAIR_PERIOD,
    trace::Trace,
    transfer::{Push, Transfer},
};

impl Mesh {
    pub(crate) fn on_manifest(
        &mut self,
        peer: PeerId,
        frame: frame::Manifest,
        now: Time,
    ) -> Result<(), Offence> {
        let id = MessageId(*blake3::hash(&frame.body).as_bytes());
        self.admits(peer, id)?;
        let was_asked = self.asked.is_of(id, peer);
        self.asked.on_kept(id, peer);
        if let Some(transfer) = self.transfers.get_mut(&id) {
            let is_inline = transfer.manifest.is_inline();
            let is_right = frame.payload == transfer.inline;
            let neighbour = transfer.neighbour(peer);
            neighbour.knows_manifest = true;
            if is_inline {
                if !is_right {
                    return Err(Offence::fatal("payload is not what was signed"));
                }
                neighbour.is_done = true;
                self.scores.on_spare(peer);
                self.outbox.trace(Trace::DuplicatePiece { from: peer, bytes: frame.payload.len() });
            }
            return Ok(());
        }
        let is_given_up = self.seen.is_given_up(id);
        if is_given_up && !was_asked {
            self.send(peer, Body::Pause(frame::Ids { ids: frame::pack([id]) }));
            return Ok(());
        }
        if self.seen.contains(id) && !is_given_up {
            self.tell_done(peer, id, now);
            return Ok(());
        }
        let (manifest, payload) = self.accept(peer, &frame, now).inspect_err(|offence| {
            if *offence == OUTSIDER {
                return self.on_early(peer, id);
            }
            // Its signature and payload are not in its id: what is wrong with this copy must not hide a good one.
            if offence.points == 0 {
                self.seen.insert(id, now);
            }
            self.tell_done(peer, id, now);
        })?;
        self.seen.insert(id, now);
        self.asked.remove(id);
        let (is_inline, len) = (manifest.is_inline(), manifest.len);
        let topic = manifest.topic.clone();
        let mut transfer = Transfer::new(manifest, frame.payload, now);
        let params = self.params.of(&topic);
        transfer.threshold_percent = params.threshold_percent;
        if params.mode != Mode::Open {
            transfer.close();
        }
        if let Some(first) = transfer.generations.first_mut() {
            first.hashes = first.generation.hashes(&frame.hashes);
        }
        for neighbour in self.overlay.mesh(&topic) {
            transfer.neighbour(neighbour).push = Push::Lane;
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
            self.scores.on_useful(peer, len);
            self.on_whole(id, payload, now);
        } else {
            self.repair_at.get_or_insert(now + REPAIR_PERIOD);
            self.tell_known(id, now);
            self.offer(id);
        }
        Ok(())
    }

    /// Checks a manifest that is new to us, and the hashes or the payload that came with it, which it unpacks.
    fn accept(
        &mut self,
        peer: PeerId,
        frame: &frame::Manifest,
        now: Time,
    ) -> Result<(Manifest, Payload), Offence> {
        let manifest = Manifest::verify(frame.body.clone(), frame.signature.clone(), &self.config)?;
        if !self.overlay.is_subscribed(&manifest.topic) {
            return Err(Offence::minor("message of a topic that we do not subscribe to"));
        }
        self.challenge_sender(peer, &manifest.topic);
        if !self.is_admitted(peer, &manifest.topic) {
            return Err(OUTSIDER);
        }
        if self.scores.is_banned(manifest.publisher, now) {
            return Err(Offence::harmless("message of a banned publisher"));
        }
        if manifest.is_inline() {
            let is_right = frame.payload.len() == manifest.len
                && *blake3::hash(&frame.payload).as_bytes() == manifest.hash;
            let payload = if is_right { inline_payload(&manifest, &frame.payload).ok() } else { None };
            let payload = payload.ok_or(Offence::fatal("payload is not what was signed"))?;
            return Ok((manifest, payload));
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
        Ok((manifest, Payload::default()))
    }

    pub(crate) fn on_hashes(&mut self, peer: PeerId, frame: &frame::Hashes) -> Result<(), Offence> {
        let id = frame::message_id(&frame.message).ok_or(Offence::fatal("message id is not 32 bytes"))?;
        self.admits(peer, id)?;
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
        self.admits(peer, message)?;
        if !chunk.coefficients.is_empty() {
            return self.on_shard(peer, chunk, now);
        }
        let bytes = &chunk.bytes;
        let (Some(transfer), Some(link)) = (self.transfers.get_mut(&message), self.links.get_mut(&peer))
        else {
            // Given up, or finished and forgotten: it was under way when we said so.
            self.outbox.trace(Trace::UnnecessaryPiece { from: peer, bytes: bytes.len() });
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
        transfer.received_bytes += bytes.len();
        let place = Place { message, generation, piece, offset: 0 };
        if is_decodable || pieces.held.contains(piece) {
            let is_right = match (&pieces.pieces[usize::from(piece)], &pieces.hashes) {
                (Some(held), _) => held[offset..offset + bytes.len()] == bytes[..],
                // Of no more use, but its sender is to be known for what it is.
                (None, Some(hashes)) => {
                    let whole = assemble(link, place, offset, bytes, shape.piece_len()).ok().flatten();
                    whole.is_none_or(|whole| *blake3::hash(&whole).as_bytes() == hashes[usize::from(piece)])
                }
                (None, None) => true,
            };
            if !is_right {
                self.outbox.trace(Trace::CorruptPiece { from: peer });
                return Err(Offence::fatal("piece is not what the publisher signed"));
            }
            let is_duplicate = pieces.held.contains(piece);
            if offset + bytes.len() == shape.piece_len() {
                self.scores.on_spare(peer);
                transfer.neighbour(peer).given += 1;
                transfer.on_announced(peer, generation, piece);
            }
            self.outbox.trace(match is_duplicate {
                true => Trace::DuplicatePiece { from: peer, bytes: bytes.len() },
                false => Trace::UnnecessaryPiece { from: peer, bytes: bytes.len() },
            });
            return Ok(());
        }
        let Some(hashes) = &pieces.hashes else {
            return Err(Offence::minor("piece before the hashes of its generation"));
        };
        transfer.moved_at = now;
        let Some(whole) = assemble(link, place, offset, bytes, shape.piece_len())? else { return Ok(()) };
        if *blake3::hash(&whole).as_bytes() != hashes[usize::from(piece)] {
            self.outbox.trace(Trace::CorruptPiece { from: peer });
            return Err(Offence::fatal("piece is not what the publisher signed"));
        }
        transfer.on_announced(peer, generation, piece);
        transfer.neighbour(peer).given += 1;
        self.scores.on_useful(peer, whole.len());
        self.on_settled(message, generation, piece, peer, now);
        self.outbox.trace(Trace::NewPiece { from: peer, bytes: whole.len() });
        self.on_piece(place, whole, now);
        Ok(())
    }

    /// A verified piece that we lacked.
    fn on_piece(&mut self, place: Place, bytes: Bytes, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&place.message) else { return };
        transfer.generations[place.generation].insert(place.piece, (self.config.share)(bytes));
        self.on_gain(place, now);
    }

    /// We hold more than before: `place` is the newest.
    pub(crate) fn on_gain(&mut self, place: Place, now: Time) {
        let Some(transfer) = self.transfers.get(&place.message) else { return };
        let is_decodable = transfer.is_decodable();
        let is_enough = transfer.is_long() && transfer.received_bytes >= PAUSE_BYTES;
        self.tell_progress(place.message);
        if is_decodable && !self.is_judgeable(place.message) {
            return self.refuse_unjudged(place.message, now);
        }
        if is_decodable {
            self.judge(place.message);
            self.settle_all(place.message);
            self.tell_all_done(place.message, now);
            self.decodes.push_back(Decode::new(place.message, self.config.share));
        } else {
            self.tell_have(place, now);
            if is_enough {
                self.tell_pause(place.message, now);
            }
            self.request(place.message, now);
        }
        self.offer(place.message);
    }

    /// Which neighbours kept to themselves what they should have pushed: those that announced a quarter of a generation
    /// and sent nothing, though nobody asked them.
    fn judge(&mut self, id: MessageId) {
        let Some(transfer) = self.transfers.get(&id) else { return };
        for peer in self.overlay.mesh(&transfer.manifest.topic) {
            let Some(neighbour) = transfer.neighbours.get(&peer) else { continue };
            if neighbour.given > 0 || neighbour.late > 0 {
                continue;
            }
            let mut announced = neighbour.announced.iter().zip(&transfer.generations);
            if announced.any(|(set, pieces)| set.len() * 4 >= pieces.generation.shape.k()) {
                self.outbox.trace(Trace::Withheld { by: peer });
                if self.scores.on_unserved(peer) {
                    self.outbox.trace(Trace::Suspect { peer });
                }
            }
        }
    }

    pub(crate) fn on_decode(&mut self, mut decode: Decode, now: Time, budget: &mut usize) {
        let Some(transfer) = self.transfers.get_mut(&decode.id) else { return };
        match decode.step(transfer, budget) {
            Step::More => self.decodes.push_front(decode),
            Step::Whole => self.on_whole(decode.id, decode.payload, now),
            Step::Polluted => self.doubt(decode.id, now),
            Step::Inconsistent => {
                let publisher = transfer.manifest.publisher;
                self.outbox.trace(Trace::Abandoned { id: decode.id });
                self.drop_transfer(decode.id);
                self.punish(
                    publisher,
                    Offence::fatal("published pieces do not make the payload signed"),
                    now,
                );
            }
        }
    }

    pub(crate) fn on_regenerate(&mut self, mut regenerate: Regenerate, now: Time, budget: &mut usize) {
        let Some(transfer) = self.transfers.get_mut(&regenerate.id) else { return };
        // Parity is pushed, and asked of none but who announced it.
        if !transfer.neighbours.iter().any(|(&peer, neighbour)| transfer.is_pushed_to(peer, neighbour)) {
            return;
        }
        match regenerate.step(transfer, budget) {
            Step::More => self.regenerates.push_front(regenerate),
            Step::Whole => self.offer(regenerate.id),
            Step::Inconsistent | Step::Polluted => {
                let publisher = transfer.manifest.publisher;
                self.punish(publisher, Offence::fatal("published parity is not made of the sources"), now);
            }
        }
    }

    /// The payload is there and verified: deliver it, and spread it if it came whole.
    fn on_whole(&mut self, id: MessageId, payload: Payload, now: Time) {
        let Some(is_inline) = self.transfers.get(&id).map(|transfer| transfer.manifest.is_inline()) else {
            return;
        };
        if !self.is_judgeable(id) {
            return self.refuse_unjudged(id, now);
        }
        let judge_by = self.await_verdict(id, now);
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
                payload,
                content_type: manifest.content_type.clone(),
                name: manifest.name.clone(),
            },
            judge_by,
        };
        self.outbox.trace(Trace::Delivered { id, bytes: manifest.plain_len });
        self.outbox.event(Event::Message(message));
        if is_inline {
            self.tell_all_done(id, now);
            self.offer(id);
        } else {
            if !transfer.doubted.is_empty() {
                self.compares.push_back(Compare::new(id));
            }
            self.regenerates.push_back(Regenerate::new(id, self.config.share));
        }
    }

    pub(crate) fn on_have(&mut self, peer: PeerId, frame: &frame::Pieces, now: Time) -> Result<(), Offence> {
        let Some((id, generation)) = self.locate(peer, frame)? else { return Ok(()) };
        let Some(transfer) = self.transfers.get_mut(&id) else { return Ok(()) };
        let count = transfer.generations[generation].generation.shape.pieces();
        transfer.neighbour(peer).knows_manifest = true;
        for &piece in &frame.pieces {
            if usize::from(piece) >= count {
                return Err(Offence::fatal("generation has no such piece"));
            }
            transfer.on_announced(peer, generation, piece);
        }
        if transfer.is_ours {
            self.tell_progress(id);
        }
        self.request(id, now);
        self.repair_at.get_or_insert(now + REPAIR_PERIOD);
        Ok(())
    }

    pub(crate) fn on_want(&mut self, peer: PeerId, frame: &frame::Pieces) -> Result<(), Offence> {
        let Some((id, generation)) = self.locate(peer, frame)? else {
            self.send(peer, Body::Forgotten(frame::Ids { ids: frame.message.clone() }));
            return Ok(());
        };
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
        self.enqueue(peer, id);
        Ok(())
    }

    /// The message and generation that a frame is about; `None` when we do not know it.
    pub(crate) fn locate(
        &self,
        peer: PeerId,
        frame: &frame::Pieces,
    ) -> Result<Option<(MessageId, usize)>, Offence> {
        let id = frame::message_id(&frame.message).ok_or(Offence::fatal("message id is not 32 bytes"))?;
        self.admits(peer, id)?;
        let Some(transfer) = self.transfers.get(&id) else { return Ok(None) };
        let generation = frame.generation as usize;
        if generation >= transfer.generations.len() || frame.pieces.len() > limits::PIECES {
            return Err(Offence::fatal("message has no such generation"));
        }
        Ok(Some((id, generation)))
    }

    pub(crate) fn on_pause(&mut self, peer: PeerId, frame: &frame::Ids) -> Result<(), Offence> {
        let ids = frame::unpack(&frame.ids).ok_or(Offence::fatal("list of ids is odd or too long"))?;
        for id in ids {
            self.admits(peer, id)?;
            if let Some(transfer) = self.transfers.get_mut(&id) {
                transfer.neighbour(peer).is_paused = true;
            }
        }
        Ok(())
    }

    pub(crate) fn on_done(&mut self, peer: PeerId, frame: &frame::Ids, now: Time) -> Result<(), Offence> {
        let ids = frame::unpack(&frame.ids).ok_or(Offence::fatal("list of ids is odd or too long"))?;
        for id in ids {
            self.admits(peer, id)?;
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
                link.shard_out.take_if(|shard| shard.message == id);
                link.urgent.retain(|&queued| queued != id);
                link.queue.retain(|&queued| queued != id);
            }
            if is_news && transfer.is_ours {
                let peers = transfer.neighbours.values().filter(|neighbour| neighbour.is_done).count();
                let of = transfer.neighbours.len();
                self.outbox.event(Event::Reached { id, peers, of });
                self.tell_progress(id);
            }
            // It can serve every piece now.
            self.request(id, now);
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
    if offset == 0 && bytes.len() == piece_len {
        link.receiving = None;
        return Ok(Some(bytes.clone()));
    }
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

/// So many bytes come unasked, the rest is asked for: `docs/decisions`, "push budget".
const PAUSE_BYTES: usize = 256 * 1024;
