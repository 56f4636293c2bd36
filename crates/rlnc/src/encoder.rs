//! Makes pieces and shards from the sources of a generation.

use alloc::vec::Vec;

use crate::cauchy;
use crate::{Engine, Product, Shape, ShapeError};

/// Holds the K source pieces of one generation.
///
/// `S` is a source piece: `&[u8]` while the caller keeps the bytes, something owned and cheap to clone otherwise.
#[derive(Clone, Debug)]
pub struct Encoder<S> {
    shape: Shape,
    engine: Engine,
    sources: Vec<S>,
}

impl<S: AsRef<[u8]>> Encoder<S> {
    /// `sources`: K pieces of `piece_len` bytes each; the caller pads the last one.
    pub fn new(shape: Shape, sources: Vec<S>) -> Result<Self, ShapeError> {
        if sources.len() != shape.k() {
            return Err(ShapeError::Sources { got: sources.len(), expected: shape.k() });
        }
        sources.iter().try_for_each(|source| shape.check_payload(source.as_ref()))?;
        Ok(Self { shape, engine: Engine::new(), sources })
    }

    /// Computes with `engine` from now on.
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// The shape of the generation.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The source pieces, K of them.
    pub fn sources(&self) -> &[S] {
        &self.sources
    }

    /// Writes the pieces `indices` (sources 0..K, parity K..K + M), one per buffer of `piece_len` bytes.
    ///
    /// Four or more at once cost less each than one at a time.
    pub fn pieces(&self, indices: &[usize], out: &mut [&mut [u8]]) -> Result<(), ShapeError> {
        if out.len() != indices.len() {
            return Err(ShapeError::Outputs { got: out.len(), expected: indices.len() });
        }
        self.shards(&self.coefficients(indices)?, out)
    }

    /// Writes the shards with these coefficient vectors, one per buffer of `piece_len` bytes.
    ///
    /// `coefficients`: `out.len()` rows of K bytes, one after the other. Where they are random, the caller drew them.
    pub fn shards(&self, coefficients: &[u8], out: &mut [&mut [u8]]) -> Result<(), ShapeError> {
        out.iter().try_for_each(|buffer| self.shape.check_payload(buffer))?;
        let sources: Vec<&[u8]> = self.sources.iter().map(AsRef::as_ref).collect();
        self.engine.gemm(out, &sources, coefficients)
    }

    /// A job that makes the pieces `indices`, in their order: `indices.len()` rows of `piece_len` bytes.
    pub fn into_product(self, indices: &[usize]) -> Result<Product<S>, ShapeError> {
        let (pieces, piece_len) = (indices.len(), self.shape.piece_len());
        if pieces > isize::MAX as usize / piece_len {
            return Err(ShapeError::TooLong { pieces, piece_len });
        }
        let coefficients = self.coefficients(indices)?;
        Ok(Product::new(self.engine, self.sources, coefficients, pieces, piece_len))
    }

    /// A job that makes all parity pieces: M rows of `piece_len` bytes, M * K * `piece_len` coef-bytes of work.
    pub fn into_parity(self) -> Product<S> {
        let parity: Vec<usize> = (self.shape.k()..self.shape.pieces()).collect();
        self.into_product(&parity).expect("these are the indices of this shape")
    }

    fn coefficients(&self, indices: &[usize]) -> Result<Vec<u8>, ShapeError> {
        let mut rows = Vec::with_capacity(indices.len() * self.shape.k());
        for &index in indices {
            rows.extend(cauchy::coefficients(&self.shape, index)?);
        }
        Ok(rows)
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::gf256;
    use crate::testing::{rows, slices, slices_mut};

    fn encoder() -> Encoder<Vec<u8>> {
        Encoder::new(Shape::new(3, 2, 100).unwrap(), rows(1, 3, 100)).unwrap()
    }

    #[test]
    fn pieces_are_sources_and_combinations() {
        let sources = rows(1, 3, 100);
        let mut out = rows(2, 2, 100);
        encoder().pieces(&[1, 4], &mut slices_mut(&mut out)).unwrap();
        let [a, b, c] = [4, 5, 6].map(|sum| gf256::inv(sum).unwrap());
        let parity = |n: usize| {
            gf256::mul(a, sources[0][n]) ^ gf256::mul(b, sources[1][n]) ^ gf256::mul(c, sources[2][n])
        };
        assert_eq!(out[0], sources[1]);
        assert_eq!(out[1], (0..100).map(parity).collect::<Vec<u8>>());
    }

    #[test]
    fn a_job_makes_the_same_pieces() {
        let mut parity = rows(2, 2, 100);
        encoder().pieces(&[3, 4], &mut slices_mut(&mut parity)).unwrap();
        assert_eq!(encoder().into_parity().finish(), parity.concat());
        let mut job = encoder().into_product(&[4, 0]).unwrap();
        while job.step(1) {}
        assert_eq!(job.finish(), [&parity[1][..], &encoder().sources()[0]].concat());
    }

    #[test]
    fn sources_may_be_borrowed() {
        let sources = rows(1, 3, 100);
        let encoder = Encoder::new(Shape::new(3, 0, 100).unwrap(), slices(&sources)).unwrap();
        let mut out = vec![0; 100];
        encoder.shards(&[0, 0, 1], &mut [&mut out]).unwrap();
        assert_eq!(out, sources[2]);
    }

    #[test]
    fn lengths_must_fit() {
        let shape = Shape::new(3, 2, 100).unwrap();
        let count = Encoder::new(shape, rows(1, 4, 100)).map(drop);
        assert_eq!(count, Err(ShapeError::Sources { got: 4, expected: 3 }));
        let length = Encoder::new(shape, rows(1, 3, 99)).map(drop);
        assert_eq!(length, Err(ShapeError::Length { got: 99, expected: 100 }));
        let buffer = encoder().pieces(&[0], &mut [&mut [0; 99]]);
        assert_eq!(buffer, Err(ShapeError::Length { got: 99, expected: 100 }));
        let buffers = encoder().pieces(&[0, 1], &mut [&mut [0; 100]]);
        assert_eq!(buffers, Err(ShapeError::Outputs { got: 1, expected: 2 }));
        let vector = encoder().shards(&[1, 2], &mut [&mut [0; 100]]);
        assert_eq!(vector, Err(ShapeError::Coefficients { got: 2, expected: 3 }));
        assert_eq!(encoder().into_product(&[5]).map(drop), Err(ShapeError::Index { index: 5, pieces: 5 }));
    }
}
