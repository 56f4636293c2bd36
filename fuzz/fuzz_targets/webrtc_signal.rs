//! Both sides of a session under arbitrary signalling.
#![no_main]

use braidcast_webrtc::protocol::fuzzing::signals;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| signals(data));
