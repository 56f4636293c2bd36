//! A native peer of `/webrtc` for others to test with. Has the relay whose webrtc-direct address is its first argument let others
//! through to it and prints where they dial it, and dials the peer at its second argument. Answers identify, ping and
//! `/echo/1.0.0`, and sends each peer that it has a direct connection to a megabyte to echo. Prints `echoed LEN` for each that comes
//! back.

mod common;

use std::{collections::HashMap, env, error::Error};

use braidcast_webrtc::{
    Config,
    native::{Native, direct},
    pair,
};
use futures::StreamExt;
use libp2p::{
    Multiaddr, PeerId, Swarm, Transport,
    core::{muxing::StreamMuxerBox, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{ConnectionId, NetworkBehaviour, SwarmEvent},
    yamux,
};

#[derive(NetworkBehaviour)]
struct Behaviour {
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    circuits: relay::client::Behaviour,
    signalling: braidcast_webrtc::Behaviour,
    streams: libp2p_stream::Behaviour,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut addresses = env::args().skip(1).map(|address| address.parse::<Multiaddr>());
    let relay = addresses.next().ok_or("usage: signalled RELAY [PEER]")??;
    let mut peer = addresses.next().transpose()?;
    let mut swarm = swarm(&Keypair::generate_ed25519())?;
    swarm.listen_on(relay.with(Protocol::P2pCircuit))?;
    let control = swarm.behaviour().streams.new_control();
    tokio::spawn(common::answer(control.clone()));

    // Connections over which was signalled.
    let mut circuits: HashMap<ConnectionId, PeerId> = HashMap::new();
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } if is_webrtc(&address) => {
                println!("{address}");
                // The relay is there.
                if let Some(peer) = peer.take() {
                    swarm.dial(peer)?;
                }
            }
            SwarmEvent::ConnectionEstablished { peer_id, connection_id, endpoint, .. } => {
                if is_webrtc(endpoint.get_remote_address()) {
                    // No stream is to go that way any more.
                    let there = circuits.iter().filter(|(_, peer)| **peer == peer_id);
                    for (&circuit, _) in there {
                        swarm.close_connection(circuit);
                    }
                } else if endpoint.is_relayed() {
                    circuits.insert(connection_id, peer_id);
                }
            }
            SwarmEvent::ConnectionClosed { peer_id, connection_id, num_established: 1.., .. }
                if circuits.remove(&connection_id).is_some() =>
            {
                tokio::spawn(common::ask(control.clone(), peer_id));
            }
            SwarmEvent::OutgoingConnectionError { error, .. } => println!("no connection: {error:?}"),
            _ => {}
        }
    }
}

fn swarm(keypair: &Keypair) -> Result<Swarm<Behaviour>, Box<dyn Error>> {
    let local = keypair.public().to_peer_id();
    let (circuit, circuits) = relay::client::new(local);
    let circuit = circuit
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(yamux::Config::default());
    let direct = direct::Transport::new(direct::Config::new(keypair.clone()));
    let native = Native { loopback: true, ..Native::default() };
    let (signalled, signalling) = pair(local, native, Config::default());
    // First, because the transport of circuits would take its addresses for its own.
    let transport = signalled
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)))
        .or_transport(circuit.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner())
        .or_transport(direct.map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer))))
        .map(|either, _| either.into_inner())
        .boxed();
    let behaviour = Behaviour {
        identify: common::identify(keypair),
        ping: ping::Behaviour::default(),
        circuits,
        signalling,
        streams: libp2p_stream::Behaviour::new(),
    };
    let mut swarm = Swarm::new(transport, behaviour, local, common::config());
    swarm.listen_on(Protocol::WebRTC.into())?;
    Ok(swarm)
}

fn is_webrtc(address: &Multiaddr) -> bool {
    address.iter().any(|part| part == Protocol::WebRTC)
}
