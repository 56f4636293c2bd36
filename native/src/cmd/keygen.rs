//! `braidcast keygen`

use std::{path::PathBuf, process::ExitCode};

use serde_json::json;

use braidcast_net::Identity;

use crate::{
    cli::Format,
    identity,
    key_file::{self, What},
    output::{note, print_line},
};

/// Make an identity, the key that a peer id stands for, or the key of a closed topic.
///
/// Writes a file that only you can read, and prints the peer id. Never replaces a file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braidcast keygen                        for `braidcast relay`, in its default place
  braidcast keygen --out ada.key          and later: braidcast publish ... --identity ada.key
  braidcast keygen --topic-key --out room.key    for all members of a closed topic:
  braidcast subscribe room --mode closed --key-file room.key")]
pub(crate) struct Args {
    /// Make the key of a closed topic instead, which all its members share
    #[arg(long, requires = "where")]
    topic_key: bool,
    /// Where to write it [default: where `braidcast relay` looks]
    #[arg(long, value_name = "FILE", group = "where")]
    out: Option<PathBuf>,
    /// Print the secret to standard output instead of writing a file
    #[arg(long, conflicts_with = "out", group = "where")]
    stdout: bool,
    /// How to print
    #[arg(long, value_enum, default_value_t = Format::Text, env = "BRAIDCAST_OUTPUT")]
    output: Format,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let secret = key_file::random()?;
    let what = if args.topic_key { What::TopicKey } else { What::Identity };
    let peer = (!args.topic_key).then(|| Identity::from_seed(&secret).peer_id().to_string());
    if args.stdout {
        // Alone on standard output, so that it can be redirected into a secret store.
        peer.iter().for_each(|peer| note(&format!("peer id {peer}")));
        print_line(&key_file::to_hex(&secret))?;
        return Ok(ExitCode::SUCCESS);
    }
    let path = match &args.out {
        Some(path) => path.clone(),
        None => identity::default_data_dir("--out")?.join(identity::FILE_NAME),
    };
    key_file::create(what, &path, &secret, "--out")?;
    print_line(&match (args.output, peer) {
        (Format::Text, Some(peer)) => format!("peer id  {peer}\nfile     {}", path.display()),
        (Format::Text, None) => format!("file     {}", path.display()),
        (Format::Json, Some(peer)) => json!({ "peerId": peer, "file": path }).to_string(),
        (Format::Json, None) => json!({ "file": path }).to_string(),
    })?;
    Ok(ExitCode::SUCCESS)
}
