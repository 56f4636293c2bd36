//! Offer and answer for `/webrtc`, both roles, as js-libp2p does it.
//!
//! Something happens, the session is told, [`Session::poll`] is drained, and each [`Command`] is carried out before the
//! next one is taken. Nothing here waits; who drives it gives up after [`SESSION_TIMEOUT`].

use std::{collections::VecDeque, time::Duration};

use super::signal::Signal;

/// How long a session may take until it is connected. Chromium gives ICE 15 s, and a candidate may come late. Guess.
pub const SESSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Most candidates taken from a peer; the rest is ignored. A machine with many interfaces has about 20. Guess.
pub const CANDIDATES: usize = 64;

/// Label of the channel that the dialler opens, so that there is something to connect, and closes again. Who is
/// dialled takes it for no stream.
pub const INIT_LABEL: &str = "init";

/// Who begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Offers.
    Dialer,
    /// Answers.
    Listener,
}

impl Role {
    /// The peer's.
    pub fn other(self) -> Self {
        match self {
            Self::Dialer => Self::Listener,
            Self::Listener => Self::Dialer,
        }
    }
}

/// What the driver is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Open the channel [`INIT_LABEL`], create an offer and hand it in.
    CreateOffer,
    /// Create an answer and hand it in.
    CreateAnswer,
    /// Set our own offer or answer; candidates may come from now on.
    SetLocal(String),
    /// Set the peer's offer or answer.
    SetRemote(String),
    /// Add a candidate of the peer, JSON as in [`Signal::Candidate`]. One that makes no sense is no error.
    AddCandidate(String),
    /// Send to the peer.
    Send(Signal),
    /// Close the channel [`INIT_LABEL`].
    CloseInit,
    /// The connection is up: end the signalling, let streams begin. Last command.
    Finish,
    /// Close everything. Last command.
    Fail(SessionError),
}

/// What is known of the peer connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// ICE and DTLS are through.
    Connected,
    /// It will not work. `disconnected` is not that: it may come back.
    Failed,
    /// The channel [`INIT_LABEL`] is open.
    InitOpen,
    /// It is closed on both sides.
    InitClosed,
}

/// Why a session fails.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The peer's message comes out of turn.
    #[error("the peer sent {got} where {expected} was due")]
    OutOfTurn {
        /// What came.
        got: &'static str,
        /// What the protocol has there.
        expected: &'static str,
    },
    /// The peer ended the signalling before it was through.
    #[error("the peer ended the signalling")]
    Ended,
    /// No pair of candidates works, or the peer's certificate is not that of its description.
    #[error("no way to the peer was found")]
    NoWay,
}

/// One attempt.
#[derive(Debug)]
pub struct Session {
    state: State,
    commands: VecDeque<Command>,
    /// Of the peer, so far.
    candidates: usize,
    connected: bool,
    init: Init,
}

/// What is known of the dialler's first channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Init {
    Opening,
    Open,
    /// Who is dialled may close it before we know that we are connected.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Our offer is being made.
    Offering,
    /// The peer's answer is due.
    Offered,
    /// The peer's offer is due.
    Waiting,
    /// Our answer is being made.
    Answering,
    /// Candidates go to and fro.
    Connecting(Role),
    /// Connected; the dialler's first channel is being closed.
    Closing,
    Over,
}

