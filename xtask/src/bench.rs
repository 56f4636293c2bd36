//! `cargo xtask bench`: figures beside those of rivals, from the crate `bench`.

mod wasm;

use anyhow::Result;

use crate::process::Cmd;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The coding engine as WebAssembly, in Node.js and in Chromium, beside rlnc as WebAssembly.
    RlncWasm(wasm::Args),
    /// What to measure natively, and how: `rlnc --help` says more.
    #[command(external_subcommand)]
    Native(Vec<String>),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::RlncWasm(args) => wasm::run(args),
        What::Native(args) => Cmd::cargo()
            .args(["run", "--quiet", "--release", "--package", "braidcast-bench", "--"])
            .args(args)
            .keep_stdout()
            .run(),
    }
}
