use std::{
    collections::{BTreeMap, VecDeque},
    future::poll_fn,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll, Waker},
};

use braidcast_core::{
    mesh::{Divide, Message, Progress},
    wire::{MessageId, PeerId, Topic},
};
use futures::Stream;
use libp2p::Multiaddr;

use crate::{
    PeerInfo,
    stats::{Counters, add},
};

/// What the application is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// A message arrived whole and verified.
    Message(Message),
    /// A large message moves: told at most every 50 ms, so that it may lag by what came in that time, and when all of it is
    /// there. At most one waits per message: the newest.
    Progress(Progress),
    /// Neighbours hold the whole of a message that was published here. At most one waits per message: the newest.
    Reached {
        /// The message.
        id: MessageId,
        /// Neighbours that hold it.
        peers: usize,
        /// Neighbours that it was offered to.
        of: usize,
    },
    /// A peer that speaks our protocol is connected.
    PeerConnected(PeerInfo),
    /// Its last connection is gone.
    PeerDisconnected {
        /// Who.
        id: PeerId,
    },
    /// A connected peer subscribed to a topic, and has proved to be a member if we closed it.
    Joined {
        /// Who.
        peer: PeerId,
        /// Where.
        topic: Topic,
    },
    /// It unsubscribed, or left.
    Left {
        /// Who.
        peer: PeerId,
        /// Where.
        topic: Topic,
    },
    /// A connected peer and we take no part in a closed topic together: nothing of it goes to that peer or is taken from it.
    /// Told once per link and cause; introductions and signalling go on.
    Outsider {
        /// Who.
        peer: PeerId,
        /// Where.
        topic: Topic,
        /// Why.
        why: Divide,
    },
    /// A configured relay answers and speaks our protocol.
    RelayConnected {
        /// As configured.
        address: Multiaddr,
        /// Who it is.
        id: PeerId,
    },
    /// A configured relay does not answer, or went away. It is dialled again.
    RelayLost {
        /// As configured.
        address: Multiaddr,
        /// Why.
        error: String,
        /// When it is dialled next, in milliseconds from now.
        retry_in_ms: u64,
    },
    /// This node has tried so many direct links within an hour that it tries no new one for a while, because a browser allows a
    /// page 500 in its life; natively it never comes. Links and relays go on.
    Exhausted {
        /// Within the hour.
        attempts: usize,
        /// When one may be tried again, in milliseconds from now.
        retry_in_ms: u64,
    },
    /// The application was too slow: so many of the oldest events were dropped, messages first.
    Lagged {
        /// How many.
        messages: u64,
    },
}

/// The events of one node, for a single consumer. Also a [`Stream`].
#[derive(Debug)]
pub struct Events(Arc<Inbox>);

impl Events {
    pub(crate) fn new(inbox: Arc<Inbox>) -> Self {
        Self(inbox)
    }

    /// The next event; `None` when the node has stopped and everything was taken.
    pub async fn next(&mut self) -> Option<Event> {
        poll_fn(|context| self.0.poll_next(context)).await
    }

    /// The next event, if one is waiting.
    pub fn try_next(&mut self) -> Option<Event> {
        self.0.lock().pop()
    }
}

impl Stream for Events {
    type Item = Event;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        self.0.poll_next(context)
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Most events that wait, messages and others counted apart. Guess.
const EVENTS: usize = 65_536;

/// What a waiting message takes besides its payload, in bytes. Guess.
const MESSAGE_OVERHEAD: usize = 256;

/// Events on their way from the hub to the application. The hub never waits: what is too much is dropped and counted.
#[derive(Debug)]
pub(crate) struct Inbox {
    limit_bytes: usize,
    counters: Arc<Counters>,
    queue: Mutex<Queue>,
}

/// Each event has a number, so that the two queues are emptied in the order in which they were filled.
#[derive(Debug, Default)]
struct Queue {
    next: u64,
    messages: VecDeque<(u64, Message)>,
    message_bytes: usize,
    others: BTreeMap<u64, Event>,
    /// Where in `others` the newest progress of a message waits.
    progress: BTreeMap<MessageId, u64>,
    /// The same for `Reached`.
    reached: BTreeMap<MessageId, u64>,
    lost: u64,
    closed: bool,
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(limit_bytes: usize, counters: Arc<Counters>) -> Self {
        Self { limit_bytes, counters, queue: Mutex::default() }
    }

    /// Adds an event, and drops the oldest if that is too much.
    pub(crate) fn push(&self, event: Event) {
        let mut queue = self.lock();
        if queue.closed {
            return;
        }
        queue.push(event);
        let lost = queue.trim(self.limit_bytes);
        add(&self.counters.inbox_lost, lost);
        if let Some(waker) = queue.waker.take() {
            drop(queue);
            waker.wake();
        }
    }

    /// Takes no more; what waits can still be taken.
    pub(crate) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        if let Some(waker) = queue.waker.take() {
            drop(queue);
            waker.wake();
        }
    }

