//! What a publisher may say is a packed payload.
#![no_main]

use braidcast_core::mesh::fuzzing::unpack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| unpack(data));
