//! The command line.

use clap::{Parser, Subcommand};

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
}

pub(crate) fn run() -> anyhow::Result<()> {
    match Cli::parse().what {
        What::Rlnc(args) => rlnc::run(&args),
        What::Sim(args) => sim::run(&args),
    }
}
