//! Whole nodes in a simulated world: what gets across, how fast, and what an attacker can do.

use std::collections::BTreeMap;

use braidcast_core::{
    Command, Config, Core, Event, Frame,
    frame::Body,
    machine::{Duration, Time},
    mesh::{self, Content, Publish, PublishError, TopicParams, Trace},
    wire::{Identity, MessageId, Topic},
};
use braidcast_sim::{NodeIndex, NodeProfile, Verdict, World};
use bytes::Bytes;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_star_around_one_relay_delivers_every_size() {
    for len in [0, 1, 4096, 4097, 8193, 100_000, 300_000, 2_500_000] {
        let mut room = Room::star(1, 6, Duration::from_millis(20));
        let payload = random(len, 7);
        let id = room.publish(NodeIndex(1), payload.clone());
        room.run(Duration::from_secs(20));
        assert_eq!(room.missing(id, &[NodeIndex(1)]), [], "{len} bytes");
        assert!(room.payloads(id).all(|got| *got == payload), "{len} bytes");
    }
}

#[test]
fn a_message_above_a_generation_arrives_in_several() {
    let mut room = Room::star(1, 2, Duration::from_millis(5));
    let payload = random((16 << 20) + 5, 9);
    let id = room.publish(NodeIndex(1), payload.clone());
    room.run(Duration::from_secs(20));
    assert_eq!(room.missing(id, &[NodeIndex(1)]), []);
    assert!(room.payloads(id).all(|got| *got == payload));
}

#[test]
fn thirty_nodes_of_bounded_degree_all_receive_with_few_copies() {
    let mut room = Room::random(3, 30, 8, Duration::from_millis(30));
    let id = room.publish(NodeIndex(0), random(1 << 20, 1));
    room.run(Duration::from_secs(20));
    assert_eq!(room.missing(id, &[NodeIndex(0)]), []);
    let copies = room.received_bytes() as f64 / (29.0 * (1 << 20) as f64);
    assert!(copies < 2.0, "{copies} copies; gossipsub with IDONTWANT sends 4 to 6");
}

#[test]
fn messages_of_many_publishers_all_arrive_once() {
    let mut room = Room::random(5, 12, 5, Duration::from_millis(10));
    let ids: Vec<MessageId> = (0..60)
        .map(|number| {
            let node = NodeIndex(number % 12);
            room.run(Duration::from_millis(7));
            room.publish(node, random(200, number.into()))
        })
        .collect();
    room.run(Duration::from_secs(5));
    for (number, id) in ids.into_iter().enumerate() {
        assert_eq!(room.missing(id, &[NodeIndex(number as u32 % 12)]), []);
    }
    assert!(room.deliveries.values().all(|times| *times == 1), "delivered once each");
}

#[test]
fn a_corrupt_byte_is_never_delivered_and_its_sender_is_banned() {
    let mut room = Room::random(11, 16, 6, Duration::from_millis(10));
    let polluter = NodeIndex(3);
    room.world.intercept(move |from, _, frame| {
        if from == polluter {
            spoil(frame);
        }
        Verdict::Deliver
    });
    let payload = random(400_000, 2);
    let id = room.publish(NodeIndex(0), payload.clone());
    room.run(Duration::from_secs(30));
    assert_eq!(room.missing(id, &[NodeIndex(0), polluter]), []);
    assert!(room.payloads(id).all(|got| *got == payload));
    let polluter = room.world.peer(polluter);
    assert!(!room.world.bans().is_empty());
    assert!(room.world.bans().iter().all(|ban| ban.peer == polluter), "nobody honest is banned");
}

#[test]
fn recovers_when_a_tenth_of_all_frames_is_dropped() {
    let mut room = Room::random(13, 12, 6, Duration::from_millis(10));
    let mut count = 0_u32;
    room.world.intercept(move |_, _, frame| {
        count += 1;
        let is_payload = matches!(&frame.body, Some(Body::Mesh(frame)) if frame.is_bulk());
        if is_payload && count.is_multiple_of(10) { Verdict::Drop } else { Verdict::Deliver }
    });
    let id = room.publish(NodeIndex(0), random(200_000, 3));
    room.run(Duration::from_secs(60));
    assert_eq!(room.missing(id, &[NodeIndex(0)]), []);
}

#[test]
fn a_node_that_joins_while_a_message_is_under_way_receives_it() {
    let mut room = Room::star(17, 3, Duration::from_millis(20));
    room.world.set_rates(NodeIndex(1), 1_000_000, 1_000_000);
    let id = room.publish(NodeIndex(1), random(1 << 20, 4));
    room.run(Duration::from_millis(300));
    let late = room.join();
    room.world.connect(late, NodeIndex(0), Duration::from_millis(20)).expect("nobody is banned");
    room.run(Duration::from_secs(20));
    assert_eq!(room.missing(id, &[NodeIndex(1)]), []);
}

