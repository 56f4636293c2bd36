//! What `braidcast relay` is besides a node: the topics it follows and its HTTP pages.

pub(crate) mod circuits;
pub(crate) mod follow;
pub(crate) mod hosts;
pub(crate) mod http;
pub(crate) mod metrics;
pub(crate) mod well_known;
