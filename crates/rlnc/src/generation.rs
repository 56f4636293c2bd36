//! The shape of a generation, and what travels of it.

use alloc::vec::Vec;

use crate::ShapeError;

/// Most pieces a generation can have: Cauchy coefficients need one field element for each.
pub const MAX_PIECES: usize = 256;

/// K source pieces and M parity pieces of equal length. 1 <= K, K + M <= 256.
///
/// Pieces are numbered from 0: the sources 0..K, then the parity pieces K..K + M.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    k: usize,
    m: usize,
    piece_len: usize,
}

impl Shape {
    /// `k` source pieces, `m` parity pieces, `piece_len` bytes each.
    pub fn new(k: usize, m: usize, piece_len: usize) -> Result<Self, ShapeError> {
        let pieces = k.saturating_add(m);
        if k == 0 {
            Err(ShapeError::NoSources)
        } else if pieces > MAX_PIECES {
            Err(ShapeError::TooManyPieces { k, m })
        } else if piece_len == 0 {
            Err(ShapeError::EmptyPieces)
        } else if piece_len > isize::MAX as usize / pieces {
            Err(ShapeError::TooLong { pieces, piece_len })
        } else {
            Ok(Self { k, m, piece_len })
        }
    }

    /// K, the number of source pieces.
    pub fn k(&self) -> usize {
        self.k
    }

    /// M, the number of parity pieces.
    pub fn m(&self) -> usize {
        self.m
    }

    /// K + M, the number of all pieces.
    pub fn pieces(&self) -> usize {
        self.k + self.m
    }

    /// Bytes of one piece.
    pub fn piece_len(&self) -> usize {
        self.piece_len
    }

    /// Bytes of all source pieces together.
    pub fn sources_len(&self) -> usize {
        self.k * self.piece_len
    }

    pub(crate) fn check_index(&self, index: usize) -> Result<(), ShapeError> {
        if index < self.pieces() { Ok(()) } else { Err(ShapeError::Index { index, pieces: self.pieces() }) }
    }

    pub(crate) fn check_coefficients(&self, coefficients: &[u8]) -> Result<(), ShapeError> {
        if coefficients.len() == self.k {
            Ok(())
        } else {
            Err(ShapeError::Coefficients { got: coefficients.len(), expected: self.k })
        }
    }

    pub(crate) fn check_payload(&self, payload: &[u8]) -> Result<(), ShapeError> {
        if payload.len() == self.piece_len {
            Ok(())
        } else {
            Err(ShapeError::Length { got: payload.len(), expected: self.piece_len })
        }
    }
}

/// A combination of the source pieces of one generation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shard<B> {
    /// One byte per source piece, K in all.
    pub coefficients: Vec<u8>,
    /// The sum of the source pieces, each times its coefficient; `piece_len` bytes.
    pub payload: B,
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn limits_are_inclusive() {
        assert!(Shape::new(1, 0, 1).is_ok());
        assert!(Shape::new(256, 0, 1).is_ok());
        assert!(Shape::new(128, 128, 1).is_ok());
        assert_eq!(Shape::new(0, 4, 1), Err(ShapeError::NoSources));
        assert_eq!(Shape::new(128, 129, 1), Err(ShapeError::TooManyPieces { k: 128, m: 129 }));
        assert_eq!(Shape::new(usize::MAX, 2, 1), Err(ShapeError::TooManyPieces { k: usize::MAX, m: 2 }));
        assert_eq!(Shape::new(4, 4, 0), Err(ShapeError::EmptyPieces));
    }

    #[test]
    fn all_pieces_together_are_addressable() {
        let most = isize::MAX as usize / 8;
        assert_eq!(Shape::new(4, 4, most).map(|shape| shape.sources_len()), Ok(4 * most));
        assert_eq!(Shape::new(4, 4, most + 1), Err(ShapeError::TooLong { pieces: 8, piece_len: most + 1 }));
    }
}
