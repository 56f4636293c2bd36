//! Hosts, where they are, and who knows whom: drawn from a scenario and a seed, the same for every system.

use std::collections::BTreeSet;

use braidcast_core::machine::{Duration, Rng};

use super::{
    dice,
    scenario::{Latency, Overlay, Scenario},
};

/// A computer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Place of its class in the scenario.
    pub(crate) class: usize,
    /// Place in [`REGIONS`].
    region: usize,
    /// Uplink, bytes/s.
    pub(crate) up: u64,
    /// Downlink, bytes/s.
    pub(crate) down: u64,
    /// On top of the region's latency, each way.
    added: Duration,
    /// Frames lost on its side, per million.
    pub(crate) loss_ppm: u32,
    /// Everybody knows it.
    pub(crate) is_hub: bool,
}

/// Two nodes that know each other; the first dialled.
pub(crate) type Pair = (u32, u32);

/// Hosts and acquaintances.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub(crate) hosts: Vec<Host>,
    latency: Latency,
    seed: u64,
    /// The overlay that is given to the systems that do not form their own.
    pub(crate) mesh: Vec<Pair>,
    /// Further connections.
    pub(crate) others: Vec<Pair>,
}

impl Network {
    /// Draws `scenario` with `nodes` nodes.
    pub(crate) fn draw(scenario: &Scenario, nodes: u32, seed: u64) -> Self {
        let hosts = hosts(scenario, nodes, &mut dice(seed, "hosts"));
        let mut graph = Graph::new(nodes);
        let overlay = scenario.overlay;
        for (hub, _) in (0..).zip(&hosts).filter(|(_, host)| host.is_hub) {
            graph.others.extend((0..nodes).filter(|&node| node != hub).map(|node| (node, hub)));
            graph.known.extend((0..nodes).map(|node| (node.min(hub), node.max(hub))));
        }
        graph.grow_mesh(overlay, &mut dice(seed, "mesh"));
        graph.grow_others(overlay, &mut dice(seed, "others"));
        if let Some(joins) = overlay.joins {
            graph.graft(joins, overlay.max, &mut dice(seed, "joins"));
        }
        Self { hosts, latency: scenario.latency, seed, mesh: graph.mesh, others: graph.others }
    }

    /// Adds hosts like those of the first class, which nobody knows yet.
    pub(crate) fn add_sybils(&mut self, scenario: &Scenario, count: u32, seed: u64) {
        let mut rng = dice(seed, "sybils");
        self.hosts.extend((0..count).map(|_| Host::draw(scenario, 0, &mut rng)));
    }

    /// One way between two hosts.
    pub(crate) fn latency(&self, a: u32, b: u32) -> Duration {
        let pair = (a, b);
        let (a, b) = (&self.hosts[a as usize], &self.hosts[b as usize]);
        let base = match self.latency {
            Latency::Regions => LATENCY_MS[a.region][b.region],
            Latency::FixedMs(ms) => ms,
            Latency::Drawn { least_ms, median_ms, most_ms } => {
                let thousandth = self.pair_dice(pair).below(1_000);
                let over = thousandth.saturating_sub(500);
                // The upper half by the cube: most of it is near the median.
                let tail = (most_ms - median_ms) * over.pow(3) / 500_u64.pow(3);
                least_ms + (median_ms - least_ms) * thousandth.min(500) / 500 + tail
            }
        };
        Duration::from_millis(base) + a.added + b.added
    }

    fn pair_dice(&self, (a, b): Pair) -> Rng {
        dice(self.seed, &format!("latency {} {}", a.min(b), a.max(b)))
    }

    /// Mesh neighbours of each node, in order.
    pub(crate) fn mesh_neighbours(&self) -> Vec<BTreeSet<u32>> {
        let mut neighbours = vec![BTreeSet::new(); self.hosts.len()];
        for &(a, b) in &self.mesh {
            neighbours[a as usize].insert(b);
            neighbours[b as usize].insert(a);
        }
        neighbours
    }
}

/// Classes by count and by exact share of the rest, regions by weight, both in random order.
fn hosts(scenario: &Scenario, nodes: u32, rng: &mut Rng) -> Vec<Host> {
    let total: u64 = scenario.classes.iter().map(|class| u64::from(class.weight)).sum();
    let counted: u32 = scenario.classes.iter().map(|class| class.count).sum();
    let rest = u64::from(nodes.saturating_sub(counted));
    let mut classes: Vec<usize> = Vec::new();
    let (mut weight, mut before) = (0, 0);
    for (at, class) in scenario.classes.iter().enumerate() {
        weight += u64::from(class.weight);
        before += class.count;
        let share = (rest * weight).checked_div(total).unwrap_or(0) as usize;
        classes.resize(before as usize + share, at);
    }
    classes.truncate(nodes as usize);
    rng.shuffle(&mut classes);
    classes.into_iter().map(|class| Host::draw(scenario, class, rng)).collect()
}

impl Host {
    fn draw(scenario: &Scenario, class: usize, rng: &mut Rng) -> Self {
        let of = &scenario.classes[class];
        Self {
            class,
            region: region(rng),
            up: of.up_mbps * 125_000,
            down: of.down_mbps * 125_000,
            added: Duration::from_millis(of.added_ms),
            loss_ppm: of.loss_ppm,
            is_hub: of.is_hub,
        }
    }
}