impl Session {
    /// Begins, or waits for the other side to begin.
    pub fn new(role: Role) -> Self {
        let (state, first) = match role {
            Role::Dialer => (State::Offering, Some(Command::CreateOffer)),
            Role::Listener => (State::Waiting, None),
        };
        Self {
            state,
            commands: first.into_iter().collect(),
            candidates: 0,
            connected: false,
            init: Init::Opening,
        }
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// The offer or answer that was asked for.
    pub fn on_local_description(&mut self, sdp: String) {
        let signal = match self.state {
            State::Offering => {
                self.state = State::Offered;
                Signal::Offer(sdp.clone())
            }
            State::Answering => {
                self.state = State::Connecting(Role::Listener);
                Signal::Answer(sdp.clone())
            }
            _ => return,
        };
        // Candidates come only once the description is set, so none can overtake it.
        self.commands.extend([Command::Send(signal), Command::SetLocal(sdp)]);
        self.settle();
    }

    /// A candidate of ours, as JSON.
    pub fn on_local_candidate(&mut self, candidate: String) {
        if matches!(self.state, State::Offered | State::Connecting(_)) && !self.connected {
            self.commands.push_back(Command::Send(Signal::Candidate(candidate)));
        }
    }

    /// A message of the peer.
    pub fn on_signal(&mut self, signal: Signal) {
        match (self.state, signal) {
            (State::Over, _) => {}
            (State::Waiting, Signal::Offer(sdp)) => {
                self.state = State::Answering;
                self.commands.extend([Command::SetRemote(sdp), Command::CreateAnswer]);
            }
            (State::Offered, Signal::Answer(sdp)) => {
                self.state = State::Connecting(Role::Dialer);
                self.commands.push_back(Command::SetRemote(sdp));
                self.settle();
            }
            (State::Answering | State::Connecting(_) | State::Closing, Signal::Candidate(candidate)) => {
                self.candidates += 1;
                if self.candidates <= CANDIDATES {
                    self.commands.push_back(Command::AddCandidate(candidate));
                }
            }
            (state, signal) => {
                self.fail(SessionError::OutOfTurn { got: name(&signal), expected: expected(state) });
            }
        }
    }

    /// The peer will send no more. Once both descriptions are there, the connection may still come up.
    pub fn on_ended(&mut self) {
        if !matches!(self.state, State::Connecting(_) | State::Closing | State::Over) {
            self.fail(SessionError::Ended);
        }
    }

    /// What became of the peer connection.
    pub fn on_link(&mut self, link: Link) {
        match link {
            Link::Connected => self.connected = true,
            Link::InitOpen => self.init = Init::Open,
            Link::InitClosed => self.init = Init::Closed,
            Link::Failed => return self.fail(SessionError::NoWay),
        }
        self.settle();
    }

    fn settle(&mut self) {
        if !self.connected {
            return;
        }
        match (self.state, self.init) {
            (State::Connecting(Role::Listener), _) => self.finish(),
            // Its number must not be used again before both sides have seen it closed.
            (State::Connecting(Role::Dialer) | State::Closing, Init::Closed) => self.finish(),
            (State::Connecting(Role::Dialer), Init::Open) => {
                self.state = State::Closing;
                self.commands.push_back(Command::CloseInit);
            }
            _ => {}
        }
    }

    fn finish(&mut self) {
        self.state = State::Over;
        self.commands.push_back(Command::Finish);
    }

    fn fail(&mut self, error: SessionError) {
        if self.state != State::Over {
            self.state = State::Over;
            self.commands.clear();
            self.commands.push_back(Command::Fail(error));
        }
    }
}

fn name(signal: &Signal) -> &'static str {
    match signal {
        Signal::Offer(_) => "an offer",
        Signal::Answer(_) => "an answer",
        Signal::Candidate(_) => "a candidate",
    }
}

