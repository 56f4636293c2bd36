//! `cargo xtask test`: the suites, each of which anyone can run by itself.

mod coding;
pub(crate) mod wasm_runner;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::config::Config;
use crate::jobs::{self, Job, Selection};
use crate::process::Cmd;
use crate::web::{self, Quality};
use crate::workspace::{Kind, Workspace, root};
use crate::{house, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
}

const SUITES: &[Job] = &[
    Job { name: "rust", about: "every crate, natively", run: rust },
    Job { name: "wasm", about: "floors 0 to 3 again, as wasm32 in Node.js", run: wasm },
    Job { name: "node", about: "the npm package in Node.js", run: node },
    Job { name: "browser", about: "package, demo app and relay together, in Chromium", run: browser },
];

/// They take minutes, and tools that few machines have.
const EXTRAS: &[Job] = &[
    Job { name: "miri", about: "the coding engine's own tests, every pointer followed", run: coding::miri },
    Job { name: "neon", about: "the coding engine as 64-bit ARM code, under emulation", run: coding::neon },
];

pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(outcomes) = jobs::run("test", SUITES, EXTRAS, &args.selection)? else { return Ok(()) };
    let failed = outcomes.iter().filter(|suite| suite.error.is_some()).count();
    println!(
        "\n{}suites: {} passed, {failed} failed",
        jobs::summary("test", &outcomes),
        outcomes.len() - failed
    );
    if failed > 0 {
        bail!("{failed} of {} suites failed", outcomes.len());
    }
    Ok(())
}

fn rust() -> Result<()> {
    Cmd::cargo()
        .args(["test", "--workspace", "--exclude=braidcast-web", "--no-fail-fast"])
        .keep_stdout()
        .run()
}

/// The crates that have learnt to name their tests for wasm; the coding engine once per module of the npm package.
fn wasm() -> Result<()> {
    tools::rust_target(web::TARGET)?;
    let workspace = Workspace::load()?;
    let crates: Vec<_> =
        house::pure().map(|room| room.name).filter(|name| tests_on_wasm(&workspace, name)).collect();
    wasm_tests(&crates, &workspace.target_directory, "")?;
    for module in Config::load()?.modules.iter().filter(|module| !module.rustflags.is_empty()) {
        let target = module.target_dir(&workspace.target_directory);
        wasm_tests(&["braidcast-rlnc"], &target, &module.rustflags)?;
    }
    Ok(())
}

/// Tests with this program as cargo's runner.
fn wasm_tests(crates: &[&str], target: &Path, rustflags: &str) -> Result<()> {
    let program = std::env::current_exe()?;
    let runner = format!("{} wasm-runner", program.to_str().context("xtask's path is not UTF-8")?);
    Cmd::cargo()
        .args(["test", "--lib", "--tests", "--target", web::TARGET])
        .args(crates.iter().flat_map(|name| ["--package", name]))
        .arg("--target-dir")
        .arg(target)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER", runner)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", rustflags)
        .keep_stdout()
        .run()
}

fn tests_on_wasm(workspace: &Workspace, name: &str) -> bool {
    let package = workspace.packages.iter().find(|package| package.name == name);
    package.is_some_and(|package| {
        package.dependencies.iter().any(|d| d.kind == Kind::Dev && d.name == "wasm-bindgen-test")
    })
}

fn node() -> Result<()> {
    web::build(Quality::Shipped)?;
    tools::npm_ci("tests")?;
    let native = native()?;
    Cmd::new(tools::test_node()?)
        // The WebRTC of js-libp2p keeps Node.js running after a failed test.
        .args(["--test", "--test-force-exit"])
        .args(test_files("node")?)
        .env("BRAIDCAST_BIN", &native)
        .env("ECHO_BIN", native.with_file_name("examples").join("echo"))
        .env("SIGNALLED_BIN", native.with_file_name("examples").join("signalled"))
        .env("LINKS_BIN", native.with_file_name("braidcast-bench-links"))
        .keep_stdout()
        .run()
}

fn browser() -> Result<()> {
    let chromium = tools::chromium()?;
    web::build(Quality::Shipped)?;
    app()?;
    tools::npm_ci("tests")?;
    let native = native()?;
    Cmd::new(tools::test_node()?)
        .arg("--test")
        .args(test_files("browser")?)
        .env("FIREFOX", tools::firefox().unwrap_or_default())
        .env("BRAIDCAST_BIN", &native)
        .env("ECHO_BIN", native.with_file_name("examples").join("echo"))
        .env("PAGE_DIR", web::page("dev")?)
        .env("CHROMIUM", chromium)
        .keep_stdout()
        .run()
}

/// Builds the demo app into `www/dist`.
pub(crate) fn app() -> Result<()> {
    tools::npm_ci("www")?;
    Cmd::new("npm").args(["run", "build"]).dir(&root().join("www")).run()
}

/// Builds the `braidcast` program for the tests; returns its path.
pub(crate) fn native() -> Result<PathBuf> {
    // All members are chosen as in the suite `rust`: cargo then settles on the same features, and reuses libp2p.
    Cmd::cargo()
        .args([
            "build",
            "--workspace",
            "--exclude=braidcast-web",
            "--bin=braidcast",
            "--bin=braidcast-bench-links",
            "--example=echo",
            "--example=signalled",
        ])
        .run()?;
    Ok(Workspace::load()?.target_directory.join("debug/braidcast"))
}

/// `tests/<folder>/*.test.*`, each named: Node.js 20 and 22 disagree on folders and patterns.
fn test_files(folder: &str) -> Result<Vec<PathBuf>> {
    let dir = root().join("tests").join(folder);
    let entries = std::fs::read_dir(&dir).with_context(|| format!("no {}", dir.display()))?;
    let mut files: Vec<_> = entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    files.retain(|path| is_test(path));
    files.sort();
    if files.is_empty() {
        bail!("{} holds no test", dir.display());
    }
    Ok(files)
}

fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    [".test.js", ".test.mjs"].iter().any(|ending| name.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn helpers_beside_the_tests_are_not_run_as_tests() {
        assert!(is_test(Path::new("tests/browser/room.test.mjs")));
        assert!(!is_test(Path::new("tests/browser/relay.mjs")));
    }
}
