//! The `braidcast` binary: a relay, and publish/subscribe from the command line.
//!
//! | file | holds |
//! |---|---|
//! | `cli` | the arguments, as `--help` shows them |
//! | `cmd/` | one file per command |
//! | `relay/` | what the relay is besides a node: followed topics, HTTP pages |
//! | `config` | the relay's TOML file |
//! | `client` | how the other commands join through relays |
//! | `identity`, `key_file` | the identity, and files with secrets |
//! | `topic` | how a topic is spread, as options |
//! | `output`, `sanitise` | what is printed, and what never is |
//! | `failure` | exit codes |
//! | `platform` | clocks and random numbers |
#![forbid(unsafe_code)]

mod cli;
mod client;
mod cmd;
mod config;
mod failure;
mod identity;
mod key_file;
mod logging;
mod output;
mod platform;
mod relay;
mod sanitise;
mod signal;
mod topic;

use std::process::ExitCode;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| failure::report(&error))
}

fn run() -> anyhow::Result<ExitCode> {
    let cli = cli::Cli::read();
    logging::start(cli.verbose);
    cmd::run(cli.command)
}
