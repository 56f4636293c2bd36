//! A frame's way from machine to machine, and the end of a link.

use braidcast_machine::{Duration, Input, Machine, PeerSet, Time, WireLen};

use crate::{
    NodeIndex, Verdict, World,
    agenda::Happening,
    link::{End, Flight, Parcel, Pipe},
    node::Incoming,
};

/// Retransmissions are lost too, so there has to be an end.
const LOSS_PPM_MAX: u32 = 900_000;

impl<M: Machine> World<M> {
    /// Into the link's send buffer, or straight onto the uplink.
    pub(crate) fn send(&mut self, pipe: Pipe, frame: M::Frame, is_bulk: bool) {
        // Nothing is free, or a machine could send for ever in no time.
        let bytes = u32::try_from(frame.wire_len().max(1)).expect("a frame is shorter than 4 GiB");
        let parcel = Parcel { frame, bytes, is_bulk };
        let at = self.sender(pipe);
        if self.nodes[at].profile.send_buffer_bytes == 0 {
            self.transmit(pipe, parcel);
        } else {
            let way = self.way_mut(pipe);
            way.buffered += u64::from(bytes);
            way.buffer.push_back(parcel);
            self.take_turn(pipe);
            self.refresh_writable(pipe);
        }
    }

    /// Onto the uplink, behind whatever is on it. Control needs no queue of its own: the next bulk frame is not made
    /// before the uplink is free.
    fn transmit(&mut self, pipe: Pipe, parcel: Parcel<M::Frame>) {
        let (bytes, is_bulk) = (parcel.bytes, parcel.is_bulk);
        let at = self.sender(pipe);
        let (first, last) = self.nodes[at].up.pass(self.time, self.time, u64::from(bytes));
        let delay = self.delay(pipe);
        let link = &mut self.links[pipe.link()];
        let epoch = link.epoch;
        let way = &mut link.ways[pipe.side()];
        let (first, last) = way.throttle.pass(first, last, u64::from(bytes));
        let last = (last + delay).max(way.last_arrival);
        way.last_arrival = last;
        if way.flights.is_empty() {
            self.agenda.book(last, Happening::Arrive { pipe, epoch });
        }
        way.flights.push_back(Flight { parcel, first: first + delay, last });
        way.sent.count(bytes, is_bulk);
        if is_bulk {
            way.under_way += u64::from(bytes);
        }
        if is_bulk {
            self.refresh_writable(pipe);
        }
    }

    /// Latency, jitter and losses of one frame.
    fn delay(&mut self, pipe: Pipe) -> Duration {
        let link = &self.links[pipe.link()];
        let (profile, round_trip) = (&link.profile, link.round_trip());
        let mut delay = profile.latency;
        if profile.jitter > Duration::ZERO {
            let jitter = self.rng.below(profile.jitter.as_micros().saturating_add(1));
            delay = delay + Duration::from_micros(jitter);
        }
        let loss = u64::from(profile.loss_ppm.min(LOSS_PPM_MAX));
        while loss > 0 && self.rng.below(1_000_000) < loss {
            delay = delay + round_trip;
        }
        delay
    }

    /// Lets the machine fill what there is room for.
    pub(crate) fn feed(&mut self, at: usize) {
        if !self.nodes[at].is_running {
            return;
        }
        if self.nodes[at].profile.send_buffer_bytes == 0 {
            while !self.nodes[at].writable.is_empty() && self.is_uplink_free(at) && self.pull(at) {}
        } else {
            loop {
                while !self.nodes[at].writable.is_empty() && self.pull(at) {}
                if !self.serve_turns(at) {
                    break;
                }
            }
        }
    }

    fn pull(&mut self, at: usize) -> bool {
        let now = self.now_at(at);
        let node = &mut self.nodes[at];
        let pulled = if self.pulls_when_ready {
            let offer: PeerSet = node.writable.intersection(&node.ready).copied().collect();
            if offer.is_empty() {
                return false;
            }
            let pulled = node.machine.pull(now, &offer);
            if pulled.is_none() {
                node.ready.retain(|peer| !offer.contains(peer));
            }
            pulled
        } else {
            node.machine.pull(now, &node.writable)
        };
        let Some((peer, frame)) = pulled else { return false };
        assert!(node.writable.contains(&peer), "node {at} has bulk for {peer:?}, which is not writable");
        let pipe = node.links[&peer];
        self.send(pipe, frame, true);
        true
    }

