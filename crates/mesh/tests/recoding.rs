//! Members of a closed topic in a simulated world: what gets across, and what a member can do that lies.

mod room;

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use braidcast_machine::Duration;
use braidcast_mesh::{Config, Frame, Mode, Secret, TopicParams, Trace, frame::Body};
use braidcast_sim::{NodeIndex, Verdict};
use room::{Room, payload, profile, spoil};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const NODES: u32 = 24;
const LIAR: NodeIndex = NodeIndex(3);

fn config(params: TopicParams) -> Config {
    let mode = Mode::Closed { secret: Secret([7; 32]) };
    let topic = TopicParams { mode, ..params }.checked().expect("they fit");
    Config { topic, ..Config::default() }
}

fn members(seed: u64) -> Room {
    Room::random(seed, NODES, 8, &config(TopicParams::default()))
}

fn all() -> Vec<NodeIndex> {
    (0..NODES).map(NodeIndex).collect()
}

fn honest() -> Vec<NodeIndex> {
    all().into_iter().filter(|&node| node != LIAR).collect()
}

fn is_shard(frame: &Frame) -> bool {
    matches!(&frame.body, Some(Body::Chunk(chunk)) if !chunk.coefficients.is_empty())
}

/// Bytes of what these traces tell of.
fn bytes(room: &Room, of: fn(&Trace) -> Option<usize>) -> usize {
    room.traces.iter().filter_map(|(_, trace)| of(trace)).sum()
}

fn new_bytes(trace: &Trace) -> Option<usize> {
    if let Trace::NewPiece { bytes, .. } = trace { Some(*bytes) } else { None }
}

fn unhelpful_bytes(trace: &Trace) -> Option<usize> {
    if let Trace::UnhelpfulShard { bytes, .. } = trace { Some(*bytes) } else { None }
}

#[test]
fn members_deliver_every_size_in_shards_alone() {
    for len in [0, 4_096, 4_097, 8_193, 100_000, 300_000, 2_500_000] {
        let mut room = members(1);
        let pieces = Rc::new(RefCell::new(0));
        let seen = pieces.clone();
        room.world.intercept(move |_, _, frame| {
            *seen.borrow_mut() += u32::from(matches!(frame.body, Some(Body::Chunk(_))) && !is_shard(frame));
            Verdict::Deliver
        });
        let payload = payload(len, 9);
        let id = room.publish(NodeIndex(5), payload.clone());
        room.run(10_000);
        assert!(room.have_all(&all(), id, &payload), "{len} bytes");
        assert_eq!(*pieces.borrow(), 0, "{len} bytes");
        let (new, unhelpful) = (bytes(&room, new_bytes), bytes(&room, unhelpful_bytes));
        assert!(unhelpful * 2 <= new, "{unhelpful} bytes of {len} were of no help, {new} were");
        let doubted = room.traces.iter().any(|(_, trace)| matches!(trace, Trace::Doubted { .. }));
        assert!(!doubted && room.world.reports().is_empty(), "{:?}", room.world.reports());
    }
}

#[test]
fn several_generations_and_parameters_of_the_topics_own() {
    let params = TopicParams {
        shard_factor: Some(8),
        shard_multiplier_percent: Some(150),
        threshold_percent: 50,
        ..TopicParams::default()
    };
    let mut room = Room::random(2, 6, 4, &config(params));
    let payload = payload((16 << 20) + 5, 3);
    let id = room.publish(NodeIndex(0), payload.clone());
    room.run(60_000);
    let nodes: Vec<_> = (0..6).map(NodeIndex).collect();
    assert!(room.have_all(&nodes, id, &payload));
}

#[test]
fn nothing_is_mixed_below_the_threshold() {
    let params = TopicParams { threshold_percent: 75, shard_factor: Some(16), ..TopicParams::default() };
    let mut room = Room::random(3, NODES, 8, &config(params));
    let id = room.publish(NodeIndex(5), payload(100_000, 1));
    let publisher = NodeIndex(5);
    let first = Rc::new(RefCell::new(BTreeSet::new()));
    let (seen, counts) = (first.clone(), Rc::new(RefCell::new(std::collections::BTreeMap::new())));
    room.world.intercept(move |from, to, frame| {
        if is_shard(frame) {
            let mut counts = counts.borrow_mut();
            if from != publisher && counts.get(&from).copied().unwrap_or(0) < 12 {
                seen.borrow_mut().insert(from);
            }
            *counts.entry(to).or_insert(0) += 1;
        }
        Verdict::Deliver
    });
    room.run(10_000);
    assert!(room.have_all(&all(), id, &payload(100_000, 1)));
    assert_eq!(*first.borrow(), BTreeSet::new(), "of 16 pieces, 12 are three quarters; each is one chunk");
}

