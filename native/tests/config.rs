//! The relay's TOML file.

mod common;

use std::{fs, path::PathBuf};

use common::{Relay, braidcast, relay_command, run, stderr};

fn file(dir: &tempfile::TempDir, text: &str) -> String {
    let path: PathBuf = dir.path().join("relay.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().into()
}

#[test]
fn the_command_line_overrules_the_environment_and_that_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let config = file(
        &dir,
        "# A relay for a test.\nmax-topics = 2\nallow-host = [\"file.example\", \"other.example\"]\nexternal = \"/dns4/file.example/tcp/1\"\n",
    );
    let announced = |relay: &Relay, name: &str| relay.addresses.iter().any(|address| address.contains(name));
    let relay = Relay::start(dir.path(), &["--config", &config]);
    assert!(announced(&relay, "file.example"), "{:?}", relay.addresses);
    let statuses =
        ["file.example", "other.example", "x.example"].map(|host| relay.ask("/health", host).status);
    assert_eq!(statuses, [200, 200, 421]);
    drop(relay);
    let mut command = relay_command(dir.path(), &["--config", &config]);
    let relay = Relay::run(command.env("BRAIDCAST_EXTERNAL", "/dns4/env.example/tcp/1"));
    assert!(announced(&relay, "env.example") && !announced(&relay, "file.example"), "{:?}", relay.addresses);
    drop(relay);
    let mut command = relay_command(dir.path(), &["--external", "/dns4/flag.example/tcp/1"]);
    let command =
        command.env("BRAIDCAST_EXTERNAL", "/dns4/env.example/tcp/1").env("BRAIDCAST_CONFIG", &config);
    let relay = Relay::run(command);
    assert!(announced(&relay, "flag.example") && !announced(&relay, "env.example"), "{:?}", relay.addresses);
}

#[test]
fn what_cannot_be_is_refused_with_file_line_and_key() {
    let dir = tempfile::tempdir().unwrap();
    for (text, expected) in [
        (
            "max-peers = 10\n\nmax-pears = 10",
            ":3: \"max-pears\" is no option: `braidcast relay --help` lists them",
        ),
        ("\nmax-peers = 0", ":2: max-peers: invalid value '0' for '--max-peers <N>'"),
        ("max-topics = \"many\"", ":1: max-topics: invalid value 'many'"),
        ("http = true", ":1: http: found boolean, expected text, a whole number, or a list of them"),
        (
            "listen = [\"/ip4/127.0.0.1/tcp/0\",\n  \"/ip4/127.0.0.1\"]",
            ":1: listen: invalid value '/ip4/127.0.0.1'",
        ),
        ("[relay]\nmax-peers = 1", ":1: \"relay\" is no option"),
        ("max-peers = 1\nmax-peers = 2", ":2: duplicate key"),
        ("max-peers", ":1: "),
        ("config = \"other.toml\"", ":1: \"config\" is no option"),
    ] {
        let config = file(&dir, text);
        let refused = run(&["relay", "--config", &config]);
        let said = stderr(&refused);
        assert!(
            refused.status.code() == Some(2) && said.contains(&format!("{config}{expected}")),
            "{text}: {said}"
        );
    }
    let refused = braidcast().args(["relay", "--config", "/nowhere/relay.toml"]).output().unwrap();
    assert!(
        stderr(&refused).contains("cannot read configuration /nowhere/relay.toml"),
        "{}",
        stderr(&refused)
    );
}
