//! A page, a worker, or Node 22 and later: one thread, an event loop, and WebSocket.

use std::{
    cell::RefCell,
    collections::VecDeque,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use braidcast_core::machine::{Duration, Now, Time, WallTime};
use braidcast_webrtc::{
    protocol::DirectAddress,
    web::{self, Browser, direct},
};
use js_sys::{Function, Reflect};
use libp2p::{
    Multiaddr, Swarm, Transport, connection_limits,
    core::{muxing::StreamMuxerBox, transport::timeout::TransportTimeout, upgrade::Version},
    identify,
    identity::Keypair,
    multiaddr::Protocol,
    noise, ping, relay,
    swarm::{Config as SwarmConfig, NetworkBehaviour},
};
use wasm_bindgen::{JsCast, JsValue, closure::Closure};
use web_sys::{EventTarget, MessageChannel, MessagePort};
use web_time::{Instant, SystemTime};

use crate::{
    Config, StartError,
    address::{self, PeerConnection, Route},
    behaviour::Behaviour,
    muxer::Hasty,
    quota::{Limits, Made},
    stats::CircuitCounters,
    websocket,
};

/// `setTimeout` counts whole milliseconds.
pub(crate) const TIMER_GRAIN: Duration = Duration::from_millis(1);

/// Over `setTimeout`.
pub(crate) type Timer = futures_timer::Delay;

/// One slice of a long computation, about 2 ms.
pub(crate) const WORK_BYTES: usize = 1024 * 1024;

const NO_WEBRTC: &str = "WebRTC is not available here, where it is turned off or in a worker or Node.js: give the relay's \
                         /ws or /wss address";

/// All behaviours, in the order in which they are asked for leave.
#[derive(NetworkBehaviour)]
pub(crate) struct Network {
    limits: connection_limits::Behaviour,
    pub(crate) hub: Behaviour,
    identify: identify::Behaviour,
    ping: ping::Behaviour,
    circuits: relay::client::Behaviour,
    pub(super) signalling: braidcast_webrtc::Behaviour,
}

thread_local! {
    #[expect(clippy::disallowed_methods, reason = "this is where the clocks come in")]
    static START: Instant = Instant::now();
}

/// Both clocks.
#[expect(clippy::disallowed_methods, reason = "this is where the clocks come in")]
pub(crate) fn now() -> Now {
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Now {
        time: time(START.with(Instant::elapsed)),
        wall: WallTime(u64::try_from(wall.as_millis()).unwrap_or(u64::MAX)),
    }
}

/// The time that has passed since the page's first node began.
fn time(passed: std::time::Duration) -> Time {
    Time::from_micros(u64::try_from(passed.as_micros()).unwrap_or(u64::MAX))
}

/// 32 bytes that nobody can guess.
#[expect(clippy::disallowed_methods, reason = "this is where entropy comes in")]
pub(crate) fn entropy() -> Result<[u8; 32], StartError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|error| StartError::Platform(format!("no entropy: {error}")))?;
    Ok(seed)
}

/// Rings once, after `span`.
pub(crate) fn timer(span: std::time::Duration) -> Timer {
    Timer::new(span)
}

/// Runs a task until it ends.
pub(crate) fn spawn(task: impl Future<Output = ()> + 'static) {
    wasm_bindgen_futures::spawn_local(task);
}

/// Whether this platform can do what is configured.
pub(crate) fn check(config: &Config) -> Result<(), StartError> {
    if !config.listen.is_empty() || !config.external.is_empty() {
        return Err(StartError::Unsupported("a browser cannot listen: leave listen and external empty"));
    }
    if config.serve_relay {
        return Err(StartError::Unsupported("a browser cannot serve as relay: run `braidcast relay`"));
    }
    for relay in &config.relays {
        let reason = match address::route(relay) {
            Ok(Route::WebSocket { .. }) => continue,
            Ok(Route::WebRtcDirect) if web::is_available() => continue,
            Ok(Route::WebRtcDirect) => return Err(StartError::Unsupported(NO_WEBRTC)),
            Ok(_) => "a browser can dial only /ws, /wss and /webrtc-direct addresses".into(),
            Err(error) => error.to_string(),
        };
        return Err(StartError::Address { address: relay.clone(), reason });
    }
    Ok(())
}

