//! Connections of `/webrtc` over the machine's own interfaces, both ends in this process.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::{
    Sink, Stream, StreamExt,
    channel::mpsc,
    future::{join, poll_fn},
};
use tokio::{task::JoinHandle, time::timeout};

use super::{Native, Signalled};
use crate::{
    Backend, Channel, Channels, IceServer, Lost, Negotiate, NegotiateError, Pipe,
    negotiate::negotiate,
    protocol::{CANDIDATES, Description, Fingerprint, Role, Session, Signal},
};

/// Longer than anything here takes; a test that hits it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

type Change = fn(Signal) -> Signal;

/// One end of signalling whose carrier has its hands on what we say.
struct End {
    say: mpsc::UnboundedSender<Signal>,
    change: Change,
    incoming: mpsc::UnboundedReceiver<Signal>,
}

impl Stream for End {
    type Item = io::Result<Signal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(context).map(|signal| signal.map(Ok))
    }
}

impl Sink<Signal> for End {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, signal: Signal) -> io::Result<()> {
        self.say.unbounded_send((self.change)(signal)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.say.close_channel();
        Poll::Ready(Ok(()))
    }
}

fn unchanged(signal: Signal) -> Signal {
    signal
}

type Negotiated = Result<Signalled, NegotiateError>;

/// Both ends, at work: who dials, who listens.
fn ends(native: &Native, of_dialer: Change, of_listener: Change) -> [JoinHandle<Negotiated>; 2] {
    let (to_listener, at_listener) = mpsc::unbounded();
    let (to_dialer, at_dialer) = mpsc::unbounded();
    [
        (Role::Dialer, End { say: to_listener, change: of_dialer, incoming: at_dialer }),
        (Role::Listener, End { say: to_dialer, change: of_listener, incoming: at_listener }),
    ]
    .map(|(role, end)| {
        let connection = native.connection(role).expect("it is only made");
        tokio::spawn(negotiate(connection, Pipe::new(end), Session::new(role), || true))
    })
}

async fn connect(native: &Native, of_dialer: Change, of_listener: Change) -> (Signalled, Signalled) {
    let [dialer, listener] = ends(native, of_dialer, of_listener);
    let (dialer, listener) = patiently("a connection", join(dialer, listener)).await;
    let through = |end: Result<Negotiated, _>| end.expect("no panic").expect("it is through");
    (through(dialer), through(listener))
}

async fn pair(native: &Native) -> (Signalled, Signalled) {
    connect(native, unchanged, unchanged).await
}

fn on_loopback() -> Native {
    Native { loopback: true, ..Native::default() }
}

async fn patiently<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} does not come"))
}

/// A channel of `from`, and a message on it to `to`.
async fn speak(from: &mut Signalled, to: &mut Signalled) {
    let mut channel = from.open().expect("it is up");
    patiently("a free channel", poll_fn(|context| channel.poll_ready(context))).await.expect("is open");
    channel.send(b"hello".as_slice().into());
    let mut arrived = patiently("the channel", poll_fn(|context| to.poll_incoming(context))).await;
    let message = patiently("the message", poll_fn(|context| arrived.poll_message(context))).await;
    assert_eq!(message.as_deref(), Some(&b"hello"[..]));
}

#[tokio::test]
async fn both_roles_open_channels() {
    for native in [Native::default(), on_loopback()] {
        let (mut a, mut b) = pair(&native).await;
        speak(&mut a, &mut b).await;
        speak(&mut b, &mut a).await;
    }
}

#[tokio::test]
async fn who_leaves_is_missed_at_once() {
    let (a, mut b) = pair(&on_loopback()).await;
    drop(a);
    let lost = timeout(Duration::from_secs(2), poll_fn(|context| b.poll_lost(context)));
    assert_eq!(lost.await, Ok(Lost::Closed));
    let (mut a, b) = pair(&on_loopback()).await;
    drop(b);
    let lost = timeout(Duration::from_secs(2), poll_fn(|context| a.poll_lost(context)));
    assert_eq!(lost.await, Ok(Lost::Closed));
}

#[tokio::test]
async fn a_carrier_that_swaps_the_fingerprint_connects_nobody() {
    fn swapped(signal: Signal) -> Signal {
        let swap = |sdp: String| {
            let mut description = Description::parse(&sdp).expect("is one");
            description.fingerprint = Fingerprint::new([7; 32]);
            description.to_string()
        };
        match signal {
            Signal::Offer(sdp) => Signal::Offer(swap(sdp)),
            Signal::Answer(sdp) => Signal::Answer(swap(sdp)),
            candidate @ Signal::Candidate(_) => candidate,
        }
    }
    // Who is lied to finds out; the other may believe itself connected until it hears of it.
    for (of_dialer, of_listener, deceived) in
        [(swapped as Change, unchanged as Change, 1), (unchanged, swapped, 0)]
    {
        let mut ends = ends(&on_loopback(), of_dialer, of_listener);
        let end = patiently("a refusal", &mut ends[deceived]).await.expect("no panic");
        assert!(matches!(end, Err(NegotiateError::Session(_))), "{end:?}");
    }
}

