#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

use libp2p::identity::Keypair;

use super::*;
use crate::records::own_record;

const NOW: Time = Time::from_micros(1);

fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

fn key(seed: u8) -> Keypair {
    Keypair::ed25519_from_bytes([seed; 32]).expect("a seed")
}

/// With no neighbours and all relays connected.
fn next(introductions: &mut Introductions, now: Time, room: usize) -> Option<DialOpts> {
    match introductions.dial(now, room, &BTreeSet::new(), |_| true)? {
        Attempt::Dial(opts) => Some(opts),
        Attempt::Call { .. } => panic!("nobody is there to call through"),
    }
}

fn record(seed: u8) -> Bytes {
    own_record(&key(seed), vec![address("/ip4/192.0.2.1/tcp/1")]).expect("an address")
}

#[test]
fn a_record_leads_to_its_signer_once() {
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer(vec![record(1), record(1)], NOW, |_| true);
    let peer = key(1).public().to_peer_id();
    assert!(introductions.dial(NOW, 8, &[peer].into(), |_| true).is_none());
    let dial = next(&mut introductions, NOW, 8).expect("one");
    assert_eq!(dial.get_peer_id(), Some(peer));
    assert!(next(&mut introductions, NOW, 8).is_none());
}

#[test]
fn each_failure_doubles_the_wait_but_for_chance() {
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer(vec![record(1)], NOW, |_| true);
    let mut now = NOW;
    for failures in 0..12 {
        let dial = next(&mut introductions, now, 8).expect("it has rested");
        introductions.on_dialled(dial.connection_id(), now);
        introductions.offer(vec![record(1)], now, |_| true);
        let until = introductions.deadline(now).expect("it rests");
        let full = FIRST_WAIT.saturating_mul(1 << failures).min(LONGEST_WAIT);
        assert!(until <= now + full && now + full < until + full, "{failures}");
        assert!(next(&mut introductions, now, 8).is_none());
        now = until;
    }
}

#[test]
fn a_link_that_lasted_is_made_again_soon() {
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer(vec![record(1)], NOW, |_| true);
    let peer = key(1).public().to_peer_id();
    for _ in 0..4 {
        let now = introductions.deadline(NOW).unwrap_or(NOW);
        let dial = next(&mut introductions, now, 8).expect("it has rested");
        introductions.on_dialled(dial.connection_id(), now);
    }
    let now = introductions.deadline(NOW).expect("it rests");
    let dial = next(&mut introductions, now, 8).expect("it has rested");
    introductions.on_dialled(dial.connection_id(), now);
    introductions.on_link_up(peer, None, now);
    let now = now + SETTLED;
    introductions.on_link_down(peer, now);
    assert!(introductions.deadline(now).expect("it rests") <= now + FIRST_WAIT);
}

#[test]
fn the_least_promising_is_forgotten() {
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    for seeds in [1..=KNOWN as u8, KNOWN as u8 + 1..=KNOWN as u8 + 1] {
        introductions.offer(seeds.map(record).collect(), NOW, |_| true);
        let dial = next(&mut introductions, NOW, 8).expect("somebody");
        introductions.on_dialled(dial.connection_id(), NOW);
        introductions.period_ends = NOW;
    }
    assert_eq!(introductions.known.len(), KNOWN);
    assert_eq!(introductions.known.values().filter(|known| known.failures > 0).count(), 1);
}

#[test]
fn dials_are_bounded() {
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer((1..=100).map(record).collect(), NOW, |_| true);
    assert_eq!(introductions.known.len(), CHECKS.min(KNOWN));
    let dials: Vec<_> = std::iter::from_fn(|| next(&mut introductions, NOW, 100)).collect();
    assert_eq!(dials.len(), DIALS);
    introductions.on_dialled(dials[0].connection_id(), NOW);
    assert!(next(&mut introductions, NOW, 0).is_none(), "no room for more peers");
    assert!(next(&mut introductions, NOW, 100).is_some());
}

