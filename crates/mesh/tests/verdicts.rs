//! What the application says of messages, and what comes of it.

mod node;
mod room;

use braidcast_machine::{Direction, Duration, Input, Machine, Output};
use braidcast_mesh::{
    CheckedParams, Command, Config, Event, Message, TopicParams, Trace, VERDICTS, Verdict,
    frame::{self, Body},
};
use braidcast_sim::NodeIndex;
use bytes::Bytes;
use node::{Node, Said, peer, topic};
use room::{Room, payload};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn judged(within: Duration) -> CheckedParams {
    TopicParams { verdict_within: Some(within), ..TopicParams::default() }.checked().expect("they fit")
}

const WITHIN: Duration = Duration::from_secs(2);

/// A node that judges, and what it says to a message of its neighbour.
fn heard(payload: &[u8]) -> (Node, Message) {
    heard_by(payload, WITHIN)
}

fn heard_by(payload: &[u8], within: Duration) -> (Node, Message) {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
    bob.handle(Input::Command(Command::Configure(topic(), judged(within))));
    bob.connect(3);
    bob.receive(3, node::subscriptions(&["t"], &[]));
    alice.publish(payload);
    let frames = alice.pull(2);
    let said: Vec<Said> = frames.into_iter().flat_map(|frame| bob.receive_frame(1, frame)).collect();
    let message = said.into_iter().find_map(|output| match output {
        Output::Event(Event::Message(message)) => Some(message),
        _ => None,
    });
    (bob, message.expect("it arrived"))
}

fn judge(node: &mut Node, message: &Message, verdict: Verdict) -> Vec<Said> {
    node.handle(Input::Command(Command::Judge(message.id, verdict)))
}

/// What a stranger hears of the message.
fn is_told(node: &mut Node) -> bool {
    node.connect(4);
    let said = node.receive(4, node::subscriptions(&["t"], &[]));
    said.iter().any(|output| {
        matches!(output, Output::Send { frame: braidcast_mesh::Frame { body: Some(Body::IHave(_)) }, .. })
    })
}

/// True when it is sent to a newcomer who asks for it.
fn serves(node: &mut Node, message: &Message) -> bool {
    node.handle(Input::Disconnected { peer: peer(5) });
    node.connect(5);
    let ids = Bytes::copy_from_slice(&message.id.0);
    node.receive(5, Body::IWant(frame::Ids { ids }));
    !node.pull(5).is_empty()
}

#[test]
fn nothing_is_traced_unless_asked_for() {
    for traces in [false, true] {
        let config = Config { traces, topic: judged(WITHIN), ..Config::default() };
        let mut mesh = braidcast_mesh::Mesh::new(config, node::identity(2), [2; 32]);
        let (mut alice, now) = (Node::joined(1, 2), braidcast_machine::Now::default());
        mesh.handle(now, Input::Command(Command::Subscribe(topic())));
        mesh.handle(now, Input::Connected { peer: peer(1), direction: Direction::Inbound });
        let joined = node::subscriptions(&["t"], &[]).into();
        mesh.handle(now, Input::Received { peer: peer(1), frame: joined });
        alice.publish(b"hello");
        mesh.handle(now, Input::Received { peer: peer(1), frame: alice.pull(2).remove(0) });
        let said: Vec<Said> = std::iter::from_fn(|| mesh.poll()).collect();
        let is_trace = |output: &Said| matches!(output, Output::Event(Event::Trace(_)));
        assert_eq!(said.iter().filter(|output| is_trace(output)).count(), if traces { 2 } else { 0 });
    }
}

#[test]
fn without_the_parameter_nobody_is_asked() {
    let mut bob = Node::joined(2, 1);
    let mut alice = Node::joined(1, 2);
    alice.publish(b"hello");
    let frame = alice.pull(2).remove(0);
    let said = bob.receive_frame(1, frame);
    let message = said.iter().find_map(|output| match output {
        Output::Event(Event::Message(message)) => Some(message),
        _ => None,
    });
    assert_eq!(message.expect("it arrived").judge_by, None);
    assert!(is_told(&mut bob));
}

