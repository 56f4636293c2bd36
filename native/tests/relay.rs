//! The relay as its operator and its visitors see it.

mod common;

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::{TcpListener, TcpStream},
};

use common::{PATIENCE, Relay, braidcast, relay_command, stderr};

#[test]
fn starts_on_free_ports_and_says_where() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    assert!(relay.peer_id.starts_with("12D3KooW"));
    let suffix = format!("/p2p/{}", relay.peer_id);
    assert_eq!(relay.addresses.len(), 3, "{:?}", relay.addresses);
    for address in &relay.addresses {
        assert!(address.ends_with(&suffix) && !address.contains("/0/"), "{address}");
    }

    let health = relay.get("/health");
    assert_eq!((health.status, health.json()["status"].as_str()), (200, Some("ok")));
    assert_eq!(health.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(health.header("referrer-policy"), Some("no-referrer"));

    let metrics = relay.get("/metrics");
    assert!(
        metrics.header("content-type").unwrap().starts_with("application/openmetrics-text; version=1.0.0")
    );
    assert!(metrics.text().contains("\nbraidcast_peers 0\n"), "{}", metrics.text());
    assert!(metrics.text().contains("\nbraidcast_http_requests_total 1\n"), "{}", metrics.text());
    assert!(metrics.text().contains("\nbraidcast_circuits_open 0\n"), "{}", metrics.text());
    assert!(metrics.text().contains(&relay.peer_id) && metrics.text().ends_with("# EOF\n"));

    let known = relay.get("/.well-known/braidcast");
    assert_eq!(known.header("access-control-allow-origin"), Some("*"));
    let known = known.json();
    assert_eq!(known["peerId"], *relay.peer_id);
    assert_eq!(known["addresses"], serde_json::to_value(&relay.addresses).unwrap());
    let listens = relay.addresses.iter().any(|address| address.contains("/webrtc-direct"));
    let versions = if listens { serde_json::json!([1, 2]) } else { serde_json::json!([]) };
    assert_eq!(known["webrtcDirect"], versions);
    assert!(known["agent"].as_str().unwrap().starts_with("braidcast/"));

    assert_eq!(relay.get("/").status, 200);
    assert_eq!(relay.get("/nothing").status, 404);
}

#[test]
#[cfg(unix)]
fn stops_when_asked_although_a_client_lingers() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let mut lingering = TcpStream::connect(&relay.http).unwrap();
    lingering.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
    let (status, rest) = relay.process.terminate();
    assert!(status.success(), "{status}");
    assert_eq!(rest, [""; 0], "JSON output is exactly one line");
}

#[test]
fn a_host_that_is_not_its_own_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &["--allow-host", "relay.example.org"]);
    for path in ["/", "/health", "/metrics", "/.well-known/braidcast", "/nothing"] {
        let refused = relay.ask(path, "evil.example");
        assert_eq!(refused.status, 421, "{path}");
        assert!(refused.text().contains("--allow-host evil.example"), "{}", refused.text());
        assert_eq!(refused.header("access-control-allow-origin"), None);
    }
    for host in ["localhost", "127.0.0.1:9", "[::1]", "Relay.Example.Org:443"] {
        assert_eq!(relay.ask("/health", host).status, 200, "{host}");
    }
    for host in ["", "0.0.0.0", "127.0.0.1.nip.io", "localhost@evil.example"] {
        assert!(relay.ask("/health", host).status >= 400, "{host}");
    }
    let none = relay.send("GET /health HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(none.status, 400);
    let absolute = "GET http://evil.example/health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(relay.send(absolute).status, 421);
    // Text of the request comes back as plain text only.
    let script = relay.ask("/health", "<script>alert(1)</script>");
    assert!(script.status == 400 && !script.text().contains("script"), "{script:?}");
}

#[test]
fn nothing_is_written_by_request() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    for path in ["/", "/health", "/metrics", "/.well-known/braidcast"] {
        for method in ["POST", "PUT", "DELETE"] {
            let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
            assert_eq!(
                relay.send(&format!("{head}Content-Length: 0\r\n\r\n")).status,
                405,
                "{method} {path}"
            );
            assert_eq!(
                relay.send(&format!("{head}Content-Length: 1000000\r\n\r\n")).status,
                413,
                "{method} {path}"
            );
        }
    }
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    assert_eq!(relay.send(&long).status, 431);
}

