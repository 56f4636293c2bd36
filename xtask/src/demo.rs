//! `cargo xtask demo`: a relay with the demo app, from a clone, in one command.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::Cmd;
use crate::test::app;
use crate::tools;
use crate::web::{self, Quality};
use crate::workspace::{Workspace, root};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Where the relay serves the app, on 127.0.0.1.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// Prove it: start on a free port, have browsers and the command line talk, stop.
    #[arg(long)]
    check: bool,
    /// More arguments for `braidcast relay`.
    #[arg(last = true)]
    relay_args: Vec<String>,
}

const START_LIMIT: Duration = Duration::from_secs(30);

pub(crate) fn run(args: &Args) -> Result<()> {
    web::build(Quality::Shipped)?;
    app()?;
    let program = native()?;
    if args.check { prove(&program, args) } else { show(&program, args) }
}

/// Builds the `braidcast` program as it is shipped; returns its path.
fn native() -> Result<PathBuf> {
    Cmd::cargo().args(["build", "--release", "--package=braidcast-native"]).run()?;
    Ok(Workspace::load()?.target_directory.join("release/braidcast"))
}

/// Runs the relay until the user stops it.
fn show(program: &Path, args: &Args) -> Result<()> {
    let mut relay = Relay::start(program, args.port, &args.relay_args)?;
    println!("{}", next_steps(&relay.url(), program));
    let status = relay.child.wait()?;
    if !status.success() {
        bail!("the relay ended: {status}");
    }
    Ok(())
}

/// Runs the relay on free ports and, against it, the script that plays both users.
fn prove(program: &Path, args: &Args) -> Result<()> {
    let chromium = tools::chromium()?;
    tools::npm_ci("tests")?;
    let listen = ["--listen", "/ip4/127.0.0.1/tcp/0", "--listen", "/ip4/127.0.0.1/tcp/0/ws"];
    let relay_args: Vec<_> = listen.into_iter().map(String::from).chain(args.relay_args.clone()).collect();
    let relay = Relay::start(program, free_port()?, &relay_args)?;
    Cmd::new(tools::test_node()?)
        .arg(root().join("tests/demo-check.mjs"))
        .env("BRAIDCAST_BIN", program)
        .env("CHROMIUM", chromium)
        .env("RELAY_URL", relay.url())
        .keep_stdout()
        .run()
}

fn next_steps(url: &str, program: &Path) -> String {
    let program = program.strip_prefix(root()).unwrap_or(program).display();
    format!(
        "\nThe demo runs at {url}/#lobby\n\
         \n  Open it in two tabs: what one says, the other shows. After the # stands the name of the room.\
         \n  From a terminal:  {program} subscribe lobby --relay {url}\
         \n                    {program} publish lobby --text hello --relay {url}\
         \n  Stop it with Ctrl-C.\n"
    )
}

/// A running relay; it ends with this value.
struct Relay {
    child: Child,
    address: SocketAddr,
}

impl Relay {
    fn start(program: &Path, port: u16, more: &[String]) -> Result<Self> {
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        if TcpListener::bind(address).is_err() {
            bail!("{address} is taken: choose another port, as in `cargo xtask demo --port 8081`");
        }
        let child = Cmd::new(program)
            .args(["relay", "--http", &address.to_string(), "--app", "www/dist", "--data-dir", "target/demo"])
            .args(more)
            .spawn()?;
        let mut relay = Self { child, address };
        relay.await_start()?;
        Ok(relay)
    }

    fn await_start(&mut self) -> Result<()> {
        let start = Instant::now();
        while TcpStream::connect_timeout(&self.address, Duration::from_secs(1)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the relay ended before it listened on {}: {status}", self.address);
            }
            if start.elapsed() > START_LIMIT {
                bail!("the relay does not listen on {} after {} s", self.address, START_LIMIT.as_secs());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        // Both fail only when the relay has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that was free a moment ago.
fn free_port() -> Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_steps_name_the_address_and_a_program_relative_to_the_clone() {
        let text = next_steps("http://127.0.0.1:8080", &root().join("target/release/braidcast"));
        assert!(text.contains("http://127.0.0.1:8080/#lobby\n"));
        assert!(text.contains(":  target/release/braidcast subscribe"), "{text}");
    }
}
