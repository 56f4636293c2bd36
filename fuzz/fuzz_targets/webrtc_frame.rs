//! A stream under arbitrary messages of its data channel.
#![no_main]

use braidcast_webrtc::protocol::fuzzing::frames;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| frames(data));
