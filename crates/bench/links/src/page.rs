//! The peer in a page.

use std::{collections::HashMap, future::poll_fn, task::Poll, time::Duration};

use braidcast_net::{WebSocket, Yamux};
use braidcast_webrtc::{
    Behaviour as Signalling, pair,
    web::{Browser, direct},
};
use futures::{
    StreamExt,
    channel::{mpsc, oneshot},
};
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identity::Keypair,
    multiaddr::Protocol,
    noise, relay,
    swarm::{ConnectionId, NetworkBehaviour, SwarmEvent, dial_opts::DialOpts},
};
use libp2p_stream::Control;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::spawn_local;

use crate::perf;

#[derive(NetworkBehaviour)]
struct Behaviour {
    circuits: relay::client::Behaviour,
    signalling: Signalling,
    streams: libp2p_stream::Behaviour,
}

/// A running peer.
#[wasm_bindgen]
pub struct Page {
    orders: mpsc::UnboundedSender<Order>,
    streams: Control,
}

enum Order {
    /// Take a place at this relay; the answer is our address there.
    Listen(Multiaddr, oneshot::Sender<String>),
    Dial(Multiaddr, oneshot::Sender<Result<PeerId, String>>),
}

#[wasm_bindgen]
impl Page {
    /// Starts it.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Result<Page, JsError> {
        let swarm = swarm(&Keypair::generate_ed25519())?;
        let streams = swarm.behaviour().streams.new_control();
        spawn_local(perf::serve(streams.clone(), spawn_local));
        let (orders, ordered) = mpsc::unbounded();
        spawn_local(run(swarm, ordered));
        Ok(Self { orders, streams })
    }

    /// Has a relay let others through to it; returns where they dial `/webrtc`.
    pub async fn listen(&self, relay: String) -> Result<String, JsError> {
        let address = relay.parse::<Multiaddr>()?.with(Protocol::P2pCircuit);
        self.order(|reply| Order::Listen(address, reply)).await
    }

    /// Dials; returns who is there.
    pub async fn dial(&self, address: String) -> Result<String, JsError> {
        let address = address.parse()?;
        let peer = self.order(|reply| Order::Dial(address, reply)).await?;
        peer.map(|peer| peer.to_string()).map_err(|error| JsError::new(&error))
    }

    /// Sends so many bytes and then gets so many, over one stream.
    pub async fn transfer(&self, peer: String, send: u32, get: u32) -> Result<(), JsError> {
        let stream = self.streams.clone().open_stream(peer.parse()?, perf::PERF).await?;
        Ok(perf::transfer(stream, send.into(), get.into()).await?)
    }

    /// So many on one stream, one after the other.
    pub async fn round_trips(&self, peer: String, count: u32) -> Result<(), JsError> {
        let stream = self.streams.clone().open_stream(peer.parse()?, perf::ECHO).await?;
        Ok(perf::round_trips(stream, count).await?)
    }

    async fn order<T>(&self, order: impl FnOnce(oneshot::Sender<T>) -> Order) -> Result<T, JsError> {
        let (reply, answer) = oneshot::channel();
        self.orders.unbounded_send(order(reply))?;
        Ok(answer.await?)
    }
}

/// The transports of the npm package, with Yamux uncorked, and without its limits.
fn swarm(keypair: &Keypair) -> Result<Swarm<Behaviour>, JsError> {
    let local = keypair.public().to_peer_id();
    let (circuit, circuits) = relay::client::new(local);
    let relayed = circuit
        .or_transport(WebSocket)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(Yamux::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let (links, signalling) = pair(local, Browser::default(), braidcast_webrtc::Config::default());
    let direct = direct::Transport::new(direct::Config::new(keypair.clone()));
    let transport = links
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(relayed)
        .map(|either, _| either.into_inner())
        .or_transport(direct.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner())
        .boxed();
    let behaviour = Behaviour { circuits, signalling, streams: libp2p_stream::Behaviour::new() };
    let config =
        libp2p::swarm::Config::with_wasm_executor().with_idle_connection_timeout(Duration::from_secs(600));
    let mut swarm = Swarm::new(transport, behaviour, local, config);
    swarm.listen_on(Protocol::WebRTC.into())?;
    Ok(swarm)
}

/// Who waits for what.
#[derive(Default)]
struct Waiting {
    listening: Vec<oneshot::Sender<String>>,
    dialling: HashMap<ConnectionId, oneshot::Sender<Result<PeerId, String>>>,
    /// Until no stream can take the circuit over which was signalled.
    linked: Vec<(PeerId, oneshot::Sender<Result<PeerId, String>>)>,
    circuits: HashMap<ConnectionId, PeerId>,
}

async fn run(mut swarm: Swarm<Behaviour>, mut ordered: mpsc::UnboundedReceiver<Order>) {
    let mut waiting = Waiting::default();
    loop {
        let next = poll_fn(|context| match ordered.poll_next_unpin(context) {
            Poll::Ready(order) => Poll::Ready(order.map(Ok)),
            Poll::Pending => swarm.poll_next_unpin(context).map(|event| event.map(Err)),
        });
        match next.await {
            Some(Ok(order)) => waiting.on_order(&mut swarm, order),
            Some(Err(event)) => waiting.on_event(&mut swarm, event),
            None => return,
        }
    }
}

impl Waiting {
    /// An answer that is dropped says that it does not work.
    fn on_order(&mut self, swarm: &mut Swarm<Behaviour>, order: Order) {
        match order {
            Order::Listen(address, reply) => {
                if swarm.listen_on(address).is_ok() {
                    self.listening.push(reply);
                }
            }
            Order::Dial(address, reply) => {
                let opts = DialOpts::unknown_peer_id().address(address).build();
                let connection = opts.connection_id();
                match swarm.dial(opts) {
                    Ok(()) => drop(self.dialling.insert(connection, reply)),
                    Err(error) => drop(reply.send(Err(error.to_string()))),
                }
            }
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
                }
                if let Some(reply) = self.dialling.remove(&connection_id) {
                    self.linked.push((peer_id, reply));
                    for (circuit, _) in self.circuits.iter().filter(|(_, peer)| **peer == peer_id) {
                        swarm.close_connection(*circuit);
                    }
                }
            }
            SwarmEvent::ConnectionClosed { connection_id, .. } => {
                self.circuits.remove(&connection_id);
            }
            SwarmEvent::OutgoingConnectionError { connection_id, error, .. } => {
                if let Some(reply) = self.dialling.remove(&connection_id) {
                    let _ = reply.send(Err(error.to_string()));
                }
            }
            _ => {}
        }
        let circuits = &self.circuits;
        let is_direct = |(peer, _): &mut (PeerId, _)| circuits.values().all(|other| other != peer);
        for (peer, reply) in self.linked.extract_if(.., is_direct) {
            let _ = reply.send(Ok(peer));
        }
    }
}

fn is_webrtc(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::WebRTC)
}
