//! One run, whatever the system: the network, and who publishes what when.

use braidcast_core::machine::{Duration, Time};

use super::{
    dice,
    fault::{Rogue, Target},
    network::Network,
    scenario::Scenario,
    script,
};

/// What the command chose.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    pub(crate) nodes: u32,
    pub(crate) bytes: u64,
    /// A class of hosts.
    pub(crate) publisher: String,
    pub(crate) seed: u64,
}

/// A scenario with everything drawn that is the same for all systems.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) scenario: Scenario,
    pub(crate) choice: Choice,
    pub(crate) network: Network,
    /// By node; `None` is an honest one. Sybils come last.
    pub(crate) rogues: Vec<Option<Rogue>>,
    /// Which side of the partition each node is on, if there is one.
    pub(crate) sides: Vec<bool>,
    /// In order of time; the warm-up's first.
    pub(crate) messages: Vec<Message>,
}

/// A message to be published.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) at: Time,
    pub(crate) node: u32,
    pub(crate) bytes: u32,
    pub(crate) is_measured: bool,
}

impl Plan {
    pub(crate) fn draw(scenario: &Scenario, choice: Choice) -> anyhow::Result<Self> {
        let class = scenario.class(&choice.publisher)?;
        let bytes = u32::try_from(choice.bytes).ok().filter(|&bytes| bytes > 0);
        let bytes = bytes.ok_or_else(|| anyhow::anyhow!("messages are 1 byte to 4 GiB long"))?;
        let mut network = Network::draw(scenario, choice.nodes, choice.seed);
        let mut rng = dice(choice.seed, "publishers");
        let mut able: Vec<u32> =
            (0..choice.nodes).filter(|&node| network.hosts[node as usize].class == class).collect();
        anyhow::ensure!(!able.is_empty(), "no host is {:?}: take more nodes", choice.publisher);
        rng.shuffle(&mut able);
        let load = scenario.load;
        let mut messages = Vec::new();
        let mut at = Time::ZERO + Duration::from_millis(scenario.load.starts_ms);
        for _ in 0..load.warm_messages {
            let node = rng.below(choice.nodes.into()) as u32;
            messages.push(Message { at, node, bytes, is_measured: false });
            at = at + Duration::from_millis(load.warm_spacing_ms);
        }
        for number in 0..load.messages {
            let node = able[(number % load.publishers) as usize % able.len()];
            messages.push(Message { at, node, bytes, is_measured: true });
            at = at + Duration::from_micros(load.spacing_us);
        }
        let sybils = scenario.faults.attack.map_or(0, |attack| choice.nodes * attack.sybils_percent / 100);
        network.add_sybils(scenario, sybils, choice.seed);
        let mut sides = dice(choice.seed, "sides");
        let sides = network.hosts.iter().map(|_| sides.below(2) == 0).collect();
        let rogues = vec![None; choice.nodes as usize];
        let mut plan = Self { scenario: scenario.clone(), choice, network, rogues, sides, messages };
        plan.draw_rogues();
        plan.rogues.resize(plan.network.hosts.len(), Some(Rogue::Freerider));
        Ok(plan)
    }

    fn draw_rogues(&mut self) {
        let faults = self.scenario.faults;
        let mut able: Vec<u32> = (0..self.choice.nodes).filter(|&node| !self.stays(node)).collect();
        dice(self.choice.seed, "rogues").shuffle(&mut able);
        let count = self.choice.nodes as usize * faults.rogues_percent as usize / 100;
        for node in able.into_iter().take(count) {
            self.rogues[node as usize] = Some(faults.rogues);
        }
    }

    /// True for a node that nothing happens to: a publisher or a hub.
    pub(crate) fn stays(&self, node: u32) -> bool {
        self.network.hosts[node as usize].is_hub || self.messages.iter().any(|message| message.node == node)
    }

    /// By node: whether its deliveries count. A hub's do not: it is no member of the mesh that is given.
    pub(crate) fn counted(&self) -> Vec<bool> {
        let target = match self.scenario.faults.attack {
            Some(attack) if attack.on == Target::One => script::targets(self, attack.on).first().copied(),
            _ => None,
        };
        let counts = |(node, rogue): (u32, &Option<Rogue>)| match target {
            Some(target) => node == target,
            None => rogue.is_none() && !self.network.hosts[node as usize].is_hub,
        };
        (0..).zip(&self.rogues).map(counts).collect()
    }
}
