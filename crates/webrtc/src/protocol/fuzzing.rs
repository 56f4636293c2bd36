//! What the fuzz targets call. Not part of the interface: it may change at any time.

use bytes::Bytes;

use super::{
    Command, Description, Dialed, Fingerprint, FrameDecoder, Halves, Link, PAYLOAD_BYTES, Role, SIGNAL_BYTES,
    Session, Signal, SignalDecoder, half::Received,
};

/// Reads `data` as the messages of a data channel, cut by its first byte. Whatever comes, nothing panics, data is within
/// the limit, and only one answer is asked for.
pub fn frames(data: &[u8]) {
    let Some((cut, data)) = data.split_first() else { return };
    let (mut decoder, mut halves, mut replies) = (FrameDecoder::default(), Halves::default(), 0);
    for message in data.chunks(usize::from(*cut) + 1) {
        decoder.push(Bytes::copy_from_slice(message));
        loop {
            match decoder.next() {
                Ok(Some(frame)) => {
                    let Received { data, reply } = halves.on_frame(frame);
                    assert!(data.len() <= PAYLOAD_BYTES + 6, "{} bytes in a frame", data.len());
                    replies += usize::from(reply.is_some());
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    assert!(replies <= 1);
    let _ = halves.finish();
    let _ = halves.abandon();
}

/// Reads `data` as what a peer signals, to both roles. Whatever comes, nothing panics, messages are within the limit, and
/// a session that is over says nothing more.
pub fn signals(data: &[u8]) {
    for role in [Role::Dialer, Role::Listener] {
        let (mut decoder, mut session) = (SignalDecoder::default(), Session::new(role));
        decoder.push(data);
        let mut over = false;
        while let Ok(Some(signal)) = decoder.next() {
            let (Signal::Offer(text) | Signal::Answer(text) | Signal::Candidate(text)) = &signal;
            assert!(text.len() <= SIGNAL_BYTES);
            if let Ok(description) = Description::parse(text) {
                assert_eq!(
                    Description::parse(&description.to_string()).map(|again| again.mid),
                    Ok(description.mid)
                );
            }
            let _ = (Dialed::from_username(text), text.parse::<Fingerprint>());
            session.on_signal(signal);
            while let Some(command) = session.poll() {
                assert!(!over, "{command:?} after the end");
                match command {
                    Command::CreateOffer | Command::CreateAnswer => {
                        session.on_local_description(String::new());
                    }
                    Command::CloseInit => session.on_link(Link::InitClosed),
                    Command::Finish | Command::Fail(_) => over = true,
                    _ => {}
                }
            }
        }
        session.on_link(Link::InitOpen);
        session.on_link(Link::Connected);
        session.on_ended();
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    /// Bytes without a pattern, the same for the same seed.
    fn noise(seed: u32, len: usize) -> Vec<u8> {
        let mut state = seed.wrapping_mul(2_654_435_761) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            (state >> 24) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn noise_and_bent_messages_do_no_harm() {
        let offer =
            Signal::Offer("v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n".into()).encode();
        for seed in 0..2000 {
            let noise = noise(seed, 64);
            frames(&noise);
            signals(&noise);
            let mut bent = [&offer[..], &Signal::Candidate("{}".into()).encode()].concat();
            let at = usize::from(noise[0]) % bent.len();
            bent[at] ^= noise[1];
            signals(&bent);
        }
    }
}
