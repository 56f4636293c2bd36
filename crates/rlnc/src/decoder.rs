//! Collects shards until the sources are known.

mod sources;
mod without;

use alloc::vec::Vec;

use crate::cauchy;
use crate::elimination::Elimination;
use crate::{Engine, Shape, ShapeError, Shard};

/// Who sent a shard; numbers given out by the caller.
pub type Tag = u32;

/// What one shard brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// It was independent of those held, and is held now.
    Innovative {
        /// Independent shards held, this one included.
        rank: usize,
    },
    /// It was a combination of those held. Nothing changed.
    Dependent,
}

/// Holds up to K independent shards of one generation, and knows which source pieces they determine.
///
/// Elimination runs on coefficients alone; a payload is kept as it came and is read when a piece is made from it.
/// `B` is a payload: `Bytes` in the mesh, anything whose bytes do not change.
#[derive(Clone, Debug)]
pub struct Decoder<B> {
    shape: Shape,
    engine: Engine,
    elimination: Elimination,
    /// The innovative shards, in the order in which the elimination took them in.
    held: Vec<Held<B>>,
    /// Dependent shards, kept for the day somebody's shards must go.
    spares: Vec<Held<B>>,
    max_spares: usize,
}

#[derive(Clone, Debug)]
struct Held<B> {
    shard: Shard<B>,
    from: Option<Tag>,
}

impl<B: AsRef<[u8]>> Decoder<B> {
    /// Holds nothing yet.
    pub fn new(shape: Shape) -> Self {
        Self::with_engine(shape, Engine::new())
    }

    /// Holds nothing yet, and computes with `engine`.
    pub fn with_engine(shape: Shape, engine: Engine) -> Self {
        let elimination = Elimination::new(engine, shape.k());
        let held = Vec::with_capacity(shape.k());
        Self { shape, engine, elimination, held, spares: Vec::new(), max_spares: 0 }
    }

    /// Keeps up to `limit` dependent shards aside (0 unless said), so that [`without`](Self::without) has something
    /// to put in the place of what it drops. They change nothing else. Memory: K + `limit` payloads at most.
    pub fn keep_spares(self, limit: usize) -> Self {
        Self { max_spares: limit, ..self }
    }

    /// The shape of the generation.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Independent shards held, at most K.
    pub fn rank(&self) -> usize {
        self.elimination.rank()
    }

    /// Whether K independent shards are held, so that every source piece is determined.
    pub fn is_complete(&self) -> bool {
        self.rank() == self.shape.k()
    }

    /// Whether a shard with these K coefficients would raise the rank. Asked before its payload is looked at; a
    /// vector of another length never does.
    pub fn is_innovative(&self, coefficients: &[u8]) -> bool {
        coefficients.len() == self.shape.k()
            && !self.is_complete()
            && self.elimination.is_innovative(coefficients)
    }

    /// Takes in a shard sent by `from`: K coefficients, `piece_len` bytes.
    ///
    /// A wrong length changes nothing, a dependent shard neither (see [`keep_spares`](Self::keep_spares)).
    pub fn push(
        &mut self,
        coefficients: &[u8],
        payload: B,
        from: Option<Tag>,
    ) -> Result<Progress, ShapeError> {
        self.shape.check_coefficients(coefficients)?;
        self.shape.check_payload(payload.as_ref())?;
        let is_innovative = !self.is_complete() && self.elimination.insert(coefficients);
        Ok(self.keep(is_innovative, Shard { coefficients: coefficients.to_vec(), payload }, from))
    }

    /// Takes in piece `index` (sources 0..K, parity K..K + M), whose coefficients its index tells.
    pub fn push_piece(
        &mut self,
        index: usize,
        payload: B,
        from: Option<Tag>,
    ) -> Result<Progress, ShapeError> {
        let coefficients = cauchy::coefficients(&self.shape, index)?;
        self.shape.check_payload(payload.as_ref())?;
        let is_innovative = !self.is_complete()
            && if index < self.shape.k() {
                self.elimination.insert_piece(index)
            } else {
                self.elimination.insert(&coefficients)
            };
        Ok(self.keep(is_innovative, Shard { coefficients, payload }, from))
    }

    /// Shelves a shard that the elimination has judged.
    fn keep(&mut self, is_innovative: bool, shard: Shard<B>, from: Option<Tag>) -> Progress {
        let shelf = if is_innovative { &mut self.held } else { &mut self.spares };
        if is_innovative || shelf.len() < self.max_spares {
            shelf.push(Held { shard, from });
        }
        if is_innovative { Progress::Innovative { rank: self.rank() } } else { Progress::Dependent }
    }

    /// The shards held, in the order they came; for a [`Recoder`](crate::Recoder).
    pub fn held(&self) -> impl ExactSizeIterator<Item = &Shard<B>> {
        self.held.iter().map(|held| &held.shard)
    }

    /// Whether source piece `piece` can be made from what is held; true for pieces that came as they are.
    pub fn is_determined(&self, piece: usize) -> bool {
        self.elimination.is_determined(piece)
    }

    /// The source pieces that can be made from what is held, in rising order.
    pub fn determined(&self) -> impl Iterator<Item = usize> {
        (0..self.shape.k()).filter(|&piece| self.is_determined(piece))
    }

