//! Signed peer records: our own, and those that others show.

use braidcast_core::wire::limits;
use bytes::Bytes;
use libp2p::{
    Multiaddr, PeerId,
    core::{PeerRecord, SignedEnvelope},
    identity::Keypair,
};

use crate::address::{Route, is_loopback, route};

/// Most addresses of one peer. Guess.
const ADDRESSES: usize = 8;

/// Our own record, or nothing when we have no address that others could dial.
///
/// External addresses before those of our interfaces; loopback ones only when there are no others.
pub(crate) fn own_record(keypair: &Keypair, addresses: Vec<Multiaddr>) -> Option<Bytes> {
    let public: Vec<_> = addresses.iter().filter(|address| !is_loopback(address)).cloned().collect();
    let mut addresses = if public.is_empty() { addresses } else { public };
    addresses.truncate(ADDRESSES);
    while !addresses.is_empty() {
        let record = PeerRecord::new_interop(keypair, addresses.clone()).ok()?;
        let bytes = record.into_signed_envelope().into_protobuf_encoding();
        if bytes.len() <= limits::RECORD_BYTES {
            return Some(bytes.into());
        }
        addresses.pop();
    }
    None
}

/// The signer and where it says it can be dialled, if the signature holds. The key of the envelope must be the key of
/// the record (RUSTSEC-2022-0009); libp2p checks it, and so does the comparison here.
pub(crate) fn verified(record: &[u8]) -> Option<(PeerId, Vec<Multiaddr>)> {
    if record.len() > limits::RECORD_BYTES {
        return None;
    }
    let envelope = SignedEnvelope::from_protobuf_encoding(record).ok()?;
    let record = PeerRecord::from_signed_envelope_interop(envelope).ok()?;
    let dialable = |address: &&Multiaddr| matches!(route(address), Ok(direct) if direct != Route::Circuit);
    let addresses = record.addresses().iter().filter(dialable).take(ADDRESSES).cloned().collect();
    Some((record.peer_id(), addresses))
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn address(text: &str) -> Multiaddr {
        text.parse().expect("an address")
    }

    fn key(seed: u8) -> Keypair {
        Keypair::ed25519_from_bytes([seed; 32]).expect("a seed")
    }

    #[test]
    fn what_is_not_signed_by_its_subject_is_refused() {
        let record = own_record(&key(1), vec![address("/ip4/192.0.2.1/tcp/1")]).expect("an address");
        let mut forged = record.to_vec();
        for at in 0..forged.len() {
            forged[at] ^= 1;
            assert!(verified(&forged).is_none(), "bit flipped in byte {at}");
            forged[at] ^= 1;
        }
        assert!(verified(&forged).is_some());
        assert!(verified(&[0; 2000]).is_none());
        assert!(verified(b"").is_none());
    }

    #[test]
    fn loopback_is_told_only_when_there_is_nothing_else() {
        let loopback = address("/ip4/127.0.0.1/tcp/1");
        let public = address("/ip4/192.0.2.1/tcp/1");
        let both = own_record(&key(1), vec![loopback.clone(), public.clone()]).expect("addresses");
        assert_eq!(verified(&both).expect("signed").1, [public]);
        let local = own_record(&key(1), vec![loopback.clone()]).expect("an address");
        assert_eq!(verified(&local).expect("signed").1, [loopback]);
        assert_eq!(own_record(&key(1), Vec::new()), None);
    }

    #[test]
    fn many_long_addresses_still_fit() {
        let name = format!("/dns4/{}.example/tcp/443/wss", "a".repeat(200));
        let record = own_record(&key(1), vec![address(&name); 8]).expect("some of them");
        assert!(record.len() <= limits::RECORD_BYTES);
    }
}
