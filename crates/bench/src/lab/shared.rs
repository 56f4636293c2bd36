//! What all nodes of the run that this thread is at have in common, so that a thousand of them do not each keep or
//! compute it.

use std::{cell::RefCell, collections::HashMap};

use braidcast_core::wire::{Domain, PeerId, verify};
use bytes::Bytes;

thread_local! {
    /// Pieces by their first bytes.
    static PIECES: RefCell<HashMap<[u8; 32], Bytes>> = RefCell::default();
    /// Whether signatures verify, by the hash of all that decides it.
    static VERDICTS: RefCell<HashMap<[u8; 32], bool>> = RefCell::default();
}

/// Before a run.
pub(crate) fn forget() {
    PIECES.take();
    VERDICTS.take();
}

/// One copy of each piece for all nodes.
pub(crate) fn piece(piece: Bytes) -> Bytes {
    let Some(&head) = piece.first_chunk() else { return piece };
    PIECES.with_borrow_mut(|pieces| {
        let first = pieces.entry(head).or_insert_with(|| piece.clone());
        if *first == piece { first.clone() } else { piece }
    })
}

/// What [`verify`] says, asked once.
pub(crate) fn verdict(signer: PeerId, domain: Domain, bytes: &[u8], signature: &[u8]) -> bool {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&signer.0).update(&[domain as u8]);
    for part in [bytes, signature] {
        hasher.update(&(part.len() as u64).to_le_bytes()).update(part);
    }
    let key = hasher.finalize().into();
    VERDICTS.with_borrow_mut(|verdicts| {
        *verdicts.entry(key).or_insert_with(|| verify(signer, domain, bytes, signature))
    })
}

#[cfg(test)]
mod tests {
    use braidcast_core::wire::Identity;

    use super::*;

    #[test]
    fn a_verdict_is_of_signer_bytes_and_signature_together() {
        let [alice, bob] = [1, 2].map(|seed| Identity::from_seed(&[seed; 32]));
        let signature = alice.sign(Domain::Manifest, b"hello");
        for _ in 0..2 {
            assert!(verdict(alice.peer_id(), Domain::Manifest, b"hello", &signature));
            assert!(!verdict(bob.peer_id(), Domain::Manifest, b"hello", &signature));
            assert!(!verdict(alice.peer_id(), Domain::Manifest, b"hallo", &signature));
            assert!(!verdict(alice.peer_id(), Domain::Manifest, b"hello", &signature[..63]));
        }
        assert_eq!(VERDICTS.with_borrow(HashMap::len), 4);
        forget();
        assert_eq!(VERDICTS.with_borrow(HashMap::len), 0);
    }
}
