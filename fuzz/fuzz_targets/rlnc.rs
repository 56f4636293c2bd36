//! Encoder, recoder and decoder under arbitrary shards.
#![no_main]

use braidcast_rlnc::fuzzing::exchange;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| exchange(data));
