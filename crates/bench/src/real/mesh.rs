//! The command `bench mesh`.

use std::process::Command;

use anyhow::{Result, ensure};
use serde::Serialize;

use super::{
    System,
    acquaintances::{KNOWN, acquaintances},
    fleet::Fleet,
    load::{self, Load, Plan},
    median, significant,
};
use crate::{cpu, size::Size};

/// Real nodes over loopback TCP: Braidcast's and rust-libp2p's gossipsub's.
///
/// One process per node. Each node is told of 4 others at random, the same for both systems, all join one topic, and
/// each publishes in turn, with a fixed number of messages on their way at once. The systems take turns on each length.
///
/// Both use TCP without delay, Noise, Yamux and tokio's default threads; Braidcast's connections are corked and read more
/// at once. Gossipsub is libp2p-gossipsub with its
/// defaults (mesh of 6, signed messages, strict validation, flood publishing, IDONTWANT); its limit on a message's
/// length and its send queues are raised, so that it drops nothing. Braidcast is `braidcast-net` with its defaults (mesh
/// of 8). Payloads are random, and compared with what was published.
///
/// Prints, as medians over the rounds: payload bytes delivered per second, all nodes together; CPU seconds (user and
/// system, of all nodes' processes) per GiB delivered; and Braidcast's over gossipsub's bytes per second and bytes per
/// CPU second of the same round. `lost` counts deliveries that did not come.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// A fifth of the messages, and one round.
    #[arg(long)]
    quick: bool,
    /// Message lengths: bytes, or with a unit as in 16KiB.
    #[arg(long, value_delimiter = ',', default_value = "256,16KiB,1MiB")]
    size: Vec<Size>,
    /// How many nodes of each system.
    #[arg(long, default_value_t = 16)]
    nodes: usize,
    /// Messages of each length in a round, instead of a number that takes seconds.
    #[arg(long)]
    messages: Option<u64>,
    /// How often the systems take turns.
    #[arg(long, default_value_t = 3, conflicts_with = "quick")]
    rounds: usize,
    /// Which random acquaintances.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// One system at one length.
#[derive(Serialize)]
struct Line<'a> {
    bench: &'a str,
    system: &'a str,
    nodes: usize,
    known: usize,
    bytes: usize,
    /// Per round.
    messages: u64,
    window: usize,
    rounds: usize,
    delivered: u64,
    lost: u64,
    bytes_per_s: f64,
    cpu_s_per_gib: f64,
    cpu: &'a str,
}

/// Braidcast over gossipsub.
#[derive(Serialize)]
struct Ratio<'a> {
    bench: &'a str,
    bytes: usize,
    bytes_per_s_ratio: f64,
    bytes_per_cpu_s_ratio: f64,
    bytes_per_cpu_s_ratios: Vec<f64>,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    ensure!(args.nodes >= 2, "a mesh has at least 2 nodes");
    let (rounds, share) = if args.quick { (1, 5) } else { (args.rounds, 1) };
    let cpu = cpu::name();
    eprintln!("starting {} nodes of each system", args.nodes);
    let mut fleets = [start(System::Braidcast, args)?, start(System::Gossipsub, args)?];
    if !args.json {
        println!("{} nodes, {rounds} rounds, {cpu}", args.nodes);
        println!(
            "{:>10}  {:24} {:>12} {:>16} {:>10} {:>6}",
            "bytes", "system", "MB/s", "CPU s per GiB", "delivered", "lost"
        );
    }
    for &Size(bytes) in &args.size {
        let mut plan = plan(bytes as usize);
        plan.messages = args.messages.unwrap_or(plan.messages / share);
        let mut loads: [Vec<Load>; 2] = Default::default();
        for round in 0..=rounds {
            for (fleet, loads) in fleets.iter_mut().zip(&mut loads) {
                eprintln!("{bytes} bytes, round {round} of {rounds}, {}", fleet.system.name());
                match round {
                    // Connections learn their rates, buffers grow.
                    0 => load::run(fleet, Plan { messages: plan.window as u64, ..plan }).map(drop)?,
                    _ => loads.push(load::run(fleet, plan)?),
                }
            }
        }
        let print = Print { args, plan, cpu: &cpu };
        for (fleet, loads) in fleets.iter().zip(&loads) {
            print.line(fleet.system, loads)?;
        }
        print.ratio(&loads[0], &loads[1])?;
    }
    Ok(())
}

