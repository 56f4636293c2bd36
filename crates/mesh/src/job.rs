//! Long computations in slices: what a publisher makes before the first byte leaves, and what a receiver does after
//! the last has come.

use alloc::{collections::VecDeque, vec::Vec};

use braidcast_machine::WallTime;
use braidcast_rlnc::{Decoder, Encoder, Product};
use braidcast_wire::{Identity, MessageId};
use bytes::{Bytes, BytesMut};

use crate::{
    api::{Config, Payload, Publish},
    closed::span::Span,
    manifest::{self, Body, GenerationBody, Manifest, PieceHashes},
    pack::{Inconsistent, Method, Pack, Unpack},
    params::{Mode, TopicParams},
    transfer::{Pieces, Transfer},
};

/// Cuts, codes and hashes a message of our own.
#[derive(Debug)]
pub(crate) struct Encode {
    pub(crate) publish: Publish,
    params: TopicParams,
    /// Makes it shorter, if it gets shorter.
    pack: Option<Pack>,
    /// As it travels, once it is packed.
    method: Method,
    payload: Bytes,
    plain_len: usize,
    hasher: blake3::Hasher,
    /// Generations still to come.
    rest: VecDeque<Cut>,
    /// The one in work.
    current: Option<Coding>,
    made: Vec<(Cut, Vec<Bytes>, PieceHashes)>,
}

/// One generation's part of the payload.
#[derive(Debug)]
struct Cut {
    len: usize,
    shape: braidcast_rlnc::Shape,
    sources: Vec<Bytes>,
}

#[derive(Debug)]
struct Coding {
    cut: Cut,
    /// Makes the parity pieces; `None` once they are there.
    parity: Option<Product<Bytes>>,
    /// All pieces, once the parity is there.
    pieces: Vec<Bytes>,
    hashes: PieceHashes,
}

impl Encode {
    pub(crate) fn new(mut publish: Publish, params: &TopicParams) -> Self {
        let payload = core::mem::take(&mut publish.content.payload).into_bytes();
        let mut encode = Self {
            publish,
            params: params.clone(),
            pack: params.compress.then(|| Pack::new(payload.clone())),
            method: Method::Plain,
            plain_len: payload.len(),
            payload,
            hasher: blake3::Hasher::new(),
            rest: VecDeque::new(),
            current: None,
            made: Vec::new(),
        };
        if encode.pack.is_none() {
            encode.cut();
        }
        encode
    }

    /// The payload is as it will travel.
    fn cut(&mut self) {
        let mut at = 0;
        let cuts = manifest::cut(self.payload.len(), &self.params).into_iter().map(|(len, shape)| {
            let part = self.payload.slice(at..at + len);
            at += len;
            Cut { len, shape, sources: sources(&part, shape) }
        });
        self.rest = cuts.collect();
    }

    /// Works for about `budget` bytes; true while something is left.
    pub(crate) fn step(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 {
            if let Some(mut pack) = self.pack.take() {
                if pack.step(budget) {
                    self.pack = Some(pack);
                } else {
                    (self.method, self.payload, self.plain_len) = pack.finish();
                    self.cut();
                }
            } else if let Some(coding) = &mut self.current {
                if coding.step(&mut self.hasher, budget) {
                    continue;
                }
                let done = self.current.take().expect("it is the current one");
                self.made.push((done.cut, done.pieces, done.hashes));
            } else if let Some(cut) = self.rest.pop_front() {
                self.current = Some(Coding::new(cut));
            } else {
                return false;
            }
        }
        self.pack.is_some() || self.current.is_some() || !self.rest.is_empty()
    }

    /// Signs, and makes the transfer that serves it.
    pub(crate) fn finish(
        mut self,
        seqno: u64,
        wall: WallTime,
        identity: &Identity,
        config: &Config,
    ) -> Transfer {
        if self.made.is_empty() {
            self.hasher.update(&self.payload);
        }
        let generation = |(cut, _, hashes): &(Cut, Vec<Bytes>, PieceHashes)| GenerationBody {
            len: cut.len as u32,
            k: cut.shape.k() as u32,
            m: cut.shape.m() as u32,
            piece_len: cut.shape.piece_len() as u32,
            root: Bytes::copy_from_slice(&manifest::root(hashes)),
        };
        let body = Body {
            topic: self.publish.topic.as_str().into(),
            publisher: Bytes::copy_from_slice(&identity.peer_id().0),
            seqno,
            time_ms: wall.0,
            content_type: self.publish.content.content_type,
            name: self.publish.content.name,
            payload_len: self.plain_len as u64,
            compression: self.method as u32,
            stored_len: self.payload.len() as u64,
            stored_hash: Bytes::copy_from_slice(self.hasher.finalize().as_bytes()),
            generations: self.made.iter().map(generation).collect(),
        };
        let inline = if self.made.is_empty() { self.payload } else { Bytes::new() };
        let manifest = Manifest::sign(&body, identity, config);
        let mut transfer = Transfer::new(manifest, inline, Default::default());
        for (slot, (_, pieces, hashes)) in transfer.generations.iter_mut().zip(self.made) {
            slot.hashes = Some(hashes);
            for (piece, bytes) in pieces.into_iter().enumerate() {
                slot.insert(piece as u8, bytes);
            }
        }
        transfer.is_ours = true;
        if self.params.mode != Mode::Open {
            transfer.close();
            transfer.multiplier_percent = self.params.shard_multiplier_percent.unwrap_or(100);
        }
        transfer
    }
}

