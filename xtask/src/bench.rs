//! `cargo xtask bench`: figures beside those of rivals, from the crate `bench`.

use anyhow::Result;

use crate::process::Cmd;

#[derive(clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// What to measure and how: `rlnc --help` says more.
    #[arg(required = true, allow_hyphen_values = true, trailing_var_arg = true)]
    what: Vec<String>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    Cmd::cargo()
        .args(["run", "--quiet", "--release", "--package", "braidcast-bench", "--"])
        .args(&args.what)
        .keep_stdout()
        .run()
}
