//! `GET /.well-known/braidcast`: how to reach this relay. Pages of other origins and the command line start here.

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use braidcast_net::{Multiaddr, Node, Stopped, webrtc_direct_versions};
use serde::{Deserialize, Serialize};
use tower_http::cors::{Any, CorsLayer};

use super::http::Relay;
use crate::client;

/// Where the document is.
pub(crate) const PATH: &str = "/.well-known/braidcast";

/// The document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WellKnown {
    /// The relay's id.
    pub(crate) peer_id: String,
    /// Where it can be dialled, each with `/p2p/<id>`: what it listens on, wildcards resolved, and what its operator
    /// announces. Nothing is derived from the request.
    pub(crate) addresses: Vec<Multiaddr>,
    /// The versions of webrtc-direct at those of the addresses that have it: 1, 2, or none.
    #[serde(default)]
    pub(crate) webrtc_direct: Vec<u8>,
    /// Its name and version.
    pub(crate) agent: String,
}

/// Where the relay can be dialled, in an order that stays: what others can dial before loopback.
pub(crate) async fn addresses(node: &Node) -> Result<Vec<Multiaddr>, Stopped> {
    let mut addresses = node.addresses().await?;
    addresses.sort_by_cached_key(|address| (client::is_loopback(address), address.to_string()));
    Ok(addresses)
}

/// Answers with the document; 503 when the node has stopped.
pub(crate) async fn show(State(relay): State<Relay>) -> Response {
    match addresses(&relay.node).await {
        Ok(addresses) => {
            let document = WellKnown {
                peer_id: relay.node.peer_id().to_string(),
                webrtc_direct: webrtc_direct_versions(&addresses),
                addresses,
                agent: relay.agent.clone(),
            };
            ([(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"))], Json(document)).into_response()
        }
        Err(stopped) => (StatusCode::SERVICE_UNAVAILABLE, stopped.to_string()).into_response(),
    }
}

/// Any origin may read the document: it says what everybody who can connect sees anyway.
pub(crate) fn cors() -> CorsLayer {
    CorsLayer::new().allow_origin(Any).allow_methods([Method::GET])
}
