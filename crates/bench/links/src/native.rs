//! The native peer. Prints its addresses, one a line.

use std::time::Duration;

use braidcast_net::Yamux;
use braidcast_webrtc::native::direct;
use futures::StreamExt;
use libp2p::{
    PeerId, Swarm, Transport as _,
    core::{
        muxing::StreamMuxerBox,
        transport::{Boxed, OrTransport},
        upgrade::Version,
    },
    identify,
    identity::Keypair,
    noise, ping, relay,
    swarm::{Config, NetworkBehaviour, SwarmEvent},
    tcp, websocket,
};

use crate::perf;

const LISTEN: [&str; 2] = ["/ip4/127.0.0.1/tcp/0/ws", "/ip4/127.0.0.1/udp/0/webrtc-direct"];

#[derive(NetworkBehaviour)]
struct Behaviour {
    relay: relay::Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    streams: libp2p_stream::Behaviour,
}

pub(crate) async fn run() -> anyhow::Result<()> {
    let keypair = Keypair::generate_ed25519();
    let local = keypair.public().to_peer_id();
    let behaviour = Behaviour {
        relay: relay::Behaviour::new(local, relay::Config::default()),
        identify: identify::Behaviour::new(identify::Config::new("/bench/1.0.0".into(), keypair.public())),
        ping: ping::Behaviour::default(),
        streams: libp2p_stream::Behaviour::new(),
    };
    let control = behaviour.streams.new_control();
    let config = Config::with_tokio_executor().with_idle_connection_timeout(Duration::from_secs(600));
    let mut swarm = Swarm::new(transport(&keypair)?, behaviour, local, config);
    for address in LISTEN {
        swarm.listen_on(address.parse()?)?;
    }
    let tasks = tokio::task::LocalSet::new();
    tasks.spawn_local(perf::serve(control, |task| drop(tokio::task::spawn_local(task))));
    let swarming = async {
        loop {
            if let SwarmEvent::NewListenAddr { address, .. } = swarm.select_next_some().await {
                // Without one a relay has no place to offer.
                swarm.add_external_address(address.clone());
                println!("{}", address.with_p2p(local).expect("it names no peer"));
            }
        }
    };
    tasks.run_until(swarming).await
}

fn transport(keypair: &Keypair) -> anyhow::Result<Boxed<(PeerId, StreamMuxerBox)>> {
    let tcp = tcp::tokio::Transport::new(tcp::Config::new().nodelay(true));
    let socket = websocket::Config::new(tcp)
        .upgrade(Version::V1Lazy)
        .authenticate(noise::Config::new(keypair)?)
        .multiplex(Yamux::default())
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    let direct = direct::Transport::new(direct::Config::new(keypair.clone()))
        .map(|(peer, muxer), _| (peer, StreamMuxerBox::new(muxer)));
    Ok(OrTransport::new(direct, socket).map(|either, _| either.into_inner()).boxed())
}
