//! Peers that take and do not give, and peers that lie, in a simulated world.

mod room;

use braidcast_mesh::{Config, Parting, Trace, frame::Body};
use braidcast_sim::{NodeIndex, Verdict};
use room::{Room, payload, spoil};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NODES: u32 = 40;
const BAD: u32 = 8;

fn honest() -> Vec<NodeIndex> {
    (BAD..NODES).map(NodeIndex).collect()
}

/// Pairs of an honest node and a bad one in its mesh.
fn bad_neighbours(room: &Room) -> usize {
    honest().into_iter().map(|node| room.mesh(node).iter().filter(|other| other.0 < BAD).count()).sum()
}

#[test]
fn who_announces_and_never_serves_is_pruned_within_a_few_messages_and_stays_out() {
    let mut room = Room::random(1, NODES, 12, &Config::default());
    room.world.intercept(|from, _, frame| match from.0 < BAD && frame.is_bulk() {
        true => Verdict::Drop,
        false => Verdict::Deliver,
    });
    let before = bad_neighbours(&room);
    assert!(before > 40, "{before}");
    for number in 0..6 {
        let payload = payload(300_000, number as u8);
        let id = room.publish(NodeIndex(BAD + number * 5), payload.clone());
        room.run(3_000);
        assert!(room.have_all(&honest(), id, &payload));
    }
    assert!(bad_neighbours(&room) * 10 <= before, "{} of {before} are left", bad_neighbours(&room));
    let by_honest = room.traces.iter().filter(|(node, _)| node.0 >= BAD);
    let count = |is_it: fn(&Trace) -> bool| by_honest.clone().filter(|(_, trace)| is_it(trace)).count();
    let suspected = count(|trace| matches!(trace, Trace::Suspect { .. }));
    let unserved = count(|trace| {
        matches!(trace, Trace::Expired { .. } | Trace::Withheld { .. } | Trace::BrokenPromise { .. })
    });
    let pruned = count(|trace| matches!(trace, Trace::Prune { why: Parting::Unwelcome, .. }));
    assert!(unserved >= 3 * suspected && suspected >= pruned && pruned * 10 >= before * 9);
    room.run(70_000);
    assert!(bad_neighbours(&room) * 10 <= before, "{} of {before} came back", bad_neighbours(&room));
    assert!(room.world.bans().is_empty(), "to be of no use is no lie: {:?}", room.world.bans());
    for node in honest() {
        let others = room.mesh(node).iter().filter(|other| other.0 >= BAD).count();
        assert!(others >= 4, "{node:?} has {others} honest neighbours");
    }
}

#[test]
fn polluters_are_banned_by_all_that_they_attack_and_nobody_else_is() {
    let mut room = Room::random(2, NODES, 12, &Config::default());
    room.world.intercept(|from, _, frame| {
        if from.0 < BAD {
            spoil(frame);
        }
        Verdict::Deliver
    });
    for number in 0..6 {
        let payload = payload(300_000, number as u8);
        let id = room.publish(NodeIndex(BAD + number * 5), payload.clone());
        room.run(3_000);
        assert!(room.have_all(&honest(), id, &payload));
    }
    let bad: Vec<_> = (0..BAD).map(|node| room.world.peer(NodeIndex(node))).collect();
    let by_honest = room.world.bans().iter().filter(|ban| ban.node.0 >= BAD);
    assert!(by_honest.clone().count() > 40 && by_honest.clone().all(|ban| bad.contains(&ban.peer)));
    for node in honest() {
        let offended = room.world.reports().iter().filter(|report| report.node == node);
        assert!(offended.clone().all(|report| bad.contains(&report.peer)), "an honest node is blamed");
    }
    let strangers = room.world.reports().iter().map(|report| (report.node, report.peer));
    let attacked: std::collections::BTreeSet<_> = strangers.collect();
    for node in honest() {
        let bad = room.mesh(node).into_iter().filter(|other| other.0 < BAD);
        assert!(bad.map(|other| room.world.peer(other)).all(|peer| !attacked.contains(&(node, peer))));
    }
}

/// A quarter of the room has a fifth of the others' uplink: it gives what it can, and keeps its place.
#[test]
fn a_slow_uplink_is_no_fault() {
    let mut room = Room::random(3, NODES, 12, &Config::default());
    for node in 0..NODES {
        let up = if node < NODES / 4 { 125_000 } else { 625_000 };
        room.world.set_rates(NodeIndex(node), up, 2_500_000);
    }
    let all: Vec<_> = (0..NODES).map(NodeIndex).collect();
    for (number, len) in [20_000, 128 << 10, 600_000, 20_000, 128 << 10, 600_000].into_iter().enumerate() {
        let payload = payload(len, number as u8);
        let id = room.publish(NodeIndex(NODES / 4 + number as u32 * 5), payload.clone());
        room.run(20_000);
        assert!(room.have_all(&all, id, &payload));
        let is_unwelcome = |at: NodeIndex, other: NodeIndex| {
            !room.world.machine(at).conduct(room.world.peer(other)).is_welcome()
        };
        let pairs = all.iter().flat_map(|&at| all.iter().map(move |&other| (at, other)));
        let wronged = pairs.filter(|&(at, other)| is_unwelcome(at, other)).count();
        assert!(wronged <= 4, "{wronged} of about 480 ends of links, after {len} bytes");
    }
    assert!(room.world.bans().is_empty());
}

/// They take, and say nothing of what they have: nothing can be proved, but they make room for those that send.
#[test]
fn who_neither_announces_nor_sends_loses_its_place_to_others() {
    let mut room = Room::random(6, NODES, 24, &Config::default());
    room.world.intercept(|from, _, frame| {
        let is_gift = frame.is_bulk() || matches!(frame.body, Some(Body::Have(_) | Body::IHave(_)));
        if from.0 < BAD && is_gift { Verdict::Drop } else { Verdict::Deliver }
    });
    let before = bad_neighbours(&room);
    for number in 0..12 {
        let payload = payload(300_000, number as u8);
        let id = room.publish(NodeIndex(BAD + number * 2), payload.clone());
        room.run(20_000);
        assert!(room.have_all(&honest(), id, &payload));
    }
    let idle = room.traces.iter().filter_map(|(node, trace)| match trace {
        Trace::Prune { peer, why: Parting::Idle } if node.0 >= BAD => room.world.node(peer),
        _ => None,
    });
    let (wronged, found) = idle.partition::<Vec<_>, _>(|node| node.0 >= BAD);
    assert!(found.len() * 2 >= before && wronged.len() * 10 <= found.len(), "{wronged:?} {found:?}");
    // Those that the honest chose themselves stay.
    assert!(bad_neighbours(&room) * 4 <= before * 3, "{} of {before} are left", bad_neighbours(&room));
}
