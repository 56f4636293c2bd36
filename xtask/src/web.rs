//! `cargo xtask web`: cargo, wasm-bindgen and wasm-opt for each module, then tsc, into `web/dist`.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::config::{Build, Config, Module};
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
    modules(&config, quality)?;
    Cmd::new(tools::npm_bin(folder, "tsc")).args(["-p", folder]).run()
}

/// Makes all modules at the same time, since linking each keeps one core busy, and puts them beside their JavaScript.
fn modules(config: &Config, quality: Quality) -> Result<()> {
    let rustflags = remap_sources()?;
    let target = Workspace::load()?.target_directory;
    let bound: Vec<PathBuf> = thread::scope(|scope| {
        let makers: Vec<_> = config
            .modules
            .iter()
            .map(|module| {
                let maker = Maker { config, module, quality, target: module.target_dir(&target) };
                let rustflags = &rustflags;
                scope.spawn(move || maker.make(rustflags))
            })
            .collect();
        makers.into_iter().map(|maker| maker.join().expect("no maker panics")).collect::<Result<_>>()
    })?;
    assemble(config, &bound)
}

/// Builds the transport's example for pages, which no package ships; returns the folder with `page.js` beside its module.
pub(crate) fn page(profile: &str) -> Result<PathBuf> {
    tools::rust_target(TARGET)?;
    Cmd::cargo()
        .args([
            "build",
            "--target",
            TARGET,
            "--profile",
            profile,
            "--package=braidcast-webrtc",
            "--example=page",
        ])
        .run()?;
    let output = if profile == "dev" { "debug" } else { profile };
    let examples = Workspace::load()?.target_directory.join(TARGET).join(output).join("examples");
    let out = examples.join("page-bound");
    bind(&examples.join("page.wasm"), &out)?;
    Ok(out)
}

/// Copies every module, and the JavaScript that they share, to where the package ships them.
fn assemble(config: &Config, bound: &[PathBuf]) -> Result<()> {
    let (stem, out) = (config.build.stem(), config.build.wasm());
    let glue = [format!("{stem}.js"), format!("{stem}.d.ts")];
    let texts = glue.iter().map(|file| shared(bound, file)).collect::<Result<Vec<_>>>()?;
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    for (file, text) in glue.iter().zip(texts) {
        fs::write(out.join(file), text)?;
    }
    for (module, folder) in config.modules.iter().zip(bound) {
        fs::copy(folder.join(format!("{stem}_bg.wasm")), out.join(module.file()))?;
    }
    Ok(())
}

/// The file that is the same in all folders.
fn shared(folders: &[PathBuf], file: &str) -> Result<Vec<u8>> {
    let paths: Vec<_> = folders.iter().map(|folder| folder.join(file)).collect();
    let texts = paths.iter().map(fs::read).collect::<Result<Vec<_>, _>>()?;
    if let Some(other) = texts.iter().position(|text| *text != texts[0]) {
        let (one, other) = (paths[0].display(), paths[other].display());
        bail!("the modules need different JavaScript, and one is shipped for all: diff {one} {other}");
    }
    texts.into_iter().next().context("wasm-pack.toml names no module")
}

/// Makes one module.
struct Maker<'a> {
    config: &'a Config,
    module: &'a Module,
    quality: Quality,
    target: PathBuf,
}

impl Maker<'_> {
    /// cargo, wasm-bindgen, wasm-opt; returns the folder with the module and its JavaScript.
    fn make(&self, rustflags: &str) -> Result<PathBuf> {
        let compiled = self.compile(rustflags)?;
        let out = self.target.join("web-bound");
        self.bind_and_shrink(&compiled, &out).with_context(|| format!("module {}", self.module.name))?;
        Ok(out)
    }

    /// Has cargo make the module; returns its path.
    fn compile(&self, rustflags: &str) -> Result<PathBuf> {
        let build = &self.config.build;
        let (profile, output) = match self.quality {
            Quality::Shipped => (build.profile.as_str(), build.profile.as_str()),
            Quality::Dev => ("dev", "debug"),
        };
        Cmd::cargo()
            .args(["build", "--target", TARGET, "--profile", profile, "--package", &build.package])
            .arg(format!("--features={}", build.features.join(",")))
            .arg("--target-dir")
            .arg(&self.target)
            .env(
                "CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS",
                format!("{rustflags}{}", self.module.rustflags),
            )
            .run()?;
        Ok(self.target.join(TARGET).join(output).join(format!("{}.wasm", build.stem())))
    }

    /// wasm-bindgen and wasm-opt, skipped while the compiled module is the one that they saw last.
    fn bind_and_shrink(&self, compiled: &Path, out: &Path) -> Result<()> {
        let flags: Vec<&String> = self.config.wasm_opt.flags.iter().chain(&self.module.wasm_opt).collect();
        let stamp_file = out.join(".stamp");
        let stamp = stamp(compiled, self.quality, &flags)?;
        if fs::read_to_string(&stamp_file).is_ok_and(|last| last == stamp) {
            eprintln!("{} is up to date", self.module.name);
            return Ok(());
        }
        if out.exists() {
            fs::remove_dir_all(out)?;
        }
        bind(compiled, out)?;
        if self.quality == Quality::Shipped {
            let bound = out.join(format!("{}_bg.wasm", self.config.build.stem()));
            shrink(&self.config.build, &flags, &bound)?;
        }
        Ok(fs::write(stamp_file, stamp)?)
    }
}

/// Flags that shorten the paths of dependencies in panic messages to `crate-1.2.3/src/file.rs`: a page need not tell
/// its visitors on whose machine it was built, and two machines build the same bytes.
pub(crate) fn remap_sources() -> Result<String> {
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

fn shrink(build: &Build, flags: &[&String], module: &Path) -> Result<()> {
    let before = fs::metadata(module)?.len();
    Cmd::new(build.crate_dir().join("node_modules/.bin/wasm-opt"))
        .args(flags)
        .arg(module)
        .arg("-o")
        .arg(module)
        .run()
        .context("wasm-opt comes from the npm package `binaryen`, a devDependency of the browser package")?;
    eprintln!("wasm-opt: {before} -> {} bytes", fs::metadata(module)?.len());
    Ok(())
}

fn stamp(compiled: &Path, quality: Quality, flags: &[&String]) -> Result<String> {
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

    #[test]
    fn modules_that_need_different_javascript_are_an_error() {
        let folders = ["one", "other"]
            .map(|name| std::env::temp_dir().join(format!("glue-{}-{name}", std::process::id())));
        for folder in &folders {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("same.js"), "call_1()").unwrap();
            fs::write(folder.join("own.js"), folder.to_str().unwrap()).unwrap();
        }
        assert_eq!(shared(&folders, "same.js").unwrap(), b"call_1()");
        let error = shared(&folders, "own.js").unwrap_err().to_string();
        folders.iter().for_each(|folder| fs::remove_dir_all(folder).unwrap());
        assert!(
            error.contains("different JavaScript") && error.contains(folders[1].to_str().unwrap()),
            "{error}"
        );
    }
}
