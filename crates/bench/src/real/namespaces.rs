//! A network of the machine's own: a namespace per node, a bridge in one more, and between them links of a limited rate.
//!
//! Nothing is made outside these namespaces, so nothing leaves them, and with them everything is gone. Their names
//! begin with `braid-` and this process's number.

use std::{
    process::{Command, Output, id},
    sync::{Arc, Mutex},
    thread,
};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::geteuid;
use tokio::signal::unix::{SignalKind, signal};

/// How a node's sending is limited: `tc`'s token bucket.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Uplink {
    /// Bits per second.
    pub(crate) rate: u64,
    /// Bytes that may leave at once.
    pub(crate) burst: u64,
    /// Bytes that wait; more are dropped.
    pub(crate) limit: u64,
}

/// Exists until it is dropped, or a signal ends the program.
pub(crate) struct Namespaces {
    nodes: usize,
    made: Arc<Mutex<Made>>,
}

/// Names of namespaces that are there.
#[derive(Default)]
struct Made {
    names: Vec<String>,
    is_over: bool,
}

impl Namespaces {
    pub(crate) fn new(nodes: usize, uplink: Uplink) -> Result<Self> {
        check().context(
            "bench netns needs root, the programs `ip` and `tc` (iproute2), and bridge, veth and sch_tbf in the kernel",
        )?;
        ensure!((2..=250).contains(&nodes), "2 to 250 nodes");
        let made = Arc::<Mutex<Made>>::default();
        remove_on_signal(made.clone())?;
        let namespaces = Self { nodes, made };
        namespaces.make(uplink)?;
        Ok(namespaces)
    }

    fn make(&self, Uplink { rate, burst, limit }: Uplink) -> Result<()> {
        let hub = hub();
        self.add(&hub)?;
        ip(&format!("-n {hub} link add braid-br type bridge"))?;
        ip(&format!("-n {hub} link set braid-br up"))?;
        for number in 0..self.nodes {
            let name = name(number);
            self.add(&name)?;
            ip(&format!("-n {hub} link add braid-{number} type veth peer name braid-up netns {name}"))?;
            ip(&format!("-n {hub} link set braid-{number} master braid-br up"))?;
            ip(&format!("-n {name} address add {}/24 dev braid-up", address(number)))?;
            ip(&format!("-n {name} link set lo up"))?;
            ip(&format!("-n {name} link set braid-up up"))?;
            let bucket = format!("rate {rate}bit burst {burst}b limit {limit}b");
            run("tc", &format!("-n {name} qdisc add dev braid-up root tbf {bucket}"))?;
        }
        Ok(())
    }

    fn add(&self, name: &str) -> Result<()> {
        let mut made = self.made.lock().expect("no code panics while it holds this lock");
        ensure!(!made.is_over, "interrupted");
        ip(&format!("netns add {name}"))?;
        made.names.push(name.into());
        Ok(())
    }

    /// Runs a program as node `number`.
    pub(crate) fn command(&self, number: usize) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &name(number)]);
        command
    }

    /// Bytes that the bridge has had from all nodes, headers included.
    pub(crate) fn sent_bytes(&self) -> Result<u64> {
        let output = run("ip", &format!("netns exec {} cat /proc/net/dev", hub()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let received = |line: &str| -> Option<u64> {
            let (name, counters) = line.trim().split_once(':')?;
            name.strip_prefix("braid-")?.parse::<usize>().ok()?;
            counters.split_whitespace().next()?.parse().ok()
        };
        Ok(text.lines().filter_map(received).sum())
    }
}

/// Of a node, in its namespace.
pub(crate) fn address(number: usize) -> String {
    format!("10.77.0.{}", number + 1)
}

fn hub() -> String {
    format!("braid-{}-hub", id())
}

fn name(number: usize) -> String {
    format!("braid-{}-{number}", id())
}

impl Drop for Namespaces {
    fn drop(&mut self) {
        remove(&self.made);
    }
}

/// Removes all and lets no more be made. Processes inside keep theirs, without a name, until they end.
fn remove(made: &Mutex<Made>) {
    let mut made = made.lock().expect("no code panics while it holds this lock");
    made.is_over = true;
    for name in made.names.drain(..) {
        if let Err(error) = ip(&format!("netns del {name}")) {
            eprintln!("{error:#}");
        }
    }
}

fn remove_on_signal(made: Arc<Mutex<Made>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let listening = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(listening);
    thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                _ = hangup.recv() => {}
            }
        });
        remove(&made);
        // The workers end with their standard input.
        std::process::exit(130);
    });
    Ok(())
}

fn check() -> Result<()> {
    ensure!(geteuid().is_root(), "this is not root");
    run("ip", "-V")?;
    run("tc", "-V")?;
    Ok(())
}

fn ip(args: &str) -> Result<Output> {
    run("ip", args)
}

fn run(program: &str, args: &str) -> Result<Output> {
    let line = format!("{program} {args}");
    let output = Command::new(program).args(args.split(' ')).output().with_context(|| line.clone())?;
    if !output.status.success() {
        bail!("`{line}` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}
