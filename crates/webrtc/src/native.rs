//! The native backend: ICE, DTLS and SCTP as state machines (`is`, `dimpl`, `sctp-proto`) over UDP sockets of tokio.
//!
//! | file | holds |
//! |---|---|
//! | `certificate` | a DTLS certificate out of a secret |
//! | `peer`, `sctp`, `window`, `dcep`, `stun` | a peer connection without input or output |
//! | [`direct`], `listener` | webrtc-direct: the transport, and all connections of one port |
//! | `signalled` | `/webrtc`: a connection by offer and answer |
//! | `udp`, `link`, `system` | sockets; the task that moves a connection's datagrams, and its handles |

mod certificate;
mod dcep;
pub mod direct;
mod link;
mod listener;
mod peer;
mod sctp;
mod signalled;
mod stun;
mod system;
#[cfg(test)]
mod tests;
mod udp;
mod window;

pub use self::{
    certificate::Certificate,
    link::{Connection, DataChannel},
    signalled::{Error, Native, Signalled},
};
