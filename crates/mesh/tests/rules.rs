//! One test per rule of the protocol: an input, and the whole of what the machine says to it.

mod node;

use braidcast_machine::{Duration, Input, Machine, Offence, Output, PeerSet};
use braidcast_mesh::{
    Command, Config, Event, Frame, Parting, PublishError, Refusal, TopicParams, Trace,
    frame::{self, Body},
    manifest,
};
use braidcast_wire::{Topic, WireLen, limits};
use bytes::Bytes;
use node::{Node, Said, graft, peer, prune, send, subscriptions, topic};
use prost::Message as _;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_new_peer_hears_our_subscriptions() {
    let mut node = Node::new(1);
    node.subscribe();
    assert_eq!(node.connect(2), [send(2, subscriptions(&["t"], &[]))]);
}

#[test]
fn the_longest_list_of_subscriptions_fits_the_limits() {
    let mut node = Node::new(1);
    for number in 0..limits::TOPICS_PER_PEER {
        let name = format!("{number:0width$}", width = limits::TOPIC_BYTES);
        node.handle(Input::Command(Command::Subscribe(Topic::new(name).expect("a name"))));
    }
    let said = node.connect(2);
    let lens = said.iter().map(|output| match output {
        Output::Send { frame, .. } => frame.wire_len(),
        other => panic!("{other:?}"),
    });
    assert!(lens.clone().all(|len| len <= limits::CONTROL_FRAME_BYTES), "{:?}", lens.collect::<Vec<_>>());
    let mut other = Node::new(2);
    other.connect(1);
    let joined: usize = said
        .into_iter()
        .map(|output| match output {
            Output::Send { frame, .. } => other.receive_frame(1, frame).len(),
            _ => 0,
        })
        .sum();
    assert_eq!(joined, limits::TOPICS_PER_PEER);
}

#[test]
fn a_subscriber_is_grafted_at_once() {
    let mut node = Node::new(1);
    node.subscribe();
    node.connect(2);
    let said = node.receive(2, subscriptions(&["t", "other"], &[]));
    let (peer, topic, other) = (peer(2), topic(), Topic::new("other").expect("a name"));
    assert_eq!(
        said,
        [
            send(2, graft()),
            Output::Event(Event::Trace(Trace::Graft { peer })),
            Output::Event(Event::Joined { peer, topic }),
            Output::Event(Event::Joined { peer, topic: other }),
        ]
    );
}

#[test]
fn a_discreet_node_tells_only_who_named_the_topic() {
    let mut relay = Node::with(1, Config { is_discreet: true, ..Config::default() });
    assert_eq!(relay.connect(2), []);
    assert_eq!(relay.connect(3), []);
    let seek = || Body::Seek(frame::Seek { topics: vec!["t".into()] });
    assert_eq!(relay.receive(3, seek()), [], "it does not subscribe");
    relay.receive(2, subscriptions(&["t"], &[]));
    let said = relay.handle(Input::Command(Command::Subscribe(topic())));
    let told = |to| send(to, subscriptions(&["t"], &[]));
    assert!(said.contains(&told(2)) && said.contains(&told(3)), "{said:?}");
    // Later ones hear when they name it, and before they are grafted.
    assert_eq!(relay.connect(4), []);
    assert_eq!(relay.receive(4, seek()), [told(4)]);
    assert_eq!(relay.connect(5), []);
    assert_eq!(relay.receive(5, subscriptions(&["t"], &[]))[..2], [told(5), send(5, graft())]);
}

#[test]
fn publishing_into_the_blue_asks_who_is_there() {
    let mut node = Node::new(1);
    node.connect(2);
    let error = PublishError::NoPeers { topic: topic() };
    let refused = Output::Event(Event::Refused { ticket: 9, error });
    let seek = Body::Seek(frame::Seek { topics: vec!["t".into()] });
    assert_eq!(node.publish(b"hello"), [send(2, seek), refused]);
}

#[test]
fn a_graft_for_a_topic_of_nobody_is_ignored() {
    let mut node = Node::new(1);
    node.connect(2);
    assert_eq!(node.receive(2, graft()), []);
}

#[test]
fn a_graft_within_the_back_off_is_refused_and_scored() {
    let mut node = Node::joined(1, 2);
    assert_eq!(
        node.receive(2, Body::Prune(frame::Prune { topic: "t".into(), backoff_ms: 5_000 })),
        [Output::Event(Event::Trace(Trace::Prune { peer: peer(2), why: Parting::Theirs }))]
    );
    let said = node.receive(2, graft());
    let offence = Offence::minor("graft within the back-off");
    let trace = Trace::GraftRefused { peer: peer(2), why: Refusal::TooSoon };
    assert_eq!(
        said,
        [
            Output::Event(Event::Trace(trace)),
            send(2, prune(60_000)),
            Output::Offence { peer: peer(2), offence }
        ]
    );
}

