#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use braidcast_machine::Duration;
use braidcast_sim::{LinkProfile, NodeProfile, Traffic, Window, World};

use crate::toy::{Command, FOREVER, Toy, at, got, id, link, ms, say, world};

#[test]
fn a_frame_takes_its_length_once_and_the_latency() {
    // 10,000 bytes at 1 MB/s are 10 ms; a downlink of the same rate costs nothing more, one of half the rate 10 ms.
    for (down, expected) in [(1_000_000, 60_000), (u64::MAX, 60_000), (500_000, 70_000)] {
        let (mut world, n) = world(&[1_000_000, down]);
        world.connect(n[0], n[1], ms(50)).unwrap();
        world.command(n[0], say(1, 10_000, 1));
        assert!(world.run_until_idle(FOREVER));
        assert_eq!(got(&mut world, n[1]), [(expected, 1)]);
    }
}

#[test]
fn a_fast_uplink_ends_in_a_slow_downlink() {
    let (mut world, n) = world(&[u64::MAX, u64::MAX, 1_000_000]);
    world.connect(n[0], n[2], ms(50)).unwrap();
    world.connect(n[1], n[2], ms(50)).unwrap();
    for number in [1, 3] {
        world.command(n[0], say(number, 10_000, 2));
        world.command(n[1], say(number + 1, 10_000, 2));
    }
    world.run_until_idle(FOREVER);
    assert_eq!(got(&mut world, n[2]), [(60_000, 1), (70_000, 2), (80_000, 3), (90_000, 4)]);
}

#[test]
fn a_gigabit_downlink_takes_slow_streams_side_by_side() {
    let (mut world, n) = world(&[1_000_000, 1_000_000, 125_000_000]);
    for from in [0, 1] {
        world.connect(n[from], n[2], ms(50)).unwrap();
        world.command(n[from], say(from as u64, 10_000, 2));
    }
    world.run_until_idle(FOREVER);
    assert_eq!(got(&mut world, n[2]), [(60_000, 0), (60_000, 1)]);
}

#[test]
fn control_waits_for_at_most_one_bulk_frame() {
    let (mut world, n) = world(&[1_000_000, u64::MAX, u64::MAX]);
    world.connect_with(n[0], n[1], link(u64::MAX)).unwrap();
    world.connect_with(n[0], n[2], link(u64::MAX)).unwrap();
    world.command(n[0], Command::Stream(id(1), 100, 16_000));
    world.run_until(at(17_000)); // The second bulk frame is on the uplink since 16 ms.
    world.command(n[0], say(1, 1_000, 2));
    world.command(n[0], say(2, 1_000, 2));
    world.run_until(at(120_000));
    assert_eq!(got(&mut world, n[2]), [(83_000, 1), (84_000, 2)]);
}

#[test]
fn bulk_stops_at_the_window_and_goes_on_with_the_acknowledgement() {
    let (mut world, n) = world(&[1_000_000, u64::MAX]);
    world.connect_with(n[0], n[1], link(20_000)).unwrap();
    world.command(n[0], Command::Stream(id(1), 4, 10_000));
    world.run_until_idle(FOREVER);
    // Two frames fill the window; the first is acknowledged at 110 ms, the second at 120 ms.
    assert_eq!(got(&mut world, n[1]), [(60_000, 0), (70_000, 1), (170_000, 2), (180_000, 3)]);
}

#[test]
fn handling_delays_bulk_frames_side_by_side_and_nothing_overtakes() {
    let mut world = World::new(7);
    let sender = world.add_node(id(0), Toy::default(), NodeProfile::rates(1_000_000, 1_000_000));
    let profile = NodeProfile { bulk_handling: ms(15), ..NodeProfile::rates(1_000_000, u64::MAX) };
    let receiver = world.add_node(id(1), Toy::default(), profile);
    world.connect_with(sender, receiver, link(u64::MAX)).unwrap();
    world.command(sender, Command::Stream(id(1), 2, 10_000));
    world.run_until(at(1_000));
    world.command(sender, say(9, 1_000, 1));
    assert!(world.run_until_idle(FOREVER));
    // At the door at 60, 61 and 71 ms: control goes ahead of the second.
    assert_eq!(got(&mut world, receiver), [(75_000, 0), (75_000, 9), (86_000, 1)]);
}