fn expected(state: State) -> &'static str {
    match state {
        State::Waiting => "an offer",
        State::Offered => "an answer",
        State::Answering | State::Connecting(_) | State::Closing => "a candidate",
        State::Offering | State::Over => "nothing",
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn commands(session: &mut Session) -> Vec<Command> {
        std::iter::from_fn(|| session.poll()).collect()
    }

    fn text(text: &str) -> String {
        text.into()
    }

    /// A dialler whose offer is out.
    fn offered() -> Session {
        let mut session = Session::new(Role::Dialer);
        session.on_local_description(text("offer"));
        commands(&mut session);
        session
    }

    #[test]
    fn a_dialler_offers_connects_and_closes_its_first_channel() {
        let mut session = Session::new(Role::Dialer);
        assert_eq!(commands(&mut session), [Command::CreateOffer]);
        session.on_local_description(text("offer"));
        assert_eq!(
            commands(&mut session),
            [Command::Send(Signal::Offer(text("offer"))), Command::SetLocal(text("offer"))]
        );
        session.on_local_candidate(text("{1}"));
        session.on_signal(Signal::Answer(text("answer")));
        session.on_signal(Signal::Candidate(text("{2}")));
        assert_eq!(
            commands(&mut session),
            [
                Command::Send(Signal::Candidate(text("{1}"))),
                Command::SetRemote(text("answer")),
                Command::AddCandidate(text("{2}")),
            ]
        );
        session.on_link(Link::Connected);
        session.on_local_candidate(text("{late}"));
        assert_eq!(commands(&mut session), []);
        session.on_link(Link::InitOpen);
        assert_eq!(commands(&mut session), [Command::CloseInit]);
        session.on_ended();
        session.on_link(Link::InitClosed);
        assert_eq!(commands(&mut session), [Command::Finish]);
    }

    #[test]
    fn the_first_channel_may_be_closed_before_we_know_that_we_are_connected() {
        for opens in [true, false] {
            let mut session = offered();
            session.on_signal(Signal::Answer(text("answer")));
            commands(&mut session);
            if opens {
                session.on_link(Link::InitOpen);
            }
            session.on_link(Link::InitClosed);
            assert_eq!(commands(&mut session), []);
            session.on_link(Link::Connected);
            assert_eq!(commands(&mut session), [Command::Finish]);
        }
    }

    #[test]
    fn a_listener_answers_and_is_through_when_connected() {
        let mut session = Session::new(Role::Listener);
        assert_eq!(commands(&mut session), []);
        session.on_signal(Signal::Offer(text("offer")));
        // Before our answer is made, the first candidates are here.
        session.on_signal(Signal::Candidate(text("{1}")));
        assert_eq!(
            commands(&mut session),
            [Command::SetRemote(text("offer")), Command::CreateAnswer, Command::AddCandidate(text("{1}"))]
        );
        session.on_local_description(text("answer"));
        session.on_link(Link::Connected);
        assert_eq!(
            commands(&mut session),
            [
                Command::Send(Signal::Answer(text("answer"))),
                Command::SetLocal(text("answer")),
                Command::Finish,
            ]
        );
    }

    #[test]
    fn messages_out_of_turn_fail_the_session() {
        let second_offer = |mut session: Session| {
            session.on_signal(Signal::Offer(text("offer")));
            commands(&mut session)
        };
        let out_of_turn = |expected| [Command::Fail(SessionError::OutOfTurn { got: "an offer", expected })];
        assert_eq!(second_offer(offered()), out_of_turn("an answer"));
        let mut connecting = offered();
        connecting.on_signal(Signal::Answer(text("answer")));
        assert_eq!(second_offer(connecting), out_of_turn("a candidate"));
        let mut early = Session::new(Role::Listener);
        early.on_signal(Signal::Candidate(text("{}")));
        assert_eq!(
            commands(&mut early),
            [Command::Fail(SessionError::OutOfTurn { got: "a candidate", expected: "an offer" })]
        );
        // After the end nothing counts.
        early.on_signal(Signal::Offer(text("offer")));
        early.on_link(Link::Failed);
        assert_eq!(commands(&mut early), []);
    }

    #[test]
    fn candidates_beyond_the_limit_are_ignored() {
        let mut session = offered();
        session.on_signal(Signal::Answer(text("answer")));
        commands(&mut session);
        for _ in 0..CANDIDATES + 10 {
            session.on_signal(Signal::Candidate(text("{}")));
        }
        assert_eq!(commands(&mut session).len(), CANDIDATES);
    }

    #[test]
    fn signalling_may_end_only_when_both_descriptions_are_there() {
        let mut session = offered();
        session.on_ended();
        assert_eq!(commands(&mut session), [Command::Fail(SessionError::Ended)]);
        let mut session = offered();
        session.on_signal(Signal::Answer(text("answer")));
        session.on_ended();
        assert_eq!(commands(&mut session), [Command::SetRemote(text("answer"))]);
        session.on_link(Link::Failed);
        assert_eq!(commands(&mut session), [Command::Fail(SessionError::NoWay)]);
    }
}
