//! Benchmarks: Braidcast's parts beside their rivals, in one run on one machine; and the laboratory, where whole
//! networks run in virtual time; and real processes of both.
//!
//! Progress goes to standard error. Standard output carries a table, or with `--json` one object per line. Compiled for
//! wasm32 this is a module that benchmarks the coding engine alone.

mod clock;
#[cfg(not(target_arch = "wasm32"))]
mod command;
#[cfg(not(target_arch = "wasm32"))]
mod cpu;
mod figure;
#[cfg(not(target_arch = "wasm32"))]
mod lab;
#[cfg(unix)]
mod real;
mod rlnc;
#[cfg(not(target_arch = "wasm32"))]
mod sim;
#[cfg(not(target_arch = "wasm32"))]
mod size;
#[cfg(not(target_arch = "wasm32"))]
mod soak;

#[cfg(not(target_arch = "wasm32"))]
fn main() -> anyhow::Result<()> {
    command::run()
}

#[cfg(target_arch = "wasm32")]
fn main() {}
