use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    task::Waker,
};

use braidcast_core::{Frame, frame::Body, wire::frame::WireLen};
use futures::task::AtomicWaker;

/// Most control frames that wait for one connection. Guess.
const CONTROL_FRAMES: usize = 256;

/// Most bytes of control frames that wait for one connection. Guess.
const CONTROL_BYTES: usize = 1024 * 1024;

/// Bulk frames are put while fewer bytes wait for one connection: its task wakes once for several. Guess.
const BULK_BYTES: usize = 32 * 1024;

/// Frames on their way from the hub to the task of one connection: the hub puts them in without waiting, the task
/// takes them out when its streams can carry them.
#[derive(Debug, Default)]
pub(crate) struct Outlet {
    queue: Mutex<Queue>,
    task: AtomicWaker,
}

#[derive(Debug, Default)]
struct Queue {
    control: VecDeque<Frame>,
    control_bytes: usize,
    bulk: VecDeque<Frame>,
    bulk_bytes: usize,
    /// The hub knows that there is room for bulk.
    is_open: bool,
}

/// The peer reads slower than the hub writes.
#[derive(Debug)]
pub(crate) struct Overflow;

impl Outlet {
    /// Queues a control frame. An acknowledgement includes the one before it, and drops it if it still waits; it overtakes
    /// nothing.
    pub(crate) fn push_control(&self, frame: Frame) -> Result<(), Overflow> {
        let len = frame.wire_len();
        let mut queue = self.lock();
        if is_ack(&frame)
            && let Some(waiting) = queue.control.iter().position(is_ack)
            && let Some(before) = queue.control.remove(waiting)
        {
            queue.control_bytes -= before.wire_len();
        }
        if queue.control.len() >= CONTROL_FRAMES || queue.control_bytes + len > CONTROL_BYTES {
            return Err(Overflow);
        }
        queue.control_bytes += len;
        queue.control.push_back(frame);
        drop(queue);
        self.task.wake();
        Ok(())
    }

    /// Queues a bulk frame; false when there is no room for another until [`reopen`](Self::reopen).
    pub(crate) fn push_bulk(&self, frame: Frame) -> bool {
        let mut queue = self.lock();
        queue.bulk_bytes += frame.wire_len();
        queue.bulk.push_back(frame);
        // Not reopened here: the hub is told by `reopen` alone.
        queue.is_open &= queue.bulk_bytes < BULK_BYTES;
        let is_open = queue.is_open;
        drop(queue);
        self.task.wake();
        is_open
    }

    /// There is room for bulk if none waits; true when the hub is to be told.
    pub(crate) fn reopen(&self) -> bool {
        let mut queue = self.lock();
        queue.bulk.is_empty() && !std::mem::replace(&mut queue.is_open, true)
    }

    /// The oldest control frame.
    pub(crate) fn take_control(&self) -> Option<Frame> {
        let mut queue = self.lock();
        let frame = queue.control.pop_front()?;
        queue.control_bytes -= frame.wire_len();
        Some(frame)
    }

    /// The oldest bulk frame.
    pub(crate) fn take_bulk(&self) -> Option<Frame> {
        let mut queue = self.lock();
        let frame = queue.bulk.pop_front()?;
        queue.bulk_bytes -= frame.wire_len();
        Some(frame)
    }

    /// Forgets everything: the link that it was meant for is gone.
    pub(crate) fn clear(&self) {
        *self.lock() = Queue::default();
    }

    /// Whom to wake when something is put in. To be called before taking, so that nothing is missed.
    pub(crate) fn register(&self, task: &Waker) {
        self.task.register(task);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no code panics while it holds this lock")
    }
}

fn is_ack(frame: &Frame) -> bool {
    matches!(frame.body, Some(Body::Ack(_)))
}

#[cfg(test)]
mod tests {
    use braidcast_core::frame::Carry;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn a_peer_that_does_not_read_overflows() {
        let outlet = Outlet::default();
        for _ in 0..CONTROL_FRAMES {
            outlet.push_control(Frame::default()).expect("room");
        }
        outlet.push_control(Frame::default()).expect_err("full");
        assert!(outlet.take_control().is_some());
        outlet.push_control(Frame::default()).expect("room again");
        outlet.clear();
        assert!(outlet.take_control().is_none());
    }

    #[test]
    fn a_later_acknowledgement_replaces_the_one_that_waits_and_overtakes_nothing() {
        let outlet = Outlet::default();
        for body in [Body::Ping(1), Body::Ack(7), Body::Ping(2), Body::Ack(1 << 40)] {
            outlet.push_control(body.into()).expect("room");
        }
        let frames: Vec<Frame> = std::iter::from_fn(|| outlet.take_control()).collect();
        assert_eq!(frames, [Body::Ping(1), Body::Ping(2), Body::Ack(1 << 40)].map(Frame::from));
        assert_eq!(outlet.lock().control_bytes, 0);
    }

    #[test]
    fn bulk_is_put_while_there_is_room_and_the_hub_is_told_once_when_there_is_again() {
        let outlet = Outlet::default();
        assert!(outlet.reopen() && !outlet.reopen());
        let carry = Carry { sealed: vec![0; BULK_BYTES / 2].into(), ..Carry::default() };
        let frame = Frame::from(Body::Carry(carry));
        assert!(outlet.push_bulk(frame.clone()));
        assert!(!outlet.push_bulk(frame));
        assert!(outlet.take_bulk().is_some() && outlet.take_bulk().is_some() && outlet.take_bulk().is_none());
        assert!(outlet.reopen() && !outlet.reopen());
        assert_eq!(outlet.lock().bulk_bytes, 0);
    }

    #[test]
    fn bulk_that_comes_late_keeps_the_hub_from_nothing() {
        let outlet = Outlet::default();
        assert!(outlet.reopen());
        outlet.clear();
        assert!(!outlet.push_bulk(Frame::default()), "the hub does not know of the new link's room");
        assert!(!outlet.reopen(), "something waits");
        assert!(outlet.take_bulk().is_some());
        assert!(outlet.reopen(), "now it is told");
    }
}
