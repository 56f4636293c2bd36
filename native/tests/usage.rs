//! Arguments, exit codes and the identity file.

mod common;

use common::{braidcast, run, stderr, stdout};

#[test]
fn help_and_version_need_nothing() {
    for args in [&["--help"][..], &["relay", "--help"], &["subscribe", "--help"], &["publish", "--help"]] {
        let help = run(args);
        assert!(help.status.success());
        assert!(stdout(&help).contains("Examples:"), "{args:?}");
    }
    assert!(stdout(&run(&["--help"])).contains("nobody subscribes"));
    assert_eq!(stdout(&run(&["--version"])), concat!("braidcast ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn a_usage_error_is_exit_code_2_and_names_the_argument() {
    let long_topic = "x".repeat(257);
    for (args, said) in [
        (&["publish", "t", "--text", "a", "--file", "b"][..], "--file"),
        (&["publish", ""], "topic name is empty"),
        (&["subscribe", &long_topic], "257 bytes"),
        (&["subscribe", "t", "--relay", "/nonsense/1"], "--relay"),
        (&["subscribe", "t", "--output", "xml"], "files:DIR"),
        (&["subscribe", "t", "--count", "0"], "--count"),
        (&["subscribe", "t", "--stun", "turn:example.org"], "stun:HOST"),
        (&["relay", "--listen", "/ip4/127.0.0.1/sctp/1"], "quic-v1"),
        (&["relay", "--listen", "/nonsense/1"], "--listen"),
        (&["relay", "--http", "somewhere"], "--http"),
        (&["relay", "--max-peers", "0"], "--max-peers"),
        (&["relay", "--app", "/nonexistent"], "no such directory"),
        (&["relay", "--max-message-bytes", "0"], "from 1 to"),
        (&["keygen", "--out", "x", "--stdout"], "--stdout"),
        (&["nonsense"], "nonsense"),
        (&[], "Usage"),
    ] {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(2), "{args:?}");
        assert!(stderr(&refused).contains(said), "{args:?}: {}", stderr(&refused));
        assert_eq!(stdout(&refused), "");
    }
}

#[test]
fn options_come_from_the_environment_as_well() {
    let refused =
        braidcast().args(["relay"]).env("BRAIDCAST_LISTEN", "/ip4/127.0.0.1/tcp/0,oops").output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("oops"), "{}", stderr(&refused));
}

#[test]
fn a_relay_that_is_not_there_is_exit_code_4() {
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}");
    for args in [&["publish", "t", "--text", "x", "--relay", &url][..], &["subscribe", "t", "--relay", &url]]
    {
        let failed = run(args);
        assert_eq!(failed.status.code(), Some(4), "{}", stderr(&failed));
        assert!(stderr(&failed).contains(&url) && stderr(&failed).contains("--relay"), "{}", stderr(&failed));
    }
}

#[test]
fn what_cannot_be_sent_is_refused_before_connecting() {
    let missing = run(&["publish", "t", "--file", "/nonexistent/file"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(stderr(&missing).contains("/nonexistent/file"), "{}", stderr(&missing));
    let long = run(&["publish", "t", "--text", "12345", "--max-message-bytes", "4"]);
    assert_eq!(long.status.code(), Some(1));
    assert!(stderr(&long).contains("5 bytes") && stderr(&long).contains("limit is 4"), "{}", stderr(&long));
}

#[test]
fn keygen_writes_a_private_file_and_never_replaces_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/ada.key");
    let path = path.to_str().unwrap();
    let made = run(&["keygen", "--out", path, "--output", "json"]);
    assert!(made.status.success(), "{}", stderr(&made));
    let secret = std::fs::read_to_string(path).unwrap();
    assert_eq!(secret.trim_end().len(), 64);
    assert!(stdout(&made).contains("12D3KooW") && !stdout(&made).contains(secret.trim_end()));
    #[cfg(unix)]
    assert_eq!(common::mode(path), 0o600);

    let again = run(&["keygen", "--out", path]);
    assert_eq!(again.status.code(), Some(1));
    assert!(stderr(&again).contains(path) && stderr(&again).contains("--out"), "{}", stderr(&again));
    assert_eq!(std::fs::read_to_string(path).unwrap(), secret);
}

#[test]
fn keygen_prints_the_secret_only_when_told_to() {
    let printed = run(&["keygen", "--stdout"]);
    assert!(printed.status.success());
    assert_eq!(stdout(&printed).trim_end().len(), 64);
    assert!(stderr(&printed).contains("12D3KooW"));
}
