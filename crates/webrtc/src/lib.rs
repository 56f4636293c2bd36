//! WebRTC as a libp2p transport: browser to browser, browser to native node, native to native.
//!
//! Two addresses, as in <https://github.com/libp2p/specs/tree/master/webrtc>:
//!
//! - `/ip4/…/udp/…/webrtc-direct/certhash/…`: a node with a public address; no signalling, Noise proves who is who.
//! - `…/p2p-circuit/webrtc/p2p/…`: two nodes that already have some connection, over which they signal.
//!
//! It knows nothing of Braidcast.
//!
//! | module | holds |
//! |---|---|
//! | [`protocol`] | what goes over the wire and the state machines behind it: no sockets, no clocks, no libp2p |
//! | `channel` | [`Channels`] and [`Channel`]: what a backend provides, a peer connection and a data channel |
//! | `stream`, `muxer` | libp2p's streams and muxer over any backend |
#![forbid(unsafe_code)]

mod channel;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod memory;
mod muxer;
pub mod protocol;
mod stream;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;

pub use self::{
    channel::{Channel, Channels, Closed, Lost},
    muxer::Muxer,
    stream::Stream,
};
