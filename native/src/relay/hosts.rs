//! Which `Host` headers are answered: the defence against DNS rebinding, where a page of a stranger's site resolves
//! its own name to 127.0.0.1 and then reads what listens there as if it were its own.

use std::net::IpAddr;

use axum::http::{Request, header, uri::Authority};

/// The names under which the HTTP server is meant to be reached. Ports do not matter.
#[derive(Clone, Debug)]
pub(crate) struct Hosts {
    names: Vec<String>,
    others: Others,
}

/// What holds for a host that is neither named nor loopback.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Bound to loopback: nobody else has reason to ask.
    Refused,
    /// Bound to a network with `--allow-host`: an address in digits cannot be rebound, a name can.
    Addresses,
    /// Bound to a network, and no name was given.
    Allowed,
}

/// Why a request is not answered.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    #[error("this request has no usable Host header")]
    Missing,
    #[error(
        "this relay does not answer for the host {0:?}: ask for localhost or 127.0.0.1, or start it with \
         --allow-host {0}"
    )]
    Refused(String),
}

impl Hosts {
    /// `bound` is the address of the listening socket, `names` what the operator allows besides loopback.
    pub(crate) fn new(bound: IpAddr, names: &[String]) -> Self {
        let names: Vec<_> = names.iter().map(|name| normal(name)).filter(|name| !name.is_empty()).collect();
        let others = match (bound.to_canonical().is_loopback(), names.is_empty()) {
            (true, _) => Others::Refused,
            (false, false) => Others::Addresses,
            (false, true) => Others::Allowed,
        };
        Self { names, others }
    }

    /// Judges the `Host` header, and the target's authority when it has one (RFC 9112 section 3.2.2: "a recipient
    /// MUST ignore the received Host header field"; here both must be right, because proxies differ).
    pub(crate) fn check<B>(&self, request: &Request<B>) -> Result<(), HostError> {
        let mut headers = request.headers().get_all(header::HOST).iter();
        let (Some(value), None) = (headers.next(), headers.next()) else { return Err(HostError::Missing) };
        let authority: Authority =
            value.to_str().ok().and_then(|text| text.parse().ok()).ok_or(HostError::Missing)?;
        self.check_authority(&authority)?;
        request.uri().authority().map_or(Ok(()), |authority| self.check_authority(authority))
    }

    fn check_authority(&self, authority: &Authority) -> Result<(), HostError> {
        if authority.as_str().contains('@') {
            return Err(HostError::Missing);
        }
        let host = normal(authority.host());
        if self.allows(&host) { Ok(()) } else { Err(HostError::Refused(host)) }
    }

    fn allows(&self, host: &str) -> bool {
        let named =
            matches!(host, "localhost" | "127.0.0.1" | "[::1]") || self.names.iter().any(|name| name == host);
        named
            || match self.others {
                Others::Refused => false,
                Others::Addresses => host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok(),
                Others::Allowed => true,
            }
    }
}

/// Lower case, without the root's dot, IPv6 addresses in brackets.
fn normal(host: &str) -> String {
    let host = host.trim().to_ascii_lowercase();
    let host = host.strip_suffix('.').unwrap_or(&host);
    if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hosts: &Hosts, host: &str) -> bool {
        hosts.check(&Request::get("/").header(header::HOST, host).body(()).unwrap()).is_ok()
    }

    #[test]
    fn on_loopback_only_its_own_names_and_the_allowed_ones_are_answered() {
        let hosts = Hosts::new([127, 0, 0, 1].into(), &["Relay.Example.org".into(), "fd00::1".into()]);
        for host in [
            "localhost",
            "localhost:8080",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:80",
            "relay.example.org",
            "relay.example.org:443",
            "[fd00::1]:80",
        ] {
            assert!(allowed(&hosts, host), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "127.0.0.2",
            "0.0.0.0",
            "192.168.1.1",
            "[::]",
            "::1",
            "",
            "a@localhost",
            "localhost@evil.example",
            "localhost/..",
            "xrelay.example.org",
            "[::1",
        ] {
            assert!(!allowed(&hosts, host), "{host}");
        }
    }

    #[test]
    fn on_a_network_addresses_are_answered_and_names_if_none_was_chosen() {
        let open = Hosts::new([0, 0, 0, 0].into(), &[]);
        let named = Hosts::new([0, 0, 0, 0].into(), &["relay.example.org".into()]);
        for (host, of_open, of_named) in [
            ("10.0.0.7:8080", true, true),
            ("[2001:db8::1]:8080", true, true),
            ("localhost", true, true),
            ("relay.example.org", true, true),
            ("evil.example", true, false),
        ] {
            assert_eq!((allowed(&open, host), allowed(&named, host)), (of_open, of_named), "{host}");
        }
    }

    #[test]
    fn one_host_header_and_no_other_authority() {
        let hosts = Hosts::new([127, 0, 0, 1].into(), &[]);
        let none = Request::get("/").body(()).unwrap();
        assert_eq!(hosts.check(&none), Err(HostError::Missing));
        let two = Request::get("/").header(header::HOST, "localhost").header(header::HOST, "evil.example");
        assert_eq!(hosts.check(&two.body(()).unwrap()), Err(HostError::Missing));
        let target = Request::get("http://evil.example/").header(header::HOST, "localhost").body(()).unwrap();
        assert_eq!(hosts.check(&target), Err(HostError::Refused("evil.example".into())));
    }

    #[test]
    fn a_mapped_loopback_address_is_loopback() {
        assert_eq!(Hosts::new("::ffff:127.0.0.1".parse().unwrap(), &[]).others, Others::Refused);
    }
}
