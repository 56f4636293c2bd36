//! The two halves of a stream, by the rules of <https://github.com/libp2p/specs/tree/master/webrtc#multiplexing> and
//! its section "Closing an RTCDataChannel".

use std::time::Duration;

use bytes::Bytes;

use super::frame::{Flag, Frame};

/// How long a sent FIN waits for its FIN_ACK before the channel is closed all the same; as js-libp2p. rust-libp2p
/// never acknowledges.
pub const FIN_ACK_TIMEOUT: Duration = Duration::from_secs(10);

/// What may still come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadHalf {
    /// Data.
    Open,
    /// Nothing: the peer finished.
    Ended,
    /// Data that we discard: we said that we read no more.
    Stopped,
    /// Nothing: the stream was given up, or its channel died before the peer finished.
    Broken,
}

/// What may still go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteHalf {
    /// Data.
    Open,
    /// Nothing; the FIN is not acknowledged yet.
    Finished,
    /// Nothing; the peer has everything.
    Acknowledged,
    /// Nothing: the peer reads no more.
    Stopped,
    /// Nothing: the stream was given up, or its channel died.
    Broken,
}

/// What a frame brought.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    /// For the reader; empty when there is none.
    pub data: Bytes,
    /// To be sent at once. Comes at most once in the life of a stream, so it needs no backpressure.
    pub reply: Option<Flag>,
}

/// The state of a stream. Methods that return a flag ask for it to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Halves {
    read: ReadHalf,
    write: WriteHalf,
    /// The FIN of the peer came, which it may while we are [`ReadHalf::Stopped`] too, or none will come.
    fin: bool,
}

impl Default for Halves {
    fn default() -> Self {
        Self { read: ReadHalf::Open, write: WriteHalf::Open, fin: false }
    }
}

impl Halves {
    /// What may still come in.
    pub fn read(&self) -> ReadHalf {
        self.read
    }

    /// What may still go out.
    pub fn write(&self) -> WriteHalf {
        self.write
    }

    /// Takes a frame of the peer.
    pub fn on_frame(&mut self, frame: Frame) -> Received {
        let flag = frame.known_flag();
        // Data stands before the flag of its frame; after a FIN there is none.
        let data = match self.read {
            ReadHalf::Open => frame.into_data(),
            ReadHalf::Ended | ReadHalf::Stopped | ReadHalf::Broken => Bytes::new(),
        };
        match flag {
            None => Received { data, reply: None },
            Some(Flag::Fin) => Received { data, reply: self.on_fin() },
            Some(Flag::FinAck) => {
                if self.write == WriteHalf::Finished {
                    self.write = WriteHalf::Acknowledged;
                }
                Received { data, reply: None }
            }
            Some(Flag::StopSending) => {
                // A FIN that is out still wants its acknowledgement: "it MUST continue to act on any flags".
                if self.write == WriteHalf::Open {
                    self.write = WriteHalf::Stopped;
                }
                Received { data, reply: None }
            }
            Some(Flag::ResetStream) => {
                self.on_closed();
                Received { data: Bytes::new(), reply: None }
            }
        }
    }

    fn on_fin(&mut self) -> Option<Flag> {
        if self.read == ReadHalf::Open {
            self.read = ReadHalf::Ended;
        }
        // Channels are reliable: one answer is enough, however often a peer asks.
        (!std::mem::replace(&mut self.fin, true)).then_some(Flag::FinAck)
    }

    /// The channel is gone, or nobody wants it any more. What was ended in order stays so.
    pub fn on_closed(&mut self) {
        if self.read == ReadHalf::Open {
            self.read = ReadHalf::Broken;
        }
        if !matches!(self.write, WriteHalf::Acknowledged | WriteHalf::Stopped) {
            self.write = WriteHalf::Broken;
        }
        self.fin = true;
    }

    /// Ends the write half.
    pub fn finish(&mut self) -> Option<Flag> {
        (self.write == WriteHalf::Open).then(|| {
            self.write = WriteHalf::Finished;
            Flag::Fin
        })
    }

    /// The application has let go of the stream: a writer that did not finish gives it up, a reader that has not seen
    /// the end wants no more. Where the peer has finished, letting go is finishing, as with yamux: libp2p's ping does no
    /// more, and js-libp2p would take a reset for an error.
    pub fn abandon(&mut self) -> Option<Flag> {
        if self.read == ReadHalf::Ended {
            return self.finish();
        }
        if self.write == WriteHalf::Open {
            self.on_closed();
            return Some(Flag::ResetStream);
        }
        (self.read == ReadHalf::Open).then(|| {
            self.read = ReadHalf::Stopped;
            Flag::StopSending
        })
    }

    /// Whether the peer still owes the FIN_ACK; not longer than [`FIN_ACK_TIMEOUT`].
    pub fn awaits_ack(&self) -> bool {
        self.write == WriteHalf::Finished
    }

    /// Whether the channel can be closed without loss.
    pub fn is_done(&self) -> bool {
        self.read != ReadHalf::Open && !matches!(self.write, WriteHalf::Open | WriteHalf::Finished)
    }

