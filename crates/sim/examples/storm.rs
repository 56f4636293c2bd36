//! How fast the event loop is, beside machines that do next to nothing: `time cargo run --release --example storm`.
//!
//! Each of 1,000 nodes of about 8 links sends 128 bulk frames of 16 KiB, and says 40 bytes to all neighbours for each
//! one that it gets: about the traffic of a 1 MiB message, of which each node receives two copies.

use std::collections::{BTreeSet, VecDeque};

use braidcast_machine::{Budget, Duration, Input, Machine, Now, Output, PeerSet, Rng, Time, WireLen};
use braidcast_sim::{NodeIndex, NodeProfile, World};
use braidcast_wire::PeerId;

struct Frame(usize);

impl WireLen for Frame {
    fn wire_len(&self) -> usize {
        self.0
    }
}

#[derive(Default)]
struct Talker {
    peers: BTreeSet<PeerId>,
    said: VecDeque<PeerId>,
    sent: usize,
}

impl Machine for Talker {
    type Frame = Frame;
    type Command = ();
    type Event = ();

    fn handle(&mut self, _: Now, input: Input<Frame, ()>) {
        match input {
            Input::Connected { peer, .. } => {
                self.peers.insert(peer);
            }
            Input::Received { frame: Frame(BULK), .. } => self.said.extend(&self.peers),
            _ => {}
        }
    }

    fn poll(&mut self) -> Option<Output<Frame, ()>> {
        self.said.pop_front().map(|peer| Output::Send { peer, frame: Frame(40) })
    }

    fn pull(&mut self, _: Now, writable: &PeerSet) -> Option<(PeerId, Frame)> {
        if self.sent == 128 {
            return None;
        }
        let peer = *writable.iter().nth(self.sent % writable.len())?;
        self.sent += 1;
        Some((peer, Frame(BULK)))
    }

    fn work(&mut self, _: Now, _: Budget) -> bool {
        false
    }

    fn deadline(&self) -> Option<Time> {
        None
    }
}

const BULK: usize = 16 * 1024;

fn main() {
    let mut world = World::new(1);
    let mut dice = Rng::from_seed(world.draw_seed());
    for number in 0..1_000_u64 {
        let mut id = [0; 32];
        dice.fill(&mut id);
        // As in facts of the field: one in five has 1 Gbit/s, the others 50 Mbit/s.
        let rate = if number % 5 == 0 { 125_000_000 } else { 6_250_000 };
        world.add_node(PeerId(id), Talker::default(), NodeProfile::rates(rate, rate));
    }
    for node in 0..1_000 {
        for _ in 0..4 {
            let latency = Duration::from_millis(10 + dice.below(90));
            // A pair that is drawn twice has one link.
            let _ = world.connect(NodeIndex(node), NodeIndex(dice.below(1_000) as u32), latency);
        }
    }
    world.run_until_idle(Time::from_micros(u64::MAX));
    let delivered = world.nodes().map(|node| world.usage(node).received);
    let (bulk, control) =
        delivered.fold((0, 0), |sum, usage| (sum.0 + usage.bulk_frames, sum.1 + usage.control_frames));
    println!("{} steps, {bulk} bulk and {control} control frames, {:?}", world.steps(), world.time());
}