#[test]
fn an_accepted_message_is_told_of_and_served() {
    for payload in [&b"hello"[..], &[7; 10_000]] {
        let (mut bob, message) = heard(payload);
        assert_eq!(message.judge_by, Some(bob.now.time + Duration::from_secs(2)));
        assert!(!is_told(&mut bob), "not before the verdict");
        // Pieces went on before there was anything to judge.
        assert_eq!(serves(&mut bob, &message), message.content.payload.len() > 4096);
        assert!(bob.pull(3).is_empty(), "nor on its own, without a lane");
        judge(&mut bob, &message, Verdict::Accept);
        assert_eq!(!bob.pull(3).is_empty(), message.content.payload.len() <= 4096, "it goes on by itself");
        assert!(serves(&mut bob, &message));
        for _ in 0..3 {
            bob.pass(Duration::from_secs(1));
        }
        assert!(serves(&mut bob, &message), "the deadline is of no concern any more");
    }
}

#[test]
fn an_ignored_message_is_no_longer_served_and_nobody_is_blamed() {
    let (mut bob, message) = heard(&[7; 10_000]);
    assert!(serves(&mut bob, &message), "what lets it pass is the signature");
    let trace = Trace::Refused { id: message.id, verdict: Verdict::Ignore };
    assert_eq!(judge(&mut bob, &message, Verdict::Ignore), [Output::Event(Event::Trace(trace))]);
    assert!(!serves(&mut bob, &message) && !is_told(&mut bob));
    assert_eq!(bob.mesh.conduct(peer(1)).points, 0);
    assert_eq!(judge(&mut bob, &message, Verdict::Reject), [], "once is enough");
}

#[test]
fn a_small_message_that_is_not_accepted_goes_to_nobody() {
    for verdict in [Verdict::Ignore, Verdict::Reject] {
        let (mut bob, message) = heard(b"hello");
        assert!(!serves(&mut bob, &message));
        judge(&mut bob, &message, verdict);
        assert!(!serves(&mut bob, &message) && bob.pull(3).is_empty());
        let points = if verdict == Verdict::Reject { 30 } else { 0 };
        assert_eq!(bob.mesh.conduct(peer(1)).points, points);
    }
}

#[test]
fn a_small_message_that_is_accepted_late_goes_on() {
    let (mut bob, message) = heard_by(b"hello", Duration::from_secs(30));
    for _ in 0..12 {
        bob.pass(Duration::from_secs(1));
    }
    assert!(bob.pull(3).is_empty());
    judge(&mut bob, &message, Verdict::Accept);
    assert!(!bob.pull(3).is_empty());
}

#[test]
fn silence_until_the_deadline_is_to_ignore() {
    for payload in [&b"hello"[..], &[7; 10_000]] {
        let (mut bob, message) = heard(payload);
        bob.pass(Duration::from_secs(1));
        assert_eq!(serves(&mut bob, &message), payload.len() > 4096);
        // It is seen to at the next heartbeat.
        let said = bob.pass(Duration::from_secs(2));
        let trace = Trace::Refused { id: message.id, verdict: Verdict::Ignore };
        assert!(said.contains(&Output::Event(Event::Trace(trace))), "{said:?}");
        assert!(!serves(&mut bob, &message) && bob.pull(3).is_empty());
        assert_eq!(bob.mesh.conduct(peer(1)).points, 0);
    }
}

