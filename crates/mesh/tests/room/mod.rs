//! Nodes in one topic in a simulated world, and what their applications were told.
#![allow(dead_code, reason = "each test uses some of it")]

use std::collections::BTreeMap;

use braidcast_machine::{Duration, Rng};
use braidcast_mesh::{
    Command, Config, Content, Event, Frame, Mesh, Publish, Trace,
    frame::{self, Body},
};
use braidcast_sim::{NodeIndex, NodeProfile, World};
use braidcast_wire::{Identity, MessageId, Topic};
use bytes::Bytes;

pub(crate) struct Room {
    pub(crate) world: World<Mesh>,
    pub(crate) topic: Topic,
    pub(crate) messages: BTreeMap<(NodeIndex, MessageId), Bytes>,
    pub(crate) traces: Vec<(NodeIndex, Trace)>,
    published: BTreeMap<u64, MessageId>,
}

impl Room {
    /// Nodes that are not connected yet.
    pub(crate) fn new(seed: u64, profiles: impl IntoIterator<Item = NodeProfile>, config: &Config) -> Self {
        let topic = Topic::new("room").expect("a name");
        let mut world = World::new(seed);
        for profile in profiles {
            let seed = world.draw_seed();
            let identity = Identity::from_seed(&seed);
            let node = world.add_node(
                identity.peer_id(),
                Mesh::new(Config { traces: true, ..config.clone() }, identity, seed),
                profile,
            );
            world.command(node, Command::Subscribe(topic.clone()));
        }
        Self { world, topic, messages: BTreeMap::new(), traces: Vec::new(), published: BTreeMap::new() }
    }

    /// Every node dials half of `degree` others at random.
    pub(crate) fn random(seed: u64, nodes: u32, degree: u32, config: &Config) -> Self {
        Self::random_of(seed, (0..nodes).map(|_| profile()), degree, config)
    }

    /// The same with hosts of these profiles.
    pub(crate) fn random_of(
        seed: u64,
        profiles: impl IntoIterator<Item = NodeProfile>,
        degree: u32,
        config: &Config,
    ) -> Self {
        let mut room = Self::new(seed, profiles, config);
        let nodes = room.world.len() as u32;
        let mut rng = Rng::from_seed(room.world.draw_seed());
        for node in 0..nodes {
            for _ in 0..degree / 2 {
                let other = rng.below(nodes.into()) as u32;
                let _ = room.world.connect(NodeIndex(node), NodeIndex(other), LATENCY);
            }
        }
        room.run(2_000);
        room
    }

    pub(crate) fn publish(&mut self, node: NodeIndex, payload: Bytes) -> MessageId {
        let ticket = self.published.len() as u64;
        let content = Content { payload: payload.clone().into(), ..Content::default() };
        let publish = Publish { ticket, topic: self.topic.clone(), content };
        self.world.command(node, Command::Publish(publish));
        self.collect();
        let id = self.published[&ticket];
        self.messages.insert((node, id), payload);
        id
    }

    pub(crate) fn run(&mut self, millis: u64) {
        self.world.run_for(Duration::from_millis(millis));
        self.collect();
    }

    fn collect(&mut self) {
        for (_, node, event) in self.world.take_events() {
            match event {
                Event::Published { ticket, id, .. } => drop(self.published.insert(ticket, id)),
                Event::Message(message) => {
                    let payload = message.content.payload.into_bytes();
                    assert!(self.messages.insert((node, message.id), payload).is_none(), "delivered twice");
                }
                Event::Trace(trace) => self.traces.push((node, trace)),
                _ => {}
            }
        }
    }

    /// True when all of these nodes hold the message with this payload.
    pub(crate) fn have_all(&self, nodes: &[NodeIndex], id: MessageId, payload: &Bytes) -> bool {
        nodes.iter().all(|&node| self.messages.get(&(node, id)) == Some(payload))
    }

    /// Neighbours of a node in the topic's mesh.
    pub(crate) fn mesh(&self, node: NodeIndex) -> Vec<NodeIndex> {
        let peers = self.world.machine(node).neighbours(&self.topic);
        peers.map(|peer| self.world.node(&peer).expect("it is of this world")).collect()
    }
}

/// 50 Mbit/s both ways.
pub(crate) fn profile() -> NodeProfile {
    NodeProfile::rates(6_250_000, 6_250_000)
}

pub(crate) fn payload(len: usize, seed: u8) -> Bytes {
    let mut bytes = vec![0; len];
    Rng::from_seed([seed; 32]).fill(&mut bytes);
    bytes.into()
}

/// Flips a bit of a piece's bytes.
pub(crate) fn spoil(frame: &mut Frame) {
    if let Some(Body::Chunk(frame::Chunk { bytes, .. })) = &mut frame.body {
        let mut spoilt = bytes.to_vec();
        spoilt[0] ^= 1;
        *bytes = spoilt.into();
    }
}

const LATENCY: Duration = Duration::from_millis(30);