fn region(rng: &mut Rng) -> usize {
    let mut at = rng.below(REGIONS.iter().map(|(_, weight)| weight).sum());
    let is_here = |&(_, weight): &(&str, u64)| {
        let is_here = at < weight;
        at = at.saturating_sub(weight);
        is_here
    };
    REGIONS.iter().position(is_here).expect("below the sum of the weights")
}

/// Two sets of edges without a common one.
struct Graph {
    nodes: u32,
    degree: Vec<u32>,
    known: BTreeSet<Pair>,
    mesh: Vec<Pair>,
    others: Vec<Pair>,
}

impl Graph {
    fn new(nodes: u32) -> Self {
        let degree = vec![0; nodes as usize];
        Self { nodes, degree, known: BTreeSet::new(), mesh: Vec::new(), others: Vec::new() }
    }

    /// Every node dials until it has half the degree, then those below the least dial more. Nobody gets beyond the most.
    fn grow_mesh(&mut self, overlay: Overlay, rng: &mut Rng) {
        for node in 0..self.nodes {
            self.dial(node, overlay.degree / 2, overlay, rng);
        }
        for node in 0..self.nodes {
            self.dial(node, overlay.min.saturating_sub(self.degree[node as usize]), overlay, rng);
        }
    }

    fn dial(&mut self, node: u32, count: u32, overlay: Overlay, rng: &mut Rng) {
        let mut made = 0;
        for _ in 0..TRIES {
            if made == count || self.degree[node as usize] >= overlay.max {
                return;
            }
            let other = rng.below(self.nodes.into()) as u32;
            if self.degree[other as usize] < overlay.max && self.learn(node, other) {
                self.mesh.push((node, other));
                self.degree[node as usize] += 1;
                self.degree[other as usize] += 1;
                made += 1;
            }
        }
    }

    fn grow_others(&mut self, overlay: Overlay, rng: &mut Rng) {
        for node in 0..self.nodes {
            let mut made = 0;
            for _ in 0..TRIES {
                if made == overlay.others / 2 {
                    break;
                }
                let other = rng.below(self.nodes.into()) as u32;
                if self.learn(node, other) {
                    self.others.push((node, other));
                    made += 1;
                }
            }
        }
    }

    /// Chooses the mesh anew among all pairs, as they get connected in random order.
    fn graft(&mut self, joins: u32, max: u32, rng: &mut Rng) {
        self.mesh.append(&mut self.others);
        let mut pairs = core::mem::take(&mut self.mesh);
        rng.shuffle(&mut pairs);
        self.degree.fill(0);
        for (a, b) in pairs {
            let degrees = [a, b].map(|node| self.degree[node as usize]);
            if degrees.iter().any(|&degree| degree < joins) && degrees.iter().all(|&degree| degree < max) {
                self.degree[a as usize] += 1;
                self.degree[b as usize] += 1;
                self.mesh.push((a, b));
            } else {
                self.others.push((a, b));
            }
        }
    }

    fn learn(&mut self, a: u32, b: u32) -> bool {
        a != b && self.known.insert((a.min(b), a.max(b)))
    }
}

/// A node gives up to find strangers after this many throws: small networks run out of them.
const TRIES: u32 = 1_000;

/// Regions of gossipsub-interop (`network_graph.py`), with the number of nodes seen in each.
const REGIONS: [(&str, u64); 8] = [
    ("australia", 290),
    ("east_asia", 1059),
    ("europe", 5599),
    ("na_west", 1240),
    ("na_east", 2894),
    ("south_america", 36),
    ("south_africa", 47),
    ("west_asia", 161),
];

/// One way between regions, of the same source, in its order.
const LATENCY_MS: [[u64; 8]; 8] = [
    [2, 110, 165, 110, 150, 190, 220, 180],
    [110, 4, 125, 100, 140, 175, 175, 110],
    [165, 125, 2, 110, 70, 140, 95, 60],
    [110, 100, 110, 2, 60, 100, 160, 150],
    [150, 140, 70, 60, 2, 100, 130, 110],
    [190, 175, 140, 100, 100, 7, 195, 145],
    [220, 175, 95, 160, 130, 190, 7, 110],
    [180, 110, 60, 150, 110, 145, 110, 5],
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pop_1000_has_its_shares_degrees_and_symmetric_latencies() {
        let scenario = Scenario::named("pop-1000").expect("it is a file of ours");
        let network = Network::draw(&scenario, 1000, 1);
        assert_eq!(network.hosts.iter().filter(|host| host.up == 125_000_000).count(), 200);
        let neighbours = network.mesh_neighbours();
        let degrees: Vec<usize> = neighbours.iter().map(BTreeSet::len).collect();
        assert!(degrees.iter().all(|degree| (6..=12).contains(degree)));
        let mean = degrees.iter().sum::<usize>() as f64 / 1000.0;
        assert!((7.8..8.6).contains(&mean), "{mean}");
        let others = network.others.len() as f64 * 2.0 / 1000.0;
        assert!((11.9..=12.0).contains(&others), "{others}");
        assert!((0..100).all(|a| (0..100).all(|b| network.latency(a, b) == network.latency(b, a))));
        let europe = network.hosts.iter().filter(|host| host.region == 2).count();
        assert!((440..550).contains(&europe), "{europe}");
    }

    #[test]
    fn a_seed_draws_one_network() {
        let scenario = Scenario::named("pop-1000").expect("it is a file of ours");
        let draw = |seed| Network::draw(&scenario, 50, seed);
        assert_eq!(draw(1).mesh, draw(1).mesh);
        assert_ne!(draw(1).mesh, draw(2).mesh);
    }
}