    /// Whether a FIN may still come: who was told to stop may finish all the same, and wait for its acknowledgement.
    pub fn owes_ack(&self) -> bool {
        self.read == ReadHalf::Stopped && !self.fin
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    fn flag(halves: &mut Halves, flag: Flag) -> Option<Flag> {
        halves.on_frame(Frame::of_flag(flag)).reply
    }

    #[test]
    fn who_lets_go_after_the_peer_finished_has_finished() {
        let mut halves = Halves::default();
        assert_eq!(flag(&mut halves, Flag::Fin), Some(Flag::FinAck));
        assert_eq!(halves.abandon(), Some(Flag::Fin));
        assert!(halves.awaits_ack() && !halves.is_done());
        assert_eq!(flag(&mut halves, Flag::FinAck), None);
        assert!(halves.is_done());
    }

    #[test]
    fn the_specifications_example_ends_both_sides() {
        let (mut a, mut b) = (Halves::default(), Halves::default());
        assert_eq!(a.finish(), Some(Flag::Fin));
        assert_eq!(flag(&mut b, Flag::Fin), Some(Flag::FinAck));
        assert_eq!((b.read(), b.write()), (ReadHalf::Ended, WriteHalf::Open));
        assert_eq!(flag(&mut a, Flag::FinAck), None);
        // B goes on writing.
        let data = a.on_frame(Frame::of_data(Bytes::from_static(b"data")));
        assert_eq!(data, Received { data: Bytes::from_static(b"data"), reply: None });
        assert!(!a.is_done());
        assert_eq!(b.finish(), Some(Flag::Fin));
        assert!(b.awaits_ack() && !b.is_done());
        assert_eq!(flag(&mut a, Flag::Fin), Some(Flag::FinAck));
        assert_eq!(flag(&mut b, Flag::FinAck), None);
        assert!(a.is_done() && b.is_done());
    }

    #[test]
    fn data_beside_a_fin_arrives_and_data_after_it_does_not() {
        let mut halves = Halves::default();
        let mut decoder = crate::protocol::FrameDecoder::default();
        decoder.push(Bytes::from_static(b"\x06\x08\x00\x12\x02hi"));
        let last = decoder.next().expect("is a frame").expect("is whole");
        assert_eq!(
            halves.on_frame(last),
            Received { data: Bytes::from_static(b"hi"), reply: Some(Flag::FinAck) }
        );
        assert!(halves.on_frame(Frame::of_data(Bytes::from_static(b"late"))).data.is_empty());
    }

    #[test]
    fn a_fin_that_comes_late_is_acknowledged() {
        let mut halves = Halves::default();
        assert_eq!(halves.finish(), Some(Flag::Fin));
        assert_eq!(flag(&mut halves, Flag::FinAck), None);
        assert_eq!(halves.abandon(), Some(Flag::StopSending));
        assert!(halves.is_done() && halves.owes_ack());
        let mut closed = halves.clone();
        closed.on_closed();
        assert!(!closed.owes_ack());
        assert_eq!(flag(&mut halves, Flag::Fin), Some(Flag::FinAck));
        assert!(halves.is_done() && !halves.owes_ack());
    }

    #[test]
    fn only_the_first_fin_is_answered() {
        let mut halves = Halves::default();
        assert_eq!(flag(&mut halves, Flag::Fin), Some(Flag::FinAck));
        assert_eq!(flag(&mut halves, Flag::Fin), None);
    }

    #[test]
    fn a_fin_is_acknowledged_to_who_reads_no_more() {
        let mut halves = Halves::default();
        assert_eq!(halves.finish(), Some(Flag::Fin));
        assert_eq!(halves.abandon(), Some(Flag::StopSending));
        assert_eq!(flag(&mut halves, Flag::StopSending), None);
        assert!(halves.awaits_ack(), "the peer stopped reading, and may have read all the same");
        assert_eq!(flag(&mut halves, Flag::Fin), Some(Flag::FinAck));
        assert_eq!(flag(&mut halves, Flag::FinAck), None);
        assert!(halves.is_done());
    }

    #[test]
    fn stop_sending_ends_the_write_half_alone() {
        let mut halves = Halves::default();
        flag(&mut halves, Flag::StopSending);
        assert_eq!((halves.read(), halves.write()), (ReadHalf::Open, WriteHalf::Stopped));
        assert_eq!(halves.finish(), None);
    }

    #[test]
    fn a_reset_ends_both_halves() {
        let mut halves = Halves::default();
        flag(&mut halves, Flag::ResetStream);
        assert_eq!((halves.read(), halves.write()), (ReadHalf::Broken, WriteHalf::Broken));
        assert!(halves.is_done());
        assert_eq!(halves.abandon(), None);
    }

    #[test]
    fn a_channel_that_dies_breaks_only_what_was_open() {
        let mut halves = Halves::default();
        flag(&mut halves, Flag::Fin);
        halves.on_closed();
        assert_eq!((halves.read(), halves.write()), (ReadHalf::Ended, WriteHalf::Broken));
    }

    #[test]
    fn an_acknowledgement_without_a_fin_means_nothing() {
        let mut halves = Halves::default();
        flag(&mut halves, Flag::FinAck);
        assert_eq!(halves, Halves::default());
    }

    #[test]
    fn who_lets_go_while_writing_resets() {
        let mut halves = Halves::default();
        assert_eq!(halves.abandon(), Some(Flag::ResetStream));
        assert!(halves.is_done());
    }
}
