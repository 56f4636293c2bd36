//! `braidcast publish`

use std::{
    collections::BTreeSet,
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use braidcast_net::{
    Content, Divide, Event, Events, Node, PeerId, PeerInfo, PublishError, PublishFailed, Published, Topic,
};
use serde_json::json;

use crate::{
    cli::{self, Format},
    client::Join,
    failure::{EXIT_CODES, Failure},
    output::{note, print_line},
    platform, sanitise,
    topic::TopicArgs,
};

/// Somebody may have subscribed that we were not told about as such.
const RETRY: Duration = Duration::from_millis(250);

/// So long the mesh keeps a message that does not move; where we take part, it goes to who joins meanwhile.
const HELD: Duration = Duration::from_secs(10);

/// Publish one message, and wait until a neighbour has all of it.
///
/// The payload is --text, a --file, or else standard input to its end. Waits for a subscriber until the timeout.
#[derive(Debug, clap::Args)]
#[command(after_help = format!("Examples:
  braidcast publish news --text hello
  braidcast publish photos --file holiday.jpg
  date | braidcast publish news --relay https://relay.example.org
  braidcast publish room --text hello --mode closed --key-file room.key
  braidcast publish films --file film.mp4 --shard-factor 64 --shard-multiplier 1.5\n\n{EXIT_CODES}"))]
pub(crate) struct Args {
    /// The topic's name
    #[arg(value_parser = cli::topic)]
    topic: Topic,
    /// What to say
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    text: Option<String>,
    /// What to send
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// File name or title to show [default: the file's]
    #[arg(long)]
    name: Option<String>,
    /// Media type [default: by the file's extension, else text/plain for UTF-8]
    #[arg(long, value_name = "TYPE")]
    content_type: Option<String>,
    #[command(flatten)]
    join: Join,
    /// Give up after so many seconds
    #[arg(long, value_name = "SECS", env = "BRAIDCAST_TIMEOUT", default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..))]
    timeout: u64,
    /// How to print what was done
    #[arg(long, value_enum, default_value_t = Format::Text, env = "BRAIDCAST_OUTPUT")]
    output: Format,
    #[command(flatten)]
    part: TopicArgs,
}

pub(crate) async fn run(args: Args) -> anyhow::Result<ExitCode> {
    let content = content(&args)?;
    let bytes = content.payload.len();
    let params = args.part.params(&args.topic)?;
    let (node, events) = args.join.start().await?;
    node.configure(args.topic.clone(), params).await?;
    if args.part.is_closed() {
        // Only subscribers prove that they are members.
        node.subscribe(args.topic.clone()).await?;
    }
    let outcome = send(&args, &node, events, content).await;
    node.stop().await;
    let sent = outcome?;
    print_line(&match args.output {
        Format::Text => format!(
            "published {} to {} {}, {bytes} bytes",
            sent.published.id,
            sent.reached,
            peers(sent.reached)
        ),
        Format::Json => json!({
            "id": sent.published.id.to_string(),
            "topic": args.topic.as_str(),
            "peers": sent.published.peers,
            "reached": sent.reached,
            "bytes": bytes,
        })
        .to_string(),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn peers(count: usize) -> &'static str {
    if count == 1 { "peer" } else { "peers" }
}

fn content(args: &Args) -> anyhow::Result<Content> {
    let limit = args.join.max_message_bytes;
    let payload = match (&args.text, &args.file) {
        (Some(text), _) => text.clone().into_bytes(),
        (None, Some(path)) => read_file(path, limit)?,
        (None, None) => {
            if io::stdin().is_terminal() {
                note("type the message, then Ctrl-D:");
            }
            read(io::stdin().lock(), limit).context("cannot read standard input")?
        }
    };
    refuse_long(payload.len() as u64, limit)?;
    let file_name =
        args.file.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned());
    let name = args.name.clone().or(file_name).unwrap_or_default();
    let content_type = match &args.content_type {
        Some(content_type) => content_type.clone(),
        None => guess(&name, &payload),
    };
    Ok(Content { payload: bytes::Bytes::from(payload).into(), content_type, name })
}

/// By the name's extension; without one that is known, text if it is text.
fn guess(name: &str, payload: &[u8]) -> String {
    match mime_guess::from_path(name).first() {
        Some(known) => known.essence_str().to_owned(),
        None if std::str::from_utf8(payload).is_ok() => "text/plain".into(),
        None => "application/octet-stream".into(),
    }
}

fn read_file(path: &Path, limit: usize) -> anyhow::Result<Vec<u8>> {
    let said = || format!("cannot read {}: check --file", path.display());
    let file = fs::File::open(path).with_context(said)?;
    let metadata = file.metadata().with_context(said)?;
    // Before reading gigabytes.
    refuse_long(metadata.len(), limit)?;
    read(file, limit).with_context(said)
}

/// All of it, but little more than the limit.
fn read(source: impl io::Read, limit: usize) -> io::Result<Vec<u8>> {
    let mut payload = Vec::new();
    source.take(limit as u64 + 1).read_to_end(&mut payload)?;
    Ok(payload)
}

fn refuse_long(len: u64, limit: usize) -> anyhow::Result<()> {
    anyhow::ensure!(
        len <= limit as u64,
        "the message is longer than the limit ({len} bytes or more, the limit is {limit}): send less, or raise \
         --max-message-bytes here, at the relay and at the subscribers"
    );
    Ok(())
}

/// What became of it.
struct Sent {
    published: Published,
    /// Neighbours that have all of it.
    reached: usize,
}

async fn send(args: &Args, node: &Node, mut events: Events, content: Content) -> anyhow::Result<Sent> {
    let mut attempt = Attempt {
        args,
        node,
        content,
        published: Vec::new(),
        connected: false,
        reason: None,
        outsider: None,
        audience: BTreeSet::new(),
        deserted_at: None,
    };
    let timeout = tokio::time::sleep(Duration::from_secs(args.timeout));
    let mut timeout = std::pin::pin!(timeout);
    let mut retry = tokio::time::interval(RETRY);
    loop {
        tokio::select! {
            event = events.next() => {
                let event = event.context("the node stopped by itself; run with -v to see why")?;
                if let Some(sent) = attempt.on_event(event).await? {
                    return Ok(sent);
                }
            }
            _ = retry.tick(), if attempt.is_to_be_published() => attempt.publish().await?,
            () = &mut timeout => return Err(attempt.give_up()),
        }
    }
}

struct Attempt<'a> {
    args: &'a Args,
    node: &'a Node,
    content: Content,
    /// Each time that it was, the last one at the end.
    published: Vec<Published>,
    connected: bool,
    /// Why no relay answers.
    reason: Option<String>,
    /// Who might have taken it, and why not.
    outsider: Option<String>,
    /// To whom it was offered, without those who left or take it from members only.
    audience: BTreeSet<PeerId>,
    /// Since when all are gone to whom it was offered.
    deserted_at: Option<Instant>,
}

impl Attempt<'_> {
    async fn on_event(&mut self, event: Event) -> anyhow::Result<Option<Sent>> {
        match event {
            Event::RelayConnected { .. } => self.connected = true,
            Event::Joined { peer, topic } if topic == self.args.topic => {
                if self.is_to_be_published() {
                    self.publish().await?;
                } else if self.args.part.is_closed() {
                    // The mesh offers it to each member that comes.
                    self.audience.insert(peer);
                    self.deserted_at = None;
                }
            }
            Event::Left { topic, .. } if topic == self.args.topic => self.on_left().await?,
            Event::Outsider { peer, why, .. } => {
                let said = self.args.part.outsider(&self.args.topic, peer, why);
                tracing::info!("{said}");
                if why == Divide::NoKey && self.is_alone_without(peer) {
                    return Err(Failure::Closed { why: said }.into());
                }
                // A key that is wrong says more than a relay without one.
                if why != Divide::NoProof || self.outsider.is_none() {
                    self.outsider = Some(said);
                }
            }
            Event::RelayLost { address, error, .. } => {
                let error = sanitise::line(&error);
                tracing::warn!(relay = %address, %error, "not connected, trying again");
                self.reason = Some(error);
            }
            Event::Reached { id, peers, .. } if peers > 0 => {
                let ours = self.published.iter().find(|published| published.id == id);
                return Ok(ours.map(|&published| Sent { published, reached: peers }));
            }
            _ => {}
        }
        Ok(None)
    }

    async fn on_left(&mut self) -> anyhow::Result<()> {
        if self.published.is_empty() || self.deserted_at.is_some() {
            return Ok(());
        }
        // One that left while the message was being prepared may be back.
        let here = self.subscribers().await?;
        self.audience.retain(|peer| here.contains(peer));
        if self.audience.is_empty() {
            tracing::warn!("all subscribers left, and nobody said to have all of the message");
            self.deserted_at = Some(platform::now());
        }
        Ok(())
    }

    async fn subscribers(&self) -> anyhow::Result<BTreeSet<PeerId>> {
        let takes_part = |peer: &PeerInfo| peer.topics.contains(&self.args.topic);
        Ok(self.node.peers().await?.into_iter().filter(takes_part).map(|peer| peer.id).collect())
    }

    /// It was not yet, or nobody is left and the mesh does not hold it for who comes next.
    fn is_to_be_published(&self) -> bool {
        let held = if self.args.part.is_closed() { HELD } else { Duration::ZERO };
        self.published.is_empty()
            || self.deserted_at.is_some_and(|at| platform::now().duration_since(at) >= held)
    }

    /// Hands the message over, if anybody takes it.
    async fn publish(&mut self) -> anyhow::Result<()> {
        match self.node.publish(self.args.topic.clone(), self.content.clone()).await {
            Ok(published) => {
                self.published.push(published);
                self.deserted_at = None;
                self.audience = self.subscribers().await?;
            }
            Err(PublishFailed::Refused(
                PublishError::NoPeers { .. } | PublishError::NoMembers { .. } | PublishError::NoKey { .. },
            )) => {}
            Err(failed) => return Err(failed.into()),
        }
        Ok(())
    }

    /// Whether nobody is left of those to whom it was offered.
    fn is_alone_without(&mut self, peer: PeerId) -> bool {
        self.audience.remove(&peer);
        !self.published.is_empty() && self.audience.is_empty()
    }

    fn give_up(&self) -> anyhow::Error {
        let (relays, secs) = (self.args.join.names(), self.args.timeout);
        match self.published.last() {
            _ if self.deserted_at.is_some() => {
                Failure::Deserted { topic: self.args.topic.to_string(), timeout_secs: secs }.into()
            }
            Some(&Published { id, peers: offered }) => anyhow::anyhow!(
                "message {id} was offered to {offered} {}, but none had all of it after {secs} s: wait longer with \
                 --timeout",
                peers(offered)
            ),
            None if self.connected => {
                let topic = self.args.topic.to_string();
                match self.outsider.clone() {
                    Some(why) => Failure::NoMember { topic, timeout_secs: secs, why }.into(),
                    None => Failure::Nobody { topic, relays, timeout_secs: secs }.into(),
                }
            }
            None => {
                let reason = self.reason.clone().unwrap_or_else(|| format!("no answer in {secs} s"));
                Failure::Unreachable { relays, reason }.into()
            }
        }
    }
}
