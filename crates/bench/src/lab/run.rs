//! One run of one system.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use braidcast_core::{
    machine::{Budget, Duration, Machine},
    wire::PeerId,
};
use braidcast_sim::{LinkProfile, NodeIndex, NodeProfile, Verdict, Window, World};

use super::{
    baseline::floor,
    braid::Braidcast,
    dice,
    outcome::{Ledger, Outcome, Received},
    plan::Plan,
    scenario::ColdWindow,
    system::{EcBitmap, Gossipsub, System},
};

/// Every system by its name in figures, in the order of tables.
pub(crate) const SYSTEMS: [&str; 6] =
    ["braidcast-open", "gossipsub-1.1", "gossipsub-1.2", "gossipsub-1.2-quiet", "ec-bitmap", "floor"];

/// rust-libp2p's gossipsub: for validation, and only when it is named.
pub(crate) const RUST: &str = "gossipsub-rust";

/// True for the production code, false for what it is compared with.
pub(crate) fn is_ours(system: &str) -> bool {
    system.starts_with("braidcast")
}

/// The system of this name, or an error that names all.
pub(crate) fn check_name(system: &str) -> anyhow::Result<&'static str> {
    let name = SYSTEMS.into_iter().chain([RUST]).find(|name| *name == system);
    name.ok_or_else(|| anyhow::anyhow!("no system {system:?}: take one of {}", SYSTEMS.join(", ")))
}

/// Runs the system of this name.
pub(crate) fn run(plan: &Plan, system: &str) -> anyhow::Result<Outcome> {
    let name = check_name(system)?;
    Ok(match name {
        "braidcast-open" => spread(plan, name, &Braidcast::open(plan)),
        "gossipsub-1.1" => spread(plan, name, &Gossipsub::V1_1),
        "gossipsub-1.2" => spread(plan, name, &Gossipsub::V1_2),
        "gossipsub-1.2-quiet" => spread(plan, name, &Gossipsub::V1_2_QUIET),
        RUST => spread(plan, name, &Gossipsub::RUST),
        "ec-bitmap" => spread(plan, name, &EcBitmap),
        _ => floor(plan, name),
    })
}

fn floor(plan: &Plan, name: &str) -> Outcome {
    let mut delays = Vec::new();
    let mut trace = blake3::Hasher::new();
    for message in plan.messages.iter().filter(|message| message.is_measured) {
        let arrivals = floor::arrivals(&plan.network, message.node, message.bytes.into());
        for (_, delay) in (0..).zip(arrivals).filter(|&(node, _)| node != message.node) {
            trace.update(&delay.unwrap_or(u64::MAX).to_le_bytes());
            delays.push(delay);
        }
    }
    Outcome::of(plan, name, delays, trace.finalize().to_hex().to_string(), |_| {})
}

/// Publishes the plan's messages in a world of this system, until nothing moves any more.
pub(crate) fn spread<S: System>(plan: &Plan, name: &str, system: &S) -> Outcome {
    let ledger = Rc::new(RefCell::new(Ledger::new(plan)));
    let mut world = populate(plan, system);
    let mut observe = system.observer(ledger.clone());
    world.observe(move |time, node, event| {
        observe(time, node, event);
        None
    });
    let counted = ledger.clone();
    world.intercept(move |_, _, frame| {
        counted.borrow_mut().payload += S::payload(frame);
        Verdict::Deliver
    });
    let mut before = Received::default();
    let mut is_measuring = false;
    for (number, message) in (0..).zip(&plan.messages) {
        world.run_until(message.at);
        if message.is_measured && !is_measuring {
            (before, is_measuring) = (received(&world, &ledger), true);
        }
        world.command(NodeIndex(message.node), system.publish(number, message));
    }
    finish(&mut world, &ledger);
    let after = received(&world, &ledger);
    if let Some(report) = world.reports().first() {
        eprintln!("{} offences, {} bans; the first: {report:?}", world.reports().len(), world.bans().len());
    }
    let received = Received { payload: after.payload - before.payload, all: after.all - before.all };
    let trace = blake3::Hash::from(world.trace_hash()).to_hex().to_string();
    let ledger = ledger.borrow();
    Outcome::new(plan, name, &ledger, received, trace)
}

fn populate<S: System>(plan: &Plan, system: &S) -> World<S::Machine> {
    let mut world = World::new(plan.choice.seed);
    let computing = plan.scenario.computing;
    let mesh = plan.network.mesh_neighbours();
    for (node, host) in (0..).zip(&plan.network.hosts) {
        let neighbours: BTreeSet<PeerId> =
            mesh[node as usize].iter().map(|&other| system.peer(other)).collect();
        let rng = dice(plan.choice.seed, &format!("machine {node}"));
        let machine = system.machine(plan, node, neighbours, rng);
        let handling = if system.verifies_frames() { computing.handling_us } else { 0 };
        let profile = NodeProfile {
            work_budget: WORK,
            work_slice: Duration::from_micros(WORK.0 as u64 / computing.work_mb_per_s.max(1)),
            bulk_handling: Duration::from_micros(handling),
            ..NodeProfile::rates(host.up, host.down)
        };
        let index = world.add_node(system.peer(node), machine, profile);
        if let Some(command) = system.start() {
            world.command(index, command);
        }
    }
    let window = match plan.scenario.cold_window {
        Some(ColdWindow { first, extra }) => Window::Cold { first, extra },
        None => Window::default(),
    };
    for &(a, b) in plan.network.mesh.iter().chain(&plan.network.others) {
        let hosts = [a, b].map(|node| plan.network.hosts[node as usize]);
        let profile = LinkProfile {
            window,
            loss_ppm: hosts[0].loss_ppm + hosts[1].loss_ppm,
            ..LinkProfile::new(plan.network.latency(a, b))
        };
        world.connect_with(NodeIndex(a), NodeIndex(b), profile).expect("nobody is banned or stopped yet");
    }
    world
}

fn received<M: Machine>(world: &World<M>, ledger: &RefCell<Ledger>) -> Received {
    let usage = world.nodes().map(|node| world.usage(node).received);
    let all = usage.map(|traffic| traffic.bulk_bytes + traffic.control_bytes).sum();
    Received { payload: ledger.borrow().payload, all }
}

/// Until no payload has moved for a while, or for good.
fn finish<M: Machine>(world: &mut World<M>, ledger: &RefCell<Ledger>) {
    let end = world.time() + PATIENCE;
    let mut last = (ledger.borrow().payload, world.time());
    while world.time() < end {
        world.run_for(LOOK);
        let (payload, is_complete) = (ledger.borrow().payload, ledger.borrow().is_complete());
        if payload != last.0 {
            last = (payload, world.time());
        } else if world.time().since(last.1) >= if is_complete { QUIET } else { STUCK } {
            return;
        }
    }
}

/// One slice of work: as long as it lasts, a node computes nothing else.
const WORK: Budget = Budget(2 * 1024 * 1024);
const LOOK: Duration = Duration::from_millis(250);
/// Longer than three heartbeats of gossip.
const QUIET: Duration = Duration::from_secs(3);
/// Repair may take its time.
const STUCK: Duration = Duration::from_secs(20);
/// Longest run after the last message was published.
const PATIENCE: Duration = Duration::from_secs(600);
