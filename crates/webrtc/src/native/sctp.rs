//! Data channels over one SCTP association: RFC 8831, opened by the protocol of RFC 8832.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use bytes::Bytes;
use sctp_proto::{
    Association, AssociationHandle, ClientConfig, DatagramEvent, Endpoint, EndpointConfig, Event, Payload,
    PayloadProtocolIdentifier as Ppi, ServerConfig, StreamEvent, TransportConfig,
};

use super::{dcep, window::Window};
use crate::{
    Closed,
    protocol::{FRAME_BYTES, INIT_LABEL, Link},
};

/// Bytes that may be received and not read, over all channels; then the sender waits.
const RECEIVE_BYTES: u32 = 2 * 1024 * 1024;

/// Longest message. Others send frames of 16 KiB, but some put several into one message.
pub(super) const MESSAGE_BYTES: u32 = 256 * 1024;

/// Bytes of an SCTP packet: 1280, the smallest MTU of IPv6, without IPv6 (40), UDP (8) and a DTLS record (37 at most).
const PACKET_BYTES: u32 = 1280 - 40 - 8 - 37;

/// Most channels that the peer opened and nobody took. Guess.
const INCOMING: usize = 256;

/// How long the side that opened a channel has to close it, before the other does. Guess.
const GRACE: Duration = Duration::from_secs(10);

/// The association has one path, and DTLS knows where it leads.
const NOWHERE: SocketAddr = SocketAddr::V4(std::net::SocketAddrV4::new(std::net::Ipv4Addr::LOCALHOST, 5000));

pub(super) struct Sctp {
    endpoint: Endpoint,
    association: Option<(AssociationHandle, Association)>,
    connected: bool,
    lost: Option<String>,
    /// The DTLS client has the even numbers.
    next: u16,
    /// Number 0 is agreed upon in advance.
    negotiated: bool,
    channels: BTreeMap<u16, Entry>,
    /// How many there have been.
    serial: u64,
    /// Packets that SCTP has seen to be lost.
    losses: u64,
    incoming: VecDeque<ChannelId>,
    /// Channels of the peer's that nobody uses any more, and until when it has to close them.
    leaving: VecDeque<(Instant, ChannelId)>,
    /// Of who waits for `incoming`.
    waiting: Option<Waker>,
    init: Init,
    /// What has become of the association and of `init`.
    pub(super) links: VecDeque<Link>,
    /// To be woken once nothing is locked.
    pub(super) wakers: Vec<Waker>,
}

/// The dialler's first channel of `/webrtc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Init {
    None,
    Wanted,
    Opening(u16),
    Open(u16),
    Closed,
}

/// A channel: its number, and which it is of those that have that number one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChannelId {
    number: u16,
    serial: u64,
}

/// The channel that both sides have without opening it.
pub(super) const NEGOTIATED: ChannelId = ChannelId { number: 0, serial: 0 };

struct Entry {
    serial: u64,
    stage: Stage,
    reader: Option<Waker>,
    writer: Option<Waker>,
    window: Window,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// The peer opened it, and has not said what it is.
    Nameless,
    Open,
    /// The peer's; nobody here uses it any more.
    Left,
}

impl Entry {
    fn new(serial: u64, stage: Stage) -> Self {
        Self { serial, stage, reader: None, writer: None, window: Window::default() }
    }
}

impl Sctp {
    pub(super) fn new(negotiated: bool) -> Self {
        let mut config = EndpointConfig::new();
        config.max_payload_size(PACKET_BYTES);
        let mut server = ServerConfig::new();
        server.transport = Arc::new(transport());
        Self {
            endpoint: Endpoint::new(Arc::new(config), Some(Arc::new(server))),
            association: None,
            connected: false,
            lost: None,
            next: 0,
            negotiated,
            channels: BTreeMap::new(),
            serial: 0,
            losses: 0,
            incoming: VecDeque::new(),
            leaving: VecDeque::new(),
            waiting: None,
            init: Init::None,
            links: VecDeque::new(),
            wakers: Vec::new(),
        }
    }

    /// DTLS is up. Its client begins.
    pub(super) fn start(&mut self, client: bool) {
        // 0 is for the handshake of webrtc-direct.
        self.next = if client { 2 } else { 1 };
        if client {
            let mut config = ClientConfig::new();
            config.transport = Arc::new(transport());
            match self.endpoint.connect(config, NOWHERE) {
                Ok(association) => {
                    self.association = Some(association);
                    // Browsers begin as well; ours will do.
                    self.endpoint.reject_new_associations();
                }
                Err(error) => self.lose(error.to_string()),
            }
        }
    }

