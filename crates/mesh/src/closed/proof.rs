//! Who is a member of a closed topic: each peer that subscribes is asked, and only members know the answer.

use braidcast_machine::{Offence, Time};
use braidcast_wire::{MessageId, PeerId, Topic};
use bytes::Bytes;

use crate::{
    api::{Divide, Event, PublishError},
    frame::{self, Body},
    link::Link,
    mesh::Mesh,
    params::{Mode, Secret},
};

impl Mesh {
    /// False for a peer that has not proved to be a member of a closed topic.
    pub(crate) fn is_admitted(&self, peer: PeerId, topic: &Topic) -> bool {
        self.params.of(topic).mode == Mode::Open
            || self.links.get(&peer).is_some_and(|link| link.members.contains(topic))
    }

    /// The same for a message's topic; nobody is kept from what we do not know.
    pub(crate) fn admits(&self, peer: PeerId, id: MessageId) -> Result<(), Offence> {
        match self.transfers.get(&id) {
            Some(transfer) if !self.is_admitted(peer, &transfer.manifest.topic) => Err(OUTSIDER),
            _ => Ok(()),
        }
    }

    /// Asks a subscriber of a closed topic of ours to prove that it is a member.
    pub(crate) fn challenge(&mut self, peer: PeerId, topic: &Topic) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let nonce = *link.nonce.get_or_insert_with(|| {
            let mut nonce = [0; 32];
            self.rng.fill(&mut nonce);
            nonce
        });
        self.send(peer, Body::Challenge(evidence(topic, &nonce)));
    }

    /// Asks the sender of a message once, to let it know that it takes a key to be heard: one that never said that it
    /// subscribes, so that nobody asked it, or one that has only us, a relay, and members behind us.
    pub(crate) fn challenge_sender(&mut self, peer: PeerId, topic: &Topic) {
        let is_asked = match self.is_admitted(peer, topic) {
            false => self.links.get(&peer).is_some_and(|link| link.topics.contains(topic)),
            true => !self.is_dead_end(peer, topic),
        };
        if !is_asked && self.tell_outsider(peer, topic, Divide::NoProof) {
            self.challenge(peer, topic);
        }
    }

    /// Whether we are a relay, and all to whom we could pass on what `peer` says take it from members only.
    fn is_dead_end(&self, peer: PeerId, topic: &Topic) -> bool {
        if !self.config.is_discreet {
            return false;
        }
        let mut others = self.overlay.subscribers(topic).filter(|&other| other != peer).peekable();
        others.peek().is_some() && others.all(|other| self.shuts_us_out(other, topic))
    }

    pub(crate) fn on_challenge(&mut self, peer: PeerId, frame: &frame::Evidence) -> Result<(), Offence> {
        let (topic, nonce) = read(frame)?;
        if !self.overlay.speaks_in(&topic) {
            return Ok(());
        }
        match &self.params.of(&topic).mode {
            Mode::Open => _ = self.tell_outsider(peer, &topic, Divide::NoKey),
            Mode::Closed { secret } => {
                let proof = mac(secret, self.identity.peer_id(), peer, &nonce, &topic);
                self.send(peer, Body::Proof(evidence(&topic, proof.as_bytes())));
            }
        }
        Ok(())
    }

    pub(crate) fn on_proof(
        &mut self,
        peer: PeerId,
        frame: &frame::Evidence,
        now: Time,
    ) -> Result<(), Offence> {
        let (topic, proof) = read(frame)?;
        let Some(link) = self.links.get_mut(&peer) else { return Ok(()) };
        let (Mode::Closed { secret }, Some(nonce)) = (&self.params.of(&topic).mode, &link.nonce) else {
            return Ok(());
        };
        // Compared in constant time.
        if mac(secret, peer, self.identity.peer_id(), nonce, &topic) != blake3::Hash::from(proof) {
            self.tell_outsider(peer, &topic, Divide::OtherKey);
            return Err(Offence::minor("proof of membership does not verify"));
        }
        if link.topics.contains(&topic) && link.members.insert(topic.clone()) {
            self.admit(peer, topic, now);
            self.ask_for_early(peer, now);
        }
        Ok(())
    }

    /// A message came before the proof, which travels on another stream.
    pub(crate) fn on_early(&mut self, peer: PeerId, id: MessageId) {
        let Some(link) = self.links.get_mut(&peer).filter(|link| link.nonce.is_some()) else { return };
        if link.early.len() < EARLY_MAX && !link.early.contains(&id) {
            link.early.push(id);
        }
    }

    fn ask_for_early(&mut self, peer: PeerId, now: Time) {
        let Some(link) = self.links.get_mut(&peer) else { return };
        let mut early = core::mem::take(&mut link.early);
        early.retain(|&id| !self.seen.contains(id) && self.asked.insert(id, peer, now));
        if !early.is_empty() {
            self.send(peer, Body::IWant(frame::Ids { ids: frame::pack(early) }));
        }
    }
}

