//! The settings of the browser build: `wasm-pack.toml`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::workspace::root;

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) build: Build,
    pub(crate) wasm_opt: WasmOpt,
    #[serde(rename = "module")]
    pub(crate) modules: Vec<Module>,
    pub(crate) js: Js,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Build {
    /// The folder of the npm package and of the crate inside it.
    #[serde(rename = "crate")]
    pub(crate) crate_dir: PathBuf,
    pub(crate) package: String,
    /// Cargo profile of the build that is shipped.
    pub(crate) profile: String,
    pub(crate) features: Vec<String>,
    /// What is shipped; TypeScript's output.
    pub(crate) dist: PathBuf,
    /// Where wasm-bindgen's output goes, inside `dist`.
    pub(crate) wasm: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WasmOpt {
    pub(crate) flags: Vec<String>,
}

/// The same crate built for one instruction set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Module {
    /// The file is `<name>.wasm`.
    pub(crate) name: String,
    pub(crate) rustflags: String,
    pub(crate) wasm_opt: Vec<String>,
    pub(crate) limit: Limit,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Js {
    pub(crate) limit: Limit,
}

/// The most bytes that may be shipped, uncompressed and after brotli.
#[derive(Deserialize, Clone, Copy)]
#[serde(deny_unknown_fields)]
pub(crate) struct Limit {
    pub(crate) raw: u64,
    pub(crate) brotli: u64,
}

impl Config {
    pub(crate) fn load() -> Result<Self> {
        let path = root().join("wasm-pack.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        toml::from_str(&text).context("wasm-pack.toml")
    }
}

impl Module {
    /// Where cargo builds it, in its own folder below `target`: cargo keeps one set of flags per folder.
    pub(crate) fn target_dir(&self, target: &Path) -> PathBuf {
        if self.rustflags.is_empty() { target.to_owned() } else { target.join(&self.name) }
    }

    /// The file that is shipped.
    pub(crate) fn file(&self) -> String {
        format!("{}.wasm", self.name)
    }
}

impl Build {
    pub(crate) fn crate_dir(&self) -> PathBuf {
        root().join(&self.crate_dir)
    }

    pub(crate) fn dist(&self) -> PathBuf {
        root().join(&self.dist)
    }

    pub(crate) fn wasm(&self) -> PathBuf {
        self.dist().join(&self.wasm)
    }

    /// The crate's name as rustc and wasm-bindgen spell it.
    pub(crate) fn stem(&self) -> String {
        self.package.replace('-', "_")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_committed_settings_parse() {
        let config = Config::load().unwrap();
        assert_eq!(config.build.stem(), "braidcast_web");
        assert!(config.build.crate_dir().join("Cargo.toml").exists());
        assert!(config.modules.iter().all(|module| module.limit.brotli < module.limit.raw));
    }

    #[test]
    fn a_misspelt_setting_is_an_error() {
        let text = fs::read_to_string(root().join("wasm-pack.toml")).unwrap();
        let misspelt = text.replace("profile =", "profil =");
        assert_ne!(text, misspelt);
        assert!(toml::from_str::<Config>(&misspelt).is_err());
    }
}
