//! One seed: the world, and the promises.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    ops::AddAssign,
    rc::Rc,
};

use braidcast_core::{
    Command, Config, Event,
    machine::{Duration, Time},
    mesh::{self, Content, Mode, Publish, Secret, TopicParams},
    wire::{MessageId, Topic},
};
use braidcast_sim::{NodeIndex, Verdict, World};
use bytes::Bytes;

use super::faults::{Act, Draw, END};
use crate::lab::{
    actor::Actor,
    braid::{self, Braidcast},
    dice, shared,
    system::System,
};

/// What a trial went through.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Count {
    pub(crate) messages: u64,
    pub(crate) deliveries: u64,
    /// Of which this many were promised; the rest came to nodes that left, or over links that were cut.
    pub(crate) promised: u64,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.messages += other.messages;
        self.deliveries += other.deliveries;
        self.promised += other.promised;
    }
}

/// Runs a seed; says what was broken, if anything was.
pub(crate) fn run(seed: u64) -> Result<Count, String> {
    Trial::new(seed).run()
}

struct Trial {
    seed: u64,
    draw: Draw,
    world: World<Actor<Braidcast>>,
    log: Rc<RefCell<Log>>,
    /// By node: how often it came back.
    lives: Vec<u32>,
    /// Nodes that were ever stopped or slowed down, links that were ever cut.
    unsteady: BTreeSet<u32>,
    /// Nodes that are stopped now.
    down: BTreeSet<u32>,
    cut: BTreeSet<u32>,
}

/// What was seen.
#[derive(Default)]
struct Log {
    published: Vec<Published>,
    /// Of answered tickets.
    answered: BTreeSet<u64>,
    numbers: BTreeMap<MessageId, usize>,
    /// Node, life, message: when.
    deliveries: BTreeMap<(u32, u32, usize), Time>,
    lives: Vec<u32>,
    forwarded: u64,
    broken: Vec<String>,
}

struct Published {
    node: u32,
    topic: usize,
    payload: Bytes,
    at: Time,
    is_refused: bool,
}

impl Trial {
    fn new(seed: u64) -> Self {
        let draw = Draw::of(seed);
        let mut trial = Self {
            seed,
            world: World::new(seed),
            log: Rc::default(),
            lives: vec![0; draw.nodes.len()],
            unsteady: BTreeSet::new(),
            down: BTreeSet::new(),
            cut: BTreeSet::new(),
            draw,
        };
        shared::forget();
        trial.log.borrow_mut().lives.clone_from(&trial.lives);
        trial.watch();
        for node in 0..trial.draw.nodes.len() as u32 {
            let (actor, profile) = (trial.actor(node), trial.draw.nodes[node as usize].profile.clone());
            trial.world.add_node(braid::identity(seed, node).peer_id(), actor, profile);
            trial.subscribe(node);
        }
        for at in 0..trial.draw.links.len() {
            trial.connect(at as u32);
        }
        trial
    }

    fn actor(&self, node: u32) -> Actor<Braidcast> {
        let rng = dice(self.seed, &format!("machine {node}, life {}", self.lives[node as usize]));
        let machine = braid::core(Config::default(), braid::identity(self.seed, node), rng);
        Actor { machine, rogue: self.draw.nodes[node as usize].rogue }
    }

    fn subscribe(&mut self, node: u32) {
        for topic in self.draw.nodes[node as usize].topics.clone() {
            if let Some(key) = self.draw.key(node, topic) {
                let params = TopicParams {
                    mode: Mode::Closed { secret: Secret([key; 32]) },
                    ..TopicParams::default()
                };
                let params = params.checked().expect("all but the mode is as usual");
                self.command(node, mesh::Command::Configure(name(topic), params));
            }
            self.command(node, mesh::Command::Subscribe(name(topic)));
        }
    }

    fn command(&mut self, node: u32, command: mesh::Command) {
        self.world.command(NodeIndex(node), Command::Mesh(command));
    }

    fn connect(&mut self, link: u32) {
        let (a, b, profile) = self.draw.links[link as usize].clone();
        let _refused = self.world.connect_with(NodeIndex(a), NodeIndex(b), profile);
    }