#[test]
fn lost_frames_and_late_members_are_made_up_for() {
    let mut room = members(4);
    let mut count = 0_u32;
    room.world.intercept(move |_, _, frame| {
        count += u32::from(frame.is_bulk());
        if frame.is_bulk() && count.is_multiple_of(10) { Verdict::Drop } else { Verdict::Deliver }
    });
    let payload = payload(400_000, 2);
    let id = room.publish(NodeIndex(5), payload.clone());
    room.run(60_000);
    assert!(room.have_all(&all(), id, &payload));
}

#[test]
fn who_comes_late_gets_the_message_from_those_that_have_it() {
    let config = config(TopicParams::default());
    let mut room = Room::new(5, (0..4).map(|_| profile()), &config);
    let latency = Duration::from_millis(20);
    for node in 1..3 {
        room.world.connect(NodeIndex(0), NodeIndex(node), latency).expect("nobody is banned");
    }
    room.run(1_000);
    let payload = payload(1 << 20, 4);
    let id = room.publish(NodeIndex(1), payload.clone());
    room.run(150);
    room.world.connect(NodeIndex(3), NodeIndex(2), latency).expect("nobody is banned");
    room.run(20_000);
    assert!(room.have_all(&(0..4).map(NodeIndex).collect::<Vec<_>>(), id, &payload));
}

/// It spoils all that it sends: whoever asks it for a piece knows.
#[test]
fn a_polluter_is_banned_and_everybody_else_delivers() {
    let mut room = members(6);
    room.world.intercept(|from, _, frame| {
        if from == LIAR {
            spoil(frame);
        }
        Verdict::Deliver
    });
    pollute(&mut room);
    let by: BTreeSet<_> = room.world.bans().iter().map(|ban| ban.node).collect();
    assert!(by.len() >= 3, "{by:?}");
}

/// It spoils shards only, and never doubts: those that it sent them to find out by comparing.
#[test]
fn a_polluter_that_plays_innocent_is_found_by_what_it_sent() {
    let mut room = members(7);
    room.world.intercept(|from, _, frame| {
        match frame.body {
            Some(Body::Doubt(_)) if from == LIAR => return Verdict::Drop,
            _ if from == LIAR && is_shard(frame) => spoil(frame),
            _ => {}
        }
        Verdict::Deliver
    });
    pollute(&mut room);
    let bans = room.world.bans();
    let found =
        room.world.reports().iter().filter(|report| report.offence.rule.starts_with("shards are not"));
    assert!(found.count() > 0 && !bans.is_empty());
}

/// Nobody can tell it from those that it misled: it costs time, and no more.
#[test]
fn a_polluter_that_claims_to_be_misled_harms_nobody() {
    let mut room = members(8);
    room.world.intercept(|from, _, frame| {
        if from == LIAR && is_shard(frame) {
            spoil(frame);
        }
        Verdict::Deliver
    });
    pollute(&mut room);
}

/// Five messages of others: all are delivered, and nobody honest is banned.
fn pollute(room: &mut Room) {
    let liar = room.world.peer(LIAR);
    for number in 0..5 {
        let payload = payload(200_000, number as u8);
        let id = room.publish(NodeIndex(5 + 3 * number), payload.clone());
        room.run(8_000);
        assert!(room.have_all(&honest(), id, &payload), "message {number}");
    }
    assert!(room.traces.iter().any(|(_, trace)| matches!(trace, Trace::Doubted { .. })), "it was noticed");
    let bans: Vec<_> = room.world.bans().iter().filter(|ban| ban.node != LIAR).collect();
    assert!(bans.iter().all(|ban| ban.peer == liar), "{bans:?}");
}
