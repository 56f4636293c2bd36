//! What waits for each peer, and in which order it gets the uplink.

use std::collections::{BTreeMap, VecDeque};

use braidcast_core::{
    machine::{PeerSet, Time},
    wire::PeerId,
};

use super::{
    super::{Number, PART_BYTES, turns::Turns},
    Frame,
    yamux::Stream,
};

/// In which order links get the uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Uplink {
    /// Part by part in turn, and control before them.
    Fair,
    /// In the order of writing: each link writes what its yamux stream has credit for.
    Written,
}

/// A message for one peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queued {
    pub(crate) number: Number,
    pub(crate) bytes: u32,
    /// If it still waits then, it is not sent.
    pub(crate) until: Time,
}

/// All links of a node. A link sends whole messages, one after the other.
#[derive(Debug)]
pub(crate) struct Links {
    uplink: Uplink,
    links: BTreeMap<PeerId, Link>,
    /// For [`Uplink::Fair`]: links that are sending.
    turns: Turns,
    /// For [`Uplink::Written`]: what sockets hold.
    written: VecDeque<(PeerId, Frame)>,
}

#[derive(Debug)]
struct Link {
    queue: VecDeque<Queued>,
    /// Control that waits until the message before it is written.
    control: VecDeque<Frame>,
    sending: Option<Sending>,
    stream: Stream,
}

#[derive(Clone, Copy, Debug)]
struct Sending {
    number: Number,
    bytes: u32,
    /// Bytes that have left.
    offset: u32,
}

impl Links {
    pub(crate) fn new(uplink: Uplink) -> Self {
        Self { uplink, links: BTreeMap::new(), turns: Turns::default(), written: VecDeque::new() }
    }

    pub(crate) fn open(&mut self, now: Time, peer: PeerId) {
        let mut stream = Stream::new(now);
        if self.uplink == Uplink::Written && stream.is_ping_due(now) {
            self.written.push_back((peer, Frame::Ping));
        }
        self.links
            .insert(peer, Link { queue: VecDeque::new(), control: VecDeque::new(), sending: None, stream });
    }

    pub(crate) fn close(&mut self, peer: PeerId) {
        self.links.remove(&peer);
        self.turns.remove(peer);
        self.written.retain(|&(to, _)| to != peer);
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = PeerId> {
        self.links.keys().copied()
    }

    pub(crate) fn enqueue(&mut self, now: Time, peer: PeerId, message: Queued) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        link.queue.push_back(message);
        if link.sending.is_none() {
            self.start(now, peer);
        }
    }

    /// Of what the peer does not want, nothing is taken back whose sending has begun.
    pub(crate) fn take_back(&mut self, peer: PeerId, number: Number) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.queue.retain(|queued| queued.number != number);
        }
    }

    /// Behind the message that is being written, and behind what is written. None when it leaves at once instead.
    pub(crate) fn control(&mut self, peer: PeerId, frame: Frame) -> Option<Frame> {
        if self.uplink == Uplink::Fair {
            return Some(frame);
        }
        match self.links.get_mut(&peer) {
            Some(link) if link.sending.is_some() => link.control.push_back(frame),
            Some(_) => self.written.push_back((peer, frame)),
            None => {}
        }
        None
    }

    /// Something came, of which `bytes` are of a message.
    pub(crate) fn on_frame(&mut self, now: Time, peer: PeerId, bytes: u32) {
        if self.uplink == Uplink::Written
            && let Some(link) = self.links.get_mut(&peer)
        {
            let ping = link.stream.is_ping_due(now).then_some(Frame::Ping);
            let grant = link.stream.on_bytes(now, bytes).map(Frame::Grant);
            self.written.extend(ping.into_iter().chain(grant).map(|frame| (peer, frame)));
        }
    }

    pub(crate) fn on_grant(&mut self, now: Time, peer: PeerId, bytes: u32) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.stream.credit += bytes;
            self.write(now, peer);
        }
    }

    pub(crate) fn on_ping(&mut self, peer: PeerId) {
        self.written.push_back((peer, Frame::Pong));
    }

    pub(crate) fn on_pong(&mut self, now: Time, peer: PeerId) {
        if let Some(link) = self.links.get_mut(&peer) {
            link.stream.on_pong(now);
        }
    }

    /// What the uplink gets next.
    pub(crate) fn pull(&mut self, now: Time, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        if self.uplink == Uplink::Written {
            let at = self.written.iter().position(|(peer, _)| writable.contains(peer))?;
            return self.written.remove(at);
        }
        let peer = self.turns.take(writable)?;
        let link = self.links.get_mut(&peer).expect("turns are of links");
        let part = link.next_part(PART_BYTES).expect("a link in the turns is sending");
        if link.sending.is_some() {
            self.turns.push(peer);
        } else {
            self.start(now, peer);
        }
        Some((peer, part))
    }

    /// The next message of a link that is not sending.
    fn start(&mut self, now: Time, peer: PeerId) {
        let link = self.links.get_mut(&peer).expect("the caller has it");
        let next = core::iter::from_fn(|| link.queue.pop_front()).find(|queued| now <= queued.until);
        let Some(Queued { number, bytes, .. }) = next else { return };
        link.sending = Some(Sending { number, bytes, offset: 0 });
        match self.uplink {
            Uplink::Fair => self.turns.push(peer),
            Uplink::Written => self.write(now, peer),
        }
    }

    /// As much as there is credit for.
    fn write(&mut self, now: Time, peer: PeerId) {
        let link = self.links.get_mut(&peer).expect("the caller has it");
        while link.stream.credit > 0
            && let Some(part) = link.next_part(PART_BYTES.min(link.stream.credit))
        {
            if let Frame::Part { len, .. } = part {
                link.stream.credit -= len;
            }
            self.written.push_back((peer, part));
            if link.sending.is_none() {
                self.written.extend(link.control.drain(..).map(|frame| (peer, frame)));
                return self.start(now, peer);
            }
        }
    }
}

impl Link {
    /// At most so many bytes of the message that is being sent.
    fn next_part(&mut self, most: u32) -> Option<Frame> {
        let sending = self.sending.as_mut()?;
        let Sending { number, bytes, offset } = *sending;
        let len = most.min(bytes - offset);
        let end = offset + len;
        sending.offset = end;
        if end == bytes {
            self.sending = None;
        }
        Some(Frame::Part { number, bytes, end, len })
    }
}
