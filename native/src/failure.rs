//! How a command fails: the exit codes, and texts that say what to do next.

use std::{io, process::ExitCode};

use crate::{output, sanitise};

/// Failures that have an exit code of their own. Any other is 1, and clap's own are 2.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A relay answered, but nobody takes the message.
    #[error(
        "nobody subscribes to topic {topic:?} at {relays}: start `braidcast subscribe` there, check the topic's name, \
         or wait longer with --timeout (now {timeout_secs} s)"
    )]
    Nobody { topic: String, relays: String, timeout_secs: u64 },
    /// A relay answered, but no member of a closed topic.
    #[error(
        "no member of topic {topic:?} took the message in {timeout_secs} s: {why}; wait longer for a member with --timeout"
    )]
    NoMember { topic: String, timeout_secs: u64, why: String },
    /// Whoever was offered the message left without having said to have it.
    #[error(
        "all who subscribed to topic {topic:?} left, nobody said to have all of the message, and nobody else took it in \
         {timeout_secs} s: wait longer with --timeout"
    )]
    Deserted { topic: String, timeout_secs: u64 },
    /// The topic is closed, and we came without a key.
    #[error("nobody took the message: {why}")]
    Closed { why: String },
    /// No relay answered.
    #[error("cannot reach {relays}: {reason}; is `braidcast relay` running there? Name another with --relay")]
    Unreachable { relays: String, reason: String },
}

/// For the end of `--help`.
pub(crate) const EXIT_CODES: &str = "Exit codes:
  0  done
  1  failure
  2  usage error
  3  nobody subscribes to the topic, or no member of a closed one, or all left before they had the message
  4  no relay can be reached";

impl Failure {
    fn code(&self) -> u8 {
        match self {
            Self::Nobody { .. } | Self::NoMember { .. } | Self::Deserted { .. } | Self::Closed { .. } => 3,
            Self::Unreachable { .. } => 4,
        }
    }
}

/// Says on standard error what went wrong. A reader of our output that went away (`braidcast subscribe x | head`) is
/// no failure.
pub(crate) fn report(error: &anyhow::Error) -> ExitCode {
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        return ExitCode::SUCCESS;
    }
    // Our own texts, but they may quote a stranger's.
    output::note(&format!("error: {}", sanitise::line(&format!("{error:#}"))));
    error.downcast_ref::<Failure>().map_or(ExitCode::FAILURE, |failure| failure.code().into())
}
