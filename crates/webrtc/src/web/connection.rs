use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use js_sys::{Function, JSON, Promise, Reflect};
use send_wrapper::SendWrapper;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{
    Event, EventTarget, RtcConfiguration, RtcDataChannel, RtcDataChannelEvent, RtcDataChannelInit,
    RtcIceCandidateInit, RtcIceServer, RtcPeerConnection, RtcPeerConnectionIceEvent, RtcPeerConnectionState,
    RtcSdpType, RtcSessionDescriptionInit,
};
use web_time::Instant;

use super::{Error, channel::DataChannel, listener::Listener};
use crate::{
    Channels, IceServer, Lost, Negotiate,
    protocol::{INIT_LABEL, Link, Role},
};

/// Most channels that the peer opened and nobody has taken; more are closed.
const INCOMING: usize = 64;

/// Most local candidates that nobody has taken. A machine has a few per interface.
const CANDIDATES: usize = 64;

const NO_PATH: &str = "no path to the peer works, or none any more";

/// How long it is remembered that a peer connection was made.
const MEMORY: Duration = Duration::from_secs(3600);

thread_local! {
    static MADE: RefCell<Made> = RefCell::default();
}

/// The peer connections that were made in this page, by all that use this crate. Browsers set a limit to those that they
/// have not forgotten yet.
#[derive(Clone, Debug, Default)]
pub struct Made {
    /// How many.
    pub total: usize,
    /// When: those within an hour before the newest, oldest first.
    pub times: VecDeque<Instant>,
}

/// What was made in this page so far.
pub fn made() -> Made {
    MADE.with_borrow(Clone::clone)
}

/// One more is made.
#[expect(clippy::disallowed_methods, reason = "this is the browser's side, where the clock comes in")]
fn count() {
    MADE.with_borrow_mut(|made| {
        let now = Instant::now();
        while made.times.front().is_some_and(|&at| now.duration_since(at) >= MEMORY) {
            made.times.pop_front();
        }
        made.times.push_back(now);
        made.total += 1;
    });
}

/// A peer connection of the browser's, negotiated or not. Dropping it closes it.
pub struct Connection(SendWrapper<Inner>);

struct Inner {
    connection: RtcPeerConnection,
    state: Rc<RefCell<State>>,
    /// See [`DataChannel::new`].
    bytes: Rc<Cell<usize>>,
    role: Role,
    init: Option<(RtcDataChannel, [Listener; 2])>,
    _listeners: Vec<Listener>,
}

/// What the events have told.
#[derive(Default)]
struct State {
    candidates: VecDeque<String>,
    incoming: VecDeque<DataChannel>,
    links: VecDeque<Link>,
    connected: bool,
    lost: Option<Lost>,
    /// Of the tasks that wait for a channel, and for anything else.
    incoming_waker: Option<Waker>,
    waker: Option<Waker>,
    /// Listens to the transport below the channels, which is there from the moment of connection.
    transport: Option<Listener>,
}

impl Connection {
    /// A fresh one. Fails where there is no WebRTC: in workers, in Node.js, or where it is forbidden.
    pub(super) fn new(servers: &[IceServer], role: Role) -> Result<Self, Error> {
        if !super::is_available() {
            return Err(Error::Missing);
        }
        let connection =
            RtcPeerConnection::new_with_configuration(&configuration(servers)).map_err(Error::refused)?;
        count();
        let (state, bytes) = (Rc::<RefCell<State>>::default(), Rc::<Cell<usize>>::default());
        let mut listeners = attach(&connection, &state, &bytes);
        if let Ok(window) = js_sys::global().dyn_into::<EventTarget>() {
            // The browser drops a page's connections without a word; the peer would miss us for 20 s.
            listeners.push(on_page_hide(&window, &connection, &state));
        }
        Ok(Self(SendWrapper::new(Inner {
            connection,
            state,
            bytes,
            role,
            init: None,
            _listeners: listeners,
        })))
    }

    /// Opens a channel. `id` is for a channel that both sides open by agreement.
    fn open_channel(&self, label: &str, id: Option<u16>) -> Result<RtcDataChannel, Error> {
        let init = RtcDataChannelInit::new();
        if let Some(id) = id {
            init.set_negotiated(true);
            init.set_id(id);
        }
        // Called by name, because the binding of web-sys does not catch what it throws when the connection is closed.
        let connection = &self.0.connection;
        Reflect::get(connection, &"createDataChannel".into())
            .and_then(|create| create.unchecked_into::<Function>().call2(connection, &label.into(), &init))
            .map(JsCast::unchecked_into)
            .map_err(Error::refused)
    }

