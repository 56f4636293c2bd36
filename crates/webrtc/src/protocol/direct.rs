//! ICE credentials of webrtc-direct: there is no signalling, so they carry all that the server must know.
//!
//! Version 1, <https://github.com/libp2p/specs/blob/master/webrtc/webrtc-direct.md>: one random string is ufrag and
//! password of both sides; the dialler changes its own description for that, which Chromium is about to forbid.
//! Version 2, <https://github.com/libp2p/specs/pull/715>: the dialler keeps the credentials that its browser chose, and
//! writes its password into the ufrag that it invents for the server.

use std::fmt::Write;

/// Which of the two; a prefix of the server's ufrag says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// With a changed description.
    V1,
    /// Without.
    V2,
}

impl Version {
    /// Those that a listener of this crate takes, on one port.
    pub const ALL: [Self; 2] = [Self::V1, Self::V2];

    /// Its number.
    pub const fn number(self) -> u8 {
        match self {
            Self::V1 => 1,
            Self::V2 => 2,
        }
    }

    /// What the server's ufrag begins with.
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::V1 => "libp2p+webrtc+v1/",
            Self::V2 => "libp2p+webrtc+v2/",
        }
    }
}

/// ICE credentials of one side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// User name fragment.
    pub ufrag: String,
    /// Password.
    pub password: String,
}

impl Credentials {
    /// Whether they are as long as those that implementations signal. The specification allows for a user name fragment
    /// of 256 bytes, two of which are more than STUN was made for.
    pub fn is_usual(&self) -> bool {
        (*UFRAG.start()..128).contains(&self.ufrag.len()) && PASSWORD.contains(&self.password.len())
    }

    fn same(text: String) -> Self {
        Self { password: text.clone(), ufrag: text }
    }

    /// Version 1: of both sides. Together they stay below 128 bytes, as some STUN needs it.
    pub fn v1(random: [u8; 16]) -> Self {
        let mut text = String::from(Version::V1.prefix());
        for byte in random {
            write!(text, "{byte:02x}").expect("a string grows");
        }
        Self::same(text)
    }

    /// Version 1, with the password that a browser chose, which nobody can guess. `None` if that is no password.
    pub fn v1_with(password: &str) -> Option<Self> {
        is_ice(password, PASSWORD).then(|| Self::same(format!("{}{password}", Version::V1.prefix())))
    }

    /// Version 2: of the server, by the dialler's password. `None` if that is no password.
    pub fn v2(dialer_password: &str) -> Option<Self> {
        is_ice(dialer_password, PASSWORD)
            .then(|| Self::same(format!("{}{dialer_password}", Version::V2.prefix())))
    }
}

/// What the server infers from the first packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dialed {
    /// Which protocol.
    pub version: Version,
    /// Of the server: ufrag and password are the same.
    pub server: Credentials,
    /// Of who dials.
    pub dialer: Credentials,
}

/// Why nobody can have dialled with such a user name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameError {
    /// Not two ufrags with a colon between them.
    #[error("the STUN user name is not two ICE ufrags")]
    Form,
    /// "Unknown prefixes MUST be rejected": it may be a later version.
    #[error("the STUN user name is of no known version of webrtc-direct")]
    Version,
    /// The password in it could not be one.
    #[error("the STUN user name holds no ICE password")]
    Password,
}

impl Dialed {
    /// Reads the USERNAME of a STUN binding request, `<server's ufrag>:<dialler's ufrag>`.
    pub fn from_username(username: &str) -> Result<Self, UsernameError> {
        let (server, dialer) = username.split_once(':').ok_or(UsernameError::Form)?;
        if !is_ice(server, UFRAG) || !is_ice(dialer, UFRAG) {
            return Err(UsernameError::Form);
        }
        let (version, password) = if let Some(password) = server.strip_prefix(Version::V2.prefix()) {
            (Version::V2, password)
        } else if server.starts_with(Version::V1.prefix()) && server == dialer {
            (Version::V1, dialer)
        } else {
            return Err(UsernameError::Version);
        };
        if !is_ice(password, PASSWORD) {
            return Err(UsernameError::Password);
        }
        Ok(Self {
            version,
            server: Credentials::same(server.into()),
            dialer: Credentials { ufrag: dialer.into(), password: password.into() },
        })
    }
}

/// Lengths by <https://www.rfc-editor.org/rfc/rfc8839#section-5.4>.
const UFRAG: std::ops::RangeInclusive<usize> = 4..=256;
const PASSWORD: std::ops::RangeInclusive<usize> = 22..=256;

fn is_ice(text: &str, len: std::ops::RangeInclusive<usize>) -> bool {
    len.contains(&text.len()) && text.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'+' || c == b'/')
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn version_1_shares_one_string() {
        let shared = Credentials::v1([0xab; 16]);
        let dialed = Dialed::from_username(&format!("{0}:{0}", shared.ufrag)).expect("is one");
        assert_eq!(dialed, Dialed { version: Version::V1, server: shared.clone(), dialer: shared });

        let shared = Credentials::v1_with("abcdefghijklmnopqrst+/").expect("is a password");
        let dialed = Dialed::from_username(&format!("{0}:{0}", shared.ufrag)).expect("is one");
        assert_eq!(dialed, Dialed { version: Version::V1, server: shared.clone(), dialer: shared });
        assert_eq!(Credentials::v1_with("abc\r\na=x"), None);
    }

    #[test]
    fn version_2_carries_the_diallers_password() {
        let password = "abcdefghijklmnopqrst+/";
        let server = Credentials::v2(password).expect("is a password");
        let dialed = Dialed::from_username(&format!("{}:Qx1/", server.ufrag)).expect("is one");
        assert_eq!(server.ufrag, server.password);
        assert_eq!(dialed.version, Version::V2);
        assert_eq!(dialed.server, server);
        assert_eq!(dialed.dialer, Credentials { ufrag: "Qx1/".into(), password: password.into() });
        assert_eq!(Credentials::v2("short"), None);
    }

    #[test]
    fn other_user_names_are_refused() {
        let refused = |username: &str| Dialed::from_username(username).expect_err("is refused");
        assert_eq!(refused("libp2p+webrtc+v1/abcdefghijklmnop"), UsernameError::Form);
        assert_eq!(refused("libp2p+webrtc+v2/abc\r\na=x:user"), UsernameError::Form);
        assert_eq!(refused(&format!("libp2p+webrtc+v2/{}:user", "a".repeat(300))), UsernameError::Form);
        assert_eq!(refused("libp2p+webrtc+v3/abcdefghijklmnopqrstuv:user"), UsernameError::Version);
        assert_eq!(refused("someone:else"), UsernameError::Version);
        assert_eq!(refused("libp2p+webrtc+v2/short:user"), UsernameError::Password);
        assert_eq!(refused("libp2p+webrtc+v1/a:libp2p+webrtc+v1/b"), UsernameError::Version);
    }
}
