//! One connection: two substreams of ours, two of the peer's.
//!
//! The side with the smaller key chooses the connection that carries the link and opens its streams there; the other
//! answers on the same connection. So both sides agree, however many connections there are.

use std::{
    collections::VecDeque,
    convert::Infallible,
    future::{Ready, ready},
    io,
    sync::Arc,
    task::{Context, Poll},
};

use braidcast_core::{
    Frame,
    wire::{WireLen, frame},
};
use bytes::{Bytes, BytesMut};
use libp2p::{
    StreamProtocol,
    core::upgrade::{InboundUpgrade, ReadyUpgrade, UpgradeInfo},
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, Stream, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use crate::{
    outlet::Outlet,
    stats::{Counters, add},
    stream::{Kind, ReadError, Reader, Writer},
};

/// How many bytes of short frames are written in one go: one frame of the muxer instead of many.
const BATCH_BYTES: usize = 8 * 1024;

/// Most frames that the hub is given at once, which it handles without a pause. Guess.
const GIVEN_FRAMES: usize = 16;

/// No more are added to this many bytes. Guess: two bulk frames, as many as are read of TCP at once.
const GIVEN_BYTES: usize = 32 * 1024;

/// How often the other side may begin anew on one connection before it is closed. Guess.
const RESTARTS: u32 = 8;

/// What the hub tells a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Open our streams: this connection is chosen.
    Open,
    /// Drop all streams: another connection carries the link.
    Shut,
}

/// What a connection tells the hub.
#[derive(Debug)]
pub(crate) enum Notice {
    /// Control streams are open in both directions.
    Up,
    /// The bulk stream can take frames.
    BulkFree,
    /// The peer sent these, in this order; at least one.
    Received(Vec<Frame>),
    /// The peer does not speak our protocol.
    Unsupported,
    /// The streams are gone; the connection may live on.
    Down(String),
    /// The peer broke the protocol: close the connection.
    Fault(String),
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Handler {
    /// The streams that this connection may carry: none towards a peer that has no core id or broke the protocol, control
    /// alone through a relay.
    kinds: &'static [Kind],
    /// True when the other side chooses the connection.
    follows: bool,
    outlet: Arc<Outlet>,
    counters: Arc<Counters>,
    notices: VecDeque<Notice>,
    /// Our streams are to be open.
    wanted: bool,
    /// [`Notice::Up`] was given.
    up: bool,
    restarts: u32,
    control_out: Outbound,
    bulk_out: Outbound,
    control_in: Option<Reader>,
    bulk_in: Option<Reader>,
}

#[derive(Debug)]
enum Outbound {
    Closed,
    Requested,
    Open(Box<Writer>),
}

type Event = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, Kind, Notice>;

impl Handler {
    pub(crate) fn new(
        kinds: &'static [Kind],
        follows: bool,
        outlet: Arc<Outlet>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            kinds,
            follows,
            outlet,
            counters,
            notices: VecDeque::new(),
            wanted: false,
            up: false,
            restarts: 0,
            control_out: Outbound::Closed,
            bulk_out: Outbound::Closed,
            control_in: None,
            bulk_in: None,
        }
    }

    /// For a peer that is none of ours.
    pub(crate) fn disabled(counters: Arc<Counters>) -> Self {
        Self::new(&[], false, Arc::default(), counters)
    }

    /// Drops all streams.
    fn shut(&mut self) {
        self.wanted = false;
        self.up = false;
        self.control_out = Outbound::Closed;
        self.bulk_out = Outbound::Closed;
        self.control_in = None;
        self.bulk_in = None;
    }

    fn down(&mut self, reason: String) {
        self.shut();
        self.restarts += 1;
        self.notices.push_back(if self.restarts > RESTARTS {
            Notice::Fault(format!("began anew {RESTARTS} times on one connection"))
        } else {
            Notice::Down(reason)
        });
    }

    fn fault(&mut self, rule: String) {
        self.shut();
        self.kinds = &[];
        self.notices.push_back(Notice::Fault(rule));
    }

    /// A circuit is there to signal a direct connection; our streams do not keep one.
    fn loosen(&self, stream: &mut Stream) {
        if !self.kinds.contains(&Kind::Bulk) {
            stream.ignore_for_keep_alive();
        }
    }

