//! One message on its way: what we hold of it, what each neighbour holds, and what to send to whom next.

use alloc::{
    collections::{BTreeMap, VecDeque},
    vec::Vec,
};

use braidcast_machine::{Duration, Time};
use braidcast_wire::{MessageId, PeerId};
use bytes::Bytes;

use crate::{
    closed::{
        doubt::{Accused, Doubted},
        span::{Account, Span},
    },
    lane::{Lane, Reach},
    link::Service,
    manifest::{Generation, Manifest, PieceHashes},
    piece_set::PieceSet,
};

/// A message that is arriving, or that is kept to be served.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) manifest: Manifest,
    /// The payload of an inline message.
    pub(crate) inline: Bytes,
    /// One per generation of the manifest.
    pub(crate) generations: Vec<Pieces>,
    pub(crate) neighbours: BTreeMap<PeerId, Neighbour>,
    /// We published it.
    pub(crate) is_ours: bool,
    /// Ours, and each piece went to some neighbour: all were told that they may ask.
    pub(crate) is_spread: bool,
    /// When the payload was there and verified.
    pub(crate) whole_at: Option<Time>,
    /// When new bytes of it last came, or, once it is whole, any went.
    pub(crate) moved_at: Time,
    /// Its patience began anew once, because we woke late.
    pub(crate) is_excused: bool,
    /// Piece bytes that came, of any use or none.
    pub(crate) received_bytes: usize,
    /// When neighbours were told to push no more.
    pub(crate) paused_at: Option<Time>,
    /// Share of a generation's K that is to be here before we push of it.
    pub(crate) threshold_percent: usize,
    /// Share of K that is to be sent as shards of a message of ours before we may be asked for more.
    pub(crate) multiplier_percent: usize,
    /// It travels in shards; pieces go to who doubts them.
    pub(crate) is_coded: bool,
    /// What we hold turned out wrong, or somebody said so; by generation.
    pub(crate) doubted: Doubted,
    /// Who sent what was wrong.
    pub(crate) accused: Accused,
}

/// What we hold of a generation.
#[derive(Debug)]
pub(crate) struct Pieces {
    pub(crate) generation: Generation,
    /// From the publisher, checked against the root; `None` until they come.
    pub(crate) hashes: Option<PieceHashes>,
    /// Verified pieces by index.
    pub(crate) pieces: Vec<Option<Bytes>>,
    pub(crate) held: PieceSet,
    /// Pieces that a neighbour was asked for.
    pub(crate) outstanding: PieceSet,
    /// Shards, as long as they are collected.
    pub(crate) span: Option<Span>,
    /// How many neighbours have or were sent each piece.
    copies: Vec<u16>,
}

/// What a neighbour knows and holds of a message.
#[derive(Debug, Default)]
pub(crate) struct Neighbour {
    /// It has the manifest, or was sent it.
    pub(crate) knows_manifest: bool,
    /// What we push to it unasked.
    pub(crate) push: Push,
    /// It asked us to push no more.
    pub(crate) is_paused: bool,
    /// It needs no more.
    pub(crate) is_done: bool,
    /// It was told that it may ask for any piece of our message.
    pub(crate) may_ask: bool,
    /// Pieces that it announced or sent to us, per generation.
    pub(crate) announced: Vec<PieceSet>,
    /// Pieces that we sent to it, per generation. The link is reliable: it will have them.
    pub(crate) sent: Vec<PieceSet>,
    /// Generations whose hashes it was sent or has.
    hashes: Vec<bool>,
    /// Pieces that it asked for: generation, index.
    wants: VecDeque<(usize, u8)>,
    /// Bytes of pieces that went to it because they are in its lane.
    pushed_bytes: usize,
    /// Pieces that it sent us, of use or not.
    pub(crate) given: u32,
    /// Requests for pieces that it let run out.
    pub(crate) late: u32,
    /// Times that it asked for the whole message.
    pub(crate) asked: u32,
    /// Pieces that we asked it for, in order.
    pub(crate) asks: VecDeque<Ask>,
    /// Shards between us, per generation.
    pub(crate) accounts: Vec<Account>,
    /// It doubts the message's shards.
    pub(crate) doubts: bool,
    /// It held the message, and no longer does.
    has_forgotten: bool,
}

