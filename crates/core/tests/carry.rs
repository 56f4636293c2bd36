//! Signalling through a neighbour, one that is honest and one that is not.

use braidcast_core::{
    Command, Config, Core, Event, Frame,
    frame::{Body, Carry},
    machine::{Direction, Duration, Input, Machine, Now, Offence, Output},
    wire::{Identity, PeerId, limits},
};
use bytes::Bytes;
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

type Said = Output<Frame, Event>;

/// A node with links to some others.
struct Node {
    core: Core,
    now: Now,
}

impl Node {
    fn new(number: u8, linked: &[u8]) -> Self {
        let mut node =
            Self { core: Core::new(Config::default(), identity(number), [0; 32]), now: Now::default() };
        for &other in linked {
            node.handle(Input::Connected { peer: peer(other), direction: Direction::Inbound });
        }
        node
    }

    fn handle(&mut self, input: Input<Frame, Command>) -> Vec<Said> {
        self.core.handle(self.now, input);
        std::iter::from_fn(|| self.core.poll()).collect()
    }

    fn receive(&mut self, from: u8, body: Body) -> Vec<Said> {
        self.handle(Input::Received { peer: peer(from), frame: body.into() })
    }

    fn send(&mut self, carrier: u8, target: u8, sealed: &Bytes) -> Vec<Said> {
        let (carrier, target, sealed) = (peer(carrier), peer(target), sealed.clone());
        self.handle(Input::Command(Command::Carry { carrier, target, sealed }))
    }
}

fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

fn peer(number: u8) -> PeerId {
    identity(number).peer_id()
}

const ORIGIN: u8 = 1;
const CARRIER: u8 = 2;
const TARGET: u8 = 3;

fn sealed() -> Bytes {
    Bytes::from_static(b"an offer, encrypted")
}

/// What the origin hands to the carrier.
fn carried(sealed: &Bytes) -> Carry {
    match &Node::new(ORIGIN, &[CARRIER]).send(CARRIER, TARGET, sealed)[..] {
        [Output::Send { peer: carrier, frame: Frame { body: Some(Body::Carry(carry)) } }] => {
            assert_eq!(*carrier, peer(CARRIER));
            carry.clone()
        }
        other => panic!("{other:?}"),
    }
}

fn is_banned(said: &[Said], number: u8) -> bool {
    said.iter().any(|output| {
        matches!(output, Output::Disconnect { peer: banned, until }
        if *banned == peer(number) && *until > Now::default().time)
    })
}

#[test]
fn an_honest_neighbour_carries_it_unchanged() {
    let carry = carried(&sealed());
    let said = Node::new(CARRIER, &[ORIGIN, TARGET]).receive(ORIGIN, Body::Carry(carry.clone()));
    assert_eq!(said, [Output::Send { peer: peer(TARGET), frame: Body::Carry(carry.clone()).into() }]);
    let event = Event::Carried { carrier: peer(CARRIER), origin: peer(ORIGIN), sealed: sealed() };
    assert_eq!(Node::new(TARGET, &[CARRIER]).receive(CARRIER, Body::Carry(carry)), [Output::Event(event)]);
}

#[test]
fn who_does_not_know_the_target_says_so() {
    let said = Node::new(CARRIER, &[ORIGIN]).receive(ORIGIN, Body::Carry(carried(&sealed())));
    let uncarried = Body::Uncarried(Bytes::copy_from_slice(&peer(TARGET).0));
    assert_eq!(said, [Output::Send { peer: peer(ORIGIN), frame: uncarried.clone().into() }]);
    let event = Event::Uncarried { carrier: peer(CARRIER), target: peer(TARGET) };
    let mut origin = Node::new(ORIGIN, &[CARRIER]);
    assert_eq!(origin.receive(CARRIER, uncarried), [Output::Event(event.clone())]);
    assert_eq!(Node::new(ORIGIN, &[]).send(CARRIER, TARGET, &sealed()), [Output::Event(event)]);
}

#[test]
fn a_carrier_that_changes_anything_is_banned() {
    let carry = carried(&sealed());
    let swapped = carried(&Bytes::from_static(b"another offer, not from the origin"));
    let bytes = |number| Bytes::copy_from_slice(&peer(number).0);
    let forged = [
        Carry { sealed: swapped.sealed, ..carry.clone() },
        Carry { signature: swapped.signature, ..carry.clone() },
        Carry { signature: Bytes::new(), ..carry.clone() },
        // As its own, or as somebody else's.
        Carry { origin: bytes(CARRIER), ..carry.clone() },
        Carry { origin: bytes(9), ..carry.clone() },
        Carry { origin: Bytes::from_static(b"short"), ..carry.clone() },
    ];
    for carry in forged {
        let said = Node::new(TARGET, &[CARRIER]).receive(CARRIER, Body::Carry(carry.clone()));
        assert!(is_banned(&said, CARRIER), "{carry:?}: {said:?}");
        assert!(!said.iter().any(|output| matches!(output, Output::Event(_))), "{said:?}");
    }
}

#[test]
fn an_origin_cannot_have_its_carrier_banned() {
    let carry = Carry { signature: Bytes::from_static(&[7; 64]), ..carried(&sealed()) };
    let said = Node::new(CARRIER, &[ORIGIN, TARGET]).receive(ORIGIN, Body::Carry(carry));
    assert!(is_banned(&said, ORIGIN), "{said:?}");
    assert!(!said.iter().any(|output| matches!(output, Output::Send { .. })), "{said:?}");
}

#[test]
fn nothing_goes_further_than_one_hop() {
    let said = Node::new(CARRIER, &[9, TARGET]).receive(9, Body::Carry(carried(&sealed())));
    assert!(
        matches!(&said[..], [Output::Offence { offence, .. }] if offence.points < Offence::BAN),
        "{said:?}"
    );
}

#[test]
fn a_banned_origin_is_not_heard() {
    let mut target = Node::new(TARGET, &[CARRIER, ORIGIN]);
    let said = target.receive(ORIGIN, Body::Carry(Carry { signature: Bytes::new(), ..carried(&sealed()) }));
    assert!(is_banned(&said, ORIGIN), "{said:?}");
    assert_eq!(target.receive(CARRIER, Body::Carry(carried(&sealed()))), []);
}

#[test]
fn size_and_rate_are_limited() {
    let longest = Bytes::from(vec![0; limits::SEALED_BYTES]);
    let too_long = Carry { sealed: vec![0; limits::SEALED_BYTES + 1].into(), ..carried(&longest) };
    let mut carrier = Node::new(CARRIER, &[ORIGIN, TARGET]);
    let carry = Body::Carry(carried(&longest));
    let passes = |carrier: &mut Node| {
        (0..100)
            .map(|_| carrier.receive(ORIGIN, carry.clone()))
            .filter(|said| matches!(&said[..], [Output::Send { .. }]))
            .count() as u64
    };
    let cost = limits::SEALED_BYTES as u64 + 256;
    assert_eq!(passes(&mut carrier), limits::CARRY_BURST_BYTES / cost);
    carrier.now.time = carrier.now.time + Duration::from_secs(10);
    let left = limits::CARRY_BURST_BYTES % cost;
    assert_eq!(passes(&mut carrier), (left + 10 * limits::CARRY_BYTES_PER_SECOND) / cost);
    // A burst is no reason for a ban; what no honest node makes is.
    assert!(is_banned(&carrier.receive(ORIGIN, Body::Carry(too_long)), ORIGIN));
}