#[test]
fn publishing_to_nobody_is_refused() {
    let mut node = Node::new(1);
    node.subscribe();
    let error = PublishError::NoPeers { topic: topic() };
    assert_eq!(node.publish(b"hello"), [Output::Event(Event::Refused { ticket: 9, error })]);
}

#[test]
fn publishing_beyond_the_limit_names_both_numbers() {
    let mut node = Node::with(1, Config { message_bytes: 3, ..Config::default() });
    let said = node.publish(b"four");
    let error = PublishError::TooLong { len: 4, limit: 3 };
    assert_eq!(said, [Output::Event(Event::Refused { ticket: 9, error: error.clone() })]);
    assert_eq!(
        error.to_string(),
        "payload is 4 bytes, the limit is 3: send less, or raise the limit on every node"
    );
}

#[test]
fn a_small_message_travels_in_one_bulk_frame() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
    assert!(matches!(
        alice.publish(b"hello")[..],
        [Output::Event(Event::Published { ticket: 9, peers: 1, .. }), Output::BulkReady(to)] if to == peer(2)
    ));
    let frames = alice.pull(2);
    assert_eq!(frames.len(), 1);
    let said = bob.receive_frame(1, frames[0].clone());
    let [
        Output::Event(Event::Trace(Trace::Delivered { bytes: 5, .. })),
        Output::Event(Event::Message(message)),
    ] = &said[..]
    else {
        panic!("{said:?}")
    };
    assert_eq!((message.from, message.topic.as_str()), (peer(1), "t"));
    assert_eq!(message.content.payload.clone().into_bytes(), &b"hello"[..]);

    // After the batch, the publisher hears that it arrived.
    let ids = frame::Ids { ids: Bytes::copy_from_slice(&message.id.0) };
    assert_eq!(bob.tick(Duration::from_millis(5)), [send(1, Body::Done(ids.clone()))]);
    let reached = Event::Reached { id: message.id, peers: 1, of: 1 };
    assert_eq!(alice.receive(2, Body::Done(ids)), [Output::Event(reached)]);

    // Twice is a duplicate, and nobody is told.
    let duplicate = Output::Event(Event::Trace(Trace::DuplicatePiece { from: peer(1), bytes: 5 }));
    assert_eq!(bob.receive_frame(1, frames[0].clone()), [duplicate]);
}

/// Of nine neighbours, one is sent an inline message only if it does not say within a heartbeat that it has it.
#[test]
fn a_neighbour_that_is_spared_a_message_has_a_heartbeat_to_say_that_it_has_it() {
    let mut alice = Node::joined(1, 2);
    alice.publish(b"hello");
    let message = alice.pull(2).remove(0);
    let Some(Body::Manifest(manifest)) = &message.body else { panic!("{message:?}") };
    let ids = frame::Ids { ids: Bytes::copy_from_slice(blake3::hash(&manifest.body).as_bytes()) };
    let relay = |slot| {
        let mut relay = Node::joined(2, 1);
        relay.connect(3);
        relay.receive(3, subscriptions(&["t"], &[]));
        relay.receive(3, Body::Lanes(frame::Lanes { topic: "t".into(), slot, of: 9 }));
        relay.receive_frame(1, message.clone());
        relay
    };
    let spared: Vec<u32> = (0..9).filter(|&slot| relay(slot).pull(3).is_empty()).collect();
    let [slot] = spared[..] else { panic!("spared are {spared:?}") };

    let mut silent = relay(slot);
    silent.pass(Duration::from_millis(900));
    assert_eq!(silent.pull(3), []);
    silent.pass(Duration::from_millis(1_200));
    assert_eq!(silent.pull(3), core::slice::from_ref(&message));
    silent.pass(Duration::from_secs(5));
    assert_eq!(silent.pull(3), [], "once");

    let mut done = relay(slot);
    done.receive(3, Body::Done(ids));
    done.pass(Duration::from_secs(5));
    assert_eq!(done.pull(3), []);
}

