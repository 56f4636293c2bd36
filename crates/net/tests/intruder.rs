//! Peers that break the protocol.

mod common;

use std::time::Duration;

use braidcast_core::{
    Frame,
    frame::{Body, Carry},
};
use braidcast_net::{Event, Multiaddr, Topic, mesh, wire};
use common::{client, event, first_address, identity, patiently, relay, relay_connected};
use futures::{AsyncWriteExt, StreamExt};
use libp2p::{
    PeerId, StreamProtocol, Swarm, SwarmBuilder,
    identity::Keypair,
    noise,
    swarm::{SwarmEvent, dial_opts::DialOpts},
    tcp, yamux,
};
use libp2p_stream::{Behaviour, Control, IncomingStreams};

const CONTROL: StreamProtocol = StreamProtocol::new("/braidcast/1.0.0/control");
const BULK: StreamProtocol = StreamProtocol::new("/braidcast/1.0.0/bulk");

/// A libp2p node of another make.
struct Intruder {
    swarm: Swarm<Behaviour>,
    control: Control,
    /// Kept, so that the other side's streams are accepted.
    _incoming: [IncomingStreams; 2],
}

impl Intruder {
    fn new(number: u8) -> Self {
        let keypair = Keypair::ed25519_from_bytes(identity(number).to_seed()).expect("a seed");
        let swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::default(), noise::Config::new, yamux::Config::default)
            .expect("a transport")
            .with_behaviour(|_| Behaviour::new())
            .expect("a behaviour")
            .with_swarm_config(|config| config.with_idle_connection_timeout(Duration::from_secs(60)))
            .build();
        let mut control = swarm.behaviour().new_control();
        let _incoming = [CONTROL, BULK].map(|name| control.accept(name).expect("accepted once"));
        Self { swarm, control, _incoming }
    }

    async fn connect(&mut self, address: &Multiaddr) -> PeerId {
        let opts = DialOpts::unknown_peer_id().address(address.clone()).build();
        self.swarm.dial(opts).expect("an address");
        loop {
            if let SwarmEvent::ConnectionEstablished { peer_id, .. } = self.swarm.select_next_some().await {
                return peer_id;
            }
        }
    }

    /// Opens the control stream, writes to a stream of this name, and runs until the other side closes.
    async fn write_until_closed(&mut self, peer: PeerId, name: StreamProtocol, bytes: Vec<u8>) {
        let mut control = self.control.clone();
        let write = async move {
            let mut streams = vec![control.open_stream(peer, CONTROL).await.expect("it speaks our protocol")];
            if name != CONTROL {
                streams.push(control.open_stream(peer, name).await.expect("it speaks our protocol"));
            }
            let stream = streams.last_mut().expect("just pushed");
            // It may be closed in the middle.
            let _ = stream.write_all(&bytes).await;
            let _ = stream.flush().await;
            futures::future::pending::<()>().await;
            drop(streams);
        };
        let closed = async {
            loop {
                if let SwarmEvent::ConnectionClosed { .. } = self.swarm.select_next_some().await {
                    return;
                }
            }
        };
        futures::pin_mut!(write, closed);
        futures::future::select(write, closed).await;
    }
}

async fn is_thrown_out(number: u8, name: StreamProtocol, bytes: Vec<u8>) {
    let (node, _events) = relay(5, "/ip4/127.0.0.1/tcp/0").await;
    let address = first_address(&node).await;
    let mut intruder = Intruder::new(number);
    patiently("the node to close", async {
        let peer = intruder.connect(&address).await;
        intruder.write_until_closed(peer, name, bytes).await;
    })
    .await;
    assert_eq!(node.stats().offences, 1);
    serves_others(address).await;
}

async fn serves_others(address: Multiaddr) {
    let (_client, mut events) = client(50, vec![address]).await;
    relay_connected(&mut events).await;
}

/// Keys on both sides of the node's: it chooses towards one and follows the other.
fn either_side() -> [u8; 2] {
    let node = identity(5).peer_id();
    let smaller = (10..50).find(|number| identity(*number).peer_id() < node).expect("one of forty");
    let larger = (10..50).find(|number| identity(*number).peer_id() > node).expect("one of forty");
    [smaller, larger]
}

#[tokio::test]
async fn garbage_on_the_control_stream() {
    for number in either_side() {
        is_thrown_out(number, CONTROL, vec![0x05, 0xff, 0xff, 0xff, 0xff, 0xff]).await;
    }
}

#[tokio::test]
async fn a_frame_beyond_the_limit() {
    for number in either_side() {
        is_thrown_out(number, CONTROL, vec![0xff, 0xff, 0xff, 0xff, 0x0f]).await;
    }
}

#[tokio::test]
async fn a_control_frame_on_the_bulk_stream() {
    // An empty frame is no bulk frame.
    for number in either_side() {
        is_thrown_out(number, BULK, vec![0x00]).await;
    }
}