    /// If it is not, `Free` is booked for when it is.
    fn is_uplink_free(&mut self, at: usize) -> bool {
        let node = &mut self.nodes[at];
        let free = node.up.busy_until();
        if free <= self.time {
            return true;
        }
        if !node.awaits_uplink {
            node.awaits_uplink = true;
            self.agenda.book(free, Happening::Free { node: at as u32 });
        }
        false
    }

    pub(crate) fn on_free(&mut self, at: usize) {
        self.nodes[at].awaits_uplink = false;
        if self.nodes[at].is_running {
            self.offer(at);
        }
    }

    /// Sends from the buffers, link by link, while the uplink is free. True when anything went.
    fn serve_turns(&mut self, at: usize) -> bool {
        let mut any = false;
        while !self.nodes[at].turns.is_empty() && self.is_uplink_free(at) {
            let pipe = self.nodes[at].turns.pop_front().expect("not empty");
            let way = self.way_mut(pipe);
            way.in_turn = false;
            let Some(parcel) = way.buffer.pop_front() else { continue }; // Closed since.
            way.buffered -= u64::from(parcel.bytes);
            self.transmit(pipe, parcel);
            self.take_turn(pipe);
            self.refresh_writable(pipe);
            any = true;
        }
        any
    }

    /// Enters the uplink's round if there is something to send and room for it under way.
    fn take_turn(&mut self, pipe: Pipe) {
        let at = self.sender(pipe);
        let way = self.way_mut(pipe);
        if !way.in_turn && !way.buffer.is_empty() && way.under_way < way.window {
            way.in_turn = true;
            self.nodes[at].turns.push_back(pipe);
        }
    }

    pub(crate) fn on_arrive(&mut self, pipe: Pipe, epoch: u32) {
        let link = &mut self.links[pipe.link()];
        if link.epoch != epoch {
            return;
        }
        let way = &mut link.ways[pipe.side()];
        let flight = way.flights.pop_front().expect("its arrival was booked in this epoch");
        if let Some(next) = way.flights.front() {
            self.agenda.book(next.last, Happening::Arrive { pipe, epoch });
        }
        if link.is_cut {
            way.held.push_back(flight);
        } else {
            self.receive(pipe, flight);
        }
    }

    /// Through the receiver's downlink.
    fn receive(&mut self, pipe: Pipe, flight: Flight<M::Frame>) {
        if self.way(pipe.back()).end != End::Open {
            return;
        }
        let at = self.sender(pipe.back());
        let epoch = self.links[pipe.link()].epoch;
        let node = &mut self.nodes[at];
        let (_, through) = node.down.pass(flight.first, self.time, u64::from(flight.parcel.bytes));
        let handling = if flight.parcel.is_bulk { node.profile.bulk_handling } else { Duration::ZERO };
        let before = node.incoming.back().map_or(Time::ZERO, |incoming| incoming.through);
        let through = (through + handling).max(before);
        let incoming = Incoming { pipe, epoch, parcel: flight.parcel, through };
        if node.incoming.is_empty() && through <= self.time {
            self.deliver(at, incoming);
            return;
        }
        if node.incoming.is_empty() {
            self.agenda.book(through, Happening::Deliver { node: at as u32 });
        }
        node.incoming.push_back(incoming);
    }

    pub(crate) fn on_deliver(&mut self, at: usize) {
        let node = &mut self.nodes[at];
        let incoming = node.incoming.pop_front().expect("one is booked");
        if let Some(next) = node.incoming.front() {
            self.agenda.book(next.through, Happening::Deliver { node: at as u32 });
        }
        self.deliver(at, incoming);
    }

