//! Closed topics: who takes part.

mod node;

use braidcast_machine::{Duration, Input, Offence, Output};
use braidcast_mesh::{
    CheckedParams, Command, Config, Divide, Event, Frame, Mode, PublishError, Refusal, Secret, TopicParams,
    Trace,
    frame::{self, Body},
};
use node::{Node, Said, graft, peer, prune, send, subscriptions, topic};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn params(secret: u8) -> CheckedParams {
    let mode = Mode::Closed { secret: Secret([secret; 32]) };
    TopicParams { mode, compress: false, ..TopicParams::default() }.checked().expect("they fit")
}

/// Subscribed to a closed topic.
fn member(number: u8, secret: u8) -> Node {
    let mut node = Node::with(number, Config { topic: params(secret), ..Config::default() });
    node.subscribe();
    node
}

/// Frames to a peer, in order.
fn frames(said: &[Said], to: u8) -> Vec<Body> {
    let to = peer(to);
    let body = |said: &Said| match said {
        Output::Send { peer, frame } if *peer == to => frame.body.clone(),
        _ => None,
    };
    said.iter().filter_map(body).collect()
}

/// Connects nodes 1 and 2 and hands frames over until nobody has any; what each said in all.
fn meet(one: &mut Node, two: &mut Node) -> (Vec<Said>, Vec<Said>) {
    meet_as(one, two, 2)
}

/// The same of node 1 and one with this number.
fn meet_as(one: &mut Node, other: &mut Node, number: u8) -> (Vec<Said>, Vec<Said>) {
    let (mut of_one, mut of_other) = (one.connect(number), other.connect(1));
    let (mut at_one, mut at_other) = (0, 0);
    while at_one < of_one.len() || at_other < of_other.len() {
        let (to_other, to_one) = (frames(&of_one[at_one..], number), frames(&of_other[at_other..], 1));
        (at_one, at_other) = (of_one.len(), of_other.len());
        to_other.into_iter().for_each(|body| of_other.extend(other.receive(1, body)));
        to_one.into_iter().for_each(|body| of_one.extend(one.receive(number, body)));
    }
    (of_one, of_other)
}

fn joined(other: u8) -> Said {
    Output::Event(Event::Joined { peer: peer(other), topic: topic() })
}

fn outsider(other: u8, why: Divide) -> Said {
    Output::Event(Event::Outsider { peer: peer(other), topic: topic(), why })
}

fn offence(rule: &'static str) -> Offence {
    Offence::minor(rule)
}

#[test]
fn members_prove_it_to_each_other_and_become_neighbours() {
    let (mut one, mut two) = (member(1, 7), member(2, 7));
    let (of_one, of_two) = meet(&mut one, &mut two);
    assert!(of_one.contains(&joined(2)) && of_two.contains(&joined(1)));
    assert_eq!(one.mesh.neighbours(&topic()).collect::<Vec<_>>(), [peer(2)]);
    assert_eq!(two.mesh.neighbours(&topic()).collect::<Vec<_>>(), [peer(1)]);
    assert!(of_one.iter().chain(&of_two).all(|said| !matches!(said, Output::Offence { .. })));
}

#[test]
fn who_holds_another_secret_is_no_neighbour() {
    let (mut one, mut two) = (member(1, 7), member(2, 8));
    let (of_one, of_two) = meet(&mut one, &mut two);
    assert!(!of_one.contains(&joined(2)) && !of_two.contains(&joined(1)));
    let wrong = Output::Offence { peer: peer(2), offence: offence("proof of membership does not verify") };
    assert!(of_one.contains(&wrong));
    assert_eq!(one.mesh.neighbours(&topic()).count() + two.mesh.neighbours(&topic()).count(), 0);
    assert_eq!(one.mesh.topics_of(peer(2)).count(), 0);
    assert!(
        of_one.contains(&outsider(2, Divide::OtherKey)) && of_two.contains(&outsider(1, Divide::OtherKey))
    );
    // Told once, however often it tries.
    let proof = frames(&of_two, 1).into_iter().find(|body| matches!(body, Body::Proof(_)));
    assert_eq!(one.receive(2, proof.expect("2 tried to prove its membership")), [wrong]);
    let error = PublishError::NoMembers { topic: topic(), outsiders: 1 };
    assert!(one.publish(b"hello").contains(&Output::Event(Event::Refused { ticket: 9, error })));
}

