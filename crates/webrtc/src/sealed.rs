//! Signalling that a third party carries who is not to be trusted with it: whoever could change a fingerprint in
//! passing would be in the middle of the connection that comes of it.
//!
//! A message is encrypted to its target and authenticated by its origin in one: the key comes of two X25519 agreements,
//! between a fresh key and the target's, and between the origin's and the target's, as in the one-way pattern K of the
//! [Noise framework](https://noiseprotocol.org/noise.html#one-way-handshake-patterns). Ed25519 keys are used as X25519 keys
//! (RFC 7748 section 4.1: the curves are birationally equivalent). What is kept and sent again later opens as well; [`calls`]
//! sees to that.
//!
//! [`calls`]: super::Calls

use chacha20poly1305::{ChaCha20Poly1305, KeyInit, Nonce, aead::AeadInPlace};
use curve25519_dalek::{MontgomeryPoint, edwards::CompressedEdwardsY};
use ed25519_dalek::SigningKey;

/// An Ed25519 public key.
pub type Key = [u8; 32];

/// Bytes that a sealed message is longer than what it holds: the fresh key and Poly1305's tag.
pub const OVERHEAD_BYTES: usize = 32 + 16;

/// Seals and opens for one node.
#[derive(Clone)]
pub struct Sealer {
    secret: [u8; 32],
    public: Key,
}

impl Sealer {
    /// Of the 32-byte Ed25519 seed.
    pub fn new(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        Self { secret: key.to_scalar_bytes(), public: key.verifying_key().to_bytes() }
    }

    /// Our public key.
    pub fn public(&self) -> Key {
        self.public
    }

    /// `None` when `target` is no key. `fresh` is 32 bytes that nobody can guess and that are used once.
    pub fn seal(&self, target: &Key, fresh: [u8; 32], message: &[u8]) -> Option<Vec<u8>> {
        let theirs = montgomery(target)?;
        let ephemeral = MontgomeryPoint::mul_base_clamped(fresh).to_bytes();
        let shared = [theirs.mul_clamped(fresh), theirs.mul_clamped(self.secret)];
        let cipher = cipher(shared, &ephemeral, &self.public, target)?;
        let mut sealed = [&ephemeral, message].concat();
        let tag = cipher.encrypt_in_place_detached(&nonce(), b"", &mut sealed[32..]).ok()?;
        sealed.extend_from_slice(&tag);
        Some(sealed)
    }

    /// What `origin` sealed to us; `None` if it did not.
    pub fn open(&self, origin: &Key, sealed: &[u8]) -> Option<Vec<u8>> {
        let (ephemeral, rest) = sealed.split_first_chunk::<32>()?;
        let (message, tag) = rest.split_last_chunk::<16>()?;
        let shared = [
            MontgomeryPoint(*ephemeral).mul_clamped(self.secret),
            montgomery(origin)?.mul_clamped(self.secret),
        ];
        let mut message = message.to_vec();
        cipher(shared, ephemeral, origin, &self.public)?
            .decrypt_in_place_detached(&nonce(), b"", &mut message, tag.into())
            .ok()?;
        Some(message)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Sealer(secret)")
    }
}

/// Each key is used for one message.
fn nonce() -> Nonce {
    Nonce::default()
}

fn montgomery(key: &Key) -> Option<MontgomeryPoint> {
    CompressedEdwardsY(*key)
        .decompress()
        .filter(|point| !point.is_small_order())
        .map(|point| point.to_montgomery())
}

/// `None` for an agreement that anybody could reach: with a point of small order it is zero (RFC 7748 section 6.1).
fn cipher(
    shared: [MontgomeryPoint; 2],
    ephemeral: &[u8; 32],
    origin: &Key,
    target: &Key,
) -> Option<ChaCha20Poly1305> {
    let [fresh, long] = shared.map(|point| point.to_bytes());
    if fresh == [0; 32] || long == [0; 32] {
        return None;
    }
    let material = [fresh, long, *ephemeral, *origin, *target].concat();
    let key = blake3::derive_key("braidcast/1 signalling carried by a neighbour", &material);
    Some(ChaCha20Poly1305::new(&key.into()))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn sealer(seed: u8) -> Sealer {
        Sealer::new(&[seed; 32])
    }

    #[test]
    fn only_the_target_opens_and_only_as_of_its_origin() {
        let [alice, bob, carol] = [1, 2, 3].map(sealer);
        let sealed = alice.seal(&bob.public, [9; 32], b"offer").expect("a key");
        assert_eq!(sealed.len(), 5 + OVERHEAD_BYTES);
        assert_eq!(bob.open(&alice.public, &sealed), Some(b"offer".to_vec()));
        assert_eq!(bob.open(&carol.public, &sealed), None);
        assert_eq!(carol.open(&alice.public, &sealed), None);
        // Nor does its origin, once the fresh key is forgotten.
        assert_eq!(alice.open(&bob.public, &sealed), None);
    }

    #[test]
    fn any_change_is_found_out() {
        let [alice, bob] = [1, 2].map(sealer);
        let sealed = alice.seal(&bob.public, [9; 32], b"a=fingerprint").expect("a key");
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert_eq!(bob.open(&alice.public, &changed), None, "byte {at}");
        }
        for len in 0..sealed.len() {
            assert_eq!(bob.open(&alice.public, &sealed[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let alice = sealer(1);
        let mut small_order = [0; 32];
        small_order[0] = 1;
        assert_eq!(alice.seal(&small_order, [9; 32], b""), None);
        assert_eq!(alice.open(&small_order, &[0; 60]), None);
        assert_eq!(alice.open(&sealer(2).public, &[0; 60]), None, "an ephemeral key of small order");
    }
}