    fn watch(&mut self) {
        let log = self.log.clone();
        self.world.observe(move |time, node, event| {
            if let Event::Mesh(event) = event {
                log.borrow_mut().on_event(time, node.0, event);
            }
            None
        });
        let log = self.log.clone();
        let honest: Vec<bool> = self.draw.nodes.iter().map(|node| node.rogue.is_none()).collect();
        self.world.intercept(move |from, _, frame| {
            // Who mixes shards cannot know what they are made of.
            let is_vouched = honest[from.0 as usize] && !braid::is_shard(frame);
            log.borrow_mut().forwarded += u64::from(is_vouched && Braidcast::is_polluted(frame));
            Verdict::Deliver
        });
    }

    fn run(mut self) -> Result<Count, String> {
        for (at, act) in core::mem::take(&mut self.draw.acts) {
            self.world.run_until(at);
            self.act(at, act);
        }
        self.world.run_until(Time::ZERO + END);
        // Whoever lost a link dials again, as hosts do.
        (0..self.draw.links.len() as u32).for_each(|link| self.connect(link));
        self.world.run_for(QUIET);
        let sent = self.bulk_frames();
        self.world.run_for(Duration::from_secs(5));
        let mut broken = core::mem::take(&mut self.log.borrow_mut().broken);
        if self.bulk_frames() != sent {
            broken.push("bulk still moves long after the last message".into());
        }
        broken.extend(self.misjudged());
        let mut promised = 0;
        broken.extend(self.missed(&mut promised));
        broken.extend(self.leaked());
        broken.extend(self.left_over());
        let log = self.log.borrow();
        if log.forwarded > 0 {
            broken.push(format!("honest nodes sent {} corrupt frames", log.forwarded));
        }
        match broken.is_empty() {
            true => {
                let (messages, deliveries) = (log.numbers.len() as u64, log.deliveries.len() as u64);
                Ok(Count { messages, deliveries, promised })
            }
            false => Err(broken.join("; ")),
        }
    }

    fn act(&mut self, at: Time, act: Act) {
        match act {
            Act::Publish(node, topic, bytes) => {
                if self.down.contains(&node) {
                    return;
                }
                let ticket = self.log.borrow().published.len() as u64;
                let mut payload = vec![0; bytes as usize];
                dice(self.seed, &format!("payload {ticket}")).fill(&mut payload);
                let payload = Bytes::from(payload);
                let content = Content { payload: payload.clone().into(), ..Content::default() };
                let published = Published { node, topic, payload, at, is_refused: false };
                self.log.borrow_mut().published.push(published);
                self.command(node, mesh::Command::Publish(Publish { ticket, topic: name(topic), content }));
            }
            Act::Stop(node, notice) => {
                self.unsteady.insert(node);
                self.down.insert(node);
                self.world.stop(NodeIndex(node), notice);
            }
            Act::Start(node) => {
                self.down.remove(&node);
                self.lives[node as usize] += 1;
                self.log.borrow_mut().lives[node as usize] += 1;
                self.world.restart(NodeIndex(node), self.actor(node));
                self.subscribe(node);
                let ours = |&link: &u32| {
                    let (a, b, _) = self.draw.links[link as usize];
                    a == node || b == node
                };
                let links: Vec<u32> = (0..self.draw.links.len() as u32).filter(ours).collect();
                links.into_iter().for_each(|link| self.connect(link));
            }
            Act::Cut(link, notice) => {
                self.cut.insert(link);
                let (a, b, _) = self.draw.links[link as usize];
                self.world.cut(NodeIndex(a), NodeIndex(b), notice);
            }
            Act::Heal(link) => {
                let (a, b, _) = self.draw.links[link as usize];
                self.world.heal(NodeIndex(a), NodeIndex(b));
                self.connect(link);
            }
            Act::Slow(node, bytes_per_s) => {
                // What it cannot take before others forget it, it never gets.
                self.unsteady.insert(node);
                self.world.set_rates(NodeIndex(node), bytes_per_s, bytes_per_s);
            }
        }
    }

    fn is_honest(&self, node: u32) -> bool {
        self.draw.nodes[node as usize].rogue.is_none()
    }

    fn bulk_frames(&self) -> u64 {
        self.world.nodes().map(|node| self.world.usage(node).sent.bulk_frames).sum()
    }

