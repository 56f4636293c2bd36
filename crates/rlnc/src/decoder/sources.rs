//! What a decoder gives: source pieces.

use alloc::vec;
use alloc::vec::Vec;

use super::Decoder;
use crate::{DecodeError, Incomplete, Product, ShapeError};

impl<B: AsRef<[u8]>> Decoder<B> {
    /// Source piece `piece`, if it is determined: `rank()` * `piece_len` coef-bytes of work, or a copy.
    pub fn piece(&self, piece: usize) -> Option<Vec<u8>> {
        if let Some(payload) = self.received(piece) {
            return Some(payload.as_ref().to_vec());
        }
        let transform = self.elimination.transform(piece)?;
        let mut bytes = vec![0; self.shape.piece_len()];
        let (payloads, factors): (Vec<&[u8]>, Vec<u8>) = self
            .by_column()
            .zip(transform)
            .filter_map(|(payload, &factor)| Some((payload?.as_ref(), factor)))
            .filter(|&(_, factor)| factor != 0)
            .unzip();
        self.engine
            .gemm(&mut [&mut bytes], &payloads, &factors)
            .expect("one factor per payload, and all have the length of a piece");
        Some(bytes)
    }

    /// All source pieces, one after the other: K * `piece_len` bytes. Those received as they are get copied, only the
    /// others cost a product.
    pub fn decode_all(&self) -> Result<Vec<u8>, Incomplete> {
        self.check_complete()?;
        let mut out = vec![0; self.shape.sources_len()];
        self.write(&mut out);
        Ok(out)
    }

    /// [`decode_all`](Self::decode_all) into a buffer of K * `piece_len` bytes that the caller has.
    pub fn decode_into(&self, out: &mut [u8]) -> Result<(), DecodeError> {
        self.check_complete()?;
        if out.len() != self.shape.sources_len() {
            return Err(ShapeError::Length { got: out.len(), expected: self.shape.sources_len() }.into());
        }
        self.write(out);
        Ok(())
    }

    /// At full rank.
    fn write(&self, out: &mut [u8]) {
        let (mut products, mut factors) = (Vec::new(), Vec::new());
        for (piece, out) in out.chunks_exact_mut(self.shape.piece_len()).enumerate() {
            match self.received(piece) {
                Some(payload) => out.copy_from_slice(payload.as_ref()),
                None => {
                    products.push(out);
                    factors.extend_from_slice(self.factors(piece));
                }
            }
        }
        let payloads: Vec<&[u8]> = self.by_column().flatten().map(AsRef::as_ref).collect();
        self.engine
            .gemm(&mut products, &payloads, &factors)
            .expect("one row of factors per missing piece, and all have the length of a piece");
    }

    /// At full rank: how a piece that did not come as it is is made, a factor per column.
    fn factors(&self, piece: usize) -> &[u8] {
        self.elimination.transform(piece).expect("at full rank every piece is determined")
    }

    fn check_complete(&self) -> Result<(), Incomplete> {
        if self.is_complete() { Ok(()) } else { Err(Incomplete { rank: self.rank(), k: self.shape.k() }) }
    }

    /// For each column, the payload that the factors of a transform in that column belong to.
    fn by_column(&self) -> impl Iterator<Item = Option<&B>> {
        (0..self.shape.k())
            .map(|column| self.elimination.slot(column).map(|slot| &self.held[slot].shard.payload))
    }
}

impl<B: AsRef<[u8]> + Clone> Decoder<B> {
    /// The source pieces that did not come as they are, in rising order, and the job that makes them: a row each.
    ///
    /// The job holds clones of the payloads, so the decoder may be dropped.
    pub fn missing(&self) -> Result<(Vec<usize>, Product<B>), Incomplete> {
        self.check_complete()?;
        let missing: Vec<usize> =
            (0..self.shape.k()).filter(|&piece| self.received(piece).is_none()).collect();
        let coefficients = missing.iter().flat_map(|&piece| self.factors(piece)).copied().collect();
        let payloads = self.by_column().flatten().cloned().collect();
        let job = Product::new(self.engine, payloads, coefficients, missing.len(), self.shape.piece_len());
        Ok((missing, job))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::decoder::tests::{K, LEN, pieces, shape, sources};

    /// Of the sources 0 and 3 came as they are, and two parity pieces.
    #[test]
    fn only_missing_pieces_cost_a_product() {
        let mut decoder = Decoder::new(shape());
        for index in [5, 3, 6, 0] {
            decoder.push_piece(index, pieces()[index].clone(), None).unwrap();
        }
        let (missing, job) = decoder.missing().unwrap();
        assert_eq!((&missing[..], job.remaining()), (&[1, 2][..], (2 * K * LEN) as u64));
        assert_eq!(job.finish(), sources()[1..3].concat());
        let mut out = vec![0; K * LEN];
        let length = ShapeError::Length { got: LEN, expected: K * LEN };
        assert_eq!(decoder.decode_into(&mut out[..LEN]), Err(DecodeError::Shape(length)));
        assert_eq!((decoder.decode_into(&mut out), out), (Ok(()), sources().concat()));
        assert_eq!(decoder.decode_all(), Ok(sources().concat()));
    }
}
