//! Asks STUN servers which address they see us at, <https://www.rfc-editor.org/rfc/rfc8489>. A server answers without
//! authentication, which the ICE agent would not take.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::{Duration, Instant},
};

use bytes::Bytes;

use super::peer::Datagram;

/// Most servers that one connection asks. Guess.
const SERVERS: usize = 4;

/// Time until a question is asked again; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// How often a question is asked: for 16 s. Guess.
const ATTEMPTS: u32 = 5;

const BINDING_REQUEST: u16 = 0x0001;
const BINDING_SUCCESS: u16 = 0x0101;
const XOR_MAPPED_ADDRESS: u16 = 0x0020;
const COOKIE: [u8; 4] = 0x2112_a442_u32.to_be_bytes();

/// What makes an answer that of a question; nobody can guess it.
pub(super) type TransactionId = [u8; 12];

/// Questions that nobody has answered yet.
#[derive(Debug, Default)]
pub(super) struct Questions {
    open: Vec<Question>,
    asked: usize,
}

#[derive(Debug)]
struct Question {
    server: SocketAddr,
    local: SocketAddr,
    id: TransactionId,
    attempts: u32,
    next: Instant,
}

impl Questions {
    /// Asks `server` from our address `local`.
    pub(super) fn ask(&mut self, server: SocketAddr, local: SocketAddr, id: TransactionId, now: Instant) {
        if self.asked < SERVERS {
            self.asked += 1;
            self.open.push(Question { server, local, id, attempts: 0, next: now });
        }
    }

    /// What is to be sent now.
    pub(super) fn poll(&mut self, now: Instant) -> Option<Datagram> {
        self.open.retain(|question| question.attempts < ATTEMPTS || question.next > now);
        let question = self.open.iter_mut().find(|question| question.next <= now)?;
        question.next = now + FIRST_WAIT * (1 << question.attempts);
        question.attempts += 1;
        let bytes = Bytes::from(request(question.id));
        Some(Datagram { remote: question.server, local: question.local, bytes })
    }

    /// When [`poll`](Self::poll) has something.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.open.iter().map(|question| question.next).min()
    }

    /// The address that a server sees, and our own behind it, if this answers a question.
    pub(super) fn handle(&mut self, datagram: &Datagram) -> Option<(SocketAddr, SocketAddr)> {
        let (id, seen) = answer(&datagram.bytes)?;
        let at = self.open.iter().position(|open| open.id == id && open.server == datagram.remote)?;
        Some((seen, self.open.swap_remove(at).local))
    }
}

fn request(id: TransactionId) -> Vec<u8> {
    [&BINDING_REQUEST.to_be_bytes()[..], &[0, 0], &COOKIE, &id].concat()
}

/// The address in a successful answer.
fn answer(message: &[u8]) -> Option<(TransactionId, SocketAddr)> {
    let (head, mut rest) = message.split_first_chunk::<20>()?;
    if head[..2] != BINDING_SUCCESS.to_be_bytes() || head[4..8] != COOKIE {
        return None;
    }
    let id: TransactionId = head[8..].try_into().ok()?;
    while let Some((&[kind_high, kind_low, high, low], after)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([high, low]));
        let value = after.get(..len)?;
        if u16::from_be_bytes([kind_high, kind_low]) == XOR_MAPPED_ADDRESS {
            return Some((id, mapped(value, &id)?));
        }
        rest = after.get(len.next_multiple_of(4)..)?;
    }
    None
}

