//! A node under arbitrary frames.
#![no_main]

use braidcast_core::fuzzing::receive;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| receive(data));