#[tokio::test]
async fn addresses_behind_names_are_no_obstacle() {
    fn hidden(signal: Signal) -> Signal {
        let Signal::Candidate(text) = signal else { return signal };
        let mut candidate: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        let line = candidate["candidate"].as_str().expect("a candidate").to_owned();
        let mut parts: Vec<_> = line.split(' ').collect();
        parts[4] = "3f1b5c0e-0d5e-4f0f-9d53-6a1c1d5f0a11.local";
        candidate["candidate"] = parts.join(" ").into();
        Signal::Candidate(candidate.to_string())
    }
    for (of_dialer, of_listener) in [(hidden as Change, unchanged as Change), (unchanged, hidden)] {
        let (mut a, mut b) = connect(&on_loopback(), of_dialer, of_listener).await;
        speak(&mut a, &mut b).await;
    }
}

#[tokio::test]
async fn candidates_are_bounded_and_nonsense_is_ignored() {
    let native = on_loopback();
    let mut dialer = native.connection(Role::Dialer).expect("it is only made");
    let mut listener = native.connection(Role::Listener).expect("it is only made");
    let offer = dialer.create_offer().await.expect("an offer");
    let many =
        |from: u16| (from..from + 200).map(|port| format!("candidate:1 1 udp 1 192.0.2.1 {port} typ host"));
    let mut description = Description::parse(&offer).expect("is one");
    description.candidates = many(1).take(40).collect();
    listener.set_remote(description.to_string()).await.expect("is right");
    for nonsense in
        ["", "null", "\"\"", "{}", "[", r#"{"candidate":""}"#, r#"{"candidate":"candidate:1 1 tcp"}"#]
    {
        listener.add_candidate(nonsense.into()).await;
    }
    for candidate in many(1000) {
        listener.add_candidate(serde_json::json!({ "candidate": candidate }).to_string()).await;
    }
    let count = listener.connection.link.with(|peer| peer.remote_candidates());
    assert!((41..=CANDIDATES).contains(&count), "{count} candidates");
}

#[tokio::test]
async fn credentials_of_a_strange_length_are_refused() {
    let native = Native::default();
    let offer =
        native.connection(Role::Dialer).expect("it is only made").create_offer().await.expect("an offer");
    let refused = async |ufrag: usize, password: usize| {
        let mut description = Description::parse(&offer).expect("is one");
        description.credentials.ufrag = "a".repeat(ufrag);
        description.credentials.password = "a".repeat(password);
        let mut listener = native.connection(Role::Listener).expect("it is only made");
        listener.set_remote(description.to_string()).await.is_err()
    };
    assert!(!refused(4, 22).await && !refused(127, 256).await);
    assert!(refused(3, 22).await && refused(128, 22).await);
    assert!(refused(4, 21).await && refused(4, 257).await);
}

#[tokio::test]
async fn a_stun_server_tells_a_further_address() {
    let server = tokio::net::UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("stun:{}", server.local_addr().expect("is bound"));
    let servers =
        vec![IceServer { urls: vec!["turn:192.0.2.1".into(), url], username: None, credential: None }];
    let mut dialer = Native { servers, loopback: true }.connection(Role::Dialer).expect("it is only made");
    let offer = dialer.create_offer().await.expect("an offer");
    dialer.set_local(offer).await.expect("there are sockets");
    let answer = tokio::spawn(async move {
        let mut request = [0; 64];
        let (len, from) = server.recv_from(&mut request).await.expect("is asked");
        let seen: SocketAddr = "198.51.100.7:4242".parse().expect("an address");
        server.send_to(&stun_answer(&request[..len], seen), from).await.expect("is sent");
    });
    patiently("the candidate", async {
        loop {
            let candidate = poll_fn(|context| dialer.poll_candidate(context)).await;
            if candidate.contains("198.51.100.7 4242 typ srflx") {
                return;
            }
            assert!(candidate.contains("typ host"), "{candidate}");
        }
    })
    .await;
    answer.await.expect("no panic");
}

/// As a server would, whoever asks.
fn stun_answer(request: &[u8], seen: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(seen) = seen else { panic!("an address of IPv4") };
    let mut mapped = seen.ip().octets();
    mapped.iter_mut().zip(&request[4..]).for_each(|(byte, cookie)| *byte ^= cookie);
    let port = seen.port() ^ u16::from_be_bytes([request[4], request[5]]);
    let head = [&[1, 1, 0, 12][..], &request[4..20], &[0, 0x20, 0, 8, 0, 1]].concat();
    [&head[..], &port.to_be_bytes(), &mapped].concat()
}

#[tokio::test]
async fn a_connection_needs_no_more_than_its_handles() {
    let (a, b) = pair(&on_loopback()).await;
    let links = [Arc::downgrade(&a.connection.link), Arc::downgrade(&b.connection.link)];
    drop((a, b));
    patiently("the end of the tasks", async {
        while links.iter().any(|link| link.upgrade().is_some()) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
