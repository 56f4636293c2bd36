//! A DTLS certificate that is a function of a secret, so that nothing but the secret needs keeping.

use std::sync::Arc;

use dimpl::DtlsCertificate;
use p256::{
    SecretKey,
    ecdsa::{Signature, SigningKey, signature::Signer},
    pkcs8::EncodePrivateKey,
};
use sha2::{Digest, Sha256};

use crate::protocol::Fingerprint;

/// Self-signed, ECDSA P-256. Its `/certhash` is the same for the same secret.
#[derive(Clone, Debug)]
pub struct Certificate {
    pub(super) dtls: Arc<DtlsCertificate>,
    fingerprint: Fingerprint,
}

impl Certificate {
    /// From 32 secret bytes. For a server: [`libp2p::identity::Keypair::derive_secret`].
    pub fn from_secret(secret: &[u8; 32]) -> Self {
        let key = secret_key(secret);
        let certificate = self_signed(&key);
        let fingerprint = Fingerprint::new(Sha256::digest(&certificate).into());
        let private_key = key.to_pkcs8_der().expect("a key has an encoding").as_bytes().to_vec();
        Self { dtls: Arc::new(DtlsCertificate { certificate, private_key }), fingerprint }
    }

    /// Its hash.
    pub fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

/// The secret's hash as a scalar; almost every 32 bytes are one.
fn secret_key(secret: &[u8; 32]) -> SecretKey {
    let mut bytes = *secret;
    loop {
        bytes =
            Sha256::new().chain_update(b"braidcast webrtc certificate").chain_update(bytes).finalize().into();
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return key;
        }
    }
}

/// X.509 version 3 by <https://www.rfc-editor.org/rfc/rfc5280#section-4.1>. Nobody looks at its dates: what counts in
/// WebRTC is the hash. The signature is deterministic (RFC 6979).
fn self_signed(key: &SecretKey) -> Vec<u8> {
    let point = key.public_key().to_sec1_bytes();
    // Firefox wants no two certificates with the same issuer and serial number.
    let serial: [u8; 32] = Sha256::digest(&point).into();
    let name =
        &der(SEQUENCE, &[&der(SET, &[&der(SEQUENCE, &[COMMON_NAME, &der(UTF8_STRING, &[b"WebRTC"])])])]);
    let algorithm = &der(SEQUENCE, &[ECDSA_WITH_SHA256]);
    let signed = der(
        SEQUENCE,
        &[
            &der(VERSION, &[&der(INTEGER, &[&[2]])]),
            &der(INTEGER, &[&[1], &serial[..15]]),
            algorithm,
            name,
            &der(SEQUENCE, &[&der(UTC_TIME, &[b"000101000000Z"]), &der(UTC_TIME, &[b"491231235959Z"])]),
            name,
            &der(
                SEQUENCE,
                &[&der(SEQUENCE, &[EC_PUBLIC_KEY, PRIME256V1]), &der(BIT_STRING, &[&[0], &point])],
            ),
        ],
    );
    let signature: Signature = SigningKey::from(key).sign(&signed);
    der(SEQUENCE, &[&signed, algorithm, &der(BIT_STRING, &[&[0], signature.to_der().as_bytes()])])
}

/// One element; at most 64 KiB of content.
fn der(tag: u8, content: &[&[u8]]) -> Vec<u8> {
    let len: usize = content.iter().map(|part| part.len()).sum();
    let mut out = vec![tag];
    match len {
        0..=0x7f => out.push(len as u8),
        0x80..=0xff => out.extend([0x81, len as u8]),
        _ => out.extend([0x82, (len >> 8) as u8, len as u8]),
    }
    out.extend(content.iter().copied().flatten());
    out
}

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;

/// Object identifiers, encoded: 2.5.4.3, 1.2.840.10045.4.3.2, 1.2.840.10045.2.1, 1.2.840.10045.3.1.7.
const COMMON_NAME: &[u8] = &[0x06, 3, 0x55, 0x04, 0x03];
const ECDSA_WITH_SHA256: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const EC_PUBLIC_KEY: &[u8] = &[0x06, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const PRIME256V1: &[u8] = &[0x06, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_secret_makes_the_same_certificate() {
        let (a, b) = (Certificate::from_secret(&[1; 32]), Certificate::from_secret(&[1; 32]));
        assert_eq!(a.dtls.certificate, b.dtls.certificate);
        assert_ne!(a.fingerprint(), Certificate::from_secret(&[2; 32]).fingerprint());
    }

    #[test]
    fn the_certificate_parses() {
        let certificate = Certificate::from_secret(&[7; 32]);
        let (rest, parsed) =
            x509_parser::parse_x509_certificate(&certificate.dtls.certificate).expect("is X.509");
        assert!(rest.is_empty());
        assert_eq!(parsed.subject(), parsed.issuer());
        assert_eq!(parsed.public_key().subject_public_key.data.len(), 65);
    }
}
