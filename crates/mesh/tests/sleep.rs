//! Hosts that wake late: hidden tabs, whose timers come once a second or once a minute, and machines that slept.

mod node;
mod room;

use braidcast_machine::{Duration, Output};
use braidcast_mesh::{
    Config, Event, Frame, Trace,
    frame::{self, Body},
};
use braidcast_sim::{NodeIndex, NodeProfile};
use bytes::Bytes;
use node::{Node, Said, peer, subscriptions};
use room::{Room, payload, profile};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// A node that has asked two neighbours for half of a message each, and the pieces that they would send.
fn asking() -> (Node, Vec<Frame>) {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 3));
    alice.publish(&[7; 8_192]);
    let mut frames = alice.pull(2);
    let manifest = frames.remove(0);
    bob.connect(4);
    bob.receive(4, subscriptions(&["t"], &[]));
    bob.receive_frame(3, manifest.clone());
    let Some(Body::Manifest(manifest)) = manifest.body else { panic!("a manifest") };
    let message = Bytes::copy_from_slice(blake3::hash(&manifest.body).as_bytes());
    for (from, pieces) in [(3, [0, 1, 2, 3]), (4, [4, 5, 6, 7])] {
        let pieces = Bytes::copy_from_slice(&pieces);
        bob.receive(from, Body::Have(frame::Pieces { message: message.clone(), generation: 0, pieces }));
    }
    (bob, frames)
}

fn count(said: &[Said], is_it: fn(&Trace) -> bool) -> usize {
    let traces = said.iter().filter_map(|output| match output {
        Output::Event(Event::Trace(trace)) => Some(trace),
        _ => None,
    });
    traces.filter(|trace| is_it(trace)).count()
}

fn is_expired(trace: &Trace) -> bool {
    matches!(trace, Trace::Expired { .. })
}

#[test]
fn answers_that_waited_while_we_slept_are_in_time() {
    let (mut bob, pieces) = asking();
    let woken = bob.tick(Duration::from_secs(3_600));
    assert_eq!(count(&woken, is_expired), 0);
    assert_eq!(
        count(&woken, |trace| matches!(trace, Trace::Want { .. } | Trace::Abandoned { .. })),
        0,
        "no burst"
    );
    let said: Vec<Said> = pieces
        .into_iter()
        .zip([3, 3, 3, 3, 4, 4, 4, 4])
        .flat_map(|(frame, from)| bob.receive_frame(from, frame))
        .collect();
    assert_eq!(count(&said, |trace| matches!(trace, Trace::Delivered { .. })), 1);
    for other in [3, 4] {
        let conduct = bob.mesh.conduct(peer(other));
        assert_eq!((conduct.unserved, conduct.points, conduct.sent), (0, 0, 4));
    }
}

#[test]
fn who_wakes_late_each_time_still_gives_up_on_the_silent() {
    let (mut bob, _) = asking();
    let mut heard = |is_it| count(&bob.tick(Duration::from_secs(30)), is_it);
    assert_eq!(heard(is_expired), 0);
    assert_eq!(heard(is_expired), 8);
    assert_eq!(heard(|trace| matches!(trace, Trace::Abandoned { .. })), 1);
}

#[test]
fn an_hour_of_heartbeats_is_one() {
    let mut bob = Node::joined(2, 3);
    let mut alice = Node::joined(3, 2);
    alice.publish(b"hello");
    bob.receive_frame(3, alice.pull(2).remove(0));
    bob.connect(4);
    bob.handle(braidcast_machine::Input::Tick);
    let woken = bob.tick(Duration::from_secs(3_600));
    assert!(woken.len() < 5, "{woken:?}");
    // And what others said each second meanwhile is no flood.
    for number in 0..600_u32 {
        let mut id = [0; 32];
        id[..4].copy_from_slice(&number.to_le_bytes());
        bob.receive(3, Body::IHave(frame::IHave { topic: "t".into(), ids: Bytes::copy_from_slice(&id) }));
    }
    assert_eq!(bob.mesh.conduct(peer(3)).points, 0);
}

/// Half of the room are hidden tabs: their messages come at once, but their timers only once a minute.
#[test]
fn hidden_tabs_take_part() {
    const HIDDEN: u32 = 15;
    let hidden = NodeProfile { timer_grain: Duration::from_secs(60), ..profile() };
    let profiles = (0..30).map(|node| if node < HIDDEN { hidden.clone() } else { profile() });
    let mut room = Room::random_of(4, profiles, 8, &Config::default());
    room.run(120_000);
    let all: Vec<_> = (0..30).map(NodeIndex).collect();
    for number in 0..6_u8 {
        // Hidden ones and others publish in turn.
        let payload = payload([200, 20_000, 600_000][usize::from(number % 3)], number);
        let id = room.publish(NodeIndex(u32::from(number) * 5), payload.clone());
        room.run(4_000);
        assert!(room.have_all(&all, id, &payload), "message {number}");
    }
    room.run(120_000);
    assert!(room.world.bans().is_empty() && room.world.reports().is_empty(), "{:?}", room.world.reports());
    let unwelcome = |trace: &Trace| matches!(trace, Trace::Suspect { .. } | Trace::Abandoned { .. });
    let wronged = room.traces.iter().filter(|(_, trace)| unwelcome(trace)).count();
    assert_eq!(wronged, 0);
}
