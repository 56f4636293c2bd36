//! webrtc-direct over loopback: ours with ours in both versions, and with rust-libp2p's.
#![cfg(not(target_arch = "wasm32"))]

mod common;

use braidcast_webrtc::{
    native::direct::{Config, Transport},
    protocol::Version,
};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    PeerId, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
    swarm::SwarmEvent,
};

use rand::SeedableRng;

use common::{ECHO, Node, bytes, echoed, patiently};

const LOOPBACK: &str = "/ip4/127.0.0.1/udp/0/webrtc-direct";

fn ours(version: Version) -> impl FnOnce(&Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    move |keypair| {
        Transport::new(Config { version, ..Config::new(keypair.clone()) })
            .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
            .boxed()
    }
}

fn upstream(keypair: &Keypair) -> Boxed<(PeerId, StreamMuxerBox)> {
    // Set already, when it is not the first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // It takes its entropy elsewhere.
    let unused = &mut rand::rngs::StdRng::seed_from_u64(0);
    let certificate = libp2p_webrtc::tokio::Certificate::generate(unused).expect("has entropy");
    libp2p_webrtc::tokio::Transport::new(keypair.clone(), certificate)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed()
}

/// What works with rust-libp2p 0.57: its webrtc reads no frame beyond 8 KiB, and no stream any more on which a FIN_ACK
/// came, so the conversation is short messages one way and much the other, and who closes reads no more.
async fn converse(mut ours: Node, mut theirs: Node) {
    let mut streams = theirs.control.accept(ECHO).expect("is the first");
    let mut stream = ours.open(theirs.peer).await;
    let task = tokio::spawn(async move {
        let (_, mut stream) = streams.next().await.expect("it runs");
        let mut message = [0; 4000];
        for _ in 0..100 {
            stream.read_exact(&mut message).await.expect("comes");
            stream.write_all(&message).await.expect("is read");
            stream.flush().await.expect("is read");
        }
        stream.write_all(&bytes(1 << 20)).await.expect("is read");
        stream.close().await.expect("is open");
    });
    patiently("the conversation", async {
        for turn in 0..100 {
            let sent = [turn; 4000];
            stream.write_all(&sent).await.expect("is read");
            let mut got = [0; 4000];
            stream.read_exact(&mut got).await.expect("comes back");
            assert_eq!(got, sent);
        }
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.expect("ends");
        assert!(got == bytes(1 << 20), "{} bytes came", got.len());
    })
    .await;
    task.await.expect("no panic");
}

/// Both ends of a connection.
async fn pair(version: Version) -> (Node, Node) {
    let server = Node::start(ours(Version::V1), Some(LOOPBACK)).await;
    let mut client = Node::start(ours(version), None).await;
    client.connect(&server).await;
    (client, server)
}

async fn echoes(version: Version) {
    let (mut client, mut server) = pair(version).await;
    server.echo();
    echoed(&mut client.open(server.peer).await, 1 << 20).await;
    client.echo();
    echoed(&mut server.open(client.peer).await, 1 << 20).await;
}

#[tokio::test]
async fn version_1_echoes_a_megabyte_half_closed_by_each_side() {
    echoes(Version::V1).await;
}

#[tokio::test]
async fn version_2_echoes_a_megabyte_half_closed_by_each_side() {
    echoes(Version::V2).await;
}

#[tokio::test]
async fn ipv6_works() {
    let mut server = Node::start(ours(Version::V1), Some("/ip6/::1/udp/0/webrtc-direct")).await;
    let mut client = Node::start(ours(Version::V2), None).await;
    client.connect(&server).await;
    server.echo();
    echoed(&mut client.open(server.peer).await, 1000).await;
}

#[tokio::test]
async fn rust_libp2p_dials_us() {
    let server = Node::start(ours(Version::V1), Some(LOOPBACK)).await;
    // It does not dial without a listener.
    let mut client = Node::start(upstream, Some(LOOPBACK)).await;
    client.connect(&server).await;
    converse(server, client).await;
}

#[tokio::test]
async fn we_dial_rust_libp2p() {
    let server = Node::start(upstream, Some(LOOPBACK)).await;
    let mut client = Node::start(ours(Version::V1), None).await;
    client.connect(&server).await;
    converse(client, server).await;
}

#[tokio::test]
async fn a_writer_waits_for_a_slow_reader_and_loses_nothing() {
    const LEN: u32 = 8 << 20;
    let (mut client, mut server) = pair(Version::V1).await;
    let mut streams = server.control.accept(ECHO).expect("is the first");
    let mut stream = client.open(server.peer).await;
    let sent = bytes(LEN);
    // Nobody reads: the writer stops at what both sides hold.
    let mut written = 0;
    loop {
        let write = stream.write(&sent[written..]);
        match tokio::time::timeout(std::time::Duration::from_millis(500), write).await {
            Ok(len) => written += len.expect("is open"),
            Err(_) => break,
        }
    }
    assert!((1 << 20..5 << 20).contains(&written), "{written} bytes are on their way");
    let (_, mut reader) = streams.next().await.expect("it runs");
    let rest = tokio::spawn(async move {
        stream.write_all(&sent[written..]).await.expect("is read");
        stream.close().await.expect("is open");
        stream
    });
    let mut got = Vec::new();
    patiently("the rest", reader.read_to_end(&mut got)).await.expect("ends");
    assert!(got == bytes(LEN), "{} bytes came", got.len());
    rest.await.expect("no panic");
}

#[tokio::test]
async fn many_streams_at_once() {
    let (mut client, mut server) = pair(Version::V2).await;
    server.echo();
    let mut tasks = Vec::new();
    for _ in 0..50 {
        let mut stream = client.open(server.peer).await;
        tasks.push(tokio::spawn(async move { echoed(&mut stream, 20_000).await }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
}

#[tokio::test]
async fn who_leaves_is_missed_at_once() {
    let (client, mut server) = pair(Version::V1).await;
    server
        .event("the connection", |event| {
            matches!(event, SwarmEvent::ConnectionEstablished { .. }).then_some(())
        })
        .await;
    client.kill();
    let end =
        server.event("the end", |event| matches!(event, SwarmEvent::ConnectionClosed { .. }).then_some(()));
    tokio::time::timeout(std::time::Duration::from_secs(2), end).await.expect("it says goodbye");
}

#[tokio::test]
async fn another_certificate_than_that_of_the_address_is_refused() {
    let server = Node::start(ours(Version::V1), Some(LOOPBACK)).await;
    let other = Node::start(ours(Version::V1), Some(LOOPBACK)).await;
    let mut client = Node::start(ours(Version::V1), None).await;
    let text = server.address.clone().expect("it listens").to_string();
    let port = text.split('/').nth(4).expect("a port");
    let wrong = other.address.clone().expect("it listens").to_string();
    let wrong_port = wrong.split('/').nth(4).expect("a port");
    client.dial(wrong.replace(wrong_port, port).parse().expect("an address"));
    let error = client
        .event("a refusal", |event| match event {
            SwarmEvent::OutgoingConnectionError { error, .. } => Some(format!("{error:?}")),
            SwarmEvent::ConnectionEstablished { .. } => panic!("connected to somebody else"),
            _ => None,
        })
        .await;
    assert!(error.contains("another certificate"), "{error}");
}
