//! Time goes on.

use braidcast_machine::{Duration, Machine, Time};

use crate::{World, agenda::Happening};

impl<M: Machine> World<M> {
    /// Goes through all that happens until `time`, inclusive, and stands there.
    pub fn run_until(&mut self, time: Time) {
        while self.step(time) {}
        self.time = self.time.max(time);
    }

    /// [`run_until`](Self::run_until) this much later.
    pub fn run_for(&mut self, span: Duration) {
        self.run_until(self.time + span);
    }

    /// Runs until nothing is to happen any more, or until `limit`. True when idle; a machine with a heartbeat never
    /// is.
    pub fn run_until_idle(&mut self, limit: Time) -> bool {
        while self.step(limit) {}
        self.agenda.is_empty()
    }

    /// Runs while `condition` holds, at most until `limit`, asking after every step. True when the condition ended it;
    /// then the time is that of the step.
    pub fn run_while(&mut self, limit: Time, mut condition: impl FnMut(&Self) -> bool) -> bool {
        while condition(self) {
            if !self.step(limit) {
                return false;
            }
        }
        true
    }

    /// The next thing, if it is not after `limit`; false when there is none.
    pub fn step(&mut self, limit: Time) -> bool {
        let Some((time, happening)) = self.agenda.next(limit) else { return false };
        self.time = self.time.max(time);
        self.steps += 1;
        match happening {
            Happening::Arrive { pipe, epoch } => self.on_arrive(pipe, epoch),
            Happening::Deliver { node } => self.on_deliver(node as usize),
            Happening::Acknowledge { pipe, epoch, bytes } => {
                self.on_acknowledge(pipe, epoch, u64::from(bytes));
            }
            Happening::Free { node } => self.on_free(node as usize),
            Happening::Wake { node } => self.on_wake(node as usize),
            Happening::Work { node } => self.on_work(node as usize),
            Happening::Close { pipe, epoch } => self.on_close(pipe, epoch),
            Happening::Notice { pipe, cut } => self.on_notice(pipe, cut),
        }
        true
    }
}
