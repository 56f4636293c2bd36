//! Asking for pieces: which of the missing ones, whom, and for how long.
//!
//! Rarest piece first, one neighbour per piece, the neighbour that is expected to serve it soonest; a request that runs
//! out goes to another.

use alloc::{collections::BTreeMap, vec::Vec};

use braidcast_machine::{Duration, Offence, Time};
use braidcast_wire::{MessageId, PeerId};

use crate::{
    frame::{self, Body},
    lane::Lane,
    link::{LONG_PIECE, Link},
    mesh::Mesh,
    piece_set::PieceSet,
    score::Scores,
    trace::Trace,
    transfer::{Ask, Transfer},
};

impl Mesh {
    /// Asks for what is missing and not expected from anybody, as far as neighbours have it.
    pub(crate) fn request(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        if transfer.whole_at.is_some() || transfer.is_decodable() {
            return;
        }
        if transfer.is_coded {
            return self.grant(id, now);
        }
        let lanes: Vec<(PeerId, Lane)> = match transfer.is_pushed(now) {
            true => self.overlay.given_lanes(&transfer.manifest.topic).collect(),
            false => Vec::new(),
        };
        let is_crowded = self.unfinished > 1;
        let mut wanted: BTreeMap<(PeerId, usize), PieceSet> = BTreeMap::new();
        for generation in 0..transfer.generations.len() {
            let pushed = transfer.pushed_at(&lanes, generation, is_crowded);
            let pieces = &transfer.generations[generation];
            let k = pieces.generation.shape.k();
            let expected = pieces.held.len() + pieces.outstanding.len();
            let need = k.saturating_sub(expected);
            let most = (k + k / SPARE).saturating_sub(expected);
            for count in 0..most {
                let only_idle = count >= need;
                let Some((peer, piece)) =
                    choose(transfer, generation, pushed, &self.links, &self.scores, only_idle)
                else {
                    break;
                };
                ask(transfer, &mut self.links, peer, generation, piece, now);
                wanted.entry((peer, generation)).or_default().insert(piece);
            }
        }
        for ((peer, generation), pieces) in wanted {
            self.outbox.trace(Trace::Want { from: peer, pieces: pieces.len() });
            self.outbox.send(peer, Body::Want(frame::pieces(id, generation, pieces)).into());
        }
    }

    /// A piece came from `from`: whoever else was asked for it is told.
    pub(crate) fn on_settled(
        &mut self,
        id: MessageId,
        generation: usize,
        piece: u8,
        from: PeerId,
        now: Time,
    ) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        let piece_len = transfer.generations[generation].generation.shape.piece_len();
        let Some((asked, ask)) = transfer.settle(generation, piece) else { return };
        let Some(link) = self.links.get_mut(&asked) else { return };
        if asked == from {
            link.service.on_served(now, ask.at, piece_len);
        } else {
            link.service.on_settled(piece_len);
            let pieces = PieceSet::from_iter([piece]);
            self.outbox.send(asked, Body::Cancel(frame::pieces(id, generation, pieces)).into());
        }
    }

    /// Nothing more is expected of a message.
    pub(crate) fn settle_all(&mut self, id: MessageId) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        for (peer, neighbour) in &mut transfer.neighbours {
            for ask in neighbour.asks.drain(..) {
                let pieces = &mut transfer.generations[ask.generation];
                pieces.outstanding.remove(ask.piece);
                if let Some(link) = self.links.get_mut(peer) {
                    link.service.on_settled(pieces.generation.shape.piece_len());
                }
            }
        }
    }

    /// `peer` holds nothing of these messages any more: what it was asked for goes to others, and it is not blamed.
    pub(crate) fn on_forgotten(
        &mut self,
        peer: PeerId,
        frame: &frame::Ids,
        now: Time,
    ) -> Result<(), Offence> {
        let ids = frame::unpack(&frame.ids).ok_or(Offence::fatal("list of ids is odd or too long"))?;
        for id in ids {
            self.admits(peer, id)?;
            let Some(transfer) = self.transfers.get_mut(&id) else { continue };
            for ask in transfer.on_forgotten(peer) {
                let piece_len = transfer.generations[ask.generation].generation.shape.piece_len();
                if let Some(link) = self.links.get_mut(&peer) {
                    link.service.on_settled(piece_len);
                }
            }
            self.request(id, now);
        }
        Ok(())
    }

    /// Requests that ran out go to others.
    pub(crate) fn expire(&mut self, id: MessageId, now: Time) {
        let Some(transfer) = self.transfers.get_mut(&id) else { return };
        if transfer.is_coded {
            return self.expire_shards(id, now);
        }
        let is_late = |ask: &Ask| ask.deadline <= now;
        let lost: Vec<(PeerId, Ask)> = transfer
            .neighbours
            .iter()
            .flat_map(|(&peer, neighbour)| {
                // Of who has never served anything, nothing more is expected then.
                let is_unproven =
                    self.links.get(&peer).is_some_and(|link| neighbour.is_unproven(&link.service));
                let are_all = is_unproven && neighbour.asks.iter().any(is_late);
                neighbour.asks.iter().filter(move |ask| are_all || is_late(ask)).map(move |&ask| (peer, ask))
            })
            .collect();
        for (peer, ask) in lost {
            transfer.settle(ask.generation, ask.piece);
            let piece_len = transfer.generations[ask.generation].generation.shape.piece_len();
            let Some(link) = self.links.get_mut(&peer) else { continue };
            if !is_late(&ask) {
                link.service.on_settled(piece_len);
                continue;
            }
            link.service.on_late(now, ask.at, piece_len);
            let neighbour = transfer.neighbour(peer);
            neighbour.late += 1;
            self.outbox.trace(Trace::Expired { from: peer });
            // One bad moment makes no suspect: it takes two messages.
            if neighbour.late <= LATE_PER_MESSAGE && self.scores.on_unserved(peer) {
                self.outbox.trace(Trace::Suspect { peer });
            }
        }
        self.request(id, now);
    }

    pub(crate) fn on_cancel(&mut self, peer: PeerId, frame: &frame::Pieces) -> Result<(), Offence> {
        let Some((id, generation)) = self.locate(peer, frame)? else { return Ok(()) };
        let Some(transfer) = self.transfers.get_mut(&id) else { return Ok(()) };
        for &piece in &frame.pieces {
            transfer.on_cancelled(peer, generation, piece);
        }
        if let Some(link) = self.links.get_mut(&peer) {
            link.sending = link.sending.filter(|place| {
                (place.message, place.generation) != (id, generation) || !frame.pieces.contains(&place.piece)
            });
        }
        Ok(())
    }
}

