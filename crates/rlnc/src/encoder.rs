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
        let coefficients = self.coefficients(indices)?;
        Ok(Product::new(self.engine, self.sources, coefficients, indices.len(), self.shape.piece_len()))
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