#[test]
fn who_has_no_key_is_told_so_by_the_first_challenge() {
    let (mut one, mut two) = (member(1, 7), Node::new(2));
    two.subscribe();
    let (of_one, of_two) = meet(&mut one, &mut two);
    let told = |said: &[Said], what: Said| said.iter().filter(|&said| *said == what).count();
    assert_eq!(told(&of_two, outsider(1, Divide::NoKey)), 1);
    // It takes us for a subscriber like any other, and grafts us.
    assert!(of_two.contains(&joined(1)));
    assert_eq!(told(&of_one, outsider(2, Divide::NoProof)), 1);
    assert!(of_one.iter().all(|said| !matches!(said, Output::Offence { .. })), "{of_one:?}");
}

#[test]
fn who_publishes_without_a_key_is_told_that_it_takes_one() {
    let (mut one, mut two) = (member(1, 7), Node::new(2));
    let (_, of_two) = meet(&mut one, &mut two);
    assert!(!of_two.contains(&outsider(1, Divide::NoKey)), "it does not concern us yet");
    two.publish(b"hello");
    let of_one: Vec<Said> = two.pull(1).into_iter().flat_map(|frame| one.receive_frame(2, frame)).collect();
    assert!(of_one.contains(&outsider(2, Divide::NoProof)), "{of_one:?}");
    let of_two: Vec<Said> = frames(&of_one, 2).into_iter().flat_map(|body| two.receive(1, body)).collect();
    assert!(of_two.contains(&outsider(1, Divide::NoKey)), "{of_two:?}");
    let error = PublishError::NoKey { topic: topic() };
    assert!(two.publish(b"hello").contains(&Output::Event(Event::Refused { ticket: 9, error })));
    two.handle(Input::Command(Command::Configure(topic(), params(7))));
    two.subscribe();
    meet(&mut one, &mut two);
    assert_eq!(one.mesh.neighbours(&topic()).collect::<Vec<_>>(), [peer(2)], "with the key it takes part");
}

#[test]
fn a_relay_without_a_key_tells_who_publishes_that_all_others_hold_one() {
    let (mut one, mut three) = (member(1, 7), Node::new(3));
    let mut two = Node::with(2, Config { is_discreet: true, ..Config::default() });
    two.subscribe();
    two.connect(1);
    two.connect(3);
    one.connect(2);
    three.connect(2);
    two.receive(3, Body::Seek(frame::Seek { topics: vec!["t".into()] }));
    three.receive(2, subscriptions(&["t"], &[]));
    let hear = |three: &mut Node, two: &mut Node| {
        three.tick(Duration::from_secs(1));
        three.publish(b"hello");
        let said: Vec<Said> =
            three.pull(2).into_iter().flat_map(|frame| two.receive_frame(3, frame)).collect();
        frames(&said, 3).into_iter().flat_map(|body| three.receive(2, body)).collect::<Vec<_>>()
    };
    assert_eq!(hear(&mut three, &mut two), [], "there is nobody yet");
    two.receive(1, subscriptions(&["t"], &[]));
    let asked = frames(&one.receive(2, subscriptions(&["t"], &[])), 2);
    asked.into_iter().for_each(|body| drop(two.receive(1, body)));
    assert_eq!(hear(&mut three, &mut two), [outsider(2, Divide::NoKey)]);
}

/// True when node 3 sends a message of its own to `to`.
fn publishes_to(three: &mut Node, to: u8) -> bool {
    three.publish(b"hello");
    !three.pull(to).is_empty()
}

