//! Runs one wasm test binary in Node.js, as cargo's runner for wasm32.
//!
//! `wasm-bindgen-test` leaves one exported function per test, and a context that runs them and prints as libtest
//! does. What remains is to bind the module and to hand the one to the other, which `wasm_runner.cjs` does. The
//! package `wasm-bindgen-cli` has a runner for browsers too, at the price of a hundred dependencies.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use wasm_bindgen_cli_support::Bindgen;

use crate::process::Cmd;
use crate::tools;

const SCRIPT: &str = include_str!("wasm_runner.cjs");

#[derive(clap::Args)]
pub(crate) struct Args {
    /// The module that cargo built.
    module: PathBuf,
    /// Run only tests whose name contains this.
    #[arg(default_value = "")]
    filter: String,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    if !holds_tests(&fs::read(&args.module)?) {
        println!("no tests in {}", args.module.display());
        return Ok(());
    }
    let out = args.module.with_extension("runner");
    bind(&args.module, &out)?;
    fs::write(out.join("run.cjs"), SCRIPT)?;
    let status =
        Cmd::new(tools::test_node()?).arg(out.join("run.cjs")).arg(&args.filter).keep_stdout().status()?;
    fs::remove_dir_all(&out)?;
    if !status.success() {
        bail!("tests failed in {}", args.module.display());
    }
    Ok(())
}

/// A module without tests lacks the context too, and cannot be bound.
fn holds_tests(module: &[u8]) -> bool {
    let prefix = b"__wbgt_";
    module.windows(prefix.len()).any(|bytes| bytes == prefix)
}

fn bind(module: &Path, out: &Path) -> Result<()> {
    Bindgen::new()
        .input_path(module)
        .out_name("tests")
        .nodejs(true)?
        .typescript(false)
        .debug(true)
        .emit_start(false)
        .generate(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_without_tests_is_recognised() {
        assert!(holds_tests(b"\0asm..__wbgt__tests::adds"));
        assert!(!holds_tests(b"\0asm..__wbindgen_malloc"));
    }
}
