//! A deterministic world of machines: nodes with an uplink and a downlink, links with latency, one virtual clock.
//!
//! A [`World`] hosts any [`Machine`](braidcast_machine::Machine) as a network would: it hands in what happened, drains what the machine says, lets
//! it compute, and asks for a bulk frame at the moment when the uplink is free. One seed gives one run, on every
//! target; [`World::trace_hash`] is its fingerprint. There is no clock, no thread and no floating point here.
//!
//! **A frame's way.** The sender's uplink (one server; control ahead of the next bulk frame, never inside one), the
//! link's throttle if it has one, the latency, the receiver's downlink. Throttle and downlink work cut-through: a bit
//! is passed on when it comes, so equal rates in a row cost the frame's length once. Links are reliable and ordered;
//! a lost frame is a late one, and what follows it on its link waits behind it.
//!
//! **Late or early choice.** By default a bulk frame is made when it leaves, for links with fewer than
//! [`Window`] bytes unacknowledged. [`NodeProfile::send_buffer_bytes`] models the host that writes into kernel
//! buffers instead.
//!
//! Not modelled: competing traffic, congestion control beyond slow start, and the time that a machine takes for anything but
//! [`work`](braidcast_machine::Machine::work).
#![forbid(unsafe_code)]

mod agenda;
mod host;
mod link;
mod node;
mod path;
mod rate;
mod run;
mod trace;
mod view;
mod world;

pub use link::{LinkProfile, Window};
pub use node::{NodeIndex, NodeProfile};
pub use trace::{Ban, Report, Traffic, Usage};
pub use world::{ConnectError, Verdict, World};
