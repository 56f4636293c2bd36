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

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::gf256;
    use crate::testing::rows;

    fn held() -> Vec<Shard<Vec<u8>>> {
        let payloads = rows(1, 2, 50);
        let coefficients = [vec![1, 0, 3], vec![0, 5, 2]];
        coefficients
            .into_iter()
            .zip(payloads)
            .map(|(coefficients, payload)| Shard { coefficients, payload })
            .collect()
    }

    #[test]
    fn mixes_vector_and_payload_alike() {
        let recoder = Recoder::new(Shape::new(3, 0, 50).unwrap(), held()).unwrap();
        let shards = recoder.recode(&[0, 1, 7, 9], 2).unwrap();
        assert_eq!(shards[0], held()[1]);
        let mix = |a: &u8, b: &u8| gf256::mul(7, *a) ^ gf256::mul(9, *b);
        let mix = |a: &[u8], b: &[u8]| a.iter().zip(b).map(|(a, b)| mix(a, b)).collect::<Vec<u8>>();
        assert_eq!(shards[1].coefficients, mix(&held()[0].coefficients, &held()[1].coefficients));
        assert_eq!(shards[1].payload, mix(&held()[0].payload, &held()[1].payload));
    }

    #[test]
    fn nothing_held_makes_zeros() {
        let recoder = Recoder::<Vec<u8>>::new(Shape::new(3, 0, 50).unwrap(), Vec::new()).unwrap();
        assert_eq!(
            recoder.recode(&[], 1),
            Ok(vec![Shard { coefficients: vec![0; 3], payload: vec![0; 50] }])
        );
    }

    #[test]
    fn lengths_must_fit() {
        let mixing = Recoder::new(Shape::new(3, 0, 50).unwrap(), held()).unwrap().recode(&[1, 2, 3], 2);
        assert_eq!(mixing, Err(ShapeError::Coefficients { got: 3, expected: 4 }));
        let vector = Recoder::new(Shape::new(4, 0, 50).unwrap(), held()).map(drop);
        assert_eq!(vector, Err(ShapeError::Coefficients { got: 3, expected: 4 }));
        let payload = Recoder::new(Shape::new(3, 0, 51).unwrap(), held()).map(drop);
        assert_eq!(payload, Err(ShapeError::Length { got: 50, expected: 51 }));
    }
}
