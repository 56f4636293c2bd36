//! One sans-IO machine made of the mesh and, later, the tables.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod core;

pub use braidcast_machine as machine;
pub use braidcast_mesh as mesh;
pub use braidcast_rlnc as rlnc;
pub use braidcast_wire as wire;

pub use self::core::{Command, Config, Core, Event, Frame, LinkInfo};
