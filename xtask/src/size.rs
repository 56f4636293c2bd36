//! `cargo xtask size`: what a page downloads, and whether it keeps to the budget.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use crate::config::{Config, Limit};
use crate::web::{self, Quality};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// Fail when something is over its limit in wasm-pack.toml.
    #[arg(long)]
    check: bool,
}

/// Bytes of one kind of file; several files are compressed one by one, as a server does.
#[derive(Serialize, Clone, PartialEq, Eq, Debug, Default)]
struct Size {
    file: String,
    raw: u64,
    gzip: u64,
    brotli: u64,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let (sizes, config) = build_and_measure()?;
    for size in &sizes {
        if args.json {
            println!("{}", serde_json::to_string(size)?);
        } else {
            println!("{size}");
        }
    }
    if args.check { hold(&sizes, &config) } else { Ok(()) }
}

/// The fence: `size --check`, with the figures on standard error.
pub(crate) fn check() -> Result<()> {
    let (sizes, config) = build_and_measure()?;
    sizes.iter().for_each(|size| eprintln!("{size}"));
    hold(&sizes, &config)
}

fn build_and_measure() -> Result<(Vec<Size>, Config)> {
    // What lies there may be old, or a dev build.
    web::build(Quality::Shipped)?;
    let config = Config::load()?;
    let sizes = measure(&config)?;
    Ok((sizes, config))
}

/// A line per module, then `wasm`, the larger of them, `js`, and `total`: a page loads one module.
fn measure(config: &Config) -> Result<Vec<Size>> {
    let mut sizes = Vec::new();
    for module in &config.modules {
        let file = module.file();
        sizes.push(sum(&file, &[config.build.wasm().join(&file)])?);
    }
    let wasm = largest(&sizes).named("wasm");
    let js = sum("js", &files(&config.build.dist(), "js")?)?;
    let total = wasm.plus(&js).named("total");
    sizes.extend([wasm, js, total]);
    Ok(sizes)
}

/// By what is downloaded.
fn largest(sizes: &[Size]) -> Size {
    sizes.iter().max_by_key(|size| size.brotli).cloned().unwrap_or_default()
}

fn files(dir: &Path, extension: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path, extension)?);
        } else if path.extension().is_some_and(|actual| actual == extension) {
            found.push(path);
        }
    }
    Ok(found)
}

fn sum(file: &str, paths: &[PathBuf]) -> Result<Size> {
    let mut total = Size::default();
    for path in paths {
        total = total.plus(&Size::of(&fs::read(path)?)?);
    }
    Ok(total.named(file))
}

impl Size {
    fn of(bytes: &[u8]) -> Result<Self> {
        Ok(Self { file: String::new(), raw: bytes.len() as u64, gzip: gzip(bytes)?, brotli: brotli(bytes)? })
    }

    fn plus(&self, other: &Self) -> Self {
        Self {
            file: String::new(),
            raw: self.raw + other.raw,
            gzip: self.gzip + other.gzip,
            brotli: self.brotli + other.brotli,
        }
    }

    fn named(self, file: &str) -> Self {
        Self { file: file.to_owned(), ..self }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, raw, gzip, brotli } = self;
        write!(f, "{file:<17} {raw:>9} raw {gzip:>9} gzip {brotli:>9} brotli")
    }
}

/// As `gzip -9`.
fn gzip(bytes: &[u8]) -> Result<u64> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?.len() as u64)
}

/// As `brotli -q 11`.
fn brotli(bytes: &[u8]) -> Result<u64> {
    let mut out = Vec::new();
    let parameters = brotli::enc::BrotliEncoderParams { size_hint: bytes.len(), ..Default::default() };
    brotli::BrotliCompress(&mut &bytes[..], &mut out, &parameters)?;
    Ok(out.len() as u64)
}

fn hold(sizes: &[Size], config: &Config) -> Result<()> {
    let modules = config.modules.iter().map(|module| (module.file(), module.limit));
    let limits: Vec<_> = modules.chain([("js".to_owned(), config.js.limit)]).collect();
    let over: Vec<_> = sizes
        .iter()
        .filter_map(|size| Some((size, limits.iter().find(|(file, _)| *file == size.file)?.1)))
        .flat_map(|(size, limit)| excesses(size, limit))
        .collect();
    if !over.is_empty() {
        bail!("over the limit in wasm-pack.toml: {}", over.join("; "));
    }
    Ok(())
}

fn excesses(size: &Size, limit: Limit) -> Vec<String> {
    [("raw", size.raw, limit.raw), ("brotli", size.brotli, limit.brotli)]
        .into_iter()
        .filter(|(_, actual, limit)| actual > limit)
        .map(|(form, actual, limit)| format!("{} is {actual} bytes {form}, the limit {limit}", size.file))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(file: &str, raw: u64, brotli: u64) -> Size {
        Size { file: file.into(), raw, gzip: 0, brotli }
    }

    #[test]
    fn one_byte_over_a_limit_names_both_numbers() {
        let config = Config::load().unwrap();
        let Limit { raw, brotli } = config.modules[1].limit;
        let file = config.modules[1].file();
        let error = hold(&[size(&file, raw, brotli + 1)], &config).unwrap_err().to_string();
        assert!(
            error.ends_with(&format!("{file} is {} bytes brotli, the limit {brotli}", brotli + 1)),
            "{error}"
        );
    }

    #[test]
    fn exactly_the_limit_is_within_it() {
        let config = Config::load().unwrap();
        let Limit { raw, brotli } = config.js.limit;
        hold(&[size("js", raw, brotli), size("total", u64::MAX, u64::MAX)], &config).unwrap();
    }

    #[test]
    fn a_page_loads_one_module() {
        let modules = [size("a.wasm", 100, 50), size("b.wasm", 90, 60)];
        assert_eq!(largest(&modules).named("wasm"), size("wasm", 90, 60));
    }

    #[test]
    fn the_json_line_has_the_published_fields() {
        let line = serde_json::to_string(&Size { file: "js".into(), raw: 1, gzip: 2, brotli: 3 }).unwrap();
        assert_eq!(line, r#"{"file":"js","raw":1,"gzip":2,"brotli":3}"#);
    }

    #[test]
    fn compression_is_measured_not_guessed() {
        let size = Size::of(&[7; 10_000]).unwrap();
        assert_eq!(size.raw, 10_000);
        assert!(size.gzip < 100 && size.brotli < size.gzip);
    }
}
