//! How a message ends: forgotten when it is whole, given up when it is not.

mod node;

use braidcast_machine::{Duration, Input, Output};
use braidcast_mesh::{
    Event, Frame, Trace,
    frame::{self, Body},
};
use bytes::Bytes;
use node::{Node, Said, peer, prune, send, subscriptions};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

#[test]
fn a_message_is_kept_for_others_for_a_while_only() {
    let mut alice = Node::joined(1, 2);
    let said = alice.publish(b"hello");
    let Output::Event(Event::Published { id, .. }) = said[0] else { panic!("{said:?}") };
    alice.pull(2);
    let want = || Body::IWant(frame::Ids { ids: Bytes::copy_from_slice(&id.0) });
    alice.connect(3);
    alice.receive(3, want());
    assert_eq!(alice.pull(3).len(), 1);
    for _ in 0..11 {
        alice.tick(Duration::from_secs(1));
    }
    alice.connect(4);
    alice.receive(4, want());
    assert_eq!(alice.pull(4), []);
}

#[test]
fn a_message_of_our_own_waits_for_a_slow_link() {
    let mut alice = Node::joined(1, 2);
    alice.publish(&[7; 10_000]);
    for _ in 0..60 {
        alice.tick(Duration::from_secs(1));
    }
    assert_eq!(alice.pull(2).len(), 9, "the manifest and eight pieces");
}

#[test]
fn what_was_given_up_comes_back_only_from_who_offers_the_whole() {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 3));
    alice.publish(&[7; 8_192]);
    let frames = alice.pull(2);
    let Some(Body::Manifest(manifest)) = frames[0].body.clone() else { panic!("a manifest") };
    let id = Bytes::copy_from_slice(blake3::hash(&manifest.body).as_bytes());
    bob.receive_frame(3, frames[0].clone());
    bob.receive_frame(3, frames[1].clone());
    let said = bob.pass(Duration::from_secs(41));
    assert!(said.iter().any(|output| matches!(output, Output::Event(Event::Trace(Trace::Abandoned { .. })))));
    let pause = Body::Pause(frame::Ids { ids: id.clone() });
    assert_eq!(bob.receive_frame(3, frames[0].clone()), [send(3, pause)], "it may lack the same");
    assert_eq!(bob.mesh.messages(), 0);
    let ihave = Body::IHave(frame::IHave { topic: "t".into(), ids: id.clone() });
    let said = bob.receive(3, ihave);
    assert!(said.contains(&send(3, Body::IWant(frame::Ids { ids: id }))), "{said:?}");
    bob.receive_frame(3, frames[0].clone());
    assert_eq!(bob.mesh.messages(), 1);
}

/// Whoever began it may be of no use, and of no one else who has it would we hear.
#[test]
fn what_stands_still_is_asked_of_a_stranger_that_has_it_once() {
    let (mut bob, id, _) = asking();
    bob.connect(5);
    bob.receive(5, subscriptions(&["t"], &[]));
    bob.receive(5, prune(60_000));
    let told = || Body::IHave(frame::IHave { topic: "t".into(), ids: id.clone() });
    let is_asked = |said: &[Said]| said.contains(&send(5, Body::IWant(frame::Ids { ids: id.clone() })));
    assert!(!is_asked(&bob.receive(5, told())), "it only began to come");
    bob.pass(Duration::from_secs(1));
    assert!(is_asked(&bob.receive(5, told())));
    assert!(!is_asked(&bob.receive(5, told())), "a promise is to be kept first");
}

/// Two neighbours, 3 and 4, have all of a message. The message's id and manifest.
fn asking() -> (Node, Bytes, Frame) {
    let (mut alice, mut bob) = (Node::joined(1, 2), Node::joined(2, 3));
    alice.publish(&[7; 8_192]);
    let manifest = alice.pull(2).remove(0);
    bob.connect(4);
    bob.receive(4, subscriptions(&["t"], &[]));
    bob.receive_frame(3, manifest.clone());
    let Some(Body::Manifest(body)) = manifest.body.clone() else { panic!("a manifest") };
    let id = Bytes::copy_from_slice(blake3::hash(&body.body).as_bytes());
    for from in [3, 4] {
        bob.receive(from, Body::Done(frame::Ids { ids: id.clone() }));
    }
    (bob, id, manifest)
}

fn forgotten(id: &Bytes) -> Body {
    Body::Forgotten(frame::Ids { ids: id.clone() })
}

/// Pieces that `to` is asked for.
fn wanted(said: &[Said], to: u8) -> usize {
    let pieces = said.iter().filter_map(|output| match output {
        Output::Send { peer: asked, frame: Frame { body: Some(Body::Want(want)) } } if *asked == peer(to) => {
            Some(want.pieces.len())
        }
        _ => None,
    });
    pieces.sum()
}

fn is_abandoned(said: &[Said]) -> bool {
    said.iter().any(|output| matches!(output, Output::Event(Event::Trace(Trace::Abandoned { .. }))))
}

#[test]
fn who_is_asked_for_what_it_no_longer_holds_says_so() {
    let mut alice = Node::joined(1, 2);
    let id = Bytes::from_static(&[9; 32]);
    let pieces = Bytes::from_static(&[0, 1]);
    let want = Body::Want(frame::Pieces { message: id.clone(), generation: 0, pieces });
    assert_eq!(alice.receive(2, want), [send(2, forgotten(&id))]);
}

#[test]
fn what_one_forgot_another_is_asked_for_and_nobody_is_blamed() {
    let (mut bob, id, _) = asking();
    let said = bob.receive(3, forgotten(&id));
    assert_eq!(wanted(&said, 3), 0);
    let later = bob.pass(Duration::from_secs(5));
    assert!(wanted(&said, 4) + wanted(&later, 4) > 0, "{said:?}");
    assert_eq!(wanted(&later, 3), 0, "it has nothing");
    let blamed = |output: &Said| matches!(output, Output::Event(Event::Trace(Trace::Expired { from })) if *from == peer(3));
    assert!(!later.iter().any(blamed), "{later:?}");
}

#[test]
fn who_has_pieces_again_may_be_asked_again() {
    let (mut bob, id, _) = asking();
    bob.receive(3, forgotten(&id));
    bob.handle(Input::Disconnected { peer: peer(4) });
    let pieces = Bytes::from_static(&[0, 1]);
    let said = bob.receive(3, Body::Have(frame::Pieces { message: id, generation: 0, pieces }));
    assert_eq!(wanted(&said, 3), 2);
}

#[test]
fn what_everybody_forgot_is_given_up_soon() {
    let (mut bob, id, _) = asking();
    bob.receive(3, forgotten(&id));
    let said = bob.pass(Duration::from_secs(11));
    assert!(!is_abandoned(&said), "the other one may still serve it");
    bob.receive(4, forgotten(&id));
    assert!(is_abandoned(&bob.pass(Duration::from_secs(1))));
    assert_eq!(bob.mesh.messages(), 0);
}
