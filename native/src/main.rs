//! Planned.
fn main() {}
