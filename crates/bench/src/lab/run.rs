//! One run of one system.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use braidcast_core::machine::{Duration, Time};
use braidcast_sim::World;

use super::{
    actor::Actor,
    baseline::floor,
    braid::Braidcast,
    outcome::{Ledger, Outcome, Received},
    plan::Plan,
    script::script,
    stage::Stage,
    system::{EcBitmap, Gossipsub, System},
};

/// Every system by its name in figures, in the order of tables.
pub(crate) const SYSTEMS: [&str; 6] =
    ["braidcast-open", "gossipsub-1.1", "gossipsub-1.2", "gossipsub-1.2-quiet", "ec-bitmap", "floor"];

/// Braidcast in a closed topic of which all are members: only when it is named.
pub(crate) const CLOSED: &str = "braidcast-closed";

/// rust-libp2p's gossipsub: for validation, and only when it is named.
pub(crate) const RUST: &str = "gossipsub-rust";

/// True for the production code, false for what it is compared with.
pub(crate) fn is_ours(system: &str) -> bool {
    system.starts_with("braidcast")
}

/// The system of this name, or an error that names all.
pub(crate) fn check_name(system: &str) -> anyhow::Result<&'static str> {
    let name = SYSTEMS.into_iter().chain([CLOSED, RUST]).find(|name| *name == system);
    name.ok_or_else(|| anyhow::anyhow!("no system {system:?}: take one of {}, {CLOSED}", SYSTEMS.join(", ")))
}

/// Runs the system of this name.
pub(crate) fn run(plan: &Plan, system: &str) -> anyhow::Result<Outcome> {
    let name = check_name(system)?;
    Ok(match name {
        "braidcast-open" => spread(plan, name, &Braidcast::open(plan)),
        CLOSED => spread(plan, name, &Braidcast::closed(plan)),
        "gossipsub-1.1" => spread(plan, name, &Gossipsub::V1_1),
        "gossipsub-1.2" => spread(plan, name, &Gossipsub::V1_2),
        "gossipsub-1.2-quiet" => spread(plan, name, &Gossipsub::V1_2_QUIET),
        RUST => spread(plan, name, &Gossipsub::RUST),
        "ec-bitmap" => spread(plan, name, &EcBitmap),
        _ => floor(plan, name),
    })
}

fn floor(plan: &Plan, name: &str) -> Outcome {
    let (mut delays, counted) = (Vec::new(), plan.counted());
    let mut trace = blake3::Hasher::new();
    let mut published: BTreeMap<(u32, Time), u64> = BTreeMap::new();
    for message in plan.messages.iter().filter(|message| message.is_measured) {
        // Of what is published at once, one comes first.
        let bytes = published.entry((message.node, message.at)).or_default();
        *bytes += u64::from(message.bytes);
        let arrivals = floor::arrivals(&plan.network, message.node, *bytes);
        let counts = |node: usize| counted[node] && node != message.node as usize;
        for (_, delay) in arrivals.into_iter().enumerate().filter(|&(node, _)| counts(node)) {
            trace.update(&delay.unwrap_or(u64::MAX).to_le_bytes());
            delays.push(delay);
        }
    }
    Outcome::of(plan, name, delays, trace.finalize().to_hex().to_string(), |_| {})
}

/// Plays the plan's script in a world of this system, until nothing moves any more.
pub(crate) fn spread<S: System>(plan: &Plan, name: &str, system: &S) -> Outcome {
    let ledger = Rc::new(RefCell::new(Ledger::new(plan)));
    let mut stage = Stage::new(plan, system);
    stage.watch(&ledger);
    let measured = plan.messages.iter().find(|message| message.is_measured).map(|message| message.at);
    let mut before = None;
    for (at, act) in script(plan) {
        if before.is_none() && Some(at) == measured {
            stage.world.run_until(at);
            before = Some(received(&stage.world, &ledger));
        }
        stage.play(at, act, &ledger);
    }
    finish(&mut stage.world, &ledger);
    let (before, after) = (before.unwrap_or_default(), received(&stage.world, &ledger));
    let received =
        Received { payload: after.payload - before.payload, all: after.all.saturating_sub(before.all) };
    let place = |peer| stage.world.node(peer).expect("only nodes of the world are banned").0;
    let bans = stage.world.bans().iter().map(|ban| (ban.node.0, place(&ban.peer)));
    ledger.borrow_mut().conduct.bans = bans.collect();
    let trace = blake3::Hash::from(stage.world.trace_hash()).to_hex().to_string();
    Outcome::new(plan, name, &ledger.borrow(), received, trace)
}

fn received<S: System>(world: &World<Actor<S>>, ledger: &RefCell<Ledger>) -> Received {
    let ledger = ledger.borrow();
    let counted = world.nodes().filter(|node| ledger.counts(node.0));
    let usage = counted.map(|node| world.usage(node).received);
    let all = usage.map(|traffic| traffic.bulk_bytes + traffic.control_bytes).sum();
    Received { payload: ledger.payload, all }
}

/// Until no payload has moved for a while, or for good.
fn finish<S: System>(world: &mut World<Actor<S>>, ledger: &RefCell<Ledger>) {
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

const LOOK: Duration = Duration::from_millis(250);
/// Longer than three heartbeats of gossip.
const QUIET: Duration = Duration::from_secs(3);
/// Repair may take its time.
const STUCK: Duration = Duration::from_secs(20);
/// Longest run after the last message was published.
const PATIENCE: Duration = Duration::from_secs(600);