/// The neighbour that will serve soonest among those that have something missing, and the rarest piece that it has. Who
/// let requests run out is asked only when nobody else has anything that is missing. What is `pushed` need not be asked
/// for. With `only_idle`, of neighbours that nothing is expected of.
fn choose(
    transfer: &Transfer,
    generation: usize,
    pushed: PieceSet,
    links: &BTreeMap<PeerId, Link>,
    scores: &Scores,
    only_idle: bool,
) -> Option<(PeerId, u8)> {
    let pieces = &transfer.generations[generation];
    let piece_len = pieces.generation.shape.piece_len();
    let able = transfer.neighbours.iter().filter_map(|(&peer, neighbour)| {
        let service = &links.get(&peer)?.service;
        let missing = transfer.missing_at(neighbour, generation).difference(pushed);
        let is_silent = neighbour.is_silent() || scores.is_suspect(peer);
        let is_full = service.asked_bytes > 0
            && (only_idle || service.asked_bytes + piece_len > service.depth(piece_len));
        (!missing.is_empty()).then(|| ((is_silent, is_full, service.expected(piece_len), peer), missing))
    });
    let ((_, is_full, _, peer), missing) = able.min_by_key(|&(key, _)| key)?;
    if is_full {
        return None;
    }
    // Ties in a different order for each message and peer, so that neighbours do not all ask for the same.
    let turn = transfer.id().0[4] ^ peer.0[0];
    let piece = missing.iter().min_by_key(|&piece| (pieces.copies(piece), piece.wrapping_mul(167) ^ turn))?;
    Some((peer, piece))
}

fn ask(
    transfer: &mut Transfer,
    links: &mut BTreeMap<PeerId, Link>,
    peer: PeerId,
    generation: usize,
    piece: u8,
    now: Time,
) {
    let pieces = &mut transfer.generations[generation];
    let piece_len = pieces.generation.shape.piece_len();
    pieces.outstanding.insert(piece);
    let Some(link) = links.get_mut(&peer) else { return };
    let neighbour = transfer.neighbour(peer);
    let grace = if piece_len > LONG_PIECE { LONG_GRACE } else { GRACE };
    let expected = link.service.expected(piece_len);
    let percent = if neighbour.is_unproven(&link.service) { 120 } else { 200 };
    let deadline = now + Duration::from_micros(expected.as_micros() * percent / 100) + grace;
    link.service.on_asked(piece_len);
    neighbour.asks.push_back(Ask { generation, piece, at: now, deadline, is_excused: false });
}

/// One piece in so many is asked for beyond K, of neighbours from which nothing is expected: any K pieces decode, and the
/// last ones need not be those that the slowest neighbour owes. Measured: `docs/decisions/016`.
const SPARE: usize = 16;
/// Requests for pieces of one message that count against a peer. Guess.
pub(crate) const LATE_PER_MESSAGE: u32 = 2;
/// Added to twice the time expected, or to 1.2 times for who has never served anything (`docs/decisions/021`). 30 ms were
/// enough in simulation for links of known round trip.
pub(crate) const GRACE: Duration = Duration::from_millis(30);
/// The same for pieces longer than this: what waits at the sender takes longer. From the same simulations.
const LONG_GRACE: Duration = Duration::from_millis(100);