#[test]
fn who_has_no_key_publishes_to_who_comes_later() {
    let challenge = || Body::Challenge(frame::Evidence { topic: "t".into(), bytes: vec![5; 32].into() });
    for is_relay in [false, true] {
        let mut three = Node::new(3);
        three.connect(2);
        if is_relay {
            three.mesh.set_last_resort(peer(2));
        }
        three.receive(2, subscriptions(&["t"], &[]));
        assert!(publishes_to(&mut three, 2));
        assert_eq!(three.receive(2, challenge()), [outsider(2, Divide::NoKey)]);
        assert_eq!(three.receive(2, challenge()), [], "told once");
        let said = three.publish(b"hello");
        let error = PublishError::NoKey { topic: topic() };
        let seek = send(2, Body::Seek(frame::Seek { topics: vec!["t".into()] }));
        assert_eq!(said, [seek, Output::Event(Event::Refused { ticket: 9, error })]);
        // Who is behind a relay may have changed.
        assert_eq!(publishes_to(&mut three, 2), is_relay);
        three.connect(4);
        three.receive(4, subscriptions(&["t"], &[]));
        assert!(publishes_to(&mut three, 4) && three.pull(2).is_empty() != is_relay);
        three.handle(Input::Disconnected { peer: peer(4) });
        // Who comes back may have become open.
        three.receive(2, subscriptions(&[], &["t"]));
        three.receive(2, subscriptions(&["t"], &[]));
        assert!(publishes_to(&mut three, 2));
    }
}

#[test]
fn to_publish_in_a_closed_topic_takes_a_subscription() {
    let mut node = Node::with(1, Config { topic: params(7), ..Config::default() });
    let error = PublishError::NotSubscribed { topic: topic() };
    assert_eq!(node.publish(b"hello"), [Output::Event(Event::Refused { ticket: 9, error })]);
    node.subscribe();
    let error = PublishError::NoMembers { topic: topic(), outsiders: 0 };
    assert_eq!(node.publish(b"hello"), [Output::Event(Event::Refused { ticket: 9, error })]);
}

#[test]
fn another_key_makes_members_of_those_who_hold_it() {
    let (mut one, mut two) = (member(1, 7), member(2, 8));
    meet(&mut one, &mut two);
    let changed = two.handle(Input::Command(Command::Configure(topic(), params(7))));
    let (mut to_one, mut to_two) = (frames(&changed, 1), Vec::new());
    let (mut of_one, mut of_two) = (Vec::new(), Vec::new());
    while !to_one.is_empty() || !to_two.is_empty() {
        let one_said: Vec<Said> = to_one.drain(..).flat_map(|body| one.receive(2, body)).collect();
        let two_said: Vec<Said> = to_two.drain(..).flat_map(|body| two.receive(1, body)).collect();
        (to_one, to_two) = (frames(&two_said, 1), frames(&one_said, 2));
        (of_one, of_two) = ([of_one, one_said].concat(), [of_two, two_said].concat());
    }
    assert!(of_one.contains(&joined(2)) && of_two.contains(&joined(1)));
    // And it unmakes them.
    let left = Output::Event(Event::Left { peer: peer(2), topic: topic() });
    assert!(one.handle(Input::Command(Command::Configure(topic(), params(9)))).contains(&left));
    assert_eq!(one.mesh.topics_of(peer(2)).count(), 0);
}

#[test]
fn an_outsider_can_neither_graft_nor_send_nor_ask() {
    let (mut one, mut two) = (member(1, 7), member(2, 7));
    meet(&mut one, &mut two);
    one.connect(3);
    let said = one.receive(3, subscriptions(&["t"], &[]));
    assert!(matches!(&frames(&said, 3)[..], [Body::Challenge(_)]), "{said:?}");
    let refused = Output::Event(Event::Trace(Trace::GraftRefused { peer: peer(3), why: Refusal::Outsider }));
    let told = outsider(3, Divide::NoProof);
    assert_eq!(one.receive(3, graft()), [refused.clone(), send(3, prune(60_000)), told]);
    assert_eq!(one.receive(3, graft()), [refused, send(3, prune(60_000))]);
    one.tick(Duration::from_secs(10));
    assert_eq!(one.mesh.neighbours(&topic()).collect::<Vec<_>>(), [peer(2)]);

    two.publish(&[5; 100]);
    two.pull(1);
    let manifest = two.manifest.expect("it was sent");
    let outsider = offence("message of a closed topic, from who is no member");
    let blamed = Output::Offence { peer: peer(3), offence: outsider };
    let said = one.receive(3, manifest.clone());
    assert!(said.contains(&blamed) && !said.iter().any(is_message), "{said:?}");
    let said = one.receive(2, manifest.clone());
    assert!(said.iter().any(is_message), "{said:?}");
    let Body::Manifest(manifest) = manifest else { panic!("the first bulk frame is a manifest") };
    let ids = blake3::hash(&manifest.body).as_bytes().to_vec().into();
    assert_eq!(one.receive(3, Body::IWant(frame::Ids { ids })), [blamed]);
    assert!(one.pull(3).is_empty());
}

