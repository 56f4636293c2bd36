//! A machine, and whether it does its part.

use braidcast_core::{
    machine::{Budget, Input, Machine, Now, Output, PeerSet, Time},
    wire::PeerId,
};

use super::{fault::Rogue, system::System};

/// A node's machine behind what its owner lets through; `None` for an honest one.
pub(crate) struct Actor<S: System> {
    pub(crate) machine: S::Machine,
    pub(crate) rogue: Option<Rogue>,
}

impl<S: System> Machine for Actor<S> {
    type Frame = <S::Machine as Machine>::Frame;
    type Command = <S::Machine as Machine>::Command;
    type Event = S::Event;

    fn handle(&mut self, now: Now, input: Input<Self::Frame, Self::Command>) {
        self.machine.handle(now, input);
    }

    fn poll(&mut self) -> Option<Output<Self::Frame, Self::Event>> {
        loop {
            match self.machine.poll()? {
                Output::Send { frame, .. }
                    if self.rogue == Some(Rogue::Freerider) && S::is_announcement(&frame) => {}
                output => return Some(output),
            }
        }
    }

    fn pull(&mut self, now: Now, writable: &PeerSet) -> Option<(PeerId, Self::Frame)> {
        match self.rogue {
            None => self.machine.pull(now, writable),
            Some(Rogue::Freerider | Rogue::Silent) => None,
            Some(Rogue::Polluter) => {
                let (peer, mut frame) = self.machine.pull(now, writable)?;
                S::pollute(&mut frame);
                Some((peer, frame))
            }
        }
    }

    fn work(&mut self, now: Now, budget: Budget) -> bool {
        self.machine.work(now, budget)
    }

    fn deadline(&self) -> Option<Time> {
        self.machine.deadline()
    }
}