#[test]
fn what_stands_in_the_way_can_be_asked() {
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    let peer = key(1).public().to_peer_id();
    assert_eq!(introductions.obstacle(peer, 8), Obstacle::Unknown);
    introductions.offer(vec![record(1)], NOW, |_| true);
    assert_eq!(introductions.obstacle(peer, 0), Obstacle::Enough);
    assert_eq!(introductions.obstacle(peer, 8), Obstacle::Waiting);
    let dial = next(&mut introductions, NOW, 8).expect("one");
    assert_eq!(introductions.obstacle(peer, 8), Obstacle::Dialing);
    introductions.on_dial_failed(dial.connection_id(), "no way", NOW);
    assert_eq!(introductions.obstacle(peer, 8), Obstacle::Failed("no way".into()));
    introductions.on_link_up(peer, None, NOW);
    introductions.on_link_down(peer, NOW);
    assert_eq!(introductions.obstacle(peer, 8), Obstacle::Lost);
}

#[test]
fn ways_are_tried_in_turn() {
    let [relay, other] = [8, 9].map(|seed| key(seed).public().to_peer_id());
    let ways = [(relay, 1), (other, 2)]
        .map(|(relay, port)| address(&format!("/ip4/192.0.2.1/tcp/{port}/p2p/{relay}/p2p-circuit/webrtc")));
    let record = own_record(&key(1), ways.to_vec()).expect("addresses");
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer(vec![record], NOW, |_| true);
    let peer = key(1).public().to_peer_id();
    let neighbours = BTreeSet::from([key(2).public().to_peer_id()]);
    let none = BTreeSet::new();
    let try_at = |introductions: &mut Introductions, linked: &BTreeSet<PeerId>, near: Option<PeerId>| {
        let now = introductions.deadline(NOW).unwrap_or(NOW);
        let attempt = introductions.dial(now, 8, linked, |relay| Some(relay) == near).expect("it has rested");
        match attempt {
            Attempt::Dial(opts) => {
                introductions.on_dialled(opts.connection_id(), now);
                assert_eq!(opts.get_peer_id(), Some(peer));
                "dial"
            }
            Attempt::Call { carriers, .. } => {
                assert!(carriers.iter().eq(linked));
                introductions.on_unreached(peer, now);
                "call"
            }
        }
    };
    let mut tried = Vec::new();
    for (linked, near) in [
        (&neighbours, Some(relay)),
        (&neighbours, Some(relay)),
        (&neighbours, Some(relay)),
        (&neighbours, None),
        (&none, None),
    ] {
        tried.push(try_at(&mut introductions, linked, near));
    }
    assert_eq!(tried, ["dial", "call", "dial", "call", "dial"]);
}

fn webrtc_direct(host: u8) -> Multiaddr {
    let hash = "uEiAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    address(&format!("/ip4/192.0.2.{host}/udp/1/webrtc-direct/certhash/{hash}"))
}

/// The addresses of webrtc-direct of a peer, and which of them it is dialled at.
fn listener() -> (Bytes, impl Fn(&DialOpts) -> Vec<usize>) {
    let addresses = [0, 1, 2].map(webrtc_direct);
    let record = own_record(&key(1), addresses.to_vec()).expect("addresses");
    let tried = |dial: &DialOpts| {
        let text = format!("{dial:?}");
        (0..3).filter(|host| text.contains(&format!("/192.0.2.{host}/"))).collect()
    };
    (record, tried)
}

#[test]
fn one_address_of_webrtc_direct_is_tried_at_a_time() {
    let (record, tried) = listener();
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer(vec![record], NOW, |_| true);
    for turn in 0..4 {
        let now = introductions.deadline(NOW).unwrap_or(NOW);
        let dial = next(&mut introductions, now, 8).expect("it has rested");
        assert_eq!(tried(&dial), [turn % 3], "{dial:?}");
        introductions.on_dialled(dial.connection_id(), now);
    }
}