/// The relay had the whole message before it heard in which lane it may push to the other tab.
#[test]
fn a_lane_that_comes_late_opens_what_is_whole() {
    let (mut alice, mut relay) = (Node::joined(1, 2), Node::joined(2, 1));
    relay.connect(3);
    relay.receive(3, subscriptions(&["t"], &[]));
    alice.publish(&[7; 8_192]);
    for frame in alice.pull(2) {
        relay.receive_frame(1, frame);
    }
    assert_eq!(relay.pull(3), [], "without a lane nothing is pushed");
    relay.receive(3, Body::Lanes(frame::Lanes { topic: "t".into(), slot: 0, of: 1 }));
    assert_eq!(relay.pull(3).len(), 9);
}

#[test]
fn small_messages_leave_in_order_and_before_large_ones() {
    let mut alice = Node::joined(1, 2);
    alice.publish(&[7; 5_000]);
    for number in 0..5 {
        alice.publish(&[number]);
    }
    let first: Vec<u8> = alice
        .pull(2)
        .into_iter()
        .map_while(|frame| match frame.body {
            Some(Body::Manifest(manifest)) => manifest.payload.first().copied(),
            _ => None,
        })
        .collect();
    assert_eq!(first, [0, 1, 2, 3, 4]);
}

#[test]
fn a_publisher_hears_how_much_went_out() {
    let mut alice = Node::joined(1, 2);
    alice.publish(&[7; 8_192]);
    let writable = PeerSet::from([peer(2)]);
    while alice.mesh.pull(alice.now, &writable).is_some() {}
    let held: Vec<usize> = std::iter::from_fn(|| alice.mesh.poll())
        .filter_map(|output| match output {
            Output::Event(Event::Progress(progress)) => Some(progress.held_bytes),
            _ => None,
        })
        .collect();
    assert_eq!(held, [1024, 2048, 3072, 4096, 5120, 6144, 7168, 8192]);
}

#[test]
fn a_large_message_is_done_at_its_kth_piece() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
    alice.publish(&[7; 10_000]);
    let frames = alice.pull(2);
    // The manifest, and K = 8 pieces of 1,280 bytes; parity only where it is asked for.
    assert_eq!(frames.len(), 9);
    assert!(frames.iter().all(|frame| frame.wire_len() <= limits::BULK_FRAME_BYTES));
    let (last, first) = frames.split_last().expect("nine");
    let is_done =
        |output: &Said| matches!(output, Output::Send { frame: Frame { body: Some(Body::Done(_)) }, .. });
    for frame in first {
        let said = bob.receive_frame(1, frame.clone());
        assert!(!said.iter().any(is_done), "{said:?}");
    }
    let said = bob.receive_frame(1, last.clone());
    assert!(said.iter().any(is_done), "{said:?}");
    let delivered = |output: &Said| matches!(output, Output::Event(Event::Message(message)) if message.content.payload.len() == 10_000);
    assert!(said.iter().any(delivered), "{said:?}");
}

#[test]
fn a_topics_parameters_shape_its_messages_alone() {
    let mut alice = Node::joined(1, 2);
    let params = TopicParams {
        shard_factor: Some(4),
        shard_multiplier_percent: Some(150),
        compress: false,
        ..TopicParams::default()
    };
    let params = params.checked().expect("they fit");
    alice.handle(Input::Command(Command::Configure(topic(), params)));
    alice.publish(&[7; 100_000]);
    let Some(Body::Manifest(manifest)) = alice.pull(2).remove(0).body else { panic!("a manifest") };
    let body = manifest::Body::decode(manifest.body).expect("a body");
    let [generation] = &body.generations[..] else { panic!("one generation") };
    assert_eq!((generation.k, generation.m, generation.piece_len), (4, 2, 25_024));
    let plain = TopicParams { compress: false, ..TopicParams::default() }.checked().expect("they fit");
    alice.handle(Input::Command(Command::Configure(topic(), plain)));
    alice.publish(&[8; 100_000]);
    let Some(Body::Manifest(manifest)) = alice.pull(2).remove(0).body else { panic!("a manifest") };
    let body = manifest::Body::decode(manifest.body).expect("a body");
    assert_eq!((body.generations[0].k, body.generations[0].m), (16, 16));
}

#[test]
fn with_a_threshold_pieces_are_pushed_on_only_after_it() {
    let (mut alice, mut relay) = (Node::joined(1, 2), Node::joined(2, 1));
    let params = TopicParams { threshold_percent: 75, ..TopicParams::default() };
    let params = params.checked().expect("they fit");
    relay.handle(Input::Command(Command::Configure(topic(), params)));
    relay.connect(3);
    relay.receive(3, subscriptions(&["t"], &[]));
    relay.receive(3, Body::Lanes(frame::Lanes { topic: "t".into(), slot: 0, of: 1 }));
    alice.publish(&[7; 8_192]);
    let mut pushed = Vec::new();
    for frame in alice.pull(2) {
        relay.receive_frame(1, frame);
        pushed.push(relay.pull(3).len());
    }
    // K is 8: the manifest and all that there is with the sixth piece, then each at once.
    assert_eq!(pushed, [0, 0, 0, 0, 0, 0, 7, 1, 1]);
}

