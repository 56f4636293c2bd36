//! Streams and muxer over channels in memory.

use std::{
    future::poll_fn,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll, Wake, Waker},
};

use futures::{
    AsyncReadExt, AsyncWriteExt, FutureExt,
    executor::block_on,
    future::{join, select},
};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerExt};

use crate::{
    Muxer,
    memory::{MARK, MemoryChannel, MemoryChannels},
    protocol::PAYLOAD_BYTES,
};

type Stream = crate::Stream<MemoryChannel>;

fn muxers() -> (Muxer<MemoryChannels>, Muxer<MemoryChannels>) {
    let (a, b) = MemoryChannels::pair();
    (Muxer::new(a, 4), Muxer::new(b, 4))
}

/// Both ends of a stream that `a` opens.
fn stream(a: &mut Muxer<MemoryChannels>, b: &mut Muxer<MemoryChannels>) -> (Stream, Stream) {
    let ours = block_on(poll_fn(|context| a.poll_outbound_unpin(context))).expect("is up");
    let theirs = block_on(poll_fn(|context| b.poll_inbound_unpin(context))).expect("is up");
    (ours, theirs)
}

/// How many channels of dropped streams are kept.
fn lingering(muxer: &mut Muxer<MemoryChannels>) -> usize {
    let mut context = Context::from_waker(Waker::noop());
    let _ = Pin::new(&mut *muxer).poll(&mut context);
    muxer.streams()
}

#[test]
fn a_megabyte_comes_back_when_each_side_closes_its_half() {
    let (mut a, mut b) = muxers();
    let (mut ours, mut theirs) = stream(&mut a, &mut b);
    let sent: Vec<u8> = (0..1 << 20).map(|i: u32| ((i * 31) >> 8) as u8).collect();
    let echo = async {
        let mut request = Vec::new();
        theirs.read_to_end(&mut request).await.expect("ends");
        theirs.write_all(&request).await.expect("is read");
        theirs.close().await.expect("is open");
    };
    let ask = async {
        ours.write_all(&sent).await.expect("is read");
        ours.close().await.expect("is open");
        let mut answer = Vec::new();
        ours.read_to_end(&mut answer).await.expect("ends");
        assert_eq!(answer, sent);
    };
    block_on(join(echo, ask));
    drop(ours);
    // The last FIN is acknowledged by who reads the end of it: nothing is left.
    assert_eq!(lingering(&mut a), 0);
    drop(theirs);
    assert_eq!(lingering(&mut b), 0);
}

#[test]
fn a_writer_waits_for_a_slow_reader() {
    let (mut a, mut b) = muxers();
    let (mut ours, mut theirs) = stream(&mut a, &mut b);
    let block = vec![1; PAYLOAD_BYTES];
    for _ in 0..MARK {
        assert_eq!(ours.write(&block).now_or_never().expect("has room").expect("is open"), PAYLOAD_BYTES);
    }
    assert!(ours.write(&block).now_or_never().is_none());
    let mut read = vec![0; PAYLOAD_BYTES];
    block_on(theirs.read_exact(&mut read)).expect("has come");
    assert!(ours.write(&block).now_or_never().is_some());
}

#[test]
fn what_was_sent_before_the_stream_was_dropped_arrives() {
    let (mut a, mut b) = muxers();
    let (mut ours, mut theirs) = stream(&mut a, &mut b);
    block_on(ours.write_all(b"last words")).expect("has room");
    block_on(ours.close()).expect("is open");
    drop(ours);
    assert_eq!(lingering(&mut a), 1, "nobody has acknowledged the FIN");
    let mut read = Vec::new();
    block_on(theirs.read_to_end(&mut read)).expect("ends");
    assert_eq!(read, b"last words");
    assert_eq!(lingering(&mut a), 0);
}

