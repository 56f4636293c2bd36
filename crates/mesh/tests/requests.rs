//! Whom a node asks for pieces, and what it sends to who did not ask.

mod node;

use braidcast_machine::{Duration, Output};
use braidcast_mesh::{
    Frame,
    frame::{self, Body},
};
use bytes::Bytes;
use node::{Node, Said, peer, subscriptions};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

/// How many pieces a peer is asked for.
fn asked(said: &[Said], of: u8) -> usize {
    let pieces = said.iter().map(|output| match output {
        Output::Send { peer: to, frame: Frame { body: Some(Body::Want(want)) } } if *to == peer(of) => {
            want.pieces.len()
        }
        _ => 0,
    });
    pieces.sum()
}

/// A node with two neighbours and the manifest of a message of 96 KiB, K = 16 pieces of 6 KiB; and the announcement
/// of all and as many parity pieces but one.
fn waiting() -> (Node, Body) {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 3));
    alice.publish(&[7; 96 << 10]);
    let manifest = alice.pull(2).remove(0);
    bob.connect(4);
    bob.receive(4, subscriptions(&["t"], &[]));
    bob.receive_frame(3, manifest.clone());
    let Some(Body::Manifest(manifest)) = manifest.body else { panic!("a manifest") };
    let message = Bytes::copy_from_slice(blake3::hash(&manifest.body).as_bytes());
    let pieces: Bytes = (0..31).collect();
    (bob, Body::Have(frame::Pieces { message, generation: 0, pieces }))
}

#[test]
fn who_lets_a_request_run_out_is_asked_nothing_that_others_have() {
    let (mut bob, have) = waiting();
    let first = asked(&bob.receive(3, have.clone()), 3);
    assert_eq!(first, 10, "64 KiB");
    // 60 ms are expected of a link of which nothing is known, and of each request before a little more.
    let said = bob.pass(Duration::from_millis(135));
    assert!(asked(&said, 3) > 0, "there is nobody else");
    let said = bob.receive(4, have);
    assert_eq!((asked(&said, 3), asked(&said, 4) > 0), (0, true));
    // Not even for more than the other may be asked for at a time.
    let said = bob.pass(Duration::from_millis(20));
    assert_eq!(asked(&said, 3), 0);
}

#[test]
fn a_lane_takes_half_a_mebibyte_at_most() {
    let (mut alice, mut relay) = (Node::joined(1, 2), Node::joined(2, 1));
    relay.connect(3);
    relay.receive(3, subscriptions(&["t"], &[]));
    relay.receive(3, Body::Lanes(frame::Lanes { topic: "t".into(), slot: 0, of: 1 }));
    alice.publish(&[7; 2 << 20]);
    let all = bytes(
        &alice
            .pull(2)
            .into_iter()
            .inspect(|frame| _ = relay.receive_frame(1, frame.clone()))
            .collect::<Vec<_>>(),
    );
    assert_eq!(all, 2 << 20, "the publisher has no such limit");
    let pushed = bytes(&relay.pull(3));
    assert!((512 << 10..544 << 10).contains(&pushed), "{pushed}");
}

fn bytes(frames: &[Frame]) -> usize {
    let chunks = frames.iter().map(|frame| match &frame.body {
        Some(Body::Chunk(chunk)) => chunk.bytes.len(),
        _ => 0,
    });
    chunks.sum()
}