#[test]
fn any_k_pieces_make_the_message() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
    alice.publish(&[7; 8_192]);
    let manifest = alice.pull(2).remove(0);
    bob.receive_frame(1, manifest);
    let Some(Body::Manifest(manifest)) = alice.manifest.clone() else {
        panic!("the first frame is a manifest")
    };
    let message = Bytes::copy_from_slice(blake3::hash(&manifest.body).as_bytes());
    // Parity pieces only: 8 to 15.
    let want =
        frame::Pieces { message, generation: 0, pieces: Bytes::from_static(&[8, 9, 10, 11, 12, 13, 14, 15]) };
    alice.receive(2, Body::Want(want));
    let parity = alice.pull(2);
    assert_eq!(parity.len(), 8);
    let said: Vec<Said> = parity.into_iter().flat_map(|frame| bob.receive_frame(1, frame)).collect();
    let payload = said.iter().find_map(|output| match output {
        Output::Event(Event::Message(message)) => Some(message.content.payload.clone().into_bytes()),
        _ => None,
    });
    assert_eq!(payload, Some(Bytes::from_static(&[7; 8_192])));
}

#[test]
fn a_forged_payload_bans_its_sender() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
    alice.publish(b"hello");
    let Some(Body::Manifest(mut manifest)) = alice.pull(2).remove(0).body else { panic!("a manifest") };
    manifest.payload = Bytes::from_static(b"hullo");
    let said = bob.receive(1, Body::Manifest(manifest));
    let offence = Offence::fatal("payload is not what was signed");
    assert_eq!(
        said,
        [
            Output::Offence { peer: peer(1), offence },
            Output::Event(Event::Left { peer: peer(1), topic: topic() }),
            Output::Disconnect { peer: peer(1), until: bob.now.time + Duration::from_secs(600) },
        ]
    );
}

#[test]
fn a_forged_piece_is_found_out_though_it_is_not_needed() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
    alice.publish(&[7; 10_000]);
    let frames = alice.pull(2);
    frames.iter().for_each(|frame| _ = bob.receive_frame(1, frame.clone()));
    let Some(Body::Chunk(mut chunk)) = frames[1].body.clone() else { panic!("a piece") };
    chunk.bytes = Bytes::from(vec![8; chunk.bytes.len()]);
    let said = bob.receive(1, Body::Chunk(chunk));
    let offence = Offence::fatal("piece is not what the publisher signed");
    assert!(said.contains(&Output::Offence { peer: peer(1), offence }), "{said:?}");
}

#[test]
fn a_forged_piece_is_found_out_while_the_message_is_being_decoded() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
    alice.publish(&[7; 10_000]);
    let frames = alice.pull(2);
    let Some(Body::Chunk(first)) = &frames[1].body else { panic!("a piece") };
    let pieces = Bytes::from_static(&[15]);
    alice.receive(2, Body::Want(frame::Pieces { message: first.message.clone(), generation: 0, pieces }));
    for frame in frames {
        bob.mesh.handle(bob.now, Input::Received { peer: peer(1), frame });
    }
    while bob.mesh.poll().is_some() {}
    let Some(Body::Chunk(right)) = alice.pull(2).remove(0).body else { panic!("a piece") };
    let forged = frame::Chunk { bytes: Bytes::from(vec![8; right.bytes.len()]), ..right.clone() };
    let mut receive = |chunk| {
        bob.mesh.handle(bob.now, Input::Received { peer: peer(1), frame: Body::Chunk(chunk).into() });
        std::iter::from_fn(|| bob.mesh.poll()).collect::<Vec<Said>>()
    };
    let offences = |said: &[Said]| said.iter().any(|output| matches!(output, Output::Offence { .. }));
    assert!(!offences(&receive(right)), "a piece that is of no more use is no offence");
    let said = receive(forged);
    let offence = Offence::fatal("piece is not what the publisher signed");
    assert!(said.contains(&Output::Offence { peer: peer(1), offence }), "{said:?}");
}

