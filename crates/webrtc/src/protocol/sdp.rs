//! Session descriptions of a peer connection that has data channels and nothing else.

use std::{fmt, net::SocketAddr};

use super::{FRAME_BYTES, direct::Credentials, fingerprint::Fingerprint};

/// What matters of an offer or an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Description {
    /// ICE credentials of who describes itself.
    pub credentials: Credentials,
    /// Its certificate.
    pub fingerprint: Fingerprint,
    /// Who begins the DTLS handshake.
    pub setup: Setup,
    /// It answers connectivity checks and makes none.
    pub ice_lite: bool,
    /// Name of the only media section; an answer repeats that of the offer.
    pub mid: String,
    /// Longest message that it takes, in bytes; 0 is without limit.
    pub max_message_bytes: u32,
    /// Candidates, `candidate:…` each.
    pub candidates: Vec<String>,
}

/// <https://www.rfc-editor.org/rfc/rfc4145#section-4>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setup {
    /// Either; in offers.
    ActPass,
    /// It begins.
    Active,
    /// The other side begins.
    Passive,
}

/// Why a text is no description of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session description has no usable {0}")]
pub struct SdpError(pub &'static str);

/// Lines and candidates read; what comes after is ignored.
const LINES: usize = 512;

impl Description {
    /// What a server of webrtc-direct would answer, written by who dials it.
    pub fn of_server(server: Credentials, fingerprint: Fingerprint, address: SocketAddr) -> Self {
        let (ip, port) = (address.ip(), address.port());
        Self {
            credentials: server,
            fingerprint,
            setup: Setup::Passive,
            ice_lite: true,
            mid: "0".into(),
            max_message_bytes: FRAME_BYTES as u32,
            candidates: vec![format!("candidate:1 1 UDP 2130706431 {ip} {port} typ host")],
        }
    }

    /// Reads the first section of data channels in `sdp`.
    pub fn parse(sdp: &str) -> Result<Self, SdpError> {
        let mut found = Found::default();
        let mut sections = 0;
        for line in sdp.lines().take(LINES) {
            if line.starts_with("m=") {
                sections += 1;
                if sections == 1 && !line.ends_with("webrtc-datachannel") {
                    return Err(SdpError("section of data channels"));
                }
            }
            if let Some(attribute) = line.strip_prefix("a=")
                && sections <= 1
            {
                found.take(attribute);
            }
        }
        if sections == 0 {
            return Err(SdpError("section of data channels"));
        }
        found.description()
    }
}

/// What has been read.
#[derive(Default)]
struct Found<'a> {
    ufrag: Option<&'a str>,
    password: Option<&'a str>,
    fingerprint: Option<Fingerprint>,
    setup: Option<Setup>,
    ice_lite: bool,
    mid: Option<&'a str>,
    max_message_bytes: Option<u32>,
    candidates: Vec<String>,
}

impl<'a> Found<'a> {
    fn take(&mut self, attribute: &'a str) {
        let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
        match name {
            "ice-ufrag" => self.ufrag = Some(value),
            "ice-pwd" => self.password = Some(value),
            // There may be several, of several hashes.
            "fingerprint" => self.fingerprint = value.parse().ok().or(self.fingerprint),
            "setup" => {
                self.setup = match value {
                    "actpass" => Some(Setup::ActPass),
                    "active" => Some(Setup::Active),
                    "passive" => Some(Setup::Passive),
                    _ => None,
                }
            }
            "ice-lite" => self.ice_lite = true,
            "mid" => self.mid = Some(value),
            "max-message-size" => self.max_message_bytes = value.parse().ok(),
            "candidate" => self.candidates.push(attribute.into()),
            _ => {}
        }
    }

    fn description(self) -> Result<Description, SdpError> {
        Ok(Description {
            credentials: Credentials {
                ufrag: self.ufrag.ok_or(SdpError("ice-ufrag"))?.into(),
                password: self.password.ok_or(SdpError("ice-pwd"))?.into(),
            },
            fingerprint: self.fingerprint.ok_or(SdpError("fingerprint"))?,
            setup: self.setup.ok_or(SdpError("setup"))?,
            ice_lite: self.ice_lite,
            mid: self.mid.unwrap_or("0").into(),
            // <https://www.rfc-editor.org/rfc/rfc8841#section-6.1>: "the default value is 64K".
            max_message_bytes: self.max_message_bytes.unwrap_or(64 * 1024),
            candidates: self.candidates,
        })
    }
}

