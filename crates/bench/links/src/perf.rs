//! What is measured over a stream. js-libp2p does the same in `tests/lib/js-links.mjs`.

use std::io;

use futures::{
    AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, FutureExt, StreamExt,
    future::{LocalBoxFuture, ready},
    stream::select,
};
use libp2p::StreamProtocol;
use libp2p_stream::Control;

/// <https://github.com/libp2p/specs/blob/master/perf/perf.md>: the asker sends how many bytes it wants, as 8 bytes, then
/// bytes as it likes, and closes; then come those it wants.
pub(crate) const PERF: StreamProtocol = StreamProtocol::new("/perf/1.0.0");

/// What comes goes back.
pub(crate) const ECHO: StreamProtocol = StreamProtocol::new("/echo/1.0.0");

/// Bytes given to the stream at once.
const CHUNK: usize = 64 * 1024;

/// Bytes of a round trip, as of a ping.
const PING: usize = 32;

/// Answers everybody.
pub(crate) async fn serve(mut control: Control, spawn: impl Fn(LocalBoxFuture<'static, ()>)) {
    let perf = control.accept(PERF).expect("is accepted once");
    let echo = control.accept(ECHO).expect("is accepted once");
    // Who asks finds out what went wrong.
    let perf = perf.map(|(_, stream)| answer(stream).map(drop).boxed_local());
    let echo = echo.map(|(_, stream)| repeat(stream).map(drop).boxed_local());
    select(perf, echo).map(spawn).for_each(ready).await;
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut wanted = [0; 8];
    stream.read_exact(&mut wanted).await?;
    drain(&mut stream).await?;
    fill(&mut stream, u64::from_be_bytes(wanted)).await?;
    stream.close().await
}

async fn repeat(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut chunk = [0; PING];
    loop {
        stream.read_exact(&mut chunk).await?;
        stream.write_all(&chunk).await?;
        stream.flush().await?;
    }
}

/// Sends so many bytes, and gets so many; the last of them says that all were received.
#[cfg(target_arch = "wasm32")]
pub(crate) async fn transfer(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    send: u64,
    get: u64,
) -> io::Result<()> {
    stream.write_all(&get.to_be_bytes()).await?;
    fill(&mut stream, send).await?;
    stream.close().await?;
    let got = drain(&mut stream).await?;
    if got == get { Ok(()) } else { Err(io::Error::other(format!("{got} bytes came instead of {get}"))) }
}

/// So many, one after the other.
#[cfg(target_arch = "wasm32")]
pub(crate) async fn round_trips(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    count: u32,
) -> io::Result<()> {
    let mut chunk = [7; PING];
    for _ in 0..count {
        stream.write_all(&chunk).await?;
        stream.flush().await?;
        stream.read_exact(&mut chunk).await?;
    }
    Ok(())
}

async fn fill(stream: &mut (impl AsyncWrite + Unpin), bytes: u64) -> io::Result<()> {
    let chunk = vec![0; CHUNK];
    let mut left = bytes;
    while left > 0 {
        let len = left.min(CHUNK as u64);
        stream.write_all(&chunk[..len as usize]).await?;
        left -= len;
    }
    stream.flush().await
}

/// How many bytes came until the end.
async fn drain(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<u64> {
    let mut chunk = vec![0; CHUNK];
    let mut bytes = 0;
    loop {
        match stream.read(&mut chunk).await? {
            0 => return Ok(bytes),
            len => bytes += len as u64,
        }
    }
}
