//! Runs the real binary, and talks to it as a stranger would. Nothing sleeps: tests wait for lines.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use serde_json::Value;

/// For anything at all; a test that works needs a fraction.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The binary, without the environment of whoever runs the tests.
pub(crate) fn braidcast() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_braidcast"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("BRAIDCAST_") || name == "RUST_LOG") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null());
    command
}

/// Runs to the end.
pub(crate) fn run(args: &[&str]) -> Output {
    braidcast().args(args).output().unwrap()
}

pub(crate) fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

pub(crate) fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// A process in the background; killed when dropped.
pub(crate) struct Background {
    child: Child,
    lines: Receiver<String>,
}

impl Background {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let (out, (send, lines)) = (BufReader::new(child.stdout.take().unwrap()), channel());
        thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        Self { child, lines }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("a line on standard output")
    }

    /// The next line as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Waits for the end; standard output ends with the process.
    pub(crate) fn finish(mut self) -> (ExitStatus, Vec<String>) {
        let mut rest = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => rest.push(line),
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => break,
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("still running; so far: {rest:?}"),
            }
        }
        (self.child.wait().unwrap(), rest)
    }

    /// Asks it to stop, as a service manager does.
    #[cfg(unix)]
    pub(crate) fn terminate(self) -> (ExitStatus, Vec<String>) {
        let done = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(done.success());
        self.finish()
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A relay on free ports.
pub(crate) struct Relay {
    pub(crate) process: Background,
    pub(crate) peer_id: String,
    /// `127.0.0.1:PORT`
    pub(crate) http: String,
    pub(crate) addresses: Vec<String>,
}

impl Relay {
    pub(crate) fn start(data_dir: &Path, more: &[&str]) -> Self {
        Self::run(&mut relay_command(data_dir, more))
    }

    pub(crate) fn run(command: &mut Command) -> Self {
        let process = Background::start(command);
        let ready = process.json();
        assert_eq!(ready["ready"], true);
        let addresses = ready["addresses"].as_array().unwrap();
        Self {
            process,
            peer_id: ready["peerId"].as_str().unwrap().into(),
            http: ready["http"].as_str().unwrap().strip_prefix("http://").unwrap().into(),
            addresses: addresses.iter().map(|address| address.as_str().unwrap().into()).collect(),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.http)
    }

    /// Where it listens over `transport`: tcp, quic-v1 or ws.
    pub(crate) fn address(&self, transport: &str) -> &str {
        let over = |address: &&String| {
            address.split('/').filter(|part| part.parse::<u16>().is_err()).nth_back(2) == Some(transport)
        };
        self.addresses.iter().find(over).expect("an address of every transport")
    }

    pub(crate) fn get(&self, path: &str) -> Response {
        self.ask(path, &self.http)
    }

    /// A GET as if the relay were called `host`.
    pub(crate) fn ask(&self, path: &str, host: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"))
    }

    /// Sends bytes and reads until the relay closes.
    pub(crate) fn send(&self, request: &str) -> Response {
        let mut stream = TcpStream::connect(&self.http).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        Response::parse(&bytes)
    }
}

pub(crate) fn relay_command(data_dir: &Path, more: &[&str]) -> Command {
    let mut command = braidcast();
    command
        .args(["relay", "--output", "json", "--http", "127.0.0.1:0", "--listen", "/ip4/127.0.0.1/tcp/0"])
        .args([
            "--listen",
            "/ip4/127.0.0.1/udp/0/quic-v1",
            "--listen",
            "/ip4/127.0.0.1/tcp/0/ws",
            "--data-dir",
        ])
        .arg(data_dir)
        .args(more);
    command
}

/// An HTTP response.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(bytes.len());
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok()).unwrap_or(0);
        Self { status, head, body: bytes.get(end + 4..).unwrap_or_default().to_vec() }
    }

    /// The value of a header, given in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// The permissions of a file.
#[cfg(unix)]
pub(crate) fn mode(path: impl AsRef<Path>) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path).unwrap().permissions().mode() & 0o777
}
