//! Ways to signal through neighbours: finds one to a peer, and makes a [`Pipe`] of each.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    pin::Pin,
    task::{Context, Poll},
};

use braidcast_core::{
    machine::{Duration, Time},
    wire::{Identity, PeerId},
};
use braidcast_webrtc::{
    CallId, CallOutput, Calls, DATA_BYTES, Pipe, Sealer,
    protocol::{Signal, SignalDecoder},
};
use bytes::Bytes;
use futures::{
    Sink, Stream, StreamExt,
    channel::mpsc::{self, UnboundedReceiver, UnboundedSender},
};

/// How long a carrier and the peer behind it may take to answer. Guess.
const ANSWER: Duration = Duration::from_secs(4);

/// Most carriers that are asked for one peer. Guess.
const CARRIERS: usize = 4;

/// Most signals of a peer that wait to be read; who sends more ends the call.
const WAITING: usize = 128;

/// All calls.
pub(crate) struct Switchboard {
    calls: Calls,
    /// Calls of ours that nobody has answered yet.
    attempts: BTreeMap<PeerId, Attempt>,
    /// Calls with somebody at both ends.
    lines: BTreeMap<CallId, Line>,
    steps: VecDeque<Step>,
    say: UnboundedSender<(CallId, Said)>,
    said: UnboundedReceiver<(CallId, Said)>,
}

struct Attempt {
    call: CallId,
    until: Time,
    /// Whom to ask next.
    others: Vec<PeerId>,
}

struct Line {
    decoder: SignalDecoder,
    signals: mpsc::Sender<io::Result<Signal>>,
}

/// What an end of ours says.
#[derive(Debug)]
enum Said {
    Signal(Signal),
    End,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) enum Step {
    /// Have this carried.
    Carry { carrier: PeerId, target: PeerId, sealed: Bytes },
    /// The peer that was called is there: it awaits an offer.
    Reached(PeerId, Pipe),
    /// It is not.
    Failed(PeerId),
    /// This peer has called, and is going to offer.
    Called(PeerId, Pipe),
}

impl Switchboard {
    pub(crate) fn new(identity: &Identity, seed: [u8; 32]) -> Self {
        let (say, said) = mpsc::unbounded();
        Self {
            calls: Calls::new(Sealer::new(&identity.to_seed()), seed),
            attempts: BTreeMap::new(),
            lines: BTreeMap::new(),
            steps: VecDeque::new(),
            say,
            said,
        }
    }

    /// Calls a peer through the first of `carriers` that reaches it.
    pub(crate) fn call(&mut self, peer: PeerId, mut carriers: Vec<PeerId>, now: Time) {
        carriers.truncate(CARRIERS);
        carriers.reverse();
        self.attempt(peer, carriers, now);
    }

    /// A neighbour brought something.
    pub(crate) fn on_carried(&mut self, carrier: PeerId, origin: PeerId, sealed: &[u8]) {
        let outputs = self.calls.on_sealed(carrier.0, origin.0, sealed);
        outputs.into_iter().for_each(|output| self.on_output(output));
    }

    /// A neighbour does not reach a peer.
    pub(crate) fn on_uncarried(&mut self, carrier: PeerId, target: PeerId, now: Time) {
        let outputs = self.calls.on_uncarried(carrier.0, target.0);
        outputs.into_iter().for_each(|output| self.on_output(output));
        self.go_on(now, |attempt, calls| !calls.contains(&attempt.call));
    }

    /// Asks others where nobody answered in time.
    pub(crate) fn on_time(&mut self, now: Time) {
        self.go_on(now, |attempt, _| attempt.until <= now);
    }

