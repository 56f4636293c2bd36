//! A libp2p node in a page, for tests and benchmarks beside js-libp2p: `/webrtc` through a relay that it reaches by WebSocket,
//! identify, ping, and `/echo/1.0.0`. Bound for JavaScript by `cargo xtask`; no package ships it.
#![cfg_attr(not(target_arch = "wasm32"), allow(missing_docs, reason = "empty: it is for browsers"))]
#![cfg(target_arch = "wasm32")]

use std::{
    collections::{HashMap, HashSet},
    future::poll_fn,
    task::Poll,
};

use braidcast_webrtc::{Config, pair, web::Browser};
use futures::{
    AsyncReadExt, AsyncWriteExt, StreamExt,
    channel::{mpsc, oneshot},
};
use libp2p::{
    Multiaddr, PeerId, StreamProtocol, Swarm, Transport,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{ConnectionId, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
    websocket_websys, yamux,
};
use libp2p_stream::Control;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    circuits: relay::client::Behaviour,
    signalling: braidcast_webrtc::Behaviour,
    streams: libp2p_stream::Behaviour,
}

/// A running node.
#[wasm_bindgen]
pub struct Page {
    id: PeerId,
    asks: mpsc::UnboundedSender<Ask>,
    streams: Control,
}

/// What is awaited.
enum Ask {
    /// A place at this relay: our address there.
    Listen(Multiaddr, oneshot::Sender<String>),
    Dial(Multiaddr, oneshot::Sender<Result<PeerId, String>>),
    /// What a peer says of itself, once it has answered a ping as well.
    Meet(PeerId, oneshot::Sender<Vec<String>>),
}

#[wasm_bindgen]
impl Page {
    /// Starts it.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Result<Page, JsError> {
        let keypair = Keypair::generate_ed25519();
        let id = keypair.public().to_peer_id();
        let swarm = swarm(&keypair)?;
        let mut streams = swarm.behaviour().streams.new_control();
        let mut incoming = streams.accept(ECHO)?;
        spawn_local(async move {
            while let Some((_, mut stream)) = incoming.next().await {
                spawn_local(async move {
                    let mut bytes = Vec::new();
                    if stream.read_to_end(&mut bytes).await.is_ok() && stream.write_all(&bytes).await.is_ok()
                    {
                        // Who asked finds out.
                        let _ = stream.close().await;
                    }
                });
            }
        });
        let (asks, asked) = mpsc::unbounded();
        spawn_local(run(swarm, asked));
        Ok(Self { id, asks, streams })
    }

    /// Its id.
    #[wasm_bindgen(getter)]
    pub fn id(&self) -> String {
        self.id.to_string()
    }

    /// Has a relay let others through to it; returns where they dial `/webrtc`.
    pub async fn listen(&self, relay: String) -> Result<String, JsError> {
        let address: Multiaddr = relay.parse()?;
        self.ask(|reply| Ask::Listen(address.with(Protocol::P2pCircuit), reply)).await
    }

    /// Dials; returns who is there.
    pub async fn dial(&self, address: String) -> Result<String, JsError> {
        let address = address.parse()?;
        let peer = self.ask(|reply| Ask::Dial(address, reply)).await?;
        peer.map(|peer| peer.to_string()).map_err(|error| JsError::new(&error))
    }

    /// Waits until a connected peer has identified itself and has answered a ping; returns its protocols.
    pub async fn meet(&self, peer: String) -> Result<Vec<String>, JsError> {
        let peer = peer.parse()?;
        self.ask(|reply| Ask::Meet(peer, reply)).await
    }

    /// Sends `bytes`, closes, and reads what comes back.
    pub async fn echo(&self, peer: String, bytes: Vec<u8>) -> Result<Vec<u8>, JsError> {
        let mut stream = self.streams.clone().open_stream(peer.parse()?, ECHO).await?;
        stream.write_all(&bytes).await?;
        stream.close().await?;
        let mut echo = Vec::new();
        stream.read_to_end(&mut echo).await?;
        Ok(echo)
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, JsError> {
        let (reply, answer) = oneshot::channel();
        self.asks.unbounded_send(ask(reply))?;
        Ok(answer.await?)
    }
}

