//! Gauss-Jordan elimination on coefficient vectors only, with the transform that led there.

use alloc::vec;
use alloc::vec::Vec;

use crate::Engine;
use crate::gf256;

/// The reduced row echelon form of the vectors inserted, and how each of its rows is made from them.
///
/// The s-th inserted vector has a *pivot*: a column where row s is 1 and all other rows are 0. These ones and zeros go
/// without saying, so their places hold the transform (Gauss-Jordan inversion in place). Of row r,
///
/// ```text
///   cell c = the c-th coefficient of the row,               if c is nobody's pivot
///          = how much of the s-th inserted vector is in it,  if c is the pivot of vector s
/// ```
///
/// The s-th inserted payload enters the same sum; that is why payloads can wait, untouched, for the end.
#[derive(Clone, Debug)]
pub(crate) struct Elimination {
    engine: Engine,
    /// K, the length of a vector.
    k: usize,
    /// The pivot of each inserted vector.
    pivots: Vec<usize>,
    /// For each column, the vector whose pivot it is; there are at most 256.
    slots: Vec<Option<u8>>,
    /// One row per inserted vector, `stride(k)` bytes each; those after the first K are 0.
    cells: Vec<u8>,
}

impl Elimination {
    pub(crate) fn new(engine: Engine, k: usize) -> Self {
        Self { engine, k, pivots: Vec::new(), slots: vec![None; k], cells: Vec::new() }
    }

    pub(crate) fn rank(&self) -> usize {
        self.pivots.len()
    }

    /// Whether `vector`, of K bytes, is outside the span of those inserted.
    pub(crate) fn is_innovative(&self, vector: &[u8]) -> bool {
        self.new_pivot(&self.reduced(vector)).is_some()
    }

    /// Takes `vector`, of K bytes, in as the `rank()`-th one if it is innovative; else changes nothing.
    pub(crate) fn insert(&mut self, vector: &[u8]) -> bool {
        let mut unscaled = self.reduced(vector);
        let Some(pivot) = self.new_pivot(&unscaled) else { return false };
        let scale = gf256::inv(unscaled[pivot]).expect("the pivot is not 0");
        unscaled[pivot] = 1;
        let mut row = vec![0; unscaled.len()];
        self.engine.gemm(&mut [&mut row], &[&unscaled], &[scale]).expect("one factor, rows of equal length");
        self.clear_column(pivot, &row);
        self.slots[pivot] = Some(self.rank() as u8);
        self.pivots.push(pivot);
        self.cells.extend_from_slice(&row);
        true
    }

    /// Which inserted vector has its pivot in this column.
    pub(crate) fn slot(&self, column: usize) -> Option<usize> {
        self.slots[column].map(usize::from)
    }

    /// How source piece `piece` is made, if the vectors inserted determine it: K factors, by column. Factor c belongs
    /// to the vector `slot(c)`, and is 0 where there is none.
    pub(crate) fn transform(&self, piece: usize) -> Option<&[u8]> {
        let row = &self.row(self.slot(piece)?)[..self.k];
        let is_reduced = || row.iter().zip(&self.slots).all(|(&cell, slot)| cell == 0 || slot.is_some());
        (self.rank() == self.k || is_reduced()).then_some(row)
    }

    /// Room for a reference and a factor per row.
    fn lists<R>(&self) -> (Vec<R>, Vec<u8>) {
        (Vec::with_capacity(self.rank()), Vec::with_capacity(self.rank()))
    }

    fn row(&self, slot: usize) -> &[u8] {
        &self.cells[slot * stride(self.k)..][..stride(self.k)]
    }

    /// A column where `row` is not 0 and no row has its pivot.
    fn new_pivot(&self, row: &[u8]) -> Option<usize> {
        row.iter().zip(&self.slots).position(|(&cell, slot)| cell != 0 && slot.is_none())
    }

    /// `vector` plus what makes it zero in every pivot column, as a row.
    fn reduced(&self, vector: &[u8]) -> Vec<u8> {
        let mut row = vec![0; stride(self.k)];
        row[..self.k].copy_from_slice(vector);
        let (mut rows, mut factors) = self.lists();
        for (slot, &pivot) in self.pivots.iter().enumerate() {
            let factor = core::mem::take(&mut row[pivot]);
            if factor != 0 {
                rows.push(self.row(slot));
                factors.push(factor);
            }
        }
        self.engine
            .gemm_add(&mut [&mut row], &rows, &factors)
            .expect("one factor per row, rows of equal length");
        row
    }

    /// Makes every row zero in column `pivot`, where `new` is 1 and its cell says how much of itself is in it.
    fn clear_column(&mut self, pivot: usize, new: &[u8]) {
        let (mut rows, mut factors) = self.lists();
        for row in self.cells.chunks_exact_mut(stride(self.k)) {
            let factor = core::mem::take(&mut row[pivot]);
            if factor != 0 {
                rows.push(row);
                factors.push(factor);
            }
        }
        self.engine.gemm_add(&mut rows, &[new], &factors).expect("one factor per row, rows of equal length");
    }
}

/// Bytes from one row to the next: whole vectors of any kernel, so that none has to make ends meet.
fn stride(k: usize) -> usize {
    k.next_multiple_of(64)
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::rows;

    /// Every row is what its transform says: 1 in its own pivot column, 0 in the others, its cells elsewhere.
    fn check(elimination: &Elimination, inserted: &[Vec<u8>]) {
        for (slot, &own) in elimination.pivots.iter().enumerate() {
            let row = elimination.row(slot);
            let transform = elimination.pivots.iter().map(|&pivot| row[pivot]);
            for column in 0..elimination.k {
                let terms = transform
                    .clone()
                    .zip(inserted)
                    .map(|(factor, vector)| gf256::mul(factor, vector[column]));
                let expected = match elimination.slot(column) {
                    Some(_) => u8::from(column == own),
                    None => row[column],
                };
                assert_eq!(terms.fold(0, |sum, term| sum ^ term), expected);
            }
            assert!(row[elimination.k..].iter().all(|&cell| cell == 0));
        }
    }

    #[test]
    fn rows_are_reduced_and_are_what_their_transform_says() {
        let vectors = rows(1, 12, 12);
        let mut elimination = Elimination::new(Engine::new(), 12);
        for count in 1..=12 {
            assert!(elimination.is_innovative(&vectors[count - 1]));
            assert!(elimination.insert(&vectors[count - 1]));
            assert_eq!(elimination.rank(), count);
            check(&elimination, &vectors[..count]);
        }
        assert!((0..12).all(|piece| elimination.transform(piece).is_some()));
    }

    #[test]
    fn dependent_vectors_change_nothing() {
        let mut elimination = Elimination::new(Engine::new(), 3);
        assert!(elimination.insert(&[1, 2, 3]));
        assert!(elimination.insert(&[0, 1, 1]));
        for dependent in [[0, 0, 0], [1, 3, 2], [2, 4, 6]] {
            assert!(!elimination.is_innovative(&dependent));
            assert!(!elimination.insert(&dependent));
        }
        assert_eq!(elimination.rank(), 2);
        check(&elimination, &[vec![1, 2, 3], vec![0, 1, 1]]);
    }
}
