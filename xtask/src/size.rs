//! `cargo xtask size`: what a page downloads, and whether it keeps to the budget.

use std::fmt;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use crate::config::{Budget, Config, Limit};
use crate::web::{self, Quality};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// One JSON object per line instead of a table.
    #[arg(long)]
    json: bool,
    /// Fail when the package is over the budget in wasm-pack.toml.
    #[arg(long)]
    check: bool,
}

/// Bytes of one kind of file; several files are compressed one by one, as a server does.
#[derive(Serialize, Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Size {
    file: &'static str,
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
    if args.check { hold(&sizes, &config.budget) } else { Ok(()) }
}

/// The fence: `size --check`, with the figures on standard error.
pub(crate) fn check() -> Result<()> {
    let (sizes, config) = build_and_measure()?;
    sizes.iter().for_each(|size| eprintln!("{size}"));
    hold(&sizes, &config.budget)
}

fn build_and_measure() -> Result<([Size; 3], Config)> {
    // What lies there may be old, or a dev build.
    web::build(Quality::Shipped)?;
    let config = Config::load()?;
    Ok((measure(&config.build.dist())?, config))
}

/// The lines `wasm`, `js` and `total`.
fn measure(dist: &Path) -> Result<[Size; 3]> {
    let wasm = sum("wasm", &files(dist, "wasm")?)?;
    let js = sum("js", &files(dist, "js")?)?;
    Ok([wasm, js, wasm.plus(js, "total")])
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

fn sum(file: &'static str, paths: &[PathBuf]) -> Result<Size> {
    let mut total = Size { file, ..Size::default() };
    for path in paths {
        total = total.plus(Size::of(&fs::read(path)?)?, file);
    }
    Ok(total)
}

impl Size {
    fn of(bytes: &[u8]) -> Result<Self> {
        Ok(Self { file: "", raw: bytes.len() as u64, gzip: gzip(bytes)?, brotli: brotli(bytes)? })
    }

    fn plus(self, other: Self, file: &'static str) -> Self {
        Self {
            file,
            raw: self.raw + other.raw,
            gzip: self.gzip + other.gzip,
            brotli: self.brotli + other.brotli,
        }
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, raw, gzip, brotli } = self;
        write!(f, "{file:<6} {raw:>9} raw {gzip:>9} gzip {brotli:>9} brotli")
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

fn hold(sizes: &[Size], budget: &Budget) -> Result<()> {
    let over: Vec<_> = sizes.iter().flat_map(|size| excesses(size, budget)).collect();
    if !over.is_empty() {
        bail!("over the budget in wasm-pack.toml: {}", over.join("; "));
    }
    Ok(())
}

fn excesses(size: &Size, budget: &Budget) -> Vec<String> {
    let limit: &Limit = match size.file {
        "wasm" => &budget.wasm,
        "js" => &budget.js,
        _ => return Vec::new(),
    };
    [("raw", size.raw, limit.raw), ("brotli", size.brotli, limit.brotli)]
        .into_iter()
        .filter(|(_, actual, limit)| actual > limit)
        .map(|(form, actual, limit)| format!("{} is {actual} bytes {form}, the budget {limit}", size.file))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Budget = Budget { wasm: Limit { raw: 100, brotli: 50 }, js: Limit { raw: 10, brotli: 5 } };

    #[test]
    fn one_byte_over_the_budget_names_both_numbers() {
        let sizes = [Size { file: "wasm", raw: 100, gzip: 0, brotli: 51 }];
        let error = hold(&sizes, &BUDGET).unwrap_err().to_string();
        assert!(error.ends_with("wasm is 51 bytes brotli, the budget 50"), "{error}");
    }

    #[test]
    fn exactly_the_budget_is_within_it() {
        let sizes = [
            Size { file: "wasm", raw: 100, gzip: 99, brotli: 50 },
            Size { file: "js", raw: 10, gzip: 99, brotli: 5 },
        ];
        hold(&sizes, &BUDGET).unwrap();
    }

    #[test]
    fn the_json_line_has_the_published_fields() {
        let line = serde_json::to_string(&Size { file: "js", raw: 1, gzip: 2, brotli: 3 }).unwrap();
        assert_eq!(line, r#"{"file":"js","raw":1,"gzip":2,"brotli":3}"#);
    }

    #[test]
    fn compression_is_measured_not_guessed() {
        let size = Size::of(&[7; 10_000]).unwrap();
        assert_eq!(size.raw, 10_000);
        assert!(size.gzip < 100 && size.brotli < size.gzip);
    }
}
