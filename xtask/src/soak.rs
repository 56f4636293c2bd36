//! `cargo xtask soak`: tabs that come and go for a long time, and whether anything of them stays.

use anyhow::Result;

use crate::process::Cmd;
use crate::test::native;
use crate::tools;
use crate::web::{self, Quality};
use crate::workspace::root;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// How long, in seconds; one of eight tabs is replaced every ten.
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// One JSON object instead of lines.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let chromium = tools::chromium()?;
    web::build(Quality::Shipped)?;
    tools::npm_ci("tests")?;
    Cmd::new(tools::test_node()?)
        .arg(root().join("tests/soak.mjs"))
        .env("BRAIDCAST_BIN", native()?)
        .env("CHROMIUM", chromium)
        .env("SOAK_SECONDS", args.seconds.to_string())
        .env("JSON", if args.json { "1" } else { "" })
        .keep_stdout()
        .run()
}
