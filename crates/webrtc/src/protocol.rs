//! What goes over the wire, and the state machines behind it: bytes and commands in, bytes and commands out.

mod delimited;
mod frame;
mod half;

pub use self::{
    delimited::DelimitError,
    frame::{FRAME_BYTES, Flag, Frame, FrameDecoder, PAYLOAD_BYTES},
    half::{FIN_ACK_TIMEOUT, Halves, ReadHalf, Received, WriteHalf},
};
