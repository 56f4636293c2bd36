//! What the fuzz targets call. Not part of the interface: it may change at any time.

use alloc::vec::Vec;

use braidcast_machine::{Budget, Direction, Duration, Input, Machine, Now, Output, PeerSet, Rng};
use braidcast_mesh::{self as mesh, Mode, Publish, Secret, TopicParams};
use braidcast_wire::{Identity, MessageId, PeerId, Topic, frame, limits};
use bytes::{Bytes, BytesMut};

use crate::{Command, Config, Core, Event, Frame, frame::Body};

/// Reads `data`, but for its first byte, as what a peer sends, frame after frame, to a node that subscribes to the topic `t`
/// and has had the manifest of a message from another neighbour. The first byte, by its remainder, makes the topic open (0),
/// closed with the peer as a member (1), or closed with the peer holding another key (2). Frames about a message of no id are
/// about that one. Whatever comes, nothing panics, what goes out fits the limits, and a stranger gets no bulk.
pub fn receive(data: &[u8]) {
    let Some((&kind, data)) = data.split_first() else { return };
    let (is_open, is_stranger) = (kind % 3 == 0, kind % 3 == 2);
    let start = |number: u8, secret: u8| {
        let mode = if is_open { Mode::Open } else { Mode::Closed { secret: Secret([secret; 32]) } };
        let topic = TopicParams { mode, ..TopicParams::default() }.checked().expect("the defaults fit");
        let config = Config { mesh: mesh::Config { topic, ..mesh::Config::default() } };
        let identity = Identity::from_seed(&[number; 32]);
        let id = identity.peer_id();
        let mut core = Core::new(config, identity, [0; 32]);
        core.handle(Now::default(), Input::Command(Command::Mesh(mesh::Command::Subscribe(topic_t()))));
        (id, core)
    };
    let mut now = Now::default();
    let (mut node, mut peer, mut other) =
        (start(1, 7), start(2, if is_stranger { 8 } else { 7 }), start(3, 7));
    introduce(now, &mut node, &mut peer);
    introduce(now, &mut node, &mut other);
    let message = publish(now, &mut node, &mut other);
    let ((_, mut core), from, writable) = (node, peer.0, PeerSet::from([peer.0, other.0]));
    let mut input = BytesMut::from(data);
    while let Ok(Some(mut frame)) = frame::decode::<Frame>(&mut input, limits::CONTROL_FRAME_BYTES) {
        aim(&mut frame, message);
        core.handle(now, Input::Received { peer: from, frame });
        now.time = now.time + Duration::from_millis(7);
        core.handle(now, Input::Tick);
        while core.work(now, Budget(1 << 20)) {}
        while core.poll().is_some() {}
        while let Some((to, frame)) = core.pull(now, &writable) {
            assert!(frame.is_bulk() && frame::WireLen::wire_len(&frame) <= limits::BULK_FRAME_BYTES);
            assert!(!(is_stranger && to == from), "bulk of a closed topic goes to a stranger");
        }
    }
}

fn topic_t() -> Topic {
    Topic::new("t").expect("it is short enough")
}

/// Connects two nodes, and hands over what they say until both are silent.
fn introduce(now: Now, (one_id, one): &mut (PeerId, Core), (two_id, two): &mut (PeerId, Core)) {
    one.handle(now, Input::Connected { peer: *two_id, direction: Direction::Inbound });
    two.handle(now, Input::Connected { peer: *one_id, direction: Direction::Outbound });
    loop {
        let (to_two, to_one) = (said(one, *two_id), said(two, *one_id));
        if to_two.is_empty() && to_one.is_empty() {
            return;
        }
        to_two.into_iter().for_each(|frame| two.handle(now, Input::Received { peer: *one_id, frame }));
        to_one.into_iter().for_each(|frame| one.handle(now, Input::Received { peer: *two_id, frame }));
    }
}

/// What a node says to a peer; all else is lost.
fn said(core: &mut Core, to: PeerId) -> Vec<Frame> {
    let outputs = core::iter::from_fn(|| core.poll());
    let frames = outputs.filter_map(|output| match output {
        Output::Send { peer, frame } if peer == to => Some(frame),
        _ => None,
    });
    frames.collect()
}