impl Coding {
    fn new(cut: Cut) -> Self {
        let encoder = Encoder::new(cut.shape, cut.sources.clone()).expect("sources were cut to this shape");
        Self { cut, parity: Some(encoder.into_parity()), pieces: Vec::new(), hashes: Vec::new() }
    }

    /// Parity first, then one hash after the other.
    fn step(&mut self, payload_hasher: &mut blake3::Hasher, budget: &mut usize) -> bool {
        if let Some(mut parity) = self.parity.take() {
            let before = parity.remaining();
            let is_left = parity.step(*budget as u64);
            *budget = budget.saturating_sub((before - parity.remaining()) as usize);
            if is_left {
                self.parity = Some(parity);
            } else {
                let (rows, len) = (Bytes::from(parity.finish()), self.cut.shape.piece_len());
                self.pieces.clone_from(&self.cut.sources);
                self.pieces.extend((0..self.cut.shape.m()).map(|row| rows.slice(row * len..(row + 1) * len)));
            }
            return true;
        }
        let piece = self.hashes.len();
        let Some(bytes) = self.pieces.get(piece) else { return false };
        self.hashes.push(*blake3::hash(bytes).as_bytes());
        let payload_len = bytes.len().min(self.cut.len.saturating_sub(piece * bytes.len()));
        if piece < self.cut.shape.k() {
            payload_hasher.update(&bytes[..payload_len]);
        }
        *budget = budget.saturating_sub(bytes.len());
        true
    }
}

/// The K source pieces of a part of the payload. Only the last is copied, to be padded.
fn sources(part: &Bytes, shape: braidcast_rlnc::Shape) -> Vec<Bytes> {
    let piece_len = shape.piece_len();
    (0..shape.k())
        .map(|piece| {
            let start = piece * piece_len;
            if start + piece_len <= part.len() {
                return part.slice(start..start + piece_len);
            }
            let mut padded = BytesMut::from(&part[start..]);
            padded.resize(piece_len, 0);
            padded.freeze()
        })
        .collect()
}

/// Makes the missing source pieces of a message, and checks the whole.
#[derive(Debug)]
pub(crate) struct Decode {
    pub(crate) id: MessageId,
    share: Share,
    generation: usize,
    /// The generation's missing pieces, while they are made.
    recovery: Option<Recovery>,
    hasher: blake3::Hasher,
    /// Source pieces of the generation that were hashed.
    hashed: usize,
    /// Unpacks what is verified.
    unpack: Option<Unpack>,
    /// The payload, at the end.
    pub(crate) payload: Payload,
}

/// See [`Config::share`].
type Share = fn(Bytes) -> Bytes;

#[derive(Debug)]
struct Recovery {
    /// Pieces that did not come as they are.
    missing: Vec<usize>,
    /// Makes them, a row each.
    job: Product<Bytes>,
}

/// How far a [`Decode`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// The budget ran out.
    More,
    /// The payload is what the publisher signed.
    Whole,
    /// The pieces verify one by one and yet do not make the payload that was signed: the publisher's fault.
    Inconsistent,
    /// A shard was wrong, and nobody knows which.
    Polluted,
}

impl Decode {
    pub(crate) fn new(id: MessageId, share: Share) -> Self {
        Self {
            id,
            share,
            generation: 0,
            recovery: None,
            hasher: blake3::Hasher::new(),
            hashed: 0,
            unpack: None,
            payload: Payload::default(),
        }
    }

    /// Works for about `budget` bytes.
    pub(crate) fn step(&mut self, transfer: &mut Transfer, budget: &mut usize) -> Step {
        while *budget > 0 {
            if let Some(unpack) = &mut self.unpack {
                match unpack.step(budget) {
                    Ok(None) => continue,
                    Ok(Some(payload)) => self.payload = payload,
                    Err(Inconsistent) => return Step::Inconsistent,
                }
                return Step::Whole;
            }
            let Some(pieces) = transfer.generations.get_mut(self.generation) else {
                if *self.hasher.finalize().as_bytes() != transfer.manifest.hash {
                    return Step::Inconsistent;
                }
                let stored = payload(transfer);
                if transfer.manifest.method == Method::Plain {
                    self.payload = stored;
                    return Step::Whole;
                }
                self.unpack = Some(Unpack::new(&stored, transfer.manifest.plain_len));
                continue;
            };
            let shape = pieces.generation.shape;
            if let Some(mut recovery) = self.recovery.take() {
                let before = recovery.job.remaining();
                if recovery.job.step(*budget as u64) {
                    *budget = budget.saturating_sub((before - recovery.job.remaining()) as usize);
                    self.recovery = Some(recovery);
                    continue;
                }
                if !adopt(recovery, pieces, self.share) {
                    return if pieces.span.is_some() { Step::Polluted } else { Step::Inconsistent };
                }
                pieces.span = None;
            }
            if (0..shape.k()).any(|piece| pieces.pieces[piece].is_none()) {
                self.recovery = Some(recovery(pieces));
            } else if self.hashed == shape.k() {
                pieces.span = None;
                (self.generation, self.hashed) = (self.generation + 1, 0);
            } else {
                let piece = pieces.pieces[self.hashed].as_ref().expect("no source piece is missing");
                let left = pieces.generation.len - self.hashed * shape.piece_len();
                self.hasher.update(&piece[..left.min(piece.len())]);
                *budget = budget.saturating_sub(piece.len());
                self.hashed += 1;
            }
        }
        Step::More
    }
}

