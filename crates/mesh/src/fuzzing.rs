//! What the fuzz targets call. Not part of the interface: it may change at any time.

use alloc::vec::Vec;

use bytes::Bytes;

use crate::pack::{Method, Pack, Unpack};

/// Reads `data` as a packed payload: 3 bytes of the length that it says to unpack to, 1 of how it lies in segments, and
/// the rest. What comes of it, if anything, has that length. Then packs the rest, and gets it back.
pub fn unpack(data: &[u8]) {
    let Some((&[a, b, c, segment], rest)) = data.split_first_chunk() else { return };
    let len = u32::from_le_bytes([a, b, c, 0]) as usize;
    let segments: Vec<Bytes> = rest.chunks(usize::from(segment) + 1).map(Bytes::copy_from_slice).collect();
    if let Ok(payload) = Unpack::new(&segments.into_iter().collect(), len).step(&mut { usize::MAX }) {
        assert_eq!(payload.expect("the budget is without end").len(), len);
    }
    let mut pack = Pack::new(Bytes::copy_from_slice(rest));
    while pack.step(&mut 1_000) {}
    if let (Method::Lz4, stored, len) = pack.finish() {
        let payload = Unpack::new(&stored.into(), len).step(&mut { usize::MAX });
        assert_eq!(payload.ok().flatten().expect("we packed it").into_bytes(), rest);
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn noise_does_no_harm() {
        let mut rng = braidcast_machine::Rng::from_seed([4; 32]);
        let mut data = [0; 300];
        for round in 0..20_000 {
            rng.fill(&mut data);
            // Plausible lengths, so that the noise gets as far as the block.
            (data[1], data[2]) = (data[1] & 1, 0);
            (data[5], data[6], data[7]) = (0, 0, data[7] & 0x80);
            unpack(&data[..8 + round % 292]);
        }
    }
}