/// Whether an address of this kind can be dialled here.
pub(crate) fn dials(route: &Route) -> bool {
    match route {
        Route::WebSocket { url } => !is_secure_page() || address::is_safe(url),
        Route::Circuit => true,
        Route::WebRtc | Route::WebRtcDirect => web::is_available(),
        Route::Tcp | Route::Quic => false,
    }
}

/// Whether this page came over https, or is a worker of one that did.
fn is_secure_page() -> bool {
    let of = |object: &JsValue, name: &str| Reflect::get(object, &name.into()).ok();
    let protocol = of(&js_sys::global(), "location").and_then(|location| of(&location, "protocol"));
    protocol.is_some_and(|protocol| protocol == "https:")
}

/// Each costs a peer connection.
pub(crate) fn spare_peers(_config: &Config) -> usize {
    0
}

/// What keeps this node from direct links to those who cannot be dialled.
pub(crate) fn handicap() -> Option<&'static str> {
    (!web::is_available())
        .then_some("there is no WebRTC here: it is turned off, or this is a worker or Node.js")
}

/// So few that a page with a thousand others stays quick, and far below Chromium's 500 in a page's life, which counts what
/// is closed and not collected yet. Guesses.
pub(crate) fn quota(config: &Config) -> Limits {
    Limits {
        links: config.mesh.topic.mesh_target,
        connections: config.mesh.topic.mesh_target + 4,
        made: Some(config.peer_connections_per_hour),
    }
}

/// The peer connections that there have been in this page.
pub(crate) fn peer_connections_made() -> Made {
    let web::Made { total, times } = web::made();
    let times = times.into_iter().map(|at| START.with(|start| time(at.saturating_duration_since(*start))));
    Made { total, times: times.collect() }
}

/// How many peer connections a dial of this address may make at once: webrtc-direct has two versions to try.
pub(crate) fn peer_connections(address: &Multiaddr) -> usize {
    match address::peer_connection(address) {
        Some(PeerConnection::Link) => 1,
        Some(PeerConnection::Listener) => 2,
        None => 0,
    }
}

/// A browser serves nobody as relay.
pub(crate) fn count(_event: &NetworkEvent, _counters: &CircuitCounters) {}

/// The network; a browser listens through its relays only.
pub(crate) fn swarm(
    config: &Config,
    keypair: &Keypair,
    hub: Behaviour,
) -> Result<Swarm<Network>, StartError> {
    let noise = noise::Config::new(keypair).map_err(|error| StartError::Platform(error.to_string()))?;
    let local = keypair.public().to_peer_id();
    let (circuit, circuits) = relay::client::new(local);
    let relayed = circuit
        .or_transport(websocket::Transport)
        .upgrade(Version::V1Lazy)
        .authenticate(noise)
        .multiplex(super::yamux())
        .map(|(peer, muxer), _| (peer, Hasty::boxed(StreamMuxerBox::new(muxer))));
    let browser = Browser { servers: config.ice_servers.clone() };
    let (links, signalling) = braidcast_webrtc::pair(local, browser, super::webrtc_config(config));
    let direct = direct::Transport::new(direct_config(config, keypair));
    // First the links, because the transport of circuits would take their addresses for its own, and last what would take
    // the address of a circuit for a wrong one.
    let transport = links
        .map(|(peer, muxer), _| (peer, Hasty::boxed(StreamMuxerBox::new(muxer))))
        .or_transport(relayed)
        .map(|either, _| either.into_inner())
        .or_transport(direct.map(|(peer, muxer), _| (peer, Hasty::boxed(StreamMuxerBox::new(muxer)))))
        .map(|either, _| either.into_inner());
    let network = Network {
        limits: super::limits(config),
        hub,
        identify: super::identify(config, keypair),
        ping: super::ping(),
        circuits,
        signalling,
    };
    let settings = super::swarm_config(SwarmConfig::with_wasm_executor());
    let transport = TransportTimeout::new(transport, super::CONNECTING).boxed();
    let mut swarm = Swarm::new(transport, network, local, settings);
    if web::is_available() {
        swarm.listen_on(Protocol::WebRTC.into()).expect("it listens once");
    }
    Ok(swarm)
}

