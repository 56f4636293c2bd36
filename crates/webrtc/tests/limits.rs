//! What a listener of webrtc-direct takes from strangers: first packets, as whoever floods it would send them.
#![cfg(target_os = "linux")] // Elsewhere loopback has one address.

mod common;

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};

use braidcast_webrtc::native::direct::{Config, Transport};
use common::patiently;
use futures::{FutureExt, future::poll_fn};
use is::{
    DefaultSha1HmacProvider, Sha1HmacProvider,
    stun::{StunMessage, TransId},
};
use libp2p::{
    Multiaddr, Transport as _,
    core::transport::{ListenerId, TransportEvent},
    identity::Keypair,
    multiaddr::Protocol,
};

type Upgrade = <Transport as libp2p::Transport>::ListenerUpgrade;

struct Listener {
    transport: Transport,
    address: SocketAddr,
    /// Connections that somebody opens. They live as long as their upgrades.
    incoming: Vec<Upgrade>,
    /// From which somebody knocked, so that no port is used twice.
    sockets: Vec<UdpSocket>,
}

impl Listener {
    async fn start() -> Self {
        let transport = Transport::new(Config::new(Keypair::generate_ed25519()));
        let address = ([0; 4], 0).into();
        let mut listener = Self { transport, address, incoming: Vec::new(), sockets: Vec::new() };
        let any = "/ip4/0.0.0.0/udp/0/webrtc-direct".parse().expect("an address");
        listener.transport.listen_on(ListenerId::next(), any).expect("a free port");
        let port = match listener.event().await {
            TransportEvent::NewAddress { listen_addr, .. } => port(&listen_addr),
            event => panic!("{event:?}"),
        };
        listener.address = (Ipv4Addr::LOCALHOST, port).into();
        listener
    }

    async fn event(&mut self) -> TransportEvent<Upgrade, <Transport as libp2p::Transport>::Error> {
        let transport = &mut self.transport;
        patiently("an event", poll_fn(|context| std::pin::Pin::new(&mut *transport).poll(context))).await
    }

    /// Waits for the next connection; where it comes from.
    async fn opened(&mut self) -> u16 {
        loop {
            if let TransportEvent::Incoming { upgrade, send_back_addr, .. } = self.event().await {
                self.incoming.push(upgrade);
                return port(&send_back_addr);
            }
        }
    }

    /// Sends a first packet from 127.0.0.`host`, with this as both user names and password; the port it comes from.
    fn knock(&mut self, host: u8, ufrag: &str) -> u16 {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, host), 0)).expect("a free port");
        let username = format!("{ufrag}:{ufrag}");
        let request = StunMessage::binding_request(&username, TransId::new(), true, 1, 1, false);
        let mut bytes = [0; 1024];
        let hmac = |key: &[u8], parts: &[&[u8]]| DefaultSha1HmacProvider.sha1_hmac(key, parts);
        let len = request.to_bytes(Some(ufrag.as_bytes()), &mut bytes, hmac).expect("there is room");
        socket.send_to(&bytes[..len], self.address).expect("loopback takes it");
        let port = socket.local_addr().expect("is bound").port();
        self.sockets.push(socket);
        port
    }
}

fn port(address: &Multiaddr) -> u16 {
    let port = |part| if let Protocol::Udp(port) = part { Some(port) } else { None };
    address.iter().find_map(port).expect("a port")
}

fn ufrag(number: usize) -> String {
    format!("libp2p+webrtc+v1/{number:032}")
}

#[tokio::test]
async fn only_known_versions_are_answered() {
    let mut listener = Listener::start().await;
    listener.knock(1, "libp2p+webrtc+v3/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    listener.knock(1, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
    listener.knock(1, "libp2p+webrtc+v2/short");
    let known = listener.knock(1, &ufrag(0));
    assert_eq!(listener.opened().await, known);
}

#[tokio::test]
async fn one_address_opens_64_at_once() {
    let mut listener = Listener::start().await;
    for number in 0..64 {
        let knocked = listener.knock(1, &ufrag(number));
        assert_eq!(listener.opened().await, knocked);
    }
    listener.knock(1, &ufrag(64));
    let other = listener.knock(2, &ufrag(65));
    assert_eq!(listener.opened().await, other, "the 65th is refused");
    // One that is given up makes room.
    drop(listener.incoming.remove(0));
    patiently("room", async {
        for number in 33.. {
            let knocked = listener.knock(1, &ufrag(2 * number));
            let other = listener.knock(3, &ufrag(2 * number + 1));
            let opened = listener.opened().await;
            if opened == knocked {
                return;
            }
            assert_eq!(opened, other);
            listener.incoming.pop();
        }
    })
    .await;
}

#[tokio::test]
async fn the_oldest_of_256_makes_room() {
    let mut listener = Listener::start().await;
    for number in 0..257 {
        let knocked = listener.knock(1 + (number / 64) as u8, &ufrag(number));
        assert_eq!(listener.opened().await, knocked);
    }
    let oldest = listener.incoming.remove(0);
    let error = patiently("its end", oldest).await.expect_err("it was given up");
    assert!(error.to_string().contains("too many connections"), "{error}");
    let second = listener.incoming.remove(0);
    assert!(second.now_or_never().is_none(), "one was enough");
}
