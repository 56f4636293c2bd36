//! Shards in and out: taken in if they are new, made of what is held, and asked of whom they are expected from soonest.

use alloc::{collections::BTreeSet, vec::Vec};

use braidcast_machine::{Duration, Offence, Time};
use braidcast_rlnc::Shard;
use braidcast_wire::{MessageId, PeerId, limits};
use bytes::Bytes;

use super::span;
use crate::{
    frame::{self, Body},
    link::Place,
    mesh::Mesh,
    params::Mode,
    request::{GRACE, LATE_PER_MESSAGE},
    trace::Trace,
    transfer::Ask,
};

/// A shard on its way to a peer, or, as far as it came, from one.
#[derive(Debug)]
pub(crate) struct Partial<P> {
    pub(crate) message: MessageId,
    generation: usize,
    coefficients: Bytes,
    payload: P,
    /// Bytes that went already.
    offset: usize,
}

impl Mesh {
    /// Part of a shard. Whether it is new is asked before its bytes are kept.
    pub(crate) fn on_shard(&mut self, peer: PeerId, chunk: &frame::Chunk, now: Time) -> Result<(), Offence> {
        let message =
            frame::message_id(&chunk.message).ok_or(Offence::fatal("message id is not 32 bytes"))?;
        let (bytes, coefficients) = (&chunk.bytes, &chunk.coefficients);
        let (generation, offset) = (chunk.generation as usize, chunk.offset as usize);
        let (Some(transfer), Some(link)) = (self.transfers.get_mut(&message), self.links.get_mut(&peer))
        else {
            self.outbox.trace(Trace::UnnecessaryPiece { from: peer, bytes: bytes.len() });
            return Ok(());
        };
        if self.params.of(&transfer.manifest.topic).mode == Mode::Open {
            return Err(Offence::minor("shard in an open topic"));
        }
        let pieces = transfer
            .generations
            .get_mut(generation)
            .ok_or(Offence::fatal("message has no such generation"))?;
        let shape = pieces.generation.shape;
        let end = offset.saturating_add(bytes.len());
        if bytes.is_empty() || bytes.len() > limits::CHUNK_BYTES || end > shape.piece_len() {
            return Err(Offence::fatal("chunk is empty, too long, or beyond the end of its piece"));
        }
        if coefficients.len() != shape.k() {
            return Err(Offence::fatal("shard has not one coefficient for each source piece"));
        }
        let is_last = end == shape.piece_len();
        let is_decodable = pieces.is_decodable();
        let is_new = pieces.span.as_ref().is_some_and(|span| span.is_innovative(coefficients));
        let Some(hashes) = &pieces.hashes else {
            return Err(Offence::minor("piece before the hashes of its generation"));
        };
        let whole = if is_decodable || !is_new {
            self.outbox.trace(match is_decodable || pieces.span.is_none() {
                true => Trace::UnnecessaryPiece { from: peer, bytes: bytes.len() },
                false => Trace::UnhelpfulShard { from: peer, bytes: bytes.len() },
            });
            None
        } else {
            let mut partial = link.shard_in.take();
            partial.take_if(|partial| {
                (partial.message, partial.generation) != (message, generation)
                    || partial.coefficients != *coefficients
                    || partial.payload.len() != offset
            });
            let mut payload = match partial {
                Some(partial) => partial.payload,
                None if offset == 0 => Vec::with_capacity(shape.piece_len()),
                None => return Err(Offence::minor("chunk out of order")),
            };
            payload.extend_from_slice(bytes);
            if is_last {
                Some(Bytes::from(payload))
            } else {
                let coefficients = coefficients.clone();
                link.shard_in = Some(Partial { message, generation, coefficients, payload, offset: 0 });
                None
            }
        };
        transfer.received_bytes += bytes.len();
        if whole.is_none() {
            if is_new {
                transfer.moved_at = now;
            }
            if is_last {
                self.scores.on_spare(peer);
                return self.on_counted(peer, message, generation, now);
            }
            return Ok(());
        }
        let payload = whole.unwrap_or_default();
        let piece = span::source(coefficients);
        if let Some(piece) = piece {
            // As good as a piece: it can be verified at once.
            if *blake3::hash(&payload).as_bytes() != hashes[usize::from(piece)] {
                self.outbox.trace(Trace::CorruptPiece { from: peer });
                return Err(Offence::fatal("piece is not what the publisher signed"));
            }
            pieces.insert(piece, (self.config.share)(payload.clone()));
        } else if let Some(span) = &mut pieces.span {
            span.push(peer, coefficients, payload.clone());
        }
        transfer.moved_at = now;
        self.scores.on_useful(peer, payload.len());
        self.outbox.trace(Trace::NewPiece { from: peer, bytes: payload.len() });
        let counted = self.on_counted(peer, message, generation, now);
        self.on_gain(Place { message, generation, piece: piece.unwrap_or(0), offset: 0 }, now);
        counted
    }

