//! `cargo xtask sim`: scenarios in virtual time, from the crate `bench`.

use anyhow::Result;

use crate::process::Cmd;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// Which scenario and how: `pop-1000 --size 1MiB --seed 1 --json`; `--help` says more.
    #[arg(required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    what: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    Cmd::cargo()
        .args(["run", "--quiet", "--release", "--package", "braidcast-bench", "--", "sim"])
        .args(&args.what)
        .keep_stdout()
        .run()
}