#[test]
fn a_publisher_without_subscribers_is_told() {
    let mut room = Room::star(19, 1, Duration::from_millis(5));
    let topic = Topic::new("elsewhere").expect("a name");
    let content = Content { payload: Bytes::from_static(b"x").into(), ..Content::default() };
    let publish = mesh::Command::Publish(Publish { ticket: 5, topic: topic.clone(), content });
    room.world.command(NodeIndex(1), Command::Mesh(publish));
    room.run(Duration::from_millis(100));
    let error = PublishError::NoPeers { topic };
    assert_eq!(room.refused, [(5, error)]);
}

/// A link of 5 Mbit/s behind a kernel that swallows 4 MiB: only credit keeps it free. What is under way is what can
/// still arrive after `Done`; a bulk frame's round trip is what a control frame at its place would have had, plus the
/// frame's own length.
#[test]
fn a_slow_link_holds_little_and_lets_control_through() {
    let (idle, frame) = (Duration::from_millis(40), Duration::from_micros(16_384 * 8 / 5));
    let deep = NodeProfile { send_buffer_bytes: 4 << 20, ..NodeProfile::rates(6_250_000, 6_250_000) };
    let mut room = Room::star_of(23, 1, Duration::from_millis(20), deep);
    let (tab, relay) = (NodeIndex(1), NodeIndex(0));
    room.world.throttle(tab, relay, 5_000_000 / 8);
    let id = room.publish(tab, random(4 << 20, 6));
    let (mut most_in_flight, mut longest) = (0, Duration::ZERO);
    while room.deliveries.is_empty() {
        room.run(Duration::from_millis(10));
        let link = room.world.machine(tab).links().next().expect("one link");
        most_in_flight = most_in_flight.max(link.in_flight_bytes);
        longest = longest.max(link.last_rtt.unwrap_or_default());
        assert!(room.world.time() < Time::ZERO + Duration::from_secs(12), "4 MiB at 5 Mbit/s are 6.8 s");
    }
    assert_eq!(room.missing(id, &[tab]), []);
    assert!(most_in_flight <= 128 * 1024, "{most_in_flight} bytes could arrive after Done");
    assert!(longest <= idle + idle + frame + frame, "{longest:?}, idle {idle:?}, frame {frame:?}");
}

/// What was measured long ago, or over the silence since, must not hold back what comes now.
#[test]
fn an_idle_minute_does_not_slow_the_next_message() {
    let mut room = Room::star(31, 8, Duration::from_millis(50));
    room.run(Duration::from_secs(60));
    let start = room.world.time();
    let id = room.publish(NodeIndex(0), random(1 << 20, 5));
    while !room.missing(id, &[NodeIndex(0)]).is_empty() {
        room.run(Duration::from_millis(10));
        // Eight copies at 50 Mbit/s are 1.3 s; the rate is found in half a second.
        assert!(room.world.time().since(start) < Duration::from_secs(3));
    }
}

/// The publisher's link is slow, a third node's is fast: the receiver has enough long before the publisher is through.
#[test]
fn done_stops_the_flow_on_a_slow_link() {
    let deep = NodeProfile { send_buffer_bytes: 4 << 20, ..NodeProfile::rates(6_250_000, 6_250_000) };
    let mut room = Room::new(29, 3, false, deep);
    let (publisher, receiver, third) = (NodeIndex(0), NodeIndex(1), NodeIndex(2));
    for (a, b) in [(publisher, receiver), (publisher, third), (third, receiver)] {
        room.world.connect(a, b, Duration::from_millis(20)).expect("nobody is banned");
    }
    room.world.throttle(publisher, receiver, 5_000_000 / 8);
    room.run(Duration::from_secs(1));
    let id = room.publish(publisher, random(4 << 20, 8));
    while !room.deliveries.contains_key(&(receiver, id)) {
        room.run(Duration::from_millis(1));
        assert!(room.world.time() < Time::ZERO + Duration::from_secs(10));
    }
    let bulk = |room: &Room| room.world.traffic(publisher, receiver).1.bulk_bytes;
    let before = bulk(&room);
    room.run(Duration::from_secs(20));
    let after = bulk(&room) - before;
    assert!(before > 0 && after > 0, "the slow link took part: {before}, {after}");
    assert!(after <= 128 * 1024, "{after} bytes came after Done");
}

/// Nodes in one topic, and what they were told.
struct Room {
    world: World<Core>,
    profile: NodeProfile,
    topic: Topic,
    published: BTreeMap<u64, MessageId>,
    tickets: u64,
    refused: Vec<(u64, PublishError)>,
    deliveries: BTreeMap<(NodeIndex, MessageId), u32>,
    contents: BTreeMap<MessageId, Vec<Bytes>>,
    new_bytes: u64,
    spare_bytes: u64,
}

