//! `braidcast keygen`

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use crate::{
    cli::Format,
    identity,
    output::{note, print_line},
};

/// Make an identity: the key that a peer id stands for.
///
/// Writes a file that only you can read, and prints the peer id. Never replaces a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braidcast keygen                        for `braidcast relay`, in its default place
  braidcast keygen --out ada.key          and later: braidcast publish ... --identity ada.key")]
pub(crate) struct Args {
    /// Where to write it [default: where `braidcast relay` looks]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Print the secret to standard output instead of writing a file
    #[arg(long, conflicts_with = "out")]
    stdout: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text, env = "BRAIDCAST_OUTPUT")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let identity = identity::ephemeral()?;
    let peer = identity.peer_id().to_string();
    if args.stdout {
        // Alone on standard output, so that it can be redirected into a secret store.
        note(&format!("peer id {peer}"));
        print_line(&identity::to_hex(&identity))?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = match &args.out {
        Some(path) => path.clone(),
        None => identity::default_data_dir("--out")?.join(identity::FILE_NAME),
    };
    identity::create(&path, &identity, "--out")?;
    print_line(&match args.output {
        Format::Text => format!("peer id  {peer}\nfile     {}", path.display()),
        Format::Json => json!({ "peerId": peer, "file": path }).to_string(),
    })?;
    Ok(ExitCode::SUCCESS)
}
