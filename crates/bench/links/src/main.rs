//! Peers that measure one connection and nothing above it; `cargo xtask bench webrtc` runs them.
//!
//! Natively, a peer for pages to dial: it listens for WebSocket and webrtc-direct, lets pages through to each other, and
//! answers. Compiled for wasm32, the peer in the page.

#[cfg(not(target_arch = "wasm32"))]
mod native;
#[cfg(target_arch = "wasm32")]
mod page;
mod perf;

#[cfg(not(target_arch = "wasm32"))]
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    native::run().await
}

#[cfg(target_arch = "wasm32")]
fn main() {}