fn is_message(said: &Said) -> bool {
    matches!(said, Output::Event(Event::Message(_)))
}

/// Control and bulk frames are on streams of their own: what is published as soon as a member is known may come before our
/// proof.
#[test]
fn a_message_that_comes_before_the_proof_is_asked_for_after_it() {
    for len in [100, 20_000] {
        let (mut one, mut two) = (member(1, 7), member(2, 7));
        let (mut to_one, mut to_two) = (frames(&two.connect(1), 1), frames(&one.connect(2), 2));
        let (mut early, mut late) = (Vec::new(), Vec::new());
        while !to_one.is_empty() || !to_two.is_empty() {
            let two_said: Vec<Said> = to_two.drain(..).flat_map(|body| two.receive(1, body)).collect();
            if two_said.contains(&joined(1)) {
                two.publish(&vec![5; len]);
                early = two.pull(1);
            }
            to_one.extend(frames(&two_said, 1));
            // Control frames stay in order.
            let at = to_one.iter().position(|body| matches!(body, Body::Proof(_)) || !late.is_empty());
            late.extend(to_one.split_off(at.unwrap_or(to_one.len())));
            to_two = to_one.drain(..).flat_map(|body| frames(&one.receive(2, body), 2)).collect();
        }
        let outsider = Output::Offence {
            peer: peer(2),
            offence: offence("message of a closed topic, from who is no member"),
        };
        assert!(one.receive_frame(2, early[0].clone()).contains(&outsider));
        let mut said: Vec<Said> = late.into_iter().flat_map(|proof| one.receive(2, proof)).collect();
        let mut is_there = false;
        for _ in 0..20 {
            let mut of_two = two.tick(Duration::from_millis(10));
            of_two.extend(frames(&said, 2).into_iter().flat_map(|body| two.receive(1, body)));
            said = one.tick(Duration::from_millis(10));
            said.extend(frames(&of_two, 1).into_iter().flat_map(|body| one.receive(2, body)));
            said.extend(two.pull(1).into_iter().flat_map(|frame| one.receive_frame(2, frame)));
            is_there |= said.iter().any(is_message);
        }
        assert!(is_there, "{len} bytes");
    }
}

/// What 2 answered to 1 is of no use to 3, nor back to 2.
#[test]
fn a_proof_convinces_only_whom_it_is_for_and_only_of_its_maker() {
    let (mut one, mut two) = (member(1, 7), member(2, 7));
    let (_, of_two) = meet(&mut one, &mut two);
    let proof = frames(&of_two, 1).into_iter().find(|body| matches!(body, Body::Proof(_)));
    let proof = proof.expect("2 proved its membership");
    for (mut to, from) in [(one, 3), (member(4, 7), 2), (two, 3)] {
        to.connect(from);
        to.receive(from, subscriptions(&["t"], &[]));
        let wrong =
            Output::Offence { peer: peer(from), offence: offence("proof of membership does not verify") };
        assert_eq!(to.receive(from, proof.clone()), [outsider(from, Divide::OtherKey), wrong]);
    }
}

