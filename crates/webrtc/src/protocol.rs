//! What goes over the wire, and the state machines behind it: bytes and commands in, bytes and commands out.

mod address;
mod delimited;
mod direct;
mod fingerprint;
mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod half;
mod sdp;
mod session;
mod signal;

pub use self::{
    address::{AddressError, CircuitAddress, DirectAddress, webrtc_peer},
    delimited::DelimitError,
    direct::{Credentials, Dialed, UsernameError, Version},
    fingerprint::{Fingerprint, NotSha256, noise_prologue},
    frame::{FRAME_BYTES, Flag, Frame, FrameDecoder, PAYLOAD_BYTES},
    half::{FIN_ACK_TIMEOUT, Halves, ReadHalf, Received, WriteHalf},
    sdp::{Description, SdpError, Setup, munge},
    session::{CANDIDATES, Command, INIT_LABEL, Link, Role, SESSION_TIMEOUT, Session, SessionError},
    signal::{SIGNAL_BYTES, SIGNALING_PROTOCOL, Signal, SignalDecoder, SignalError},
};
