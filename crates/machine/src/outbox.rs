use alloc::collections::VecDeque;

use crate::{Output, PeerId};

/// What a machine has to say, in order, within a bound.
///
/// The host drains it after every input, so its length is what one input can cause. A frame beyond the bound is
/// dropped and counted; every control frame of the protocol is repaired by a later one. Events and disconnects are
/// never dropped.
#[derive(Debug)]
pub struct Outbox<F, E> {
    queue: VecDeque<Output<F, E>>,
    limit: usize,
    dropped: u64,
}

impl<F, E> Outbox<F, E> {
    /// At most `limit` frames wait.
    pub fn new(limit: usize) -> Self {
        Self { queue: VecDeque::new(), limit, dropped: 0 }
    }

    /// Queues a control frame.
    pub fn send(&mut self, peer: PeerId, frame: F) {
        if self.queue.len() < self.limit {
            self.queue.push_back(Output::Send { peer, frame });
        } else {
            self.dropped += 1;
        }
    }

    /// Queues anything else.
    pub fn push(&mut self, output: Output<F, E>) {
        self.queue.push_back(output);
    }

    /// Queues an event.
    pub fn event(&mut self, event: E) {
        self.push(Output::Event(event));
    }

    /// The oldest.
    pub fn pop(&mut self) -> Option<Output<F, E>> {
        self.queue.pop_front()
    }

    /// How many frames were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}