    /// The channel that both sides have by this number, without opening it.
    pub(super) fn negotiated(&self, id: u16) -> Result<DataChannel, Error> {
        Ok(DataChannel::new(self.open_channel("", Some(id))?, self.0.bytes.clone()))
    }

    /// An offer of the channels that there are.
    pub(super) async fn offer(&self) -> Result<String, Error> {
        sdp(wait(self.0.connection.create_offer()).await?)
    }
}

impl Negotiate for Connection {
    type Error = Error;

    fn create_offer(&mut self) -> impl Future<Output = Result<String, Error>> + Send {
        SendWrapper::new(async {
            let init = self.open_channel(INIT_LABEL, None)?;
            let told = |event, link| {
                let state = self.0.state.clone();
                Listener::new(&init, event, move |_| tell(&state, |state| state.links.push_back(link)))
            };
            let listeners = [told("open", Link::InitOpen), told("close", Link::InitClosed)];
            self.0.init = Some((init, listeners));
            self.offer().await
        })
    }

    fn create_answer(&mut self) -> impl Future<Output = Result<String, Error>> + Send {
        SendWrapper::new(async { sdp(wait(self.0.connection.create_answer()).await?) })
    }

    fn set_local(&mut self, sdp: String) -> impl Future<Output = Result<(), Error>> + Send {
        SendWrapper::new(async move {
            let description = description(self.0.role, &sdp);
            wait(self.0.connection.set_local_description(&description)).await.map(drop)
        })
    }

    fn set_remote(&mut self, sdp: String) -> impl Future<Output = Result<(), Error>> + Send {
        SendWrapper::new(async move {
            let description = description(self.0.role.other(), &sdp);
            wait(self.0.connection.set_remote_description(&description)).await.map(drop)
        })
    }

    fn add_candidate(&mut self, candidate: String) -> impl Future<Output = ()> + Send {
        SendWrapper::new(async move {
            // `null` and `""` say that no more will come.
            let Ok(candidate) = JSON::parse(&candidate) else { return };
            if !candidate.is_object() {
                return;
            }
            let candidate = candidate.unchecked_into::<RtcIceCandidateInit>();
            let added = self.0.connection.add_ice_candidate_with_opt_rtc_ice_candidate_init(Some(&candidate));
            if let Err(error) = wait(added).await {
                tracing::debug!(%error, "candidate ignored");
            }
        })
    }

    fn close_init(&mut self) {
        if let Some((init, _)) = &self.0.init {
            init.close();
        }
    }

    fn poll_candidate(&mut self, context: &mut Context<'_>) -> Poll<String> {
        self.0.poll(context, |state| state.candidates.pop_front())
    }

    fn poll_link(&mut self, context: &mut Context<'_>) -> Poll<Link> {
        self.0.poll(context, |state| state.links.pop_front())
    }
}

impl Channels for Connection {
    type Channel = DataChannel;