    /// When [`on_time`](Self::on_time) has something to do.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.attempts.values().map(|attempt| attempt.until).min()
    }

    /// What is to be done next. Ready when one of our ends has spoken, too.
    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Step> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                return Poll::Ready(step);
            }
            let Poll::Ready(Some((call, said))) = self.said.poll_next_unpin(context) else {
                return Poll::Pending;
            };
            match said {
                Said::Signal(signal) => {
                    for part in signal.encode().chunks(DATA_BYTES) {
                        let output = self.calls.send(call, part);
                        output.into_iter().for_each(|output| self.on_output(output));
                    }
                }
                Said::End => {
                    self.lines.remove(&call);
                    let output = self.calls.end(call);
                    output.into_iter().for_each(|output| self.on_output(output));
                }
            }
        }
    }

    fn attempt(&mut self, peer: PeerId, mut others: Vec<PeerId>, now: Time) {
        let Some(carrier) = others.pop() else { return self.steps.push_back(Step::Failed(peer)) };
        let (call, outputs) = self.calls.call(peer.0, carrier.0);
        self.attempts.insert(peer, Attempt { call, until: now + ANSWER, others });
        outputs.into_iter().for_each(|output| self.on_output(output));
    }

    /// Gives up attempts, and makes them anew with the next carrier.
    fn go_on(&mut self, now: Time, is_over: impl Fn(&Attempt, &Calls) -> bool) {
        let calls = &self.calls;
        let over: Vec<_> = self.attempts.extract_if(.., |_, attempt| is_over(attempt, calls)).collect();
        for (peer, attempt) in over {
            self.calls.end(attempt.call).into_iter().for_each(|output| self.on_output(output));
            self.attempt(peer, attempt.others, now);
        }
    }

    fn on_output(&mut self, output: CallOutput) {
        match output {
            CallOutput::Send { carrier, target, sealed } => {
                let (carrier, target) = (PeerId(carrier), PeerId(target));
                self.steps.push_back(Step::Carry { carrier, target, sealed: sealed.into() });
            }
            CallOutput::Opened(call) => {
                let called = self.attempts.extract_if(.., |_, attempt| attempt.call == call).next();
                if let Some((peer, _)) = called {
                    let pipe = self.line(call);
                    self.steps.push_back(Step::Reached(peer, pipe));
                }
            }
            CallOutput::Accepted(call, peer) => {
                let pipe = self.line(call);
                self.steps.push_back(Step::Called(PeerId(peer), pipe));
            }
            CallOutput::Received(call, data) => self.on_data(call, &data),
            CallOutput::Ended(call) => {
                self.lines.remove(&call);
            }
        }
    }

    fn on_data(&mut self, call: CallId, data: &[u8]) {
        let Some(line) = self.lines.get_mut(&call) else { return };
        line.decoder.push(data);
        loop {
            let signal = match line.decoder.next() {
                Ok(Some(signal)) => Ok(signal),
                Ok(None) => return,
                Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
            };
            let is_over = signal.is_err();
            if line.signals.try_send(signal).is_err() || is_over {
                // The other end gets to know when ours is dropped.
                self.lines.remove(&call);
                return;
            }
        }
    }

    fn line(&mut self, call: CallId) -> Pipe {
        let (signals, incoming) = mpsc::channel(WAITING);
        self.lines.insert(call, Line { decoder: SignalDecoder::default(), signals });
        Pipe::new(End { call, incoming, say: self.say.clone() })
    }
}

/// Our end of a call.
struct End {
    call: CallId,
    incoming: mpsc::Receiver<io::Result<Signal>>,
    say: UnboundedSender<(CallId, Said)>,
}

impl Stream for End {
    type Item = io::Result<Signal>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.incoming.poll_next_unpin(context)
    }
}

impl Sink<Signal> for End {
    type Error = io::Error;

