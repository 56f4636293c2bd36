//! The coding engine where a usual test cannot look.

use anyhow::Result;

use crate::process::Cmd;
use crate::tools;

const CRATE: &str = "braidcast-rlnc";

/// Linked by Rust's own linker with a C library that Rust brings, so that no cross compiler is needed.
const ARM: &str = "aarch64-unknown-linux-musl";

/// The unit tests under Miri: the scalar kernel, the tiles that all kernels share (with vectors of plain Rust), and the
/// safe code above them. It cannot run every vendor's intrinsics; `tests/kernels.rs` compares those natively.
pub(crate) fn miri() -> Result<()> {
    tools::miri()?;
    Cmd::new("rustup")
        .args(["run", "nightly", "cargo", "miri", "test", "--lib", "--package", CRATE])
        .keep_stdout()
        .run()
}

/// All tests, those of every kernel against the scalar one included, as ARM code on a processor that QEMU plays.
pub(crate) fn neon() -> Result<()> {
    tools::rust_target(ARM)?;
    let qemu = tools::qemu_arm()?;
    Cmd::cargo()
        .args(["test", "--release", "--lib", "--tests", "--target", ARM, "--package", CRATE])
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER", "rust-lld")
        .env("CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUNNER", qemu)
        .keep_stdout()
        .run()
}