/// On free ports of the loopback interface.
fn start(system: System, args: &Args) -> Result<Fleet> {
    let worker = |number: usize| -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", system.name(), "--listen", "/ip4/127.0.0.1/tcp/0", "--number"]);
        command.arg(number.to_string());
        Ok(command)
    };
    let commands = (0..args.nodes).map(worker).collect::<Result<_>>()?;
    Fleet::start(system, commands, &acquaintances(args.nodes, args.seed))
}

/// As many as both systems deliver in seconds, and few enough at once that no queue of either overflows.
fn plan(bytes: usize) -> Plan {
    match bytes {
        ..4096 => Plan { bytes, messages: 4000, window: 64 },
        4096..262_144 => Plan { bytes, messages: 800, window: 32 },
        _ => Plan { bytes, messages: ((40 << 20) / bytes as u64).max(4), window: 4 },
    }
}

struct Print<'a> {
    args: &'a Args,
    plan: Plan,
    cpu: &'a str,
}

impl Print<'_> {
    fn line(&self, system: System, loads: &[Load]) -> Result<()> {
        let Plan { bytes, messages, window } = self.plan;
        let of = |figure: &dyn Fn(&Load) -> f64| {
            significant(median(&mut loads.iter().map(figure).collect::<Vec<_>>()))
        };
        let line = Line {
            bench: "mesh",
            system: system.title(),
            nodes: self.args.nodes,
            known: KNOWN,
            bytes,
            messages,
            window,
            rounds: loads.len(),
            delivered: loads.iter().map(|load| load.delivered).sum(),
            lost: loads.iter().map(|load| load.lost).sum(),
            bytes_per_s: of(&|load| load.bytes_per_s(bytes)),
            cpu_s_per_gib: of(&|load| f64::from(1 << 30) / load.bytes_per_cpu_s(bytes)),
            cpu: self.cpu,
        };
        if self.args.json {
            println!("{}", serde_json::to_string(&line)?);
        } else {
            let Line { system, bytes_per_s, cpu_s_per_gib, delivered, lost, .. } = line;
            let mb_per_s = bytes_per_s / 1e6;
            println!(
                "{bytes:>10}  {system:24} {mb_per_s:>12.2} {cpu_s_per_gib:>16.2} {delivered:>10} {lost:>6}"
            );
        }
        Ok(())
    }

    fn ratio(&self, ours: &[Load], theirs: &[Load]) -> Result<()> {
        let bytes = self.plan.bytes;
        let over = |figure: fn(&Load, usize) -> f64| -> Vec<f64> {
            let pairs = ours.iter().zip(theirs);
            pairs.map(|(ours, theirs)| significant(figure(ours, bytes) / figure(theirs, bytes))).collect()
        };
        let per_cpu_s = over(Load::bytes_per_cpu_s);
        let ratio = Ratio {
            bench: "mesh",
            bytes,
            bytes_per_s_ratio: median(&mut over(Load::bytes_per_s)),
            bytes_per_cpu_s_ratio: median(&mut per_cpu_s.clone()),
            bytes_per_cpu_s_ratios: per_cpu_s,
        };
        if self.args.json {
            println!("{}", serde_json::to_string(&ratio)?);
        } else {
            println!(
                "{bytes:>10}  braidcast / gossipsub    {:>11.2}x {:>15.2}x per CPU second, of rounds {:?}",
                ratio.bytes_per_s_ratio, ratio.bytes_per_cpu_s_ratio, ratio.bytes_per_cpu_s_ratios,
            );
        }
        Ok(())
    }
}
