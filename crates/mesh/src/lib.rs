//! Topic meshes that spread a message as network-coded pieces.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

mod api;

pub use api::{
    Command, Config, Content, Event, Message, Payload, Progress, Publish, PublishError, Trace,
};
