//! Makes new shards from shards, without decoding.

use alloc::vec;
use alloc::vec::Vec;

use crate::{Engine, Shape, ShapeError, Shard};

/// Holds shards of one generation and mixes them.
///
/// What it makes spans no more than what it holds, and a wrong payload among them is in everything it makes.
#[derive(Clone, Debug)]
pub struct Recoder<B> {
    shape: Shape,
    engine: Engine,
    shards: Vec<Shard<B>>,
}

impl<B: AsRef<[u8]>> Recoder<B> {
    /// `shards`: any number of them, each of K coefficients and `piece_len` bytes.
    pub fn new(shape: Shape, shards: Vec<Shard<B>>) -> Result<Self, ShapeError> {
        for shard in &shards {
            shape.check_coefficients(&shard.coefficients)?;
            shape.check_payload(shard.payload.as_ref())?;
        }
        Ok(Self { shape, engine: Engine::new(), shards })
    }

    /// Computes with `engine` from now on.
    pub fn with_engine(self, engine: Engine) -> Self {
        Self { engine, ..self }
    }

    /// The shards it mixes.
    pub fn held(&self) -> &[Shard<B>] {
        &self.shards
    }

    /// Makes `count` shards, for as many neighbours; four or more at once cost less each than one at a time.
    ///
    /// `mixing`: `count` rows of `held().len()` bytes, one after the other: how much of each held shard goes in.
    pub fn recode(&self, mixing: &[u8], count: usize) -> Result<Vec<Shard<Vec<u8>>>, ShapeError> {
        let coefficients: Vec<&[u8]> = self.shards.iter().map(|shard| &shard.coefficients[..]).collect();
        let payloads: Vec<&[u8]> = self.shards.iter().map(|shard| shard.payload.as_ref()).collect();
        let coefficients = self.mix(&coefficients, mixing, count, self.shape.k())?;
        let payloads = self.mix(&payloads, mixing, count, self.shape.piece_len())?;
        let shards = coefficients.into_iter().zip(payloads);
        Ok(shards.map(|(coefficients, payload)| Shard { coefficients, payload }).collect())
    }

    fn mix(
        &self,
        rows: &[&[u8]],
        mixing: &[u8],
        count: usize,
        len: usize,
    ) -> Result<Vec<Vec<u8>>, ShapeError> {
        let mut mixed = vec![vec![0; len]; count];
        let mut dst: Vec<&mut [u8]> = mixed.iter_mut().map(Vec::as_mut_slice).collect();
        self.engine.gemm(&mut dst, rows, mixing)?;
        Ok(mixed)
    }
}
