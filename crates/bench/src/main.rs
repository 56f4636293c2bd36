//! Benchmarks: Braidcast's parts beside their rivals, in one run on one machine; and the laboratory, where whole
//! networks run in virtual time.
//!
//! Progress goes to standard error. Standard output carries a table, or with `--json` one object per line.

mod clock;
mod cpu;
mod figure;
mod lab;
mod rlnc;
mod sim;

use clap::{Parser, Subcommand};

/// Measure Braidcast beside its rivals.
#[derive(Parser)]
#[command(name = "cargo xtask bench", bin_name = "cargo xtask bench")]
struct Cli {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// The coding engine, beside rlnc, reed-solomon-simd and raptorq.
    Rlnc(rlnc::Args),
    /// A scenario of the laboratory: Braidcast, gossipsub and others in one simulated network.
    Sim(sim::Args),
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().what {
        What::Rlnc(args) => rlnc::run(&args),
        What::Sim(args) => sim::run(&args),
    }
}
