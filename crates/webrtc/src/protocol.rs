//! What goes over the wire, and the state machines behind it: bytes and commands in, bytes and commands out.

mod delimited;
mod frame;
mod half;
mod session;
mod signal;

pub use self::{
    delimited::DelimitError,
    frame::{FRAME_BYTES, Flag, Frame, FrameDecoder, PAYLOAD_BYTES},
    half::{FIN_ACK_TIMEOUT, Halves, ReadHalf, Received, WriteHalf},
    session::{CANDIDATES, Command, INIT_LABEL, Link, Role, SESSION_TIMEOUT, Session, SessionError},
    signal::{SIGNAL_BYTES, SIGNALING_PROTOCOL, Signal, SignalDecoder, SignalError},
};
