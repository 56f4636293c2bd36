//! Yamux that takes long frames.
//!
//! js-libp2p sends all that the window has room for as one frame (`@libp2p/yamux` 8.0). rust-yamux opens its window up to the
//! bandwidth-delay product, and then closes the connection for a frame beyond 1 MiB, which the specification allows. So a
//! frame that comes is cut into short ones before rust-yamux sees it.
//! <https://github.com/hashicorp/yamux/blob/master/spec.md>

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures::{AsyncRead, AsyncWrite};
use libp2p::{
    core::{
        UpgradeInfo,
        upgrade::{InboundConnectionUpgrade, OutboundConnectionUpgrade},
    },
    yamux,
};

/// Longest body that reaches rust-yamux, in bytes. It hands a body on when all of it is there, so shorter is sooner.
const BODY: u32 = 64 * 1024;

/// The settings, and the upgrade.
#[derive(Clone, Debug, Default)]
pub struct Yamux(yamux::Config);

impl Yamux {
    /// At most so many streams at once.
    pub fn with_streams(limit: usize) -> Self {
        let mut config = yamux::Config::default();
        config.set_max_num_streams(limit);
        Self(config)
    }
}

impl UpgradeInfo for Yamux {
    type Info = <yamux::Config as UpgradeInfo>::Info;
    type InfoIter = <yamux::Config as UpgradeInfo>::InfoIter;

