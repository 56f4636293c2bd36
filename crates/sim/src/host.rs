//! What a host owes its machine: inputs with the time, and after each of them ears, a processor and the uplink.

use braidcast_machine::{Duration, Input, Machine, Output, Time};
use braidcast_wire::PeerId;

use crate::{Ban, NodeIndex, Report, World, agenda::Happening, link::End};

impl<M: Machine> World<M> {
    pub(crate) fn input(&mut self, at: usize, input: Input<M::Frame, M::Command>) {
        if self.nodes[at].is_running {
            let now = self.now_at(at);
            self.nodes[at].machine.handle(now, input);
            self.settle(at);
        }
    }

    /// After every input.
    pub(crate) fn settle(&mut self, at: usize) {
        self.drain(at);
        if !self.nodes[at].is_computing {
            self.compute(at);
        }
        self.offer(at);
    }

    /// After every change of what may be sent.
    pub(crate) fn offer(&mut self, at: usize) {
        self.feed(at);
        self.drain(at);
        self.arm(at);
    }

    fn drain(&mut self, at: usize) {
        let (time, node) = (self.time, NodeIndex(at as u32));
        while let Some(output) = self.nodes[at].machine.poll() {
            match output {
                Output::Send { peer, frame } => self.send_control(at, peer, frame),
                Output::Event(event) => self.tell(node, event),
                Output::BulkReady(peer) if self.pulls_when_ready => {
                    self.nodes[at].ready.insert(peer);
                }
                Output::BulkReady(_) => {}
                Output::Offence { peer, offence } => {
                    self.trace.reports.push(Report { time, node, peer, offence });
                }
                Output::Disconnect { peer, until } => {
                    self.trace.bans.push(Ban { time, node, peer, until });
                    self.ban(at, peer, until);
                }
            }
        }
    }

    /// A frame to nobody is no error: the machine may not know yet.
    fn send_control(&mut self, at: usize, peer: PeerId, frame: M::Frame) {
        if let Some(&pipe) = self.nodes[at].links.get(&peer)
            && self.way(pipe).end == End::Open
        {
            self.send(pipe, frame, false);
        }
    }

    fn tell(&mut self, node: NodeIndex, event: M::Event) {
        let kept = match &mut self.observe {
            Some(observe) => observe(self.time, node, event),
            None => Some(event),
        };
        self.trace.events.extend(kept.map(|event| (self.time, node, event)));
    }

    /// This end closes now and its machine is told in the next step; the other end finds out one latency later.
    fn ban(&mut self, at: usize, peer: PeerId, until: Time) {
        self.nodes[at].bans.insert(peer, until);
        let Some(&pipe) = self.nodes[at].links.get(&peer) else { return };
        if self.way(pipe).end != End::Open {
            return;
        }
        self.shut(pipe, End::Closing);
        let link = &self.links[pipe.link()];
        let (epoch, told) = (link.epoch, self.time + link.profile.latency);
        self.agenda.book(self.time, Happening::Close { pipe, epoch });
        self.agenda.book(told, Happening::Close { pipe: pipe.back(), epoch });
    }

    /// Slices of work until none is left, or until the next one costs time.
    fn compute(&mut self, at: usize) {
        let (now, profile) = (self.now_at(at), &self.nodes[at].profile);
        let (budget, slice) = (profile.work_budget, profile.work_slice);
        for _ in 0..IN_CIRCLES {
            let is_left = self.nodes[at].machine.work(now, budget);
            self.drain(at);
            if !is_left {
                return;
            }
            if slice > Duration::ZERO {
                self.nodes[at].is_computing = true;
                self.agenda.book(self.time + slice, Happening::Work { node: at as u32 });
                return;
            }
        }
        panic!("node {at} has work left after {IN_CIRCLES} slices at {:?}", self.time);
    }

    pub(crate) fn on_work(&mut self, at: usize) {
        self.nodes[at].is_computing = false;
        if self.nodes[at].is_running {
            self.settle(at);
        }
    }

    /// Books the next tick, unless one comes early enough to see to it.
    fn arm(&mut self, at: usize) {
        let node = &self.nodes[at];
        let Some(deadline) = node.machine.deadline() else { return };
        let due = ticked(deadline.max(self.time), node.profile.timer_grain);
        if node.wake.is_none_or(|wake| due < wake) {
            self.nodes[at].wake = Some(due);
            self.agenda.book(due, Happening::Wake { node: at as u32 });
        }
    }

    pub(crate) fn on_wake(&mut self, at: usize) {
        let time = self.time;
        let node = &mut self.nodes[at];
        if node.wake != Some(time) || !node.is_running {
            return;
        }
        node.wake = None;
        if node.machine.deadline().is_none_or(|deadline| deadline > time) {
            self.arm(at);
            return;
        }
        let (since, count) = node.ticks;
        node.ticks = (time, if since == time { count + 1 } else { 0 });
        assert!(count < IN_CIRCLES, "node {at} wants more than {count} ticks at {time:?}");
        self.input(at, Input::Tick);
    }
}

/// The first multiple of `grain` that is not before `time`.
fn ticked(time: Time, grain: Duration) -> Time {
    match grain.as_micros() {
        0 => time,
        grain => Time::from_micros(time.as_micros().div_ceil(grain).saturating_mul(grain)),
    }
}

/// A machine that asks this often without time passing would hang its host.
const IN_CIRCLES: u32 = 100_000;
