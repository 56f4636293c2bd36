//! `cargo xtask`: everything one does to this repository, as commands.
//!
//! One file per command. Progress goes to standard error; standard output carries only what was asked for.
#![allow(clippy::disallowed_methods, reason = "a build tool measures how long its steps take")]

mod bench;
mod check;
mod config;
mod demo;
mod house;
mod jobs;
mod process;
mod sim;
mod size;
mod soak;
mod test;
mod tools;
mod web;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The commands of the Braidcast repository.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything, start a relay with the demo app, say what to do next.
    Demo(demo::Args),
    /// Run the test suites, browser tests in a real Chromium included.
    Test(test::Args),
    /// Run the fences: formatting, allowed edges, no_std, lints, docs, licences, size budget.
    Check(check::Args),
    /// Build the browser package into web/dist.
    Web(web::Args),
    /// Measure the browser package: raw, gzip and brotli bytes.
    Size(size::Args),
    /// Measure beside rivals, in one run: `bench rlnc --json`.
    Bench(bench::Args),
    /// Run a scenario in virtual time, Braidcast beside others: `sim pop-1000 --size 1MiB --json`.
    Sim(sim::Args),
    /// Have tabs come and go for ten minutes; whatever of them stays is a leak.
    Soak(soak::Args),
    /// Run one wasm test binary in Node.js; cargo calls this in the `wasm` suite.
    #[command(hide = true)]
    WasmRunner(test::wasm_runner::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Demo(args) => demo::run(&args),
        Command::Test(args) => test::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Web(args) => web::run(&args),
        Command::Size(args) => size::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Sim(args) => sim::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::WasmRunner(args) => test::wasm_runner::run(&args),
    }
}