    /// Opens the first channel of `/webrtc` as soon as that works.
    pub(super) fn open_init(&mut self) {
        self.init = Init::Wanted;
    }

    /// Closes it.
    pub(super) fn close_init(&mut self) {
        if let Init::Opening(number) | Init::Open(number) = self.init {
            self.reset(number);
        }
    }

    pub(super) fn is_connected(&self) -> bool {
        self.connected
    }

    pub(super) fn lost(&self) -> Option<&str> {
        self.lost.as_deref()
    }

    /// A packet out of DTLS.
    pub(super) fn handle(&mut self, now: Instant, packet: Bytes) {
        match self.endpoint.handle(now, NOWHERE, None, None, packet) {
            // WebRTC has one association; browsers repeat its first packet.
            Some((handle, DatagramEvent::NewAssociation(association))) if self.association.is_none() => {
                self.association = Some((handle, association));
            }
            Some((_, DatagramEvent::AssociationEvent(event))) => {
                if let Some((_, association)) = &mut self.association {
                    association.handle_event(event);
                }
            }
            _ => {}
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some((_, association)) = &mut self.association {
            association.handle_timeout(now);
        }
        while let Some((_, id)) = self.leaving.pop_front_if(|(until, _)| *until <= now) {
            if self.entry(id).is_some() {
                self.reset(id.number);
            }
        }
    }

    pub(super) fn timeout(&self) -> Option<Instant> {
        let timeout = self.association.as_ref().and_then(|(_, association)| association.poll_timeout());
        timeout.into_iter().chain(self.leaving.front().map(|(until, _)| *until)).min()
    }

    /// Packets for DTLS.
    pub(super) fn poll_packets(&mut self, now: Instant) -> Option<Vec<Bytes>> {
        self.settle(now);
        let transmit =
            self.endpoint.poll_transmit().or_else(|| self.association.as_mut()?.1.poll_transmit(now))?;
        match transmit.payload {
            Payload::RawEncode(packets) => Some(packets),
            Payload::PartialDecode(_) => None,
        }
    }

    /// Takes out what has happened.
    fn settle(&mut self, now: Instant) {
        self.settle_events(now);
        self.settle_windows(now);
    }

    fn settle_events(&mut self, now: Instant) {
        loop {
            let Some((handle, association)) = &mut self.association else { return };
            while let Some(event) = association.poll_endpoint_event() {
                if let Some(event) = self.endpoint.handle_event(*handle, event) {
                    association.handle_event(event);
                }
            }
            let Some(event) = association.poll() else { return };
            match event {
                Event::Connected => self.on_connected(),
                Event::HandshakeFailed { reason } | Event::AssociationLost { reason } => {
                    self.lose(reason.to_string());
                }
                Event::Stream(event) => self.on_stream(event, now),
                _ => {}
            }
        }
    }

    /// Looks what is acknowledged and whether something was lost; who waits to write is woken when half the window is free.
    fn settle_windows(&mut self, now: Instant) {
        let Some((_, association)) = &mut self.association else { return };
        let mut stats = association.stats();
        let losses = stats.get_num_fast_retrans() + stats.get_num_t3timeouts();
        let lost = std::mem::replace(&mut self.losses, losses) != losses;
        for (number, entry) in self.channels.iter_mut().filter(|(_, entry)| entry.window.is_open()) {
            let buffered =
                association.stream(*number).and_then(|stream| stream.buffered_amount()).unwrap_or(0);
            entry.window.on_acknowledged(buffered, lost, now);
            if buffered <= entry.window.bytes() / 2 {
                self.wakers.extend(entry.writer.take());
            }
        }
    }

    fn on_connected(&mut self) {
        self.connected = true;
        self.links.push_back(Link::Connected);
        if self.negotiated {
            self.create(NEGOTIATED);
        }
        if self.init == Init::Wanted {
            self.init = self.open(INIT_LABEL).map_or(Init::Closed, |id| Init::Opening(id.number));
        }
    }

    fn on_stream(&mut self, event: StreamEvent, now: Instant) {
        match event {
            StreamEvent::Opened { id } => {
                self.on_opened(id);
                self.on_readable(id, now);
            }
            StreamEvent::Readable { id } => self.on_readable(id, now),
            StreamEvent::Finished { id } | StreamEvent::Stopped { id, .. } => self.forget(id),
            _ => {}
        }
    }

    fn on_opened(&mut self, number: u16) {
        if self.negotiated && !self.connected && number == NEGOTIATED.number {
            // The peer's first message may come before the association is there.
            self.create(NEGOTIATED);
        }
        if !self.channels.contains_key(&number) {
            let id = self.next_id(number);
            self.channels.insert(number, Entry::new(id.serial, Stage::Nameless));
            if self.is_ours(number) {
                tracing::debug!(number, "a peer opens a data channel of ours");
                self.reset(number);
            }
        }
    }

    fn on_readable(&mut self, number: u16, now: Instant) {
        let Some(entry) = self.channels.get_mut(&number) else { return };
        self.wakers.extend(entry.reader.take());
        match entry.stage {
            Stage::Nameless => self.greet(number, now),
            Stage::Left => self.discard(number),
            Stage::Open if self.init == Init::Opening(number) => {
                // Nothing but the acknowledgement comes there.
                let _ = self.read(number);
            }
            Stage::Open => {}
        }
    }

    /// Reads what the peer's channel is.
    fn greet(&mut self, number: u16, now: Instant) {
        let Some(message) = self.read_any(number) else { return };
        let label = (message.0 == Ppi::Dcep).then(|| dcep::open_label(&message.1)).flatten();
        let Some(label) = label.filter(|_| self.incoming.len() < INCOMING) else {
            tracing::debug!(number, "a peer's data channel is none, or one too many");
            return self.reset(number);
        };
        self.write(number, dcep::ACK, Ppi::Dcep);
        let Some(entry) = self.channels.get_mut(&number) else { return };
        entry.stage = Stage::Open;
        let id = ChannelId { number, serial: entry.serial };
        if label == INIT_LABEL.as_bytes() {
            return self.close(id, now);
        }
        self.incoming.push_back(id);
        self.wakers.extend(self.waiting.take());
    }

    /// Opens a channel; what is sent goes out behind its opening.
    pub(super) fn open(&mut self, label: &str) -> Option<ChannelId> {
        for _ in 0..u16::MAX / 2 {
            let id = self.next_id(self.next);
            self.next = match id.number.wrapping_add(2) {
                // 65535 is no number of a stream.
                65535 => 1,
                0 => 2,
                next => next,
            };
            if !self.channels.contains_key(&id.number) && self.create(id) {
                self.write(id.number, &dcep::open(label), Ppi::Dcep);
                return Some(id);
            }
        }
        None
    }

    fn next_id(&mut self, number: u16) -> ChannelId {
        self.serial += 1;
        ChannelId { number, serial: self.serial }
    }

    /// Whether it is for us to open channels of this number, and so to use it again.
    fn is_ours(&self, number: u16) -> bool {
        number % 2 == self.next % 2
    }

    /// A stream that both know of, or that we open. Not while one of its number is being closed.
    fn create(&mut self, id: ChannelId) -> bool {
        let Some((_, association)) = &mut self.association else { return false };
        let opened = association.open_stream(id.number, Ppi::Binary).map(drop);
        let is_there = id == NEGOTIATED && opened == Err(sctp_proto::Error::ErrStreamAlreadyExist);
        if opened.is_err() && !is_there {
            return false;
        }
        self.channels.entry(id.number).or_insert(Entry::new(id.serial, Stage::Open));
        true
    }

    /// The channel, unless the peer has closed it.
    fn entry(&mut self, id: ChannelId) -> Option<&mut Entry> {
        self.channels.get_mut(&id.number).filter(|entry| entry.serial == id.serial)
    }

    /// The next channel that the peer opened.
    pub(super) fn poll_incoming(&mut self, context: &Context<'_>) -> Poll<ChannelId> {
        while let Some(id) = self.incoming.pop_front() {
            if self.entry(id).is_some() {
                return Poll::Ready(id);
            }
        }
        self.waiting = Some(context.waker().clone());
        Poll::Pending
    }

    /// The next message of a channel; `None` when it is closed.
    pub(super) fn poll_message(&mut self, id: ChannelId, context: &Context<'_>) -> Poll<Option<Bytes>> {
        if self.entry(id).is_none() {
            return Poll::Ready(None);
        }
        if let Some(message) = self.read(id.number) {
            return Poll::Ready(Some(message));
        }
        let is_lost = self.lost.is_some();
        match self.entry(id) {
            Some(entry) if !is_lost => {
                entry.reader = Some(context.waker().clone());
                Poll::Pending
            }
            _ => Poll::Ready(None),
        }
    }

    /// Ready when little waits to be acknowledged.
    pub(super) fn poll_ready(&mut self, id: ChannelId, context: &Context<'_>) -> Poll<Result<(), Closed>> {
        let (buffered, is_lost) = (self.buffered(id.number), self.lost.is_some());
        let Some(entry) = self.entry(id).filter(|_| !is_lost) else { return Poll::Ready(Err(Closed)) };
        if buffered < entry.window.bytes() {
            return Poll::Ready(Ok(()));
        }
        entry.writer = Some(context.waker().clone());
        Poll::Pending
    }

    pub(super) fn send(&mut self, id: ChannelId, message: &[u8]) {
        if let Some(entry) = self.entry(id) {
            entry.window.on_written(message.len());
            self.write(id.number, message, Ppi::Binary);
        }
    }

    /// Nobody uses the channel any more. Who opened it closes it, once the other has all that was sent on it.
    ///
    /// Its number may be used again when both directions are reset (RFC 8831, section 6.7), and only by who opened it.
    /// libdatachannel uses it as soon as we have reset ours, while `sctp_proto` answers libdatachannel's reset with
    /// another, which would end the new channel.
    pub(super) fn close(&mut self, id: ChannelId, now: Instant) {
        let is_ours = self.is_ours(id.number);
        let Some(entry) = self.entry(id) else { return };
        if is_ours {
            return self.reset(id.number);
        }
        entry.stage = Stage::Left;
        self.leaving.push_back((now + GRACE, id));
        self.discard(id.number);
    }

    fn reset(&mut self, number: u16) {
        if self.channels.remove(&number).is_some()
            && let Some(Ok(mut stream)) = self.association.as_mut().map(|(_, all)| all.stream(number))
        {
            let _ = stream.close();
        }
    }

    /// What nobody reads must not fill the receive buffer.
    fn discard(&mut self, number: u16) {
        while self.read_any(number).is_some() {}
    }

    /// Whether the peer has all that was sent.
    pub(super) fn is_flushed(&mut self) -> bool {
        let Some((_, association)) = &mut self.association else { return true };
        let ids = association.stream_ids();
        self.lost.is_some() || ids.into_iter().all(|id| self.buffered(id) == 0)
    }

    fn buffered(&mut self, id: u16) -> usize {
        let Some((_, association)) = &mut self.association else { return 0 };
        association.stream(id).and_then(|stream| stream.buffered_amount()).unwrap_or(0)
    }

    fn write(&mut self, id: u16, message: &[u8], kind: Ppi) {
        if let Some(Ok(mut stream)) = self.association.as_mut().map(|(_, all)| all.stream(id))
            && let Err(error) = stream.write_with_ppi(message, kind)
        {
            tracing::debug!(id, %error, "a data channel takes no message");
        }
    }

    /// The next message that is data.
    fn read(&mut self, id: u16) -> Option<Bytes> {
        loop {
            let (kind, message) = self.read_any(id)?;
            if kind != Ppi::Dcep {
                return Some(message);
            }
            if self.init == Init::Opening(id) {
                self.init = Init::Open(id);
                self.links.push_back(Link::InitOpen);
            }
        }
    }

    fn read_any(&mut self, id: u16) -> Option<(Ppi, Bytes)> {
        let (_, association) = self.association.as_mut()?;
        let mut message = association.stream(id).ok()?.read_sctp().ok()??;
        let (kind, len) = (message.ppi, message.len());
        Some((kind, message.next(len).map(|chunk| chunk.bytes).unwrap_or_default()))
    }

    /// The peer closed the channel.
    fn forget(&mut self, id: u16) {
        if let Some(entry) = self.channels.remove(&id) {
            self.wakers.extend([entry.reader, entry.writer].into_iter().flatten());
        }
        if matches!(self.init, Init::Opening(at) | Init::Open(at) if at == id) {
            self.init = Init::Closed;
            self.links.push_back(Link::InitClosed);
        }
    }

    /// Nothing comes or goes any more; what has come can still be read.
    pub(super) fn lose(&mut self, reason: String) {
        if self.lost.is_none() {
            self.lost = Some(reason);
            self.links.push_back(Link::Failed);
        }
        for entry in self.channels.values_mut() {
            self.wakers.extend([entry.reader.take(), entry.writer.take()].into_iter().flatten());
        }
    }
}

/// Timeouts as Chromium's: <https://webrtc.googlesource.com/src/+/refs/heads/main/net/dcsctp/public/dcsctp_options.h>.
fn transport() -> TransportConfig {
    TransportConfig::default()
        .with_max_receive_buffer_size(RECEIVE_BYTES)
        .with_max_receive_message_size(MESSAGE_BYTES)
        .with_max_send_message_size(FRAME_BYTES as u32)
        .with_max_init_retransmits(None)
        .with_max_data_retransmits(None)
        .with_rto_initial_ms(500)
        .with_rto_min_ms(400)
}

#[cfg(test)]
mod tests;