/// Has `publisher` make a message in pieces, and gives the node its manifest.
fn publish(now: Now, (_, node): &mut (PeerId, Core), (id, publisher): &mut (PeerId, Core)) -> MessageId {
    let mut payload = alloc::vec![0; 8_000];
    Rng::from_seed([1; 32]).fill(&mut payload);
    let content = mesh::Content { payload: Bytes::from(payload).into(), ..mesh::Content::default() };
    let publish = Publish { ticket: 0, topic: topic_t(), content };
    publisher.handle(now, Input::Command(Command::Mesh(mesh::Command::Publish(publish))));
    while publisher.work(now, Budget(1 << 20)) {}
    let message = core::iter::from_fn(|| publisher.poll()).find_map(|output| match output {
        Output::Event(Event::Mesh(mesh::Event::Published { id, .. })) => Some(id),
        _ => None,
    });
    let everybody = core::iter::once(Identity::from_seed(&[1; 32]).peer_id()).collect();
    let (_, frame) = publisher.pull(now, &everybody).expect("a node that takes part is offered it");
    node.handle(now, Input::Received { peer: *id, frame });
    message.expect("a node takes part")
}

/// Nobody guesses an id.
fn aim(frame: &mut Frame, message: MessageId) {
    use mesh::frame::Body as Mesh;
    let Some(Body::Mesh(mesh::Frame { body: Some(body) })) = &mut frame.body else { return };
    let id = match body {
        Mesh::Have(pieces) | Mesh::Want(pieces) | Mesh::Cancel(pieces) => &mut pieces.message,
        Mesh::Hashes(hashes) => &mut hashes.message,
        Mesh::Chunk(chunk) => &mut chunk.message,
        Mesh::Rank(rank) => &mut rank.message,
        Mesh::IHave(ihave) => &mut ihave.ids,
        Mesh::IWant(ids) | Mesh::Done(ids) | Mesh::Pause(ids) | Mesh::Doubt(ids) | Mesh::Forgotten(ids) => {
            &mut ids.ids
        }
        _ => return,
    };
    if id.is_empty() {
        *id = Bytes::copy_from_slice(&message.0);
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn noise_and_mutations_do_no_harm() {
        let mut rng = Rng::from_seed([9; 32]);
        let mut data = [0; 256];
        for round in 0..2_000 {
            rng.fill(&mut data);
            // A plausible prefix, envelope and tag, so that the noise gets further in.
            let len = round % 120;
            let (kind, tag) = (data[0], data[4] & 0x7e);
            data[..5].copy_from_slice(&[kind, len as u8, 0x0a, (len as u8).saturating_sub(2), tag]);
            receive(&data[..len + 9]);
        }
    }

    /// Shards of the message at hand, wrong ones until it is whole, and doubts.
    #[test]
    fn wrong_shards_do_no_harm() {
        let mut rng = Rng::from_seed([8; 32]);
        for kind in 0..3 {
            let mut data = BytesMut::from(&[kind][..]);
            for round in 0..40_u32 {
                let mut random = [0; 1024 + 8];
                rng.fill(&mut random);
                let (bytes, coefficients) = random.split_at(1024);
                let chunk = mesh::frame::Chunk {
                    bytes: Bytes::copy_from_slice(bytes),
                    coefficients: Bytes::copy_from_slice(coefficients),
                    ..mesh::frame::Chunk::default()
                };
                let body = match round % 10 {
                    9 => mesh::frame::Body::Doubt(mesh::frame::Ids::default()),
                    8 => {
                        mesh::frame::Body::Rank(mesh::frame::Rank { rank: 8, ..mesh::frame::Rank::default() })
                    }
                    _ => mesh::frame::Body::Chunk(chunk),
                };
                let frame = Frame { body: Some(Body::Mesh(body.into())) };
                data.extend_from_slice(&prost::Message::encode_length_delimited_to_vec(&frame));
            }
            receive(&data);
        }
    }
}