#[test]
fn closing_a_topic_lets_go_of_everybody_who_cannot_prove_membership() {
    let mut node = Node::joined(1, 2);
    assert_eq!(node.mesh.neighbours(&topic()).count(), 1);
    let said = node.handle(Input::Command(Command::Configure(topic(), params(7))));
    assert!(matches!(frames(&said, 2).last(), Some(Body::Challenge(_))), "{said:?}");
    assert!(said.contains(&Output::Event(Event::Left { peer: peer(2), topic: topic() })), "{said:?}");
    assert_eq!(node.mesh.neighbours(&topic()).count(), 0);
    let open = TopicParams::default().checked().expect("they fit");
    let said = node.handle(Input::Command(Command::Configure(topic(), open)));
    assert!(said.contains(&joined(2)), "{said:?}");
    node.tick(Duration::from_secs(70));
    assert_eq!(node.mesh.neighbours(&topic()).count(), 1);
}

#[test]
fn a_shard_or_a_rank_that_cannot_be_is_an_offence() {
    let (mut one, mut two) = (member(1, 7), member(2, 7));
    meet(&mut one, &mut two);
    two.publish(&[5; 8_000]);
    let frames = two.pull(1);
    let shards: Vec<frame::Chunk> = frames.iter().filter_map(chunk).collect();
    assert_eq!((shards.len(), shards[0].coefficients.len()), (8, 8));
    let fatal = |rule| Output::Offence { peer: peer(2), offence: Offence::fatal(rule) };
    let right = &shards[0];
    let rank = |rank| {
        Body::Rank(frame::Rank { message: right.message.clone(), generation: 0, rank, credit: u32::MAX })
    };
    let wrong = "shard has not one coefficient for each source piece";
    let beyond = "chunk is empty, too long, or beyond the end of its piece";
    let cases = [
        (Body::Chunk(frame::Chunk { coefficients: vec![1; 7].into(), ..right.clone() }), wrong),
        (Body::Chunk(frame::Chunk { offset: u32::MAX, ..right.clone() }), beyond),
        (Body::Chunk(frame::Chunk { bytes: vec![0; 2000].into(), ..right.clone() }), beyond),
        (Body::Chunk(frame::Chunk { generation: 1, ..right.clone() }), "message has no such generation"),
        (rank(9), "rank is beyond the number of source pieces"),
        // As good as a piece, and not what was signed.
        (
            Body::Chunk(frame::Chunk { coefficients: vec![0, 1, 0, 0, 0, 0, 0, 0].into(), ..right.clone() }),
            "piece is not what the publisher signed",
        ),
    ];
    for (body, rule) in cases {
        let (mut one, mut two) = (member(1, 7), member(2, 7));
        meet(&mut one, &mut two);
        one.receive_frame(2, frames[0].clone());
        let said = one.receive(2, body);
        assert!(said.contains(&fatal(rule)), "{rule}: {said:?}");
    }
    one.receive_frame(2, frames[0].clone());
    one.receive(2, Body::Chunk(right.clone()));
    let said = one.receive(2, Body::Chunk(right.clone()));
    let unhelpful = Trace::UnhelpfulShard { from: peer(2), bytes: 1024 };
    assert_eq!(said, [Output::Event(Event::Trace(unhelpful))]);
    // Eight in all may come unasked.
    let said: Vec<Said> = (0..8).flat_map(|_| one.receive(2, Body::Chunk(right.clone()))).collect();
    let surplus = offence("more shards than are due or were asked for");
    let blamed = Output::Offence { peer: peer(2), offence: surplus };
    assert_eq!(said.iter().filter(|said| **said == blamed).count(), 2);
    // What is new among them counts all the same.
    let said: Vec<Said> =
        shards[1..].iter().flat_map(|shard| one.receive(2, Body::Chunk(shard.clone()))).collect();
    assert!(said.contains(&blamed) && said.iter().any(is_message), "{said:?}");
}