#[tokio::test]
async fn an_acknowledgement_of_what_was_never_sent() {
    // Field 2, a varint: 5 bytes received.
    for number in either_side() {
        is_thrown_out(number, CONTROL, vec![0x02, 0x10, 0x05]).await;
    }
}

/// What a peer signed for the node, with something else in its place.
fn swapped_offer() -> Vec<u8> {
    let (origin, target) = (identity(4), identity(5).peer_id());
    let signed = [&origin.peer_id().0[..], &target.0, b"fingerprint"].concat();
    let carry = Carry {
        origin: origin.peer_id().0.to_vec().into(),
        target: target.0.to_vec().into(),
        sealed: b"another one".to_vec().into(),
        signature: origin.sign(wire::Domain::Carry, &signed).to_vec().into(),
    };
    wire::frame::encode(&Frame::from(Body::Carry(carry))).to_vec()
}

#[tokio::test]
async fn a_carrier_that_swaps_a_fingerprint() {
    for number in either_side() {
        is_thrown_out(number, CONTROL, swapped_offer()).await;
    }
}

#[tokio::test]
async fn a_banned_peer_is_refused() {
    let (node, _events) = relay(5, "/ip4/127.0.0.1/tcp/0").await;
    let address = first_address(&node).await;
    // A graft to a topic without a name.
    let graft = vec![0x04, 0x0a, 0x02, 0x12, 0x00];
    for (number, frame) in either_side().into_iter().zip([graft, swapped_offer()]) {
        let mut intruder = Intruder::new(number);
        patiently("the node to close", async {
            let peer = intruder.connect(&address).await;
            intruder.write_until_closed(peer, CONTROL, frame).await;
            intruder.connect(&address).await;
            while !matches!(intruder.swarm.select_next_some().await, SwarmEvent::ConnectionClosed { .. }) {}
        })
        .await;
        assert_eq!(node.peers().await, Ok(Vec::new()));
    }
    serves_others(address).await;
}

#[tokio::test]
async fn one_that_never_reads() {
    let (node, mut events) = relay(5, "/ip4/127.0.0.1/tcp/0").await;
    let address = first_address(&node).await;
    for number in either_side() {
        let mut intruder = Intruder::new(number);
        let peer = patiently("the connection", intruder.connect(&address)).await;
        let noisy = async {
            // Each pair is two control frames towards the intruder.
            loop {
                for pass in 0..100 {
                    let topic = Topic::new(format!("{pass:0>250}")).expect("a name");
                    node.subscribe(topic.clone()).await.expect("it runs");
                    node.unsubscribe(topic).await.expect("it runs");
                }
                tokio::task::yield_now().await;
            }
        };
        // A relay tells only who names the topics.
        let seek = mesh::frame::Seek { topics: (0..100).map(|pass| format!("{pass:0>250}")).collect() };
        let seek: Frame = Body::Mesh(mesh::frame::Body::Seek(seek).into()).into();
        let thrown_out = intruder.write_until_closed(peer, CONTROL, wire::frame::encode(&seek).to_vec());
        futures::pin_mut!(noisy, thrown_out);
        patiently("the node to close", futures::future::select(noisy, thrown_out)).await;
        let gone = event(&mut events, "PeerDisconnected", |event| match event {
            Event::PeerDisconnected { id } => Some(id),
            _ => None,
        });
        assert_eq!(gone.await, identity(number).peer_id());
    }
    serves_others(address).await;
}

#[tokio::test]
async fn a_second_control_stream() {
    let (node, _events) = relay(5, "/ip4/127.0.0.1/tcp/0").await;
    let address = first_address(&node).await;
    for number in either_side() {
        let mut intruder = Intruder::new(number);
        patiently("the node to close", async {
            let peer = intruder.connect(&address).await;
            let mut control = intruder.control.clone();
            let open = async move {
                let first = control.open_stream(peer, CONTROL).await;
                let second = control.open_stream(peer, CONTROL).await;
                futures::future::pending::<()>().await;
                drop((first, second));
            };
            let closed = async {
                while !matches!(intruder.swarm.select_next_some().await, SwarmEvent::ConnectionClosed { .. })
                {
                }
            };
            futures::pin_mut!(open, closed);
            futures::future::select(open, closed).await;
        })
        .await;
    }
    assert_eq!(node.stats().offences, 2);
    serves_others(address).await;
}

#[tokio::test]
async fn a_stranger_may_stay() {
    let (node, _events) = relay(5, "/ip4/127.0.0.1/tcp/0").await;
    let address = first_address(&node).await;
    for number in either_side() {
        let mut stranger = Intruder::new(number);
        stranger._incoming = [StreamProtocol::new("/other/1"), StreamProtocol::new("/other/2")]
            .map(|name| stranger.swarm.behaviour().new_control().accept(name).expect("accepted once"));
        patiently("the connection", stranger.connect(&address)).await;
        assert_eq!(node.peers().await, Ok(Vec::new()));
    }
    assert_eq!(node.stats().offences, 0);
    serves_others(address).await;
}
