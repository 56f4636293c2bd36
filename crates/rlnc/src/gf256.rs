//! The field GF(2^8): bytes as polynomials over GF(2), modulo x^8 + x^4 + x^3 + x + 1 (0x11B), generator 3.
//!
//! Addition and subtraction are both XOR. 0x11B is the polynomial of AES (FIPS 197 section 4.2), and the one that
//! the x86 instruction `gf2p8mulb` computes with.
//!
//! These functions serve coefficients, one byte at a time. Payloads go through [`Engine`](crate::Engine).

/// The reduction polynomial, without its leading x^8 term.
pub const POLYNOMIAL: u8 = 0x1B;

/// Multiplies by x, that is by 2.
#[inline]
pub const fn double(a: u8) -> u8 {
    (a << 1) ^ (if a & 0x80 == 0 { 0 } else { POLYNOMIAL })
}

/// The product of two field elements.
#[inline]
pub const fn mul(a: u8, b: u8) -> u8 {
    if a == 0 || b == 0 {
        return 0;
    }
    TABLES.exp[TABLES.log[a as usize] as usize + TABLES.log[b as usize] as usize]
}

/// The inverse of a field element other than 0; 0 has none.
#[inline]
pub const fn inv(a: u8) -> Option<u8> {
    if a == 0 {
        return None;
    }
    Some(TABLES.exp[ORDER - TABLES.log[a as usize] as usize])
}

/// How many elements other than 0 there are: the powers of the generator.
const ORDER: usize = 255;

struct Tables {
    /// `exp[n]` is 3^n; two periods, so that a sum of two logarithms needs no reduction.
    exp: [u8; 2 * ORDER],
    /// `log[3^n]` is n for n < 255; `log[0]` is never read.
    log: [u8; 256],
}

static TABLES: Tables = tables();

const fn tables() -> Tables {
    let mut tables = Tables { exp: [0; 2 * ORDER], log: [0; 256] };
    let mut power = 1u8;
    let mut n = 0;
    while n < ORDER {
        tables.exp[n] = power;
        tables.exp[n + ORDER] = power;
        tables.log[power as usize] = n as u8;
        power ^= double(power);
        n += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// The definition: shift, add, reduce.
    fn product(a: u8, b: u8) -> u8 {
        (0..8).rev().fold(0, |sum, bit| double(sum) ^ if b >> bit & 1 == 1 { a } else { 0 })
    }

    #[test]
    #[cfg_attr(miri, ignore = "slow, and nothing but arithmetic")]
    fn products_are_those_of_the_definition() {
        for a in 0..=255 {
            for b in 0..=255 {
                assert_eq!(mul(a, b), product(a, b), "{a} * {b}");
            }
        }
    }

    /// FIPS 197 section 4.2: "{57} . {83} = {c1}", and 4.2.1: "{57} . {13} = {fe}".
    #[test]
    fn field_is_that_of_fips_197() {
        assert_eq!((mul(0x57, 0x83), mul(0x57, 0x13)), (0xC1, 0xFE));
    }

    #[test]
    fn every_element_but_zero_has_an_inverse() {
        assert_eq!(inv(0), None);
        for a in 1..=255 {
            assert_eq!(inv(a).map(|inverse| mul(a, inverse)), Some(1), "{a}");
        }
    }
}
