//! Signalling with peers through carriers: who calls whom, and that nothing old is taken for new. No IO, no clocks.
//!
//! | message | who | then |
//! |---|---|---|
//! | `Knock` | caller | the other draws a nonce and answers |
//! | `Welcome` | called | the call stands; the nonce goes with all that follows |
//! | `Data` | both | numbered from 0 in each direction |
//! | `End` | both | the call is over |
//!
//! A replayed `Knock` is answered with a nonce that the replayed messages behind it do not have, and costs no more than
//! that: a connection is made at the first `Data`.

use std::collections::BTreeMap;

use crate::sealed::{Key, Sealer};

/// Most bytes of a message in a call.
pub const DATA_BYTES: usize = 8 * 1024 - super::sealed::OVERHEAD_BYTES - HEAD_BYTES;

/// Most calls at once, those included that were only knocked for. Guess.
const CALLS: usize = 64;

/// Most of them from one peer: it need not wait until the last is forgotten. Guess.
const CALLS_PER_PEER: usize = 4;

/// Kind, call, nonce, number.
const HEAD_BYTES: usize = 1 + 16 + 16 + 4;

/// Names a call: 16 bytes drawn by the caller.
pub type CallId = [u8; 16];

/// All calls of a node.
#[derive(Debug)]
pub struct Calls {
    sealer: Sealer,
    seed: [u8; 32],
    drawn: u64,
    calls: BTreeMap<CallId, Call>,
}

#[derive(Debug)]
struct Call {
    peer: Key,
    carrier: Key,
    state: State,
    nonce: [u8; 16],
    sent: u32,
    received: u32,
    /// For forgetting the oldest.
    begun: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// We knocked.
    Knocking,
    /// The peer did, and was answered.
    Answered,
    Open,
}

/// What is to be done or to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Have this carried to the target.
    Send {
        /// By whom.
        carrier: Key,
        /// To whom.
        target: Key,
        /// Encrypted.
        sealed: Vec<u8>,
    },
    /// The peer that we called has answered.
    Opened(CallId),
    /// This peer has called; what it said follows.
    Accepted(CallId, Key),
    /// The peer says this.
    Received(CallId, Vec<u8>),
    /// The call is over; its id means nothing any more.
    Ended(CallId),
}

impl Calls {
    /// `seed`: 32 bytes that nobody can guess.
    pub fn new(sealer: Sealer, seed: [u8; 32]) -> Self {
        Self { sealer, seed, drawn: 0, calls: BTreeMap::new() }
    }

    /// Calls a peer through a carrier.
    pub fn call(&mut self, peer: Key, carrier: Key) -> (CallId, Vec<Output>) {
        let id = self.draw_half();
        let mut outputs = self.insert(id, peer, carrier, State::Knocking, [0; 16]);
        outputs.extend(self.say(id, Kind::Knock, &[]));
        (id, outputs)
    }

    /// Whether a call is there, answered or not.
    pub fn contains(&self, id: &CallId) -> bool {
        self.calls.contains_key(id)
    }

    /// Says something in a call that is open; nothing if it is not, or if `data` is above [`DATA_BYTES`].
    pub fn send(&mut self, id: CallId, data: &[u8]) -> Option<Output> {
        self.calls.get(&id).filter(|call| call.state == State::Open && data.len() <= DATA_BYTES)?;
        self.say(id, Kind::Data, data)
    }

    /// Ends a call.
    pub fn end(&mut self, id: CallId) -> Option<Output> {
        let output = self.say(id, Kind::End, &[]);
        self.calls.remove(&id);
        output
    }

    /// The carrier cannot reach the target.
    pub fn on_uncarried(&mut self, carrier: Key, target: Key) -> Vec<Output> {
        self.calls
            .extract_if(.., |_, call| call.carrier == carrier && call.peer == target)
            .map(|(id, _)| Output::Ended(id))
            .collect()
    }