/// The text for `setRemoteDescription` and for signalling.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |line: fmt::Arguments<'_>| write!(f, "{line}\r\n");
        line(format_args!("v=0"))?;
        line(format_args!("o=- 0 0 IN IP4 0.0.0.0"))?;
        line(format_args!("s=-"))?;
        line(format_args!("t=0 0"))?;
        line(format_args!("a=group:BUNDLE {}", self.mid))?;
        if self.ice_lite {
            line(format_args!("a=ice-lite"))?;
        }
        line(format_args!("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"))?;
        line(format_args!("c=IN IP4 0.0.0.0"))?;
        line(format_args!("a=mid:{}", self.mid))?;
        line(format_args!("a=ice-options:trickle"))?;
        line(format_args!("a=ice-ufrag:{}", self.credentials.ufrag))?;
        line(format_args!("a=ice-pwd:{}", self.credentials.password))?;
        line(format_args!("a=fingerprint:{}", self.fingerprint))?;
        let setup = match self.setup {
            Setup::ActPass => "actpass",
            Setup::Active => "active",
            Setup::Passive => "passive",
        };
        line(format_args!("a=setup:{setup}"))?;
        line(format_args!("a=sctp-port:5000"))?;
        line(format_args!("a=max-message-size:{}", self.max_message_bytes))?;
        for candidate in &self.candidates {
            line(format_args!("a={candidate}"))?;
        }
        Ok(())
    }
}

/// `sdp` with other ICE credentials: version 1 of webrtc-direct changes the offer that the browser made.
pub fn munge(sdp: &str, credentials: &Credentials) -> String {
    let mut out = String::with_capacity(sdp.len() + 128);
    for line in sdp.lines() {
        if line.starts_with("a=ice-ufrag:") {
            out.extend(["a=ice-ufrag:", &credentials.ufrag]);
        } else if line.starts_with("a=ice-pwd:") {
            out.extend(["a=ice-pwd:", &credentials.password]);
        } else {
            out.push_str(line);
        }
        out.push_str("\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// As Chromium 140 offers.
    const OFFER: &str = "v=0\r\no=- 8127634 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE data\r\n\
        a=extmap-allow-mixed\r\na=msid-semantic: WMS\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n\
        c=IN IP4 0.0.0.0\r\na=ice-ufrag:Qx1/\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\n\
        a=fingerprint:sha-256 01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:\
        1F:20\r\na=setup:actpass\r\na=mid:data\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

    #[test]
    fn a_browsers_offer_is_understood() {
        let offer = Description::parse(OFFER).expect("is one");
        assert_eq!(
            offer,
            Description {
                credentials: Credentials {
                    ufrag: "Qx1/".into(),
                    password: "abcdefghijklmnopqrstuvwx".into()
                },
                fingerprint: Fingerprint::new(std::array::from_fn(|at| at as u8 + 1)),
                setup: Setup::ActPass,
                ice_lite: false,
                mid: "data".into(),
                max_message_bytes: 262_144,
                candidates: vec![],
            }
        );
        assert_eq!(Description::parse(&offer.to_string()), Ok(offer));
    }

    #[test]
    fn a_servers_answer_holds_all_that_a_browser_needs() {
        let credentials = Credentials::v1([1; 16]);
        let address = "[fe80::1]:4001".parse().expect("is one");
        let answer = Description::of_server(credentials, Fingerprint::new([2; 32]), address);
        let text = answer.to_string();
        for line in [
            "a=ice-lite",
            "a=setup:passive",
            "a=max-message-size:16384",
            "a=candidate:1 1 UDP 2130706431 fe80::1 4001 typ host",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in {text}");
        }
        assert_eq!(Description::parse(&text), Ok(answer));
    }

    #[test]
    fn munging_changes_the_credentials_alone() {
        let credentials = Credentials::v1([3; 16]);
        let munged = munge(OFFER, &credentials);
        let mut expected = Description::parse(OFFER).expect("is one");
        expected.credentials = credentials;
        assert_eq!(Description::parse(&munged), Ok(expected));
        assert_eq!(munged.lines().count(), OFFER.lines().count());
    }

    #[test]
    fn what_is_missing_is_named() {
        let without = |line: &str| {
            let kept: Vec<_> = OFFER.lines().filter(|kept| !kept.starts_with(line)).collect();
            Description::parse(&kept.join("\r\n")).expect_err("is refused").0
        };
        assert_eq!(without("a=ice-ufrag"), "ice-ufrag");
        assert_eq!(without("a=fingerprint"), "fingerprint");
        assert_eq!(without("m="), "section of data channels");
        assert!(Description::parse(&OFFER.replace("webrtc-datachannel", "0")).is_err());
    }
}
