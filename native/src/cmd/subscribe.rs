//! `braidcast subscribe`

use std::{path::PathBuf, process::ExitCode, str::FromStr, time::Duration};

use anyhow::Context as _;
use braidcast_net::{Event, Events, Message, Multiaddr, Node, Topic};
use serde_json::json;

use crate::{
    cli,
    client::Join,
    failure::{EXIT_CODES, Failure},
    output::{self, note, print_line},
    sanitise, signal,
    topic::TopicArgs,
};

/// Print the messages of a topic as they arrive.
///
/// With `--output json` the first line is {"ready":true,"peerId":...,"relay":...} once a relay answers; then comes one
/// object per message: id, topic, from, seqno, bytes, contentType, name, publishedAt (milliseconds), and the whole
/// payload as "text" (text or JSON) or "base64" (all else).
///
/// With `--output files:DIR` each payload becomes a file in DIR, never outside and never in place of another, and its
/// path is printed. What happens to the connection is told on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:
  braidcast subscribe news
  braidcast subscribe news --relay https://relay.example.org --output json
  braidcast subscribe photos --output files:inbox --count 1 --timeout 60
  braidcast subscribe room --mode closed --key-file room.key\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The topic's name
    #[arg(value_parser = cli::topic)]
    topic: Topic,
    #[command(flatten)]
    join: Join,
    /// How to print: text, json, or files:DIR
    #[arg(long, value_name = "FORM", env = "BRAIDCAST_OUTPUT", default_value = "text")]
    output: Sink,
    /// Exit after so many messages
    #[arg(long, value_name = "N", env = "BRAIDCAST_COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// Exit after so many seconds: a failure if --count messages have not come by then
    #[arg(long, value_name = "SECS", env = "BRAIDCAST_TIMEOUT", value_parser = clap::value_parser!(u64).range(1..))]
    timeout: Option<u64>,
    #[command(flatten)]
    part: TopicArgs,
}

/// Where messages go.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Sink {
    Text,
    Json,
    Files(PathBuf),
}

impl FromStr for Sink {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "text" => Ok(Self::Text),
            None if text == "json" => Ok(Self::Json),
            Some(("files", dir)) if !dir.is_empty() => Ok(Self::Files(dir.into())),
            _ => Err("expected text, json or files:DIR"),
        }
    }
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let stop = signal::stop()?;
    let params = args.part.params(&args.topic)?;
    let (node, events) = args.join.start().await?;
    node.configure(args.topic.clone(), params).await?;
    node.subscribe(args.topic.clone()).await?;
    let outcome = tokio::select! {
        outcome = receive(&args, &node, events) => outcome,
        () = stop => Ok(()),
    };
    node.stop().await;
    outcome.map(|()| ExitCode::SUCCESS)
}

async fn receive(args: &Args, node: &Node, mut events: Events) -> anyhow::Result<()> {
    let mut so_far = SoFar::default();
    let all = async {
        while args.count.is_none_or(|count| so_far.messages < count) {
            let event = events.next().await.context("the node stopped by itself; run with -v to see why")?;
            on_event(args, node, &mut so_far, event).await?;
        }
        anyhow::Ok(())
    };
    let Some(timeout) = args.timeout else { return all.await };
    if let Ok(done) = tokio::time::timeout(Duration::from_secs(timeout), all).await {
        return done;
    }
    if !so_far.connected {
        let reason = so_far.reason.unwrap_or_else(|| format!("no answer in {timeout} s"));
        return Err(Failure::Unreachable { relays: args.join.names(), reason }.into());
    }
    match args.count {
        None => Ok(()),
        Some(count) => anyhow::bail!(
            "{} of {count} messages came in {timeout} s: wait longer with --timeout, or check the topic's name",
            so_far.messages
        ),
    }
}

/// What happened since the start.
#[derive(Debug, Default)]
struct SoFar {
    messages: u64,
    connected: bool,
    /// Why no relay answers.
    reason: Option<String>,
}

async fn on_event(args: &Args, node: &Node, so_far: &mut SoFar, event: Event) -> anyhow::Result<()> {
    match event {
        Event::Message(message) if message.topic == args.topic => {
            so_far.messages += 1;
            deliver(&args.output, message).await?;
        }
        Event::RelayConnected { address, .. } => {
            if !std::mem::replace(&mut so_far.connected, true) {
                ready(args, node, &address)?;
            } else {
                note(&format!("connected to {address}"));
            }
        }
        Event::RelayLost { address, error, retry_in_ms } => {
            let error = sanitise::line(&error);
            note(&format!("relay {address}: {error}; trying again in {:.1} s", retry_in_ms as f64 / 1000.0));
            so_far.reason = Some(error);
        }
        Event::Outsider { peer, why, .. } => note(&args.part.outsider(&args.topic, peer, why)),
        Event::Lagged { messages } => {
            note(&format!("{messages} messages were lost: they came faster than they could be printed"));
        }
        Event::Progress(progress) => {
            tracing::debug!(id = %progress.id, held = progress.held_bytes, total = progress.total_bytes, "receiving");
        }
        Event::Exhausted { .. }
        | Event::Message(_)
        | Event::Reached { .. }
        | Event::PeerConnected(_)
        | Event::PeerDisconnected { .. }
        | Event::Joined { .. }
        | Event::Left { .. } => {}
    }
    Ok(())
}

/// A relay answers for the first time.
fn ready(args: &Args, node: &Node, relay: &Multiaddr) -> anyhow::Result<()> {
    let peer = node.peer_id().to_string();
    match args.output {
        Sink::Json => print_line(&json!({ "ready": true, "peerId": peer, "relay": relay }).to_string())?,
        Sink::Text | Sink::Files(_) => {
            note(&format!("listening to {:?} as {peer} through {relay}", args.topic.as_str()));
        }
    }
    Ok(())
}

async fn deliver(sink: &Sink, message: Message) -> anyhow::Result<()> {
    let line = match sink {
        Sink::Text => output::message_text(message),
        Sink::Json => output::message_json(message),
        Sink::Files(dir) => {
            let into = dir.clone();
            let saved = tokio::task::spawn_blocking(move || output::message_file(&into, message)).await?;
            let path = saved.with_context(|| {
                format!("cannot write to {}: choose another with --output files:DIR", dir.display())
            })?;
            path.display().to_string()
        }
    };
    Ok(print_line(&line)?)
}
