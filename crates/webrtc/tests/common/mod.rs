//! A node of rust-libp2p over any transport, that echoes.
#![allow(dead_code, reason = "each test file uses its own part")]

use std::{future::Future, time::Duration};

use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    Multiaddr, PeerId, Stream, StreamProtocol, Swarm,
    core::{muxing::StreamMuxerBox, transport::Boxed},
    identity::Keypair,
    swarm::{Config, SwarmEvent},
};
use libp2p_stream::{Behaviour, Control};
use tokio::sync::mpsc;

pub(crate) const ECHO: StreamProtocol = StreamProtocol::new("/echo");

/// Longer than anything here takes; a test that hits it has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) type Event = SwarmEvent<()>;

pub(crate) struct Node {
    pub(crate) peer: PeerId,
    pub(crate) control: Control,
    /// Where it listens.
    pub(crate) address: Option<Multiaddr>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    dial: mpsc::UnboundedSender<Multiaddr>,
    swarm: tokio::task::JoinHandle<()>,
}

impl Node {
    pub(crate) async fn start(
        transport: impl FnOnce(&Keypair) -> Boxed<(PeerId, StreamMuxerBox)>,
        listen: Option<&str>,
    ) -> Self {
        let keypair = Keypair::generate_ed25519();
        let peer = keypair.public().to_peer_id();
        let behaviour = Behaviour::new();
        let control = behaviour.new_control();
        let config = Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
        let mut swarm = Swarm::new(transport(&keypair), behaviour, peer, config);
        let mut address = None;
        if let Some(listen) = listen {
            swarm.listen_on(listen.parse().expect("an address")).expect("a supported address");
            while address.is_none() {
                if let SwarmEvent::NewListenAddr { address: new, .. } = swarm.select_next_some().await {
                    address = Some(new.with_p2p(peer).expect("no other peer"));
                }
            }
        }
        let (happened, events) = mpsc::unbounded_channel();
        let (dial, mut dialed) = mpsc::unbounded_channel::<Multiaddr>();
        let swarm = tokio::spawn(async move {
            loop {
                tokio::select! {
                    event = swarm.select_next_some() => { let _ = happened.send(event); }
                    Some(address) = dialed.recv() => swarm.dial(address).expect("an address to dial"),
                }
            }
        });
        Self { peer, control, address, events, dial, swarm }
    }

    /// Answers each stream with what came, when all has come.
    pub(crate) fn echo(&mut self) {
        let mut streams = self.control.accept(ECHO).expect("is the first");
        tokio::spawn(async move {
            while let Some((_, mut stream)) = streams.next().await {
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).await.expect("ends");
                    stream.write_all(&bytes).await.expect("is read");
                    stream.close().await.expect("is open");
                });
            }
        });
    }

    /// Waits until it is connected to `other`.
    pub(crate) async fn connect(&mut self, other: &Self) {
        let address = other.address.clone().expect("it listens");
        self.dial.send(address).expect("it runs");
        self.event("a connection", |event| match event {
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                assert_eq!(peer_id, other.peer);
                Some(())
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => panic!("{error:?}"),
            _ => None,
        })
        .await;
    }

    pub(crate) fn dial(&self, address: Multiaddr) {
        self.dial.send(address).expect("it runs");
    }

    /// Waits for an event of which `pick` makes something.
    pub(crate) async fn event<T>(&mut self, what: &str, mut pick: impl FnMut(Event) -> Option<T>) -> T {
        patiently(what, async {
            loop {
                if let Some(picked) = pick(self.events.recv().await.expect("it runs")) {
                    return picked;
                }
            }
        })
        .await
    }

    pub(crate) async fn open(&mut self, peer: PeerId) -> Stream {
        patiently("a stream", self.control.open_stream(peer, ECHO)).await.expect("is connected")
    }

    /// Ends it without a word.
    pub(crate) fn kill(&self) {
        self.swarm.abort();
    }
}

pub(crate) async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} does not come"))
}

/// Bytes that repeat nowhere near.
pub(crate) fn bytes(len: u32) -> Vec<u8> {
    (0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Sends `len` bytes, closes, and reads them again.
pub(crate) async fn echoed(stream: &mut Stream, len: u32) {
    let sent = bytes(len);
    let mut got = Vec::new();
    patiently("the echo", async {
        stream.write_all(&sent).await.expect("is read");
        stream.close().await.expect("is open");
        stream.read_to_end(&mut got).await.expect("ends");
    })
    .await;
    assert!(got == sent, "{} bytes came back for {len}", got.len());
}
