//! Closed topics: members, strangers with another key or none, and relays.

mod common;

use braidcast_net::{
    CheckedParams, Config, Content, Divide, Event, Events, Mode, Multiaddr, Node, PeerId, PublishError,
    PublishFailed, Secret, TopicParams,
};
use common::{address, client, event, first_address, identity, patiently, relay, relay_connected, topic};

/// Of a topic with this key.
fn closed(key: u8) -> CheckedParams {
    let mode = Mode::Closed { secret: Secret([key; 32]) };
    TopicParams { mode, ..TopicParams::default() }.checked().expect("they fit")
}

/// Subscribed, with a key or without, once it is connected.
async fn subscriber(number: u8, key: Option<u8>, at: &Multiaddr) -> (Node, Events) {
    let (node, mut events) = client(number, vec![at.clone()]).await;
    if let Some(key) = key {
        node.configure(topic(), closed(key)).await.expect("it runs");
    }
    node.subscribe(topic()).await.expect("it runs");
    relay_connected(&mut events).await;
    (node, events)
}

async fn has_joined(events: &mut Events, id: PeerId) {
    event(events, "Joined", |event| matches!(event, Event::Joined { peer, .. } if peer == id).then_some(()))
        .await;
}

async fn is_outside(events: &mut Events, id: PeerId, divide: Divide) {
    let is_it = |event| matches!(event, Event::Outsider { peer, why, .. } if peer == id && why == divide);
    event(events, "Outsider", |event| is_it(event).then_some(())).await;
}

async fn publish(node: &Node, payload: &[u8]) -> Result<(), PublishFailed> {
    let content = Content { payload: bytes::Bytes::copy_from_slice(payload).into(), ..Content::default() };
    patiently("publish", node.publish(topic(), content)).await.map(|_| ())
}

async fn hears(events: &mut Events, payload: &[u8]) {
    let got = event(events, "Message", |event| match event {
        Event::Message(message) => Some(message),
        _ => None,
    });
    assert!(got.await.content.payload.into_bytes() == payload);
}

fn noise(len: u32) -> Vec<u8> {
    (0..len).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// One member in the middle, whom all the others dial.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_hear_each_other_and_strangers_nothing() {
    let mut config = Config::new(identity(1));
    config.listen = vec![address("/ip4/127.0.0.1/tcp/0")];
    let (hub, mut hub_events) = Node::start(config).await.expect("a free port");
    hub.configure(topic(), closed(7)).await.expect("it runs");
    hub.subscribe(topic()).await.expect("it runs");
    let at = first_address(&hub).await;
    let (ada, mut ada_events) = subscriber(2, Some(7), &at).await;
    let (bob, mut bob_events) = subscriber(3, Some(7), &at).await;
    let (eve, mut eve_events) = subscriber(4, Some(8), &at).await;
    let (tom, mut tom_events) = subscriber(5, None, &at).await;
    has_joined(&mut ada_events, hub.peer_id()).await;
    has_joined(&mut bob_events, hub.peer_id()).await;
    is_outside(&mut hub_events, eve.peer_id(), Divide::OtherKey).await;
    is_outside(&mut eve_events, hub.peer_id(), Divide::OtherKey).await;
    is_outside(&mut tom_events, hub.peer_id(), Divide::NoKey).await;

    for len in [5, 5_000, 1 << 20] {
        let payload = noise(len);
        publish(&ada, &payload).await.expect("taken");
        hears(&mut hub_events, &payload).await;
        hears(&mut bob_events, &payload).await;
    }
    let refused = PublishFailed::Refused(PublishError::NoMembers { topic: topic(), outsiders: 1 });
    assert_eq!(publish(&eve, b"let me in").await, Err(refused));
    let refused = PublishFailed::Refused(PublishError::NoKey { topic: topic() });
    assert_eq!(publish(&tom, b"let me in").await, Err(refused));
    publish(&bob, b"the last").await.expect("taken");
    hears(&mut hub_events, b"the last").await;
    hears(&mut ada_events, b"the last").await;
    for (node, mut events) in [(eve, eve_events), (tom, tom_events)] {
        assert_eq!((node.stats().bulk_bytes_in, node.stats().messages_in), (0, 0));
        let told: Vec<Event> = std::iter::from_fn(|| events.try_next()).collect();
        assert!(!told.iter().any(|event| matches!(event, Event::Message(_))), "{told:?}");
    }
}

/// It introduces, and carries nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn members_meet_through_a_relay_that_is_none() {
    let (relay, mut relay_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    relay.subscribe(topic()).await.expect("it runs");
    let at = first_address(&relay).await;
    let (ada, mut ada_events) = subscriber(2, Some(7), &at).await;
    is_outside(&mut relay_events, ada.peer_id(), Divide::NoKey).await;
    is_outside(&mut ada_events, relay.peer_id(), Divide::NoProof).await;
    let refused = PublishFailed::Refused(PublishError::NoMembers { topic: topic(), outsiders: 1 });
    assert_eq!(publish(&ada, b"alone").await, Err(refused));

    let (bob, mut bob_events) = subscriber(3, Some(7), &at).await;
    has_joined(&mut ada_events, bob.peer_id()).await;
    has_joined(&mut bob_events, ada.peer_id()).await;
    let payload = noise(1 << 20);
    publish(&ada, &payload).await.expect("taken");
    hears(&mut bob_events, &payload).await;
    let carried = relay.stats();
    assert_eq!((carried.bulk_bytes_in, carried.bulk_bytes_out, carried.messages_in), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_that_is_a_member_carries() {
    let (relay, _relay_events) = relay(1, "/ip4/127.0.0.1/tcp/0").await;
    relay.configure(topic(), closed(7)).await.expect("it runs");
    relay.subscribe(topic()).await.expect("it runs");
    let at = first_address(&relay).await;
    let (ada, mut ada_events) = subscriber(2, Some(7), &at).await;
    let (_bob, mut bob_events) = subscriber(3, Some(7), &at).await;
    has_joined(&mut ada_events, relay.peer_id()).await;
    has_joined(&mut bob_events, relay.peer_id()).await;
    let payload = noise(100_000);
    publish(&ada, &payload).await.expect("taken");
    hears(&mut bob_events, &payload).await;
    event(&mut ada_events, "Reached", |event| matches!(event, Event::Reached { .. }).then_some(())).await;
}