impl Mesh {
    /// Tells the application why a peer takes no part, once. True when it had not been told.
    pub(crate) fn tell_outsider(&mut self, peer: PeerId, topic: &Topic, why: Divide) -> bool {
        let is_concerned = self.overlay.speaks_in(topic);
        let Some(link) = self.links.get_mut(&peer).filter(|_| is_concerned) else { return false };
        let is_news = link.told.insert((topic.clone(), why));
        if is_news {
            self.outbox.event(Event::Outsider { peer, topic: topic.clone(), why });
        }
        is_news
    }

    /// Whether a subscriber has let us know that it takes messages of members only, and we have no key.
    pub(crate) fn shuts_us_out(&self, peer: PeerId, topic: &Topic) -> bool {
        let has_told = |link: &Link| link.told.contains(&(topic.clone(), Divide::NoKey));
        self.params.of(topic).mode == Mode::Open && self.links.get(&peer).is_some_and(has_told)
    }

    /// A message was refused to the application. If a relay shut us out, that is of those behind it, who change: the next
    /// message goes to it.
    pub(crate) fn forgive_relays(&mut self, topic: &Topic) {
        for (_, link) in self.links.iter_mut().filter(|(peer, _)| self.overlay.is_last_resort(**peer)) {
            link.told.remove(&(topic.clone(), Divide::NoKey));
        }
    }

    /// Why nobody would get a message of ours.
    pub(crate) fn nobody(&self, topic: &Topic) -> PublishError {
        let topic = topic.clone();
        match self.params.of(&topic).mode {
            Mode::Open if self.overlay.subscribers(&topic).next().is_some() => PublishError::NoKey { topic },
            Mode::Open => PublishError::NoPeers { topic },
            Mode::Closed { .. } if !self.overlay.is_subscribed(&topic) => {
                PublishError::NotSubscribed { topic }
            }
            Mode::Closed { .. } => {
                let is_outsider =
                    |link: &&Link| link.topics.contains(&topic) && !link.members.contains(&topic);
                let outsiders = self.links.values().filter(is_outsider).count();
                PublishError::NoMembers { topic, outsiders }
            }
        }
    }
}

/// What `prover` answers to the `nonce` of `verifier`. The roles are in it, so that no answer can be sent back, and the
/// keys, so that none can be passed on.
fn mac(secret: &Secret, prover: PeerId, verifier: PeerId, nonce: &[u8; 32], topic: &Topic) -> blake3::Hash {
    let key = blake3::derive_key("braidcast/1 membership of a closed topic", &secret.0);
    let mut mac = blake3::Hasher::new_keyed(&key);
    mac.update(&prover.0).update(&verifier.0).update(nonce).update(topic.as_str().as_bytes());
    mac.finalize()
}

fn evidence(topic: &Topic, bytes: &[u8; 32]) -> frame::Evidence {
    frame::Evidence { topic: topic.as_str().into(), bytes: Bytes::copy_from_slice(bytes) }
}

fn read(frame: &frame::Evidence) -> Result<(Topic, [u8; 32]), Offence> {
    let topic = frame::topic(&frame.topic).ok_or(Offence::fatal("topic name is empty or too long"))?;
    let bytes = (*frame.bytes).try_into().map_err(|_| Offence::fatal("nonce or proof is not 32 bytes"))?;
    Ok((topic, bytes))
}

/// Messages that a peer can have sent between knowing us and being known. Guess.
const EARLY_MAX: usize = 16;

pub(crate) const OUTSIDER: Offence = Offence::minor("message of a closed topic, from who is no member");