    fn protocol_info(&self) -> Self::InfoIter {
        self.0.protocol_info()
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> InboundConnectionUpgrade<S> for Yamux {
    type Output = <yamux::Config as InboundConnectionUpgrade<Cut<S>>>::Output;
    type Error = io::Error;
    type Future = <yamux::Config as InboundConnectionUpgrade<Cut<S>>>::Future;

    fn upgrade_inbound(self, socket: S, info: Self::Info) -> Self::Future {
        self.0.upgrade_inbound(Cut::new(socket), info)
    }
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> OutboundConnectionUpgrade<S> for Yamux {
    type Output = <yamux::Config as OutboundConnectionUpgrade<Cut<S>>>::Output;
    type Error = io::Error;
    type Future = <yamux::Config as OutboundConnectionUpgrade<Cut<S>>>::Future;

    fn upgrade_outbound(self, socket: S, info: Self::Info) -> Self::Future {
        self.0.upgrade_outbound(Cut::new(socket), info)
    }
}

/// A socket out of which long data frames come as several.
pub struct Cut<S> {
    socket: S,
    header: Header,
    state: State,
    /// What of the frame is to come after the piece whose header this is: bytes, and flags.
    rest: u32,
    last_flags: u16,
}

enum State {
    /// So many bytes of the header have come.
    Take(usize),
    /// So many bytes of the header have been given.
    Give(usize),
    /// So many bytes of the body are to be passed on.
    Pass(u32),
}

impl<S> Cut<S> {
    fn new(socket: S) -> Self {
        Self { socket, header: Header::default(), state: State::Take(0), rest: 0, last_flags: 0 }
    }

    /// The header has come.
    fn on_header(&mut self) {
        self.rest = self.header.body().saturating_sub(BODY);
        self.last_flags = 0;
        if self.rest > 0 {
            let flags = self.header.flags();
            self.last_flags = flags & (FIN | RST);
            self.header.set(flags & !self.last_flags, BODY);
        }
        self.state = State::Give(0);
    }

    /// A piece was passed on.
    fn on_piece(&mut self) {
        if self.rest == 0 {
            self.state = State::Take(0);
            return;
        }
        let piece = self.rest.min(BODY);
        self.rest -= piece;
        self.header.set(if self.rest == 0 { self.last_flags } else { 0 }, piece);
        self.state = State::Give(0);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cut<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match this.state {
                State::Take(had) => {
                    let part = &mut this.header.0[had..];
                    match (ready!(Pin::new(&mut this.socket).poll_read(context, part))?, had) {
                        (0, 0) => return Poll::Ready(Ok(0)),
                        (0, _) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                        (len, _) if had + len < HEADER => this.state = State::Take(had + len),
                        _ => this.on_header(),
                    }
                }
                State::Give(HEADER) => this.state = State::Pass(this.header.body()),
                State::Give(given) => {
                    let len = buffer.len().min(HEADER - given);
                    buffer[..len].copy_from_slice(&this.header.0[given..given + len]);
                    this.state = State::Give(given + len);
                    return Poll::Ready(Ok(len));
                }
                State::Pass(0) => this.on_piece(),
                State::Pass(left) => {
                    let len = buffer.len().min(left as usize);
                    let len = ready!(Pin::new(&mut this.socket).poll_read(context, &mut buffer[..len]))?;
                    this.state = State::Pass(left - len as u32);
                    return Poll::Ready(Ok(len));
                }
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cut<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_close(context)
    }
}

/// Of a frame: version, type, flags (2 bytes), stream (4), length (4), big-endian.
#[derive(Default)]
struct Header([u8; HEADER]);

const HEADER: usize = 12;
const DATA: u8 = 0;
const FIN: u16 = 4;
const RST: u16 = 8;

impl Header {
    fn flags(&self) -> u16 {
        u16::from_be_bytes([self.0[2], self.0[3]])
    }

    /// Bytes of the body that follows. Only data has one.
    fn body(&self) -> u32 {
        let [.., a, b, c, d] = self.0;
        if self.0[1] == DATA { u32::from_be_bytes([a, b, c, d]) } else { 0 }
    }

    fn set(&mut self, flags: u16, body: u32) {
        self.0[2..4].copy_from_slice(&flags.to_be_bytes());
        self.0[8..].copy_from_slice(&body.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use futures::{AsyncReadExt, executor::block_on, io::Cursor};
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    const SYN: u16 = 1;

    fn frame(kind: u8, flags: u16, length: u32, body: &[u8]) -> Vec<u8> {
        let mut header = Header([0, kind, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0]);
        header.set(flags, length);
        [&header.0[..], body].concat()
    }

    fn data(flags: u16, body: &[u8]) -> Vec<u8> {
        frame(DATA, flags, body.len() as u32, body)
    }

    /// What comes out, read so many bytes at a time.
    fn cut(source: impl AsyncRead + Unpin, step: usize) -> io::Result<Vec<u8>> {
        let mut cut = Cut::new(source);
        let (mut all, mut buffer) = (Vec::new(), vec![0; step]);
        loop {
            match block_on(cut.read(&mut buffer))? {
                0 => return Ok(all),
                len => all.extend_from_slice(&buffer[..len]),
            }
        }
    }

    #[test]
    fn a_long_frame_is_cut_and_the_last_piece_ends_the_stream() {
        let body: Vec<u8> = (0..2 * BODY + 5).map(|at| at as u8).collect();
        let (first, rest) = body.split_at(BODY as usize);
        let (second, third) = rest.split_at(BODY as usize);
        let sent = [data(SYN | FIN, &body), frame(2, SYN, u32::MAX, &[])].concat();
        let pieces =
            [data(SYN, first), data(0, second), data(FIN, third), frame(2, SYN, u32::MAX, &[])].concat();
        for step in [5, 4096] {
            assert_eq!(cut(Cursor::new(&sent), step).expect("it is whole"), pieces);
        }
        assert_eq!(cut(Trickle(Cursor::new(&sent), false), 4096).expect("it is whole"), pieces);
    }

    /// A byte, and then none yet, in turn.
    struct Trickle<S>(S, bool);

    impl<S: AsyncRead + Unpin> AsyncRead for Trickle<S> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            context: &mut Context<'_>,
            buffer: &mut [u8],
        ) -> Poll<io::Result<usize>> {
            self.1 = !self.1;
            if self.1 {
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let len = buffer.len().min(1);
            Pin::new(&mut self.0).poll_read(context, &mut buffer[..len])
        }
    }

    #[test]
    fn other_frames_stay_as_they_are() {
        let longest = vec![3; BODY as usize];
        let sent =
            [data(SYN, b""), frame(1, 0, BODY + 1, &[]), data(FIN, &longest), data(RST, b"x")].concat();
        assert_eq!(cut(Cursor::new(&sent), 100).expect("it is whole"), sent);
    }

    #[test]
    fn an_end_within_a_header_is_an_error() {
        let error = cut(Cursor::new(&data(0, b"")[..5]), 100).expect_err("it is cut off");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn an_end_within_a_body_is_left_to_the_muxer() {
        let sent = data(FIN, &vec![3; BODY as usize + 9]);
        let held = sent.len() - 1;
        let pieces = [data(0, &sent[HEADER..HEADER + BODY as usize]), data(FIN, &[3; 9])].concat();
        let last = pieces.len() - 1;
        assert_eq!(cut(Cursor::new(&sent[..held]), 100).expect("an end is no error here"), pieces[..last]);
    }
}
