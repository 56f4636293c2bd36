//! What a worker needs of a system.

use std::future::Future;

use braidcast_net::Payload;
use bytes::Bytes;
use libp2p::Multiaddr;

/// The topic of all nodes.
pub(crate) const TOPIC: &str = "bench";

/// A running node that has joined [`TOPIC`].
pub(crate) trait Node: Sized + Send + 'static {
    /// Fewest mesh neighbours with which a node is content, if it knows that many others.
    const NEIGHBOURS_MIN: usize;

    /// Listens at `listen`; `seed` is its secret key.
    fn start(listen: Multiaddr, seed: [u8; 32]) -> impl Future<Output = anyhow::Result<Self>> + Send;

    /// Where others can dial it.
    fn address(&self) -> String;

    /// Dials once.
    fn dial(&mut self, address: Multiaddr) -> impl Future<Output = anyhow::Result<()>> + Send;

    /// Publishes to [`TOPIC`] and does not wait; a refusal is reported.
    fn publish(&mut self, number: u64, payload: Bytes);

    /// The next message of another node. Nothing is lost when the future is dropped.
    fn next(&mut self) -> impl Future<Output = anyhow::Result<Payload>> + Send;

    /// Connected peers that speak the protocol, and mesh neighbours.
    fn links(&self) -> Links;
}

/// How many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Links {
    pub(crate) peers: usize,
    pub(crate) neighbours: usize,
}