    fn poll_ready(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, signal: Signal) -> io::Result<()> {
        let sent = self.say.unbounded_send((self.call, Said::Signal(signal)));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // The node is gone as well.
        let _ = self.say.unbounded_send((self.call, Said::End));
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const NOW: Time = Time::from_micros(1);

    struct Node {
        board: Switchboard,
        id: PeerId,
        pipes: Vec<(PeerId, Pipe)>,
        failed: Vec<PeerId>,
    }

    impl Node {
        fn new(number: u8) -> Self {
            let identity = Identity::from_seed(&[number; 32]);
            let board = Switchboard::new(&identity, [number; 32]);
            Self { board, id: identity.peer_id(), pipes: Vec::new(), failed: Vec::new() }
        }

        /// What is to be carried.
        fn carries(&mut self) -> Vec<(PeerId, PeerId, Bytes)> {
            let mut carries = Vec::new();
            while let Poll::Ready(step) = self.board.poll(&mut Context::from_waker(Waker::noop())) {
                match step {
                    Step::Carry { carrier, target, sealed } => carries.push((carrier, target, sealed)),
                    Step::Reached(peer, pipe) | Step::Called(peer, pipe) => self.pipes.push((peer, pipe)),
                    Step::Failed(peer) => self.failed.push(peer),
                }
            }
            carries
        }
    }

    /// Carries to and fro until nobody says anything, by a carrier that knows everybody.
    fn carry(a: &mut Node, b: &mut Node, carrier: PeerId) {
        loop {
            let (from_a, from_b) = (a.carries(), b.carries());
            if from_a.is_empty() && from_b.is_empty() {
                return;
            }
            from_a.iter().for_each(|(_, _, sealed)| b.board.on_carried(carrier, a.id, sealed));
            from_b.iter().for_each(|(_, _, sealed)| a.board.on_carried(carrier, b.id, sealed));
        }
    }

    fn send(node: &mut Node, text: &str) {
        let (_, pipe) = node.pipes.last_mut().expect("a pipe");
        futures::executor::block_on(pipe.send(Signal::Offer(text.into()))).expect("the node is there");
    }

    fn receive(node: &mut Node) -> Option<Signal> {
        let (_, pipe) = node.pipes.last_mut().expect("a pipe");
        futures::executor::block_on(pipe.receive()).expect("no error")
    }

    #[test]
    fn a_call_becomes_a_pipe_at_both_ends() {
        let [mut a, mut b] = [1, 2].map(Node::new);
        let carrier = PeerId([9; 32]);
        a.board.call(b.id, vec![carrier], NOW);
        carry(&mut a, &mut b, carrier);
        assert_eq!((a.pipes.len(), b.pipes.len()), (1, 0), "who is called waits for an offer");
        send(&mut a, "offer");
        carry(&mut a, &mut b, carrier);
        assert_eq!((b.pipes[0].0, receive(&mut b)), (a.id, Some(Signal::Offer("offer".into()))));
        send(&mut b, "answer");
        carry(&mut a, &mut b, carrier);
        assert_eq!(receive(&mut a), Some(Signal::Offer("answer".into())));
        a.pipes.clear();
        carry(&mut a, &mut b, carrier);
        assert_eq!(receive(&mut b), None);
        b.pipes.clear();
        carry(&mut a, &mut b, carrier);
        assert!(a.board.lines.is_empty() && b.board.lines.is_empty());
    }

    #[test]
    fn the_next_carrier_is_asked_when_one_does_not_reach_the_peer_or_says_nothing() {
        let [mut a, b] = [1, 2].map(Node::new);
        let carriers: Vec<_> = (1..=9).map(|number| PeerId([number; 32])).collect();
        a.board.call(b.id, carriers.clone(), NOW);
        let asked =
            |a: &mut Node, at: usize| assert_eq!(a.carries().last().expect("a knock").0, carriers[at]);
        asked(&mut a, 0);
        a.board.on_uncarried(carriers[0], b.id, NOW);
        asked(&mut a, 1);
        assert_eq!(a.board.deadline(), Some(NOW + ANSWER));
        a.board.on_time(NOW + ANSWER);
        asked(&mut a, 2);
        a.board.on_uncarried(carriers[2], b.id, NOW);
        asked(&mut a, 3);
        a.board.on_uncarried(carriers[3], b.id, NOW);
        assert_eq!(a.carries(), [], "four are enough");
        assert_eq!((a.failed, a.board.deadline()), (vec![b.id], None));
    }
}
