//! What crosses, and how. The TypeScript section at the end says the same for the other side.

use braidcast_net::{
    CheckedParams, Config, Divide, Event, IceServer, Identity, Link, Message, MessageId, Mode, Multiaddr,
    ParamsError, Path, Payload, PeerId, PeerInfo, Progress, PublishError, PublishFailed, Published, Secret,
    StartError, Stopped, TopicParams, Verdict, machine::Duration, wire::TopicError,
};
use bytes::Bytes;
use js_sys::Uint8Array;
use serde::{Deserialize, Serialize};
use wasm_bindgen::prelude::*;

/// What a node is started with.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Settings {
    relays: Vec<String>,
    webrtc_direct_v2: Vec<String>,
    acquaintances: Vec<Vec<u8>>,
    max_message_bytes: Option<usize>,
    ice_servers: Vec<Server>,
    peer_connections_per_hour: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Server {
    urls: Vec<String>,
    username: Option<String>,
    credential: Option<String>,
}

impl Settings {
    pub(crate) fn from_js(value: JsValue) -> Result<Self, Failure> {
        serde_wasm_bindgen::from_value(value).map_err(|error| Failure::config(error.to_string()))
    }

    pub(crate) fn into_config(self, identity: Identity) -> Result<Config, Failure> {
        let mut config = Config::new(identity);
        config.relays = parse_addresses(&self.relays)?;
        config.webrtc_direct_v2 = parse_addresses(&self.webrtc_direct_v2)?;
        config.acquaintances = self.acquaintances.into_iter().map(Bytes::from).collect();
        config.ice_servers = self.ice_servers.into_iter().map(IceServer::from).collect();
        config.peer_connections_per_hour = self.peer_connections_per_hour;
        if let Some(bytes) = self.max_message_bytes {
            config.mesh.message_bytes = bytes;
        }
        Ok(config)
    }
}

impl From<Server> for IceServer {
    fn from(Server { urls, username, credential }: Server) -> Self {
        Self { urls, username, credential }
    }
}

/// How a topic is spread; what is not given has its default.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TopicSettings {
    key: Option<Vec<u8>>,
    shard_factor: Option<usize>,
    shard_multiplier_percent: Option<usize>,
    threshold_percent: Option<usize>,
    mesh_target: Option<usize>,
    mesh_min: Option<usize>,
    mesh_max: Option<usize>,
    validate_within_ms: Option<u32>,
}

impl TopicSettings {
    pub(crate) fn into_params(value: JsValue) -> Result<CheckedParams, Failure> {
        let settings: Self = serde_wasm_bindgen::from_value(value)
            .map_err(|error| Failure::new("INVALID", error.to_string()))?;
        let mut params = TopicParams::default();
        if let Some(key) = settings.key {
            let secret = key.try_into().map_err(|key: Vec<u8>| {
                Failure::new("INVALID", format!("key is {} bytes, expected 32", key.len()))
            })?;
            params.mode = Mode::Closed { secret: Secret(secret) };
        }
        params.shard_factor = settings.shard_factor;
        params.shard_multiplier_percent = settings.shard_multiplier_percent;
        params.threshold_percent = settings.threshold_percent.unwrap_or(params.threshold_percent);
        params.verdict_within =
            settings.validate_within_ms.map(|within| Duration::from_millis(within.into()));
        Ok(params.with_mesh(settings.mesh_target, settings.mesh_min, settings.mesh_max).checked()?)
    }
}

pub(crate) fn message_id(bytes: Vec<u8>) -> Result<MessageId, Failure> {
    let refuse = |bytes: Vec<u8>| Failure::new("INVALID", format!("message id is {} bytes", bytes.len()));
    bytes.try_into().map(MessageId).map_err(refuse)
}

/// Any other word ignores.
pub(crate) fn parse_verdict(text: &str) -> Verdict {
    match text {
        "accept" => Verdict::Accept,
        "reject" => Verdict::Reject,
        _ => Verdict::Ignore,
    }
}

fn parse_addresses(texts: &[String]) -> Result<Vec<Multiaddr>, Failure> {
    let parse = |text: &String| {
        text.parse().map_err(|error| Failure::config(format!("relay {text:?} is not a multiaddr: {error}")))
    };
    texts.iter().map(parse).collect()
}

/// Why a call failed. `code` is for programs, and stays; `message` is for people.
#[derive(Debug, Serialize)]
pub struct Failure {
    code: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<usize>,
}

impl Failure {
    pub(crate) fn config(message: String) -> Self {
        Self::new("CONFIG", message)
    }

    fn new(code: &'static str, message: impl ToString) -> Self {
        Self { code, message: message.to_string(), size: None, limit: None }
    }
}

impl From<Failure> for JsValue {
    fn from(failure: Failure) -> Self {
        to_js(&failure)
    }
}

impl From<StartError> for Failure {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Address { .. } | StartError::Listen { .. } => Self::new("CONFIG", error),
            StartError::Unsupported(_) | StartError::Platform(_) => Self::new("UNSUPPORTED", error),
        }
    }
}