    /// A carrier brought something of `origin`. What does not open, or is not due, is ignored.
    pub fn on_sealed(&mut self, carrier: Key, origin: Key, sealed: &[u8]) -> Vec<Output> {
        let Some(opened) = self.sealer.open(&origin, sealed) else { return Vec::new() };
        let Some(message) = Message::read(&opened) else { return Vec::new() };
        let Some(call) = self.calls.get_mut(&message.call) else {
            return match message.kind {
                Kind::Knock => self.on_knock(carrier, origin, message.call),
                _ => Vec::new(),
            };
        };
        if call.peer != origin {
            return Vec::new();
        }
        match (message.kind, call.state) {
            (Kind::Welcome, State::Knocking) => {
                (call.nonce, call.state) = (message.nonce, State::Open);
                vec![Output::Opened(message.call)]
            }
            (Kind::Data, State::Answered | State::Open) if message.nonce == call.nonce => {
                if message.number != call.received {
                    return self.on_misnumbered(&message);
                }
                call.received += 1;
                let is_first = std::mem::replace(&mut call.state, State::Open) == State::Answered;
                let accepted = is_first.then_some(Output::Accepted(message.call, origin));
                accepted.into_iter().chain([Output::Received(message.call, message.data.to_vec())]).collect()
            }
            (Kind::End, _) if message.nonce == call.nonce => {
                self.calls.remove(&message.call);
                vec![Output::Ended(message.call)]
            }
            _ => Vec::new(),
        }
    }

    fn on_knock(&mut self, carrier: Key, origin: Key, id: CallId) -> Vec<Output> {
        let mut theirs: Vec<_> = self
            .calls
            .iter()
            .filter(|(_, call)| call.peer == origin && call.state == State::Answered)
            .map(|(id, call)| (call.begun, *id))
            .collect();
        theirs.sort_unstable();
        if theirs.len() >= CALLS_PER_PEER {
            self.calls.remove(&theirs[0].1);
        }
        let nonce = self.draw_half();
        let mut outputs = self.insert(id, origin, carrier, State::Answered, nonce);
        outputs.extend(self.say(id, Kind::Welcome, &[]));
        outputs
    }

    /// An old number is a replay. A new one means that something got lost, which nothing here repairs.
    fn on_misnumbered(&mut self, message: &Message<'_>) -> Vec<Output> {
        let is_old = self.calls.get(&message.call).is_none_or(|call| message.number < call.received);
        if is_old {
            return Vec::new();
        }
        let end = self.end(message.call);
        end.into_iter().chain([Output::Ended(message.call)]).collect()
    }

    /// Makes room by forgetting the oldest that is not open, or else the oldest.
    fn insert(&mut self, id: CallId, peer: Key, carrier: Key, state: State, nonce: [u8; 16]) -> Vec<Output> {
        let mut outputs = Vec::new();
        if self.calls.len() >= CALLS {
            let oldest =
                self.calls.iter().min_by_key(|(_, call)| (call.state != State::Answered, call.begun));
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                let state = self.calls.get(&oldest).map(|call| call.state);
                outputs.extend(self.end(oldest));
                outputs.extend((state != Some(State::Answered)).then_some(Output::Ended(oldest)));
            }
        }
        self.drawn += 1;
        let call = Call { peer, carrier, state, nonce, sent: 0, received: 0, begun: self.drawn };
        self.calls.insert(id, call);
        outputs
    }

    fn say(&mut self, id: CallId, kind: Kind, data: &[u8]) -> Option<Output> {
        let fresh = self.draw();
        let call = self.calls.get_mut(&id)?;
        let message = Message { kind, call: id, nonce: call.nonce, number: call.sent, data };
        call.sent += u32::from(kind == Kind::Data);
        let (carrier, target) = (call.carrier, call.peer);
        let sealed = self.sealer.seal(&target, fresh, &message.write())?;
        Some(Output::Send { carrier, target, sealed })
    }

    fn draw(&mut self) -> [u8; 32] {
        self.drawn += 1;
        *blake3::keyed_hash(&self.seed, &self.drawn.to_le_bytes()).as_bytes()
    }

    fn draw_half(&mut self) -> [u8; 16] {
        let mut half = [0; 16];
        half.copy_from_slice(&self.draw()[..16]);
        half
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Knock = 0,
    Welcome = 1,
    Data = 2,
    End = 3,
}

