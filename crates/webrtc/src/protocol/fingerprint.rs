//! SHA-256 of a DTLS certificate, as SDP, `/certhash` and Noise write it.

use std::{fmt, str::FromStr};

use libp2p::multihash::Multihash;

/// SHA-256 of a certificate in DER. The only hash that "implementations MUST support", and the only one here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

/// The code of SHA-256 in the multihash table.
const SHA2_256: u64 = 0x12;

impl Fingerprint {
    /// From the digest.
    pub const fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// The digest.
    pub const fn digest(&self) -> &[u8; 32] {
        &self.0
    }

    /// From `/certhash`; `None` for another hash.
    pub fn from_certhash(hash: &Multihash<64>) -> Option<Self> {
        (hash.code() == SHA2_256).then(|| hash.digest().try_into().ok().map(Self)).flatten()
    }

    /// For `/certhash`.
    pub fn to_certhash(self) -> Multihash<64> {
        Multihash::wrap(SHA2_256, &self.0).expect("32 bytes fit into 64")
    }
}

/// As after SDP's `a=fingerprint:`, <https://www.rfc-editor.org/rfc/rfc8122#section-5>.
impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha-256 ")?;
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// The text is no SHA-256 fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a sha-256 fingerprint")]
pub struct NotSha256;

/// Reads what [`Display`](fmt::Display) writes, in either case of letters.
impl FromStr for Fingerprint {
    type Err = NotSha256;

    fn from_str(text: &str) -> Result<Self, NotSha256> {
        let (algorithm, hex) = text.trim().split_once(' ').ok_or(NotSha256)?;
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            return Err(NotSha256);
        }
        let mut digest = [0; 32];
        let mut bytes = hex.split(':');
        for byte in &mut digest {
            let hex = bytes.next().filter(|hex| hex.len() == 2).ok_or(NotSha256)?;
            *byte = u8::from_str_radix(hex, 16).map_err(|_| NotSha256)?;
        }
        if bytes.next().is_some() { Err(NotSha256) } else { Ok(Self(digest)) }
    }
}

/// What both sides mix into the Noise handshake of webrtc-direct, which binds it to the DTLS connection.
pub fn noise_prologue(client: Fingerprint, server: Fingerprint) -> Vec<u8> {
    let mut prologue = b"libp2p-webrtc-noise:".to_vec();
    prologue.extend(client.to_certhash().to_bytes());
    prologue.extend(server.to_certhash().to_bytes());
    prologue
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn unhex<const N: usize>(hex: &str) -> [u8; N] {
        std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).expect("is hex"))
    }

    /// "Both client and server use SHA-256",
    /// <https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md#noise-prologue>.
    #[test]
    fn the_prologue_is_that_of_the_specification() {
        let client =
            Fingerprint::new(unhex("3e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdca870"));
        let server =
            Fingerprint::new(unhex("30fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99"));
        let expected: [u8; 88] = unhex(
            "6c69627032702d7765627274632d6e6f6973653a12203e79af40d6059617a0d83b83a52ce73b0c1f37a72c6043ad2969e2351bdc\
             a870122030fc9f469c207419dfdd0aab5f27a86c973c94e40548db9375cca2e915973b99",
        );
        assert_eq!(noise_prologue(client, server), expected);
    }

    #[test]
    fn sdp_and_certhash_give_it_back() {
        let fingerprint = Fingerprint::new(std::array::from_fn(|at| at as u8 * 7));
        let text = fingerprint.to_string();
        assert!(text.starts_with("sha-256 00:07:0E:15"), "{text}");
        assert_eq!(text.parse(), Ok(fingerprint));
        assert_eq!(text.to_lowercase().parse(), Ok(fingerprint));
        assert_eq!(Fingerprint::from_certhash(&fingerprint.to_certhash()), Some(fingerprint));
    }

    #[test]
    fn what_is_no_sha_256_is_refused() {
        let good = Fingerprint::new([1; 32]).to_string();
        for bad in ["", "sha-1 01:02", &good[..good.len() - 3], &format!("{good}:01"), &good.replace(':', "")]
        {
            assert_eq!(bad.parse::<Fingerprint>(), Err(NotSha256), "{bad}");
        }
        let sha1 = Multihash::wrap(0x11, &[0; 20]).expect("fits");
        assert_eq!(Fingerprint::from_certhash(&sha1), None);
    }
}
