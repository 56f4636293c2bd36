use core::fmt;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};

use crate::PeerId;

/// A node's Ed25519 key pair.
#[derive(Clone)]
pub struct Identity(SigningKey);

/// An Ed25519 signature, 64 bytes.
pub type Signature = [u8; 64];

/// What a signature is for. The domain's name goes in front of the signed bytes, so that bytes signed for one purpose
/// cannot be replayed for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Domain {
    /// A message's manifest.
    Manifest,
    /// Signalling that a neighbour carries.
    Carry,
}

impl Domain {
    /// NUL-terminated, so no domain is a prefix of another.
    const fn prefix(self) -> &'static [u8] {
        match self {
            Self::Manifest => b"braidcast/1 manifest\0",
            Self::Carry => b"braidcast/1 carry\0",
        }
    }
}

impl Identity {
    /// From the 32-byte Ed25519 seed; the caller draws or stores it.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The seed, for storing. It is the secret: keep it out of logs.
    pub fn to_seed(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The public half.
    pub fn peer_id(&self) -> PeerId {
        PeerId(self.0.verifying_key().to_bytes())
    }

    /// Signs the domain's name and `bytes`.
    pub fn sign(&self, domain: Domain, bytes: &[u8]) -> Signature {
        self.0.sign(&[domain.prefix(), bytes].concat()).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({:?}, secret)", self.peer_id())
    }
}

/// True when `signer` signed `bytes` for `domain`. Strict: refuses small-order keys and non-canonical signatures
/// (RFC 8032 section 5.1.7, cofactorless), so that every node judges alike.
pub fn verify(signer: PeerId, domain: Domain, bytes: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) =
        (VerifyingKey::from_bytes(&signer.0), ed25519_dalek::Signature::from_slice(signature))
    else {
        return false;
    };
    key.verify_strict(&[domain.prefix(), bytes].concat(), &signature).is_ok()
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_signature_holds_for_its_bytes_and_signer_only() {
        let (alice, bob) = (Identity::from_seed(&[1; 32]), Identity::from_seed(&[2; 32]));
        let signature = alice.sign(Domain::Manifest, b"hello");
        assert!(verify(alice.peer_id(), Domain::Manifest, b"hello", &signature));
        assert!(!verify(alice.peer_id(), Domain::Manifest, b"hallo", &signature));
        assert!(!verify(bob.peer_id(), Domain::Manifest, b"hello", &signature));
        assert!(!verify(alice.peer_id(), Domain::Manifest, b"hello", &signature[..63]));
    }

    #[test]
    fn a_small_order_key_is_refused() {
        // The identity element: with it, an unstrict check accepts a forged signature for any message.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut forged = [0; 64];
        forged[0] = 1;
        assert!(!verify(PeerId(identity), Domain::Manifest, b"anything", &forged));
    }

    #[test]
    fn debug_hides_the_secret() {
        let text = alloc::format!("{:?}", Identity::from_seed(&[0xab; 32]));
        assert!(text.ends_with("secret)"), "{text}");
        assert!(!text.contains("ab, ab"), "{text}");
    }
}
