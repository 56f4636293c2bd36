//! Who is let in, who is let go, and whose word counts.

mod node;

use braidcast_machine::{Direction, Duration, Input, Offence, Output};
use braidcast_mesh::{
    Config, Event, Refusal, TopicParams, Trace,
    frame::{self, Body},
};
use bytes::Bytes;
use node::{Node, Said, graft, peer, prune, send, subscriptions};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn is_ban(output: &Said) -> bool {
    matches!(output, Output::Disconnect { .. })
}

#[test]
fn a_burst_of_minor_offences_is_no_ban_but_keeping_on_is() {
    let mut node = Node::joined(1, 2);
    node.receive(2, prune(60_000));
    for _ in 0..50 {
        assert!(!node.receive(2, graft()).iter().any(is_ban));
    }
    assert_eq!(node.mesh.conduct(peer(2)).points, 20);
    let mut heartbeats = 0;
    while !(0..4).any(|_| node.receive(2, graft()).iter().any(is_ban)) {
        node.tick(Duration::from_secs(1));
        heartbeats += 1;
    }
    assert_eq!(heartbeats, 5);
}

#[test]
fn points_survive_a_reconnection_and_a_second_ban_is_longer() {
    let mut node = Node::joined(1, 2);
    let mut banned = || {
        node.tick(Duration::from_secs(1_000));
        node.connect(2);
        let junk = Body::Graft(frame::Graft { topic: String::new() });
        let said = node.receive(2, junk);
        said.iter().find_map(|output| match output {
            Output::Disconnect { until, .. } => Some(until.since(node.now.time)),
            _ => None,
        })
    };
    assert_eq!(banned(), Some(Duration::from_secs(600)));
    assert_eq!(banned(), Some(Duration::from_secs(1200)));
}

#[test]
fn introductions_count_from_those_that_we_chose_or_that_were_of_use() {
    let introduce = || {
        let records = vec![Bytes::from_static(b"signed elsewhere")];
        Body::Introduce(frame::Introduce { topic: "t".into(), records })
    };
    let is_introduced =
        |said: Vec<Said>| said.iter().any(|output| matches!(output, Output::Event(Event::Introduced { .. })));
    let mut node = Node::joined(1, 2);
    assert!(!is_introduced(node.receive(2, introduce())), "it came to us");
    node.handle(Input::Connected { peer: peer(3), direction: Direction::Outbound });
    assert!(is_introduced(node.receive(3, introduce())), "we chose it");
    let mut sender = Node::joined(2, 1);
    sender.publish(b"hello");
    let frame = sender.pull(1).remove(0);
    node.receive_frame(2, frame);
    assert!(is_introduced(node.receive(2, introduce())), "it was of use");
}

#[test]
fn who_joined_before_it_knew_its_address_is_told_of_others_then() {
    let mut node = Node::with(1, Config { introduces: true, ..Config::default() });
    node.subscribe();
    let record = |of: u8| Body::Record(frame::Record { envelope: Bytes::copy_from_slice(&[of]) });
    for other in [2, 3] {
        node.connect(other);
        node.receive(other, subscriptions(&["t"], &[]));
    }
    assert_eq!(node.receive(2, record(2)), []);
    let records = vec![Bytes::from_static(&[2])];
    let introduce = Body::Introduce(frame::Introduce { topic: "t".into(), records });
    assert_eq!(node.receive(3, record(3)), [send(3, introduce)]);
    assert_eq!(node.receive(3, record(4)), [], "once");
}

#[test]
fn who_finds_no_room_is_told_of_others() {
    let params = TopicParams { mesh_min: 1, mesh_target: 1, mesh_max: 1, ..TopicParams::default() };
    let topic = params.checked().expect("they fit");
    let mut node = Node::with(1, Config { topic, ..Config::default() });
    node.subscribe();
    for other in [2, 3] {
        node.connect(other);
        let envelope = Bytes::copy_from_slice(&[other]);
        node.receive(other, Body::Record(frame::Record { envelope }));
        node.receive(other, subscriptions(&["t"], &[]));
    }
    let records = vec![Bytes::from_static(&[2])];
    let introduce = Body::Introduce(frame::Introduce { topic: "t".into(), records });
    let refused = |why| Output::Event(Event::Trace(Trace::GraftRefused { peer: peer(3), why }));
    assert_eq!(
        node.receive(3, graft()),
        [refused(Refusal::Full), send(3, prune(60_000)), send(3, introduce)]
    );
    let offence = Offence::minor("graft within the back-off");
    assert_eq!(
        node.receive(3, graft()),
        [refused(Refusal::TooSoon), send(3, prune(60_000)), Output::Offence { peer: peer(3), offence }],
        "once"
    );
}

#[test]
fn a_promise_counts_as_kept_whatever_we_make_of_the_message() {
    for (limit, is_sent, unserved) in [(100, true, 0), (3, true, 0), (100, false, 1)] {
        let mut alice = Node::joined(1, 9);
        let said = alice.publish(b"hello");
        let Output::Event(Event::Published { id, .. }) = said[0] else { panic!("{said:?}") };
        let mut bob = Node::with(2, Config { message_bytes: limit, ..Config::default() });
        bob.subscribe();
        bob.connect(1);
        let ids = Bytes::copy_from_slice(&id.0);
        bob.receive(1, Body::IHave(frame::IHave { topic: "t".into(), ids }));
        if is_sent {
            let frame = alice.pull(9).remove(0);
            bob.receive_frame(1, frame);
        }
        bob.pass(Duration::from_secs(5));
        assert_eq!(bob.mesh.conduct(peer(1)).unserved, unserved, "limit {limit}");
    }
}
