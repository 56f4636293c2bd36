//! Payloads that travel shorter than they are.

mod node;
mod room;

use braidcast_machine::{Input, Offence, Output};
use braidcast_mesh::{
    CheckedParams, Command, Config, Event, Trace,
    frame::{self, Body},
    manifest,
};
use braidcast_sim::NodeIndex;
use braidcast_wire::{Domain, Identity};
use bytes::Bytes;
use node::{Node, Said, peer, topic};
use prost::Message as _;
use room::{Room, payload};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

fn json(len: usize) -> Bytes {
    let line = |number: u32| format!("{{\"number\":{number},\"text\":\"one of many lines\"}}\n").into_bytes();
    (0..).flat_map(line).take(len).collect()
}

fn compressing() -> Node {
    let mut node = Node::joined(1, 2);
    node.handle(Input::Command(Command::Configure(topic(), CheckedParams::default())));
    node
}

fn body(frame: &frame::Manifest) -> manifest::Body {
    manifest::Body::decode(frame.body.clone()).expect("a body")
}

#[test]
fn text_travels_shorter_and_arrives_whole() {
    // What fits into a manifest only when packed, what is coded, and what comes in several blocks and pieces.
    for (len, is_inline) in [(1_000, true), (12_000, true), (100_000, false), (1_000_000, false)] {
        let (mut alice, mut bob) = (compressing(), Node::joined(2, 1));
        alice.publish(&json(len));
        let frames = alice.pull(2);
        let Some(Body::Manifest(manifest)) = frames[0].body.clone() else { panic!("a manifest") };
        let body = body(&manifest);
        assert_eq!((body.compression, body.payload_len), (1, len as u64));
        assert!(body.stored_len * 2 < len as u64, "{} of {len}", body.stored_len);
        assert_eq!(body.generations.is_empty(), is_inline);
        let said: Vec<Said> = frames.into_iter().flat_map(|frame| bob.receive_frame(1, frame)).collect();
        let progress = said.iter().filter_map(|output| match output {
            Output::Event(Event::Progress(progress)) => Some((progress.held_bytes, progress.total_bytes)),
            _ => None,
        });
        assert_eq!(progress.last(), (!is_inline).then_some((len, len)), "it counts what will be delivered");
        let got = said.into_iter().find_map(|output| match output {
            Output::Event(Event::Message(message)) => Some(message.content.payload.into_bytes()),
            _ => None,
        });
        assert_eq!(got, Some(json(len)));
    }
}

#[test]
fn what_gets_no_shorter_travels_as_it_is() {
    let mut alice = compressing();
    alice.publish(&payload(3_000, 1));
    let Some(Body::Manifest(manifest)) = alice.pull(2).remove(0).body else { panic!("a manifest") };
    assert_eq!(body(&manifest).compression, 0);
    assert_eq!(manifest.payload, payload(3_000, 1));
}

#[test]
fn nobody_unpacks_more_than_was_announced_nor_more_than_it_accepts() {
    let spammer = Identity::from_seed(&[1; 32]);
    let publish = |stored: &[u8], payload_len: u64| {
        let body = manifest::Body {
            topic: "t".into(),
            publisher: Bytes::copy_from_slice(&spammer.peer_id().0),
            payload_len,
            compression: 1,
            stored_len: stored.len() as u64,
            stored_hash: Bytes::copy_from_slice(blake3::hash(stored).as_bytes()),
            ..manifest::Body::default()
        };
        let body = Bytes::from(body.encode_to_vec());
        let signature = Bytes::copy_from_slice(&spammer.sign(Domain::Manifest, &body));
        let payload = Bytes::copy_from_slice(stored);
        Body::Manifest(frame::Manifest { body, signature, payload, hashes: Bytes::new() })
    };
    // An LZ4 block: one literal, its 784 copies, and five literals, as the format wants it at the end.
    let block = [0x1f, b'a', 1, 0, 255, 255, 255, 0, 0x50, b'b', b'b', b'b', b'b', b'b'];
    let stored = [&(block.len() as u32).to_le_bytes()[..], &block].concat();
    let refused = |payload_len| {
        let said = Node::joined(2, 1).receive(1, publish(&stored, payload_len));
        said.into_iter().find_map(|output| match output {
            Output::Offence { peer: by, offence } => Some((by, offence)),
            _ => None,
        })
    };
    assert_eq!(refused(1 + 784 + 5), None, "it is what it says");
    let lie = Offence::fatal("payload is not what was signed");
    assert_eq!(refused(100), Some((peer(1), lie.clone())));
    assert_eq!(refused(100_000), Some((peer(1), lie)));
    let harmless = Offence::harmless("message is longer than this node accepts");
    assert_eq!(refused(1 << 40), Some((peer(1), harmless)));
}

#[test]
fn a_room_shares_what_is_compressed() {
    let mut room = Room::random(8, 20, 6, &Config::default());
    let all: Vec<_> = (0..20).map(NodeIndex).collect();
    let id = room.publish(NodeIndex(3), json(2_000_000));
    room.run(3_000);
    assert!(room.have_all(&all, id, &json(2_000_000)));
    let bytes = room.traces.iter().map(|(_, trace)| match trace {
        Trace::NewPiece { bytes, .. } | Trace::DuplicatePiece { bytes, .. } => *bytes,
        _ => 0,
    });
    assert!(bytes.sum::<usize>() < 19 * 2_000_000 / 2);
}
