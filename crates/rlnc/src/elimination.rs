//! Gauss-Jordan elimination on coefficient vectors only, with the transform that led there.

use alloc::vec;
use alloc::vec::Vec;

use crate::Engine;
use crate::gf256;

/// The reduced row echelon form of the vectors inserted, and how each of its rows is made from them.
///
/// Every inserted vector has a *pivot*: a column where its row is 1 and all other rows are 0. These ones and zeros go
/// without saying, so their places hold the transform (Gauss-Jordan inversion in place). Of one row,
///
/// ```text
///   cell c = the c-th coefficient of the row,               if c is nobody's pivot
///          = how much of the inserted vector v is in it,     if c is the pivot of v
/// ```
///
/// The payload of v enters the same sum; that is why payloads can wait, untouched, for the end. A source piece that
/// came as it is needs no row: it is its own, nothing is ever added to it, and its cell in other rows is its factor.
#[derive(Clone, Debug)]
pub(crate) struct Elimination {
    engine: Engine,
    /// For each column, the vector whose pivot it is.
    columns: Vec<Option<Entry>>,
    rank: usize,
    /// The pivot of each row.
    pivots: Vec<usize>,
    /// `stride(K)` bytes per row; those after the first K are 0.
    cells: Vec<u8>,
}

/// An inserted vector.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// How many were inserted before it.
    slot: usize,
    /// Its row; a vector that was 1 at its pivot and 0 elsewhere has none.
    row: Option<usize>,
}

impl Elimination {
    pub(crate) fn new(engine: Engine, k: usize) -> Self {
        Self { engine, columns: vec![None; k], rank: 0, pivots: Vec::new(), cells: Vec::new() }
    }

    pub(crate) fn rank(&self) -> usize {
        self.rank
    }

    /// Whether `vector`, of K bytes, is outside the span of those inserted.
    pub(crate) fn is_innovative(&self, vector: &[u8]) -> bool {
        self.is_new_unit(vector).is_some() || self.new_pivot(&self.reduced(vector)).is_some()
    }

    /// Takes `vector`, of K bytes, in as the `rank()`-th one if it is innovative; else changes nothing.
    pub(crate) fn insert(&mut self, vector: &[u8]) -> bool {
        match self.is_new_unit(vector) {
            Some(piece) => self.insert_piece(piece),
            None => self.insert_mixture(vector),
        }
    }

    /// [`insert`](Self::insert) of the vector that is 1 at `piece` and 0 elsewhere.
    pub(crate) fn insert_piece(&mut self, piece: usize) -> bool {
        if self.columns[piece].is_none() {
            self.register(piece, None);
            return true;
        }
        let mut vector = vec![0; self.k()];
        vector[piece] = 1;
        self.insert_mixture(&vector)
    }

    fn insert_mixture(&mut self, vector: &[u8]) -> bool {
        let mut unscaled = self.reduced(vector);
        let Some(pivot) = self.new_pivot(&unscaled) else { return false };
        let scale = gf256::inv(unscaled[pivot]).expect("the pivot is not 0");
        unscaled[pivot] = 1;
        self.append_row(&unscaled, scale);
        self.clear_column(pivot);
        self.register(pivot, Some(self.pivots.len()));
        self.pivots.push(pivot);
        true
    }

    /// Which inserted vector has its pivot in this column.
    pub(crate) fn slot(&self, column: usize) -> Option<usize> {
        self.columns[column].map(|entry| entry.slot)
    }

    /// The inserted vector that is source piece `piece` and nothing else, if there is one.
    pub(crate) fn unit(&self, piece: usize) -> Option<usize> {
        match self.columns[piece]?.row {
            None => self.slot(piece),
            Some(_) => self.slot(unit_column(self.transform(piece)?)?),
        }
    }

    /// Whether the vectors inserted determine source piece `piece`.
    pub(crate) fn is_determined(&self, piece: usize) -> bool {
        self.columns[piece].is_some_and(|entry| entry.row.is_none_or(|row| self.is_unit(row)))
    }

    /// How source piece `piece` is made if it is determined and did not come as it is: K factors, by column. Factor c
    /// belongs to the vector `slot(c)`, and is 0 where there is none.
    pub(crate) fn transform(&self, piece: usize) -> Option<&[u8]> {
        let row = self.columns[piece]?.row?;
        self.is_unit(row).then(|| &self.row(row)[..self.k()])
    }

    fn k(&self) -> usize {
        self.columns.len()
    }

    fn row(&self, row: usize) -> &[u8] {
        &self.cells[row * stride(self.k())..][..stride(self.k())]
    }

