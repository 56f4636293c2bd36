//! Who is who on webrtc-direct: Noise over a channel of its own, bound to both certificates.

use futures::AsyncWriteExt;
use libp2p::{
    PeerId,
    core::upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
    identity::Keypair,
    noise,
};

use crate::{
    Channel, Stream,
    protocol::{Fingerprint, noise_prologue},
};

/// The side of webrtc-direct that dialled, or that was dialled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Dialled.
    Client,
    /// Was dialled; it speaks first.
    Server,
}

/// Proves our identity to the peer and learns the peer's. `ours` and `theirs` are the certificates' hashes; the stream
/// is that of channel 0.
pub async fn authenticate<C: Channel>(
    stream: Stream<C>,
    keypair: &Keypair,
    side: Side,
    ours: Fingerprint,
    theirs: Fingerprint,
) -> Result<PeerId, noise::Error> {
    let (client, server) = match side {
        Side::Client => (ours, theirs),
        Side::Server => (theirs, ours),
    };
    let noise = noise::Config::new(keypair)?.with_prologue(noise_prologue(client, server));
    // "B starts a Noise XX handshake": the names of the upgrades are of who speaks first.
    let (peer, mut stream) = match side {
        Side::Client => noise.upgrade_inbound(stream, "").await?,
        Side::Server => noise.upgrade_outbound(stream, "").await?,
    };
    // The peer may have closed it first.
    let _ = stream.close().await;
    Ok(peer)
}
