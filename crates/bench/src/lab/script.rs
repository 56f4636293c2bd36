//! What happens when, drawn from a scenario and a seed: the same for every system.

use braidcast_core::machine::{Duration, Time};

use super::{
    dice,
    fault::{Churn, Target},
    plan::Plan,
};

/// Something that is done to the world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// The message of this number.
    Publish(u32),
    /// The plug of this node is pulled.
    Leave(u32),
    /// The node is back, with nothing but its key.
    Return(u32),
    /// The two sides can no longer reach each other.
    Cut,
    /// They can again, and dial.
    Heal,
    /// The sybils dial.
    Attack,
}

/// Acts in order of time.
pub(crate) type Script = Vec<(Time, Act)>;

/// Everything that happens in the plan's run.
pub(crate) fn script(plan: &Plan) -> Script {
    let publishing = (0..).zip(&plan.messages).map(|(number, message)| (message.at, Act::Publish(number)));
    let mut script: Script = publishing.collect();
    let (start, faults) = (plan.messages[0].at, plan.scenario.faults);
    if let Some(churn) = faults.churn {
        script.extend(leaves(plan, churn, start));
    }
    if let Some(partition) = faults.partition {
        let at = before(start, partition.before_ms);
        script.push((at, Act::Cut));
        script.push((at + Duration::from_millis(partition.lasts_ms), Act::Heal));
    }
    if let Some(attack) = faults.attack {
        script.push((before(start, attack.before_ms), Act::Attack));
    }
    script.sort_by_key(|&(at, _)| at);
    script
}

/// Nodes leave one at a time, evenly, and come back; hubs and publishers stay.
fn leaves(plan: &Plan, churn: Churn, start: Time) -> Script {
    let mut able: Vec<u32> = (0..plan.choice.nodes).filter(|&node| !plan.stays(node)).collect();
    let mut rng = dice(plan.choice.seed, "churn");
    rng.shuffle(&mut able);
    let per_minute = u64::from(plan.choice.nodes) * u64::from(churn.percent_per_minute) / 100;
    let period = Duration::from_micros(60_000_000 / per_minute.max(1));
    let (mut at, mut script) = (Time::ZERO + period, Script::new());
    let end = start + Duration::from_millis(churn.lasts_ms);
    for &node in able.iter().cycle().take(if per_minute == 0 { 0 } else { usize::MAX }) {
        if at > end || able.is_empty() {
            break;
        }
        // In a small network its turn may come again before it is back.
        let is_back = |(time, act): &(Time, Act)| *act != Act::Return(node) || *time <= at;
        if script.iter().all(is_back) {
            script.push((at, Act::Leave(node)));
            script.push((at + Duration::from_millis(churn.away_ms), Act::Return(node)));
        }
        at = at + period;
    }
    script
}

/// The nodes that an attack is on.
pub(crate) fn targets(plan: &Plan, target: Target) -> Vec<u32> {
    match target {
        Target::All => (0..plan.choice.nodes).collect(),
        Target::Publishers => {
            let mut publishers: Vec<u32> = plan.messages.iter().map(|message| message.node).collect();
            publishers.sort_unstable();
            publishers.dedup();
            publishers
        }
        Target::One => (0..plan.choice.nodes).find(|&node| !plan.stays(node)).into_iter().collect(),
    }
}

/// Who dials whom in an attack: sybil, target.
pub(crate) fn dials(plan: &Plan) -> Vec<(u32, u32)> {
    let Some(attack) = plan.scenario.faults.attack else { return Vec::new() };
    let mut targets = targets(plan, attack.on);
    let mut rng = dice(plan.choice.seed, "attack");
    let mut dials = Vec::new();
    for sybil in plan.choice.nodes..plan.network.hosts.len() as u32 {
        rng.shuffle(&mut targets);
        dials.extend(targets.iter().take(attack.dials as usize).map(|&target| (sybil, target)));
    }
    dials
}

fn before(time: Time, ms: u64) -> Time {
    Time::ZERO + time.since(Time::ZERO + Duration::from_millis(ms))
}
