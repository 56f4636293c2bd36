//! What would be there without the shards of one neighbour.

use alloc::vec::Vec;

use super::{Decoder, Held, Tag};
use crate::Incomplete;
use crate::elimination::Elimination;

impl<B: AsRef<[u8]> + Clone> Decoder<B> {
    /// How many independent shards are left, spares included, without those that `tag` sent.
    pub fn rank_without(&self, tag: Tag) -> usize {
        let mut elimination = Elimination::new(self.engine, self.shape.k());
        for held in self.not_from(tag) {
            elimination.insert(&held.shard.coefficients);
        }
        elimination.rank()
    }

    /// A decoder that never heard from `tag`: spares move up where they are innovative.
    pub fn without(&self, tag: Tag) -> Self {
        let mut decoder = Self::with_engine(self.shape, self.engine).keep_spares(self.max_spares);
        for Held { shard, from } in self.not_from(tag) {
            decoder.push(&shard.coefficients, shard.payload.clone(), *from).expect("it was pushed before");
        }
        decoder
    }

    /// All source pieces, as they come out without anything that `tag` sent.
    pub fn decode_without(&self, tag: Tag) -> Result<Vec<u8>, Incomplete> {
        self.without(tag).decode_all()
    }

    fn not_from(&self, tag: Tag) -> impl Iterator<Item = &Held<B>> {
        self.held.iter().chain(&self.spares).filter(move |held| held.from != Some(tag))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::decoder::tests::{K, LEN, determined, pieces, shape, sources};
    use crate::testing::noise;

    #[test]
    fn drops_what_one_neighbour_sent() {
        let mut decoder = Decoder::new(shape());
        for (index, piece) in pieces().into_iter().enumerate().take(K) {
            decoder.push_piece(index, piece, Some(index as Tag % 2)).unwrap();
        }
        assert_eq!((decoder.rank_without(0), decoder.rank_without(5)), (2, 4));
        assert_eq!(determined(&decoder.without(0)), [1, 3]);
        assert_eq!(decoder.decode_without(0), Err(Incomplete { rank: 2, k: K }));
        assert_eq!(decoder.decode_without(5), Ok(sources().concat()));
    }

    #[test]
    fn spares_replace_what_a_polluter_sent() {
        let mut decoder = Decoder::new(shape()).keep_spares(3);
        decoder.push(&[5, 5, 5, 5], noise(66, LEN), Some(666)).unwrap();
        for (index, piece) in pieces().into_iter().enumerate().skip(1) {
            decoder.push_piece(index, piece, Some(index as Tag)).unwrap();
        }
        assert_eq!((decoder.rank(), decoder.held().len(), decoder.spares.len()), (K, K, 3));
        assert_ne!(decoder.decode_all(), Ok(sources().concat()));
        assert_eq!(decoder.rank_without(666), K);
        assert_eq!(decoder.decode_without(666), Ok(sources().concat()));
    }
}
