//! One run, whatever the system: the network, and who publishes what when.

use braidcast_core::machine::{Duration, Time};

use super::{dice, network::Network, scenario::Scenario};

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
        let network = Network::draw(scenario, choice.nodes, choice.seed);
        let mut rng = dice(choice.seed, "publishers");
        let mut able: Vec<u32> =
            (0..choice.nodes).filter(|&node| network.hosts[node as usize].class == class).collect();
        anyhow::ensure!(!able.is_empty(), "no host is {:?}: take more nodes", choice.publisher);
        rng.shuffle(&mut able);
        let load = scenario.load;
        let mut messages = Vec::new();
        let mut at = Time::ZERO + SETTLING;
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
        Ok(Self { scenario: scenario.clone(), choice, network, messages })
    }
}

/// Meshes form for this long before anything is published.
const SETTLING: Duration = Duration::from_secs(10);
