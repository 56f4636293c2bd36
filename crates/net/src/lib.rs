//! A Braidcast node on a network: libp2p around the core, the same names natively and in the browser.
//!
//! Its `platform` module is the only place here that knows which target it runs on.
//! It drives one [`braidcast_core::Core`], which decides what is said to whom; what is here carries bytes, keeps the
//! links to the relays, and hands events to the application. It knows no message format beyond the frame's length.
//!
//! From the application down to the wire:
//!
//! | file | holds |
//! |---|---|
//! | `node`, `config` | [`Node`], the handle, what it is started with, and its errors |
//! | `inbox`, `stats` | [`Events`]: what the application is told, bounded; [`Stats`]: counters |
//! | `driver` | the task: swarm, commands, relays, introductions, each in turn |
//! | `relays`, `reservations` | the relays: dialled again and again, and asked to let others through to us; no sockets |
//! | `introductions`, `peers` | who is dialled once, who is who; no sockets |
//! | `behaviour` | the hub: the core as a libp2p behaviour; it never waits for a peer |
//! | `links`, `quota` | which of several connections carries the link to a peer; how many peer connections there may be |
//! | `switchboard` | signalling that neighbours carry, when no relay does |
//! | `outlet`, `handler`, `stream` | from the hub to one connection's task, to its four substreams, to bytes |
//! | `platform` | clock, entropy, tasks and transports, once per target; `websocket` is the browser's transport |
//! | `path` | [`Path`]: how a peer is reached, and why not better |
//! | `address`, `reason`, `alarm` | what an address means, why a dial failed, a timer |
//! | `muxer`, `yamux`, `cork` | closing in time, long frames, and several sent as one |
//! | `progress` | how often the application is told how far a message is |
//!
//! # On the wire
//!
//! Each side opens two substreams and writes length-prefixed protobuf frames to them, one way only:
//! `/braidcast/1.0.0/control` and `/braidcast/1.0.0/bulk`. The side with the smaller public key opens its control stream
//! first and so picks the connection when there are several; the other side answers on the same connection. Frames are
//! read once both control streams are open. A second inbound stream of a kind, a frame beyond the limit of its stream,
//! one that does not decode or is on the wrong stream: the connection is closed.
//!
//! A connection through a relay (`/p2p-circuit`) is there to signal a direct one. It carries the control stream, to know
//! each other by, and no frames; the bulk stream is refused there, and the core knows nothing of it. When a direct connection
//! to the same peer comes up, the link moves there.
#![forbid(unsafe_code)]

mod address;
mod alarm;
mod behaviour;
mod config;
mod cork;
mod driver;
mod handler;
mod inbox;
mod introductions;
mod links;
mod muxer;
mod node;
mod outlet;
mod path;
mod peers;
mod platform;
mod progress;
mod quota;
mod reason;
mod records;
mod relays;
mod reservations;
mod stats;
mod stream;
mod switchboard;
#[cfg(target_arch = "wasm32")]
mod websocket;
mod yamux;

pub use braidcast_core::{
    machine,
    mesh::{
        self, CheckedParams, Content, Divide, Message, Mode, ParamsError, Payload, Progress, PublishError,
        Secret, TopicParams, Verdict,
    },
    rlnc,
    wire::{self, Identity, MessageId, PeerId, Topic},
};
pub use braidcast_webrtc::IceServer;
pub use libp2p::Multiaddr;

pub use self::{
    address::webrtc_direct_versions,
    config::{CircuitLimits, Config},
    inbox::{Event, Events},
    node::{Link, Node, PeerInfo, PublishFailed, Published, StartError, Stopped},
    path::Path,
    stats::{CircuitStats, Stats},
    yamux::Yamux,
};

#[cfg(target_arch = "wasm32")]
pub use self::websocket::{DialError, Socket, Transport as WebSocket};

/// Compiles the example of the repository's front page.
#[cfg(all(doctest, not(target_arch = "wasm32")))]
#[doc = include_str!("../../../README.md")]
struct Readme;
