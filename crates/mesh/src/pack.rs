//! Compression of payloads, kept only where it makes them shorter.
//!
//! The payload is cut into blocks of 64 KiB, the last one shorter. Of each block, in order: its length as it travels, 4
//! bytes, little-endian, and that many bytes, an [LZ4 block](https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md);
//! when the top bit of the length is set, the block as it is. A receiver knows the length of every block before it
//! unpacks it, and gives a block no more room than that.

use alloc::{collections::VecDeque, vec, vec::Vec};

use bytes::{Bytes, BytesMut};
use lz4_flex::block::{compress_into, decompress_into, get_maximum_output_size};

use crate::api::Payload;

/// Which form a payload travels in: `Body::compression` of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Plain = 0,
    Lz4 = 1,
}

impl Method {
    /// `None`: of a later version.
    pub(crate) fn of(number: u32) -> Option<Self> {
        [Self::Plain, Self::Lz4].into_iter().find(|&method| method as u32 == number)
    }
}

/// Packs a payload.
#[derive(Debug)]
pub(crate) struct Pack {
    plain: Bytes,
    at: usize,
    stored: Vec<u8>,
    block: Vec<u8>,
}

impl Pack {
    pub(crate) fn new(plain: Bytes) -> Self {
        let longest = get_maximum_output_size(plain.len().min(BLOCK));
        Self { plain, at: 0, stored: Vec::new(), block: vec![0; longest] }
    }

    /// Works for about `budget` bytes; true while something is left. Ends when the first block got no shorter.
    pub(crate) fn step(&mut self, budget: &mut usize) -> bool {
        while self.at < self.plain.len() && *budget > 0 {
            let plain = &self.plain[self.at..self.plain.len().min(self.at + BLOCK)];
            let packed = compress_into(plain, &mut self.block).ok().filter(|&len| len < plain.len());
            let (flag, bytes) = packed.map_or((AS_IT_IS, plain), |len| (0, &self.block[..len]));
            if self.at == 0 && bytes.len() + PREFIX >= plain.len() {
                return false;
            }
            self.stored.extend((bytes.len() as u32 | flag).to_le_bytes());
            self.stored.extend(bytes);
            self.at += plain.len();
            *budget = budget.saturating_sub(plain.len());
        }
        self.at < self.plain.len()
    }

    /// The shorter form, and the plain length.
    pub(crate) fn finish(self) -> (Method, Bytes, usize) {
        let len = self.plain.len();
        match self.at == len && self.stored.len() < len {
            true => (Method::Lz4, self.stored.into(), len),
            false => (Method::Plain, self.plain, len),
        }
    }
}

/// Unpacks a payload that was verified as it travelled.
#[derive(Debug)]
pub(crate) struct Unpack {
    stored: VecDeque<Bytes>,
    plain: Vec<Bytes>,
    /// Plain bytes still to come.
    left: usize,
}

/// It does not unpack to the length that was signed: the publisher's fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inconsistent;

impl Unpack {
    /// `len` is the plain length.
    pub(crate) fn new(stored: &Payload, len: usize) -> Self {
        Self { stored: stored.segments().iter().cloned().collect(), plain: Vec::new(), left: len }
    }

    /// Works for about `budget` bytes; the payload when it is done.
    pub(crate) fn step(&mut self, budget: &mut usize) -> Result<Option<Payload>, Inconsistent> {
        while self.left > 0 {
            if *budget == 0 {
                return Ok(None);
            }
            let len = self.left.min(BLOCK);
            let plain = self.block(len).filter(|plain| plain.len() == len).ok_or(Inconsistent)?;
            self.plain.push(plain);
            self.left -= len;
            *budget = budget.saturating_sub(len);
        }
        match self.stored.is_empty() {
            true => Ok(Some(core::mem::take(&mut self.plain).into_iter().collect())),
            false => Err(Inconsistent),
        }
    }

    fn block(&mut self, plain_len: usize) -> Option<Bytes> {
        let prefix = u32::from_le_bytes(self.take(PREFIX)?[..].try_into().ok()?);
        let stored = self.take((prefix & !AS_IT_IS) as usize)?;
        if prefix & AS_IT_IS != 0 {
            return Some(stored);
        }
        let mut plain = vec![0; plain_len];
        let len = decompress_into(&stored, &mut plain).ok()?;
        plain.truncate(len);
        Some(plain.into())
    }

