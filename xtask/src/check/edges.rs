//! The fence around the floor plan: what the manifests say against what `house.rs` allows.

use anyhow::{Result, bail};

use crate::house::{self, Floor, Room, TEST_WORLD};
use crate::workspace::{Dependency, Kind, Package, Workspace};

pub(super) fn check() -> Result<()> {
    let workspace = Workspace::load()?;
    let offences = offences(&workspace.packages);
    if !offences.is_empty() {
        bail!("{}", offences.join("\n"));
    }
    Ok(())
}

fn offences(packages: &[Package]) -> Vec<String> {
    let members: Vec<_> = packages.iter().map(|package| package.name.as_str()).collect();
    packages.iter().flat_map(|package| offences_of(package, &members)).collect()
}

fn offences_of(package: &Package, members: &[&str]) -> Vec<String> {
    let Some(room) = house::find(&package.name) else {
        return vec![format!(
            "{} has no room in xtask/src/house.rs: give it a floor and its imports",
            package.name
        )];
    };
    let inside = package.dependencies.iter().filter(|dependency| members.contains(&dependency.name.as_str()));
    inside
        .filter(|dependency| !is_allowed(room, dependency))
        .map(|dependency| {
            let kind = match dependency.kind {
                Kind::Normal => "",
                Kind::Build => " (build-dependency)",
                Kind::Dev => " (dev-dependency)",
            };
            format!(
                "{} may not import {}{kind}: the floor plan is xtask/src/house.rs",
                room.name, dependency.name
            )
        })
        .collect()
}

fn is_allowed(room: &Room, dependency: &Dependency) -> bool {
    let (test_world, lowest) = TEST_WORLD;
    let is_test_world = dependency.kind == Kind::Dev
        && dependency.name == test_world
        && matches!(room.floor, Floor::Level(level) if level >= lowest);
    is_test_world || room.imports.contains(&dependency.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, imports: &[(&str, Kind)]) -> Package {
        let dependencies =
            imports.iter().map(|(name, kind)| Dependency { name: (*name).into(), kind: *kind }).collect();
        Package { name: name.into(), dependencies }
    }

    fn offences_among(packages: &[Package]) -> Vec<String> {
        let rest =
            ["braidcast-wire", "braidcast-machine", "braidcast-core", "braidcast-sim", "braidcast-sync"];
        let members: Vec<_> = packages.iter().map(|package| package.name.as_str()).chain(rest).collect();
        packages.iter().flat_map(|package| offences_of(package, &members)).collect()
    }

    #[test]
    fn going_down_is_allowed() {
        let mesh = package("braidcast-mesh", &[("braidcast-wire", Kind::Normal), ("serde", Kind::Normal)]);
        assert_eq!(offences_among(&[mesh]), [""; 0]);
    }

    #[test]
    fn going_up_or_sideways_is_reported() {
        let mesh =
            package("braidcast-mesh", &[("braidcast-core", Kind::Normal), ("braidcast-sync", Kind::Build)]);
        assert_eq!(
            offences_among(&[mesh]),
            [
                "braidcast-mesh may not import braidcast-core: the floor plan is xtask/src/house.rs",
                "braidcast-mesh may not import braidcast-sync (build-dependency): the floor plan is \
                 xtask/src/house.rs",
            ]
        );
    }

    #[test]
    fn the_test_world_is_for_tests_of_floor_two_and_up() {
        let sim = |kind| [("braidcast-sim", kind)];
        assert_eq!(offences_among(&[package("braidcast-mesh", &sim(Kind::Dev))]).len(), 0);
        assert_eq!(offences_among(&[package("braidcast-native", &sim(Kind::Dev))]).len(), 0);
        assert_eq!(offences_among(&[package("braidcast-mesh", &sim(Kind::Normal))]).len(), 1);
        assert_eq!(offences_among(&[package("braidcast-wire", &sim(Kind::Dev))]).len(), 1);
    }

    #[test]
    fn a_dev_dependency_upward_is_reported() {
        assert_eq!(offences_among(&[package("braidcast-wire", &[("braidcast-core", Kind::Dev)])]).len(), 1);
    }

    #[test]
    fn a_crate_without_a_room_is_reported() {
        let offences = offences(&[package("braidcast-attic", &[])]);
        assert_eq!(offences.len(), 1);
        assert!(offences[0].starts_with("braidcast-attic has no room"), "{}", offences[0]);
    }

    #[test]
    fn the_kinds_that_cargo_prints_are_understood() {
        let json = r#"{"packages":[{"name":"a","dependencies":[{"name":"b","kind":null},{"name":"c","kind":"dev"}]}],
            "target_directory":"t"}"#;
        let workspace: Workspace = serde_json::from_str(json).unwrap();
        let kinds: Vec<_> = workspace.packages[0].dependencies.iter().map(|d| d.kind).collect();
        assert_eq!(kinds, [Kind::Normal, Kind::Dev]);
    }
}
