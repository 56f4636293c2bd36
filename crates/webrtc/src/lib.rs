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
//! | `transport`, `behaviour`, `handler` | `/webrtc`: [`pair`]; the behaviour finds a way to signal, the transport connects |
//! | `pipe`, `negotiate`, `sessions` | the way to signal; offer, answer, candidates; who with whom, and how many |
//! | `calls`, `sealed` | signalling that a third party carries, which can neither read nor change it |
//! | `handshake` | who is who on webrtc-direct |
//! | `web`, `native` | the backends, and webrtc-direct on each |
#![forbid(unsafe_code)]

mod behaviour;
mod calls;
mod channel;
mod handler;
mod handshake;
mod ice;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod memory;
mod muxer;
#[cfg(not(target_arch = "wasm32"))]
pub mod native;
mod negotiate;
mod pipe;
mod placed;
pub mod protocol;
mod sealed;
mod sessions;
mod stream;
#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests;
mod transport;
#[cfg(target_arch = "wasm32")]
pub mod web;

pub use self::{
    behaviour::{Behaviour, Unreachable},
    calls::{CallId, Calls, DATA_BYTES, Output as CallOutput},
    channel::{Channel, Channels, Closed, Lost},
    handler::Failure,
    handshake::{Side, authenticate},
    ice::IceServer,
    muxer::Muxer,
    negotiate::{Negotiate, NegotiateError},
    pipe::{Pipe, Signals},
    sealed::{Key, OVERHEAD_BYTES, Sealer},
    sessions::{Limits, Refusal},
    stream::Stream,
    transport::{Backend, Config, Error, Transport, pair},
};