    fn open(&mut self) -> Result<DataChannel, Lost> {
        let channel = self.open_channel("", None).map_err(|error| match &self.0.state.borrow().lost {
            Some(lost) => lost.clone(),
            None => Lost::Broken(error.to_string().into()),
        })?;
        Ok(DataChannel::new(channel, self.0.bytes.clone()))
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<DataChannel> {
        let mut state = self.0.state.borrow_mut();
        if let Some(channel) = state.incoming.pop_front() {
            return Poll::Ready(channel);
        }
        state.incoming_waker = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Lost> {
        self.0.poll(context, |state| state.lost.clone())
    }

    fn poll_close(&mut self, _: &mut Context<'_>) -> Poll<()> {
        self.0.connection.close();
        self.0.state.borrow_mut().lost.get_or_insert(Lost::Closed);
        Poll::Ready(())
    }
}

impl Inner {
    fn poll<T>(&self, context: &Context<'_>, look: impl FnOnce(&mut State) -> Option<T>) -> Poll<T> {
        let mut state = self.state.borrow_mut();
        if let Some(found) = look(&mut state) {
            return Poll::Ready(found);
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.connection.close();
    }
}

/// Something was told to `state`: tells whoever waits.
fn tell(state: &RefCell<State>, told: impl FnOnce(&mut State)) {
    let mut borrowed = state.borrow_mut();
    told(&mut borrowed);
    let wakers = [borrowed.waker.take(), borrowed.incoming_waker.take()];
    drop(borrowed);
    wakers.into_iter().flatten().for_each(Waker::wake);
}

/// Ends the connection, and with it every channel.
fn die(connection: &RtcPeerConnection, state: &RefCell<State>, lost: Lost) {
    connection.close();
    tell(state, |state| {
        state.lost.get_or_insert(lost);
        state.links.push_back(Link::Failed);
    });
}

fn attach(
    connection: &RtcPeerConnection,
    state: &Rc<RefCell<State>>,
    bytes: &Rc<Cell<usize>>,
) -> Vec<Listener> {
    let on_candidate = {
        let state = state.clone();
        move |event: Event| {
            let candidate = event.unchecked_into::<RtcPeerConnectionIceEvent>().candidate();
            // The last one says that there are no more, which the peer need not know.
            let Some(candidate) = candidate.filter(|candidate| !candidate.candidate().is_empty()) else {
                return;
            };
            let Ok(text) = JSON::stringify(&candidate.to_json()) else { return };
            tell(&state, |state| {
                if state.candidates.len() < CANDIDATES {
                    state.candidates.push_back(text.into());
                }
            });
        }
    };
    // Attached before anything can arrive, so that no channel is missed.
    let on_channel = {
        let (state, bytes) = (state.clone(), bytes.clone());
        move |event: Event| {
            let channel = event.unchecked_into::<RtcDataChannelEvent>().channel();
            let channel = DataChannel::new(channel, bytes.clone());
            tell(&state, |state| {
                // js-libp2p opens one with this label so that there is something to negotiate.
                if state.incoming.len() < INCOMING && channel.label() != INIT_LABEL {
                    state.incoming.push_back(channel);
                }
            });
        }
    };
    let on_state = {
        let (connection, state) = (connection.clone(), state.clone());
        // A connection that is merely `disconnected` may come back.
        move |_| match connection.connection_state() {
            RtcPeerConnectionState::Connected => on_connected(&connection, &state),
            RtcPeerConnectionState::Failed => die(&connection, &state, Lost::Broken(NO_PATH.into())),
            RtcPeerConnectionState::Closed => die(&connection, &state, Lost::Closed),
            _ => {}
        }
    };
    vec![
        Listener::new(connection, "icecandidate", on_candidate),
        Listener::new(connection, "datachannel", on_channel),
        Listener::new(connection, "connectionstatechange", on_state),
    ]
}

/// From now on the transport of the channels tells when the peer closes the connection; the connection itself does not.
fn on_connected(connection: &RtcPeerConnection, state: &Rc<RefCell<State>>) {
    let transport =
        Reflect::get(connection, &"sctp".into()).ok().and_then(|sctp| sctp.dyn_into::<EventTarget>().ok());
    let listener = transport.map(|transport| {
        let (connection, state, watched) = (connection.clone(), Rc::downgrade(state), transport.clone());
        Listener::new(&transport, "statechange", move |_| {
            let closed = Reflect::get(&watched, &"state".into()).is_ok_and(|state| state == "closed");
            if let (true, Some(state)) = (closed, state.upgrade()) {
                die(&connection, &state, Lost::Closed);
            }
        })
    });
    tell(state, |state| {
        // It may be connected several times, with disconnections between.
        if !std::mem::replace(&mut state.connected, true) {
            state.links.push_back(Link::Connected);
            state.transport = listener;
        }
    });
}

fn on_page_hide(
    window: &EventTarget,
    connection: &RtcPeerConnection,
    state: &Rc<RefCell<State>>,
) -> Listener {
    let (connection, state) = (connection.clone(), state.clone());
    Listener::new(window, "pagehide", move |_| die(&connection, &state, Lost::Closed))
}

fn configuration(servers: &[IceServer]) -> RtcConfiguration {
    let list = js_sys::Array::new();
    for server in servers {
        let entry = RtcIceServer::new();
        entry.set_urls(&server.urls.iter().map(JsValue::from).collect::<js_sys::Array>());
        if let Some(username) = &server.username {
            entry.set_username(username);
        }
        if let Some(credential) = &server.credential {
            entry.set_credential(credential);
        }
        list.push(&entry);
    }
    let configuration = RtcConfiguration::new();
    configuration.set_ice_servers(&list);
    configuration
}

/// What who is in this role describes itself with.
fn description(role: Role, sdp: &str) -> RtcSessionDescriptionInit {
    let description = RtcSessionDescriptionInit::new(match role {
        Role::Dialer => RtcSdpType::Offer,
        Role::Listener => RtcSdpType::Answer,
    });
    description.set_sdp(sdp);
    description
}

fn sdp(description: JsValue) -> Result<String, Error> {
    let sdp = Reflect::get(&description, &"sdp".into()).ok().and_then(|sdp| sdp.as_string());
    sdp.ok_or_else(|| Error::Refused("it makes no description".into()))
}

async fn wait(promise: Promise) -> Result<JsValue, Error> {
    JsFuture::from(promise).await.map_err(Error::refused)
}
