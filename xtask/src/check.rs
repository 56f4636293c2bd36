//! `cargo xtask check`: the fences around the house, each a step that anyone can run by itself.

mod edges;
mod npm;
mod words;

use anyhow::{Result, bail};

use crate::jobs::{self, Job, Selection};
use crate::process::Cmd;
use crate::web::{self, Quality};
use crate::workspace::Workspace;
use crate::{house, size, tools};

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    selection: Selection,
}

/// Cheap steps first; `npm` looks at what `web` built.
const STEPS: &[Job] = &[
    Job { name: "words", about: "no committed file names a machine's folders or hosts", run: words::check },
    Job { name: "edges", about: "crates import only what the floor plan allows", run: edges::check },
    Job { name: "fmt", about: "cargo fmt changes nothing", run: fmt },
    Job {
        name: "no-std",
        about: "floors 0 to 3 compile where there is no std, without a warning",
        run: no_std,
    },
    Job { name: "clippy", about: "no warning, native", run: clippy },
    Job { name: "clippy-web", about: "no warning, browser crates on wasm32", run: clippy_web },
    Job { name: "doc", about: "no broken link in the documentation", run: doc },
    Job { name: "deny", about: "licences, sources and bans of all dependencies", run: deny },
    Job { name: "web", about: "the browser package builds and imports nothing from \"env\"", run: web },
    Job { name: "size", about: "the browser package keeps to its budget", run: size::check },
    Job { name: "npm", about: "types, package layout and lock files of the npm folders", run: npm::check },
];

/// It needs the network.
const EXTRAS: &[Job] =
    &[Job { name: "advisories", about: "no known vulnerability in a dependency", run: advisories }];

const NO_STD_TARGET: &str = "thumbv7m-none-eabi";

/// Crates that compile for the browser, floor 4 and up, and one that measures there.
const BROWSER_CRATES: [&str; 4] = ["braidcast-web", "braidcast-net", "braidcast-webrtc", "braidcast-bench"];

pub(crate) fn run(args: &Args) -> Result<()> {
    let Some(outcomes) = jobs::run("check", STEPS, EXTRAS, &args.selection)? else { return Ok(()) };
    eprint!("\n{}", jobs::summary("check", &outcomes));
    let failed: Vec<_> = outcomes.iter().filter(|step| step.error.is_some()).map(|step| step.name).collect();
    if !failed.is_empty() {
        bail!("failed: {}", failed.join(", "));
    }
    Ok(())
}

fn fmt() -> Result<()> {
    Cmd::cargo().args(["fmt", "--all", "--check"]).run()
}

fn no_std() -> Result<()> {
    tools::rust_target(NO_STD_TARGET)?;
    let workspace = Workspace::load()?;
    let crates = house::pure().map(|room| room.name).filter(|name| workspace.has(name));
    Cmd::cargo()
        .args(["clippy", "--lib", "--no-default-features", "--target", NO_STD_TARGET])
        .args(crates.flat_map(|name| ["--package", name]))
        .args(["--", "-Dwarnings"])
        .run()
}

fn clippy() -> Result<()> {
    Cmd::cargo()
        .args(["clippy", "--workspace", "--exclude=braidcast-web", "--all-targets", "--", "-Dwarnings"])
        .run()
}

fn clippy_web() -> Result<()> {
    for_browser(&["clippy"])?.args(["--", "-Dwarnings"]).run()
}

fn doc() -> Result<()> {
    let strict = |cmd: Cmd| {
        cmd.args(["--no-deps", "--document-private-items"]).env("RUSTDOCFLAGS", "-Dwarnings").run()
    };
    strict(Cmd::cargo().args(["doc", "--workspace", "--exclude=braidcast-web"]))?;
    strict(for_browser(&["doc"])?)
}

/// A cargo command over the browser crates that exist, for their target.
fn for_browser(command: &[&str]) -> Result<Cmd> {
    tools::rust_target(web::TARGET)?;
    let workspace = Workspace::load()?;
    let crates = BROWSER_CRATES.into_iter().filter(|name| workspace.has(name));
    Ok(Cmd::cargo()
        .args(command)
        .args(["--target", web::TARGET])
        .args(crates.flat_map(|name| ["--package", name])))
}

fn deny() -> Result<()> {
    cargo_deny(&["bans", "licenses", "sources"])
}

fn advisories() -> Result<()> {
    cargo_deny(&["advisories"])
}

fn cargo_deny(what: &[&str]) -> Result<()> {
    Cmd::new(tools::cargo_deny()?).args(["--workspace", "--log-level=error", "check"]).args(what).run()
}

fn web() -> Result<()> {
    web::build(Quality::Shipped)
}
