//! The command line.

use clap::{Parser, Subcommand};

#[cfg(unix)]
use crate::real;
use crate::{rlnc, sim};

/// Measure Braidcast beside its rivals.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    Rlnc(rlnc::Args),
    /// A scenario of the laboratory: Braidcast, gossipsub and others in one simulated network.
    Sim(sim::Args),
    #[cfg(unix)]
    Mesh(real::mesh::Args),
    #[cfg(target_os = "linux")]
    Netns(real::netns::Args),
    /// One node for `mesh` and `netns`.
    #[cfg(unix)]
    #[command(hide = true)]
    Worker(real::worker::Args),
}

pub(crate) fn run() -> anyhow::Result<()> {
    match Cli::parse().what {
        What::Rlnc(args) => rlnc::run(&args),
        What::Sim(args) => sim::run(&args),
        #[cfg(unix)]
        What::Mesh(args) => real::mesh::run(&args),
        #[cfg(target_os = "linux")]
        What::Netns(args) => real::netns::run(&args),
        #[cfg(unix)]
        What::Worker(args) => real::worker::run(&args),
    }
}