    fn poll_next(&self, context: &Context<'_>) -> Poll<Option<Event>> {
        let mut queue = self.lock();
        match queue.pop() {
            Some(event) => Poll::Ready(Some(event)),
            None if queue.closed => Poll::Ready(None),
            None => {
                queue.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no code panics while it holds this lock")
    }
}

impl Queue {
    fn push(&mut self, event: Event) {
        let number = self.next;
        self.next += 1;
        let replaced = match &event {
            Event::Progress(progress) => self.progress.insert(progress.id, number),
            Event::Reached { id, .. } => self.reached.insert(*id, number),
            _ => None,
        };
        if let Some(replaced) = replaced {
            self.others.remove(&replaced);
        }
        match event {
            Event::Message(message) => {
                self.message_bytes += weight(&message);
                self.messages.push_back((number, message));
            }
            other => {
                self.others.insert(number, other);
            }
        }
    }

    fn pop(&mut self) -> Option<Event> {
        if self.lost > 0 {
            return Some(Event::Lagged { messages: std::mem::take(&mut self.lost) });
        }
        let message = self.messages.front().map(|(number, _)| *number);
        let other = self.others.first_key_value().map(|(number, _)| *number);
        match (message, other) {
            (Some(message), Some(other)) if message < other => self.pop_message(),
            (Some(_), None) => self.pop_message(),
            _ => self.pop_other(),
        }
    }

    fn pop_message(&mut self) -> Option<Event> {
        let (_, message) = self.messages.pop_front()?;
        self.message_bytes -= weight(&message);
        Some(Event::Message(message))
    }

    fn pop_other(&mut self) -> Option<Event> {
        let (_, event) = self.others.pop_first()?;
        match &event {
            Event::Progress(progress) => drop(self.progress.remove(&progress.id)),
            Event::Reached { id, .. } => drop(self.reached.remove(id)),
            _ => {}
        }
        Some(event)
    }

    /// Drops the oldest until the limits hold, and tells how many. The newest message stays, however long it is.
    fn trim(&mut self, limit_bytes: usize) -> usize {
        let mut lost = 0;
        while self.messages.len() > EVENTS || (self.messages.len() > 1 && self.message_bytes > limit_bytes) {
            self.pop_message();
            lost += 1;
        }
        while self.others.len() > EVENTS {
            self.pop_other();
            lost += 1;
        }
        self.lost += lost as u64;
        lost
    }
}

fn weight(message: &Message) -> usize {
    let content = &message.content;
    content.payload.len() + content.name.len() + content.content_type.len() + MESSAGE_OVERHEAD
}

#[cfg(test)]
mod tests {
    use braidcast_core::{machine::WallTime, mesh::Content};
    use bytes::Bytes;
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn inbox(limit_bytes: usize) -> Arc<Inbox> {
        Arc::new(Inbox::new(limit_bytes, Arc::default()))
    }

    fn message(seqno: u64, len: usize) -> Event {
        Event::Message(Message {
            id: MessageId([seqno as u8; 32]),
            topic: Topic::new("t").expect("a name"),
            from: PeerId([1; 32]),
            seqno,
            published: WallTime(0),
            content: Content { payload: Bytes::from(vec![0; len]).into(), ..Content::default() },
            judge_by: None,
        })
    }

    fn progress(held_bytes: usize) -> Event {
        Event::Progress(Progress {
            id: MessageId([1; 32]),
            topic: Topic::new("t").expect("a name"),
            from: PeerId([1; 32]),
            name: String::new(),
            held_bytes,
            total_bytes: 100,
        })
    }

    fn drain(inbox: &Arc<Inbox>) -> Vec<Event> {
        let mut events = Events::new(inbox.clone());
        std::iter::from_fn(|| events.try_next()).collect()
    }

    #[test]
    fn events_come_in_order() {
        let inbox = inbox(10_000);
        let left = Event::Left { peer: PeerId([1; 32]), topic: Topic::new("t").expect("a name") };
        let all = [message(1, 10), left.clone(), message(2, 10), left];
        all.iter().cloned().for_each(|event| inbox.push(event));
        assert_eq!(drain(&inbox), all);
    }

    #[test]
    fn the_oldest_messages_are_dropped_and_counted() {
        let inbox = inbox(2_000);
        for seqno in 0..5 {
            inbox.push(message(seqno, 1_000 - MESSAGE_OVERHEAD));
        }
        let expected = [
            Event::Lagged { messages: 3 },
            message(3, 1_000 - MESSAGE_OVERHEAD),
            message(4, 1_000 - MESSAGE_OVERHEAD),
        ];
        assert_eq!(inbox.counters.snapshot().inbox_lost, 3);
        assert_eq!(drain(&inbox), expected);
    }

    #[test]
    fn one_message_beyond_the_limit_still_arrives() {
        let inbox = inbox(10);
        inbox.push(message(1, 5_000));
        assert_eq!(drain(&inbox), [message(1, 5_000)]);
    }

    #[test]
    fn only_the_newest_progress_waits() {
        let inbox = inbox(10_000);
        for event in [progress(1), message(1, 1), progress(2)] {
            inbox.push(event);
        }
        assert_eq!(drain(&inbox), [message(1, 1), progress(2)]);
    }

    #[test]
    fn nothing_is_kept_for_an_application_that_does_not_listen() {
        let inbox = inbox(10_000);
        drop(Events::new(inbox.clone()));
        inbox.push(message(1, 1));
        assert_eq!(drain(&inbox), []);
    }
}