impl Room {
    fn new(seed: u64, nodes: u32, relay: bool, profile: NodeProfile) -> Self {
        let mut room = Self {
            world: World::new(seed),
            profile,
            topic: Topic::new("room").expect("a name"),
            published: BTreeMap::new(),
            tickets: 0,
            refused: Vec::new(),
            deliveries: BTreeMap::new(),
            contents: BTreeMap::new(),
            new_bytes: 0,
            spare_bytes: 0,
        };
        for node in 0..nodes {
            room.add(relay && node == 0);
        }
        room
    }

    /// Node 0 is the relay; the others know nobody else.
    fn star(seed: u64, tabs: u32, latency: Duration) -> Self {
        Self::star_of(seed, tabs, latency, NodeProfile::rates(6_250_000, 6_250_000))
    }

    fn star_of(seed: u64, tabs: u32, latency: Duration, profile: NodeProfile) -> Self {
        let mut room = Self::new(seed, tabs + 1, true, profile);
        for tab in 1..=tabs {
            room.world.connect(NodeIndex(tab), NodeIndex(0), latency).expect("nobody is banned");
        }
        room.run(Duration::from_secs(1));
        room
    }

    /// Every node dials half of `degree` others.
    fn random(seed: u64, nodes: u32, degree: u32, latency: Duration) -> Self {
        let mut room = Self::new(seed, nodes, false, NodeProfile::rates(6_250_000, 6_250_000));
        for node in 0..nodes {
            for step in 1..=degree / 2 {
                // Steps that grow: a circulant graph of small diameter.
                let other = (node + step * step) % nodes;
                let _ = room.world.connect(NodeIndex(node), NodeIndex(other), latency);
            }
        }
        room.run(Duration::from_secs(2));
        room
    }

    fn add(&mut self, relay: bool) -> NodeIndex {
        let seed = self.world.draw_seed();
        let identity = Identity::from_seed(&seed);
        let id = identity.peer_id();
        let mut config = Config::default();
        let mesh_max = if relay { 1000 } else { 12 };
        let params = TopicParams { mesh_max, ..TopicParams::default() };
        config.mesh.traces = true;
        config.mesh.topic = params.checked().expect("they fit");
        let node = self.world.add_node(id, Core::new(config, identity, seed), self.profile.clone());
        self.world.command(node, Command::Mesh(mesh::Command::Subscribe(self.topic.clone())));
        node
    }

    fn join(&mut self) -> NodeIndex {
        self.add(false)
    }

    fn publish(&mut self, node: NodeIndex, payload: Bytes) -> MessageId {
        self.tickets += 1;
        let content = Content { payload: payload.into(), ..Content::default() };
        let publish = Publish { ticket: self.tickets, topic: self.topic.clone(), content };
        self.world.command(node, Command::Mesh(mesh::Command::Publish(publish)));
        self.collect();
        self.published[&self.tickets]
    }

    fn run(&mut self, span: Duration) {
        self.world.run_for(span);
        self.collect();
    }

    fn collect(&mut self) {
        for (_, node, event) in self.world.take_events() {
            let Event::Mesh(event) = event else { continue };
            match event {
                mesh::Event::Published { ticket, id, .. } => {
                    self.published.insert(ticket, id);
                }
                mesh::Event::Refused { ticket, error } => self.refused.push((ticket, error)),
                mesh::Event::Message(message) => {
                    *self.deliveries.entry((node, message.id)).or_default() += 1;
                    self.contents.entry(message.id).or_default().push(message.content.payload.into_bytes());
                }
                mesh::Event::Trace(Trace::NewPiece { bytes, .. }) => self.new_bytes += bytes as u64,
                mesh::Event::Trace(
                    Trace::DuplicatePiece { bytes, .. } | Trace::UnnecessaryPiece { bytes, .. },
                ) => {
                    self.spare_bytes += bytes as u64;
                }
                _ => {}
            }
        }
    }

    /// Nodes that did not receive a message, but for those excused.
    fn missing(&self, id: MessageId, excused: &[NodeIndex]) -> Vec<NodeIndex> {
        let nodes = self.world.nodes().filter(|node| !excused.contains(node));
        nodes.filter(|&node| !self.deliveries.contains_key(&(node, id))).collect()
    }

    fn payloads(&self, id: MessageId) -> impl Iterator<Item = &Bytes> {
        self.contents[&id].iter()
    }

    fn received_bytes(&self) -> u64 {
        self.new_bytes + self.spare_bytes
    }
}

/// Flips a bit of a piece's bytes.
fn spoil(frame: &mut Frame) {
    if let Some(Body::Mesh(mesh::Frame { body: Some(mesh::frame::Body::Chunk(chunk)) })) = &mut frame.body {
        let mut bytes = chunk.bytes.to_vec();
        bytes[0] ^= 1;
        chunk.bytes = bytes.into();
    }
}

fn random(len: usize, seed: u64) -> Bytes {
    let mut seed_bytes = [0; 32];
    seed_bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let mut bytes = vec![0; len];
    braidcast_core::machine::Rng::from_seed(seed_bytes).fill(&mut bytes);
    bytes.into()
}