#[test]
fn what_comes_while_too_many_wait_is_refused_and_comes_again_when_there_is_room() {
    let (mut bob, first) = heard(b"hello");
    let mut publishers = [1, 6, 7, 8, 9].map(|number| Node::joined(number, 2));
    let mut hear = |bob: &mut Node, publisher: usize, payload: &[u8]| {
        let publisher = &mut publishers[publisher];
        publisher.tick(Duration::from_micros(1000));
        publisher.publish(payload);
        let frames = publisher.pull(2);
        // All by way of node 1.
        let said: Vec<Said> = frames.iter().flat_map(|frame| bob.receive_frame(1, frame.clone())).collect();
        (said, frames)
    };
    let number = |number: usize| number.to_le_bytes();
    let said_done = |said: &[Said]| said.iter().any(is_done);
    for at in 1..VERDICTS {
        let (said, _) = hear(&mut bob, at / (VERDICTS / 4), &number(at));
        assert!(arrives(&said), "{at}");
        if at == VERDICTS / 4 - 1 {
            let (said, _) = hear(&mut bob, 0, &number(VERDICTS));
            assert!(!arrives(&said), "a quarter is of one publisher");
        }
    }
    assert!(said_done(&bob.tick(Duration::from_millis(5))), "of those that came");
    for payload in [&b"late"[..], &[7; 10_000]] {
        let (said, frames) = hear(&mut bob, 4, payload);
        assert!(!arrives(&said));
        let is_full = |output: &Said| {
            matches!(output, Output::Event(Event::Trace(Trace::Unjudged { waiting: VERDICTS, waiting_bytes, .. }))
                if *waiting_bytes == 5 + (VERDICTS - 1) * size_of::<usize>())
        };
        assert!(said.iter().any(is_full), "{said:?}");
        assert!(!said_done(&said) && !said_done(&bob.tick(Duration::from_millis(5))), "it did not reach us");
        if payload.len() > 4096 {
            judge(&mut bob, &first, Verdict::Accept);
            assert!(serves(&mut bob, &first), "the oldest is judged");
            let Some(Body::Manifest(manifest)) = &frames[0].body else { panic!("it comes first") };
            let ids = Bytes::copy_from_slice(blake3::hash(&manifest.body).as_bytes());
            let offer = frame::IHave { topic: "t".into(), ids: ids.clone() };
            let asked = bob.receive(1, Body::IHave(offer));
            assert!(asked.contains(&node::send(1, Body::IWant(frame::Ids { ids }))), "{asked:?}");
            let said: Vec<Said> = frames.into_iter().flat_map(|frame| bob.receive_frame(1, frame)).collect();
            assert!(arrives(&said) && said_done(&said), "there is room again");
        }
    }
}

fn arrives(said: &[Said]) -> bool {
    said.iter().any(|output| matches!(output, Output::Event(Event::Message(_))))
}

fn is_done(output: &Said) -> bool {
    matches!(output, Output::Send { frame: braidcast_mesh::Frame { body: Some(Body::Done(_)) }, .. })
}

/// The publisher is blamed also by those that it has no link to, and never the neighbours that passed its messages on.
#[test]
fn a_publisher_whose_messages_are_rejected_is_banned_by_all() {
    const SPAMMER: NodeIndex = NodeIndex(0);
    let config = Config { topic: judged(WITHIN), ..Config::default() };
    let mut room = Room::random(5, 20, 6, &config);
    let spam = room.world.peer(SPAMMER);
    let others: Vec<_> = (1..20).map(NodeIndex).collect();
    for number in 0..4 {
        let id = room.publish(SPAMMER, payload(20_000, number));
        room.run(500);
        for &node in &others {
            assert!(room.messages.contains_key(&(node, id)), "{node:?} lacks message {number}");
            room.world.command(node, Command::Judge(id, Verdict::Reject));
        }
        room.run(500);
    }
    assert!(others.iter().all(|&node| room.world.machine(node).conduct(spam).bans == 1));
    assert!(room.world.bans().iter().all(|ban| ban.peer == spam));
    // Another identity's links would carry it, but nobody takes it.
    let friend = NodeIndex(1);
    assert!(!room.mesh(friend).is_empty());
    let honest = payload(20_000, 9);
    let id = room.publish(friend, honest.clone());
    room.run(500);
    assert!(room.have_all(&others, id, &honest));
}

#[test]
fn a_banned_publishers_message_is_no_fault_of_who_brings_it() {
    let (mut bob, message) = heard(b"hello");
    let mut alice = Node::joined(1, 2);
    judge(&mut bob, &message, Verdict::Reject);
    for number in 1..=4 {
        alice.tick(Duration::from_secs(1));
        alice.publish(&[number; 10]);
        let frame = alice.pull(2).remove(0);
        // By way of node 3.
        let said = bob.receive_frame(3, frame);
        let message = said.iter().find_map(|output| match output {
            Output::Event(Event::Message(message)) => Some(message.clone()),
            _ => None,
        });
        assert_eq!(message.is_some(), number < 4);
        message.into_iter().for_each(|message| drop(judge(&mut bob, &message, Verdict::Reject)));
    }
    assert_eq!(bob.mesh.conduct(peer(1)).bans, 1);
    assert_eq!((bob.mesh.conduct(peer(3)).points, bob.mesh.conduct(peer(3)).bans), (0, 0));
}
