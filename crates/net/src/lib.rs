//! A Braidcast node on a network: libp2p around the core, the same names natively and in the browser.
//!
//! This is the only floor that is async, and its `platform` module the only place that knows which target it runs on.
//! It drives one [`braidcast_core::Core`], which decides what is said to whom; what is here carries bytes, keeps the
//! links to the relays, and hands events to the application. It knows no message format beyond the frame's length.
//!
//! | file | holds |
//! |---|---|
//! | `node` | [`Node`], the handle, and its errors |
//! | `config` | [`Config`] |
//! | `inbox` | [`Events`]: what the application is told, bounded |
//! | `stats` | [`Stats`]: counters |
#![forbid(unsafe_code)]

mod address;
mod alarm;
mod behaviour;
mod config;
mod driver;
mod handler;
mod inbox;
mod introductions;
mod links;
mod muxer;
mod node;
mod outlet;
mod peers;
mod platform;
mod reason;
mod relays;
mod stats;
mod stream;
#[cfg(target_arch = "wasm32")]
mod websocket;

pub use braidcast_core::{
    machine,
    mesh::{self, Content, Message, Payload, Progress, PublishError},
    wire::{self, Identity, MessageId, PeerId, Topic},
};
pub use libp2p::Multiaddr;

pub use self::{
    config::Config,
    inbox::{Event, Events},
    node::{Link, Node, PeerInfo, PublishFailed, Published, StartError, Stopped},
    stats::Stats,
};
