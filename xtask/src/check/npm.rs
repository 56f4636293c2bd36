//! The fence around the npm folders: types hold, the package is laid out as bundlers want it, locks name no host.

use std::fs;
use std::path::Path;

use anyhow::{Result, bail};

use crate::process::Cmd;
use crate::tools;
use crate::workspace::root;

const FOLDERS: [&str; 3] = ["web", "www", "tests"];

pub(super) fn check() -> Result<()> {
    for folder in FOLDERS.into_iter().filter(|folder| root().join(folder).join("package.json").exists()) {
        lock_names_no_host(folder)?;
        tools::npm_ci(folder)?;
        types_hold(folder)?;
    }
    Cmd::new(tools::npm_bin("web", "publint")).arg("web").run()
}

fn lock_names_no_host(folder: &str) -> Result<()> {
    let lock = fs::read_to_string(root().join(folder).join("package-lock.json"))?;
    let urls = resolved_urls(&lock);
    if let Some(first) = urls.first() {
        bail!(
            "{folder}/package-lock.json names {} download addresses, the first: {first}\n\
             run `npm install --omit-lockfile-registry-resolved` there",
            urls.len()
        );
    }
    Ok(())
}

/// A link to a folder of this repository is `resolved` too, and allowed.
fn resolved_urls(lock: &str) -> Vec<&str> {
    lock.lines()
        .map(str::trim)
        .filter(|line| line.starts_with("\"resolved\"") && line.contains("://"))
        .collect()
}

fn types_hold(folder: &str) -> Result<()> {
    if !root().join(folder).join("tsconfig.json").exists() {
        return Ok(());
    }
    let tsc =
        [folder, "web"].map(|home| tools::npm_bin(home, "tsc")).into_iter().find(|tsc| Path::exists(tsc));
    let Some(tsc) = tsc else {
        bail!("{folder}/tsconfig.json is there, but no package.json names typescript")
    };
    Cmd::new(tsc).args(["--noEmit", "-p", folder]).run()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_download_address_in_a_lock_is_found_and_a_link_is_not() {
        let lock = "\"a\": {\n  \"resolved\": \"https://example.org/a.tgz\",\n  \"resolved\": \"../web\",\n";
        assert_eq!(resolved_urls(lock), ["\"resolved\": \"https://example.org/a.tgz\","]);
    }
}
