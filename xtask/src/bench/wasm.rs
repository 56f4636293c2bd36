//! `cargo xtask bench rlnc-wasm`: the cases of `bench rlnc` as wasm modules, in JavaScript engines.

use std::path::PathBuf;

use anyhow::{Result, bail};
use serde_json::json;
use wasm_bindgen_cli_support::Bindgen;

use crate::config::{Config, Module};
use crate::process::Cmd;
use crate::workspace::{Workspace, root};
use crate::{tools, web};

/// The coding engine as WebAssembly, in Node.js and in Chromium, beside rlnc as WebAssembly.
///
/// The cases are those of `bench rlnc`, whose help explains them, run with each module of the npm package: one thread,
/// in turns, the shortest of many means over a millisecond. rlnc is compiled with the same flags; it has no code of its
/// own for WebAssembly's SIMD, and gets what the compiler makes.
#[derive(clap::Args)]
pub(super) struct Args {
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// Only this module: relaxed-simd, simd128.
    #[arg(long, value_name = "NAME")]
    module: Option<String>,
    /// Only there.
    #[arg(long = "where", value_name = "PLACE")]
    place: Option<Place>,
    /// Only this case.
    #[arg(long, value_name = "NAME")]
    case: Option<String>,
    /// Only this K.
    #[arg(long)]
    k: Option<usize>,
    /// Only messages of this many bytes.
    #[arg(long)]
    bytes: Option<usize>,
    /// A tenth of the time per figure, in which a busy machine may not have optimised the code yet.
    #[arg(long)]
    quick: bool,
}

#[derive(clap::ValueEnum, Clone, Copy, PartialEq, Eq)]
enum Place {
    Node,
    Chromium,
}

pub(super) fn run(args: &Args) -> Result<()> {
    let config = Config::load()?;
    let is_chosen = |module: &&Module| args.module.as_ref().is_none_or(|name| module.name.starts_with(name));
    let modules: Vec<_> = config.modules.iter().filter(is_chosen).collect();
    if modules.is_empty() {
        let names: Vec<_> = config.modules.iter().map(|module| &module.name[..]).collect();
        bail!("no module of this name; the modules are {}", names.join(", "));
    }
    tools::rust_target(web::TARGET)?;
    let folders = modules.into_iter().map(build).collect::<Result<Vec<_>>>()?;
    let places: Vec<_> = [(Place::Node, "node"), (Place::Chromium, "chromium")]
        .into_iter()
        .filter(|(place, _)| args.place.is_none_or(|only| only == *place))
        .map(|(_, name)| name)
        .collect();
    let Args { json, quick, case, k, bytes, .. } = args;
    let settings = json!({ "json": json, "quick": quick, "case": case, "k": k, "bytes": bytes });
    let work = json!({ "folders": folders, "places": places, "settings": settings });
    let mut script =
        Cmd::new(tools::test_node()?).arg(root().join("tests/rlnc-bench.mjs")).arg(work.to_string());
    if places.contains(&"chromium") {
        tools::npm_ci("tests")?;
        script = script.env("CHROMIUM", tools::chromium()?);
    }
    script.keep_stdout().run()
}

/// Returns the folder with the module and its JavaScript.
fn build(module: &Module) -> Result<PathBuf> {
    let target = module.target_dir(&Workspace::load()?.target_directory);
    Cmd::cargo()
        .args(["build", "--release", "--target", web::TARGET, "--package=braidcast-bench", "--target-dir"])
        .arg(&target)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", &module.rustflags)
        .run()?;
    let out = target.join("bench-bound");
    Bindgen::new()
        .input_path(target.join(web::TARGET).join("release/braidcast-bench.wasm"))
        .out_name("bench")
        .web(true)?
        .typescript(false)
        .generate(&out)?;
    Ok(out)
}
