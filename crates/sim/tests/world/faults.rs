#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use std::{cell::Cell, rc::Rc};

use braidcast_machine::Direction;
use braidcast_sim::{ConnectError, Verdict};

use crate::toy::{Command, Event, FOREVER, Frame, LIE, Toy, at, got, id, link, ms, say, world};

#[test]
fn a_stall_moves_nothing_and_tells_nobody() {
    let (mut world, n) = world(&[1_000_000, u64::MAX]);
    world.connect_with(n[0], n[1], link(30_000)).unwrap();
    world.take_events();
    world.command(n[0], Command::Stream(id(1), 5, 10_000));
    world.run_until(at(65_000)); // Frame 0 is there.
    world.cut(n[0], n[1], None);
    world.command(n[1], say(9, 10, 0));
    world.run_until(at(1_000_000));
    assert!(world.is_connected(n[0], n[1]));
    assert_eq!(world.take_events(), [(at(60_000), n[1], Event::Got(0))]);
    world.heal(n[0], n[1]);
    world.run_until_idle(FOREVER);
    // 1 and 2 were held, and so was the acknowledgement of 0.
    let expected = [
        (at(1_000_000), n[1], Event::Got(1)),
        (at(1_000_000), n[1], Event::Got(2)),
        (at(1_000_010), n[0], Event::Got(9)),
        (at(1_060_000), n[1], Event::Got(3)),
        (at(1_110_000), n[1], Event::Got(4)),
    ];
    assert_eq!(world.take_events(), expected);
}

#[test]
fn a_cut_is_noticed_later_unless_healed_before() {
    let (mut world, n) = world(&[u64::MAX, u64::MAX]);
    world.connect(n[0], n[1], ms(50)).unwrap();
    world.take_events();
    world.cut(n[0], n[1], Some(ms(200)));
    world.run_until(at(100_000));
    world.heal(n[0], n[1]);
    world.run_until(at(300_000));
    assert!(world.is_connected(n[0], n[1]));
    world.cut(n[0], n[1], Some(ms(200)));
    world.command(n[0], say(1, 10, 1));
    world.run_until(at(600_000));
    world.heal(n[0], n[1]);
    assert!(world.run_until_idle(FOREVER));
    let told = [(at(500_000), n[0], Event::Down(id(1))), (at(500_000), n[1], Event::Down(id(0)))];
    assert_eq!(world.take_events(), told);
    assert_eq!(world.connect(n[1], n[0], ms(50)), Ok(()));
}

#[test]
fn a_new_connection_inherits_nothing() {
    let (mut world, n) = world(&[1_000_000, u64::MAX]);
    world.connect_with(n[0], n[1], link(10_000)).unwrap();
    world.command(n[0], Command::Stream(id(1), 1, 10_000));
    world.run_until(at(30_000)); // Under way.
    world.disconnect(n[0], n[1]);
    world.connect_with(n[1], n[0], link(10_000)).unwrap();
    world.take_events();
    world.command(n[0], Command::Stream(id(1), 1, 5_000));
    world.run_until_idle(FOREVER);
    assert_eq!(world.take_events(), [(at(85_000), n[1], Event::Got(0))]);
    assert_eq!(world.traffic(n[0], n[1]).0.bulk_bytes, 15_000);
}

#[test]
fn a_ban_closes_the_link_and_refuses_a_new_one() {
    let (mut world, n) = world(&[u64::MAX, u64::MAX]);
    world.connect(n[0], n[1], ms(50)).unwrap();
    world.take_events();
    world.command(n[0], Command::Ban(id(1), at(400_000)));
    world.command(n[1], say(1, 10, 0)); // It does not know yet.
    world.run_until(at(300_000));
    let told = [(at(0), n[0], Event::Down(id(1))), (at(50_000), n[1], Event::Down(id(0)))];
    assert_eq!(world.take_events(), told);
    let refused = Err(ConnectError::Banned { by: n[0], until: at(400_000) });
    assert_eq!(world.connect(n[1], n[0], ms(50)), refused);
    assert_eq!(world.connect(n[0], n[1], ms(50)), refused);
    world.run_until(at(400_000));
    assert_eq!(world.connect(n[1], n[0], ms(50)), Ok(()));
    assert_eq!(world.connect(n[1], n[0], ms(50)), Err(ConnectError::Already));
    assert_eq!(world.bans().len(), 1);
}

#[test]
fn a_liar_is_reported_and_banned() {
    let (mut world, n) = world(&[u64::MAX, u64::MAX]);
    world.connect(n[0], n[1], ms(50)).unwrap();
    assert!(world.inject(n[0], n[1], Frame { number: LIE, bytes: 10 }));
    world.run_until_idle(FOREVER);
    let report = &world.reports()[0];
    assert_eq!((report.time, report.node, report.peer), (at(50_000), n[1], id(0)));
    assert_eq!((world.bans()[0].node, world.bans()[0].until), (n[1], at(1_050_000)));
    assert!(!world.inject(n[0], n[1], Frame { number: LIE, bytes: 10 }));
}

#[test]
fn a_hook_sees_corrupts_and_drops() {
    let (mut world, n) = world(&[u64::MAX, u64::MAX]);
    world.connect(n[0], n[1], ms(50)).unwrap();
    let seen = Rc::new(Cell::new(0));
    let count = Rc::clone(&seen);
    world.intercept(move |from, to, frame: &mut Frame| {
        assert_eq!((from.0, to.0), (0, 1));
        count.set(count.get() + 1);
        frame.number += 100;
        if frame.number == 102 { Verdict::Drop } else { Verdict::Deliver }
    });
    (1..=3).for_each(|number| world.command(n[0], say(number, 10, 1)));
    world.run_until_idle(FOREVER);
    world.intercept_none();
    world.command(n[0], say(4, 10, 1));
    world.run_until_idle(FOREVER);
    assert_eq!(got(&mut world, n[1]), [(50_000, 101), (50_000, 103), (100_000, 4)]);
    assert_eq!(seen.get(), 3);
    assert_eq!(world.traffic(n[0], n[1]).1.control_frames, 3);
}

#[test]
fn a_stopped_node_is_silent_until_it_is_restarted() {
    let (mut world, n) = world(&[u64::MAX, u64::MAX, u64::MAX]);
    world.connect(n[0], n[1], ms(50)).unwrap();
    world.connect(n[2], n[1], ms(50)).unwrap();
    world.take_events();
    world.command(n[0], say(1, 10, 1));
    world.stop(n[1], Some(ms(200)));
    world.command(n[1], Command::Work(1));
    assert_eq!(world.connect(n[0], n[1], ms(50)), Err(ConnectError::Stopped(n[1])));
    world.run_until(at(100_000));
    world.restart(n[1], Toy::default());
    // Node 0 redials before its host has given up the old link, and learns that first.
    world.connect(n[0], n[1], ms(50)).unwrap();
    world.run_until_idle(FOREVER);
    let expected = [
        (at(100_000), n[0], Event::Down(id(1))),
        (at(100_000), n[0], Event::Up(id(1), Direction::Outbound)),
        (at(100_000), n[1], Event::Up(id(0), Direction::Inbound)),
        (at(200_000), n[2], Event::Down(id(1))),
    ];
    assert_eq!(world.take_events(), expected);
    assert!(world.is_connected(n[0], n[1]) && !world.is_connected(n[1], n[2]));
}