#[test]
fn who_doubts_tells_of_its_pieces_alone_and_doubts_again_when_asked_for_shards() {
    let (mut one, mut two) = (member(1, 7), member(2, 7));
    meet(&mut one, &mut two);
    two.publish(&[5; 8_000]);
    let sent = two.pull(1);
    let shard = chunk(&sent[1]).expect("a shard");
    one.receive_frame(2, sent[0].clone());
    one.receive(2, Body::Chunk(shard.clone()));
    let coefficients = vec![0, 0, 0, 1, 0, 0, 0, 0].into();
    one.receive(2, Body::Chunk(frame::Chunk { coefficients, bytes: vec![5; 1024].into(), ..shard.clone() }));
    let doubt = || Body::Doubt(frame::Ids { ids: shard.message.clone() });
    let mut said = one.receive(2, doubt());
    said.extend(one.pass(Duration::from_millis(5)));
    let told: Vec<Body> =
        frames(&said, 2).into_iter().filter(|body| matches!(body, Body::Have(_) | Body::Rank(_))).collect();
    let have = frame::Pieces { message: shard.message.clone(), generation: 0, pieces: vec![3].into() };
    assert_eq!(told, [Body::Have(have)]);
    let rank = frame::Rank { message: shard.message.clone(), generation: 0, rank: 8, credit: 4 };
    assert_eq!(frames(&one.receive(2, Body::Rank(rank)), 2), [doubt()]);
}

/// 3 may have been misled; that it says so does not come over a link that is cut.
#[test]
fn who_sent_a_wrong_shard_is_banned_once_it_is_heard_not_to_doubt() {
    let (mut one, mut two, mut three) = (member(1, 7), member(2, 7), member(3, 7));
    meet(&mut one, &mut two);
    meet_as(&mut one, &mut three, 3);
    two.publish(&[5; 8_000]);
    let mut sent = two.pull(1);
    let wrong = chunk(&sent.remove(1)).expect("a shard");
    let wrong = frame::Chunk { bytes: vec![6; 1024].into(), ..wrong };
    let mut said = one.receive_frame(2, sent.remove(0));
    said.extend(one.receive(3, Body::Chunk(wrong)));
    sent.into_iter().for_each(|shard| said.extend(one.receive_frame(2, shard)));
    for _ in 0..20 {
        let mut of_two = two.tick(Duration::from_millis(10));
        of_two.extend(frames(&said, 2).into_iter().flat_map(|body| two.receive(1, body)));
        said = one.tick(Duration::from_millis(10));
        said.extend(frames(&of_two, 1).into_iter().flat_map(|body| one.receive(2, body)));
        said.extend(two.pull(1).into_iter().flat_map(|piece| one.receive_frame(2, piece)));
        if said.iter().any(is_message) {
            break;
        }
    }
    assert!(said.iter().any(is_message), "{said:?}");
    let is_ban = |said: &Said| matches!(said, Output::Disconnect { peer: of, .. } if *of == peer(3));
    assert!(!one.pass(Duration::from_secs(5)).iter().any(is_ban));
    one.receive(3, subscriptions(&["other"], &[]));
    assert!(one.pass(Duration::from_secs(1)).iter().any(is_ban));
}

/// They would count for giving, and stop what is asked for.
#[test]
fn shards_and_doubts_in_an_open_topic_are_offences_and_change_nothing() {
    let (mut one, mut two) = (Node::new(1), Node::new(2));
    one.subscribe();
    two.subscribe();
    meet(&mut one, &mut two);
    two.publish(&[5; 8_000]);
    let frames = two.pull(1);
    let right = frames.iter().find_map(chunk).expect("it travels in pieces");
    one.receive_frame(2, frames[0].clone());
    let shard = frame::Chunk { coefficients: vec![1; 8].into(), ..right.clone() };
    let doubt = frame::Ids { ids: right.message.clone() };
    for (body, rule) in
        [(Body::Chunk(shard), "shard in an open topic"), (Body::Doubt(doubt), "doubt in an open topic")]
    {
        assert_eq!(one.receive(2, body), [Output::Offence { peer: peer(2), offence: offence(rule) }]);
    }
    let said: Vec<Said> = frames[1..].iter().flat_map(|frame| one.receive_frame(2, frame.clone())).collect();
    assert!(said.iter().any(|said| matches!(said, Output::Event(Event::Message(_)))), "{said:?}");
}

fn chunk(frame: &Frame) -> Option<frame::Chunk> {
    if let Some(Body::Chunk(chunk)) = &frame.body { Some(chunk.clone()) } else { None }
}
