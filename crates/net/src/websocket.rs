//! The browser's WebSocket as a libp2p transport, dial only.
//!
//! Works wherever there is a global `WebSocket`: window, worker, Node 22. Readers and writers are woken by the
//! socket's events at once; only a writer that finds more than [`SEND_BYTES`] unsent waits by a timer, because the
//! WebSocket interface has no event for that. In contrast to libp2p-websocket-websys 0.6: no timer in flush, 8 MiB
//! instead of 1 MiB of unread bytes, no panic without a window, and closing wakes everybody.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use futures::{AsyncRead, AsyncWrite, FutureExt, future::BoxFuture};
use futures_timer::Delay;
use js_sys::{ArrayBuffer, Function, Reflect, Uint8Array};
use libp2p::{
    Multiaddr, TransportError,
    core::transport::{DialOpts, ListenerId, TransportEvent},
};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{BinaryType, CloseEvent, Event, MessageEvent, WebSocket};

use crate::{
    address::{self, Route},
    platform::{self, Yield},
};

/// Most bytes that the browser may hold for us unsent. It has no event for "sent", so beyond it a timer asks again.
const SEND_BYTES: u32 = 1024 * 1024;

/// How soon it asks. In a hidden page the browser makes a second of it; acknowledgements that come in wake the writer
/// earlier.
const SEND_RETRY: Duration = Duration::from_millis(5);

/// Most bytes received and not read. Peers send on credit and cannot get near it.
const RECEIVE_BYTES: usize = 8 * 1024 * 1024;

/// How much is read before the event loop gets a turn: about 2 ms of decryption.
const READ_BYTES: usize = 256 * 1024;

/// Dials `/ws` and `/wss` addresses.
#[derive(Clone, Copy, Debug)]
pub struct Transport;

/// Why a WebSocket does not open.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// No address of a WebSocket.
    #[error("{0}")]
    Address(String),
    /// No `WebSocket` here.
    #[error("this JavaScript runtime has no WebSocket: Node needs version 22 or later")]
    Missing,
    /// The browser forbids it.
    #[error("the browser does not open {url}: {reason}")]
    Refused {
        /// Whither.
        url: String,
        /// What the browser says.
        reason: String,
    },
    /// Nothing comes of it.
    #[error(
        "no connection to {url}: nobody answers there, or its certificate is not trusted; the browser does not tell which"
    )]
    Failed {
        /// Whither.
        url: String,
    },
    /// It only dials.
    #[error("{0}")]
    Listen(&'static str),
}

impl libp2p::Transport for Transport {
    type Output = Socket;
    type Error = DialError;
    type ListenerUpgrade = futures::future::Pending<Result<Socket, DialError>>;
    type Dial = BoxFuture<'static, Result<Socket, DialError>>;

    fn listen_on(&mut self, _: ListenerId, _: Multiaddr) -> Result<(), TransportError<DialError>> {
        Err(TransportError::Other(DialError::Listen("a browser cannot listen")))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, opts: DialOpts) -> Result<Self::Dial, TransportError<DialError>> {
        if opts.role.is_listener() {
            return Err(TransportError::MultiaddrNotSupported(address));
        }
        match address::route(&address) {
            Ok(Route::WebSocket { url }) => Ok(SendWrapper::new(open(url)).boxed()),
            Ok(_) => Err(TransportError::MultiaddrNotSupported(address)),
            Err(error) => Err(TransportError::Other(DialError::Address(error.to_string()))),
        }
    }

    fn poll(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<TransportEvent<Self::ListenerUpgrade, DialError>> {
        Poll::Pending
    }
}

/// Opens a socket and waits until it is open.
async fn open(url: String) -> Result<Socket, DialError> {
    if !Reflect::has(&js_sys::global(), &JsValue::from_str("WebSocket")).unwrap_or(false) {
        return Err(DialError::Missing);
    }
    let socket = WebSocket::new(&url)
        .map_err(|error| DialError::Refused { reason: refusal(&url, &error), url: url.clone() })?;
    let socket = Socket::new(socket);
    std::future::poll_fn(|context| socket.poll_open(context)).await.map_err(|_| DialError::Failed { url })?;
    Ok(socket)
}

/// What the browser says, and what it means.
fn refusal(url: &str, error: &JsValue) -> String {
    let text = |name| Reflect::get(error, &JsValue::from_str(name)).ok().and_then(|value| value.as_string());
    match text("name") {
        Some(name) if name == "SecurityError" && url.starts_with("ws://") => {
            "a page served over https may open only /wss addresses".into()
        }
        name => text("message").or(name).unwrap_or_else(|| "it gives no reason".into()),
    }
}

/// An open WebSocket as a stream of bytes.
pub struct Socket(SendWrapper<Inner>);

struct Inner {
    socket: WebSocket,
    state: Rc<RefCell<State>>,
    /// Set while too much is unsent.
    retry: Option<Delay>,
    /// Bytes read since the event loop had its last turn, and the turn that is waited for.
    read_bytes: usize,
    turn: Option<Yield>,
    _handlers: Handlers,
}

/// Kept alive until the socket has let go of them.
struct Handlers {
    _open: Closure<dyn FnMut()>,
    _message: Closure<dyn FnMut(MessageEvent)>,
    _error: Closure<dyn FnMut(Event)>,
    _close: Closure<dyn FnMut(CloseEvent)>,
}

/// What the events have told.
#[derive(Default)]
struct State {
    open: bool,
    closed: Option<Closed>,
    received: VecDeque<Bytes>,
    received_bytes: usize,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug)]
