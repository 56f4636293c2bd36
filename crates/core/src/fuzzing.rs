//! What the fuzz targets call. Not part of the interface: it may change at any time.

use braidcast_machine::{Budget, Direction, Duration, Input, Machine, Now, PeerSet};
use braidcast_mesh as mesh;
use braidcast_wire::{Identity, Topic, frame, limits};
use bytes::BytesMut;

use crate::{Command, Config, Core, Frame};

/// Reads `data` as what a peer sends, frame after frame, to a node that subscribes to the topic `t` and has another
/// neighbour. Whatever comes, nothing panics, and what goes out fits the limits.
pub fn receive(data: &[u8]) {
    let [node, peer, other] = [1, 2, 3].map(|seed| Identity::from_seed(&[seed; 32]));
    let peers = [peer.peer_id(), other.peer_id()];
    let writable = PeerSet::from(peers);
    let mut core = Core::new(Config::default(), node, [0; 32]);
    let mut now = Now::default();
    let topic = Topic::new("t").expect("it is short enough");
    core.handle(now, Input::Command(Command::Mesh(mesh::Command::Subscribe(topic))));
    for peer in peers {
        core.handle(now, Input::Connected { peer, direction: Direction::Inbound });
        let join = alloc::vec!["t".into()];
        let body =
            mesh::frame::Body::Subscriptions(mesh::frame::Subscriptions { join, leave: alloc::vec![] });
        let frame = crate::frame::Body::Mesh(body.into()).into();
        core.handle(now, Input::Received { peer, frame });
    }
    let mut input = BytesMut::from(data);
    while let Ok(Some(frame)) = frame::decode::<Frame>(&mut input, limits::CONTROL_FRAME_BYTES) {
        core.handle(now, Input::Received { peer: peers[0], frame });
        now.time = now.time + Duration::from_millis(7);
        core.handle(now, Input::Tick);
        while core.work(now, Budget(1 << 20)) {}
        while core.poll().is_some() {}
        while let Some((_, frame)) = core.pull(now, &writable) {
            assert!(frame.is_bulk() && frame::WireLen::wire_len(&frame) <= limits::BULK_FRAME_BYTES);
        }
    }
}

#[cfg(test)]
mod tests {
    #[cfg(target_arch = "wasm32")]
    use wasm_bindgen_test::wasm_bindgen_test as test;

    use super::*;

    #[test]
    fn noise_and_mutations_do_no_harm() {
        let mut rng = braidcast_machine::Rng::from_seed([9; 32]);
        let mut data = [0; 256];
        for round in 0..2_000 {
            rng.fill(&mut data);
            // A plausible prefix, envelope and tag, so that the noise gets further in.
            let len = round % 120;
            let tag = data[3] & 0x7e;
            data[..4].copy_from_slice(&[len as u8, 0x0a, (len as u8).saturating_sub(2), tag]);
            receive(&data[..len + 8]);
        }
    }
}
