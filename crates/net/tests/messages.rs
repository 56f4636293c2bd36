//! Messages through a relay, over each transport.

mod common;

use braidcast_net::{Content, Event, Events, Message, Multiaddr, Node, PublishError, PublishFailed};
use common::{client, event, first_address, joined, patiently, relay, relay_connected, topic};

/// Bytes that repeat nowhere near.
fn payload(len: usize) -> Vec<u8> {
    let mut state = len as u32 | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(|_| next()).collect()
}

fn content(payload: Vec<u8>) -> Content {
    Content { payload: bytes::Bytes::from(payload).into(), ..Content::default() }
}

async fn message(events: &mut Events) -> Message {
    event(events, "Message", |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    })
    .await
}

/// Two clients that see each other's subscription only through the relay.
async fn pair(relay: &Multiaddr) -> [(Node, Events); 2] {
    let mut a = client(2, vec![relay.clone()]).await;
    let mut b = client(3, vec![relay.clone()]).await;
    for (node, events) in [&mut a, &mut b] {
        node.subscribe(topic()).await.expect("it runs");
        relay_connected(events).await;
        joined(events).await;
    }
    [a, b]
}

async fn every_size_arrives(listen: &str) {
    let (relay, mut relay_events) = relay(1, listen).await;
    relay.subscribe(topic()).await.expect("it runs");
    let [(a, _a_events), (_b, mut b_events)] = pair(&first_address(&relay).await).await;
    joined(&mut relay_events).await;
    joined(&mut relay_events).await;
    for len in [0, 1, 4096, 4097, 70_000, 2 * 1024 * 1024] {
        let sent = payload(len);
        let published = patiently("publish", a.publish(topic(), content(sent.clone()))).await.expect("taken");
        let got = message(&mut b_events).await;
        assert_eq!((got.id, got.from), (published.id, a.peer_id()), "{len} bytes over {listen}");
        assert!(got.content.payload.into_bytes() == sent, "{len} bytes over {listen}");
    }
    let stats = a.stats();
    assert_eq!(stats.messages_out, 6);
    assert_eq!(stats.bytes_out, stats.bulk_bytes_out + stats.control_bytes_out);
    assert!(stats.bulk_bytes_out > 2 * 1024 * 1024, "{stats:?}");
    assert_eq!(stats.offences + relay.stats().offences, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_tcp() {
    every_size_arrives("/ip4/127.0.0.1/tcp/0").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_quic() {
    every_size_arrives("/ip4/127.0.0.1/udp/0/quic-v1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_webrtc_direct() {
    every_size_arrives("/ip4/127.0.0.1/udp/0/webrtc-direct").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_web_socket() {
    every_size_arrives("/ip4/127.0.0.1/tcp/0/ws").await;
}

#[tokio::test]
async fn what_cannot_be_sent_is_refused() {
    let (relay, _events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    let (node, mut events) = client(2, vec![first_address(&relay).await]).await;
    relay_connected(&mut events).await;
    let limit = braidcast_net::mesh::Config::default().message_bytes;
    let refused = patiently("refusal", node.publish(topic(), content(vec![0; limit + 1]))).await;
    assert_eq!(refused, Err(PublishFailed::Refused(PublishError::TooLong { len: limit + 1, limit })));
    let refused = patiently("refusal", node.publish(topic(), content(vec![0]))).await;
    assert_eq!(refused, Err(PublishFailed::Refused(PublishError::NoPeers { topic: topic() })));
}
