//! Gauss-Jordan elimination on coefficient vectors only, with the transform that led there.

use alloc::vec;
use alloc::vec::Vec;

use crate::Engine;
use crate::gf256;

/// The reduced row echelon form of the vectors inserted, and how each of its rows is made from them.
///
/// Row r is `[vector | transform]`, K bytes each: `vector` = sum over s of `transform[s]` * (s-th inserted vector).
/// The s-th inserted payload enters the same sum; that is why payloads can wait, untouched, for the end.
#[derive(Clone, Debug)]
pub(crate) struct Elimination {
    engine: Engine,
    /// K, the length of a vector.
    k: usize,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
struct Row {
    /// The column where this row is 1 and all others are 0.
    pivot: usize,
    /// `[vector | transform]`, 2 * K bytes.
    cells: Vec<u8>,
}

impl Elimination {
    pub(crate) fn new(engine: Engine, k: usize) -> Self {
        Self { engine, k, rows: Vec::new() }
    }

    pub(crate) fn rank(&self) -> usize {
        self.rows.len()
    }

    /// Whether `vector`, of K bytes, is outside the span of those inserted.
    pub(crate) fn is_innovative(&self, vector: &[u8]) -> bool {
        let mut cells = vector.to_vec();
        self.reduce(&mut cells);
        cells.iter().any(|&cell| cell != 0)
    }

    /// Takes `vector`, of K bytes, in as the `rank()`-th one if it is innovative; else changes nothing.
    pub(crate) fn insert(&mut self, vector: &[u8]) -> bool {
        let mut cells = vec![0; 2 * self.k];
        cells[..self.k].copy_from_slice(vector);
        self.reduce(&mut cells);
        let Some(pivot) = cells[..self.k].iter().position(|&cell| cell != 0) else { return false };
        cells[self.k + self.rank()] = 1;
        let scale = gf256::inv(cells[pivot]).expect("the pivot is not 0");
        cells.iter_mut().for_each(|cell| *cell = gf256::mul(*cell, scale));
        self.clear_column(pivot, &cells);
        self.rows.push(Row { pivot, cells });
        true
    }

    /// The transform that gives source piece `piece`, if the vectors inserted determine it: K bytes, of which
    /// the first `rank()` can be other than 0.
    pub(crate) fn transform(&self, piece: usize) -> Option<&[u8]> {
        let row = self.rows.iter().find(|row| row.pivot == piece)?;
        let (vector, transform) = row.cells.split_at(self.k);
        let is_unit = vector.iter().filter(|&&cell| cell != 0).count() == 1;
        is_unit.then_some(transform)
    }

    /// Makes `cells`, K or 2 * K bytes, zero in every pivot column.
    fn reduce(&self, cells: &mut [u8]) {
        let factors: Vec<u8> = self.rows.iter().map(|row| cells[row.pivot]).collect();
        let rows: Vec<&[u8]> = self.rows.iter().map(|row| &row.cells[..cells.len()]).collect();
        self.engine
            .gemm_add(&mut [cells], &rows, &factors)
            .expect("one factor per row, rows of equal length");
    }

    /// Makes every row zero in column `pivot`, where `cells` is 1.
    fn clear_column(&mut self, pivot: usize, cells: &[u8]) {
        let hit = self.rows.iter_mut().filter(|row| row.cells[pivot] != 0);
        let mut rows: Vec<&mut [u8]> = hit.map(|row| &mut row.cells[..]).collect();
        let factors: Vec<u8> = rows.iter().map(|row| row[pivot]).collect();
        self.engine
            .gemm_add(&mut rows, &[cells], &factors)
            .expect("one factor per row, rows of equal length");
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;
    use crate::testing::rows;

    /// Every row is 1 in its own pivot column, 0 in the others, and what its transform says.
    fn check(elimination: &Elimination, inserted: &[Vec<u8>]) {
        for row in &elimination.rows {
            for other in &elimination.rows {
                assert_eq!(row.cells[other.pivot], u8::from(row.pivot == other.pivot));
            }
            let (vector, transform) = row.cells.split_at(elimination.k);
            for (column, &cell) in vector.iter().enumerate() {
                let terms = inserted.iter().zip(transform).map(|(vector, &t)| gf256::mul(t, vector[column]));
                assert_eq!(cell, terms.fold(0, |sum, term| sum ^ term));
            }
            assert!(transform[inserted.len()..].iter().all(|&cell| cell == 0));
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