/// What to push to a neighbour unasked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Push {
    /// Nothing: it is no neighbour of the mesh.
    #[default]
    Nothing,
    /// The pieces of the lane that it gave us.
    Lane,
    /// Whatever it lacks: the message is ours, or it asked for it.
    All,
}

/// A piece that a neighbour was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) generation: usize,
    pub(crate) piece: u8,
    pub(crate) at: Time,
    pub(crate) deadline: Time,
    /// It had its time twice, because we woke late.
    pub(crate) is_excused: bool,
}

/// What goes to a neighbour next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Manifest,
    Hashes { generation: usize },
    Piece { generation: usize, piece: u8 },
    Shard { generation: usize },
}

impl Transfer {
    pub(crate) fn new(manifest: Manifest, inline: Bytes, now: Time) -> Self {
        let generations = manifest.generations.iter().copied().map(Pieces::new).collect();
        Self {
            manifest,
            inline,
            generations,
            neighbours: BTreeMap::new(),
            is_ours: false,
            is_spread: false,
            whole_at: None,
            moved_at: now,
            is_excused: false,
            received_bytes: 0,
            paused_at: None,
            threshold_percent: 0,
            multiplier_percent: 100,
            is_coded: false,
            doubted: Doubted::new(),
            accused: Accused::new(),
        }
    }

    /// Bytes of it go out. What is unfinished does not live by that, or nodes that all lack the same would keep it for ever.
    pub(crate) fn on_moved_out(&mut self, now: Time) {
        if self.whole_at.is_some() {
            self.moved_at = now;
        }
    }

    /// The neighbour's entry, made when it is new.
    pub(crate) fn neighbour(&mut self, peer: PeerId) -> &mut Neighbour {
        let count = self.generations.len();
        self.neighbours.entry(peer).or_insert_with(|| Neighbour {
            announced: alloc::vec![PieceSet::default(); count],
            sent: alloc::vec![PieceSet::default(); count],
            hashes: alloc::vec![false; count],
            accounts: alloc::vec![Account::default(); if self.is_coded { count } else { 0 }],
            ..Neighbour::default()
        })
    }

    /// Enough pieces are here to decode every generation.
    pub(crate) fn is_decodable(&self) -> bool {
        self.generations.iter().all(Pieces::is_decodable)
    }

    /// What comes unasked is only its beginning.
    pub(crate) fn is_long(&self) -> bool {
        self.manifest.len > PAUSE_ABOVE
    }

    /// The rest of a long message still comes unasked, or is under way since: what neighbours push need not be asked for,
    /// and would come twice.
    pub(crate) fn is_pushed(&self, now: Time) -> bool {
        self.is_long() && now.since(self.paused_at.unwrap_or(self.moved_at)) < PUSH_TAIL
    }

    /// Payload bytes that the pieces held stand for.
    pub(crate) fn held_bytes(&self) -> usize {
        let held = |pieces: &Pieces| pieces.bytes(pieces.rank());
        self.generations.iter().map(held).sum::<usize>() + self.inline.len()
    }

    /// Payload bytes that the neighbour with most of them has announced or was sent.
    pub(crate) fn reached_bytes(&self) -> usize {
        let there = |at: usize, neighbour: &Neighbour| match neighbour.accounts.get(at) {
            Some(account) => account.rank.max(account.sent),
            None => neighbour.announced[at].union(neighbour.sent[at]).len(),
        };
        let of = |neighbour: &Neighbour| match neighbour.is_done {
            true => self.manifest.len,
            false => {
                (0..).zip(&self.generations).map(|(at, pieces)| pieces.bytes(there(at, neighbour))).sum()
            }
        };
        self.neighbours.values().map(of).max().unwrap_or(0)
    }

    /// `peer` has `piece`: it said so, or sent it.
    pub(crate) fn on_announced(&mut self, peer: PeerId, generation: usize, piece: u8) {
        let neighbour = self.neighbour(peer);
        neighbour.knows_manifest = true;
        neighbour.hashes[generation] = true;
        if core::mem::take(&mut neighbour.has_forgotten) {
            // It begins anew.
            neighbour.is_done = false;
        }
        if neighbour.announced[generation].insert(piece) && !neighbour.sent[generation].contains(piece) {
            self.generations[generation].copies[usize::from(piece)] += 1;
        }
    }