#[test]
fn where_peer_connections_are_cheap_each_address_has_its_turn_before_the_wait_doubles() {
    let (record, tried) = listener();
    let mut introductions = Introductions::new([0; 32], |_| true, false);
    introductions.offer(vec![record], NOW, |_| true);
    let mut now = NOW;
    for (turn, doubled) in [0, 0, 0, 1, 1, 1, 2].into_iter().enumerate() {
        let dial = next(&mut introductions, now, 8).expect("it has rested");
        assert_eq!(tried(&dial), [turn % 3]);
        introductions.on_dialled(dial.connection_id(), now);
        let until = introductions.deadline(now).expect("it rests");
        let full = FIRST_WAIT.saturating_mul(1 << doubled);
        assert!(until <= now + full && now + full < until + full, "{turn}");
        now = until;
    }
}

#[test]
fn a_record_of_many_addresses_puts_the_doubling_off_no_further() {
    let addresses: Vec<_> = (0..8).map(webrtc_direct).collect();
    let mut introductions = Introductions::new([0; 32], |_| true, false);
    introductions.offer(vec![own_record(&key(1), addresses).expect("addresses")], NOW, |_| true);
    let mut now = NOW;
    for (turn, doubled) in [0, 0, 0, 1, 1, 1, 2].into_iter().enumerate() {
        let dial = next(&mut introductions, now, 8).expect("it has rested");
        introductions.on_dialled(dial.connection_id(), now);
        let until = introductions.deadline(now).expect("it rests");
        let full = FIRST_WAIT.saturating_mul(1 << doubled).as_micros();
        assert!((full / 2..=full).contains(&until.since(now).as_micros()), "{turn}");
        now = until;
    }
}

#[test]
fn the_address_that_led_to_a_link_comes_first_the_next_time() {
    let (record, tried) = listener();
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer(vec![record.clone()], NOW, |_| true);
    let peer = key(1).public().to_peer_id();
    let mut dials = Vec::new();
    for turn in 0..6 {
        let now = introductions.deadline(NOW).unwrap_or(NOW);
        let dial = next(&mut introductions, now, 8).expect("it has rested");
        dials.extend(tried(&dial));
        introductions.on_dialled(dial.connection_id(), now);
        if turn == 1 {
            let dialled = with_peer(introductions.known[&peer].addresses[1].clone(), peer);
            introductions.on_link_up(peer, Some(&dialled), now);
            introductions.on_link_down(peer, now);
            introductions.offer(vec![record.clone()], now, |_| true);
        }
    }
    assert_eq!(dials, [0, 1, 1, 0, 2, 1]);
}

#[test]
fn who_was_reached_is_dialled_at_once() {
    let relay = key(9).public().to_peer_id();
    let way = address(&format!("/ip4/192.0.2.1/tcp/1/p2p/{relay}/p2p-circuit/webrtc"));
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer(vec![own_record(&key(1), vec![way]).expect("an address")], NOW, |_| true);
    let neighbours = BTreeSet::from([relay]);
    let call = introductions.dial(NOW, 1, &neighbours, |_| false);
    assert!(matches!(call, Some(Attempt::Call { .. })), "{call:?}");
    assert!(introductions.dial(NOW, 1, &neighbours, |_| false).is_none(), "it counts as a dial");
    let opts = introductions.on_reached(key(1).public().to_peer_id());
    introductions.on_dialled(opts.connection_id(), NOW);
    assert!(introductions.deadline(NOW).is_some(), "it rests");
}

#[test]
fn checks_are_bounded() {
    let mut introductions = Introductions::new([0; 32], |_| true, true);
    introductions.offer(vec![Bytes::new(); CHECKS], NOW, |_| true);
    introductions.offer(vec![record(1)], NOW, |_| true);
    assert!(next(&mut introductions, NOW, 8).is_none());
    introductions.offer(vec![record(1)], NOW + PERIOD, |_| true);
    assert!(next(&mut introductions, NOW + PERIOD, 8).is_some());
}