/// What is sealed: kind, call, nonce, number (little-endian), data.
struct Message<'a> {
    kind: Kind,
    call: CallId,
    nonce: [u8; 16],
    number: u32,
    data: &'a [u8],
}

impl<'a> Message<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let (kind, rest) = bytes.split_first()?;
        let (call, rest) = rest.split_first_chunk::<16>()?;
        let (nonce, rest) = rest.split_first_chunk::<16>()?;
        let (number, data) = rest.split_first_chunk::<4>()?;
        let kind = match kind {
            0 => Kind::Knock,
            1 => Kind::Welcome,
            2 => Kind::Data,
            3 => Kind::End,
            _ => return None,
        };
        Some(Self { kind, call: *call, nonce: *nonce, number: u32::from_le_bytes(*number), data })
    }

    fn write(&self) -> Vec<u8> {
        [&[self.kind as u8][..], &self.call, &self.nonce, &self.number.to_le_bytes(), self.data].concat()
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const CARRIER: Key = [7; 32];

    fn node(number: u8) -> Calls {
        Calls::new(Sealer::new(&[number; 32]), [number; 32])
    }

    /// Carries what one says to the other, and collects what else came of it.
    fn carry(outputs: Vec<Output>, from: &Calls, to: &mut Calls) -> Vec<Output> {
        let (origin, public) = (from.sealer.public(), to.sealer.public());
        let sealed = outputs.into_iter().filter_map(|output| match output {
            Output::Send { carrier, target, sealed } => {
                assert_eq!((carrier, target), (CARRIER, public));
                Some(sealed)
            }
            _ => None,
        });
        sealed.flat_map(|sealed| to.on_sealed(CARRIER, origin, &sealed)).collect()
    }

    fn opened() -> (Calls, Calls, CallId) {
        let (mut alice, mut bob) = (node(1), node(2));
        let (id, knock) = alice.call(bob.sealer.public(), CARRIER);
        let welcome = carry(knock, &alice, &mut bob);
        assert_eq!(carry(welcome, &bob, &mut alice), [Output::Opened(id)]);
        (alice, bob, id)
    }

    #[test]
    fn a_call_goes_both_ways_and_ends() {
        let (mut alice, mut bob, id) = opened();
        let offer = vec![alice.send(id, b"offer").expect("open")];
        let accepted = Output::Accepted(id, alice.sealer.public());
        assert_eq!(carry(offer, &alice, &mut bob), [accepted, Output::Received(id, b"offer".to_vec())]);
        let answer = vec![bob.send(id, b"answer").expect("open")];
        assert_eq!(carry(answer, &bob, &mut alice), [Output::Received(id, b"answer".to_vec())]);
        let end = vec![bob.end(id).expect("open")];
        assert_eq!(carry(end, &bob, &mut alice), [Output::Ended(id)]);
        assert_eq!((alice.send(id, b"late"), bob.send(id, b"late")), (None, None));
    }

    #[test]
    fn nothing_counts_twice() {
        let (mut alice, mut bob) = (node(1), node(2));
        let (id, knock) = alice.call(bob.sealer.public(), CARRIER);
        let welcome = carry(knock.clone(), &alice, &mut bob);
        assert_eq!(carry(knock.clone(), &alice, &mut bob), [], "the call is there");
        carry(welcome.clone(), &bob, &mut alice);
        assert_eq!(carry(welcome, &bob, &mut alice), []);
        let offer = vec![alice.send(id, b"offer").expect("open")];
        assert_eq!(carry(offer.clone(), &alice, &mut bob).len(), 2);
        assert_eq!(carry(offer.clone(), &alice, &mut bob), []);
        let end = vec![alice.end(id).expect("open")];
        carry(end.clone(), &alice, &mut bob);

        // All of it again, when the call is over: the nonce is another.
        let welcome = carry(knock, &alice, &mut bob);
        assert!(matches!(welcome[..], [Output::Send { .. }]));
        assert_eq!(carry(welcome, &bob, &mut alice), []);
        assert_eq!(carry(offer, &alice, &mut bob), []);
        assert_eq!(carry(end, &alice, &mut bob), []);
    }

    #[test]
    fn a_gap_ends_the_call() {
        let (mut alice, mut bob, id) = opened();
        alice.send(id, b"lost").expect("open");
        let next = vec![alice.send(id, b"next").expect("open")];
        let said = carry(next, &alice, &mut bob);
        assert!(matches!(said[..], [Output::Send { .. }, Output::Ended(_)]), "{said:?}");
        assert_eq!(carry(said, &bob, &mut alice), [Output::Ended(id)]);
    }

    #[test]
    fn a_stranger_cannot_speak_in_a_call() {
        let (alice, mut bob, id) = opened();
        let nonce = alice.calls[&id].nonce;
        let eve = Sealer::new(&[3; 32]);
        let message = Message { kind: Kind::Data, call: id, nonce, number: 0, data: b"offer" };
        let sealed = eve.seal(&bob.sealer.public(), [5; 32], &message.write()).expect("a key");
        assert_eq!(bob.on_sealed(CARRIER, eve.public(), &sealed), []);
        assert_eq!(bob.on_sealed(CARRIER, alice.sealer.public(), &sealed), []);
    }

    #[test]
    fn a_carrier_without_the_target_ends_the_call() {
        let mut alice = node(1);
        let bob = node(2).sealer.public();
        let (id, _) = alice.call(bob, CARRIER);
        assert_eq!(alice.on_uncarried([8; 32], bob), []);
        assert_eq!(alice.on_uncarried(CARRIER, bob), [Output::Ended(id)]);
    }

    #[test]
    fn knocking_cannot_fill_the_memory_nor_end_a_call() {
        let (mut alice, mut bob, id) = opened();
        let offer = vec![alice.send(id, b"offer").expect("open")];
        carry(offer, &alice, &mut bob);
        for number in 10..210 {
            let mut other = node(number);
            for _ in 0..10 {
                let (_, knock) = other.call(bob.sealer.public(), CARRIER);
                carry(knock, &other, &mut bob);
            }
        }
        assert_eq!(bob.calls.len(), CALLS);
        let more = vec![alice.send(id, b"more").expect("open")];
        assert_eq!(carry(more, &alice, &mut bob), [Output::Received(id, b"more".to_vec())]);
    }

    #[test]
    fn noise_does_no_harm() {
        let (alice, mut bob, id) = opened();
        for len in 0..64 {
            for kind in 0..=4 {
                let mut noise = vec![kind; len];
                noise.get_mut(1..17).into_iter().for_each(|call| call.copy_from_slice(&id));
                let sealed = alice.sealer.seal(&bob.sealer.public(), [5; 32], &noise).expect("a key");
                bob.on_sealed(CARRIER, alice.sealer.public(), &sealed);
            }
        }
    }

    #[test]
    fn the_longest_message_fits_what_a_carrier_takes() {
        let (mut alice, _, id) = opened();
        assert_eq!(alice.send(id, &[0; DATA_BYTES + 1]), None);
        let Some(Output::Send { sealed, .. }) = alice.send(id, &[0; DATA_BYTES]) else { panic!("open") };
        assert_eq!(sealed.len(), 8 * 1024);
    }
}
