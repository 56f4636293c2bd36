//! The links to configured relays.

mod common;

use braidcast_net::{Config, Event, Link, Node, StartError, Stopped};
use common::{address, client, event, first_address, identity, port, relay, relay_connected};

#[tokio::test]
async fn a_client_connects_to_its_relay() {
    let (relay, mut relay_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let (client, mut events) = client(2, vec![first_address(&relay).await]).await;
    let id = event(&mut events, "RelayConnected", |event| match event {
        Event::RelayConnected { id, .. } => Some(id),
        _ => None,
    })
    .await;
    assert_eq!(id, relay.peer_id());

    let info = event(&mut relay_events, "PeerConnected", |event| match event {
        Event::PeerConnected(info) => Some(info),
        _ => None,
    })
    .await;
    assert_eq!((info.id, info.link, info.inbound), (client.peer_id(), Link::Direct, true));

    let peers = client.peers().await.expect("it runs");
    assert_eq!(peers.len(), 1);
    assert_eq!((peers[0].id, peers[0].link, peers[0].inbound), (relay.peer_id(), Link::Relay, false));
    assert_eq!(client.stats().peers, 1);
}

#[tokio::test]
async fn both_sides_may_hold_the_smaller_key() {
    for (a, b) in [(1, 2), (2, 1)] {
        let (relay, _relay_events) = relay(a, "/ip4/127.0.0.1/tcp/0").await;
        let (_client, mut events) = client(b, vec![first_address(&relay).await]).await;
        relay_connected(&mut events).await;
    }
}

#[tokio::test]
async fn a_relay_that_starts_later_is_found() {
    let (first, _events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let listen = first_address(&first).await;
    first.stop().await;

    let (_client, mut events) = client(2, vec![listen.clone()]).await;
    let retry = event(&mut events, "RelayLost", |event| match event {
        Event::RelayLost { retry_in_ms, error, .. } => Some((retry_in_ms, error)),
        _ => None,
    })
    .await;
    assert!(retry.0 <= 500, "{retry:?}");
    assert!(retry.1.to_lowercase().contains("refused"), "{retry:?}");

    let (_relay, _events) = relay(1, &format!("/ip4/127.0.0.1/tcp/{}", port(&listen))).await;
    relay_connected(&mut events).await;
}

#[tokio::test]
async fn a_relay_that_dies_is_dialled_again() {
    let (first, _events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let listen = first_address(&first).await;
    let (_client, mut events) = client(2, vec![listen.clone()]).await;
    relay_connected(&mut events).await;

    first.stop().await;
    event(&mut events, "RelayLost", |event| matches!(event, Event::RelayLost { .. }).then_some(())).await;
    event(&mut events, "PeerDisconnected", |event| {
        matches!(event, Event::PeerDisconnected { .. }).then_some(())
    })
    .await;
    let (_relay, _events) = relay(1, &format!("/ip4/127.0.0.1/tcp/{}", port(&listen))).await;
    relay_connected(&mut events).await;
}

#[tokio::test]
async fn another_node_at_the_relays_address_is_no_relay() {
    let (relay, _events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let other = braidcast_net::wire::PeerId([9; 32]);
    let wrong = address(&format!("/ip4/127.0.0.1/tcp/{}/p2p/{other}", port(&first_address(&relay).await)));
    let (_client, mut events) = client(2, vec![wrong]).await;
    let error = event(&mut events, "RelayLost", |event| match event {
        Event::RelayLost { error, .. } => Some(error),
        _ => None,
    })
    .await;
    assert!(error.contains(&relay.peer_id().to_string()), "{error}");
}

#[tokio::test]
async fn an_address_that_can_never_work_is_named() {
    let mut config = Config::new(identity(1));
    config.relays = vec![address("/ip4/127.0.0.1/udp/1/webrtc-direct")];
    let error = Node::start(config).await.expect_err("no such transport");
    assert!(matches!(error, StartError::Address { .. }));
    assert!(error.to_string().contains("/ip4/127.0.0.1/udp/1/webrtc-direct"), "{error}");
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (relay, _events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let taken = format!("/ip4/127.0.0.1/tcp/{}", port(&first_address(&relay).await));
    let mut config = Config::new(identity(2));
    config.listen = vec![address(&taken)];
    let error = Node::start(config).await.expect_err("in use");
    assert!(error.to_string().contains(&taken), "{error}");
}

#[tokio::test]
async fn a_stopped_node_says_so_and_ends_its_events() {
    let (node, mut events) = client(1, Vec::new()).await;
    node.stop().await;
    node.stop().await;
    assert_eq!(node.peers().await, Err(Stopped));
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn a_node_ends_with_its_last_handle() {
    let (node, mut events) = client(1, Vec::new()).await;
    drop(node.clone());
    node.peers().await.expect("one handle is left");
    drop(node);
    assert_eq!(common::patiently("the end", events.next()).await, None);
}

#[tokio::test]
async fn addresses_are_real_and_end_in_the_peer_id() {
    let mut config = Config::new(identity(1));
    config.listen = vec![address("/ip4/0.0.0.0/tcp/0"), address("/ip4/127.0.0.1/tcp/0/ws")];
    config.external = vec![address("/dns4/relay.example/tcp/443/wss")];
    config.serve_relay = true;
    let (node, _events) = Node::start(config).await.expect("free ports");
    let addresses = node.addresses().await.expect("it runs");
    assert!(addresses[0].to_string().starts_with("/dns4/relay.example/tcp/443/"), "{addresses:?}");
    let suffix = format!("/p2p/{}", node.peer_id());
    for text in addresses.iter().map(ToString::to_string) {
        assert!(text.ends_with(&suffix) && !text.contains("0.0.0.0") && !text.contains("/tcp/0"), "{text}");
    }
}
