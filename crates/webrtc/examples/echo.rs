//! A peer for others to test with: listens for webrtc-direct or WebSocket at the address that is its argument, prints where, answers
//! identify, ping and `/echo/1.0.0`, and sends each peer that connects a megabyte to echo. Prints `connected PEER` for each, and
//! `echoed LEN` when the megabyte comes back. With `upstream` as second argument it is all rust-libp2p's own, which has webrtc-direct
//! of version 1.

mod common;

use std::{env, error::Error};

use braidcast_webrtc::native::direct::{Config, Transport};
use futures::StreamExt;
use libp2p::{
    PeerId, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identify,
    identity::Keypair,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, websocket, yamux,
};
use rand::SeedableRng;

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: libp2p_stream::Behaviour,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let listen = env::args().nth(1).ok_or("usage: echo MULTIADDR")?;
    let keypair = Keypair::generate_ed25519();
    let peer = keypair.public().to_peer_id();
    let behaviour = Behaviour {
        identify: common::identify(&keypair),
        ping: ping::Behaviour::default(),
        streams: libp2p_stream::Behaviour::new(),
    };
    let control = behaviour.streams.new_control();
    let transport = match env::args().nth(2).as_deref() {
        Some("upstream") => upstream(keypair)?,
        _ => ours(keypair)?,
    };
    let mut swarm = Swarm::new(transport, behaviour, peer, common::config());
    swarm.listen_on(listen.parse()?)?;

    tokio::spawn(common::answer(control.clone()));
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                println!("{}", address.with_p2p(peer).expect("no peer"));
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                println!("connected {peer_id}");
                tokio::spawn(common::ask(control.clone(), peer_id));
            }
            _ => {}
        }
    }
}

fn ours(keypair: Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Box<dyn Error>> {
    let web_socket = websocket::Config::new(tcp::tokio::Transport::default())
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(&keypair)?)
        .multiplex(yamux::Config::default());
    Ok(Transport::new(Config::new(keypair))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(web_socket.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner())
        .boxed())
}

fn upstream(keypair: Keypair) -> Result<Boxed<(PeerId, StreamMuxerBox)>, Box<dyn Error>> {
    // There may be more than one to choose from.
    let _ = rustls::crypto::ring::default_provider().install_default();
    // It takes its entropy elsewhere.
    let unused = &mut rand::rngs::StdRng::seed_from_u64(0);
    let certificate = libp2p_webrtc::tokio::Certificate::generate(unused)?;
    Ok(libp2p_webrtc::tokio::Transport::new(keypair, certificate)
        .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
        .boxed())
}
