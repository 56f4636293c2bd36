//! The world of one run, and what is done to it.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use braidcast_core::{
    machine::{Budget, Duration, Time},
    wire::PeerId,
};
use braidcast_sim::{LinkProfile, NodeIndex, NodeProfile, Verdict, Window, World};

use super::{
    actor::Actor,
    dice,
    network::Pair,
    outcome::Ledger,
    plan::Plan,
    scenario::ColdWindow,
    script::{Act, dials},
    system::System,
};

/// A world with the plan's nodes in it.
pub(crate) struct Stage<'a, S: System> {
    pub(crate) world: World<Actor<S>>,
    plan: &'a Plan,
    system: &'a S,
    neighbours: Vec<BTreeSet<u32>>,
    /// Everybody that each node knows.
    known: Vec<Vec<u32>>,
    /// By node: how often it came back, and whether it is away.
    lives: Vec<u32>,
    is_away: Vec<bool>,
}

impl<'a, S: System> Stage<'a, S> {
    /// All nodes, and the links between acquaintances.
    pub(crate) fn new(plan: &'a Plan, system: &'a S) -> Self {
        let nodes = plan.network.hosts.len();
        let mut known = vec![Vec::new(); nodes];
        for &(a, b) in acquaintances(plan) {
            known[a as usize].push(b);
            known[b as usize].push(a);
        }
        let mut stage = Self {
            world: World::new(plan.choice.seed),
            plan,
            system,
            neighbours: plan.network.mesh_neighbours(),
            known,
            lives: vec![0; nodes],
            is_away: vec![false; nodes],
        };
        for node in 0..nodes as u32 {
            let (actor, profile) = (stage.actor(node), stage.node_profile(node));
            let index = stage.world.add_node(system.peer(node), actor, profile);
            stage.start(index);
        }
        acquaintances(plan).for_each(|&pair| stage.connect(pair));
        stage
    }

    fn actor(&self, node: u32) -> Actor<S> {
        let mesh: BTreeSet<PeerId> =
            self.neighbours[node as usize].iter().map(|&other| self.system.peer(other)).collect();
        let life = match self.lives[node as usize] {
            0 => String::new(),
            life => format!(", life {life}"),
        };
        let rng = dice(self.plan.choice.seed, &format!("machine {node}{life}"));
        let machine = self.system.machine(self.plan, node, mesh, rng);
        Actor { machine, rogue: self.plan.rogues[node as usize] }
    }

    fn node_profile(&self, node: u32) -> NodeProfile {
        let (host, computing) = (&self.plan.network.hosts[node as usize], self.plan.scenario.computing);
        let handling = if self.system.verifies_frames() { computing.handling_us } else { 0 };
        NodeProfile {
            work_budget: WORK,
            work_slice: Duration::from_micros(WORK.0 as u64 / computing.work_mb_per_s.max(1)),
            bulk_handling: Duration::from_micros(handling),
            ..NodeProfile::rates(host.up, host.down)
        }
    }

    fn start(&mut self, node: NodeIndex) {
        if let Some(command) = self.system.start() {
            self.world.command(node, command);
        }
    }

    /// Unless one of them is away, refuses the other, or is connected already.
    fn connect(&mut self, (a, b): Pair) {
        let hosts = [a, b].map(|node| self.plan.network.hosts[node as usize]);
        let profile = LinkProfile {
            window: match self.plan.scenario.cold_window {
                Some(ColdWindow { first, extra }) => Window::Cold { first, extra },
                None => Window::default(),
            },
            loss_ppm: hosts[0].loss_ppm + hosts[1].loss_ppm,
            ..LinkProfile::new(self.plan.network.latency(a, b))
        };
        let _refused = self.world.connect_with(NodeIndex(a), NodeIndex(b), profile);
    }

    /// Has deliveries, payload and misconduct written into the ledger.
    pub(crate) fn watch(&mut self, ledger: &Rc<RefCell<Ledger>>) {
        let mut observe = self.system.observer(ledger.clone());
        self.world.observe(move |time, node, event| {
            observe(time, node, event);
            None
        });
        let (ledger, rogues) = (ledger.clone(), self.plan.rogues.clone());
        let is_rogue = move |node: NodeIndex| rogues[node.0 as usize].is_some();
        self.world.intercept(move |from, to, frame| {
            let ledger = &mut *ledger.borrow_mut();
            if ledger.counts(to.0) {
                ledger.payload += S::payload(frame);
            }
            if S::is_polluted(frame) {
                match (is_rogue(from), is_rogue(to)) {
                    (false, _) => ledger.conduct.forwarded += 1,
                    (true, false) => _ = ledger.conduct.attacks.insert((from.0, to.0)),
                    (true, true) => {}
                }
            }
            Verdict::Deliver
        });
    }

    /// Lets time go on until then, and does it.
    pub(crate) fn play(&mut self, at: Time, act: Act, ledger: &RefCell<Ledger>) {
        self.world.run_until(at);
        let faults = &self.plan.scenario.faults;
        match act {
            Act::Publish(number) => {
                let message = &self.plan.messages[number as usize];
                self.world.command(NodeIndex(message.node), self.system.publish(number, message));
            }
            Act::Leave(node) => {
                let churn = faults.churn.expect("nodes leave in churn");
                self.is_away[node as usize] = true;
                ledger.borrow_mut().away(node, at, at + Duration::from_millis(churn.away_ms));
                self.world.stop(NodeIndex(node), Some(Duration::from_millis(churn.notice_ms)));
            }
            Act::Return(node) => {
                self.is_away[node as usize] = false;
                self.lives[node as usize] += 1;
                self.world.restart(NodeIndex(node), self.actor(node));
                self.start(NodeIndex(node));
                for at in 0..self.known[node as usize].len() {
                    self.connect((node, self.known[node as usize][at]));
                }
            }
            Act::Cut => {
                let notice = faults.partition.map(|partition| Duration::from_millis(partition.notice_ms));
                across(self.plan).for_each(|&(a, b)| self.world.cut(NodeIndex(a), NodeIndex(b), notice));
            }
            Act::Heal => {
                for &(a, b) in across(self.plan) {
                    self.world.heal(NodeIndex(a), NodeIndex(b));
                    self.connect((a, b));
                }
            }
            Act::Attack => dials(self.plan).into_iter().for_each(|pair| self.connect(pair)),
        }
    }
}

fn acquaintances(plan: &Plan) -> impl Iterator<Item = &Pair> {
    plan.network.mesh.iter().chain(&plan.network.others)
}

/// Acquaintances on different sides of the partition.
fn across(plan: &Plan) -> impl Iterator<Item = &Pair> {
    acquaintances(plan).filter(|&&(a, b)| plan.sides[a as usize] != plan.sides[b as usize])
}

/// One slice of work: as long as it lasts, a node computes nothing else.
const WORK: Budget = Budget(2 * 1024 * 1024);