enum Closed {
    /// The other side closed the socket.
    Ended,
    Failed(&'static str),
}

impl State {
    fn on_message(&mut self, event: &MessageEvent) {
        let Ok(buffer) = event.data().dyn_into::<ArrayBuffer>() else {
            return self.on_closed(Closed::Failed("received text instead of bytes"));
        };
        let buffer = Uint8Array::new(&buffer);
        if buffer.length() == 0 {
            return;
        }
        self.received_bytes += buffer.length() as usize;
        if self.received_bytes > RECEIVE_BYTES {
            return self.on_closed(Closed::Failed("received more than was read"));
        }
        self.received.push_back(buffer.to_vec().into());
        self.wake();
    }

    fn on_closed(&mut self, closed: Closed) {
        self.closed.get_or_insert(closed);
        self.wake();
    }

    /// Both, since whatever comes in may be the credit that a writer waits for. Waking only queues a microtask, so no
    /// task runs, and drops this socket, inside of the socket's own event.
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }

    fn error(&self) -> Option<io::Error> {
        match self.closed? {
            Closed::Ended => Some(io::ErrorKind::BrokenPipe.into()),
            Closed::Failed(reason) => Some(io::Error::new(io::ErrorKind::ConnectionAborted, reason)),
        }
    }
}

impl Socket {
    fn new(socket: WebSocket) -> Self {
        let state = Rc::new(RefCell::new(State::default()));
        let handlers = Handlers::attach(&socket, &state);
        let inner = Inner { socket, state, retry: None, read_bytes: 0, turn: None, _handlers: handlers };
        Self(SendWrapper::new(inner))
    }

    fn poll_open(&self, context: &Context<'_>) -> Poll<Result<(), Closed>> {
        let mut state = self.0.state.borrow_mut();
        if let Some(closed) = state.closed {
            return Poll::Ready(Err(closed));
        }
        if state.open {
            return Poll::Ready(Ok(()));
        }
        state.reader = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Handlers {
    fn attach(socket: &WebSocket, state: &Rc<RefCell<State>>) -> Self {
        socket.set_binary_type(BinaryType::Arraybuffer);
        let handlers = Self {
            _open: Closure::new({
                let state = state.clone();
                move || {
                    let mut state = state.borrow_mut();
                    state.open = true;
                    state.wake();
                }
            }),
            _message: Closure::new({
                let state = state.clone();
                move |event: MessageEvent| state.borrow_mut().on_message(&event)
            }),
            _error: Closure::new({
                let state = state.clone();
                move |_: Event| state.borrow_mut().on_closed(Closed::Failed("the connection broke"))
            }),
            _close: Closure::new({
                let state = state.clone();
                move |_: CloseEvent| state.borrow_mut().on_closed(Closed::Ended)
            }),
        };
        socket.set_onopen(Some(function(&handlers._open)));
        socket.set_onmessage(Some(function(&handlers._message)));
        socket.set_onerror(Some(function(&handlers._error)));
        socket.set_onclose(Some(function(&handlers._close)));
        handlers
    }
}

fn function<F: ?Sized + wasm_bindgen::closure::WasmClosure>(closure: &Closure<F>) -> &Function {
    closure.as_ref().unchecked_ref()
}

impl Inner {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Some(turn) = &mut self.turn {
            ready!(turn.poll_unpin(context));
            self.turn = None;
            self.read_bytes = 0;
        }
        let mut state = self.state.borrow_mut();
        let Some(front) = state.received.front_mut() else {
            return match state.closed {
                Some(Closed::Ended) => Poll::Ready(Ok(0)),
                Some(Closed::Failed(_)) => Poll::Ready(Err(state.error().expect("it is closed"))),
                None => {
                    // Nothing left to read: the event loop gets its turn anyway.
                    self.read_bytes = 0;
                    state.reader = Some(context.waker().clone());
                    Poll::Pending
                }
            };
        };
        let len = front.len().min(buffer.len());
        front.copy_to_slice(&mut buffer[..len]);
        if front.is_empty() {
            state.received.pop_front();
        }
        state.received_bytes -= len;
        self.read_bytes += len;
        if self.read_bytes >= READ_BYTES {
            self.turn = Some(platform::yield_now());
        }
        Poll::Ready(Ok(len))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state.borrow_mut();
        if let Some(error) = state.error() {
            return Poll::Ready(Err(error));
        }
        let mut unsent = self.socket.buffered_amount();
        while unsent >= SEND_BYTES {
            state.writer = Some(context.waker().clone());
            let retry = self.retry.get_or_insert_with(|| Delay::new(SEND_RETRY));
            ready!(Pin::new(retry).poll(context));
            // An expired timer must not be polled again.
            self.retry = None;
            unsent = self.socket.buffered_amount();
        }
        self.retry = None;
        let len = bytes.len().min((SEND_BYTES - unsent) as usize);
        match self.socket.send_with_u8_array(&bytes[..len]) {
            Ok(()) => Poll::Ready(Ok(len)),
            Err(_) => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0.poll_write(context, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The browser has the bytes and sends them without being asked.
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The browser sends what it holds before it closes. Fails only for codes that are not used here.
        let _ = self.0.socket.close();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.socket.set_onopen(None);
        self.socket.set_onmessage(None);
        self.socket.set_onerror(None);
        self.socket.set_onclose(None);
        // Fails only for codes that are not used here.
        let _ = self.socket.close();
    }
}