    /// Whether a row is 0 in all columns but its pivot.
    fn is_unit(&self, row: usize) -> bool {
        self.rank == self.k()
            || self.row(row).iter().zip(&self.columns).all(|(&cell, entry)| cell == 0 || entry.is_some())
    }

    /// The column of a vector that is 1 there and 0 elsewhere, if nobody has it for a pivot.
    fn is_new_unit(&self, vector: &[u8]) -> Option<usize> {
        unit_column(vector).filter(|&column| self.columns[column].is_none())
    }

    /// A column where `row` is not 0 and that nobody has for a pivot.
    fn new_pivot(&self, row: &[u8]) -> Option<usize> {
        row.iter().zip(&self.columns).position(|(&cell, entry)| cell != 0 && entry.is_none())
    }

    fn register(&mut self, pivot: usize, row: Option<usize>) {
        self.columns[pivot] = Some(Entry { slot: self.rank, row });
        self.rank += 1;
    }

    /// `vector` plus what makes it zero in every pivot column, as a row.
    fn reduced(&self, vector: &[u8]) -> Vec<u8> {
        let mut row = vec![0; stride(self.k())];
        row[..self.k()].copy_from_slice(vector);
        let (mut rows, mut factors) = self.lists();
        for (index, &pivot) in self.pivots.iter().enumerate() {
            let factor = core::mem::take(&mut row[pivot]);
            if factor != 0 {
                rows.push(self.row(index));
                factors.push(factor);
            }
        }
        self.engine
            .gemm_add(&mut [&mut row], &rows, &factors)
            .expect("one factor per row, rows of equal length");
        row
    }

    fn append_row(&mut self, unscaled: &[u8], scale: u8) {
        let end = self.cells.len();
        self.cells.resize(end + unscaled.len(), 0);
        self.engine
            .gemm(&mut [&mut self.cells[end..]], &[unscaled], &[scale])
            .expect("one factor, rows of equal length");
    }

    /// Makes every row but the last zero in column `pivot`, where the last is 1 and its cell says how much of its own
    /// vector is in it.
    fn clear_column(&mut self, pivot: usize) {
        let (mut rows, mut factors) = self.lists();
        let (before, last) = self.cells.split_at_mut(self.pivots.len() * stride(self.columns.len()));
        for row in before.chunks_exact_mut(last.len()) {
            let factor = core::mem::take(&mut row[pivot]);
            if factor != 0 {
                rows.push(row);
                factors.push(factor);
            }
        }
        self.engine.gemm_add(&mut rows, &[last], &factors).expect("one factor per row, rows of equal length");
    }

    /// Room for a reference and a factor per row.
    fn lists<R>(&self) -> (Vec<R>, Vec<u8>) {
        (Vec::with_capacity(self.pivots.len()), Vec::with_capacity(self.pivots.len()))
    }
}

/// The one place where `vector` is 1, if it is 0 everywhere else.
fn unit_column(vector: &[u8]) -> Option<usize> {
    // Counted without an early end: this way it compiles to vector code.
    let count = vector.iter().fold(0u16, |count, &cell| count + u16::from(cell != 0));
    if count == 1 { vector.iter().position(|&cell| cell == 1) } else { None }
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
        for (row, &own) in elimination.pivots.iter().enumerate() {
            let cells = elimination.row(row);
            for column in 0..elimination.k() {
                let terms = (0..elimination.k()).filter_map(|pivot| {
                    let vector = &inserted[elimination.slot(pivot)?];
                    Some(gf256::mul(cells[pivot], vector[column]))
                });
                let expected = match elimination.slot(column) {
                    Some(_) => u8::from(column == own),
                    None => cells[column],
                };
                assert_eq!(terms.fold(0, |sum, term| sum ^ term), expected);
            }
            assert!(cells[elimination.k()..].iter().all(|&cell| cell == 0));
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
    fn pieces_among_mixtures_keep_their_place() {
        let mut vectors = rows(2, 8, 8);
        for (index, column) in [(0, 3), (2, 7), (5, 0)] {
            vectors[index] = vec![0; 8];
            vectors[index][column] = 1;
        }
        let mut elimination = Elimination::new(Engine::new(), 8);
        for count in 1..=8 {
            assert!(elimination.insert(&vectors[count - 1]));
            check(&elimination, &vectors[..count]);
        }
        assert_eq!([3, 7, 0].map(|piece| elimination.unit(piece)), [Some(0), Some(2), Some(5)]);
        assert!((0..8).all(|piece| elimination.is_determined(piece)));
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