    /// `peer` no longer asks for `piece`.
    pub(crate) fn on_cancelled(&mut self, peer: PeerId, generation: usize, piece: u8) {
        self.neighbour(peer).wants.retain(|&want| want != (generation, piece));
    }

    /// `peer` asks for `piece`. What was sent is under way, on a reliable link: only who asks again gets it again.
    pub(crate) fn on_wanted(&mut self, peer: PeerId, generation: usize, piece: u8) {
        let neighbour = self.neighbour(peer);
        neighbour.knows_manifest = true;
        if neighbour.sent[generation].contains(piece) {
            neighbour.sent[generation].remove(piece);
        } else if !neighbour.wants.contains(&(generation, piece)) {
            neighbour.wants.push_back((generation, piece));
        }
    }

    /// True once, when every piece of a message of ours went to some neighbour. Then neighbours are pushed their lanes,
    /// as by anybody.
    pub(crate) fn take_spread(&mut self) -> bool {
        let is_out = |(at, pieces): (usize, &Pieces)| match self.is_coded {
            true => self.shards_sent(at) * 100 >= pieces.generation.shape.k() * self.multiplier_percent,
            false => !pieces.copies.contains(&0),
        };
        if !self.is_ours || self.is_spread || !self.generations.iter().enumerate().all(is_out) {
            return false;
        }
        self.is_spread = true;
        self.neighbours.values_mut().for_each(|neighbour| neighbour.push = neighbour.push.min(Push::Lane));
        true
    }

    /// Notes that a frame goes to `peer` now.
    pub(crate) fn on_sent(&mut self, peer: PeerId, next: Next) {
        let pushed_bytes = match next {
            Next::Piece { generation, .. } => self.generations[generation].generation.shape.piece_len(),
            _ => 0,
        };
        let neighbour = self.neighbour(peer);
        match next {
            Next::Manifest => {
                neighbour.knows_manifest = true;
                if let Some(first) = neighbour.hashes.first_mut() {
                    *first = true;
                }
            }
            Next::Hashes { generation } => neighbour.hashes[generation] = true,
            Next::Shard { generation } => neighbour.accounts[generation].sent += 1,
            Next::Piece { generation, piece } => {
                match neighbour.wants.iter().position(|&want| want == (generation, piece)) {
                    Some(at) => _ = neighbour.wants.remove(at),
                    None if neighbour.push == Push::Lane => neighbour.pushed_bytes += pushed_bytes,
                    None => {}
                }
                let is_new = neighbour.sent[generation].insert(piece);
                if is_new && !neighbour.announced[generation].contains(piece) {
                    self.generations[generation].copies[usize::from(piece)] += 1;
                }
            }
        }
    }

    /// What to send to `peer` now, by rule: the manifest first; what it asked for; then, unasked, the piece of its
    /// lanes that the fewest neighbours have, until it has or was sent K of the generation. `is_crowded` while other
    /// messages are on their way.
    pub(crate) fn next(&self, peer: PeerId, lane: Option<Lane>, is_crowded: bool) -> Option<Next> {
        let neighbour = self.neighbours.get(&peer)?;
        if neighbour.is_done {
            return None;
        }
        if self.manifest.is_inline() {
            let is_due = match neighbour.push {
                Push::Nothing => false,
                Push::Lane => lane.is_none_or(|lane| lane.takes_inline(self.manifest.id)),
                Push::All => true,
            };
            return (is_due && !neighbour.knows_manifest).then_some(Next::Manifest);
        }
        let (generation, next) = match self.wanted(neighbour) {
            None if self.is_coded && !neighbour.doubts => {
                let generation = self.asked_shard(neighbour).or_else(|| self.unasked_shard(neighbour))?;
                (generation, Next::Shard { generation })
            }
            wanted => {
                let (generation, piece) =
                    wanted.or_else(|| self.unasked(peer, neighbour, lane, is_crowded))?;
                (generation, Next::Piece { generation, piece })
            }
        };
        if !neighbour.knows_manifest {
            Some(Next::Manifest)
        } else if neighbour.hashes[generation] {
            Some(next)
        } else {
            Some(Next::Hashes { generation })
        }
    }

    /// True when `peer` asked for something that we have.
    pub(crate) fn is_wanted(&self, peer: PeerId) -> bool {
        self.neighbours
            .get(&peer)
            .filter(|neighbour| !neighbour.is_done)
            .is_some_and(|one| self.wanted(one).is_some() || self.is_coded && self.asked_shard(one).is_some())
    }

