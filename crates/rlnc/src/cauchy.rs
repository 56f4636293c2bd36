//! Which combination of the sources each piece is.
//!
//! Source piece i is itself: its vector is 1 at i and 0 elsewhere. Parity piece j takes source piece i times
//! 1 / (x_j + y_i) with x_j = K + j and y_i = i. All x and y are different elements of GF(2^8) because
//! K + M <= 256, so every square submatrix of these coefficients is invertible (a Cauchy matrix), and with it
//! every choice of K of the K + M pieces decodes.

use alloc::vec;
use alloc::vec::Vec;

use crate::gf256;
use crate::{Shape, ShapeError};

/// The coefficient vector of piece `index`: one byte per source piece, K in all.
pub fn coefficients(shape: &Shape, index: usize) -> Result<Vec<u8>, ShapeError> {
    shape.check_index(index)?;
    let mut row = vec![0; shape.k()];
    if index < shape.k() {
        row[index] = 1;
    } else {
        for (source, coefficient) in row.iter_mut().enumerate() {
            *coefficient = parity_coefficient(index, source);
        }
    }
    Ok(row)
}

/// 1 / (x + y), where x = `index` = K + j of the parity piece and y = `source`.
fn parity_coefficient(index: usize, source: usize) -> u8 {
    gf256::inv((index ^ source) as u8)
        .expect("a parity index is never a source index, and both are below 256")
}

#[cfg(test)]
mod tests {
    use alloc::vec;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn sources_are_themselves() {
        let shape = Shape::new(3, 2, 1).unwrap();
        assert_eq!(coefficients(&shape, 0), Ok(vec![1, 0, 0]));
        assert_eq!(coefficients(&shape, 2), Ok(vec![0, 0, 1]));
    }

    #[test]
    fn parity_is_the_inverse_of_the_sum_of_indices() {
        let shape = Shape::new(3, 2, 1).unwrap();
        let inverses = |sums: [u8; 3]| sums.iter().map(|&sum| gf256::inv(sum).unwrap()).collect::<Vec<u8>>();
        assert_eq!(coefficients(&shape, 3), Ok(inverses([3, 2, 1])));
        assert_eq!(coefficients(&shape, 4), Ok(inverses([4, 5, 6])));
        assert_eq!(coefficients(&shape, 5), Err(ShapeError::Index { index: 5, pieces: 5 }));
    }

    #[test]
    fn the_largest_generation_has_a_coefficient_everywhere() {
        let shape = Shape::new(128, 128, 1).unwrap();
        for index in 128..256 {
            assert!(coefficients(&shape, index).unwrap().iter().all(|&coefficient| coefficient != 0));
        }
    }
}
