//! What multiplying by a coefficient is, in the forms that instructions take.

use crate::gf256;

/// For each coefficient c, the 8 x 8 bit matrix of y -> c * y, as `gf2p8affineqb` reads it.
///
/// Byte 7 - i of the matrix is the row that makes bit i of the product (Intel SDM, GF2P8AFFINEQB: "affine_byte", where
/// bit i of the result is the parity of row 7 - i AND the source byte).
#[cfg(target_arch = "x86_64")]
pub(super) static MATRICES: [u64; 256] = matrices();

/// For each coefficient c, its products with 0..16, then with 16 times 0..16: what a byte shuffle looks up.
pub(super) static NIBBLES: [[[u8; 16]; 2]; 256] = nibbles();

#[cfg(target_arch = "x86_64")]
const fn matrices() -> [u64; 256] {
    let mut matrices = [0; 256];
    let mut c = 0;
    while c < 256 {
        let mut column = 0;
        while column < 8 {
            let product = gf256::mul(c as u8, 1 << column);
            let mut bit = 0;
            while bit < 8 {
                matrices[c] |= ((product >> bit & 1) as u64) << (8 * (7 - bit) + column);
                bit += 1;
            }
            column += 1;
        }
        c += 1;
    }
    matrices
}

const fn nibbles() -> [[[u8; 16]; 2]; 256] {
    let mut tables = [[[0; 16]; 2]; 256];
    let mut c = 0;
    while c < 256 {
        let mut nibble = 0;
        while nibble < 16 {
            tables[c][0][nibble] = gf256::mul(c as u8, nibble as u8);
            tables[c][1][nibble] = gf256::mul(c as u8, (nibble as u8) << 4);
            nibble += 1;
        }
        c += 1;
    }
    tables
}