    fn on_inbound(&mut self, mut stream: Stream, kind: Kind) {
        self.loosen(&mut stream);
        let slot = match kind {
            Kind::Control => &mut self.control_in,
            Kind::Bulk => &mut self.bulk_in,
        };
        if slot.is_some() {
            return self.fault(format!("second inbound stream ({kind:?})"));
        }
        *slot = Some(Reader::new(stream, kind));
        self.wanted |= self.follows && kind == Kind::Control;
    }

    fn on_outbound(&mut self, mut stream: Stream, kind: Kind) {
        self.loosen(&mut stream);
        let slot = match kind {
            Kind::Control => &mut self.control_out,
            Kind::Bulk => &mut self.bulk_out,
        };
        // Not requested any more: shut meanwhile.
        if matches!(slot, Outbound::Requested) {
            *slot = Outbound::Open(Writer::new(stream).into());
        }
    }

    fn on_outbound_failed(&mut self, kind: Kind, error: StreamUpgradeError<Infallible>) {
        if !self.wanted {
            return;
        }
        match error {
            StreamUpgradeError::NegotiationFailed if kind == Kind::Control && !self.follows => {
                self.shut();
                self.notices.push_back(Notice::Unsupported);
            }
            error => self.down(format!("{kind:?} stream does not open: {error}")),
        }
    }

    /// The stream to open next, if one is wanting.
    fn request(&mut self) -> Option<Kind> {
        if !self.wanted {
            return None;
        }
        let (kind, slot) = match (&self.control_out, &self.bulk_out) {
            (Outbound::Closed, _) => (Kind::Control, &mut self.control_out),
            (Outbound::Open(_), Outbound::Closed) if self.kinds.contains(&Kind::Bulk) => {
                (Kind::Bulk, &mut self.bulk_out)
            }
            _ => return None,
        };
        *slot = Outbound::Requested;
        Some(kind)
    }

    /// Tells once that the link is up.
    fn greet(&mut self) -> Option<Notice> {
        let open = matches!(self.control_out, Outbound::Open(_)) && self.control_in.is_some();
        if self.up || !open {
            return None;
        }
        self.up = true;
        // What was left by an earlier link on this connection.
        self.outlet.clear();
        Some(Notice::Up)
    }

    /// Writes what the hub has put in; `Ok(true)` when the bulk stream has become free.
    fn write(&mut self, context: &mut Context<'_>) -> io::Result<bool> {
        self.outlet.register(context.waker());
        if let Outbound::Open(writer) = &mut self.control_out {
            while let Poll::Ready(idle) = writer.poll_idle(context) {
                idle?;
                let batch = batch(|| self.outlet.take_control());
                let len = batch.iter().map(Bytes::len).sum();
                if len == 0 {
                    break;
                }
                add(&self.counters.control_bytes_out, len);
                add(&self.counters.bytes_out, len);
                writer.start(batch);
            }
        }
        let Outbound::Open(writer) = &mut self.bulk_out else { return Ok(false) };
        while let Poll::Ready(idle) = writer.poll_idle(context) {
            idle?;
            let batch = batch(|| self.outlet.take_bulk());
            let len = batch.iter().map(Bytes::len).sum();
            if len == 0 {
                return Ok(self.outlet.reopen());
            }
            add(&self.counters.bulk_bytes_out, len);
            add(&self.counters.bytes_out, len);
            writer.start(batch);
        }
        Ok(false)
    }

