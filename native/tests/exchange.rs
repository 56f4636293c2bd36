//! Messages from one process to another through a relay.

mod common;

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    iter,
    net::{Shutdown, TcpListener, TcpStream},
    path::Path,
    process::{Output, Stdio},
    thread,
};

use common::{Background, Relay, braidcast, stderr, stdout};

fn subscriber(topic: &str, relay: &str, more: &[&str]) -> Background {
    let process = Background::start(
        braidcast()
            .args(["subscribe", topic, "--relay", relay, "--timeout", "60", "--count", "1"])
            .args(more),
    );
    if more.contains(&"json") {
        let ready = process.json();
        assert!(
            ready["ready"] == true && ready["peerId"].is_string() && ready["relay"].is_string(),
            "{ready}"
        );
    }
    process
}

fn publish(topic: &str, relay: &str, more: &[&str]) -> Output {
    let done = braidcast().args(["publish", topic, "--relay", relay]).args(more).output().unwrap();
    assert!(done.status.success(), "{}", stderr(&done));
    done
}

fn publish_stdin(topic: &str, relay: &str, input: &[u8]) {
    let mut child = braidcast()
        .args(["publish", topic, "--relay", relay])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_text_arrives_as_json() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let receiver = subscriber("news", &relay.url(), &["--output", "json"]);
    let sent = publish("news", &relay.url(), &["--text", "héllo\x1b[31m", "--output", "json"]);
    let sent: serde_json::Value = serde_json::from_str(stdout(&sent)).unwrap();
    assert_eq!((&sent["bytes"], &sent["reached"]), (&11.into(), &1.into()));
    let got = receiver.json();
    assert_eq!((&got["id"], &got["topic"], &got["bytes"]), (&sent["id"], &"news".into(), &11.into()));
    assert_eq!((&got["text"], &got["contentType"]), (&"héllo\x1b[31m".into(), &"text/plain".into()));
    assert!(got["publishedAt"].as_u64().unwrap() > 1_600_000_000_000 && got.get("base64").is_none());
    let (status, rest) = receiver.finish();
    assert!(status.success() && rest.is_empty(), "{rest:?}");
}

#[test]
fn a_text_arrives_as_a_line_without_escapes_and_only_on_its_topic() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let news = subscriber("news", relay.address("tcp"), &[]);
    let other = subscriber("other", &relay.url(), &[]);
    publish("news", &relay.url(), &["--text", "héllo\x1b[31m"]);
    publish("other", &relay.url(), &["--text", "two\nlines"]);
    let (status, lines) = news.finish();
    assert!(status.success() && lines.len() == 1, "{lines:?}");
    assert!(lines[0].ends_with("text/plain 11 B: héllo[31m"), "{lines:?}");
    let (status, lines) = other.finish();
    assert!(status.success() && lines.len() == 2, "{lines:?}");
    assert!(lines[0].ends_with("text/plain 9 B: two") && lines[1] == "    lines", "{lines:?}");
}

#[test]
fn the_empty_message_and_one_byte_are_messages() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    for (topic, input, content_type, field, value) in [
        ("empty", &b""[..], "text/plain", "text", ""),
        ("one", b"\xff", "application/octet-stream", "base64", "/w=="),
    ] {
        let receiver = subscriber(topic, &relay.url(), &["--output", "json"]);
        publish_stdin(topic, &relay.url(), input);
        let got = receiver.json();
        assert_eq!(got["bytes"], input.len());
        assert_eq!((&got["contentType"], &got[field]), (&content_type.into(), &value.into()));
        assert!(receiver.finish().0.success());
    }
}

#[test]
fn two_mebibytes_arrive_unchanged() {
    let (dir, inbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let relay = Relay::start(dir.path(), &[]);
    let payload = noise(2 << 20);
    let source = dir.path().join("noise.bin");
    fs::write(&source, &payload).unwrap();
    for transport in ["tcp", "quic-v1", "ws"] {
        let at = relay.address(transport);
        let into = inbox.path().join(transport);
        let sink = format!("files:{}", into.display());
        let receiver = subscriber(transport, at, &["--output", &sink]);
        let sent = publish(transport, at, &["--file", source.to_str().unwrap()]);
        assert!(stdout(&sent).ends_with("2097152 bytes\n"), "{}", stdout(&sent));
        let path = receiver.line();
        assert_eq!(Path::new(&path), into.join("noise.bin"));
        assert_eq!(blake3::hash(&fs::read(&path).unwrap()), blake3::hash(&payload), "over {transport}");
        assert!(receiver.finish().0.success());
    }
}

#[test]
fn a_hostile_file_name_stays_in_the_directory() {
    let (dir, inbox) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let relay = Relay::start(dir.path(), &[]);
    let into = inbox.path().join("in");
    let sink = format!("files:{}", into.display());
    for (topic, (name, expected)) in ["a", "b", "c"].into_iter().zip([
        ("../../👩‍🚀 \u{202e}שלום.txt", "👩‍🚀 שלום.txt"),
        ("/etc/cron.d/evil", "evil"),
        ("..\\..\\con", "_con"),
    ]) {
        let receiver = subscriber(topic, &relay.url(), &["--output", &sink]);
        publish(topic, &relay.url(), &["--text", "x", "--name", name]);
        assert_eq!(Path::new(&receiver.line()), into.join(expected));
        assert!(receiver.finish().0.success());
    }
    assert_eq!(fs::read_dir(&into).unwrap().count(), 3);
    assert_eq!(fs::read_dir(inbox.path()).unwrap().count(), 1);
}

#[test]
fn a_topic_without_subscribers_is_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let alone = braidcast()
        .args(["publish", "alone", "--text", "x", "--timeout", "2", "--relay", &relay.url()])
        .output()
        .unwrap();
    assert_eq!(alone.status.code(), Some(3), "{}", stderr(&alone));
    assert!(stderr(&alone).contains("\"alone\"") && stderr(&alone).contains("braidcast subscribe"));
}

