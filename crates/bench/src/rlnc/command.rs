//! The command `bench rlnc`.

use anyhow::{Error, Result, bail};
use braidcast_rlnc::Engine;

use super::cases::{self, Message};
use super::{Report, engines};
use crate::cpu;

/// The coding engine, beside rlnc, reed-solomon-simd and raptorq.
///
/// One thread but where a line says two, the same bytes for every system, the shortest of many runs that take turns.
///
/// Cases, each for K = 8, 16, 32, 64, 128 and messages of 128 KiB, 1 MiB, 16 MiB:
///   gemm           a K x K product; Braidcast alone, every kernel
///   encode         one coded shard
///   encode-4       four coded shards, for as many neighbours
///   recode         one new shard out of K/2 coded ones
///   decode         the message from coded shards alone
///   decode-loss10  the message when every tenth source piece is lost; also K = 100 pieces of 1,280 bytes
///
/// Units: s; GB/s of message bytes; coef-bytes/s (bytes multiplied by a coefficient: rows made x K x piece length,
/// for the codes that are matrix products); x (time over Braidcast's time). For gemm GB/s counts coef-bytes.
///
/// Braidcast encodes, as rlnc does, and decodes into buffers that are there before; what a rival returns it allocates.
///
/// Rivals: rlnc decodes as it always does, from K shards with explicit vectors. reed-solomon-simd and raptorq cannot
/// recode; their coded shards are recovery shards and repair packets. raptorq's symbols are shorter than 64 KiB, so
/// longer pieces are cut into several.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// Only this kernel for Braidcast: gfni512, gfni256, avx2, ssse3, neon, scalar.
    #[arg(long, value_name = "NAME")]
    kernel: Option<String>,
    /// Only this case.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Only this K.
    #[arg(long)]
    k: Option<usize>,
    /// Only messages of this many bytes.
    #[arg(long)]
    bytes: Option<usize>,
    /// A tenth of the time per figure.
    #[arg(long)]
    quick: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let engines = chosen_engines(args.kernel.as_deref())?;
    let plan = cases::plan(args.case.as_deref(), args.k, args.bytes).map_err(Error::msg)?;
    let report = Report::new("rlnc", args.json, cpu::name(), args.quick);
    print!("{}", report.head());
    for (case, k, bytes) in plan {
        eprintln!("{} k={k} bytes={bytes}", case.name());
        print!("{}", report.measure(case, &Message::new(k, bytes), &engines));
    }
    Ok(())
}

/// The engine asked for, or all there are.
fn chosen_engines(kernel: Option<&str>) -> Result<Vec<Engine>> {
    let at_hand = engines();
    let Some(name) = kernel else { return Ok(at_hand) };
    let engine = at_hand.iter().find(|engine| engine.kernel().name() == name);
    let names: Vec<&str> = at_hand.iter().map(|engine| engine.kernel().name()).collect();
    match engine {
        Some(engine) => Ok(vec![*engine]),
        None => bail!("no kernel {name} on this machine; it has {}", names.join(", ")),
    }
}
