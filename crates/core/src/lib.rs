//! One sans-IO machine made of the mesh and, later, the tables: a whole node without input or output.
//!
//! [`Core`] multiplexes the frames of its parts in one envelope ([`Frame`]), hands events between them, and decides how
//! much bulk may be under way (`flow.rs`). What it is not: it opens no socket and reads no clock; `braidcast-net`
//! drives it.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod carry;
mod core;
mod flow;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod pace;
mod windowed;

pub use braidcast_machine as machine;
pub use braidcast_mesh as mesh;
pub use braidcast_rlnc as rlnc;
pub use braidcast_wire as wire;

pub use self::{
    core::{Command, Config, Core, Event, LinkInfo},
    frame::Frame,
};
