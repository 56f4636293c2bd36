//! `GET /metrics`: the node's counters in the text format of Prometheus (OpenMetrics 1.0).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::http::StatusCode;
use braidcast_net::Node;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{counter::ConstCounter, gauge::ConstGauge, info::Info},
    registry::{Registry, Unit},
};

use crate::platform;

/// The media type of [`Metrics::encode`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page's contents.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Registry>);

/// What the relay counts besides the node.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    /// Topics followed now.
    pub(crate) topics: AtomicU64,
    /// Times that a topic was not followed because there were too many.
    pub(crate) topics_refused: AtomicU64,
    /// Topics followed now whose members take the relay for an outsider.
    pub(crate) topics_closed: AtomicU64,
    /// HTTP connections open now.
    pub(crate) http_connections: AtomicU64,
    /// HTTP requests answered.
    pub(crate) http_requests: AtomicU64,
    /// HTTP requests answered with a status of 400 or above.
    pub(crate) http_errors: AtomicU64,
}

impl Counters {
    /// One more request was answered.
    pub(crate) fn answered(&self, status: StatusCode) {
        self.http_requests.fetch_add(1, Relaxed);
        if status.is_client_error() || status.is_server_error() {
            self.http_errors.fetch_add(1, Relaxed);
        }
    }
}

impl Metrics {
    pub(crate) fn new(node: Node, counters: Arc<Counters>) -> Self {
        let mut registry = Registry::with_prefix("braidcast");
        let build =
            [("version", env!("CARGO_PKG_VERSION").to_owned()), ("peer_id", node.peer_id().to_string())];
        registry.register("build", "What is running", Info::new(build.to_vec()));
        registry.register_collector(Box::new(Snapshot { node, counters, started: platform::unix_secs() }));
        Self(Arc::new(registry))
    }

    /// The page.
    pub(crate) fn encode(&self) -> Result<String, fmt::Error> {
        let mut page = String::new();
        text::encode(&mut page, &self.0)?;
        Ok(page)
    }
}

/// Reads everything once per scrape, so that the page is of one moment.
#[derive(Debug)]
struct Snapshot {
    node: Node,
    counters: Arc<Counters>,
    /// Seconds since the Unix epoch.
    started: f64,
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let (stats, own) = (self.node.stats(), &self.counters);
        let circuits = self.node.circuit_stats();
        let mut page = Page(encoder);
        page.gauge("peers", "Connected peers that speak the protocol", stats.peers)?;
        page.gauge("topics", "Topics followed", own.topics.load(Relaxed))?;
        page.counter(
            "topics_refused",
            "Topics not followed because of --max-topics",
            own.topics_refused.load(Relaxed),
        )?;
        page.gauge(
            "topics_closed",
            "Topics followed whose members let the relay carry nothing, see --closed-topic",
            own.topics_closed.load(Relaxed),
        )?;
        page.counter("messages_received", "Messages that arrived whole and verified", stats.messages_in)?;
        page.bytes("delivered", "Payload of messages that arrived whole", stats.delivered_bytes)?;
        page.bytes("bulk_received", "Frames of the bulk stream received", stats.bulk_bytes_in)?;
        page.bytes("bulk_sent", "Frames of the bulk stream sent", stats.bulk_bytes_out)?;
        page.bytes("control_received", "Frames of the control stream received", stats.control_bytes_in)?;
        page.bytes("control_sent", "Frames of the control stream sent", stats.control_bytes_out)?;
        page.counter("pieces_new", "Verified pieces that were lacking", stats.pieces_new)?;
        page.counter("pieces_duplicate", "Pieces that were here already", stats.pieces_duplicate)?;
        page.counter("pieces_unnecessary", "Pieces of messages that were whole", stats.pieces_unnecessary)?;
        page.counter(
            "pieces_corrupt",
            "Pieces that did not match the publisher's hash",
            stats.pieces_corrupt,
        )?;
        page.counter("pieces_sent", "Pieces sent", stats.pieces_sent)?;
        page.counter("wants", "Pieces asked for", stats.wants)?;
        page.counter("grafts", "Mesh links added", stats.grafts)?;
        page.counter("prunes", "Mesh links removed", stats.prunes)?;
        page.counter("abandoned", "Unfinished messages given up", stats.abandoned)?;
        page.counter("refused", "Messages that the application did not accept", stats.refused)?;
        page.counter("offences", "Rules broken by peers", stats.offences)?;
        page.counter(
            "reservations",
            "Peers that asked to be reachable through the relay",
            circuits.reservations,
        )?;
        page.counter("reservations_refused", "Those over a limit", circuits.reservations_refused)?;
        let open = circuits.circuits.saturating_sub(circuits.circuits_closed);
        page.gauge("circuits_open", "Peers let through to each other now", open)?;
        page.counter("circuits", "Circuits opened", circuits.circuits)?;
        page.counter(
            "circuits_refused",
            "Circuits over a limit, or to a peer without reservation",
            circuits.circuits_refused,
        )?;
        page.gauge("http_connections", "Open HTTP connections", own.http_connections.load(Relaxed))?;
        page.counter("http_requests", "HTTP requests answered", own.http_requests.load(Relaxed))?;
        page.counter("http_errors", "HTTP requests answered with 4xx or 5xx", own.http_errors.load(Relaxed))?;
        if let Some(bytes) = resident_bytes() {
            page.metric(
                "resident_memory",
                "Physical memory in use",
                Some(&Unit::Bytes),
                &ConstGauge::new(bytes),
            )?;
        }
        page.metric(
            "start_time",
            "Start, since the Unix epoch",
            Some(&Unit::Seconds),
            &ConstGauge::new(self.started),
        )
    }
}

struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.metric(name, help, None, &ConstGauge::new(value))
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.metric(name, help, None, &ConstCounter::new(value))
    }

    fn bytes(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        self.metric(name, help, Some(&Unit::Bytes), &ConstCounter::new(value))
    }

    fn metric(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        value: &impl EncodeMetric,
    ) -> fmt::Result {
        value.encode(self.0.encode_descriptor(name, help, unit, value.metric_type())?)
    }
}

/// The kernel's own count, the second number of `/proc/self/statm`, in pages; proc(5). `None` where there is no such
/// file or pages are not of 4 KiB (their size is not to be had without unsafe code).
fn resident_bytes() -> Option<u64> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return None;
    }
    let pages: u64 = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    pages.checked_mul(4096)
}
