//! A message of our own: checked, encoded, and offered.

use braidcast_machine::Now;
use braidcast_wire::limits;

use super::Mesh;
use crate::{
    api::{Event, Publish, PublishError},
    frame::{self, Body},
    job::Encode,
    transfer::Push,
};

impl Mesh {
    pub(super) fn on_publish(&mut self, publish: Publish) {
        let ticket = publish.ticket;
        match self.check_publish(&publish) {
            Ok(()) => {
                let params = self.params.of(&publish.topic);
                self.encodes.push_back(Encode::new(publish, params));
            }
            Err(error) => {
                if let PublishError::NoPeers { topic } | PublishError::NoKey { topic } = &error {
                    // Some tell only who asks: the next try may find them.
                    let topics = alloc::vec![topic.as_str().into()];
                    self.tell_all(&Body::Seek(frame::Seek { topics }));
                    self.forgive_relays(topic);
                }
                self.outbox.event(Event::Refused { ticket, error });
            }
        }
    }

    fn check_publish(&self, publish: &Publish) -> Result<(), PublishError> {
        let content = &publish.content;
        let (len, limit) = (content.payload.len(), self.config.message_bytes);
        if len > limit {
            return Err(PublishError::TooLong { len, limit });
        }
        if content.content_type.len() > limits::CONTENT_TYPE_BYTES {
            return Err(PublishError::ContentType { len: content.content_type.len() });
        }
        if content.name.len() > limits::NAME_BYTES {
            return Err(PublishError::Name { len: content.name.len() });
        }
        if self.encodes.len() >= ENCODES {
            return Err(PublishError::Busy { len: self.encodes.len(), limit: ENCODES });
        }
        let topic = &publish.topic;
        let mut takers = self.overlay.subscribers(topic).filter(|&peer| !self.shuts_us_out(peer, topic));
        if takers.next().is_some() { Ok(()) } else { Err(self.nobody(topic)) }
    }

    /// Our own message is coded and hashed: sign it and offer it.
    pub(super) fn on_encoded(&mut self, encode: Encode, now: Now) {
        let (ticket, topic) = (encode.publish.ticket, encode.publish.topic.clone());
        let (overlay, mut scene) = self.scene(now.time);
        let mut audience = overlay.audience(&topic, WIDE_PEERS, &mut scene);
        audience.retain(|&peer| self.overlay.is_last_resort(peer) || !self.shuts_us_out(peer, &topic));
        if audience.is_empty() {
            let error = self.nobody(&topic);
            return self.outbox.event(Event::Refused { ticket, error });
        }
        self.last_seqno = (self.last_seqno + 1).max(now.wall.0.saturating_mul(1000));
        let mut transfer = encode.finish(self.last_seqno, now.wall, &self.identity, &self.config);
        transfer.moved_at = now.time;
        transfer.whole_at = Some(now.time);
        for &peer in &audience {
            transfer.neighbour(peer).push = Push::All;
        }
        let id = transfer.id();
        self.seen.insert(id, now.time);
        self.transfers.insert(id, transfer);
        self.outbox.event(Event::Published { ticket, id, peers: audience.len() });
        audience.into_iter().for_each(|peer| self.enqueue(peer, id));
        self.heartbeat_at.get_or_insert(now.time + self.config.heartbeat);
    }
}

/// A message of our own goes to this many subscribers, not only to the mesh: its pieces are spread sooner. After simulations,
/// in which it is better on slow uplinks too.
const WIDE_PEERS: usize = 32;
/// Messages of our own that wait to be encoded. Guess.
const ENCODES: usize = 64;