impl From<Stopped> for Failure {
    fn from(error: Stopped) -> Self {
        Self::new("STOPPED", error)
    }
}

impl From<TopicError> for Failure {
    fn from(error: TopicError) -> Self {
        Self::new("INVALID", error)
    }
}

impl From<ParamsError> for Failure {
    fn from(error: ParamsError) -> Self {
        Self::new("INVALID", error)
    }
}

impl From<PublishFailed> for Failure {
    fn from(error: PublishFailed) -> Self {
        match error {
            PublishFailed::Refused(error) => error.into(),
            PublishFailed::Stopped(stopped) => stopped.into(),
        }
    }
}

impl From<PublishError> for Failure {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::NoPeers { .. } | PublishError::NoMembers { .. } | PublishError::NoKey { .. } => {
                Self::new("NO_PEERS", error)
            }
            PublishError::NotSubscribed { .. } => Self::new("INVALID", error),
            PublishError::TooLong { len, limit } => {
                Self { size: Some(len), limit: Some(limit), ..Self::new("TOO_LARGE", error) }
            }
            PublishError::ContentType { .. } | PublishError::Name { .. } => Self::new("INVALID", error),
            PublishError::Busy { .. } => Self::new("BUSY", error),
        }
    }
}

/// An event as JavaScript sees it. Ids are texts.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase")]
enum JsEvent {
    Message {
        id: String,
        topic: String,
        from: String,
        content_type: String,
        name: String,
        /// A float, because the publisher may claim any time, and an integer beyond 2^53 does not cross.
        published_at_ms: f64,
        #[serde(with = "serde_wasm_bindgen::preserve")]
        bytes: Uint8Array,
    },
    Progress {
        id: String,
        topic: String,
        from: String,
        name: String,
        held_bytes: usize,
        total_bytes: usize,
    },
    Reached {
        id: String,
        peers: usize,
        of: usize,
    },
    PeerConnected {
        peer: JsPeer,
    },
    PeerDisconnected {
        id: String,
    },
    Joined {
        id: String,
        topic: String,
    },
    Left {
        id: String,
        topic: String,
    },
    Outsider {
        id: String,
        topic: String,
        why: &'static str,
    },
    RelayConnected {
        address: String,
        peer_id: String,
    },
    RelayLost {
        address: String,
        error: String,
        retry_in_ms: f64,
    },
    Exhausted {
        attempts: usize,
        retry_in_ms: f64,
    },
    Lagged {
        messages: f64,
    },
}

pub(crate) fn event(event: Event) -> JsValue {
    to_js(&JsEvent::from(event))
}

impl From<Event> for JsEvent {
    fn from(event: Event) -> Self {
        match event {
            Event::Message(message) => message.into(),
            Event::Progress(progress) => progress.into(),
            Event::Reached { id, peers, of } => Self::Reached { id: id.to_string(), peers, of },
            Event::PeerConnected(peer) => Self::PeerConnected { peer: peer.into() },
            Event::PeerDisconnected { id } => Self::PeerDisconnected { id: id.to_string() },
            Event::Joined { peer, topic } => Self::Joined { id: peer.to_string(), topic: topic.to_string() },
            Event::Left { peer, topic } => Self::Left { id: peer.to_string(), topic: topic.to_string() },
            Event::Outsider { peer, topic, why } => {
                Self::Outsider { id: peer.to_string(), topic: topic.to_string(), why: divide(why) }
            }
            Event::RelayConnected { address, id } => {
                Self::RelayConnected { address: address.to_string(), peer_id: id.to_string() }
            }
            Event::RelayLost { address, error, retry_in_ms } => {
                Self::RelayLost { address: address.to_string(), error, retry_in_ms: retry_in_ms as f64 }
            }
            Event::Exhausted { attempts, retry_in_ms } => {
                Self::Exhausted { attempts, retry_in_ms: retry_in_ms as f64 }
            }
            Event::Lagged { messages } => Self::Lagged { messages: messages as f64 },
        }
    }
}

impl From<Message> for JsEvent {
    fn from(message: Message) -> Self {
        Self::Message {
            id: message.id.to_string(),
            topic: message.topic.to_string(),
            from: message.from.to_string(),
            bytes: bytes(&message.content.payload),
            content_type: message.content.content_type,
            name: message.content.name,
            published_at_ms: message.published.0 as f64,
        }
    }
}

impl From<Progress> for JsEvent {
    fn from(progress: Progress) -> Self {
        Self::Progress {
            id: progress.id.to_string(),
            topic: progress.topic.to_string(),
            from: progress.from.to_string(),
            name: progress.name,
            held_bytes: progress.held_bytes,
            total_bytes: progress.total_bytes,
        }
    }
}

/// Copies each segment to its place in one JavaScript buffer; nothing is put together on this side.
fn bytes(payload: &Payload) -> Uint8Array {
    let array = Uint8Array::new_with_length(length(payload.len()));
    let mut start = 0;
    for segment in payload.segments() {
        let end = start + length(segment.len());
        array.subarray(start, end).copy_from(segment);
        start = end;
    }
    array
}

