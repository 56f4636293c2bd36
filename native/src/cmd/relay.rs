//! `braidcast relay`

use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
    str::FromStr,
    sync::Arc,
};

use anyhow::Context as _;
use braidcast_net::{
    CheckedParams, Config, Mode, Multiaddr, Node, StartError, Topic, TopicParams, wire::limits,
};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{
    cli::{self, Format, directory, message_bytes},
    client, identity,
    output::print_line,
    platform,
    relay::{
        circuits,
        follow::{self, Follow},
        hosts::Hosts,
        http::{self, Relay},
        metrics::{Counters, Metrics},
        well_known,
    },
    signal, topic,
};

/// Run a relay: the door through which browsers find each other.
///
/// Needs no configuration. Listens on this machine only, unless told otherwise; takes its identity from a file that is
/// made at the first start. Every option can be set in the environment as well, lists separated by commas.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  braidcast relay
  braidcast relay --app www/dist
  braidcast relay --listen /ip4/0.0.0.0/tcp/4040 --listen /ip4/0.0.0.0/udp/4040/quic-v1 \\
      --listen /ip4/0.0.0.0/tcp/4041/ws --external /dns4/relay.example.org/tcp/443/wss
  braidcast relay --closed-topic room=room.key
  braidcast relay --config relay.toml

Behind a reverse proxy that passes the Host header on, add --allow-host relay.example.org.
HTTP pages: / (the app), /health, /metrics, /.well-known/braidcast")]
pub(crate) struct Args {
    /// TOML file with values for the options below, by their names: max-peers = 200; the environment and the command line
    /// overrule it
    #[arg(long, value_name = "FILE", env = "BRAIDCAST_CONFIG")]
    pub(crate) config: Option<PathBuf>,
    /// Where to listen for peers, in place of the defaults; port 0 picks a free one
    #[arg(
        long,
        value_name = "MULTIADDR",
        env = "BRAIDCAST_LISTEN",
        value_delimiter = ',',
        value_parser = client::listen_address,
        default_values = ["/ip4/127.0.0.1/tcp/4040", "/ip4/127.0.0.1/udp/4040/quic-v1", "/ip4/127.0.0.1/tcp/4041/ws",
            "/ip4/127.0.0.1/udp/4041/webrtc-direct"],
    )]
    listen: Vec<Multiaddr>,
    /// A further address to announce: a public name, a mapped port
    #[arg(long, value_name = "MULTIADDR", env = "BRAIDCAST_EXTERNAL", value_delimiter = ',',
        value_parser = client::peer_address)]
    external: Vec<Multiaddr>,
    /// Where to serve HTTP
    #[arg(long, value_name = "IP:PORT", env = "BRAIDCAST_HTTP", default_value = "127.0.0.1:8080")]
    http: SocketAddr,
    /// A further host name under which HTTP may be asked; localhost always may
    #[arg(long, value_name = "NAME", env = "BRAIDCAST_ALLOW_HOST", value_delimiter = ',')]
    allow_host: Vec<String>,
    /// Directory of the demo app to serve at /
    #[arg(long, value_name = "DIR", env = "BRAIDCAST_APP", value_parser = directory)]
    app: Option<PathBuf>,
    /// Where the identity is kept [default: the platform's, ~/.local/share/braidcast on Linux]
    #[arg(long, value_name = "DIR", env = "BRAIDCAST_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// Most connected peers
    #[arg(long, value_name = "N", env = "BRAIDCAST_MAX_PEERS", default_value_t = 1024,
        value_parser = clap::value_parser!(u32).range(1..=limits::PEERS as i64))]
    max_peers: u32,
    /// Longest message to pass on, in bytes
    #[arg(long, value_name = "BYTES", env = "BRAIDCAST_MAX_MESSAGE_BYTES", default_value_t = limits::MESSAGE_BYTES,
        value_parser = message_bytes)]
    max_message_bytes: usize,
    /// Most topics to follow; a topic is followed while a peer is there, and a minute longer
    #[arg(long, value_name = "N", env = "BRAIDCAST_MAX_TOPICS", default_value_t = TOPICS,
        value_parser = clap::value_parser!(u32).range(1..=i64::from(TOPICS)))]
    max_topics: u32,
    /// A closed topic to carry, and the file with its key; more than one is allowed. Without, the relay introduces the members
    /// of closed topics and carries nothing of theirs
    #[arg(long, value_name = "TOPIC=FILE", env = "BRAIDCAST_CLOSED_TOPIC", value_delimiter = ',')]
    closed_topic: Vec<ClosedTopic>,
    #[command(flatten)]
    circuits: circuits::CircuitArgs,
    /// How to print the addresses
    #[arg(long, value_enum, default_value_t = Format::Text, env = "BRAIDCAST_OUTPUT")]
    output: Format,
}

/// A closed topic that the relay is to be a member of.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ClosedTopic {
    topic: Topic,
    key_file: PathBuf,
}

impl FromStr for ClosedTopic {
    type Err = String;

    /// At the last `=`: a topic's name may have one, a file's seldom does.
    fn from_str(text: &str) -> Result<Self, String> {
        let (topic, file) = text.rsplit_once('=').ok_or("expected TOPIC=FILE")?;
        if file.is_empty() {
            return Err("expected TOPIC=FILE, the file with the topic's key".into());
        }
        let topic = cli::topic(topic).map_err(|error| error.to_string())?;
        Ok(Self { topic, key_file: file.into() })
    }
}

