use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use js_sys::{ArrayBuffer, Uint8Array};
use send_wrapper::SendWrapper;
use wasm_bindgen::JsCast;
use web_sys::{Event, MessageEvent, RtcDataChannel, RtcDataChannelState, RtcDataChannelType};

use super::listener::Listener;
use crate::{Channel, Closed};

/// Most bytes that the browser may hold for one channel unsent; beyond it a writer waits until [`LOW_BYTES`] are left.
/// More made no connection faster in Chromium 156.
const HIGH_BYTES: u32 = 512 * 1024;
const LOW_BYTES: u32 = 128 * 1024;

/// Most bytes received on one channel and not read. A browser cannot be told to receive less, so who goes beyond
/// loses the channel. js-libp2p has up to 2 MiB under way.
const CHANNEL_BYTES: usize = 4 * 1024 * 1024;

/// The same for all channels of a connection.
const CONNECTION_BYTES: usize = 16 * 1024 * 1024;

/// A data channel of the browser's.
pub struct DataChannel(SendWrapper<Inner>);

struct Inner {
    channel: RtcDataChannel,
    state: Rc<RefCell<State>>,
    /// Sent before the channel was open.
    early: Rc<RefCell<Vec<Bytes>>>,
    _listeners: [Listener; 5],
}

/// What the events have told.
struct State {
    /// Left with JavaScript until they are read: the memory of wasm never shrinks.
    received: VecDeque<Uint8Array>,
    /// Their [`cost`].
    received_bytes: usize,
    /// The same of all channels of the connection.
    connection_bytes: Rc<Cell<usize>>,
    closed: bool,
    /// A message was refused, and none after it may be taken.
    refused: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// Who is to be woken once the state is free again.
type Woken = [Option<Waker>; 2];

impl DataChannel {
    /// `connection_bytes` is shared by all channels of a connection.
    pub(super) fn new(channel: RtcDataChannel, connection_bytes: Rc<Cell<usize>>) -> Self {
        channel.set_binary_type(RtcDataChannelType::Arraybuffer);
        channel.set_buffered_amount_low_threshold(LOW_BYTES);
        let state = Rc::new(RefCell::new(State {
            received: VecDeque::new(),
            received_bytes: 0,
            connection_bytes,
            refused: false,
            closed: matches!(
                channel.ready_state(),
                RtcDataChannelState::Closing | RtcDataChannelState::Closed
            ),
            reader: None,
            writer: None,
        }));
        let listen = |name, on_event: fn(&mut State, Event) -> Woken| {
            let state = state.clone();
            Listener::new(&channel, name, move |event| {
                let woken = on_event(&mut state.borrow_mut(), event);
                woken.into_iter().flatten().for_each(Waker::wake);
            })
        };
        let early = Rc::<RefCell<Vec<Bytes>>>::default();
        let on_open = {
            let (channel, state, early) = (channel.clone(), state.clone(), early.clone());
            move |_| {
                early.take().iter().for_each(|message| send(&channel, message));
                let writer = state.borrow_mut().writer.take();
                writer.into_iter().for_each(Waker::wake);
            }
        };
        let listeners = [
            Listener::new(&channel, "open", on_open),
            listen("bufferedamountlow", |state, _| [state.writer.take(), None]),
            listen("message", |state, event| state.on_message(event.unchecked_ref())),
            // What is unsent when the other side closes is lost, so nobody has to wait until it is closed.
            listen("closing", |state, _| state.close()),
            listen("close", |state, _| state.close()),
        ];
        Self(SendWrapper::new(Inner { channel, state, early, _listeners: listeners }))
    }

    /// What it was opened with.
    pub fn label(&self) -> String {
        self.0.channel.label()
    }
}

impl Channel for DataChannel {
    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        let mut state = self.0.state.borrow_mut();
        match state.take() {
            Some(message) => Poll::Ready(Some(message)),
            None if state.closed => Poll::Ready(None),
            None => {
                state.reader = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Closed>> {
        let mut state = self.0.state.borrow_mut();
        match self.0.channel.ready_state() {
            _ if state.closed => Poll::Ready(Err(Closed)),
            RtcDataChannelState::Open if self.0.channel.buffered_amount() < HIGH_BYTES => Poll::Ready(Ok(())),
            _ => {
                state.writer = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn send(&mut self, message: Bytes) {
        match self.0.channel.ready_state() {
            RtcDataChannelState::Connecting => self.0.early.borrow_mut().push(message),
            _ => send(&self.0.channel, &message),
        }
    }
}

impl State {
    fn on_message(&mut self, event: &MessageEvent) -> Woken {
        if self.refused {
            return [None, None];
        }
        let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() else {
            return self.refuse("it carries text");
        };
        let message = Uint8Array::new(&buffer);
        let connection_bytes = self.connection_bytes.get() + cost(&message);
        if self.received_bytes + cost(&message) > CHANNEL_BYTES || connection_bytes > CONNECTION_BYTES {
            return self.refuse("more is received than read");
        }
        self.received_bytes += cost(&message);
        self.connection_bytes.set(connection_bytes);
        self.received.push_back(message);
        [self.reader.take(), None]
    }

    fn refuse(&mut self, reason: &str) -> Woken {
        tracing::debug!(reason, "data channel refused");
        self.refused = true;
        self.close()
    }

    /// The oldest message.
    fn take(&mut self) -> Option<Bytes> {
        let message = self.received.pop_front()?;
        self.forget(cost(&message));
        Some(message.to_vec().into())
    }

    fn forget(&mut self, bytes: usize) {
        self.received_bytes -= bytes;
        self.connection_bytes.set(self.connection_bytes.get() - bytes);
    }

    fn close(&mut self) -> Woken {
        self.closed = true;
        [self.reader.take(), self.writer.take()]
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The browser sends what it holds before it closes.
        self.channel.close();
    }
}

impl Drop for State {
    fn drop(&mut self) {
        self.forget(self.received_bytes);
    }
}

/// Bytes that a message takes until it is read; an empty one is not for nothing.
fn cost(message: &Uint8Array) -> usize {
    message.length() as usize + 64
}

/// Fails when the channel is closed, which its events tell.
fn send(channel: &RtcDataChannel, message: &[u8]) {
    if channel.send_with_u8_array(message).is_err() {
        tracing::trace!("message dropped: the data channel is closed");
    }
}
