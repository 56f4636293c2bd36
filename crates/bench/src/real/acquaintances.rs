//! Who knows whom at the start.

use std::collections::BTreeSet;

use crate::lab::dice;

/// How many others each node is told of.
pub(crate) const KNOWN: usize = 4;

/// For each node whom it dials: the next in a ring, so that the network is one, and others by chance, fewer where a
/// connection is there already.
pub(crate) fn acquaintances(nodes: usize, seed: u64) -> Vec<BTreeSet<usize>> {
    let mut rng = dice(seed, "real acquaintances");
    let mut dials = vec![BTreeSet::new(); nodes];
    for node in 0..nodes {
        let next = (node + 1) % nodes;
        if next != node && !dials[next].contains(&node) {
            dials[node].insert(next);
        }
    }
    for node in 0..nodes {
        for _ in 1..KNOWN {
            let other = rng.below(nodes as u64) as usize;
            if other != node && !dials[other].contains(&node) {
                dials[node].insert(other);
            }
        }
    }
    dials
}

/// How many connections each node has then.
pub(crate) fn degrees(dials: &[BTreeSet<usize>]) -> Vec<usize> {
    let of = |node| {
        let inbound = dials.iter().filter(|others| others.contains(&node)).count();
        dials[node].len() + inbound
    };
    (0..dials.len()).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pair_has_one_connection() {
        let dials = acquaintances(16, 1);
        for (node, others) in dials.iter().enumerate() {
            assert!(!others.contains(&node) && others.len() <= KNOWN);
            assert!(others.iter().all(|&other| !dials[other].contains(&node)));
        }
        let degrees = degrees(&dials);
        assert_eq!(degrees.iter().sum::<usize>(), 2 * dials.iter().map(BTreeSet::len).sum::<usize>());
        assert!(degrees.iter().all(|&degree| degree >= 2));
    }

    #[test]
    fn three_nodes_are_all_connected() {
        assert_eq!(degrees(&acquaintances(3, 1)), [2, 2, 2]);
    }

    #[test]
    fn two_nodes_have_one_connection() {
        assert_eq!(degrees(&acquaintances(2, 1)), [1, 1]);
    }
}
