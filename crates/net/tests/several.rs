//! More than one way to the same peer, and peers that others introduce.

mod common;

use braidcast_net::{Config, Content, Event, Events, Link, Node, PublishError, PublishFailed, wire::PeerId};
use common::{
    address, client, event, first_address, identity, joined, patiently, relay, relay_connected, topic,
};

async fn listener(number: u8) -> (Node, Events) {
    let mut config = Config::new(identity(number));
    config.listen = vec![address("/ip4/127.0.0.1/tcp/0")];
    Node::start(config).await.expect("a free port")
}

async fn connected(events: &mut Events, link: Link) -> PeerId {
    event(events, "PeerConnected", |event| match event {
        Event::PeerConnected(info) if info.link == link => Some(info.id),
        _ => None,
    })
    .await
}

async fn publish_and_receive(from: &Node, to: &mut Events) {
    let content = Content { payload: bytes::Bytes::from_static(b"hello").into(), ..Content::default() };
    let published = from.publish(topic(), content).await.expect("somebody is there");
    let got = event(to, "Message", |event| match event {
        Event::Message(message) => Some(message.id),
        _ => None,
    });
    assert_eq!(got.await, published.id);
}

#[tokio::test]
async fn two_that_dial_each_other_have_one_link() {
    let (a, mut a_events) = listener(1).await;
    let (b, mut b_events) = listener(2).await;
    for node in [&a, &b] {
        node.subscribe(topic()).await.expect("it runs");
    }
    let (to_a, to_b) = (first_address(&a).await, first_address(&b).await);
    let (first, second) = tokio::join!(a.dial(to_b), b.dial(to_a));
    first.and(second).expect("both run");
    joined(&mut a_events).await;
    joined(&mut b_events).await;
    publish_and_receive(&a, &mut b_events).await;
    publish_and_receive(&b, &mut a_events).await;
    assert_eq!(a.peers().await.expect("it runs").len(), 1);
    assert_eq!(b.peers().await.expect("it runs").len(), 1);
}

#[tokio::test]
async fn a_relay_introduces_those_that_can_be_dialled() {
    let (relay, _relay_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    relay.subscribe(topic()).await.expect("it runs");
    let relays = vec![first_address(&relay).await];
    let mut nodes = Vec::new();
    for number in [2, 3] {
        let mut config = Config::new(identity(number));
        config.listen = vec![address("/ip4/127.0.0.1/tcp/0")];
        config.relays = relays.clone();
        let (node, mut events) = Node::start(config).await.expect("a free port");
        node.subscribe(topic()).await.expect("it runs");
        relay_connected(&mut events).await;
        nodes.push((node, events));
    }
    let (b, mut b_events) = nodes.pop().expect("two");
    let (a, mut a_events) = nodes.pop().expect("two");
    assert_eq!(connected(&mut a_events, Link::Direct).await, b.peer_id());
    assert_eq!(connected(&mut b_events, Link::Direct).await, a.peer_id());

    relay.stop().await;
    event(&mut a_events, "RelayLost", |event| matches!(event, Event::RelayLost { .. }).then_some(())).await;
    event(&mut b_events, "RelayLost", |event| matches!(event, Event::RelayLost { .. }).then_some(())).await;
    publish_and_receive(&a, &mut b_events).await;
}

#[tokio::test]
async fn acquaintances_are_dialled_without_a_relay() {
    let (a, mut a_events) = listener(1).await;
    let (b, mut b_events) = listener(2).await;
    b.dial(first_address(&a).await).await.expect("it runs");
    connected(&mut a_events, Link::Direct).await;
    connected(&mut b_events, Link::Direct).await;
    let records = patiently("a record", async {
        loop {
            let records = b.acquaintances().await.expect("it runs");
            if !records.is_empty() {
                return records;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    b.stop().await;
    let mut config = Config::new(identity(3));
    config.acquaintances = vec![bytes::Bytes::from_static(b"nonsense"), records[0].clone()];
    let (_later, mut events) = Node::start(config).await.expect("nothing to fail");
    assert_eq!(connected(&mut events, Link::Direct).await, a.peer_id());
}

#[tokio::test]
async fn a_circuit_carries_no_message_and_gives_way_to_a_direct_connection() {
    let (relay, _relay_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let through = first_address(&relay).await;
    let mut config = Config::new(identity(2));
    config.listen = vec![address(&format!("{through}/p2p-circuit")), address("/ip4/127.0.0.1/tcp/0/ws")];
    let (hidden, mut hidden_events) = patiently("a reservation", Node::start(config)).await.expect("granted");
    let (caller, mut caller_events) = client(3, Vec::new()).await;
    for node in [&hidden, &caller] {
        node.subscribe(topic()).await.expect("it runs");
    }
    let addresses = hidden.addresses().await.expect("it runs");
    let (circuits, direct): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.to_string().contains("p2p-circuit"));
    caller.dial(circuits[0].clone()).await.expect("it runs");
    assert_eq!(connected(&mut caller_events, Link::Circuit).await, hidden.peer_id());
    assert_eq!(connected(&mut hidden_events, Link::Circuit).await, caller.peer_id());
    let refused = caller.publish(topic(), Content::default()).await;
    assert!(matches!(refused, Err(PublishFailed::Refused(PublishError::NoPeers { .. }))), "{refused:?}");

    caller.dial(direct[0].clone()).await.expect("it runs");
    assert_eq!(connected(&mut caller_events, Link::Direct).await, hidden.peer_id());
    assert_eq!(connected(&mut hidden_events, Link::Direct).await, caller.peer_id());
    joined(&mut caller_events).await;
    publish_and_receive(&caller, &mut hidden_events).await;
}