#[test]
#[cfg(unix)]
fn a_subscriber_outlives_its_relay() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let address = relay.address("tcp").to_owned();
    let receiver = subscriber("back", &address, &["--output", "json"]);
    assert!(relay.process.terminate().0.success());
    // The same port and key again.
    let (listen, _) = address.split_once("/p2p/").unwrap();
    let again = Relay::run(
        braidcast()
            .args(["relay", "--output", "json", "--http", "127.0.0.1:0", "--listen", listen, "--data-dir"])
            .arg(dir.path()),
    );
    publish("back", &again.url(), &["--text", "again", "--timeout", "60"]);
    assert_eq!(receiver.json()["text"], "again");
    assert!(receiver.finish().0.success());
}

#[test]
fn a_subscriber_ends_quietly_with_its_reader() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let mut child = braidcast()
        .args(["subscribe", "pipe", "--output", "json", "--relay", &relay.url()])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    // Standard output is closed now.
    publish("pipe", &relay.url(), &["--text", "nobody reads this"]);
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success() && stderr(&done).is_empty(), "{}", stderr(&done));
}

#[test]
fn a_message_whose_only_taker_leaves_goes_to_who_comes_next() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let line = line(&relay, iter::once(200_000).chain(iter::repeat(u64::MAX)));
    let url = relay.url();
    let args = ["subscribe", "line", "--relay", &url, "--timeout", "60", "--count", "2", "--output", "json"];
    let receiver = Background::start(braidcast().args(args));
    assert_eq!(receiver.json()["ready"], true);
    let source = dir.path().join("noise.bin");
    fs::write(&source, noise(1 << 20)).unwrap();
    let sent = publish("line", &line, &["--file", source.to_str().unwrap(), "--timeout", "60"]);
    assert!(stderr(&sent).contains("all subscribers left, and nobody said to have all"), "{}", stderr(&sent));
    publish("line", &url, &["--text", "and that once"]);
    assert_eq!(receiver.json()["bytes"], 1 << 20);
    assert_eq!(receiver.json()["text"], "and that once");
}

#[test]
fn a_message_whose_takers_all_leave_is_exit_code_3() {
    let dir = tempfile::tempdir().unwrap();
    let relay = Relay::start(dir.path(), &[]);
    let line = line(&relay, iter::once(200_000));
    let _receiver = subscriber("line", &relay.url(), &["--output", "json"]);
    let source = dir.path().join("noise.bin");
    fs::write(&source, noise(1 << 20)).unwrap();
    let args = ["publish", "line", "--relay", &line, "--file", source.to_str().unwrap(), "--timeout", "5"];
    let alone = braidcast().args(args).output().unwrap();
    let said = stderr(&alone);
    assert_eq!(alone.status.code(), Some(3), "{said}");
    assert!(said.lines().last().unwrap().contains("left, nobody said to have all of the message"), "{said}");
}

/// An address of a relay where each connection breaks after so many bytes to it, and after the last nobody answers.
fn line(relay: &Relay, limits: impl Iterator<Item = u64> + Send + 'static) -> String {
    let (host, id) = relay.address("tcp").split_once("/p2p/").unwrap();
    let far = format!("127.0.0.1:{}", host.rsplit('/').next().unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("/ip4/127.0.0.1/tcp/{}/p2p/{id}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for limit in limits {
            let (near, far) = (listener.accept().unwrap().0, TcpStream::connect(&far).unwrap());
            let (mut from, mut to) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            thread::spawn(move || io::copy(&mut from, &mut to));
            thread::spawn(move || {
                let _ = io::copy(&mut (&near).take(limit), &mut &far);
                let _ = near.shutdown(Shutdown::Both);
                let _ = far.shutdown(Shutdown::Both);
            });
        }
    });
    address
}

/// Bytes that do not compress and are the same at each run.
fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(b"noise").finalize_xof().fill(&mut bytes);
    bytes
}
