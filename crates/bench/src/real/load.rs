//! Messages as fast as a system takes them.

use std::{collections::BTreeMap, time::Duration};

use super::{fleet::Fleet, worker::Report};

/// How much.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    /// Of each message.
    pub(crate) bytes: usize,
    pub(crate) messages: u64,
    /// Most messages that some node lacks yet.
    pub(crate) window: usize,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) delivered: u64,
    /// Deliveries that did not come.
    pub(crate) lost: u64,
    /// From the first message's publication to the last delivery.
    pub(crate) took: Duration,
    /// Of all nodes, user and system.
    pub(crate) cpu: Duration,
}

impl Load {
    pub(crate) fn bytes_per_s(&self, bytes: usize) -> f64 {
        self.delivered as f64 * bytes as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn bytes_per_cpu_s(&self, bytes: usize) -> f64 {
        self.delivered as f64 * bytes as f64 / self.cpu.as_secs_f64()
    }
}

/// Every node publishes in turn.
pub(crate) fn run(fleet: &mut Fleet, plan: Plan) -> anyhow::Result<Load> {
    let others = fleet.len() as u64 - 1;
    let mut load = Load::default();
    let (mut first, mut last) = (u64::MAX, 0);
    // How many nodes lack each.
    let mut open = BTreeMap::new();
    let before = fleet.cpu()?;
    let mut to_publish = plan.messages;
    loop {
        while to_publish > 0 && open.len() < plan.window {
            open.insert(fleet.publish(plan.bytes)?, others);
            to_publish -= 1;
        }
        if open.is_empty() {
            break;
        }
        match fleet.next()? {
            Some((_, Report::Published { at, .. })) => first = first.min(at),
            Some((_, Report::Delivered { number, at })) => {
                if let Some(lacking) = open.get_mut(&number) {
                    load.delivered += 1;
                    last = last.max(at);
                    *lacking -= 1;
                    if *lacking == 0 {
                        open.remove(&number);
                    }
                }
            }
            Some((from, Report::Refused { number, why })) => {
                eprintln!("{} {from} took no message: {why}", fleet.system.name());
                load.lost += open.remove(&number).unwrap_or_default();
            }
            Some(_) => {}
            None => load.lost += std::mem::take(&mut open).into_values().sum::<u64>(),
        }
    }
    load.took = Duration::from_nanos(last.saturating_sub(first));
    load.cpu = fleet.cpu()?.saturating_sub(before);
    Ok(load)
}