/// Makes the parity pieces that did not come, so that a node that has the whole can push every piece.
#[derive(Debug)]
pub(crate) struct Regenerate {
    pub(crate) id: MessageId,
    share: Share,
    generation: usize,
    recovery: Option<Recovery>,
}

impl Regenerate {
    pub(crate) fn new(id: MessageId, share: Share) -> Self {
        Self { id, share, generation: 0, recovery: None }
    }

    /// Works for about `budget` bytes. [`Step::Whole`] when every piece is there.
    pub(crate) fn step(&mut self, transfer: &mut Transfer, budget: &mut usize) -> Step {
        while *budget > 0 {
            let Some(pieces) = transfer.generations.get_mut(self.generation) else { return Step::Whole };
            let mut recovery = self.recovery.take().unwrap_or_else(|| parity(pieces));
            let before = recovery.job.remaining();
            let is_left = recovery.job.step(*budget as u64);
            *budget = budget.saturating_sub((before - recovery.job.remaining()) as usize);
            if is_left {
                self.recovery = Some(recovery);
            } else if adopt(recovery, pieces, self.share) {
                self.generation += 1;
            } else {
                return Step::Inconsistent;
            }
        }
        Step::More
    }
}

fn parity(pieces: &Pieces) -> Recovery {
    let shape = pieces.generation.shape;
    let missing: Vec<usize> =
        (shape.k()..shape.pieces()).filter(|&piece| pieces.pieces[piece].is_none()).collect();
    let sources = pieces.pieces[..shape.k()].iter().flatten().cloned().collect();
    let encoder = Encoder::new(shape, sources).expect("a whole message has all its sources");
    let job = encoder.into_product(&missing).expect("these are indexes of this shape");
    Recovery { missing, job }
}

fn recovery(pieces: &Pieces) -> Recovery {
    let shape = pieces.generation.shape;
    if let Some((missing, job)) = pieces.span.as_ref().and_then(Span::missing) {
        return Recovery { missing, job };
    }
    let mut decoder = Decoder::new(shape);
    for piece in pieces.held.iter().take(shape.k()) {
        let bytes = pieces.pieces[usize::from(piece)].clone().expect("held pieces are there");
        decoder.push_piece(usize::from(piece), bytes, None).expect("held pieces fit the shape");
    }
    let (missing, job) = decoder.missing().expect("any K pieces decode");
    Recovery { missing, job }
}

/// Takes the recovered pieces over; false when one is not what the publisher hashed.
fn adopt(recovery: Recovery, pieces: &mut Pieces, share: Share) -> bool {
    let (rows, piece_len) = (Bytes::from(recovery.job.finish()), pieces.generation.shape.piece_len());
    recovery.missing.into_iter().enumerate().all(|(row, piece)| {
        let bytes = rows.slice(row * piece_len..(row + 1) * piece_len);
        let hashes = pieces.hashes.as_ref().expect("pieces came, so their hashes did");
        let is_right = *blake3::hash(&bytes).as_bytes() == hashes[piece];
        if is_right {
            pieces.insert(piece as u8, share(bytes));
        }
        is_right
    })
}

/// The payload of an inline message, unpacked: it is short.
pub(crate) fn inline_payload(manifest: &Manifest, stored: &Bytes) -> Result<Payload, Inconsistent> {
    let stored = Payload::from(stored.clone());
    match manifest.method {
        Method::Plain => Ok(stored),
        Method::Lz4 => {
            let mut budget = usize::MAX;
            Ok(Unpack::new(&stored, manifest.plain_len)
                .step(&mut budget)?
                .expect("the budget is without end"))
        }
    }
}

/// The payload of a whole coded message as it travelled, without copying.
fn payload(transfer: &Transfer) -> Payload {
    let sources = transfer.generations.iter().flat_map(|pieces| {
        let shape = pieces.generation.shape;
        pieces.pieces[..shape.k()].iter().flatten().enumerate().map(move |(piece, bytes)| {
            let left = pieces.generation.len - piece * shape.piece_len();
            bytes.slice(..left.min(bytes.len()))
        })
    });
    sources.collect()
}
