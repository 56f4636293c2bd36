//! Nodes that nobody can dial link directly, by `/webrtc`.

mod common;

use braidcast_net::{Content, Event, Events, Link, Node, Path, PeerId};
use common::{client, event, first_address, patiently, relay, relay_connected, topic};

/// A subscriber that knows only its relays.
async fn subscriber(number: u8, relays: &[&Node]) -> (Node, Events) {
    let mut addresses = Vec::new();
    for relay in relays {
        addresses.push(first_address(relay).await);
    }
    let (node, mut events) = client(number, addresses).await;
    node.subscribe(topic()).await.expect("it runs");
    relay_connected(&mut events).await;
    (node, events)
}

/// Waits for a direct link of each to the other, over which they said that they subscribe.
async fn linked(a: &mut (Node, Events), b: &mut (Node, Events)) {
    let ids = [b.0.peer_id(), a.0.peer_id()];
    for ((node, events), id) in [a, b].into_iter().zip(ids) {
        patiently("a direct link", async {
            let mut has_joined = false;
            while !has_joined || !is_direct(node, id).await {
                let event = events.next().await.expect("it runs");
                has_joined |= matches!(event, Event::Joined { peer, .. } if peer == id);
            }
        })
        .await;
    }
}

async fn is_direct(node: &Node, peer: PeerId) -> bool {
    let peers = node.peers().await.expect("it runs");
    let info = peers.into_iter().find(|info| info.id == peer);
    info.is_some_and(|info| info.link == Link::Direct && info.address.contains("/webrtc/"))
}

async fn say(from: &Node, to: &mut Events, payload: Vec<u8>) {
    let content = Content { payload: bytes::Bytes::from(payload.clone()).into(), ..Content::default() };
    let sent = patiently("publish", from.publish(topic(), content)).await.expect("taken");
    let got = event(to, "the message", |event| match event {
        Event::Message(message) if message.id == sent.id => Some(message),
        _ => None,
    })
    .await;
    assert!(got.content.payload.into_bytes() == payload);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_link_through_a_relay_and_outlive_it() {
    let (relay, mut relay_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    tokio::spawn(async move { while relay_events.next().await.is_some() {} });
    relay.subscribe(topic()).await.expect("it runs");
    let (mut a, mut b) = (subscriber(2, &[&relay]).await, subscriber(3, &[&relay]).await);
    linked(&mut a, &mut b).await;
    let direct = Path { link: Some(Link::Direct), via: None, obstacle: None };
    assert_eq!(a.0.path(b.0.peer_id()).await, Ok(direct));

    relay.stop().await;
    for (_, events) in [&mut a, &mut b] {
        event(events, "RelayLost", |event| matches!(event, Event::RelayLost { .. }).then_some(())).await;
    }
    say(&a.0, &mut b.1, vec![1; 10]).await;
    let noise = (0..2_u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    say(&b.0, &mut a.1, noise).await;

    // Who stops says so.
    b.0.stop().await;
    event(&mut a.1, "PeerDisconnected", |event| {
        (event == Event::PeerDisconnected { id: b.0.peer_id() }).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_share_no_relay_link_through_a_neighbour() {
    let (first, _first_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let (second, _second_events) = relay(2, "/ip4/127.0.0.1/tcp/0").await;
    let mut neighbour = subscriber(3, &[&first, &second]).await;
    let mut a = subscriber(4, &[&first]).await;
    linked(&mut a, &mut neighbour).await;
    first.stop().await;
    let mut b = subscriber(5, &[&second]).await;
    linked(&mut b, &mut neighbour).await;
    linked(&mut a, &mut b).await;
    say(&a.0, &mut b.1, vec![1; 10]).await;
}