    /// Honest nodes that honest nodes banned.
    fn misjudged(&self) -> Vec<String> {
        let node = |peer| self.world.node(peer).expect("a node of this world").0;
        let bans = self.world.bans().iter().map(|ban| (ban, ban.node.0, node(&ban.peer)));
        let unjust = bans.filter(|&(_, by, of)| self.is_honest(by) && self.is_honest(of));
        let rule = |by: u32, of: u32| {
            let reports = self.world.reports().iter();
            let mut of_pair = reports.filter(|report| report.node.0 == by && node(&report.peer) == of);
            of_pair.next_back().map_or("no reported offence", |report| report.offence.rule)
        };
        unjust.map(|(ban, by, of)| format!("{by} banned {of} at {:?}: {}", ban.time, rule(by, of))).collect()
    }

    /// Whoever stayed, and is joined to the publisher by honest subscribers and links that stayed, has the message.
    fn missed(&self, promised: &mut u64) -> Vec<String> {
        let log = self.log.borrow();
        let mut missed = Vec::new();
        for (number, message) in log.published.iter().enumerate().filter(|(_, message)| !message.is_refused) {
            if !log.answered.contains(&(number as u64)) {
                missed.push(format!("message {number} of node {} was never answered", message.node));
            }
            let reachable = self.reachable(message.node, message.topic);
            for node in reachable.into_iter().filter(|&node| node != message.node) {
                *promised += 1;
                if !log.deliveries.contains_key(&(node, 0, number)) {
                    missed.push(format!(
                        "node {node} misses message {number} of {} bytes, published by {} at {:?}",
                        message.payload.len(),
                        message.node,
                        message.at,
                    ));
                }
            }
        }
        missed
    }

    fn reachable(&self, from: u32, topic: usize) -> BTreeSet<u32> {
        let stays = |node: u32| {
            self.is_honest(node)
                && self.draw.key(node, topic) == self.draw.key(from, topic)
                && !self.unsteady.contains(&node)
                && self.draw.nodes[node as usize].topics.contains(&topic)
        };
        let mut reached = BTreeSet::new();
        let mut open = vec![from];
        while let Some(node) = open.pop() {
            if !stays(node) || !reached.insert(node) {
                continue;
            }
            for (at, &(a, b, _)) in self.draw.links.iter().enumerate() {
                if !self.cut.contains(&(at as u32)) {
                    open.extend(
                        [(a, b), (b, a)].iter().filter(|(end, _)| *end == node).map(|&(_, other)| other),
                    );
                }
            }
        }
        reached
    }

    /// Deliveries to who has another key than the publisher.
    fn leaked(&self) -> Vec<String> {
        let log = self.log.borrow();
        let is_leak = |&(node, number): &(u32, usize)| {
            let Published { node: publisher, topic, .. } = log.published[number];
            self.draw.key(node, topic) != self.draw.key(publisher, topic)
        };
        let leaks = log.deliveries.keys().map(|&(node, _, number)| (node, number)).filter(is_leak);
        leaks
            .map(|(node, number)| format!("node {node} has no key to message {number} and was handed it"))
            .collect()
    }

    /// Messages that are still in the memory of honest nodes.
    fn left_over(&self) -> Vec<String> {
        let held = |node: NodeIndex| (node.0, self.world.machine(node).machine.messages());
        let held = self.world.nodes().map(held).filter(|&(node, held)| held > 0 && self.is_honest(node));
        held.map(|(node, held)| format!("node {node} still holds {held} messages")).collect()
    }
}

impl Log {
    fn on_event(&mut self, time: Time, node: u32, event: mesh::Event) {
        match event {
            mesh::Event::Published { ticket, id, .. } => {
                self.answered.insert(ticket);
                self.numbers.insert(id, ticket as usize);
            }
            mesh::Event::Refused { ticket, .. } => {
                self.answered.insert(ticket);
                self.published[ticket as usize].is_refused = true;
            }
            mesh::Event::Message(message) => self.on_message(time, node, &message),
            _ => {}
        }
    }

    fn on_message(&mut self, time: Time, node: u32, message: &mesh::Message) {
        let Some(&number) = self.numbers.get(&message.id) else {
            return self.broken.push(format!("node {node} was handed a message that nobody published"));
        };
        if !braid::is_same(&message.content.payload, &self.published[number].payload) {
            self.broken.push(format!("node {node} was handed other bytes than message {number}"));
        }
        let life = self.lives[node as usize];
        if self.deliveries.insert((node, life, number), time).is_some() {
            self.broken.push(format!("node {node} was handed message {number} twice"));
        }
    }
}

fn name(topic: usize) -> Topic {
    Topic::new(format!("topic {topic}")).expect("it is short")
}

/// Longer than an unfinished message is kept.
const QUIET: Duration = Duration::from_secs(90);
