//! How long runs take, about: so that whoever starts many knows what to wait for.

use super::store::Task;
use crate::lab::run::is_ours;

/// Of one thread, in seconds; a rule of thumb, within a factor of two or so where it was tried.
pub(crate) fn seconds(task: &Task) -> f64 {
    let (load, attack) = (task.scenario.load, task.scenario.faults.attack);
    let nodes =
        f64::from(task.choice.nodes) * attack.map_or(1.0, |a| 1.0 + f64::from(a.sybils_percent) / 100.0);
    // What a node does it does for every link, of which scenarios have about 20.
    let links = attack.map_or(1.0, |attack| f64::from(attack.dials.max(20)) / 20.0);
    let messages = f64::from(load.messages + load.warm_messages);
    let mib = task.choice.bytes as f64 / (1 << 20) as f64;
    let [once, per_message, per_mib] = match task.system.as_str() {
        "floor" => return 0.0,
        ours if is_ours(ours) => OURS,
        _ => OTHERS,
    };
    nodes * links * (once + messages * (per_message + per_mib * mib))
}

/// Seconds per node: at all, per message, and per MiB. Of `pop-1000` and `burst-small` on one core of a virtual machine.
const OURS: [f64; 3] = [0.002, 0.000_15, 0.008];
const OTHERS: [f64; 3] = [0.0, 0.000_1, 0.001_4];
