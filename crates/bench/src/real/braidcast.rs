//! Braidcast as it ships: the node of `braidcast-net` with its defaults.

use anyhow::Context as _;
use braidcast_net::{Config, Content, Event, Events, Identity, Payload, Topic};
use bytes::Bytes;
use libp2p::Multiaddr;

use super::{
    node::{Links, Node, TOPIC},
    worker::{Report, tell},
};

pub(crate) struct Braidcast {
    node: braidcast_net::Node,
    events: Events,
    address: String,
}

impl Node for Braidcast {
    const NEIGHBOURS_MIN: usize = 6;

    async fn start(listen: Multiaddr, seed: [u8; 32]) -> anyhow::Result<Self> {
        let mut config = Config::new(Identity::from_seed(&seed));
        config.listen = vec![listen];
        let (node, events) = braidcast_net::Node::start(config).await?;
        node.subscribe(topic()).await?;
        let address = node.addresses().await?.first().context("it listens nowhere")?.to_string();
        Ok(Self { node, events, address })
    }

    fn address(&self) -> String {
        self.address.clone()
    }

    async fn dial(&mut self, address: Multiaddr) -> anyhow::Result<()> {
        Ok(self.node.dial(address).await?)
    }

    fn publish(&mut self, number: u64, payload: Bytes) {
        let node = self.node.clone();
        let content = Content { payload: payload.into(), ..Content::default() };
        tokio::spawn(async move {
            if let Err(error) = node.publish(topic(), content).await {
                tell(&Report::Refused { number, why: error.to_string() });
            }
        });
    }

    async fn next(&mut self) -> anyhow::Result<Payload> {
        loop {
            match self.events.next().await.context("the node has stopped")? {
                Event::Message(message) => return Ok(message.content.payload),
                Event::Lagged { messages } => anyhow::bail!("{messages} events were dropped here"),
                _ => {}
            }
        }
    }

    fn links(&self) -> Links {
        let stats = self.node.stats();
        Links { peers: stats.peers as usize, neighbours: stats.grafts.saturating_sub(stats.prunes) as usize }
    }
}

fn topic() -> Topic {
    Topic::new(TOPIC).expect("a short name")
}