fn direct_config(config: &Config, keypair: &Keypair) -> direct::Config {
    let certificate = |address| DirectAddress::try_from(address).ok()?.fingerprint;
    let v2 = config.webrtc_direct_v2.iter().filter_map(certificate).collect();
    direct::Config { keypair: keypair.clone(), streams: super::STREAMS, v2 }
}

/// Ready at once by default; from [`yield_now`], after the event loop had its turn: input, painting, sockets.
#[derive(Debug, Default)]
pub(crate) struct Yield(Option<Rc<RefCell<Turn>>>);

/// Lets the event loop run once. A woken task alone would not: it runs as a microtask, and a chain of those is one
/// long task. Nor would a timer do: in a hidden page it takes a second.
pub(crate) fn yield_now() -> Yield {
    let turn = Rc::new(RefCell::new(Turn::default()));
    EVENT_LOOP.with(|event_loop| event_loop.post(turn.clone()));
    Yield(Some(turn))
}

impl Future for Yield {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Some(turn) = &self.0 else { return Poll::Ready(()) };
        let mut turn = turn.borrow_mut();
        if turn.over {
            return Poll::Ready(());
        }
        turn.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

#[derive(Debug, Default)]
struct Turn {
    over: bool,
    waker: Option<Waker>,
}

/// A channel to ourselves: what is posted to it arrives as a task of its own.
struct EventLoop {
    turns: Rc<RefCell<VecDeque<Rc<RefCell<Turn>>>>>,
    post: MessagePort,
    /// Both live as long as the thread.
    _receive: MessagePort,
    _on_message: Closure<dyn FnMut()>,
}

thread_local!(static EVENT_LOOP: EventLoop = EventLoop::new());

impl EventLoop {
    fn new() -> Self {
        let channel = MessageChannel::new().expect("every browser and Node have MessageChannel");
        let turns = Rc::new(RefCell::new(VecDeque::<Rc<RefCell<Turn>>>::new()));
        let posted = turns.clone();
        let on_message = Closure::<dyn FnMut()>::new(move || {
            let turn = posted.borrow_mut().pop_front();
            if let Some(turn) = turn {
                turn.borrow_mut().over = true;
                let waker = turn.borrow_mut().waker.take();
                waker.into_iter().for_each(Waker::wake);
            }
        });
        let receive = channel.port1();
        receive.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
        // In Node, an open port would keep the process from ending.
        if let Ok(unref) = Reflect::get(&receive, &JsValue::from_str("unref"))
            && let Some(unref) = unref.dyn_ref::<Function>()
        {
            // It throws nothing.
            let _ = unref.call0(&receive);
        }
        Self { turns, post: channel.port2(), _receive: receive, _on_message: on_message }
    }

    fn post(&self, turn: Rc<RefCell<Turn>>) {
        self.turns.borrow_mut().push_back(turn);
        self.post.post_message(&JsValue::NULL).expect("null can be cloned");
    }
}

/// Tells when the network may be back after an interruption: the device is online again.
pub(crate) struct Resumed {
    state: Rc<RefCell<Turn>>,
    target: Option<EventTarget>,
    on_online: Closure<dyn FnMut()>,
}

impl Resumed {
    pub(crate) fn new() -> Self {
        let state = Rc::new(RefCell::new(Turn::default()));
        let told = state.clone();
        let on_online = Closure::<dyn FnMut()>::new(move || {
            let mut state = told.borrow_mut();
            state.over = true;
            state.waker.take().into_iter().for_each(Waker::wake);
        });
        // Window and worker are event targets; Node's global object is none and tells nothing.
        let target = js_sys::global().dyn_into::<EventTarget>().ok();
        if let Some(target) = &target {
            // Fails only for options that are not used here.
            let _ = target.add_event_listener_with_callback("online", on_online.as_ref().unchecked_ref());
        }
        Self { state, target, on_online }
    }

    pub(crate) fn poll(&self, context: &Context<'_>) -> Poll<()> {
        let mut state = self.state.borrow_mut();
        if std::mem::take(&mut state.over) {
            return Poll::Ready(());
        }
        state.waker = Some(context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Resumed {
    fn drop(&mut self) {
        if let Some(target) = &self.target {
            let listener = self.on_online.as_ref().unchecked_ref();
            // Fails only for options that are not used here.
            let _ = target.remove_event_listener_with_callback("online", listener);
        }
    }
}
