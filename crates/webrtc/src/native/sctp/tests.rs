//! Two associations in memory.

use futures::task::noop_waker_ref;

use super::*;

/// Longer than an acknowledgement waits for company; a stream is reset when everything is acknowledged.
const ACKNOWLEDGED: Duration = Duration::from_secs(1);

struct Pair {
    client: Sctp,
    server: Sctp,
    now: Instant,
    /// Numbers of the streams that each side has asked to reset.
    resets: [Vec<u16>; 2],
}

impl Pair {
    fn new() -> Self {
        let (client, server) = (Sctp::new(false), Sctp::new(false));
        let mut pair = Self { client, server, now: super::super::link::now(), resets: Default::default() };
        pair.client.start(true);
        pair.server.start(false);
        pair.settle();
        assert!(pair.client.is_connected() && pair.server.is_connected());
        pair
    }

    /// Moves packets until none comes.
    fn settle(&mut self) {
        let mut is_quiet = false;
        while !is_quiet {
            is_quiet = true;
            for at in [0, 1] {
                let Self { client, server, .. } = self;
                let (from, to) = if at == 0 { (client, server) } else { (server, client) };
                while let Some(packets) = from.poll_packets(self.now) {
                    is_quiet = false;
                    for packet in packets {
                        self.resets[at].extend(resets(&packet));
                        to.handle(self.now, packet);
                    }
                }
            }
        }
    }

    /// Lets a time pass, as finely as acknowledgements are late.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now += Duration::from_millis(200);
            self.client.handle_timeout(self.now);
            self.server.handle_timeout(self.now);
            self.settle();
        }
    }

    /// A channel that the client opens: as it knows it, and as the server does.
    fn open(&mut self) -> (ChannelId, ChannelId) {
        let opened = self.client.open("").expect("a number is free");
        self.settle();
        let Poll::Ready(accepted) = self.server.poll_incoming(&context()) else { panic!("no channel comes") };
        // The acknowledgement.
        assert!(self.client.poll_message(opened, &context()).is_pending());
        (opened, accepted)
    }
}

fn context() -> Context<'static> {
    Context::from_waker(noop_waker_ref())
}

/// The streams of an Outgoing SSN Reset Request in a RE-CONFIG chunk,
/// <https://www.rfc-editor.org/rfc/rfc6525#section-4.1>.
fn resets(packet: &[u8]) -> Vec<u16> {
    let number = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let (mut rest, mut streams) = (&packet[12..], Vec::new());
    while let [130, _, high, low, chunk @ ..] | [_, _, high, low, chunk @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*high, *low]));
        if rest[0] == 130 && number(chunk) == 13 {
            streams.extend(chunk[16..usize::from(number(&chunk[2..]))].chunks(2).map(number));
        }
        rest = &rest[len.next_multiple_of(4).min(rest.len())..];
    }
    streams
}

#[test]
fn who_accepted_a_channel_resets_it_once_and_after_who_opened_it() {
    let mut pair = Pair::new();
    for server_first in [true, false] {
        let (opened, accepted) = pair.open();
        if server_first {
            pair.server.close(accepted, pair.now);
            pair.pass(GRACE / 2);
            assert!(pair.resets.iter().all(Vec::is_empty), "{:?}", pair.resets);
            pair.client.close(opened, pair.now);
        } else {
            pair.client.close(opened, pair.now);
            pair.settle();
            pair.server.close(accepted, pair.now);
        }
        pair.pass(GRACE);
        let [client, server] = std::mem::take(&mut pair.resets);
        assert!(client.contains(&opened.number));
        assert_eq!(server, [opened.number], "server first: {server_first}");
    }
    assert!(pair.server.channels.is_empty() && pair.client.channels.is_empty());
}

#[test]
fn a_channel_that_its_opener_keeps_is_reset_in_the_end() {
    let mut pair = Pair::new();
    let (opened, accepted) = pair.open();
    pair.server.close(accepted, pair.now);
    pair.client.send(opened, b"nobody reads this");
    pair.pass(GRACE);
    assert_eq!(pair.client.poll_message(opened, &context()), Poll::Ready(None));
    assert!(pair.server.channels.is_empty() && pair.server.leaving.is_empty());
}

#[test]
fn who_held_a_number_before_does_not_hold_it_again() {
    let mut pair = Pair::new();
    let (first, held) = pair.open();
    pair.client.close(first, pair.now);
    pair.pass(ACKNOWLEDGED);
    pair.client.next = first.number;
    let (second, accepted) = pair.open();
    assert_eq!(second.number, first.number);
    pair.client.send(second, b"hello");
    pair.settle();
    assert_eq!(pair.server.poll_message(held, &context()), Poll::Ready(None));
    pair.server.send(held, b"from the dead");
    pair.server.close(held, pair.now);
    let message = pair.server.poll_message(accepted, &context());
    assert_eq!(message, Poll::Ready(Some(Bytes::from_static(b"hello"))));
    pair.pass(GRACE);
    assert!(pair.client.poll_message(second, &context()).is_pending());
}

#[test]
fn a_number_is_not_used_while_its_last_channel_is_closed() {
    let mut pair = Pair::new();
    let (first, _) = pair.open();
    pair.client.close(first, pair.now);
    pair.client.next = first.number;
    let second = pair.client.open("").expect("another number");
    assert_eq!(second.number, first.number + 2);
}

#[test]
fn the_first_channel_of_webrtc_is_closed_on_either_side() {
    for dialer_closes in [true, false] {
        let (mut client, server) = (Sctp::new(false), Sctp::new(false));
        client.open_init();
        let mut pair = Pair { client, server, now: super::super::link::now(), resets: Default::default() };
        pair.client.start(true);
        pair.server.start(false);
        pair.settle();
        assert_eq!(pair.client.links, [Link::Connected, Link::InitOpen]);
        if dialer_closes {
            pair.client.close_init();
            pair.pass(ACKNOWLEDGED);
        } else {
            pair.pass(GRACE);
        }
        assert_eq!(pair.client.links.back(), Some(&Link::InitClosed));
        assert!(pair.server.poll_incoming(&context()).is_pending());
        assert!(pair.server.channels.is_empty() && pair.client.channels.is_empty());
    }
}

#[test]
fn only_who_owns_a_number_opens_it() {
    let mut pair = Pair::new();
    pair.client.next = 5;
    let foreign = pair.client.open("").expect("a number is free");
    pair.client.next = 2;
    pair.settle();
    assert!(pair.server.poll_incoming(&context()).is_pending());
    pair.pass(GRACE);
    assert_eq!(pair.client.poll_message(foreign, &context()), Poll::Ready(None));
}
