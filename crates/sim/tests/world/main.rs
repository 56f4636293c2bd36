//! The model, claim by claim, with a machine that does what it is told.

mod faults;
mod host;
mod links;
mod toy;
mod trace;