    fn wanted(&self, neighbour: &Neighbour) -> Option<(usize, u8)> {
        neighbour.wants.iter().copied().find(|&(at, piece)| self.generations[at].held.contains(piece))
    }

    /// Pieces may go to `peer` that it did not ask for. Who published them lacks none.
    pub(crate) fn is_pushed_to(&self, peer: PeerId, neighbour: &Neighbour) -> bool {
        match neighbour.push {
            _ if neighbour.is_done => false,
            Push::Nothing => false,
            Push::Lane if peer == self.manifest.publisher => false,
            Push::Lane => !neighbour.is_paused && neighbour.pushed_bytes < PUSH_MAX,
            Push::All => true,
        }
    }

    fn unasked(
        &self,
        peer: PeerId,
        neighbour: &Neighbour,
        lane: Option<Lane>,
        is_crowded: bool,
    ) -> Option<(usize, u8)> {
        if !self.is_pushed_to(peer, neighbour) {
            return None;
        }
        let lane = if neighbour.push == Push::All { None } else { Some(lane?) };
        self.generations.iter().enumerate().find_map(|(at, pieces)| {
            let shape = pieces.generation.shape;
            let reach = match self.is_coded {
                true => Reach::DOUBTED,
                false => Reach::of(self.manifest.len, shape.piece_len(), is_crowded),
            };
            let there = neighbour.announced[at].union(neighbour.sent[at]);
            let percent = if lane.is_some() { reach.percent } else { 100 };
            let is_served = there.len() * 100 >= shape.k() * percent;
            if is_served || pieces.held.len() * 100 < shape.k() * self.threshold_percent {
                return None;
            }
            let is_due = |piece| {
                let is_in = |lane: Lane| lane.contains(self.manifest.id, at, piece, reach.width);
                there.len() < reach.free || lane.is_none_or(is_in)
            };
            let fresh = pieces.held.difference(there).iter().filter(|&piece| is_due(piece));
            fresh.min_by_key(|&piece| pieces.copies[usize::from(piece)]).map(|piece| (at, piece))
        })
    }

    /// Pieces of a generation that `peer` announced, that we lack, and that nobody was asked for.
    pub(crate) fn missing_at(&self, neighbour: &Neighbour, generation: usize) -> PieceSet {
        let pieces = &self.generations[generation];
        let there = neighbour.announced[generation];
        // Whoever is done has at least all sources, and whoever is not done lacks one.
        let has_sources = neighbour.is_done && !neighbour.has_forgotten;
        let there = if has_sources { there.union(pieces.sources()) } else { there };
        there.difference(pieces.held).difference(pieces.outstanding)
    }

    /// Pieces of a generation that we lack, and that neighbours with these lanes announced and push of themselves.
    pub(crate) fn pushed_at(
        &self,
        lanes: &[(PeerId, Lane)],
        generation: usize,
        is_crowded: bool,
    ) -> PieceSet {
        let piece_len = self.generations[generation].generation.shape.piece_len();
        let Reach { width, .. } = Reach::of(self.manifest.len, piece_len, is_crowded);
        let pushed = lanes.iter().filter_map(|&(peer, lane)| {
            let missing = self.missing_at(self.neighbours.get(&peer)?, generation);
            let is_due = move |&piece: &u8| lane.contains(self.manifest.id, generation, piece, width);
            Some(PieceSet::from_iter(missing.iter().filter(is_due)))
        });
        pushed.fold(PieceSet::default(), PieceSet::union)
    }

    /// The piece came, or is no longer expected: nobody is asked for it. The neighbour that was, if any.
    pub(crate) fn settle(&mut self, generation: usize, piece: u8) -> Option<(PeerId, Ask)> {
        let pieces = &mut self.generations[generation];
        if !pieces.outstanding.contains(piece) {
            return None;
        }
        pieces.outstanding.remove(piece);
        self.neighbours.iter_mut().find_map(|(&peer, neighbour)| {
            let at =
                neighbour.asks.iter().position(|ask| (ask.generation, ask.piece) == (generation, piece))?;
            neighbour.asks.remove(at).map(|ask| (peer, ask))
        })
    }