    fn deliver(&mut self, at: usize, incoming: Incoming<M::Frame>) {
        let Incoming { pipe, epoch, mut parcel, .. } = incoming;
        let link = &self.links[pipe.link()];
        if link.epoch != epoch || link.ways[pipe.back().side()].end != End::Open {
            return;
        }
        let (sender, latency) = (self.sender(pipe), link.profile.latency);
        if parcel.is_bulk {
            let acknowledge = Happening::Acknowledge { pipe, epoch, bytes: parcel.bytes };
            self.agenda.book(self.time + latency, acknowledge);
        }
        let (from, to) = (NodeIndex(sender as u32), NodeIndex(at as u32));
        if let Some(hook) = &mut self.intercept
            && hook(from, to, &mut parcel.frame) == Verdict::Drop
        {
            return;
        }
        let digest = self.digest.map_or(0, |digest| digest(&parcel.frame));
        self.trace.deliver(self.time, from.0, to.0, parcel.bytes, digest);
        self.way_mut(pipe).delivered.count(parcel.bytes, parcel.is_bulk);
        let peer = self.nodes[sender].id;
        self.input(at, Input::Received { peer, frame: parcel.frame });
    }

    pub(crate) fn on_acknowledge(&mut self, pipe: Pipe, epoch: u32, bytes: u64) {
        let link = &mut self.links[pipe.link()];
        let way = &mut link.ways[pipe.side()];
        if link.epoch != epoch || way.end != End::Open {
            return;
        }
        if link.is_cut {
            way.held_acknowledgements += bytes;
            return;
        }
        way.acknowledge(bytes);
        self.take_turn(pipe);
        self.refresh_writable(pipe);
        self.offer(self.sender(pipe));
    }

    pub(crate) fn refresh_writable(&mut self, pipe: Pipe) {
        let (at, other) = (self.sender(pipe), self.sender(pipe.back()));
        let is_writable = self.way(pipe).is_writable(self.nodes[at].profile.send_buffer_bytes);
        let peer = self.nodes[other].id;
        let writable = &mut self.nodes[at].writable;
        if is_writable {
            writable.insert(peer);
        } else {
            writable.remove(&peer);
        }
    }

    /// Closes one end without a word to its machine.
    pub(crate) fn shut(&mut self, pipe: Pipe, end: End) {
        let way = self.way_mut(pipe);
        way.end = end;
        way.empty_buffer();
        self.refresh_writable(pipe);
    }

    /// Closes both ends, then tells those that did not know.
    pub(crate) fn close_now(&mut self, pipe: Pipe) {
        let pipes = [pipe, pipe.back()];
        let known = pipes.map(|pipe| self.way(pipe).end == End::Closed);
        for pipe in pipes {
            self.shut(pipe, End::Closed);
        }
        for (pipe, known) in pipes.into_iter().zip(known) {
            if !known {
                self.tell_disconnected(pipe);
            }
        }
    }

    fn tell_disconnected(&mut self, pipe: Pipe) {
        let peer = self.nodes[self.sender(pipe.back())].id;
        self.input(self.sender(pipe), Input::Disconnected { peer });
    }

    pub(crate) fn on_close(&mut self, pipe: Pipe, epoch: u32) {
        if self.links[pipe.link()].epoch == epoch && self.way(pipe).end != End::Closed {
            self.shut(pipe, End::Closed);
            self.tell_disconnected(pipe);
        }
    }

    pub(crate) fn on_notice(&mut self, pipe: Pipe, cut: u32) {
        let link = &self.links[pipe.link()];
        if link.is_cut && link.cuts == cut {
            self.close_now(pipe);
        }
    }

    /// What a cut held back enters the downlinks, in order.
    pub(crate) fn release(&mut self, pipe: Pipe) {
        self.links[pipe.link()].is_cut = false;
        let epoch = self.links[pipe.link()].epoch;
        for pipe in [pipe, pipe.back()] {
            let way = self.way_mut(pipe);
            let bytes = core::mem::take(&mut way.held_acknowledgements);
            for flight in core::mem::take(&mut way.held) {
                self.receive(pipe, Flight { first: self.time, ..flight });
            }
            self.on_acknowledge(pipe, epoch, bytes);
        }
    }
}
