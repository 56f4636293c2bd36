//! The end of decoding, in slices.

use alloc::vec;
use alloc::vec::Vec;

use crate::{Engine, Product, Shape};

/// Makes the source pieces of a complete [`Decoder`](crate::Decoder).
#[derive(Debug)]
pub struct Recovery<B> {
    /// Source pieces received as they are, still to be copied.
    received: Vec<(usize, B)>,
    /// Makes the missing ones, in place.
    product: Product<B>,
    missing: Vec<usize>,
    piece_len: u64,
}

impl<B: AsRef<[u8]>> Recovery<B> {
    /// `coefficients`: one row of `payloads.len()` bytes per missing piece.
    pub(crate) fn new(
        engine: Engine,
        shape: &Shape,
        payloads: Vec<B>,
        received: Vec<(usize, B)>,
        missing: Vec<usize>,
        coefficients: Vec<u8>,
    ) -> Self {
        let out = vec![0; shape.sources_len()];
        let piece_len = shape.piece_len();
        let product = Product::into_targets(engine, payloads, coefficients, missing.clone(), out, piece_len);
        Self { received, product, missing, piece_len: piece_len as u64 }
    }

    /// Source pieces that did not come as they are, in rising order: those a caller has not checked yet.
    pub fn missing(&self) -> &[usize] {
        &self.missing
    }

    /// Works for about `budget` coef-bytes (a byte copied counts as one) and returns whether something is left.
    ///
    /// Each call copies at least one piece, or makes at least one stripe as in [`Product::step`].
    pub fn step(&mut self, budget: u64) -> bool {
        let mut left = budget;
        while let Some((piece, bytes)) = self.received.pop() {
            self.product.copy_row(piece, bytes.as_ref());
            left = left.saturating_sub(self.piece_len);
            if left == 0 {
                return !self.is_done();
            }
        }
        self.product.step(left)
    }

    /// Coef-bytes still to do.
    pub fn remaining(&self) -> u64 {
        self.received.len() as u64 * self.piece_len + self.product.remaining()
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.received.is_empty() && self.product.is_done()
    }

    /// Does what is left, and returns the source pieces one after the other: K * `piece_len` bytes.
    pub fn finish(mut self) -> Vec<u8> {
        while self.step(u64::MAX) {}
        self.product.finish()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::{rows, slices_mut};
    use crate::{Decoder, Encoder};

    /// Of K = 4 source pieces of 1,000 bytes, 0 and 3 came as they are, and two parity pieces.
    fn recovery() -> Recovery<Vec<u8>> {
        let shape = Shape::new(4, 4, 1000).unwrap();
        let mut pieces = rows(2, 4, 1000);
        let encoder = Encoder::new(shape, rows(1, 4, 1000)).unwrap();
        encoder.pieces(&[5, 3, 6, 0], &mut slices_mut(&mut pieces)).unwrap();
        let mut decoder = Decoder::new(shape);
        for (index, piece) in [5, 3, 6, 0].into_iter().zip(pieces) {
            decoder.push_piece(index, piece, None).unwrap();
        }
        decoder.finish().unwrap()
    }

    #[test]
    fn only_missing_pieces_cost_a_product() {
        let recovery = recovery();
        assert_eq!(recovery.missing(), [1, 2]);
        assert_eq!(recovery.remaining(), 2 * 1000 + 2 * 4 * 1000);
        assert_eq!(recovery.finish(), rows(1, 4, 1000).concat());
    }

    #[test]
    fn a_step_keeps_to_its_budget() {
        let mut recovery = recovery();
        assert!(recovery.step(1000));
        assert_eq!(recovery.remaining(), 9000);
        assert!(recovery.step(1000 + 8 * 300));
        assert_eq!(recovery.remaining(), 8 * (1000 - 256));
        assert!(recovery.step(0));
        assert_eq!(recovery.remaining(), 8 * (1000 - 512));
        assert!(!recovery.step(u64::MAX));
        assert!(recovery.is_done());
        assert_eq!(recovery.finish(), rows(1, 4, 1000).concat());
    }
}
