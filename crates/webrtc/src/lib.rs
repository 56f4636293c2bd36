//! WebRTC as a libp2p transport: browser to browser, browser to native node, native to native.
//!
//! Two addresses, as in <https://github.com/libp2p/specs/tree/master/webrtc>:
//!
//! - `/ip4/…/udp/…/webrtc-direct/certhash/…`: a node with a public address; no signalling, Noise proves who is who.
//! - `…/p2p-circuit/webrtc/p2p/…`: two nodes that already have some connection, over which they signal.
//!
//! It knows nothing of Braidcast. [`protocol`] is what both backends share: no sockets, no clocks, no libp2p.
#![forbid(unsafe_code)]

pub mod protocol;
