//! The arguments. What they mean is in `cmd/`.

use std::path::PathBuf;

use braidcast_net::{Topic, wire};
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum};

use crate::{cmd, config, failure::EXIT_CODES};

/// Publish/subscribe for groups of browsers and native nodes over a network-coded peer mesh.
#[derive(Debug, Parser)]
#[command(name = "braidcast", version, after_help = format!("{EXAMPLES}\n\n{EXIT_CODES}"), max_term_width = 100)]
pub(crate) struct Cli {
    /// Log more to standard error: -v what happens, -vv to whom, -vvv everything. RUST_LOG overrules it
    #[arg(short, long, global = true, action = clap::ArgAction::Count, display_order = 1000)]
    pub(crate) verbose: u8,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Cli {
    /// From the command line and the environment; ends the process with a text for `--help` and for what makes no
    /// sense.
    pub(crate) fn read() -> Self {
        // The values of somebody's environment do not belong in a help text.
        let hide = |command: clap::Command| command.mut_args(|arg| arg.hide_env_values(true));
        let command = Self::command().mut_subcommands(hide);
        let cli = Self::parse_with(command.clone());
        let Command::Relay(cmd::relay::Args { config: Some(path), .. }) = &cli.command else { return cli };
        let mut failed = None;
        let command = command.mut_subcommand("relay", |relay| {
            config::with_file(relay.clone(), path).unwrap_or_else(|error| {
                failed = Some(error);
                relay
            })
        });
        match failed {
            Some(error) => Self::command().error(clap::error::ErrorKind::InvalidValue, error).exit(),
            None => Self::parse_with(command),
        }
    }

    fn parse_with(command: clap::Command) -> Self {
        Self::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit())
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Relay(cmd::relay::Args),
    Subscribe(cmd::subscribe::Args),
    Publish(cmd::publish::Args),
    Keygen(cmd::keygen::Args),
}

const EXAMPLES: &str = "Examples:
  braidcast relay                                  a relay on this machine
  braidcast subscribe news                         print what is published there
  braidcast publish news --text hello              say something
  braidcast publish news --file photo.jpg          send a file
  braidcast keygen --topic-key --out room.key      the key of a closed topic, for its members";

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// A topic's name.
pub(crate) fn topic(name: &str) -> Result<Topic, wire::TopicError> {
    Topic::new(name)
}

/// A size in bytes that a configuration may allow for one message.
pub(crate) fn message_bytes(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes @ 1..=wire::limits::MESSAGE_BYTES_MAX) => Ok(bytes),
        _ => Err(format!("expected a number of bytes from 1 to {}", wire::limits::MESSAGE_BYTES_MAX)),
    }
}

/// A directory that exists.
pub(crate) fn directory(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if path.is_dir() { Ok(path) } else { Err("no such directory".into()) }
}