fn mapped(value: &[u8], id: &TransactionId) -> Option<SocketAddr> {
    let (&[_, family, high, low], address) = value.split_first_chunk::<4>()?;
    let port = u16::from_be_bytes([high ^ COOKIE[0], low ^ COOKIE[1]]);
    let mask: [u8; 16] = std::array::from_fn(|at| if at < 4 { COOKIE[at] } else { id[at - 4] });
    let ip = match family {
        1 => IpAddr::from(Ipv4Addr::from(unmask::<4>(address, &mask)?)),
        2 => IpAddr::from(Ipv6Addr::from(unmask::<16>(address, &mask)?)),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

fn unmask<const N: usize>(bytes: &[u8], mask: &[u8; 16]) -> Option<[u8; N]> {
    let bytes: &[u8; N] = bytes.try_into().ok()?;
    Some(std::array::from_fn(|at| bytes[at] ^ mask[at]))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// <https://www.rfc-editor.org/rfc/rfc5769#section-2.2>: a response that maps to 192.0.2.1:32853.
    const RESPONSE: &[u8] =
        b"\x01\x01\x00\x3c\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x0b\x74\x65\x73\x74\x20\x76\x65\x63\x74\x6f\x72\x20\
        \x00\x20\x00\x08\x00\x01\xa1\x47\xe1\x12\xa6\x43\
        \x00\x08\x00\x14\x2b\x91\xf5\x99\xfd\x9e\x90\xc3\x8c\x74\x89\xf9\x2a\xf9\xba\x53\xf0\x6b\xe7\xd7\
        \x80\x28\x00\x04\xc0\x7d\x4c\x96";

    /// Section 2.3: 2001:db8:1234:5678:11:2233:4455:6677, port 32853.
    const RESPONSE_6: &[u8] =
        b"\x01\x01\x00\x48\x21\x12\xa4\x42\xb7\xe7\xa7\x01\xbc\x34\xd6\x86\xfa\x87\xdf\xae\
        \x80\x22\x00\x0b\x74\x65\x73\x74\x20\x76\x65\x63\x74\x6f\x72\x20\
        \x00\x20\x00\x14\x00\x02\xa1\x47\x01\x13\xa9\xfa\xa5\xd3\xf1\x79\xbc\x25\xf4\xb5\xbe\xd2\xb9\xd9\
        \x00\x08\x00\x14\xa3\x82\x95\x4e\x4b\xe6\x7b\xf1\x17\x84\xc9\x7c\x82\x92\xc2\x75\xbf\xe3\xed\x41\
        \x80\x28\x00\x04\xc8\xfb\x0b\x4c";

    const ID: TransactionId = [0xb7, 0xe7, 0xa7, 0x01, 0xbc, 0x34, 0xd6, 0x86, 0xfa, 0x87, 0xdf, 0xae];

    fn socket(text: &str) -> SocketAddr {
        text.parse().expect("a socket address")
    }

    #[expect(clippy::disallowed_methods, reason = "any time will do")]
    fn now() -> Instant {
        Instant::now()
    }

    fn from(remote: SocketAddr, bytes: &'static [u8]) -> Datagram {
        Datagram { remote, local: socket("192.0.2.9:1"), bytes: Bytes::from_static(bytes) }
    }

    #[test]
    fn the_specifications_responses_are_read() {
        assert_eq!(answer(RESPONSE), Some((ID, socket("192.0.2.1:32853"))));
        assert_eq!(answer(RESPONSE_6), Some((ID, socket("[2001:db8:1234:5678:11:2233:4455:6677]:32853"))));
        for len in 0..40 {
            assert_eq!(answer(&RESPONSE[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn only_the_server_that_was_asked_answers_and_once() {
        let (server, local, now) = (socket("203.0.113.1:3478"), socket("10.0.0.1:5"), now());
        let mut questions = Questions::default();
        questions.ask(server, local, ID, now);
        let sent = questions.poll(now).expect("is due");
        assert_eq!((sent.remote, sent.local, sent.bytes.len()), (server, local, 20));
        assert_eq!(questions.handle(&from(socket("203.0.113.2:3478"), RESPONSE)), None);
        assert_eq!(questions.handle(&from(server, RESPONSE)), Some((socket("192.0.2.1:32853"), local)));
        assert_eq!(questions.handle(&from(server, RESPONSE)), None);
        assert_eq!(questions.timeout(), None);
    }

    #[test]
    fn a_question_is_repeated_and_given_up() {
        let mut questions = Questions::default();
        let began = now();
        questions.ask(socket("203.0.113.1:3478"), socket("10.0.0.1:5"), ID, began);
        let mut times = Vec::new();
        while let Some(at) = questions.timeout() {
            if questions.poll(at).is_some() {
                times.push((at - began).as_millis());
            }
        }
        assert_eq!(times, [0, 500, 1500, 3500, 7500]);
    }
}
