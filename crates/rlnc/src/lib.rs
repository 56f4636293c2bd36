//! Random linear network coding over GF(2^8): the algebra under Braidcast, and nothing else.
//!
//! A message is cut into *generations*. A generation is K **source pieces** of equal length and M **parity
//! pieces** made from them with Cauchy coefficients, so that any K of the K + M pieces give the sources back
//! ([`Shape`], [`cauchy`]). What travels is a [`Shard`]: a coefficient vector of K bytes and a payload, which is
//! that combination of the source pieces. A piece is a shard whose vector both sides know from its index; a
//! recoded shard carries its vector with it.
//!
//! ```text
//!   Encoder   K source pieces           -> parity pieces by index, shards by coefficient vector
//!   Recoder   any shards one holds      -> new shards over the same sources
//!   Decoder   K independent shards      -> the source pieces
//!        all three are one primitive:  Engine::gemm(dst[R], src[K], coef[R x K])
//! ```
//!
//! ```
//! use braidcast_rlnc::{Decoder, Encoder, Progress, Shape};
//!
//! let shape = Shape::new(2, 1, 3)?; // K = 2 source pieces, M = 1 parity piece, 3 bytes each
//! let encoder = Encoder::new(shape, vec![b"bra", b"id!"])?;
//! let mut parity = [0; 3];
//! encoder.pieces(&[2], &mut [&mut parity])?;
//!
//! let mut decoder = Decoder::new(shape);
//! decoder.push_piece(2, &parity[..], Some(7))?;
//! assert_eq!(decoder.push_piece(1, b"id!", Some(8))?, Progress::Innovative { rank: 2 });
//! assert_eq!(decoder.decode_all()?, b"braid!");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What this crate is not: it checks no hash and no signature (one wrong shard spoils what is decoded with it;
//! who may recode for whom is decided in `crates/mesh`), it draws no random coefficients (they come in as bytes),
//! and it chooses no sizes. It needs `alloc` and no `std`.
//!
//! Work is counted in **coef-bytes**: one coef-byte is one byte multiplied by one coefficient and added. An R x K
//! product over rows of L bytes is R * K * L coef-bytes. Long products run in slices ([`Product`])
//! so that a caller with a frame to draw never waits.
//!
//! Sources. The field: polynomial 0x11B of FIPS 197 section 4.2, generator 3. Network coding: Ho et al., "A Random
//! Linear Network Coding Approach to Multicast", IEEE Trans. Inf. Theory 52(10), 2006. Cauchy parity: Blömer et al.,
//! "An XOR-Based Erasure-Resilient Coding Scheme", ICSI TR-95-048, 1995.

#![no_std]
#![deny(unsafe_code)]

extern crate alloc;
#[cfg(feature = "std")]
extern crate std;

pub mod cauchy;
#[doc(hidden)]
pub mod fuzzing;
pub mod gf256;

mod decoder;
mod elimination;
mod encoder;
mod error;
mod gemm;
mod generation;
mod kernel;
mod product;
mod recoder;
#[cfg(test)]
mod testing;

pub use decoder::{Decoder, Progress, Tag};
pub use encoder::Encoder;
pub use error::{DecodeError, Incomplete, ShapeError};
pub use gemm::Engine;
pub use generation::{MAX_PIECES, Shape, Shard};
pub use kernel::Kernel;
pub use product::Product;
pub use recoder::Recoder;

/// The example of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
