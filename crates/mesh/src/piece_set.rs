use alloc::vec::Vec;

/// A set of piece indexes of one generation, 0 to 255.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct PieceSet([u64; 4]);

impl PieceSet {
    pub(crate) fn insert(&mut self, piece: u8) -> bool {
        let (word, bit) = at(piece);
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }

    pub(crate) fn remove(&mut self, piece: u8) {
        let (word, bit) = at(piece);
        self.0[word] &= !bit;
    }

    pub(crate) fn contains(&self, piece: u8) -> bool {
        let (word, bit) = at(piece);
        self.0[word] & bit != 0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0 == [0; 4]
    }

    pub(crate) fn len(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    pub(crate) fn union(self, other: Self) -> Self {
        Self(core::array::from_fn(|word| self.0[word] | other.0[word]))
    }

    pub(crate) fn difference(self, other: Self) -> Self {
        Self(core::array::from_fn(|word| self.0[word] & !other.0[word]))
    }

    /// In rising order.
    pub(crate) fn iter(self) -> impl Iterator<Item = u8> {
        (0..4).flat_map(move |word| {
            let mut left = self.0[word];
            core::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                (bit < 64).then(|| word as u8 * 64 + bit as u8)
            })
        })
    }

    /// One byte per piece, as frames have it.
    pub(crate) fn to_bytes(self) -> Vec<u8> {
        self.iter().collect()
    }
}

impl FromIterator<u8> for PieceSet {
    fn from_iter<I: IntoIterator<Item = u8>>(pieces: I) -> Self {
        pieces.into_iter().fold(Self::default(), |mut set, piece| {
            set.insert(piece);
            set
        })
    }
}

fn at(piece: u8) -> (usize, u64) {
    (usize::from(piece / 64), 1 << (piece % 64))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn sets_behave_like_sets() {
        let mut set = PieceSet::from_iter([255, 0, 64]);
        assert!(!set.insert(64));
        assert_eq!((set.len(), set.to_bytes()), (3, [0, 64, 255].into()));
        assert_eq!(set.difference(PieceSet::from_iter([255])).to_bytes(), [0, 64]);
        assert_eq!(set.union(PieceSet::from_iter([1])).len(), 4);
    }
}
