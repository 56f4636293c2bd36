//! What physics allows: the shortest path through the overlay, and the message, with those published before it at once, through
//! the narrowest of the publisher's uplink and the receiver's downlink. Nobody shares a link with anybody, forwarding and validating take no
//! time; so it cannot be reached in that overlay. Who chooses other neighbours among the same connections, as Braidcast
//! does, is not bound by it, and for a small message and an unlucky publisher can be below it.

use std::{cmp::Reverse, collections::BinaryHeap};

use crate::lab::network::Network;

/// When each node could have `bytes`, in microseconds after their publication by `publisher`; none where no path leads.
pub(crate) fn arrivals(network: &Network, publisher: u32, bytes: u64) -> Vec<Option<u64>> {
    let up = network.hosts[publisher as usize].up;
    let paths = shortest_paths(network, publisher);
    let arrival = |(path, host): (Option<u64>, &crate::lab::network::Host)| {
        Some(path? + bytes * 1_000_000 / up.min(host.down).max(1))
    };
    paths.into_iter().zip(&network.hosts).map(arrival).collect()
}

/// Latency from `start` to each node along mesh links, in microseconds (Dijkstra).
fn shortest_paths(network: &Network, start: u32) -> Vec<Option<u64>> {
    let neighbours = network.mesh_neighbours();
    let mut best: Vec<Option<u64>> = vec![None; network.hosts.len()];
    let mut queue = BinaryHeap::from([Reverse((0, start))]);
    while let Some(Reverse((at, node))) = queue.pop() {
        if best[node as usize].is_some() {
            continue;
        }
        best[node as usize] = Some(at);
        for &next in &neighbours[node as usize] {
            queue.push(Reverse((at + network.latency(node, next).as_micros(), next)));
        }
    }
    best
}
