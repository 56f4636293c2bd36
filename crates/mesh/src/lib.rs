//! Topic meshes that spread a message as network-coded pieces.
//!
//! A publisher cuts a message into K source pieces, adds M parity pieces of which any K make the whole, hashes all of
//! them into a signed *manifest*, and offers it to its neighbours. A piece that verifies against the manifest is passed
//! on at once, before the message is whole; so a corrupt byte is never delivered nor forwarded, and whoever sent one is
//! known. Small messages travel inside their manifest.
//!
//! Neighbours are kept as in gossipsub v1.1: [GRAFT, PRUNE, IHAVE,
//! IWANT](https://github.com/libp2p/specs/blob/master/pubsub/gossipsub/gossipsub-v1.1.md). The frames and what each
//! triggers are in [`frame::Body`].
//!
//! What it is not: it knows no sockets and no clocks (it is a [`braidcast_machine::Machine`]), does not decide how
//! fast a link may be filled (`braidcast-core` does), and recodes nowhere but in topics whose members prove that they
//! share a secret ([`Mode::Closed`]).
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod announce;
mod api;
mod closed;
pub mod frame;
#[doc(hidden)]
pub mod fuzzing;
mod gossip;
mod job;
mod lane;
mod link;
pub mod manifest;
mod mesh;
mod overlay;
mod pack;
mod params;
mod piece_set;
mod receive;
mod repair;
mod request;
mod score;
mod seen;
mod send;
mod trace;
mod transfer;
mod verdict;
mod wake;

pub use api::{
    Command, Config, Content, Divide, Event, Message, Payload, Progress, Publish, PublishError, Verdict,
};
pub use frame::Frame;
pub use mesh::Mesh;
pub use params::{CheckedParams, Mode, ParamsError, Secret, TopicParams};
pub use score::Conduct;
pub use trace::{Parting, Refusal, Trace};
pub use verdict::{VERDICT_BYTES, VERDICTS};
