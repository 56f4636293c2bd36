//! `bench rlnc`: the coding engine.

mod braidcast;
mod cases;
mod rivals;

use std::time::Duration;

use anyhow::{Result, bail};
use braidcast_rlnc::{Engine, Kernel};

use crate::clock::{Run, best_of};
use crate::cpu;
use crate::figure::Figure;
use braidcast::Braidcast;
use cases::{Case, Message};

/// One thread, the same bytes for every system, the shortest of many runs that take turns.
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

/// A codec.
trait System {
    /// Name and version.
    fn name(&self) -> &str;
    /// The instruction set it was told to use.
    fn kernel(&self) -> &str;
    /// The case made ready to run, its result checked once; `None` where the system cannot do it.
    fn prepare<'a>(&'a self, case: Case, message: &'a Message) -> Option<Run<'a>>;
    /// Whether its work is a product with K x piece length coef-bytes per row.
    fn is_matrix_product(&self) -> bool;
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let engines = engines(args.kernel.as_deref())?;
    let cases: Vec<Case> = Case::ALL
        .into_iter()
        .filter(|case| args.case.as_ref().is_none_or(|name| name == case.name()))
        .collect();
    if cases.is_empty() {
        bail!("no case of this name; the cases are {}", Case::ALL.map(Case::name).join(", "));
    }
    let mut report = Report { json: args.json, cpu: cpu::name(), budget: Duration::from_millis(1500) };
    if args.quick {
        report.budget /= 10;
    }
    report.head();
    for case in cases {
        for (k, bytes) in case.sizes() {
            if args.k.is_none_or(|only| only == k) && args.bytes.is_none_or(|only| only == bytes) {
                measure(&report, case, &Message::new(k, bytes), &engines)?;
            }
        }
    }
    Ok(())
}

/// The engine asked for, or all there are, the fastest first.
fn engines(kernel: Option<&str>) -> Result<Vec<Engine>> {
    let at_hand: Vec<Engine> = Kernel::ALL.into_iter().filter_map(Engine::with_kernel).collect();
    let Some(name) = kernel else { return Ok(at_hand) };
    let engine = at_hand.iter().find(|engine| engine.kernel().name() == name);
    let names: Vec<&str> = at_hand.iter().map(|engine| engine.kernel().name()).collect();
    match engine {
        Some(engine) => Ok(vec![*engine]),
        None => bail!("no kernel {name} on this machine; it has {}", names.join(", ")),
    }
}

fn measure(report: &Report, case: Case, message: &Message, engines: &[Engine]) -> Result<()> {
    eprintln!("{} k={} bytes={}", case.name(), message.k, message.bytes.len());
    let engines = if case == Case::Gemm { engines } else { &engines[..1] };
    let mut systems: Vec<Box<dyn System>> = Vec::new();
    systems.extend(engines.iter().map(|&engine| Box::new(Braidcast::new(engine)) as Box<dyn System>));
    systems.extend(rivals::all());
    let (able, mut runs): (Vec<&dyn System>, Vec<Run>) =
        systems.iter().filter_map(|system| Some((&**system, system.prepare(case, message)?))).unzip();
    let times = best_of(&mut runs, report.budget);
    for (system, time) in able.into_iter().zip(&times) {
        report.line(system, case, message, time.as_secs_f64(), times[0].as_secs_f64())?;
    }
    Ok(())
}

struct Report {
    json: bool,
    cpu: String,
    /// Time for one case at one size, all systems together.
    budget: Duration,
}

impl Report {
    fn head(&self) {
        if !self.json {
            println!("{}; one thread, best of many", self.cpu);
            println!(
                "{:<14} {:>4} {:>9} {:<24} {:<8} {:>12} {:>8} {:>13} {:>7}",
                "case", "K", "bytes", "system", "kernel", "us", "GB/s", "coef-GB/s", "x time"
            );
        }
    }

    /// What one system took, and how that compares with `ours`, both in seconds.
    fn line(
        &self,
        system: &dyn System,
        case: Case,
        message: &Message,
        seconds: f64,
        ours: f64,
    ) -> Result<()> {
        let coef = system.is_matrix_product().then(|| case.coef_bytes(message) / seconds);
        let gb = if case == Case::Gemm { case.coef_bytes(message) } else { message.bytes.len() as f64 };
        let gb = gb / seconds / 1e9;
        if !self.json {
            println!(
                "{:<14} {:>4} {:>9} {:<24} {:<8} {:>12.2} {:>8.2} {:>13} {:>7.2}",
                case.name(),
                message.k,
                message.bytes.len(),
                system.name(),
                system.kernel(),
                seconds * 1e6,
                gb,
                coef.map_or("-".into(), |coef| format!("{:.1}", coef / 1e9)),
                seconds / ours
            );
            return Ok(());
        }
        let values =
            [(Some(seconds), "s"), (Some(gb), "GB/s"), (coef, "coef-bytes/s"), (Some(seconds / ours), "x")];
        for (value, unit) in values {
            let Some(value) = value else { continue };
            let (case, k, bytes) = (case.name(), message.k, message.bytes.len());
            let (system, kernel, cpu) = (system.name(), system.kernel(), &self.cpu[..]);
            Figure { bench: "rlnc", case, k, bytes, system, kernel, value, unit, cpu }.print_json()?;
        }
        Ok(())
    }
}
