//! A peer for others to test with: listens for webrtc-direct or WebSocket at the address that is its argument, prints where, answers
//! identify, ping and `/echo/1.0.0`, and sends each peer that connects a megabyte to echo. Prints `connected PEER` for each, and
//! `echoed LEN` when the megabyte comes back. With `upstream` as second argument it is all rust-libp2p's own, which has webrtc-direct
//! of version 1.

use std::{env, error::Error, time::Duration};

use braidcast_webrtc::native::direct::{Config, Transport};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::{
    PeerId, StreamProtocol, Swarm, Transport as _,
    core::{muxing::StreamMuxerBox, transport::Boxed, upgrade::Version},
    identify,
    identity::Keypair,
    noise, ping,
    swarm::{NetworkBehaviour, SwarmEvent},
    tcp, websocket, yamux,
};
use rand::SeedableRng;

const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");

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
        identify: identify::Behaviour::new(identify::Config::new("/echo/1.0.0".into(), keypair.public())),
        ping: ping::Behaviour::default(),
        streams: libp2p_stream::Behaviour::new(),
    };
    let mut control = behaviour.streams.new_control();
    let transport = match env::args().nth(2).as_deref() {
        Some("upstream") => upstream(keypair)?,
        _ => ours(keypair)?,
    };
    let config =
        libp2p::swarm::Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(60));
    let mut swarm = Swarm::new(transport, behaviour, peer, config);
    swarm.listen_on(listen.parse()?)?;

    let mut incoming = control.accept(ECHO)?;
    tokio::spawn(async move {
        while let Some((_, mut stream)) = incoming.next().await {
            tokio::spawn(async move {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await?;
                stream.write_all(&bytes).await?;
                stream.close().await
            });
        }
    });
    loop {
        match swarm.select_next_some().await {
            SwarmEvent::NewListenAddr { address, .. } => {
                println!("{}", address.with_p2p(peer).expect("no peer"));
            }
            SwarmEvent::ConnectionEstablished { peer_id, .. } => {
                println!("connected {peer_id}");
                let control = control.clone();
                tokio::spawn(async move {
                    match ask(control, peer_id).await {
                        Ok(len) => println!("echoed {len}"),
                        Err(error) => println!("no echo: {error}"),
                    }
                });
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

/// Sends a megabyte, closes, and reads it again.
async fn ask(
    mut control: libp2p_stream::Control,
    peer: PeerId,
) -> Result<usize, Box<dyn Error + Send + Sync>> {
    let mut stream = control.open_stream(peer, ECHO).await?;
    let sent: Vec<u8> = (0..1_u32 << 20).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    stream.write_all(&sent).await?;
    stream.close().await?;
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await?;
    if got == sent { Ok(got.len()) } else { Err(format!("{} other bytes came back", got.len()).into()) }
}
