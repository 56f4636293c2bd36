use braidcast_machine::{Duration, Time};

/// Beyond this no rate makes a difference, and the arithmetic stays within 64 bits.
const BYTES_PER_S_MAX: u64 = 1_000_000_000_000;

/// One server of a fixed rate: an uplink, a downlink, a throttle.
#[derive(Clone, Debug)]
pub(crate) struct Server {
    bytes_per_s: u64,
    busy_until: Time,
    /// Millionths of a byte at this rate that the last microsecond did not cover: long streams keep their exact rate.
    carry: u64,
}

impl Server {
    pub(crate) fn new(bytes_per_s: u64) -> Self {
        Self { bytes_per_s: bytes_per_s.clamp(1, BYTES_PER_S_MAX), busy_until: Time::ZERO, carry: 0 }
    }

    pub(crate) fn bytes_per_s(&self) -> u64 {
        self.bytes_per_s
    }

    pub(crate) fn set_rate(&mut self, bytes_per_s: u64) {
        self.bytes_per_s = bytes_per_s.clamp(1, BYTES_PER_S_MAX);
        self.carry = 0;
    }

    pub(crate) fn busy_until(&self) -> Time {
        self.busy_until
    }

    /// A frame whose first bit comes at `first` and its last at `last`: when they leave. Cut-through; in the order of
    /// the calls.
    pub(crate) fn pass(&mut self, first: Time, last: Time, bytes: u64) -> (Time, Time) {
        let start = first.max(self.busy_until);
        if start > self.busy_until {
            self.carry = 0;
        }
        let work = bytes * 1_000_000 + self.carry;
        self.busy_until = start + Duration::from_micros(work / self.bytes_per_s);
        self.carry = work % self.bytes_per_s;
        (start, last.max(self.busy_until))
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    #[test]
    fn small_frames_keep_the_exact_rate() {
        let mut server = Server::new(3_000_000);
        for _ in 0..3_000 {
            server.pass(at(0), at(0), 1);
        }
        assert_eq!(server.busy_until(), at(1_000));
    }

    #[test]
    fn equal_rates_in_a_row_cost_the_length_once() {
        let (mut up, mut down) = (Server::new(1_000_000), Server::new(1_000_000));
        let (first, last) = up.pass(at(5), at(5), 100);
        assert_eq!((first, last), (at(5), at(105)));
        assert_eq!(down.pass(first, last, 100), (at(5), at(105)));
    }

    #[test]
    fn a_slow_server_starts_with_the_first_bit() {
        let mut down = Server::new(500_000);
        assert_eq!(down.pass(at(0), at(100), 100), (at(0), at(200)));
        assert_eq!(down.pass(at(100), at(200), 100), (at(200), at(400)));
    }
}
