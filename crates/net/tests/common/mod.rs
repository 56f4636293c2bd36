//! Nodes on the loopback interface, and waiting for what they tell.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{future::Future, time::Duration};

use braidcast_net::{Config, Event, Events, Identity, Multiaddr, Node, Topic};

/// Longer than anything here takes; a test that hits it has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The same key for the same number.
pub(crate) fn identity(number: u8) -> Identity {
    Identity::from_seed(&[number; 32])
}

pub(crate) fn topic() -> Topic {
    Topic::new("news").expect("a name")
}

pub(crate) fn address(text: &str) -> Multiaddr {
    text.parse().expect("an address")
}

/// A relay that listens at `listen`.
pub(crate) async fn relay(number: u8, listen: &str) -> (Node, Events) {
    let mut config = Config::new(identity(number));
    config.listen = vec![address(listen)];
    config.serve_relay = true;
    Node::start(config).await.expect("a free port")
}

/// Where a node can be called through its relay, once the relay has granted it.
pub(crate) async fn circuit_address(node: &Node) -> Multiaddr {
    patiently("a reservation", async {
        loop {
            let addresses = node.addresses().await.expect("it runs");
            let is_circuit = |address: &&Multiaddr| address.to_string().contains("/p2p-circuit/p2p/");
            if let Some(address) = addresses.iter().find(is_circuit) {
                return address.clone();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

/// A node that knows only its relays.
pub(crate) async fn client(number: u8, relays: Vec<Multiaddr>) -> (Node, Events) {
    let mut config = Config::new(identity(number));
    config.relays = relays;
    Node::start(config).await.expect("nothing to fail")
}

/// The first address of a node.
pub(crate) async fn first_address(node: &Node) -> Multiaddr {
    node.addresses().await.expect("it runs").first().expect("it listens").clone()
}

/// The port in an address.
pub(crate) fn port(address: &Multiaddr) -> u16 {
    let text = address.to_string();
    text.split('/').nth(4).expect("a port").parse().expect("a number")
}

/// Waits for an event of which `pick` makes something.
pub(crate) async fn event<T>(events: &mut Events, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
    patiently(what, async {
        loop {
            let event = events.next().await.unwrap_or_else(|| panic!("stopped before {what}"));
            if let Some(picked) = pick(event) {
                return picked;
            }
        }
    })
    .await
}

/// Waits for the first relay.
pub(crate) async fn relay_connected(events: &mut Events) {
    event(events, "RelayConnected", |event| matches!(event, Event::RelayConnected { .. }).then_some(()))
        .await;
}

/// Waits until somebody joins the topic.
pub(crate) async fn joined(events: &mut Events) {
    event(events, "Joined", |event| matches!(event, Event::Joined { .. }).then_some(())).await;
}

/// Awaits with a time limit.
pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited too long for {what}"),
    }
}