#[test]
fn a_dropped_stream_is_reset() {
    let (mut a, mut b) = muxers();
    let (ours, mut theirs) = stream(&mut a, &mut b);
    drop(ours);
    let error = block_on(theirs.read(&mut [0; 8])).expect_err("is no end");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(block_on(theirs.write(b"x")).is_err());
    assert_eq!(lingering(&mut a), 0);
}

#[test]
fn a_reader_who_is_gone_stops_the_writer() {
    let (mut a, mut b) = muxers();
    let (mut ours, mut theirs) = stream(&mut a, &mut b);
    block_on(theirs.close()).expect("is open");
    drop(theirs);
    // The writer never reads, and learns it all the same.
    let error = block_on(async {
        loop {
            if let Err(error) = ours.write(&[0; 100]).await {
                return error;
            }
        }
    });
    assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
}

#[test]
fn reader_and_writer_may_be_two_tasks() {
    let (mut a, mut b) = muxers();
    let (ours, mut theirs) = stream(&mut a, &mut b);
    let (mut reader, mut writer) = ours.split();
    let mut buffer = [0; 4];
    let mut read = reader.read_exact(&mut buffer);
    let waker = flag_waker();
    // The reader waits; then the writer looks at the channel and is done with it for good.
    assert!(read.poll_unpin(&mut Context::from_waker(&waker.0)).is_pending());
    block_on(writer.write_all(b"ping")).expect("has room");
    block_on(theirs.write_all(b"pong")).expect("has room");
    assert!(waker.1.load(SeqCst), "the reader is woken");
    block_on(read).expect("has come");
}

/// A waker that says whether it was woken.
fn flag_waker() -> (Waker, Arc<AtomicBool>) {
    struct Flag(Arc<AtomicBool>);
    impl Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, SeqCst);
        }
    }
    let woken = Arc::default();
    (Arc::new(Flag(Arc::clone(&woken))).into(), woken)
}

#[test]
fn more_streams_than_the_limit_are_closed() {
    let (mut a, mut b) = muxers();
    let kept: Vec<_> = (0..4).map(|_| stream(&mut a, &mut b)).collect();
    let mut fifth = block_on(poll_fn(|context| a.poll_outbound_unpin(context))).expect("is up");
    assert!(poll_fn(|context| b.poll_inbound_unpin(context)).now_or_never().is_none());
    assert!(block_on(fifth.read(&mut [0; 1])).is_err());
    drop(kept);
    let (_ours, _theirs) = stream(&mut a, &mut b);
}

#[test]
fn the_death_of_the_peer_is_told_at_once() {
    let (mut a, b) = muxers();
    let dead = poll_fn(|context| Pin::new(&mut a).poll(context).map(|event| event.is_err()));
    let death = async {
        drop(b);
        std::future::pending::<()>().await;
    };
    let outcome = block_on(select(Box::pin(dead), Box::pin(death)));
    assert!(matches!(outcome, futures::future::Either::Left((true, _))));
}

#[test]
fn who_finishes_a_stream_that_nobody_reads_is_answered() {
    let (mut a, mut b) = muxers();
    let (mut ours, mut theirs) = stream(&mut a, &mut b);
    block_on(ours.close()).expect("is open");
    drop(ours);
    assert_eq!(block_on(theirs.read(&mut [0; 1])).expect("ends"), 0);
    assert_eq!(lingering(&mut a), 0);
    block_on(theirs.close()).expect("is open");
    drop(theirs);
    assert_eq!(lingering(&mut a), 0);
    assert_eq!(lingering(&mut b), 0, "its FIN was acknowledged");
}

#[test]
fn closing_waits_for_what_is_not_acknowledged() {
    let (mut a, mut b) = muxers();
    let (mut ours, mut theirs) = stream(&mut a, &mut b);
    block_on(ours.close()).expect("is open");
    drop(ours);
    let mut context = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut a).poll_close(&mut context).is_pending());
    assert_eq!(block_on(theirs.read(&mut [0; 1])).expect("ends"), 0);
    assert_eq!(Pin::new(&mut a).poll_close(&mut context), Poll::Ready(Ok(())));
}
