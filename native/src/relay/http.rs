//! The relay's HTTP server: read-only pages, hardened against slow, many and misled clients.
//!
//! HTTP/1.1 only: a reverse proxy speaks HTTP/2 to the world, and what is not here cannot be flooded.

use std::{
    io,
    net::SocketAddr,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use braidcast_net::Node;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_io_timeout::TimeoutStream;
use tower_http::{
    limit::RequestBodyLimitLayer, services::ServeDir, set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
};

use super::{
    hosts::{HostError, Hosts},
    metrics::{self, Counters, Metrics},
    well_known,
};

/// To send the head of a request, from the connection's first byte or the end of the last response.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// To make a response, and to take each part of it.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);

/// For open responses after the signal to stop.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);

/// Longest request head, and longest request body (nothing here takes one).
const HEAD_BYTES: usize = 16 * 1024;
const BODY_BYTES: usize = 1024;

/// Most connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 2048;

/// The page may run its own scripts and its own wasm, connect to relays and to servers of its own choosing, and nothing
/// else. `blob:` images are received files.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self' \
    ws: wss: http: https:; img-src 'self' blob:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'";

/// What the handlers know.
#[derive(Clone)]
pub(crate) struct Relay {
    pub(crate) node: Node,
    pub(crate) agent: String,
    pub(crate) hosts: Arc<Hosts>,
    pub(crate) metrics: Metrics,
    pub(crate) counters: Arc<Counters>,
    pub(crate) started: Instant,
}

/// Every route. `app` is the directory of the demo app.
pub(crate) fn router(relay: Relay, app: Option<&Path>) -> Router {
    let routes = Router::new()
        .route("/health", get(health))
        .route("/metrics", get(show_metrics))
        .route(well_known::PATH, get(well_known::show).layer(well_known::cors()));
    let routes = match app {
        Some(dir) => routes.fallback_service(ServeDir::new(dir)),
        None => routes.route("/", get(greet)),
    };
    let constant =
        |name, value| SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value));
    routes
        .layer(RequestBodyLimitLayer::new(BODY_BYTES))
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, RESPONSE_TIMEOUT))
        .layer(middleware::from_fn_with_state(relay.clone(), judge))
        // Files may change under the same name at any time; their ETag makes asking again cheap.
        .layer(constant(header::CACHE_CONTROL, "no-cache"))
        .layer(constant(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(constant(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(constant(header::REFERRER_POLICY, "no-referrer"))
        .with_state(relay)
}

/// Refuses hosts that are not ours, before anything else is done, and counts.
async fn judge(State(relay): State<Relay>, request: Request, next: Next) -> Response {
    let response = match relay.hosts.check(&request) {
        Ok(()) => next.run(request).await,
        Err(error) => {
            let status = match error {
                HostError::Missing => StatusCode::BAD_REQUEST,
                HostError::Refused(_) => StatusCode::MISDIRECTED_REQUEST,
            };
            (status, format!("{error}\n")).into_response()
        }
    };
    relay.counters.answered(response.status());
    response
}

async fn health(State(relay): State<Relay>) -> Response {
    let (status, word) = match relay.node.addresses().await {
        Ok(_) => (StatusCode::OK, "ok"),
        Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "stopped"),
    };
    let body = json!({
        "status": word,
        "agent": relay.agent,
        "peers": relay.node.stats().peers,
        "topics": relay.counters.topics.load(Relaxed),
        "uptimeSeconds": relay.started.elapsed().as_secs(),
    });
    (status, Json(body)).into_response()
}

async fn show_metrics(State(relay): State<Relay>) -> Response {
    match relay.metrics.encode() {
        Ok(page) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], page).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

/// Instead of the app.
async fn greet(State(relay): State<Relay>) -> String {
    format!(
        "{}, peer {}\n\nNo app is served here: start the relay with --app DIR.\nSee {}, /health and /metrics.\n",
        relay.agent,
        relay.node.peer_id(),
        well_known::PATH
    )
}

/// Answers until `stop` is ready, then finishes what is open, for a few seconds at most.
pub(crate) async fn serve(listener: TcpListener, router: Router, counters: Arc<Counters>, stop: impl Future) {
    let graceful = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stop = std::pin::pin!(stop);
    loop {
        let accepted = async {
            let slot = slots.clone().acquire_owned().await.expect("the semaphore is never closed");
            (slot, accept(&listener).await)
        };
        let (slot, (stream, peer)) = tokio::select! {
            accepted = accepted => accepted,
            _ = &mut stop => break,
        };
        let connection = graceful.watch(connection(stream, router.clone()));
        let counted = Counted::new(counters.clone());
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "HTTP connection ended");
            }
            drop((counted, slot));
        });
    }
    drop(listener);
    if tokio::time::timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::debug!("HTTP responses were cut off");
    }
}

/// An open connection.
struct Counted(Arc<Counters>);

impl Counted {
    fn new(counters: Arc<Counters>) -> Self {
        counters.http_connections.fetch_add(1, Relaxed);
        Self(counters)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.http_connections.fetch_sub(1, Relaxed);
    }
}

type Connection =
    http1::Connection<TokioIo<std::pin::Pin<Box<TimeoutStream<TcpStream>>>>, TowerToHyperService<Router>>;

fn connection(stream: TcpStream, router: Router) -> Connection {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(RESPONSE_TIMEOUT));
    http1::Builder::new()
        // Without a timer hyper ignores the timeout silently.
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(router))
}

/// The next connection. When the process is out of file descriptors, waits for some to be closed.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept HTTP connections, trying again in a second");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
