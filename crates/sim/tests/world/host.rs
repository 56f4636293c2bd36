#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use braidcast_machine::{Duration, WallTime};
use braidcast_sim::{NodeIndex, NodeProfile, World};

use crate::toy::{Command, Event, FOREVER, Toy, at, got, id, link, ms, world};

fn lone(profile: NodeProfile) -> (World<Toy>, NodeIndex) {
    let mut world = World::new(1);
    world.set_wall_start(WallTime(1_000_000));
    let node = world.add_node(id(0), Toy::default(), profile);
    (world, node)
}

#[test]
fn a_tick_comes_at_the_deadline_and_once() {
    let (mut world, node) = lone(NodeProfile { wall_skew_ms: -300, ..NodeProfile::default() });
    world.command(node, Command::WakeAt(at(70_000)));
    world.command(node, Command::WakeAt(at(30_000)));
    world.run_until(at(30_000));
    assert_eq!(world.take_events(), [(at(30_000), node, Event::Ticked(WallTime(999_730)))]);
    world.command(node, Command::WakeAt(at(90_000)));
    world.command(node, Command::WakeAt(at(95_000)));
    assert!(world.run_until_idle(FOREVER));
    assert_eq!(world.take_events(), [(at(95_000), node, Event::Ticked(WallTime(999_795)))]);
}

#[test]
fn a_hidden_tab_ticks_late() {
    let (mut world, node) =
        lone(NodeProfile { timer_grain: Duration::from_secs(1), ..NodeProfile::default() });
    world.command(node, Command::WakeAt(at(1)));
    world.run_until_idle(FOREVER);
    assert_eq!(world.time(), at(1_000_000));
    assert_eq!(world.take_events().len(), 1);
}

#[test]
fn work_is_done_at_once_or_in_slices_of_time() {
    for (slice, done) in [(Duration::ZERO, 0), (ms(4), 8_000)] {
        let (mut world, node) = lone(NodeProfile { work_slice: slice, ..NodeProfile::default() });
        world.command(node, Command::Work(3));
        world.run_until_idle(FOREVER);
        assert_eq!(world.take_events(), [(at(done), node, Event::Worked)]);
    }
}

#[test]
fn a_run_ends_where_it_is_told() {
    let (mut world, n) = world(&[1_000_000, u64::MAX]);
    world.connect_with(n[0], n[1], link(u64::MAX)).unwrap();
    world.command(n[0], Command::Stream(id(1), 10, 10_000));
    assert!(!world.run_while(at(55_000), |world| world.usage(NodeIndex(1)).received.bulk_frames == 0));
    assert!(world.run_while(FOREVER, |world| world.usage(NodeIndex(1)).received.bulk_frames < 3));
    assert_eq!(world.time(), at(80_000));
    world.run_for(ms(15));
    assert_eq!(world.time(), at(95_000));
    assert_eq!(got(&mut world, n[1]).len(), 4);
}

#[test]
fn an_observer_keeps_what_it_returns() {
    let (mut world, n) = world(&[u64::MAX, u64::MAX]);
    world.observe(|_, node, event| (node.0 == 1).then_some(event));
    world.connect(n[0], n[1], ms(50)).unwrap();
    assert_eq!(world.take_events().len(), 1);
}

#[test]
fn a_host_that_waits_for_the_word_hears_none_from_a_mute_machine() {
    for is_mute in [false, true] {
        let mut world = World::new(1);
        world.pull_when_ready();
        let machine = if is_mute { Toy::mute() } else { Toy::default() };
        let a = world.add_node(id(0), machine, NodeProfile::rates(1_000_000, 1_000_000));
        let b = world.add_node(id(1), Toy::default(), NodeProfile::default());
        world.connect_with(a, b, link(20_000)).unwrap();
        world.command(a, Command::Stream(id(1), 7, 10_000));
        world.run_until_idle(FOREVER);
        assert_eq!(world.traffic(a, b).1.bulk_frames, if is_mute { 0 } else { 7 });
    }
}
