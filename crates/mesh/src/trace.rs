//! What the machine decided, as values; counting happens outside. Nothing is said unless [`Config::traces`] is set.
//!
//! [`Config::traces`]: crate::Config::traces

use braidcast_machine::{Duration, Outbox, Output};
use braidcast_wire::{MessageId, PeerId};

use crate::{
    api::{Event, Verdict},
    frame::Frame,
};

/// A decision of the machine, or what it came to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trace {
    /// A verified piece that we lacked.
    NewPiece {
        /// Who sent it.
        from: PeerId,
        /// Its length.
        bytes: usize,
    },
    /// A piece, or a small message, that we had: payload that travelled for nothing.
    DuplicatePiece {
        /// Who sent it.
        from: PeerId,
        /// Length of what came of it.
        bytes: usize,
    },
    /// A shard that is a combination of those that we hold.
    UnhelpfulShard {
        /// Who sent it.
        from: PeerId,
        /// Length of what came of it.
        bytes: usize,
    },
    /// A piece of a message that was whole already, or is forgotten.
    UnnecessaryPiece {
        /// Who sent it.
        from: PeerId,
        /// Length of what came of it.
        bytes: usize,
    },
    /// A piece that does not match the publisher's hash; its sender is banned.
    CorruptPiece {
        /// Who sent it.
        from: PeerId,
    },
    /// A piece went out, its last chunk included.
    SentPiece {
        /// To whom.
        to: PeerId,
        /// Its length.
        bytes: usize,
    },
    /// Pieces were asked for.
    Want {
        /// Whom.
        from: PeerId,
        /// How many.
        pieces: usize,
    },
    /// A request ran out: the piece may be asked of another.
    Expired {
        /// Who was asked.
        from: PeerId,
    },
    /// A neighbour announced much of a message that is whole now, and sent nothing of it.
    Withheld {
        /// Who.
        by: PeerId,
    },
    /// A peer said to have a message outside the mesh, was asked for it, and did not send it.
    BrokenPromise {
        /// Who.
        by: PeerId,
    },
    /// A peer leaves so much unserved that it is asked last from now on.
    Suspect {
        /// Who.
        peer: PeerId,
    },
    /// Shards of a message are wrong, or somebody said so: the rest comes in pieces.
    Doubted {
        /// The message.
        id: MessageId,
    },
    /// Neighbours were told to push no more of a message.
    Pause {
        /// The message.
        id: MessageId,
    },
    /// A neighbour was added to a mesh.
    Graft {
        /// Who.
        peer: PeerId,
    },
    /// A peer that asked to be a neighbour is not.
    GraftRefused {
        /// Who.
        peer: PeerId,
        /// Why.
        why: Refusal,
    },
    /// A neighbour was removed from a mesh.
    Prune {
        /// Who.
        peer: PeerId,
        /// Why.
        why: Parting,
    },
    /// A peer outside the mesh was told of messages.
    Told {
        /// Who.
        peer: PeerId,
        /// How many.
        messages: usize,
    },
    /// A peer outside the mesh was asked for messages that it told of.
    Asked {
        /// Who.
        peer: PeerId,
        /// How many.
        messages: usize,
    },
    /// A message arrived whole.
    Delivered {
        /// The message.
        id: MessageId,
        /// Payload length.
        bytes: usize,
    },
    /// An unfinished message was given up.
    Abandoned {
        /// The message.
        id: MessageId,
    },
    /// A finished message is no longer kept for others.
    Forgotten {
        /// The message.
        id: MessageId,
    },
    /// A message was refused, like one that the application ignores, because so many already wait for its verdict: see
    /// [`VERDICTS`](crate::VERDICTS) and [`VERDICT_BYTES`](crate::VERDICT_BYTES).
    Unjudged {
        /// The message.
        id: MessageId,
        /// Messages that wait.
        waiting: usize,
        /// Their payload.
        waiting_bytes: usize,
    },
    /// The application did not accept a message, or not in time.
    Refused {
        /// The message.
        id: MessageId,
        /// What it is taken for.
        verdict: Verdict,
    },
}

/// Why a graft is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The mesh has no room.
    Full,
    /// The peer misbehaves or serves nobody.
    Unwelcome,
    /// It was told to wait longer.
    TooSoon,
    /// The topic is closed, and it has not proved to be a member.
    Outsider,
    /// It is a last resort, and others are there.
    Spared,
}

impl Refusal {
    /// How long neither side grafts the other again.
    pub(crate) fn backoff(self) -> Duration {
        match self {
            Self::Spared => LEAVE_BACKOFF,
            _ => PRUNE_BACKOFF,
        }
    }
}

/// Why a neighbour is one no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parting {
    /// It said so.
    Theirs,
    /// There were too many.
    Surplus,
    /// A nearer peer took its place.
    Farther,
    /// It misbehaves or serves nobody.
    Unwelcome,
    /// It sent nothing, and others are there.
    Idle,
    /// It is a last resort, and others are there.
    Spared,
    /// We left the topic.
    Left,
}

impl Parting {
    /// How long neither side grafts the other again.
    pub(crate) fn backoff(self) -> Duration {
        match self {
            Self::Left | Self::Spared => LEAVE_BACKOFF,
            Self::Idle => IDLE_BACKOFF,
            _ => PRUNE_BACKOFF,
        }
    }
}

/// gossipsub v1.1: one minute.
pub(crate) const PRUNE_BACKOFF: Duration = Duration::from_secs(60);
/// gossipsub v1.1: ten seconds after leaving a topic. Who is spared may be needed soon.
const LEAVE_BACKOFF: Duration = Duration::from_secs(10);
/// For others to have their turn. Guess.
const IDLE_BACKOFF: Duration = Duration::from_secs(300);

/// What waits for the host: an outbox that drops traces which nobody asked for.
#[derive(Debug)]
pub(crate) struct Out {
    outbox: Outbox<Frame, Event>,
    traces: bool,
}

impl Out {
    pub(crate) fn new(limit: usize, traces: bool) -> Self {
        Self { outbox: Outbox::new(limit), traces }
    }

    pub(crate) fn send(&mut self, peer: PeerId, frame: Frame) {
        self.outbox.send(peer, frame);
    }

    pub(crate) fn push(&mut self, output: Output<Frame, Event>) {
        self.outbox.push(output);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outbox.event(event);
    }

    pub(crate) fn trace(&mut self, trace: Trace) {
        if self.traces {
            self.outbox.event(Event::Trace(trace));
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Output<Frame, Event>> {
        self.outbox.pop()
    }
}
