//! The fence against files that only make sense on the machine they were written on.

use std::fs;

use anyhow::{Result, bail};

use crate::process::Cmd;
use crate::workspace::root;

/// Folders of a machine. Written in halves, so that this file passes its own test.
const FOLDERS: [&str; 4] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/"), concat!("/Us", "ers/")];

/// Hosts of package registries: the clients know them, a project that names one binds its users to it.
const HOSTS: [&str; 5] = [
    concat!("registry.", "npmjs"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("static.", "rust-lang.org"),
    concat!("deb.", "debian.org"),
];

pub(super) fn check() -> Result<()> {
    let listing =
        Cmd::new("git").args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).read()?;
    let files = listing.split('\0').filter(|path| !path.is_empty());
    let offences: Vec<_> = files.flat_map(offences_in).collect();
    if !offences.is_empty() {
        bail!("{}", offences.join("\n"));
    }
    Ok(())
}

fn offences_in(path: &str) -> Vec<String> {
    // A binary file, or one that is deleted but still in the index, says nothing.
    let Ok(text) = fs::read_to_string(root().join(path)) else { return Vec::new() };
    let lines = text.lines().zip(1..);
    lines.filter_map(|(line, number)| Some(format!("{path}:{number}: names {}", offence(line)?))).collect()
}

fn offence(line: &str) -> Option<&'static str> {
    let folder = FOLDERS.into_iter().find(|folder| is_at_a_root(line, folder));
    folder.or_else(|| HOSTS.into_iter().find(|host| line.contains(host)))
}

/// Whether the folder stands at the start of a path: `/x/y`, not `a/x/y`.
fn is_at_a_root(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '~' | '}' | ')' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_folder_is_found_wherever_it_stands_as_a_root() {
        let [work, root, ..] = FOLDERS;
        assert_eq!(offence(&format!("see {work}notes.md")), Some(work));
        assert_eq!(offence(&format!("HOME={root}x")), Some(root));
        assert_eq!(offence(&format!("{work}x")), Some(work));
    }

    #[test]
    fn the_same_word_inside_a_path_is_fine() {
        let [work, ..] = FOLDERS;
        assert_eq!(offence(&format!("src{work}mod.rs and ..{work} and https://example.org{work}")), None);
    }

    #[test]
    fn a_registry_host_is_found() {
        let [npm, ..] = HOSTS;
        assert_eq!(offence(&format!("\"resolved\": \"https://{npm}.org/x\"")), Some(npm));
    }
}
