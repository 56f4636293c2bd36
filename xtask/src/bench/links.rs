//! `cargo xtask bench webrtc`: one connection, ours beside js-libp2p's.

use anyhow::Result;
use serde_json::json;
use wasm_bindgen_cli_support::Bindgen;

use crate::process::Cmd;
use crate::workspace::{Workspace, root};
use crate::{tools, web};

const PACKAGE: &str = "braidcast-bench-links";

/// Streams over one connection: two Chromium processes over /webrtc, and Chromium with a native node over webrtc-direct and
/// WebSocket.
///
/// Both ends are ours, our transport compiled as the npm package is, or both are js-libp2p's, in the page and in Node.js. Further
/// figures say who sets the limit: js-libp2p's page with our native node, and a data channel between pages with nothing above it
/// (`plain`). All is on loopback. Of `--runs` runs, in turns, the median. A transfer ends when the receiver has said that it has
/// everything; the first byte is that of a stream's answer, counted from the dial; over /webrtc the relay is ours, and the
/// connection to it is there already.
#[derive(clap::Args)]
pub(super) struct Args {
    /// One JSON object per line.
    #[arg(long)]
    json: bool,
    /// Bytes of a transfer, in MiB.
    #[arg(long, default_value_t = 64)]
    mib: u32,
    #[arg(long, default_value_t = 3)]
    runs: u32,
    /// Only this connection.
    #[arg(long, value_name = "KIND")]
    link: Option<Link>,
}

#[derive(clap::ValueEnum, Clone, Copy)]
enum Link {
    Webrtc,
    WebrtcDirect,
    Websocket,
}

pub(super) fn run(args: &Args) -> Result<()> {
    tools::rust_target(web::TARGET)?;
    let chromium = tools::chromium()?;
    tools::npm_ci("tests")?;
    // For the bundler.
    tools::npm_ci("www")?;
    Cmd::cargo().args(["build", "--release", "--package", PACKAGE]).run()?;
    Cmd::cargo()
        .args(["build", "--profile=web", "--target", web::TARGET, "--package", PACKAGE])
        // As for the npm package, with which it shares what is compiled.
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", web::remap_sources()?)
        .run()?;
    let target = Workspace::load()?.target_directory;
    let page = target.join("links-bound");
    Bindgen::new()
        .input_path(target.join(web::TARGET).join("web").join(format!("{PACKAGE}.wasm")))
        .out_name("links")
        .web(true)?
        .typescript(false)
        .generate(&page)?;
    let link = args.link.map(|link| match link {
        Link::Webrtc => "webrtc",
        Link::WebrtcDirect => "webrtc-direct",
        Link::Websocket => "websocket",
    });
    let work = json!({
        "native": target.join("release").join(PACKAGE), "page": page, "link": link,
        "json": args.json, "mib": args.mib, "runs": args.runs,
    });
    Cmd::new(tools::test_node()?)
        .arg(root().join("tests/links-bench.mjs"))
        .arg(work.to_string())
        .env("CHROMIUM", chromium)
        .keep_stdout()
        .run()
}