#[test]
fn a_cold_window_doubles_each_round_trip() {
    let (mut world, n) = world(&[u64::MAX, u64::MAX]);
    let cold =
        LinkProfile { window: Window::Cold { first: 10_000, extra: 65_536 }, ..LinkProfile::new(ms(50)) };
    world.connect_with(n[0], n[1], cold).unwrap();
    world.command(n[0], Command::Stream(id(1), 1_000, 1_000));
    world.run_until_idle(FOREVER);
    let mut counts = [0_usize; 7];
    got(&mut world, n[1]).into_iter().for_each(|(time, _)| counts[(time as usize - 50_000) / 100_000] += 1);
    assert_eq!(counts, [10, 20, 40, 80, 160, 320, 370]);
}

#[test]
fn a_cold_window_ends_at_the_default_one() {
    let (mut world, n) = world(&[1_000_000, u64::MAX]);
    let cold =
        LinkProfile { window: Window::Cold { first: 10_000, extra: 65_536 }, ..LinkProfile::new(ms(50)) };
    world.connect_with(n[0], n[1], cold).unwrap();
    world.command(n[0], Command::Stream(id(1), 1_000, 10_000));
    world.run_until(at(2_000_000));
    let before = got(&mut world, n[1]).len();
    world.run_until(at(3_000_000));
    assert_eq!(got(&mut world, n[1]).len(), 100, "the link is full, after {before} frames");
}

#[test]
fn the_default_window_fills_the_link() {
    let (mut world, n) = world(&[1_000_000, u64::MAX]);
    world.connect(n[0], n[1], ms(50)).unwrap();
    world.command(n[0], Command::Stream(id(1), 1_000, 10_000));
    world.run_until_idle(FOREVER);
    assert_eq!(got(&mut world, n[1]).last(), Some(&(10_050_000, 999)));
}

#[test]
fn the_machine_shares_the_uplink_as_it_likes() {
    let (mut world, n) = world(&[1_000_000, u64::MAX, u64::MAX]);
    for to in [1, 2] {
        world.connect(n[0], n[to], ms(50)).unwrap();
        world.command(n[0], Command::Stream(id(to as u8), 3, 10_000));
    }
    world.run_until_idle(FOREVER);
    let arrivals = world.take_events().into_iter().skip(4).map(|(time, node, _)| (time.as_micros(), node.0));
    let expected = [(60_000, 1), (70_000, 2), (80_000, 1), (90_000, 2), (100_000, 1), (110_000, 2)];
    assert_eq!(Vec::from_iter(arrivals), expected);
}

#[test]
fn a_throttled_link_leaves_the_uplink_to_others() {
    let (mut world, n) = world(&[1_000_000, u64::MAX, u64::MAX]);
    world.connect_with(n[0], n[1], link(10_000)).unwrap();
    world.connect_with(n[0], n[2], link(u64::MAX)).unwrap();
    world.throttle(n[0], n[1], 100_000);
    world.command(n[0], Command::Stream(id(1), 2, 10_000));
    world.command(n[0], Command::Stream(id(2), 3, 10_000));
    world.run_until_idle(FOREVER);
    let arrivals = world.take_events().into_iter().skip(4).map(|(time, node, _)| (time.as_micros(), node.0));
    // To node 1: 100 ms each, the second made at 200 ms when the first is acknowledged.
    let expected = [(70_000, 2), (80_000, 2), (90_000, 2), (150_000, 1), (350_000, 1)];
    assert_eq!(Vec::from_iter(arrivals), expected);
}

#[test]
fn a_loss_costs_a_round_trip_and_holds_up_its_link() {
    let profile = LinkProfile { loss_ppm: 500_000, ..link(u64::MAX) };
    let (mut world, n) = world(&[1_000_000, u64::MAX]);
    world.connect_with(n[0], n[1], profile).unwrap();
    for number in 0..200 {
        world.command(n[0], say(number, 1_000, 1));
    }
    world.run_until_idle(FOREVER);
    let arrivals = got(&mut world, n[1]);
    assert!(arrivals.iter().map(|&(_, number)| number).eq(0..200), "in order");
    // A frame comes at its own time plus whole round trips, or together with one before it that did.
    let mut held_until = 0;
    let mut losses = 0;
    for (time, number) in arrivals {
        let late = time - (51_000 + number * 1_000);
        assert!(late % 100_000 == 0 || time == held_until, "frame {number} came at {time}");
        losses += u64::from(late > 0);
        held_until = time;
    }
    assert!(losses > 100, "{losses}");
}

