//! The floor plan: every crate of the workspace, its floor, and the crates it may import.
//!
//! Imports go downward only and rooms on one floor never import each other, so that a protocol cannot come to know
//! a socket or a sibling by accident. A new crate, or a new edge, is a line here and a sentence in its commit.

/// A crate of the workspace.
pub(crate) struct Room {
    pub(crate) name: &'static str,
    pub(crate) floor: Floor,
    /// The crates it may name under `[dependencies]`, `[build-dependencies]` and `[dev-dependencies]`.
    pub(crate) imports: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Floor {
    /// 0 to 3: `no_std`, sans-IO. 4 and 5: async, know their target. 6: the faces.
    Level(u8),
    /// Beside the house: tools and experiments that no product crate imports.
    Garden,
}

/// The one crate of the garden that tests inside the house may use, from this floor up.
pub(crate) const TEST_WORLD: (&str, u8) = ("braidcast-sim", 2);

pub(crate) const HOUSE: &[Room] = &[
    room("braidcast-wire", 0, &[]),
    room("braidcast-rlnc", 0, &[]),
    room("braidcast-machine", 1, &["braidcast-wire"]),
    room("braidcast-mesh", 2, &["braidcast-machine", "braidcast-rlnc", "braidcast-wire"]),
    room("braidcast-sync", 2, &["braidcast-machine", "braidcast-wire"]),
    room("braidcast-chord", 2, &["braidcast-machine", "braidcast-wire"]),
    room(
        "braidcast-core",
        3,
        &[
            "braidcast-chord",
            "braidcast-machine",
            "braidcast-mesh",
            "braidcast-rlnc",
            "braidcast-sync",
            "braidcast-wire",
        ],
    ),
    room("braidcast-webrtc", 4, &[]),
    room("braidcast-net", 5, &["braidcast-core", "braidcast-machine", "braidcast-webrtc", "braidcast-wire"]),
    room("braidcast-web", 6, &["braidcast-core", "braidcast-net", "braidcast-wire"]),
    room("braidcast-native", 6, &["braidcast-core", "braidcast-net", "braidcast-wire"]),
    // A machine's inputs and outputs name peers, and a peer's id is wire's.
    garden("braidcast-sim", &["braidcast-machine", "braidcast-wire"]),
    garden("braidcast-bench", &["braidcast-core", "braidcast-net", "braidcast-rlnc", "braidcast-sim"]),
    garden("braidcast-bench-links", &["braidcast-net", "braidcast-webrtc"]),
    garden("xtask", &[]),
];

pub(crate) fn find(name: &str) -> Option<&'static Room> {
    HOUSE.iter().find(|room| room.name == name)
}

/// The rooms of the floors that know no operating system.
pub(crate) fn pure() -> impl Iterator<Item = &'static Room> {
    HOUSE.iter().filter(|room| matches!(room.floor, Floor::Level(0..=3)))
}

const fn room(name: &'static str, floor: u8, imports: &'static [&'static str]) -> Room {
    Room { name, floor: Floor::Level(floor), imports }
}

const fn garden(name: &'static str, imports: &'static [&'static str]) -> Room {
    Room { name, floor: Floor::Garden, imports }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn imports_go_downward_only() {
        for room in HOUSE {
            for import in room.imports {
                let lower = find(import).unwrap_or_else(|| panic!("{}: {import} is no room", room.name));
                let downward = match (room.floor, lower.floor) {
                    (Floor::Level(above), Floor::Level(below)) => above > below,
                    (Floor::Level(_), Floor::Garden) => false,
                    (Floor::Garden, _) => room.name != *import,
                };
                assert!(downward, "{} may not import {import}", room.name);
            }
        }
    }

    #[test]
    fn the_pure_floors_end_below_the_network() {
        let names: Vec<_> = pure().map(|room| room.name).collect();
        assert!(names.contains(&"braidcast-core"));
        assert!(!names.contains(&"braidcast-net") && !names.contains(&"braidcast-sim"));
    }
}
