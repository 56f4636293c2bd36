//! The command `bench netns`.

use std::{thread, time::Duration};

use anyhow::{Context as _, Result, bail};
use serde::Serialize;

use super::{
    System,
    acquaintances::{KNOWN, acquaintances},
    fleet::Fleet,
    median,
    namespaces::{Namespaces, Uplink, address},
    significant,
    worker::Report,
};
use crate::{cpu, size::Size};

/// Real nodes behind slow uplinks: Braidcast's and rust-libp2p's gossipsub's. Root, Linux.
///
/// One process per node, each in a network namespace of its own, all on one bridge. Each sends through a token bucket
/// (`tc` tbf) of 20 Mbit/s, and receives without limit; no delay is added. The nodes and their settings are those of
/// `bench mesh`. One message at a time, each from another node, the next when the network is quiet.
///
/// Prints the time from publishing to the last node's delivery, as median over the messages and each, and how many
/// copies crossed the uplinks (all bytes with headers, over the payload of all deliveries); then Braidcast's over
/// gossipsub's time. `lost` counts deliveries that did not come.
///
/// Namespaces, bridge and links are named braid-*, no traffic leaves them, and they are removed at the end, also on an
/// error and on Ctrl-C.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// Message lengths: bytes, or with a unit as in 16KiB.
    #[arg(long, value_delimiter = ',', default_value = "128KiB,1MiB")]
    size: Vec<Size>,
    /// How many nodes of each system.
    #[arg(long, default_value_t = 16)]
    nodes: usize,
    /// Messages of each length.
    #[arg(long, default_value_t = 7)]
    messages: usize,
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
    uplink_bit_per_s: u64,
    tbf_burst_bytes: u64,
    tbf_limit_bytes: u64,
    last_ms: f64,
    last_ms_each: Vec<f64>,
    copies: f64,
    lost: u64,
    cpu: &'a str,
}

/// Braidcast over gossipsub.
#[derive(Serialize)]
struct Ratio<'a> {
    bench: &'a str,
    bytes: usize,
    last_ms_ratio: f64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let cpu = cpu::name();
    let namespaces = Namespaces::new(args.nodes, UPLINK)?;
    if !args.json {
        let Uplink { rate, burst, limit } = UPLINK;
        println!("{} nodes, {cpu}; tbf rate {rate} bit/s, burst {burst} B, limit {limit} B", args.nodes);
        println!(
            "{:>10}  {:24} {:>10} {:>7} {:>5}  each, ms",
            "bytes", "system", "last, ms", "copies", "lost"
        );
    }
    let mut medians = Vec::new();
    for system in [System::Braidcast, System::Gossipsub] {
        let mut fleet = start(system, &namespaces, args)?;
        for &Size(bytes) in &args.size {
            let line = measure(&mut fleet, &namespaces, bytes as usize, args, &cpu)?;
            medians.push((bytes, line.last_ms));
            print(&line, args.json)?;
        }
    }
    let (ours, theirs) = medians.split_at(args.size.len());
    for ((bytes, ours), (_, theirs)) in ours.iter().zip(theirs) {
        let ratio =
            Ratio { bench: "netns", bytes: *bytes as usize, last_ms_ratio: significant(ours / theirs) };
        match args.json {
            true => println!("{}", serde_json::to_string(&ratio)?),
            false => println!("{bytes:>10}  braidcast / gossipsub    {:>9.2}x", ratio.last_ms_ratio),
        }
    }
    Ok(())
}

fn start(system: System, namespaces: &Namespaces, args: &Args) -> Result<Fleet> {
    eprintln!("starting {} nodes of {}", args.nodes, system.name());
    let program = std::env::current_exe()?;
    let worker = |number: usize| {
        let mut command = namespaces.command(number);
        command.arg(&program).args(["worker", system.name()]);
        command.args(["--listen", &format!("/ip4/{}/tcp/4001", address(number))]);
        command.args(["--number", &number.to_string()]);
        command
    };
    Fleet::start(system, (0..args.nodes).map(worker).collect(), &acquaintances(args.nodes, args.seed))
}

fn measure<'a>(
    fleet: &mut Fleet,
    namespaces: &Namespaces,
    bytes: usize,
    args: &Args,
    cpu: &'a str,
) -> Result<Line<'a>> {
    let (mut times, mut lost, mut sent) = (Vec::new(), 0, 0);
    for number in 0..=args.messages {
        let before = quiet(namespaces)?;
        eprintln!("{bytes} bytes, message {number} of {}, {}", args.messages, fleet.system.name());
        let (took, lacking) = spread(fleet, bytes)?;
        let after = quiet(namespaces)?;
        // The first tells the links their rates.
        if number > 0 {
            times.push(significant(took.as_secs_f64() * 1_000.0));
            lost += lacking;
            sent += after - before;
        }
    }
    let payload = bytes * times.len() * (fleet.len() - 1);
    Ok(Line {
        bench: "netns",
        system: fleet.system.title(),
        nodes: fleet.len(),
        known: KNOWN,
        bytes,
        uplink_bit_per_s: UPLINK.rate,
        tbf_burst_bytes: UPLINK.burst,
        tbf_limit_bytes: UPLINK.limit,
        last_ms: significant(median(&mut times.clone())),
        last_ms_each: times,
        copies: significant(sent as f64 / payload as f64),
        lost,
        cpu,
    })
}

/// One message: the time until the last has it, and how many never did.
fn spread(fleet: &mut Fleet, bytes: usize) -> Result<(Duration, u64)> {
    let number = fleet.publish(bytes)?;
    let (mut published, mut last, mut lacking) = (0, 0, fleet.len() as u64 - 1);
    while lacking > 0 {
        match fleet.next()? {
            Some((_, Report::Published { at, .. })) => published = at,
            Some((_, Report::Delivered { number: which, at })) if which == number => {
                last = last.max(at);
                lacking -= 1;
            }
            Some((from, Report::Refused { why, .. })) => bail!("{from} took no message: {why}"),
            Some(_) => {}
            None => break,
        }
    }
    Ok((Duration::from_nanos(last.saturating_sub(published)), lacking))
}

/// Waits until hardly anything is sent, which only looking tells; all bytes sent so far.
fn quiet(namespaces: &Namespaces) -> Result<u64> {
    let mut before = namespaces.sent_bytes().context("cannot count")?;
    for _ in 0..240 {
        thread::sleep(Duration::from_millis(250));
        let now = namespaces.sent_bytes()?;
        if now - before < QUIET_BYTES {
            return Ok(now);
        }
        before = now;
    }
    bail!("the network does not become quiet: it carried {QUIET_BYTES} bytes in every quarter of a second")
}

fn print(line: &Line<'_>, is_json: bool) -> Result<()> {
    if is_json {
        println!("{}", serde_json::to_string(line)?);
    } else {
        let Line { bytes, system, last_ms, copies, lost, last_ms_each, .. } = line;
        println!("{bytes:>10}  {system:24} {last_ms:>10.1} {copies:>7.2} {lost:>5}  {last_ms_each:?}");
    }
    Ok(())
}

/// A good home uplink; the queue holds 100 ms of it.
const UPLINK: Uplink = Uplink { rate: 20_000_000, burst: 32 * 1024, limit: 250_000 };
/// What heartbeats and pings of all nodes may be in a quarter of a second: a hundredth of what the uplinks carry.
const QUIET_BYTES: u64 = 100_000;
