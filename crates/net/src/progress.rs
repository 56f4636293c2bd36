use std::collections::BTreeMap;

use braidcast_core::{
    machine::{Duration, Time},
    mesh::Progress,
    wire::MessageId,
};

/// Between two reports of one message: who watches sees no more of them. Guess.
const PERIOD: Duration = Duration::from_millis(50);

/// Which messages the application was told of within [`PERIOD`], and whether they were whole: a piece comes every
/// millisecond, and each report wakes the application. So
/// what it was told of last may lag by what came in that time.
#[derive(Debug, Default)]
pub(crate) struct Reports(BTreeMap<MessageId, (Time, bool)>);

impl Reports {
    /// Whether to tell of this one. That all bytes are there is told at once.
    pub(crate) fn is_due(&mut self, progress: &Progress, now: Time) -> bool {
        self.0.retain(|_, (at, _)| now.since(*at) < PERIOD);
        let is_whole = progress.held_bytes >= progress.total_bytes;
        let is_due = self.0.get(&progress.id).is_none_or(|(_, was_whole)| is_whole && !was_whole);
        if is_due {
            self.0.insert(progress.id, (now, is_whole));
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use braidcast_core::wire::{PeerId, Topic};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn progress(id: u8, held_bytes: usize) -> Progress {
        Progress {
            id: MessageId([id; 32]),
            topic: Topic::new("t").expect("a name"),
            from: PeerId([1; 32]),
            name: String::new(),
            held_bytes,
            total_bytes: 100,
        }
    }

    #[test]
    fn each_message_is_told_of_once_in_a_while_and_when_it_is_whole() {
        let mut reports = Reports::default();
        let mut is_due = |id, held, at| reports.is_due(&progress(id, held), Time::ZERO + at);
        assert!(is_due(1, 1, Duration::ZERO));
        assert!(is_due(2, 1, Duration::ZERO));
        assert!(!is_due(1, 50, Duration::from_millis(49)));
        assert!(is_due(1, 51, Duration::from_millis(50)));
        assert!(is_due(1, 100, Duration::from_millis(51)));
        assert!(!is_due(1, 100, Duration::from_millis(52)));
    }
}
