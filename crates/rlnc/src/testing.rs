//! What several tests need.

use alloc::vec::Vec;

/// `len` bytes that look random and are the same every time (SplitMix64).
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed;
    let mut byte = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z >> 56) as u8
    };
    (0..len).map(|_| byte()).collect()
}

/// `count` rows of `len` bytes of [`noise`].
pub(crate) fn rows(seed: u64, count: usize, len: usize) -> Vec<Vec<u8>> {
    (0..count).map(|row| noise(seed ^ (row as u64) << 32, len)).collect()
}

/// The rows as the slices that products read.
pub(crate) fn slices(rows: &[Vec<u8>]) -> Vec<&[u8]> {
    rows.iter().map(Vec::as_slice).collect()
}

/// The rows as the slices that products write.
pub(crate) fn slices_mut(rows: &mut [Vec<u8>]) -> Vec<&mut [u8]> {
    rows.iter_mut().map(Vec::as_mut_slice).collect()
}