    /// `peer` holds nothing of it any more. What it was asked for, of which others may be asked now.
    pub(crate) fn on_forgotten(&mut self, peer: PeerId) -> VecDeque<Ask> {
        let Some(neighbour) = self.neighbours.get_mut(&peer) else { return VecDeque::new() };
        neighbour.has_forgotten = true;
        neighbour.announced.fill(PieceSet::default());
        let asks = core::mem::take(&mut neighbour.asks);
        // Who forgets what it was asked for is asked last.
        neighbour.late += u32::from(!asks.is_empty());
        asks.iter().for_each(|ask| self.generations[ask.generation].outstanding.remove(ask.piece));
        asks
    }

    /// It is not whole, and nothing came for `span`.
    pub(crate) fn is_stalled(&self, now: Time, span: Duration) -> bool {
        self.whole_at.is_none() && !self.is_decodable() && now.since(self.moved_at) >= span
    }

    /// Who held it begins to forget it, and nobody else has what we lack.
    pub(crate) fn is_past(&self) -> bool {
        let has_some = |neighbour: &Neighbour| {
            !neighbour.asks.is_empty()
                || (0..self.generations.len()).any(|at| !self.missing_at(neighbour, at).is_empty())
        };
        !self.is_coded
            && self.neighbours.values().any(|neighbour| neighbour.has_forgotten)
            && !self.neighbours.values().any(has_some)
    }

    /// `peer` is gone: others may be asked for what it was asked for.
    pub(crate) fn on_gone(&mut self, peer: PeerId) {
        for ask in self.neighbours.remove(&peer).into_iter().flat_map(|neighbour| neighbour.asks) {
            self.generations[ask.generation].outstanding.remove(ask.piece);
        }
        // Who is gone cannot say that it doubts what it sent.
        self.accused.remove(&peer);
        let kept = self.generations.iter_mut().filter_map(|pieces| pieces.span.as_mut());
        kept.chain(self.doubted.iter_mut().flatten()).for_each(|span| span.forget(peer));
    }

    pub(crate) fn id(&self) -> MessageId {
        self.manifest.id
    }
}

impl Neighbour {
    /// It sent nothing of the message, nor has it answered a request before.
    pub(crate) fn is_unproven(&self, service: &Service) -> bool {
        self.given == 0 && service.is_unproven()
    }

    /// It lets requests run out twice as often as it sends anything.
    pub(crate) fn is_silent(&self) -> bool {
        self.late > 2 * self.given
    }
}

impl Pieces {
    fn new(generation: Generation) -> Self {
        let count = generation.shape.pieces();
        Self {
            generation,
            hashes: None,
            pieces: alloc::vec![None; count],
            held: PieceSet::default(),
            outstanding: PieceSet::default(),
            span: None,
            copies: alloc::vec![0; count],
        }
    }

    pub(crate) fn insert(&mut self, piece: u8, bytes: Bytes) {
        if let Some(span) = &mut self.span {
            span.push_piece(piece, bytes.clone());
        }
        self.held.insert(piece);
        self.pieces[usize::from(piece)] = Some(bytes);
    }

    pub(crate) fn is_decodable(&self) -> bool {
        self.rank() >= self.generation.shape.k()
    }

    /// The indexes of all source pieces.
    fn sources(&self) -> PieceSet {
        (0..self.generation.shape.k()).map(|piece| piece as u8).collect()
    }

    /// How many neighbours have or were sent a piece.
    pub(crate) fn copies(&self, piece: u8) -> u16 {
        self.copies[usize::from(piece)]
    }

    /// Payload bytes that `count` pieces stand for.
    fn bytes(&self, count: usize) -> usize {
        (count * self.generation.shape.piece_len()).min(self.generation.len)
    }
}

/// What was pushed is there so much later; and when nothing came for so long, everything may be asked for. After simulations:
/// twice as much is as good.
const PUSH_TAIL: Duration = Duration::from_millis(200);
/// Most bytes of a message that a neighbour is pushed from its lane: over a long link, a fast sender would have filled the
/// receiver's downlink with what others send too, before it is told to pause. Measured: `docs/decisions/020`.
const PUSH_MAX: usize = 512 * 1024;
/// Payloads longer than this are asked for once enough came unasked: `docs/decisions`, "push budget".
const PAUSE_ABOVE: usize = 256 * 1024;
