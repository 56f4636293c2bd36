//! `cargo xtask bench`: figures beside those of rivals, from the crate `bench`.

mod links;
mod wasm;

use anyhow::Result;

use crate::process::Cmd;

#[derive(clap::Args)]
#[command(after_help = "Natively: rlnc, sim, mesh, netns; each has a --help of its own.")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    RlncWasm(wasm::Args),
    Webrtc(links::Args),
    #[command(external_subcommand)]
    Native(Vec<String>),
}

pub(crate) fn run(args: &Args) -> Result<()> {
    match &args.what {
        What::RlncWasm(args) => wasm::run(args),
        What::Webrtc(args) => links::run(args),
        What::Native(args) => Cmd::cargo()
            .args(["run", "--quiet", "--release", "--package", "braidcast-bench", "--"])
            .args(args)
            .keep_stdout()
            .run(),
    }
}