fn swarm(keypair: &Keypair) -> Result<Swarm<Behaviour>, JsError> {
    let local = keypair.public().to_peer_id();
    let (circuit, circuits) = relay::client::new(local);
    let relayed = circuit
        .or_transport(websocket_websys::Transport::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let (direct, signalling) = pair(local, Browser::default(), Config::default());
    // First, because the transport of circuits would take its addresses for its own.
    let transport = direct
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(relayed)
        .map(|either, _| either.into_inner())
        .boxed();
    let behaviour = Behaviour {
        identify: identify::Behaviour::new(identify::Config::new("/page/1.0.0".into(), keypair.public())),
        ping: ping::Behaviour::default(),
        circuits,
        signalling,
        streams: libp2p_stream::Behaviour::new(),
    };
    let config = libp2p::swarm::Config::with_wasm_executor()
        .with_idle_connection_timeout(std::time::Duration::from_secs(600));
    let mut swarm = Swarm::new(transport, behaviour, local, config);
    swarm.listen_on(Protocol::WebRTC.into())?;
    Ok(swarm)
}

/// What is awaited, and what has come about.
#[derive(Default)]
struct Waiting {
    listening: Vec<oneshot::Sender<String>>,
    dialling: HashMap<ConnectionId, oneshot::Sender<Result<PeerId, String>>>,
    /// Connections through a relay, over which was signalled.
    circuits: HashMap<ConnectionId, PeerId>,
    meeting: Vec<(PeerId, oneshot::Sender<Vec<String>>)>,
    identified: HashMap<PeerId, Vec<String>>,
    pinged: HashSet<PeerId>,
}

async fn run(mut swarm: Swarm<Behaviour>, mut asked: mpsc::UnboundedReceiver<Ask>) {
    let mut waiting = Waiting::default();
    loop {
        let next = poll_fn(|context| {
            if let Poll::Ready(ask) = asked.poll_next_unpin(context) {
                return Poll::Ready(ask.map(Ok));
            }
            swarm.poll_next_unpin(context).map(|event| event.map(Err))
        });
        match next.await {
            Some(Ok(ask)) => waiting.on_ask(&mut swarm, ask),
            Some(Err(event)) => waiting.on_event(&mut swarm, event),
            None => return,
        }
        waiting.meet();
    }
}

impl Waiting {
    fn on_ask(&mut self, swarm: &mut Swarm<Behaviour>, ask: Ask) {
        match ask {
            Ask::Listen(address, reply) => match swarm.listen_on(address) {
                Ok(_) => self.listening.push(reply),
                // Who waits is told by the reply that is dropped.
                Err(_) => {}
            },
            Ask::Dial(address, reply) => {
                let opts = DialOpts::unknown_peer_id().address(address).build();
                let connection = opts.connection_id();
                match swarm.dial(opts) {
                    Ok(()) => drop(self.dialling.insert(connection, reply)),
                    Err(error) => drop(reply.send(Err(error.to_string()))),
                }
            }
            Ask::Meet(peer, reply) => self.meeting.push((peer, reply)),
        }
    }

    fn on_event(&mut self, swarm: &mut Swarm<Behaviour>, event: SwarmEvent<BehaviourEvent>) {
        match event {
            SwarmEvent::NewListenAddr { address, .. } if is_webrtc(&address) => {
                for reply in self.listening.drain(..) {
                    let _ = reply.send(address.to_string());
                }
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                if endpoint.is_relayed() && !is_webrtc(endpoint.get_remote_address()) {
                    self.circuits.insert(connection_id, peer_id);
                } else {
                    // No stream is to go that way any more.
                    for (circuit, _) in self.circuits.extract_if(|_, peer| *peer == peer_id) {
                        swarm.close_connection(circuit);
                    }
                }
                if let Some(reply) = self.dialling.remove(&connection_id) {
                    let _ = reply.send(Ok(peer_id));
                }
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(reply) = self.dialling.remove(&connection_id) {
                    let _ = reply.send(Err(error.to_string()));
                }
            }
            SwarmEvent::Behaviour(BehaviourEvent::Identify(identify::Event::Received {
                peer_id,
                info,
                ..
            })) => {
                self.identified.insert(peer_id, info.protocols.iter().map(ToString::to_string).collect());
            }
            SwarmEvent::Behaviour(BehaviourEvent::Ping(ping::Event { peer, result: Ok(_), .. })) => {
                self.pinged.insert(peer);
            }
            _ => {}
        }
    }

    /// Answers those who wait for a peer that is met by now.
    fn meet(&mut self) {
        for (peer, reply) in self
            .meeting
            .extract_if(.., |(peer, _)| self.pinged.contains(peer) && self.identified.contains_key(peer))
        {
            let _ = reply.send(self.identified[&peer].clone());
        }
    }
}

fn is_webrtc(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::WebRTC)
}