    /// The payload that is source piece `piece` as it stands, if one is held.
    pub fn received(&self, piece: usize) -> Option<&B> {
        self.elimination.unit(piece).map(|slot| &self.held[slot].shard.payload)
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use alloc::vec;

    use super::*;
    use crate::testing::{rows, slices_mut};
    use crate::{Encoder, Incomplete};

    pub(super) const K: usize = 4;
    const M: usize = 4;
    pub(super) const LEN: usize = 40;

    pub(super) fn shape() -> Shape {
        Shape::new(K, M, LEN).unwrap()
    }

    pub(super) fn sources() -> Vec<Vec<u8>> {
        rows(1, K, LEN)
    }

    /// The shard with this coefficient vector.
    fn shard(coefficients: &[u8]) -> Vec<u8> {
        let mut out = vec![0; LEN];
        Encoder::new(shape(), sources()).unwrap().shards(coefficients, &mut [&mut out]).unwrap();
        out
    }

    /// All K + M pieces.
    pub(super) fn pieces() -> Vec<Vec<u8>> {
        let mut out = rows(0, K + M, LEN);
        let indices: Vec<usize> = (0..K + M).collect();
        Encoder::new(shape(), sources()).unwrap().pieces(&indices, &mut slices_mut(&mut out)).unwrap();
        out
    }

    fn push(decoder: &mut Decoder<Vec<u8>>, coefficients: &[u8], from: Tag) -> Progress {
        decoder.push(coefficients, shard(coefficients), Some(from)).unwrap()
    }

    pub(super) fn determined(decoder: &Decoder<Vec<u8>>) -> Vec<usize> {
        decoder.determined().collect()
    }

    #[test]
    fn a_source_piece_is_there_at_once() {
        let mut decoder = Decoder::new(shape());
        assert_eq!(decoder.push_piece(2, sources()[2].clone(), None), Ok(Progress::Innovative { rank: 1 }));
        assert_eq!(determined(&decoder), [2]);
        assert_eq!(decoder.received(2), Some(&sources()[2]));
        assert_eq!((decoder.received(1), decoder.piece(1)), (None, None));
    }

    #[test]
    fn elimination_determines_pieces_before_the_end() {
        let mut decoder = Decoder::new(shape());
        push(&mut decoder, &[0, 3, 5, 0], 1);
        assert!(determined(&decoder).is_empty());
        push(&mut decoder, &[0, 7, 1, 0], 1);
        assert_eq!(determined(&decoder), [1, 2]);
        assert_eq!((decoder.received(1), decoder.received(2)), (None, None));
        assert_eq!(
            (decoder.piece(1).as_ref(), decoder.piece(2).as_ref()),
            (Some(&sources()[1]), Some(&sources()[2]))
        );
    }

    #[test]
    fn a_multiple_of_a_piece_is_not_the_piece() {
        let mut decoder = Decoder::new(shape());
        push(&mut decoder, &[0, 0, 0, 9], 1);
        assert_eq!(decoder.received(3), None);
        assert_eq!(decoder.piece(3).as_ref(), Some(&sources()[3]));
    }

    #[test]
    fn a_dependent_shard_is_not_held() {
        let mut decoder = Decoder::new(shape());
        push(&mut decoder, &[1, 2, 3, 4], 1);
        push(&mut decoder, &[1, 1, 0, 0], 1);
        assert!(!decoder.is_innovative(&[0, 3, 3, 4]));
        assert_eq!(push(&mut decoder, &[0, 3, 3, 4], 1), Progress::Dependent);
        assert_eq!(push(&mut decoder, &[0, 0, 0, 0], 1), Progress::Dependent);
        assert_eq!((decoder.rank(), decoder.held().len()), (2, 2));
    }

    #[test]
    fn nothing_is_innovative_at_full_rank() {
        let mut decoder = Decoder::new(shape());
        for (index, piece) in pieces().into_iter().enumerate().skip(2).take(K) {
            decoder.push_piece(index, piece, None).unwrap();
        }
        assert!(decoder.is_complete());
        assert!(!decoder.is_innovative(&[1, 0, 0, 0]));
        assert_eq!(push(&mut decoder, &[1, 0, 0, 0], 1), Progress::Dependent);
        assert_eq!(decoder.decode_all(), Ok(sources().concat()));
    }

    #[test]
    fn wrong_lengths_change_nothing() {
        let mut decoder = Decoder::new(shape());
        let vector = decoder.push(&[1, 2, 3], vec![0; LEN], None);
        assert_eq!(vector, Err(ShapeError::Coefficients { got: 3, expected: K }));
        let payload = decoder.push(&[1, 2, 3, 4], vec![0; LEN - 1], None);
        assert_eq!(payload, Err(ShapeError::Length { got: LEN - 1, expected: LEN }));
        let index = decoder.push_piece(K + M, vec![0; LEN], None);
        assert_eq!(index, Err(ShapeError::Index { index: K + M, pieces: K + M }));
        assert!(!decoder.is_innovative(&[1, 2, 3]));
        assert_eq!((decoder.rank(), decoder.decode_all()), (0, Err(Incomplete { rank: 0, k: K })));
    }
}