#[test]
fn the_app_is_served_with_types_policy_and_revalidation() {
    let (dir, app) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (name, content) in [
        ("index.html", "<title>app</title>"),
        ("app.js", "1"),
        ("app.wasm", "\0asm"),
        ("style.css", "a{}"),
        ("app.webmanifest", "{}"),
    ] {
        fs::write(app.path().join(name), content).unwrap();
    }
    let relay = Relay::start(dir.path(), &["--app", app.path().to_str().unwrap()]);
    for (path, content_type) in [
        ("/", "text/html"),
        ("/app.js", "text/javascript"),
        ("/app.wasm", "application/wasm"),
        ("/style.css", "text/css"),
        ("/app.webmanifest", "application/manifest+json"),
    ] {
        let file = relay.get(path);
        assert_eq!((file.status, file.header("content-type")), (200, Some(content_type)), "{path}");
        assert_eq!(file.header("cache-control"), Some("no-cache"));
        let policy = file.header("content-security-policy").unwrap();
        assert!(
            policy.contains("script-src 'self' 'wasm-unsafe-eval';")
                && policy.contains("frame-ancestors 'none'")
        );
        let again = relay.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: {}\r\nConnection: close\r\n\r\n",
            file.header("etag").unwrap()
        ));
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
    }
    for path in ["/../identity.key", "/%2e%2e/identity.key", "/..%2fidentity.key", "//etc/passwd", "/%00"] {
        assert!(relay.get(path).status >= 400, "{path}");
    }
    assert_eq!(relay.get("/health").json()["status"], "ok", "the app does not hide the relay's pages");
}

#[test]
fn clients_that_are_slow_with_their_heads_are_cut_off_and_bother_nobody() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let slow: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = TcpStream::connect(&relay.http).unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.write_all(b"GET /health HTTP/1.1\r\nHost: localhost\r\n").unwrap();
            stream
        })
        .collect();
    let metrics = relay.get("/metrics");
    let open = |text: &str| {
        text.lines().find_map(|line| line.strip_prefix("braidcast_http_connections ")?.parse().ok())
    };
    let open: usize = open(metrics.text()).expect("it is counted");
    // The first may have had their time meanwhile.
    let lingering = slow.iter().filter(|stream| lingers(stream)).count();
    assert!((lingering + 1..=301).contains(&open), "{open} open, {lingering} linger");
    for mut stream in slow {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).unwrap();
        assert!(!String::from_utf8(said).unwrap().contains("200"));
    }
}

/// Whether the other side has neither said anything nor closed.
fn lingers(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    seen.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn the_identity_is_private_and_stays() {
    let dir = tempfile::tempdir().unwrap();
    let first = Relay::start(dir.path(), &[]).peer_id.clone();
    #[cfg(unix)]
    assert_eq!(common::mode(dir.path().join("identity.key")), 0o600);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    assert_eq!(Relay::start(dir.path(), &[]).peer_id, first);
}

#[test]
fn a_bad_identity_file_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity.key");
    for garbage in [&b"garbage"[..], b"", &[0xff; 32], "0".repeat(65).as_bytes()] {
        fs::write(&path, garbage).unwrap();
        #[cfg(unix)]
        set_mode(&path, 0o600);
        let refused = relay_command(dir.path(), &[]).output().unwrap();
        assert_eq!(refused.status.code(), Some(1));
        let said = stderr(&refused);
        assert!(said.starts_with("error: identity file") && said.contains(path.to_str().unwrap()), "{said}");
        assert!(said.contains("restore") && !said.contains("garbage"), "{said}");
        assert_eq!(fs::read(&path).unwrap(), garbage);
    }
}

#[test]
#[cfg(unix)]
fn an_identity_file_that_others_can_read_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("identity.key");
    fs::write(&path, "0a".repeat(32)).unwrap();
    set_mode(&path, 0o640);
    let refused = relay_command(dir.path(), &[]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(
        stderr(&refused).contains("chmod 600") && stderr(&refused).contains("640"),
        "{}",
        stderr(&refused)
    );
    assert!(!stderr(&refused).contains("0a0a"));
}

#[cfg(unix)]
fn set_mode(path: &std::path::Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn an_address_in_use_is_named_with_its_flag() {
    let dir = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (flag, value, named) in [
        ("--http", format!("127.0.0.1:{port}"), format!("127.0.0.1:{port}")),
        ("--listen", format!("/ip4/127.0.0.1/tcp/{port}"), format!("tcp/{port}")),
    ] {
        let mut command = braidcast();
        command.args(["relay", flag, &value, "--data-dir"]).arg(dir.path());
        if flag == "--listen" {
            command.args(["--http", "127.0.0.1:0"]);
        }
        let refused = command.output().unwrap();
        let said = stderr(&refused);
        assert_eq!(refused.status.code(), Some(1), "{said}");
        assert!(said.contains(&named) && said.contains(flag) && said.contains("in use"), "{said}");
    }
}
