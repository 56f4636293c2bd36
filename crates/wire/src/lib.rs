//! The alphabet of Braidcast: who ([`PeerId`]), where ([`Topic`]), what ([`MessageId`]), how large at most
//! ([`limits`]), and under whose signature ([`Identity`], [`verify`]).
//!
//! No behaviour and no grammar: each protocol's frames live beside its rules. Frames are protobuf (proto3) messages in
//! a one-byte-or-longer unsigned varint length prefix; [`frame`] reads and writes them within a limit.
//!
//! `no_std`: nothing here reads a clock, draws entropy or touches a socket.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

pub mod frame;
mod id;
mod identity;
pub mod limits;

pub use frame::{FrameError, WireLen};
pub use id::{MessageId, ParseIdError, PeerId, Topic, TopicError};
pub use identity::{Domain, Identity, Signature, verify};
