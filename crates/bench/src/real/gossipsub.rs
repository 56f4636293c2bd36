//! rust-libp2p's gossipsub with its defaults, on the same transport: TCP without delay, Noise, Yamux.
//!
//! Not default: messages may be longer than 64 KiB, and none is dropped from a send queue for its length or its age;
//! a connection without traffic is kept.

use std::time::Duration;

use anyhow::Context as _;
use braidcast_net::Payload;
use bytes::Bytes;
use futures::StreamExt as _;
use libp2p::{
    Multiaddr, Swarm, SwarmBuilder, identity::Keypair, multiaddr::Protocol, noise, swarm::SwarmEvent, tcp,
    yamux,
};
use libp2p_gossipsub::{Behaviour, ConfigBuilder, Event, IdentTopic, MessageAuthenticity};

use super::{
    node::{Links, Node, TOPIC},
    worker::{Report, tell},
};

/// The longest message of the benchmarks and room for what is around it.
const TRANSMIT_BYTES: usize = 17 * 1024 * 1024;
/// Send queues in messages; the default is 5,000.
const QUEUE: usize = 100_000;
/// Longer than any run.
const LONG: Duration = Duration::from_secs(3600);

pub(crate) struct Gossipsub {
    swarm: Swarm<Behaviour>,
    address: Multiaddr,
}

impl Node for Gossipsub {
    const NEIGHBOURS_MIN: usize = 5;

    async fn start(listen: Multiaddr, seed: [u8; 32]) -> anyhow::Result<Self> {
        let keypair = Keypair::ed25519_from_bytes(seed)?;
        let config = ConfigBuilder::default()
            .max_transmit_size(TRANSMIT_BYTES)
            .connection_handler_queue_len(QUEUE)
            .publish_queue_duration(LONG)
            .forward_queue_duration(LONG)
            .build()?;
        let mut behaviour = Behaviour::new(MessageAuthenticity::Signed(keypair.clone()), config)
            .map_err(anyhow::Error::msg)?;
        behaviour.subscribe(&IdentTopic::new(TOPIC))?;
        let mut swarm = SwarmBuilder::with_existing_identity(keypair)
            .with_tokio()
            .with_tcp(tcp::Config::new().nodelay(true), noise::Config::new, yamux::Config::default)?
            .with_behaviour(|_| behaviour)?
            .with_swarm_config(|config| config.with_idle_connection_timeout(LONG))
            .build();
        swarm.listen_on(listen)?;
        loop {
            match swarm.select_next_some().await {
                SwarmEvent::NewListenAddr { address, .. } => {
                    let address = address.with(Protocol::P2p(*swarm.local_peer_id()));
                    return Ok(Self { swarm, address });
                }
                SwarmEvent::ListenerClosed { reason, .. } => reason.context("cannot listen")?,
                _ => {}
            }
        }
    }

    fn address(&self) -> String {
        self.address.to_string()
    }

    async fn dial(&mut self, address: Multiaddr) -> anyhow::Result<()> {
        Ok(self.swarm.dial(address)?)
    }

    fn publish(&mut self, number: u64, payload: Bytes) {
        if let Err(error) = self.swarm.behaviour_mut().publish(IdentTopic::new(TOPIC), payload) {
            tell(&Report::Refused { number, why: error.to_string() });
        }
    }

    async fn next(&mut self) -> anyhow::Result<Payload> {
        loop {
            if let SwarmEvent::Behaviour(Event::Message { message, .. }) = self.swarm.select_next_some().await
            {
                return Ok(Bytes::from(message.data).into());
            }
        }
    }

    fn links(&self) -> Links {
        let behaviour = self.swarm.behaviour();
        let topic = IdentTopic::new(TOPIC).hash();
        Links { peers: behaviour.all_peers().count(), neighbours: behaviour.mesh_peers(&topic).count() }
    }
}
