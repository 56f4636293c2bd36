use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard},
    task::Waker,
};

use braidcast_core::{Frame, wire::frame::WireLen};
use futures::task::AtomicWaker;

/// Most control frames that wait for one connection. Guess.
const CONTROL_FRAMES: usize = 256;

/// Most bytes of control frames that wait for one connection. Guess.
const CONTROL_BYTES: usize = 1024 * 1024;

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
    bulk: Option<Frame>,
}

/// The peer reads slower than the hub writes.
#[derive(Debug)]
pub(crate) struct Overflow;

impl Outlet {
    /// Queues a control frame.
    pub(crate) fn push_control(&self, frame: Frame) -> Result<(), Overflow> {
        let len = frame.wire_len();
        let mut queue = self.lock();
        if queue.control.len() >= CONTROL_FRAMES || queue.control_bytes + len > CONTROL_BYTES {
            return Err(Overflow);
        }
        queue.control_bytes += len;
        queue.control.push_back(frame);
        drop(queue);
        self.task.wake();
        Ok(())
    }

    /// Puts the one bulk frame that a connection may hold.
    pub(crate) fn put_bulk(&self, frame: Frame) {
        self.lock().bulk = Some(frame);
        self.task.wake();
    }

    /// The oldest control frame.
    pub(crate) fn take_control(&self) -> Option<Frame> {
        let mut queue = self.lock();
        let frame = queue.control.pop_front()?;
        queue.control_bytes -= frame.wire_len();
        Some(frame)
    }

    /// The bulk frame.
    pub(crate) fn take_bulk(&self) -> Option<Frame> {
        self.lock().bulk.take()
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

#[cfg(test)]
mod tests {
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
}
