#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use braidcast_machine::Rng;
use braidcast_sim::{LinkProfile, NodeIndex, NodeProfile, World};
use braidcast_wire::PeerId;

use crate::toy::{Command, Event, FLOOD, FOREVER, Frame, Toy, ms};

/// Forty nodes of mixed rates, a flood from each and a stream to each neighbour, over lossy links with jitter.
fn storm(seed: u64) -> World<Toy> {
    let mut world = World::new(seed);
    let mut dice = Rng::from_seed(world.draw_seed());
    world.digest_frames(|frame: &Frame| frame.number);
    for number in 0..40 {
        let rate = [625_000, 6_250_000, 125_000_000][dice.below(3) as usize];
        world.add_node(PeerId([number; 32]), Toy::default(), NodeProfile::rates(rate, rate));
    }
    for node in 0..40_u32 {
        for step in [1, 5, 11] {
            let profile =
                LinkProfile { jitter: ms(5), loss_ppm: 20_000, ..LinkProfile::new(ms(10 + dice.below(100))) };
            world.connect_with(NodeIndex(node), NodeIndex((node + step) % 40), profile).unwrap();
        }
    }
    for node in Vec::from_iter(world.nodes()) {
        let frame = Frame { number: FLOOD + u64::from(node.0), bytes: 300 };
        world.command(node, Command::Flood(frame));
        for peer in Vec::from_iter(world.neighbours(node)) {
            world.command(node, Command::Stream(world.peer(peer), 20, 16_384));
        }
    }
    assert!(world.run_until_idle(FOREVER));
    world
}

#[test]
fn a_seed_is_a_run_on_every_target() {
    let mut world = storm(1);
    let hex: String = world.trace_hash().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "8aeabe7646200e9c624437cacb555b38e8a96b78eb4f61312e13f915d371cfc8");
    assert_eq!(world.trace_hash(), storm(1).trace_hash());
    assert_ne!(world.trace_hash(), storm(2).trace_hash());
    let got = world.take_events().into_iter().filter(|(_, _, event)| matches!(event, Event::Got(_))).count();
    let frames: u64 = world.nodes().map(|node| world.usage(node).received.bulk_frames).sum();
    assert_eq!(frames, 40 * 6 * 20);
    assert!(got as u64 > frames + 40 * 39, "{got}");
}
