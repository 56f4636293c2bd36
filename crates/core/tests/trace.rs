//! One seed is one run of whole nodes, on every target.

use braidcast_core::{
    Command, Config, Core,
    machine::{Duration, Rng, Time},
    mesh::{self, Content, Publish},
    wire::{Identity, Topic},
};
use braidcast_sim::{LinkProfile, NodeIndex, NodeProfile, World};
use bytes::Bytes;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// Changes with whatever changes what is sent when. Then put here what the failing test says, once it says the same
/// natively and in the suite `wasm`.
const TRACE: &str = "7906bf3c58aa008e50bfb2b290919343b5925375e9cd7df74b2d3aa0f41d82e5";

#[test]
fn a_seed_is_a_run_on_every_target() {
    let hex: String = room(1).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, TRACE);
    assert_ne!(room(2), room(1));
}

/// Sixteen nodes of mixed rates, links with loss and jitter, a message of each sort, a node that leaves.
fn room(seed: u64) -> [u8; 32] {
    let mut world = World::new(seed);
    let mut dice = Rng::from_seed(world.draw_seed());
    let topic = Topic::new("room").expect("a name");
    for number in 0..16 {
        let identity = Identity::from_seed(&[number; 32]);
        let rate = [625_000, 6_250_000, 125_000_000][dice.below(3) as usize];
        let (peer, seed) = (identity.peer_id(), world.draw_seed());
        let core = Core::new(Config::default(), identity, seed);
        let node = world.add_node(peer, core, NodeProfile::rates(rate, rate));
        world.command(node, Command::Mesh(mesh::Command::Subscribe(topic.clone())));
    }
    for node in 0..16 {
        for step in [1, 3, 5] {
            let latency = Duration::from_millis(5 + dice.below(100));
            let profile = LinkProfile {
                jitter: Duration::from_millis(3),
                loss_ppm: 10_000,
                ..LinkProfile::new(latency)
            };
            let other = NodeIndex((node + step) % 16);
            world.connect_with(NodeIndex(node), other, profile).expect("nobody is banned");
        }
    }
    for (ticket, bytes) in [(0, 200), (1, 10_000), (2, 300_000)] {
        world.run_for(Duration::from_secs(2));
        let mut payload = vec![0; bytes];
        dice.fill(&mut payload);
        let content = Content { payload: Bytes::from(payload).into(), ..Content::default() };
        let publish = Publish { ticket, topic: topic.clone(), content };
        world.command(NodeIndex(ticket as u32), Command::Mesh(mesh::Command::Publish(publish)));
    }
    world.run_for(Duration::from_millis(100));
    world.stop(NodeIndex(9), Some(Duration::from_millis(500)));
    world.run_until(Time::ZERO + Duration::from_secs(12));
    let delivered = |event: &mesh::Event| matches!(event, mesh::Event::Message(_));
    let deliveries = world
        .take_events()
        .into_iter()
        .filter(|(_, _, event)| matches!(event, braidcast_core::Event::Mesh(event) if delivered(event)));
    assert!(deliveries.count() >= 3 * 14, "all but the publisher and the node that left");
    world.trace_hash()
}