/// A peer listens to no more subscriptions of another, the relay's among them.
const TOPICS: u32 = limits::TOPICS_PER_PEER as u32;

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stop = signal::stop()?;
    if let Err(error) = rlimit::increase_nofile_limit(u64::MAX) {
        tracing::warn!(%error, "cannot raise the limit of open files: many peers may not fit");
    }
    let data_dir = match &args.data_dir {
        Some(dir) => dir.clone(),
        None => identity::default_data_dir("--data-dir")?,
    };
    let config = config(&args, identity::load_or_create(&data_dir)?);
    let closed_topics = closed_topics(&args)?;
    let listener = bind(args.http).await?;
    let http = listener.local_addr()?;
    let agent = config.agent.clone();
    let (node, events) = Node::start(config).await.map_err(explain)?;

    let counters = Arc::new(Counters::default());
    let relay = Relay {
        node: node.clone(),
        agent,
        hosts: Arc::new(Hosts::new(http.ip(), &args.allow_host)),
        metrics: Metrics::new(node.clone(), counters.clone()),
        counters: counters.clone(),
        started: platform::now(),
    };
    let kept = closed_topics.keys().cloned().collect();
    for (topic, params) in closed_topics {
        node.configure(topic.clone(), params).await?;
        node.subscribe(topic).await?;
    }
    let follow = Follow::new(args.max_topics as usize, follow::GRACE, kept);
    let mut following = tokio::spawn(follow::run(node.clone(), events, follow, counters.clone()));

    announce(&args, &node, http).await?;
    let mut died = false;
    let end = async {
        tokio::select! {
            () = stop => {}
            _ = &mut following => died = true,
        }
    };
    http::serve(listener, http::router(relay, args.app.as_deref()), counters, end).await;
    node.stop().await;
    anyhow::ensure!(!died, "the node stopped by itself: the log above says why; start the relay again");
    Ok(ExitCode::SUCCESS)
}

fn config(args: &Args, identity: braidcast_net::Identity) -> Config {
    let mut config = Config::new(identity);
    config.listen = args.listen.clone();
    config.external = args.external.clone();
    config.serve_relay = true;
    config.circuits = args.circuits.limits();
    config.max_peers = args.max_peers as usize;
    config.mesh.message_bytes = args.max_message_bytes;
    // Nobody here reads messages; one at a time passes through.
    config.inbox_bytes = args.max_message_bytes;
    config
}

/// Reads the keys. Everybody may be a neighbour, as in the topics that the relay follows.
fn closed_topics(args: &Args) -> anyhow::Result<BTreeMap<Topic, CheckedParams>> {
    let params = |closed: &ClosedTopic| {
        let mode = Mode::Closed { secret: topic::secret(&closed.key_file, "--closed-topic")? };
        let params = TopicParams { mode, ..TopicParams::default() };
        let mesh_max = args.max_peers as usize;
        let params = params.with_mesh(None, None, Some(mesh_max.max(TopicParams::default().mesh_target)));
        Ok((closed.topic.clone(), params.checked()?))
    };
    args.closed_topic.iter().map(params).collect()
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    if !address.ip().to_canonical().is_loopback() {
        tracing::warn!(%address, "HTTP is open to the network without TLS: put a reverse proxy in front");
    }
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot serve HTTP on {address}: choose another with --http IP:PORT, or stop what listens there"
        )
    })
}

/// Adds what to do.
fn explain(error: StartError) -> anyhow::Error {
    let hint = match &error {
        StartError::Listen { .. } => "choose another with --listen MULTIADDR, or stop what listens there",
        StartError::Address { .. } => "correct it in --listen or --external",
        StartError::Unsupported(_) | StartError::Platform(_) => "the relay needs it",
    };
    anyhow::anyhow!("{error}; {hint}")
}

/// Says on standard output that the relay is up, and where.
async fn announce(args: &Args, node: &Node, http: SocketAddr) -> anyhow::Result<()> {
    let (peer, addresses) = (node.peer_id().to_string(), well_known::addresses(node).await?);
    let url = format!("http://{}", reachable(http));
    let text = match args.output {
        Format::Json => {
            json!({ "ready": true, "peerId": peer, "http": url, "addresses": addresses }).to_string()
        }
        Format::Text => summary(args, &peer, &url, &addresses),
    };
    Ok(print_line(&text)?)
}

/// A wildcard is nowhere to go; the same port on loopback is.
fn reachable(bound: SocketAddr) -> SocketAddr {
    let ip = match bound.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, bound.port())
}

fn summary(args: &Args, peer: &str, url: &str, addresses: &[Multiaddr]) -> String {
    let mut lines = vec![
        format!("Braidcast relay {}", env!("CARGO_PKG_VERSION")),
        format!("  peer id   {peer}"),
        match args.app {
            Some(_) => format!("  app       {url}"),
            None => format!("  http      {url}  (no app: start with --app DIR)"),
        },
    ];
    lines.extend(addresses.iter().map(|address| format!("  address   {address}")));
    lines.push(String::new());
    if args.listen.iter().all(client::is_loopback) {
        lines.push(
            "Only this machine can connect; `braidcast relay --help` shows how to let others in.".into(),
        );
    }
    lines.push("Next, in other terminals:".into());
    lines.push(format!("  braidcast subscribe news --relay {url}"));
    lines.push(format!("  braidcast publish news --text hello --relay {url}"));
    lines.join("\n")
}
