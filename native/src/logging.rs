//! Logs go to standard error; standard output is for results.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// Starts logging. `RUST_LOG` overrules `verbose`, the number of `-v`.
pub(crate) fn start(verbose: u8) {
    let default = match verbose {
        // A peer that vanishes is no news, and yamux warns of it.
        0 => "warn,yamux=error",
        1 => "info,yamux=error",
        2 => "info,braidcast=debug,braidcast_net=debug",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal())
        // They would be printed to where logs cannot be written.
        .log_internal_errors(false)
        .init();
}
