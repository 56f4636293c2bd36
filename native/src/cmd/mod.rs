//! One file per command.

pub(crate) mod keygen;
pub(crate) mod publish;
pub(crate) mod relay;
pub(crate) mod subscribe;

use std::{process::ExitCode, time::Duration};

use crate::cli::Command;

/// Runs a command to its end.
pub(crate) fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Keygen(args) => keygen::run(&args),
        Command::Relay(args) => wait(relay::run(args)),
        Command::Subscribe(args) => wait(subscribe::run(args)),
        Command::Publish(args) => wait(publish::run(args)),
    }
}

fn wait(command: impl Future<Output = anyhow::Result<ExitCode>>) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    // Not for ever: a name lookup cannot be cancelled.
    runtime.shutdown_timeout(Duration::from_millis(200));
    outcome
}
