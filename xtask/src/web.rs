//! `cargo xtask web`: cargo, wasm-bindgen, wasm-opt, tsc, in this order, into `web/dist`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::config::{Build, Config};
use crate::process::Cmd;
use crate::tools;
use crate::workspace::Workspace;

pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Build fast and large: cargo's dev profile, no wasm-opt.
    #[arg(long)]
    dev: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let quality = if args.dev { Quality::Dev } else { Quality::Shipped };
    build(quality)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Quality {
    Shipped,
    Dev,
}

pub(crate) fn build(quality: Quality) -> Result<()> {
    let config = Config::load()?;
    let folder = config.build.crate_dir.to_str().context("the crate's folder is not UTF-8")?;
    tools::rust_target(TARGET)?;
    tools::npm_ci(folder)?;
    let compiled = compile(&config.build, quality)?;
    bind_and_shrink(&config, &compiled, quality)?;
    Cmd::new(tools::npm_bin(folder, "tsc")).args(["-p", folder]).run()
}

/// Has cargo make the module; returns its path.
fn compile(build: &Build, quality: Quality) -> Result<PathBuf> {
    let (profile, output) = match quality {
        Quality::Shipped => (build.profile.as_str(), build.profile.as_str()),
        Quality::Dev => ("dev", "debug"),
    };
    Cmd::cargo()
        .args(["build", "--target", TARGET, "--profile", profile, "--package", &build.package])
        .arg(format!("--features={}", build.features.join(",")))
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", remap_sources()?)
        .run()?;
    let target_dir = Workspace::load()?.target_directory;
    Ok(target_dir.join(TARGET).join(output).join(format!("{}.wasm", build.stem())))
}

/// Flags that shorten the paths of dependencies in panic messages to `crate-1.2.3/src/file.rs`: a page need not tell
/// its visitors on whose machine it was built, and two machines build the same bytes.
fn remap_sources() -> Result<String> {
    // A bare clone has no sources yet, and the flags would change with the second build.
    Cmd::cargo().args(["fetch", "--quiet", "--target", TARGET]).run()?;
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home =
        home.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).context("no CARGO_HOME and no home")?;
    let mut registries: Vec<_> =
        fs::read_dir(home.join("registry/src"))?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    registries.sort();
    Ok(registries.iter().map(|path| format!("--remap-path-prefix={}/= ", path.display())).collect())
}

/// wasm-bindgen and wasm-opt, skipped while the compiled module is the one that they saw last.
fn bind_and_shrink(config: &Config, compiled: &Path, quality: Quality) -> Result<()> {
    let out = config.build.wasm();
    let stamp_file = out.join(".stamp");
    let stamp = stamp(compiled, quality, &config.wasm_opt.flags)?;
    if fs::read_to_string(&stamp_file).is_ok_and(|last| last == stamp) {
        eprintln!("{} is up to date", out.display());
        return Ok(());
    }
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    bind(compiled, &out)?;
    if quality == Quality::Shipped {
        shrink(config, &out.join(format!("{}_bg.wasm", config.build.stem())))?;
    }
    Ok(fs::write(stamp_file, stamp)?)
}

fn bind(compiled: &Path, out: &Path) -> Result<()> {
    eprintln!("wasm-bindgen {}", compiled.display());
    let mut output = Bindgen::new().input_path(compiled).web(true)?.typescript(true).generate_output()?;
    let imported: Vec<_> =
        output.wasm().imports.iter().map(|import| (import.module.as_str(), import.name.as_str())).collect();
    if let Some(complaint) = foreign_imports(&imported) {
        bail!(complaint);
    }
    output.emit(out)
}

/// A symbol that rustc's linker could not find becomes an import from "env", which no browser provides.
fn foreign_imports(imported: &[(&str, &str)]) -> Option<String> {
    let names: Vec<_> =
        imported.iter().filter(|(module, _)| *module == "env").map(|(_, name)| *name).collect();
    (!names.is_empty()).then(|| {
        format!(
            "the wasm module imports {} from \"env\": a C library or an extern block got in",
            names.join(", ")
        )
    })
}

fn shrink(config: &Config, module: &Path) -> Result<()> {
    let before = fs::metadata(module)?.len();
    Cmd::new(config.build.crate_dir().join("node_modules/.bin/wasm-opt"))
        .args(&config.wasm_opt.flags)
        .arg(module)
        .arg("-o")
        .arg(module)
        .run()
        .context("wasm-opt comes from the npm package `binaryen`, a devDependency of the browser package")?;
    eprintln!("wasm-opt: {before} -> {} bytes", fs::metadata(module)?.len());
    Ok(())
}

fn stamp(compiled: &Path, quality: Quality, flags: &[String]) -> Result<String> {
    let file = fs::metadata(compiled).with_context(|| format!("cargo left no {}", compiled.display()))?;
    let time = file.modified()?.duration_since(UNIX_EPOCH)?.as_nanos();
    Ok(format!("{} bytes, {time} ns, {quality:?}, {flags:?}\n", file.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_import_from_env_is_named() {
        let complaint = foreign_imports(&[("wbg", "__wbg_now"), ("env", "clock_gettime")]).unwrap();
        assert!(complaint.contains("clock_gettime") && !complaint.contains("__wbg_now"));
        assert_eq!(foreign_imports(&[("wbg", "__wbg_now")]), None);
    }
}
