//! Fingerprints of the code that decides what a simulated run gives, so that figures can be kept and known to be old.

use std::{
    collections::BTreeSet,
    env, fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io,
    path::{Path, PathBuf},
};

/// What every system runs in.
const WORLD: &[&str] = &["crates/bench/src/lab", "crates/machine", "crates/sim/src", "crates/wire"];
/// Of these, what does not concern every system.
const NOT_WORLD: &[&str] = &["crates/bench/src/lab/braid.rs", "crates/bench/src/lab/tests.rs"];
/// Of Braidcast.
const BRAIDCAST: &[&str] =
    &["Cargo.lock", "crates/bench/src/lab/braid.rs", "crates/core", "crates/mesh", "crates/rlnc"];

fn main() -> io::Result<()> {
    let bench = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo says where it builds"));
    let root = bench.join("../..");
    let world = fingerprint(&root, WORLD, NOT_WORLD)?;
    let braidcast = fingerprint(&root, BRAIDCAST, &[])?;
    println!("cargo::rustc-env=LAB_WORLD={world:016x}");
    println!("cargo::rustc-env=LAB_BRAIDCAST={world:016x}{braidcast:016x}");
    Ok(())
}

fn fingerprint(root: &Path, parts: &[&str], except: &[&str]) -> io::Result<u64> {
    let mut files = BTreeSet::new();
    for part in parts {
        println!("cargo::rerun-if-changed={}", root.join(part).display());
        collect(&root.join(part), &mut files)?;
    }
    let mut hasher = DefaultHasher::new();
    for file in files {
        let name = file.strip_prefix(root).expect("it was found there");
        if !except.iter().any(|part| name.starts_with(part)) {
            (name, fs::read(&file)?).hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    if path.is_file() {
        files.insert(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}
