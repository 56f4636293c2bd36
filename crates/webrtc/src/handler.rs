use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::Arc,
    task::{Context, Poll},
};

use libp2p::{
    StreamProtocol,
    core::upgrade::ReadyUpgrade,
    swarm::{
        ConnectionHandler, ConnectionHandlerEvent, Stream, StreamUpgradeError, SubstreamProtocol,
        handler::{ConnectionEvent, DialUpgradeError, FullyNegotiatedInbound, FullyNegotiatedOutbound},
    },
};

use crate::protocol::SIGNALING_PROTOCOL;

const PROTOCOL: StreamProtocol = StreamProtocol::new(SIGNALING_PROTOCOL);

/// Most streams that a connection may have brought us at once: one, and those that a peer gave up and that we have not
/// noticed yet. Guess.
const INBOUND: usize = 4;

/// A signalling stream is to be opened; the number comes back with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Open(pub(crate) u64);

/// What a connection tells the behaviour.
#[derive(Debug)]
pub enum Notice {
    /// What was asked for by [`Open`].
    Opened(u64, Stream),
    /// Why it does not open.
    Failed(u64, Failure),
    /// The peer wants to signal. The token lives as long as the stream is used.
    Inbound(Stream, Arc<()>),
}

/// Why no signalling stream opens.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// The peer does not have the protocol.
    #[error("the peer does not speak {PROTOCOL}")]
    Unsupported,
    /// Anything else.
    #[error("no signalling stream opens: {0}")]
    Broken(String),
}

type Event = ConnectionHandlerEvent<ReadyUpgrade<StreamProtocol>, u64, Notice>;

/// Opens and accepts signalling streams on one connection.
#[derive(Debug, Default)]
pub struct Handler {
    wanted: VecDeque<u64>,
    notices: VecDeque<Notice>,
    inbound: Arc<()>,
}

impl Handler {
    fn on_inbound(&mut self, stream: Stream) {
        if Arc::strong_count(&self.inbound) > INBOUND {
            return tracing::debug!("signalling stream refused: there are {INBOUND}");
        }
        self.notices.push_back(Notice::Inbound(stream, self.inbound.clone()));
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = Open;
    type ToBehaviour = Notice;
    type InboundProtocol = ReadyUpgrade<StreamProtocol>;
    type OutboundProtocol = ReadyUpgrade<StreamProtocol>;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = u64;

    fn listen_protocol(&self) -> SubstreamProtocol<Self::InboundProtocol> {
        SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), ())
    }

    fn on_behaviour_event(&mut self, Open(number): Open) {
        self.wanted.push_back(number);
    }

    fn connection_keep_alive(&self) -> bool {
        !self.wanted.is_empty() || !self.notices.is_empty()
    }

    fn poll(&mut self, _: &mut Context<'_>) -> Poll<Event> {
        if let Some(notice) = self.notices.pop_front() {
            return Poll::Ready(Event::NotifyBehaviour(notice));
        }
        if let Some(number) = self.wanted.pop_front() {
            let protocol = SubstreamProtocol::new(ReadyUpgrade::new(PROTOCOL), number);
            return Poll::Ready(Event::OutboundSubstreamRequest { protocol });
        }
        Poll::Pending
    }

    fn on_connection_event(
        &mut self,
        event: ConnectionEvent<'_, ReadyUpgrade<StreamProtocol>, ReadyUpgrade<StreamProtocol>, (), u64>,
    ) {
        match event {
            ConnectionEvent::FullyNegotiatedInbound(FullyNegotiatedInbound { protocol, .. }) => {
                self.on_inbound(protocol);
            }
            ConnectionEvent::FullyNegotiatedOutbound(FullyNegotiatedOutbound { protocol, info }) => {
                self.notices.push_back(Notice::Opened(info, protocol));
            }
            ConnectionEvent::DialUpgradeError(DialUpgradeError { info, error }) => {
                self.notices.push_back(Notice::Failed(info, failure(error)));
            }
            _ => {}
        }
    }
}

fn failure(error: StreamUpgradeError<Infallible>) -> Failure {
    match error {
        StreamUpgradeError::NegotiationFailed => Failure::Unsupported,
        error => Failure::Broken(error.to_string()),
    }
}