#[test]
fn a_forged_copy_is_found_out_though_it_is_not_needed() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
    alice.publish(b"hello");
    let Some(Body::Manifest(mut manifest)) = alice.pull(2).remove(0).body else { panic!("a manifest") };
    bob.connect(3);
    bob.receive(3, Body::Manifest(manifest.clone()));
    assert!(bob.receive(1, Body::Manifest(manifest.clone())).len() <= 1, "the same twice is no offence");
    manifest.payload = Bytes::from_static(b"hullo");
    let said = bob.receive(1, Body::Manifest(manifest));
    let offence = Offence::fatal("payload is not what was signed");
    assert!(said.contains(&Output::Offence { peer: peer(1), offence }), "{said:?}");
}

#[test]
fn a_forged_copy_does_not_hide_the_message() {
    let forge: [fn(&mut frame::Manifest); 2] = [
        |manifest| manifest.payload = Bytes::from_static(b"hullo"),
        |manifest| manifest.signature = Bytes::from_static(&[1; 64]),
    ];
    for forge in forge {
        let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 1));
        alice.publish(b"hello");
        let frame = alice.pull(2).remove(0);
        let Some(Body::Manifest(mut manifest)) = frame.body.clone() else { panic!("a manifest") };
        forge(&mut manifest);
        bob.connect(3);
        bob.receive(3, Body::Manifest(manifest));
        let said = bob.receive_frame(1, frame);
        assert!(said.iter().any(|output| matches!(output, Output::Event(Event::Message(_)))), "{said:?}");
    }
}

#[test]
fn a_stranger_of_the_mesh_is_told_and_asks() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::new(3));
    alice.publish(b"hello");
    alice.pull(2);
    bob.subscribe();
    alice.connect(3);
    bob.connect(1);
    bob.receive(1, subscriptions(&["t"], &[]));
    // A new neighbour hears what came of late.
    let said = alice.receive(3, subscriptions(&["t"], &[]));
    let ihave = said.iter().find_map(|output| match output {
        Output::Send { frame: Frame { body: Some(body @ Body::IHave(_)) }, .. } => Some(body.clone()),
        _ => None,
    });
    let said = bob.receive(1, ihave.expect("alice has a message"));
    let [Output::Event(Event::Trace(Trace::Asked { messages: 1, .. })), Output::Send { frame, .. }] =
        &said[..]
    else {
        panic!("{said:?}")
    };
    assert!(matches!(frame.body, Some(Body::IWant(_))), "{frame:?}");
    alice.receive_frame(3, frame.clone());
    let frames = alice.pull(3);
    assert!(
        bob.receive_frame(1, frames[0].clone())
            .iter()
            .any(|output| matches!(output, Output::Event(Event::Message(_))))
    );
}

#[test]
fn no_frame_of_nonsense_panics() {
    let junk = Bytes::from_static(&[0xff; 40]);
    let id = Bytes::from_static(&[1; 32]);
    let pieces = |message: &Bytes| frame::Pieces {
        message: message.clone(),
        generation: u32::MAX,
        pieces: junk.clone(),
    };
    let bodies = [
        subscriptions(&["", &"x".repeat(1000)], &["never joined"]),
        Body::Graft(frame::Graft { topic: String::new() }),
        Body::Prune(frame::Prune { topic: "t".into(), backoff_ms: u64::MAX }),
        Body::IHave(frame::IHave { topic: "t".into(), ids: junk.clone() }),
        Body::IWant(frame::Ids { ids: junk.clone() }),
        Body::Have(pieces(&junk)),
        Body::Have(pieces(&id)),
        Body::Want(pieces(&id)),
        Body::Done(frame::Ids { ids: junk.clone() }),
        Body::Forgotten(frame::Ids { ids: junk.clone() }),
        Body::Forgotten(frame::Ids { ids: id.clone() }),
        Body::Record(frame::Record { envelope: Bytes::from_static(&[0; 2000]) }),
        Body::Introduce(frame::Introduce { topic: "t".into(), records: vec![junk.clone(); 100] }),
        Body::Manifest(frame::Manifest { body: junk.clone(), ..Default::default() }),
        Body::Hashes(frame::Hashes { message: id.clone(), generation: u32::MAX, hashes: junk.clone() }),
        Body::Chunk(frame::Chunk {
            message: id,
            generation: u32::MAX,
            piece: u32::MAX,
            offset: u32::MAX,
            bytes: junk,
            coefficients: Bytes::new(),
        }),
    ];
    for body in bodies {
        let mut node = Node::joined(1, 2);
        node.receive(2, body);
        node.tick(Duration::from_secs(1));
    }
}