    /// The next `len` bytes; copied only when they lie in several segments.
    fn take(&mut self, len: usize) -> Option<Bytes> {
        let first = self.stored.front_mut()?;
        let mut taken = BytesMut::new();
        if first.len() >= len {
            let whole = first.split_to(len);
            self.drop_empty();
            return Some(whole);
        }
        while taken.len() < len {
            let segment = self.stored.front_mut()?;
            taken.extend_from_slice(&segment.split_to(segment.len().min(len - taken.len())));
            self.drop_empty();
        }
        Some(taken.freeze())
    }

    fn drop_empty(&mut self) {
        while self.stored.front().is_some_and(Bytes::is_empty) {
            self.stored.pop_front();
        }
    }
}

/// Plain bytes of a block: LZ4 looks back no further.
const BLOCK: usize = 64 * 1024;
/// Bytes of a block's length.
const PREFIX: usize = 4;
/// Flag of a block that did not get shorter.
const AS_IT_IS: u32 = 1 << 31;

#[cfg(test)]
mod tests {
    use alloc::format;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn text(len: usize) -> Bytes {
        let lines = (0..).flat_map(|line: u32| {
            format!("{{\"line\":{line},\"hash\":{}}}\n", line.wrapping_mul(0x9e37_79b1)).into_bytes()
        });
        lines.take(len).collect()
    }

    fn noise(len: usize) -> Bytes {
        let mut bytes = vec![0; len];
        braidcast_machine::Rng::from_seed([1; 32]).fill(&mut bytes);
        bytes.into()
    }

    fn packed(plain: Bytes) -> (Method, Bytes, usize) {
        let mut pack = Pack::new(plain);
        while pack.step(&mut 10_000) {}
        pack.finish()
    }

    fn unpacked(stored: Bytes, segment: usize, len: usize) -> Result<Bytes, Inconsistent> {
        let segments: Vec<Bytes> = stored.chunks(segment).map(Bytes::copy_from_slice).collect();
        let mut unpack = Unpack::new(&segments.into_iter().collect(), len);
        loop {
            if let Some(payload) = unpack.step(&mut 1_000)? {
                return Ok(payload.into_bytes());
            }
        }
    }

    #[test]
    fn what_gets_shorter_comes_back_whatever_its_segments() {
        for len in [100, 4_000, BLOCK, BLOCK + 1, 300_000] {
            let (method, stored, plain_len) = packed(text(len));
            assert_eq!((method, plain_len), (Method::Lz4, len));
            assert!(stored.len() * 10 < len * 9, "{} of {len}", stored.len());
            for segment in [1, 1_000, 1 << 20] {
                assert_eq!(unpacked(stored.clone(), segment, len), Ok(text(len)));
            }
        }
    }

    #[test]
    fn what_does_not_is_left_as_it_is() {
        for plain in [Bytes::new(), Bytes::from_static(b"hello"), noise(200_000)] {
            assert_eq!(packed(plain.clone()), (Method::Plain, plain.clone(), plain.len()));
        }
        let mixed: Bytes = [text(BLOCK), noise(BLOCK), text(BLOCK)].concat().into();
        let (method, stored, len) = packed(mixed.clone());
        assert!(method == Method::Lz4 && stored.len() > BLOCK);
        assert_eq!(unpacked(stored, 4_096, len), Ok(mixed));
    }

    #[test]
    fn other_lengths_than_signed_and_junk_are_refused() {
        let (_, stored, len) = packed(text(200_000));
        for wrong in [0, 1, len - 1, len + 1, len * 2, usize::MAX] {
            assert_eq!(unpacked(stored.clone(), 4_096, wrong), Err(Inconsistent), "{wrong}");
        }
        let bomb: Vec<u8> = [300_u32.to_le_bytes().to_vec(), vec![0xff; 300]].concat();
        assert_eq!(unpacked(bomb.into(), 4_096, BLOCK), Err(Inconsistent));
        for seed in 0..200 {
            let mut broken = stored.to_vec();
            let at = seed * 997 % broken.len();
            broken[at] ^= 1 << (seed % 8);
            // It may be text again, but never of another length.
            let back = unpacked(broken.into(), 4_096, len);
            assert!(back.is_err() || back.is_ok_and(|back| back.len() == len));
        }
        assert_eq!(unpacked(Bytes::new(), 1, 0), Ok(Bytes::new()));
    }
}