fn length(len: usize) -> u32 {
    len.try_into().expect("a wasm32 address space holds no longer buffer")
}

/// A connected peer as JavaScript sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsPeer {
    id: String,
    link: &'static str,
    address: String,
    agent: String,
    rtt_ms: Option<f64>,
    topics: Vec<String>,
    inbound: bool,
}

impl From<PeerInfo> for JsPeer {
    fn from(peer: PeerInfo) -> Self {
        Self {
            id: peer.id.to_string(),
            link: link(peer.link),
            address: peer.address,
            agent: peer.agent,
            rtt_ms: peer.rtt_ms,
            topics: peer.topics.iter().map(ToString::to_string).collect(),
            inbound: peer.inbound,
        }
    }
}

fn divide(why: Divide) -> &'static str {
    match why {
        Divide::OtherKey => "otherKey",
        Divide::NoProof => "noProof",
        Divide::NoKey => "noKey",
    }
}

fn link(link: Link) -> &'static str {
    match link {
        Link::Relay => "relay",
        Link::Direct => "direct",
        Link::Circuit => "circuit",
    }
}

pub(crate) fn path(path: Path) -> JsValue {
    #[derive(Serialize)]
    struct JsPath {
        link: Option<&'static str>,
        via: Option<String>,
        obstacle: Option<String>,
    }
    let via = path.via.map(|relay| relay.to_string());
    to_js(&JsPath { link: path.link.map(link), via, obstacle: path.obstacle })
}

pub(crate) fn parse_peer(text: &str) -> Result<PeerId, Failure> {
    text.parse().map_err(|error| Failure::new("INVALID", format!("{text:?} is no peer id: {error}")))
}

pub(crate) fn peers(peers: Vec<PeerInfo>) -> JsValue {
    to_js(&peers.into_iter().map(JsPeer::from).collect::<Vec<_>>())
}

pub(crate) fn published(published: Published) -> JsValue {
    #[derive(Serialize)]
    struct JsPublished {
        id: String,
        peers: usize,
    }
    to_js(&JsPublished { id: published.id.to_string(), peers: published.peers })
}

pub(crate) fn to_js(value: &impl Serialize) -> JsValue {
    serde_wasm_bindgen::to_value(value).expect("plain structs of texts and safe numbers convert")
}

#[wasm_bindgen(typescript_custom_section)]
const TYPES: &str = r#"
export interface WasmIceServer { urls: string[]; username?: string; credential?: string }
export interface WasmSettings {
  relays: string[];
  webrtcDirectV2: string[];
  acquaintances: Uint8Array[];
  maxMessageBytes?: number;
  iceServers: WasmIceServer[];
  peerConnectionsPerHour: number;
}
export interface WasmTopicSettings {
  key?: Uint8Array;
  shardFactor?: number; shardMultiplierPercent?: number; thresholdPercent?: number;
  meshTarget?: number; meshMin?: number; meshMax?: number;
  validateWithinMs?: number;
}
export interface WasmFailure { code: string; message: string; size?: number; limit?: number }
export interface WasmPublished { id: string; peers: number }
export interface WasmPeer {
  id: string;
  link: "relay" | "direct" | "circuit";
  address: string;
  agent: string;
  rttMs: number | undefined;
  topics: string[];
  inbound: boolean;
}
export interface WasmPath {
  link: "relay" | "direct" | "circuit" | undefined;
  via: string | undefined;
  obstacle: string | undefined;
}
export interface WasmStats {
  messagesIn: number; messagesOut: number;
  bytesIn: number; bytesOut: number;
  bulkBytesIn: number; bulkBytesOut: number;
  controlBytesIn: number; controlBytesOut: number;
  piecesNew: number; piecesDuplicate: number; piecesUnnecessary: number; piecesCorrupt: number; piecesSent: number;
  wants: number; grafts: number; prunes: number;
  deliveredBytes: number; abandoned: number; refused: number; offences: number;
  peers: number; inboxLost: number;
}
export interface WasmMessage {
  id: string; topic: string; from: string;
  contentType: string; name: string; publishedAtMs: number;
  bytes: Uint8Array<ArrayBuffer>;
}
export interface WasmProgress {
  id: string; topic: string; from: string; name: string; heldBytes: number; totalBytes: number;
}
export type WasmEvent =
  | ({ type: "message" } & WasmMessage)
  | ({ type: "progress" } & WasmProgress)
  | { type: "reached"; id: string; peers: number; of: number }
  | { type: "peerConnected"; peer: WasmPeer }
  | { type: "peerDisconnected"; id: string }
  | { type: "joined"; id: string; topic: string }
  | { type: "left"; id: string; topic: string }
  | { type: "outsider"; id: string; topic: string; why: "otherKey" | "noProof" | "noKey" }
  | { type: "relayConnected"; address: string; peerId: string }
  | { type: "relayLost"; address: string; error: string; retryInMs: number }
  | { type: "exhausted"; attempts: number; retryInMs: number }
  | { type: "lagged"; messages: number };
"#;