#[test]
fn jitter_keeps_the_order() {
    let profile = LinkProfile { jitter: ms(30), ..link(u64::MAX) };
    let (mut world, n) = world(&[1_000_000, u64::MAX]);
    world.connect_with(n[0], n[1], profile).unwrap();
    world.command(n[0], Command::Stream(id(1), 100, 1_000));
    world.run_until_idle(FOREVER);
    let arrivals = got(&mut world, n[1]);
    assert!(arrivals.iter().map(|&(_, number)| number).eq(0..100));
    let late = |&(time, number): &(u64, u64)| time - (51_000 + number * 1_000);
    assert!(arrivals.iter().all(|arrival| late(arrival) <= 30_000));
    assert!(arrivals.iter().any(|arrival| late(arrival) > 10_000));
}

/// Bulk bytes that come after the machine stopped making them, on a link of 5 Mbit/s, and how long a control frame
/// takes just then.
fn after_hush(send_buffer_bytes: u64) -> (u64, Duration) {
    let mut world = World::new(1);
    let up = NodeProfile { send_buffer_bytes, ..NodeProfile::rates(625_000, 625_000) };
    let a = world.add_node(id(0), Toy::default(), up);
    let b = world.add_node(id(1), Toy::default(), NodeProfile::default());
    world.connect(a, b, ms(50)).unwrap();
    world.command(a, Command::Stream(id(1), 1_000, 16_384));
    world.run_until(at(2_000_000));
    let before = world.traffic(a, b).1.bulk_bytes;
    world.command(a, Command::Hush);
    world.command(a, say(5_000, 50, 1));
    world.run_until_idle(FOREVER);
    let said = got(&mut world, b).into_iter().find(|&(_, number)| number == 5_000).expect("it came").0;
    (world.traffic(a, b).1.bulk_bytes - before, at(said).since(at(2_000_000)))
}

#[test]
fn late_choice_leaves_little_behind_and_a_send_buffer_leaves_seconds() {
    let (bytes, control) = after_hush(0);
    assert!(bytes <= 48 * 1024, "{bytes}");
    assert!(control < ms(77), "{control:?}");
    let (bytes, control) = after_hush(4 << 20);
    assert!((4 << 20..=(4 << 20) + 64 * 1024).contains(&bytes), "{bytes}");
    assert!(control > ms(6_700), "{control:?}");
}

#[test]
fn send_buffers_share_the_uplink_in_turn() {
    let mut world = World::new(1);
    let up = NodeProfile { send_buffer_bytes: 100_000, ..NodeProfile::rates(1_000_000, 1_000_000) };
    let a = world.add_node(id(0), Toy::default(), up);
    for peer in 1..=2 {
        let node = world.add_node(id(peer), Toy::default(), NodeProfile::default());
        world.connect(a, node, ms(50)).unwrap();
        world.command(a, Command::Stream(id(peer), 50, 10_000));
    }
    world.run_until_idle(FOREVER);
    let last = world.take_events().pop().expect("frames came").0;
    assert_eq!(last, at(1_050_000));
    for node in world.nodes().skip(1) {
        assert_eq!(world.traffic(a, node).1.bulk_frames, 50);
    }
}

#[test]
fn traffic_is_counted_by_kind_and_by_end() {
    let (mut world, n) = world(&[1_000_000, u64::MAX, u64::MAX]);
    for to in [1, 2] {
        world.connect(n[0], n[to], ms(50)).unwrap();
        world.command(n[0], Command::Stream(id(to as u8), 2, 10_000));
        world.command(n[0], say(1, 70, to as u8));
    }
    let expected = Traffic { bulk_frames: 2, bulk_bytes: 20_000, control_frames: 1, control_bytes: 70 };
    world.run_until_idle(FOREVER);
    assert_eq!(world.traffic(n[0], n[1]), (expected, expected));
    assert_eq!(world.traffic(n[1], n[0]), Default::default());
    assert_eq!(world.usage(n[2]).received, expected);
    assert_eq!(world.usage(n[0]).sent.bulk_bytes, 40_000);
}