    /// A whole shard came from `peer`, of use or not.
    fn on_counted(
        &mut self,
        peer: PeerId,
        id: MessageId,
        generation: usize,
        now: Time,
    ) -> Result<(), Offence> {
        let Some(transfer) = self.transfers.get_mut(&id) else { return Ok(()) };
        let (shape, is_coded) = (transfer.generations[generation].generation.shape, transfer.is_coded);
        let neighbour = transfer.neighbour(peer);
        neighbour.knows_manifest = true;
        neighbour.given += 1;
        let Some(account) = neighbour.accounts.get_mut(generation) else { return Ok(()) };
        account.received += 1;
        if account.received > shape.k().max(account.granted) {
            return Err(Offence::minor("more shards than are due or were asked for"));
        }
        account.moved_at = Some(now);
        account.is_late = false;
        if !is_coded {
            // It was under way when we doubted; what it was asked for since are pieces.
            return Ok(());
        }
        let asked = neighbour.asks.iter().position(|ask| ask.generation == generation);
        if let Some(ask) = asked.and_then(|at| neighbour.asks.remove(at))
            && let Some(link) = self.links.get_mut(&peer)
        {
            link.service.on_served(now, ask.at, shape.piece_len());
        }
        Ok(())
    }

    pub(crate) fn on_rank(&mut self, peer: PeerId, frame: &frame::Rank, now: Time) -> Result<(), Offence> {
        let id = frame::message_id(&frame.message).ok_or(Offence::fatal("message id is not 32 bytes"))?;
        self.admits(peer, id)?;
        let Some(transfer) = self.transfers.get_mut(&id) else { return Ok(()) };
        if !transfer.is_coded && self.params.of(&transfer.manifest.topic).mode != Mode::Open {
            // Our doubt came to it before the message did.
            self.send(peer, Body::Doubt(frame::Ids { ids: frame::pack([id]) }));
            return Ok(());
        }
        let (generation, rank) = (frame.generation as usize, frame.rank as usize);
        let pieces =
            transfer.generations.get(generation).ok_or(Offence::fatal("message has no such generation"))?;
        let (ours, k) = (pieces.rank().min(pieces.generation.shape.k()), pieces.generation.shape.k());
        if rank > k {
            return Err(Offence::fatal("rank is beyond the number of source pieces"));
        }
        let neighbour = transfer.neighbour(peer);
        neighbour.knows_manifest = true;
        let is_done = neighbour.is_done;
        let Some(account) = neighbour.accounts.get_mut(generation) else { return Ok(()) };
        let was_able = account.able(is_done, ours, k) > 0;
        account.rank = account.rank.max(rank);
        // Enough for the whole once more, whatever came of what it had.
        account.credit = account.credit.max((frame.credit as usize).min(account.sent + k));
        if !was_able {
            account.moved_at = Some(now);
        }
        if transfer.is_ours {
            self.tell_progress(id);
        }
        self.request(id, now);
        self.repair_at.get_or_insert(now + crate::repair::REPAIR_PERIOD);
        self.offer_to(peer, id);
        Ok(())
    }

    /// What to tell `peer` of a generation of a message that travels in shards.
    pub(crate) fn rank_for(&self, peer: PeerId, id: MessageId, generation: usize) -> Option<frame::Rank> {
        let transfer = self.transfers.get(&id).filter(|transfer| transfer.is_coded)?;
        let pieces = transfer.generations.get(generation)?;
        let account = transfer.neighbours.get(&peer)?.accounts.get(generation)?;
        Some(frame::Rank {
            message: Bytes::copy_from_slice(&id.0),
            generation: generation as u32,
            rank: pieces.rank().min(pieces.generation.shape.k()) as u32,
            credit: account.granted as u32,
        })
    }

