//! What the commands need on the machine: found, else installed where that is possible, else explained.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::Cmd;
use crate::workspace::{Workspace, root};

const OLDEST_NODE: u32 = 20;
/// js-libp2p 3 and the npm package's Node.js entry need a global `WebSocket`.
const TEST_NODE: u32 = 22;
const CARGO_DENY: &str = "0.20.2";
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];
const FIREFOXES: [&str; 2] = ["firefox-esr", "firefox"];
const QEMUS: [&str; 2] = ["qemu-aarch64", "qemu-aarch64-static"];

/// Makes the standard library for a target available.
pub(crate) fn rust_target(triple: &str) -> Result<()> {
    let sysroot = Cmd::new("rustc").args(["--print", "sysroot"]).read()?;
    if Path::new(&sysroot).join("lib/rustlib").join(triple).join("lib").exists() {
        return Ok(());
    }
    Cmd::new("rustup").args(["target", "add", triple]).run().with_context(|| {
        format!("the Rust target {triple} is missing: run `rustup target add {triple}` where the network allows it")
    })
}

/// Makes sure that Node.js is there and new enough to build with; returns its version.
pub(crate) fn node() -> Result<String> {
    let advice = format!("Braidcast's tools need Node.js {OLDEST_NODE} or later");
    let version = Cmd::new("node").arg("--version").read().context(advice.clone())?;
    if major(&version) < Some(OLDEST_NODE) {
        bail!("{advice}; `node --version` says {version}");
    }
    Ok(version)
}

/// Node.js for the tests: the machine's when it is new enough, else the one that the npm package `node` brings.
pub(crate) fn test_node() -> Result<PathBuf> {
    if major(&node()?) >= Some(TEST_NODE) {
        return Ok("node".into());
    }
    npm_ci("tests")?;
    let brought = root().join("tests/node_modules/node/bin/node");
    if !brought.exists() {
        bail!(
            "the tests need Node.js {TEST_NODE} or later: install it, or name `node` in tests/package.json"
        );
    }
    Ok(brought)
}

fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

/// Installs a folder's locked npm packages, unless that is done already.
pub(crate) fn npm_ci(folder: &str) -> Result<()> {
    node()?;
    let dir = root().join(folder);
    let lock_file = dir.join("package-lock.json");
    let lock =
        fs::read_to_string(&lock_file).with_context(|| format!("cannot read {}", lock_file.display()))?;
    // A copy of the lock, written last: an interrupted or outdated installation does not have it.
    let installed = dir.join("node_modules/.installed-lock");
    if fs::read_to_string(&installed).is_ok_and(|last| last == lock) {
        return Ok(());
    }
    Cmd::new("npm").args(["ci", "--no-audit", "--no-fund"]).dir(&dir).run()?;
    Ok(fs::write(installed, lock)?)
}

/// A program of a folder's npm packages.
pub(crate) fn npm_bin(folder: &str, program: &str) -> PathBuf {
    root().join(folder).join("node_modules/.bin").join(program)
}

/// cargo-deny: the machine's, else one of our own under `target/tools`.
pub(crate) fn cargo_deny() -> Result<PathBuf> {
    if Cmd::new("cargo-deny").arg("--version").read().is_ok() {
        return Ok("cargo-deny".into());
    }
    let tools = Workspace::load()?.target_directory.join("tools");
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        Cmd::cargo()
            .args(["install", "cargo-deny", "--version", CARGO_DENY, "--locked", "--debug", "--root"])
            .arg(&tools)
            .run()
            .context("cargo-deny could not be installed; install it by hand and run this step again")?;
    }
    Ok(program)
}

/// Chromium or Chrome: `$CHROMIUM`, the search path, else Debian's package when we may install it.
pub(crate) fn chromium() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("CHROMIUM") {
        let path = PathBuf::from(named);
        if !path.exists() {
            bail!("$CHROMIUM names {}, which does not exist", path.display());
        }
        return Ok(path);
    }
    if let Some(found) = BROWSERS.into_iter().find_map(on_path) {
        return Ok(found);
    }
    install("chromium", "chromium")
        .context("no Chromium: install Chromium or Chrome, or set CHROMIUM to its program")
}

/// Firefox: `$FIREFOX` or the search path. Without it, its test is skipped.
pub(crate) fn firefox() -> Option<PathBuf> {
    let named = std::env::var_os("FIREFOX").map(PathBuf::from);
    let found = named.or_else(|| FIREFOXES.into_iter().find_map(on_path));
    if found.is_none() {
        eprintln!(
            "no Firefox, its test is skipped: install Debian's firefox-esr, or set FIREFOX to its program"
        );
    }
    found
}

/// QEMU for single programs of 64-bit ARM: on the search path, else Debian's package when we may install it.
pub(crate) fn qemu_arm() -> Result<PathBuf> {
    match QEMUS.into_iter().find_map(on_path) {
        Some(found) => Ok(found),
        None => install("qemu-user-static", "qemu-aarch64-static")
            .context("no QEMU for ARM programs: install the package qemu-user or qemu-user-static"),
    }
}

/// Miri, and the nightly toolchain that it comes with.
pub(crate) fn miri() -> Result<()> {
    if Cmd::new("rustup").args(["run", "nightly", "cargo", "miri", "--version"]).read().is_ok() {
        return Ok(());
    }
    Cmd::new("rustup")
        .args(["toolchain", "install", "nightly", "--profile=minimal", "--component=miri,rust-src"])
        .run()
        .context("Miri is missing: run `rustup toolchain install nightly --component miri,rust-src` where the network allows it")
}

/// Installs Debian's package where we may, and returns the program it brings.
fn install(package: &str, program: &str) -> Result<PathBuf> {
    if !is_root_on_debian() {
        bail!("packages are installed only by root on Debian");
    }
    let apt = || Cmd::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive");
    apt().arg("update").run()?;
    apt().args(["install", "-y", package]).run()?;
    on_path(program).with_context(|| format!("the package {package} brought no program `{program}`"))
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(program)).find(|file| file.is_file())
}

fn is_root_on_debian() -> bool {
    Path::new("/etc/debian_version").exists() && Cmd::new("id").arg("-u").read().is_ok_and(|user| user == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn node_versions_compare_by_their_major_number() {
        assert_eq!(major("v22.3.0"), Some(22));
        assert!(major("v9.11.2") < Some(OLDEST_NODE));
        assert!(major("nonsense") < Some(OLDEST_NODE));
    }
}
