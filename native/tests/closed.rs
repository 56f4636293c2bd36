//! Closed topics and parameters of topics, from the command line.

mod common;

use std::{fs, path::Path, process::Output};

use common::{Background, Relay, braidcast, run, stderr, stdout};

/// Makes a topic key in `dir`; its path, and what is in it.
fn key(dir: &Path, name: &str) -> (String, String) {
    let path = dir.join(name).to_str().unwrap().to_owned();
    let made = run(&["keygen", "--topic-key", "--out", &path]);
    assert!(made.status.success(), "{}", stderr(&made));
    assert_eq!(stdout(&made), format!("file     {path}\n"));
    let secret = fs::read_to_string(&path).unwrap().trim().to_owned();
    assert_eq!(secret.len(), 64);
    (path, secret)
}

/// Of the room, once a relay answers.
fn subscriber(relay: &str, more: &[&str]) -> Background {
    let args = ["subscribe", "room", "--relay", relay, "--timeout", "60", "--count", "1", "--output", "json"];
    let process = Background::start(braidcast().args(args).args(more));
    assert_eq!(process.json()["ready"], true);
    process
}

fn publish(relay: &str, more: &[&str]) -> Output {
    braidcast().args(["publish", "room", "--relay", relay, "--text", "psst"]).args(more).output().unwrap()
}

#[test]
fn members_meet_through_a_relay_that_is_none_and_a_stranger_is_told_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let (right, secret) = key(dir.path(), "right.key");
    let (wrong, other) = key(dir.path(), "wrong.key");
    let relay = Relay::start(&dir.path().join("relay"), &[]);
    let url = relay.url();
    let receiver = subscriber(&url, &["--mode", "closed", "--key-file", &right]);

    let refused = publish(&url, &["--mode", "closed", "--key-file", &wrong, "--timeout", "8", "-vvv"]);
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    let expected = format!("holds another key of topic \"room\" than {wrong}: compare the two, one is wrong");
    assert!(said.lines().last().unwrap().contains(&expected), "{said}");
    assert!(!said.contains(&secret) && !said.contains(&other), "{said}");

    let sent = publish(&url, &["--mode", "closed", "--key-file", &right]);
    assert!(sent.status.success(), "{}", stderr(&sent));
    assert_eq!(receiver.json()["text"], "psst");
    assert!(receiver.finish().0.success());
    let metrics = String::from_utf8(relay.get("/metrics").body).unwrap();
    assert!(metrics.contains("braidcast_topics_closed 1\n"), "{metrics}");
    assert!(metrics.contains("braidcast_bulk_received_bytes_total 0\n"), "{metrics}");
}

#[test]
fn who_publishes_without_the_key_is_told_that_it_takes_one() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = key(dir.path(), "room.key");
    let relay = Relay::start(&dir.path().join("relay"), &[]);
    let _member = subscriber(&relay.url(), &["--mode", "closed", "--key-file", &path]);
    let refused = publish(&relay.url(), &["--timeout", "60"]);
    let said = stderr(&refused);
    assert_eq!(refused.status.code(), Some(3), "{said}");
    assert!(said.contains("get the key and use --mode closed --key-file FILE"), "{said}");
}

#[test]
fn a_relay_with_the_key_carries() {
    let dir = tempfile::tempdir().unwrap();
    let (path, _) = key(dir.path(), "room.key");
    let closed = format!("room={path}");
    let relay = Relay::start(&dir.path().join("relay"), &["--closed-topic", &closed]);
    let member = ["--mode", "closed", "--key-file", &path];
    let receiver = subscriber(&relay.url(), &member);
    let sent = publish(&relay.url(), &member);
    assert!(sent.status.success(), "{}", stderr(&sent));
    assert_eq!(receiver.json()["text"], "psst");
}

#[test]
fn parameters_are_taken_and_what_cannot_be_is_refused_with_value_and_limit() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let receiver = subscriber(&relay.url(), &["--mesh-target", "4", "--threshold", "0.5"]);
    let file = dir.path().join("noise");
    fs::write(
        &file,
        (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>(),
    )
    .unwrap();
    let args = ["publish", "room", "--relay", &relay.url(), "--file", file.to_str().unwrap()];
    let sent =
        braidcast().args(args).args(["--shard-factor", "16", "--shard-multiplier", "1.5"]).output().unwrap();
    assert!(sent.status.success(), "{}", stderr(&sent));
    assert_eq!(receiver.json()["bytes"], 200_000);

    let (path, _) = key(dir.path(), "room.key");
    for (more, expected) in [
        (
            &["--shard-factor", "200", "--shard-multiplier", "1.5"][..],
            "make 200 source and 100 parity pieces, the limit is 1 to 256 together",
        ),
        (&["--mesh-min", "9"], "mesh minimum 9, target 8, maximum 12: each must be from 1 to"),
        (&["--shard-multiplier", "0.5"], "expected a number from 1 to 256, like 1.5"),
        (&["--threshold", "75"], "expected a number from 0 to 1, like 0.75"),
        (&["--mode", "closed"], "--mode closed needs --key-file FILE"),
        (&["--key-file", &path], "add --mode closed, or leave it out"),
        (
            &["--mode", "closed", "--key-file", "nowhere.key"],
            "topic key file nowhere.key does not exist: get it from a member",
        ),
        (&["--mode", "closed", "--key-file", file.to_str().unwrap()], "topic key file"),
    ] {
        let refused = publish(&relay.url(), more);
        assert!(
            !refused.status.success() && stderr(&refused).contains(expected),
            "{more:?}: {}",
            stderr(&refused)
        );
    }
}