    /// Asks for as many shards as are missing and not expected from anybody.
    pub(crate) fn grant(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        let is_stuck = now.since(transfer.moved_at) >= STUCK;
        let mut told = BTreeSet::new();
        for generation in 0..transfer.generations.len() {
            let pieces = &transfer.generations[generation];
            let (shape, rank) = (pieces.generation.shape, pieces.rank());
            let k = shape.k();
            let mut need = k.saturating_sub(rank);
            // Whom more could be asked of: how much more, and how soon it is expected.
            let mut able = Vec::new();
            for (&peer, neighbour) in &transfer.neighbours {
                let Some(link) = self.links.get(&peer) else { continue };
                let Some(account) = neighbour.accounts.get(generation).filter(|_| !neighbour.doubts) else {
                    continue;
                };
                // Who is late pushes no more of its share: it knows of nothing new to us, and has to be asked.
                let is_pushed = transfer.paused_at.is_none() && !account.is_late;
                let push = if is_pushed { transfer.share(neighbour.push, k) } else { 0 };
                let open = push.max(account.granted).saturating_sub(account.received);
                let is_able = account.able(neighbour.is_done, rank.min(k), k);
                if !account.is_late {
                    need = need.saturating_sub(open.min(is_able));
                }
                let is_able = is_able.max(usize::from(is_stuck && account.rank > 0));
                if is_able > open {
                    let is_bad = account.is_late || neighbour.is_silent() || self.scores.is_suspect(peer);
                    able.push((is_bad, link.service.expected(shape.piece_len()), peer, is_able - open, open));
                }
            }
            while need > 0
                && let Some(best) = able.iter_mut().filter(|one| one.3 > 0).min_by_key(|one| (one.0, one.1))
            {
                let (peer, open) = (best.2, best.4);
                (best.3, best.4, need) = (best.3 - 1, open + 1, need - 1);
                let Some(link) = self.links.get_mut(&peer) else { continue };
                let deadline = now + link.service.expected(shape.piece_len()).saturating_mul(2) + GRACE;
                link.service.on_asked(shape.piece_len());
                best.1 = link.service.expected(shape.piece_len());
                let neighbour = transfer.neighbour(peer);
                neighbour.asks.push_back(Ask { generation, piece: 0, at: now, deadline, is_excused: false });
                let account = &mut neighbour.accounts[generation];
                account.granted = account.received + open + 1;
                told.insert((peer, generation));
            }
        }
        for (peer, generation) in told {
            if let Some(link) = self.links.get_mut(&peer) {
                link.news.have.remove(&(id, generation));
            }
            if let Some(rank) = self.rank_for(peer, id, generation) {
                self.send(peer, Body::Rank(rank));
            }
        }
    }

    /// Counts no longer on neighbours that keep us waiting.
    pub(crate) fn expire_shards(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        let shapes: Vec<_> = transfer
            .generations
            .iter()
            .map(|pieces| (pieces.generation.shape, pieces.rank().min(pieces.generation.shape.k())))
            .collect();
        for (&peer, neighbour) in &mut transfer.neighbours {
            let Some(link) = self.links.get_mut(&peer) else { continue };
            while let Some(ask) = neighbour.asks.pop_front_if(|ask| ask.deadline <= now) {
                link.service.on_late(now, ask.at, shapes[ask.generation].0.piece_len());
                neighbour.late += 1;
                neighbour.accounts[ask.generation].is_late = true;
                self.outbox.trace(Trace::Expired { from: peer });
                if neighbour.late <= LATE_PER_MESSAGE && self.scores.on_unserved(peer) {
                    self.outbox.trace(Trace::Suspect { peer });
                }
            }
            for (account, &(shape, ours)) in neighbour.accounts.iter_mut().zip(&shapes) {
                let wait = link.service.expected(shape.piece_len()).saturating_mul(2) + GRACE;
                let wait = wait.min(WAIT_MAX);
                if account.able(neighbour.is_done, ours, shape.k()) > 0 {
                    // Its time runs from now if all that it ever said is `Done`.
                    account.is_late |= now.since(*account.moved_at.get_or_insert(now)) > wait;
                }
            }
        }
        self.grant(id, now);
    }

    /// Makes a shard for `peer`; its first chunk.
    pub(crate) fn make_shard(&mut self, peer: PeerId, id: MessageId, generation: usize) -> Option<Body> {
        let pieces = self.transfers.get(&id)?.generations.get(generation)?;
        let Shard { coefficients, payload } = pieces.recode(&mut self.rng);
        let coefficients = coefficients.into();
        self.shard_chunk(peer, Partial { message: id, generation, coefficients, payload, offset: 0 })
    }

    /// The next chunk of a shard that goes to `peer`.
    pub(crate) fn shard_chunk(&mut self, peer: PeerId, shard: Partial<Bytes>) -> Option<Body> {
        let link = self.links.get_mut(&peer)?;
        let Partial { message, generation, offset, .. } = shard;
        let (len, coefficients) = (shard.payload.len(), shard.coefficients.clone());
        let end = len.min(offset + limits::CHUNK_BYTES);
        let bytes = shard.payload.slice(offset..end);
        if end < len {
            link.shard_out = Some(Partial { offset: end, ..shard });
        } else {
            self.outbox.trace(Trace::SentPiece { to: peer, bytes: len });
        }
        Some(Body::Chunk(frame::Chunk {
            message: Bytes::copy_from_slice(&message.0),
            generation: generation as u32,
            piece: 0,
            offset: offset as u32,
            bytes,
            coefficients,
        }))
    }
}

/// After this long others are asked, however slow a neighbour has been before. Guess.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// Nothing came for this long: anybody is asked for anything. Guess.
const STUCK: Duration = Duration::from_millis(500);