    /// Frames of the peer's that have come, and the error after them.
    fn read(&mut self, context: &mut Context<'_>) -> (Vec<Frame>, Option<ReadError>) {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        while frames.len() < GIVEN_FRAMES && bytes < GIVEN_BYTES {
            match self.read_frame(context) {
                Poll::Ready(Ok((frame, len))) => {
                    frames.push(frame);
                    bytes += len;
                }
                Poll::Ready(Err(error)) => return (frames, Some(error)),
                Poll::Pending => break,
            }
        }
        (frames, None)
    }

    /// The next frame of the peer's, control before bulk, and its length on the wire.
    fn read_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<(Frame, usize), ReadError>> {
        if let Some(reader) = &mut self.control_in
            && let Poll::Ready(read) = reader.poll_frame(context)
        {
            let (frame, len) = read?;
            add(&self.counters.control_bytes_in, len);
            add(&self.counters.bytes_in, len);
            return Poll::Ready(Ok((frame, len)));
        }
        if let Some(reader) = &mut self.bulk_in
            && let Poll::Ready(read) = reader.poll_frame(context)
        {
            let (frame, len) = read?;
            add(&self.counters.bulk_bytes_in, len);
            add(&self.counters.bytes_in, len);
            return Poll::Ready(Ok((frame, len)));
        }
        Poll::Pending
    }

    /// Moves bytes both ways until there is something to tell. Nothing moves before both sides are there.
    fn exchange(&mut self, context: &mut Context<'_>) -> Option<Notice> {
        if !self.up {
            return None;
        }
        match self.write(context) {
            Ok(true) => return Some(Notice::BulkFree),
            Ok(false) => {
                let (frames, error) = self.read(context);
                match error {
                    Some(ReadError::Closed(error)) => self.down(format!("cannot read: {error}")),
                    Some(ReadError::Fault(rule)) => self.fault(rule),
                    None => {}
                }
                if !frames.is_empty() {
                    return Some(Notice::Received(frames));
                }
            }
            Err(error) => self.down(format!("cannot write: {error}")),
        }
        self.notices.pop_front()
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Order;
    type ToBehaviour = Notice;
    type InboundProtocol = Accept;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = Kind;

    fn listen_protocol(&self) -> SubstreamProtocol<Accept> {
        SubstreamProtocol::new(Accept { kinds: self.kinds }, ())
    }

    fn on_behaviour_event(&mut self, order: Order) {
        match order {
            Order::Open => self.wanted = true,
            Order::Shut => self.shut(),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        if let Some(notice) = self.notices.pop_front() {
            return Poll::Ready(Event::NotifyBehaviour(notice));
        }
        if self.kinds.is_empty() {
            return Poll::Pending;
        }
        if let Some(kind) = self.request() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(kind.protocol()), kind);
            return Poll::Ready(Event::OutboundSubstreamRequest { protocol });
        }
        match self.greet().or_else(|| self.exchange(context)) {
            Some(notice) => Poll::Ready(Event::NotifyBehaviour(notice)),
            None => Poll::Pending,
        }
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, Accept, ReadyUpgrade<StreamProtocol>, (), Kind>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound {
                protocol: (stream, kind),
                ..
            }) => self.on_inbound(stream, kind),
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                self.on_outbound(protocol, info);
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.on_outbound_failed(info, error);
            }
            _ => {}
        }
    }
}

/// Several frames behind each other; one that is long is alone, if it comes first.
fn batch(mut take: impl FnMut() -> Option<Frame>) -> [Bytes; 2] {
    let mut batch = BytesMut::new();
    while batch.len() < BATCH_BYTES {
        let Some(frame) = take() else { break };
        let len = frame.wire_len();
        if batch.is_empty() && len >= BATCH_BYTES {
            return frame.encode_in_parts();
        }
        batch.reserve(len);
        frame::encode_to(&frame, &mut batch);
    }
    [batch.freeze(), Bytes::new()]
}

/// Takes the peer's streams of these kinds; others are refused as unknown protocols.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accept {
    kinds: &'static [Kind],
}

impl UpgradeInfo for Accept {
    type Info = StreamProtocol;
    type InfoIter = std::iter::Map<std::slice::Iter<'static, Kind>, fn(&Kind) -> StreamProtocol>;

    fn protocol_info(&self) -> Self::InfoIter {
        self.kinds.iter().map(|kind| kind.protocol())
    }
}

impl InboundUpgrade<Stream> for Accept {
    type Output = (Stream, Kind);
    type Error = Infallible;
    type Future = Ready<Result<Self::Output, Infallible>>;

    fn upgrade_inbound(self, stream: Stream, protocol: StreamProtocol) -> Self::Future {
        let kind = if protocol == Kind::Bulk.protocol() { Kind::Bulk } else { Kind::Control };
        ready(Ok((stream, kind)))
    }
}
