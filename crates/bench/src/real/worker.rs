//! One node in a process of its own: orders on standard input, reports on standard output, a line of JSON each.
//!
//! The end of standard input ends it.

use std::{io::BufRead as _, time::Duration};

use anyhow::ensure;
use braidcast_core::machine::Rng;
use braidcast_net::Payload;
use bytes::{BufMut as _, BytesMut};
use libp2p::Multiaddr;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, time::interval};

use super::{
    System,
    braidcast::Braidcast,
    gossipsub::Gossipsub,
    node::{Links, Node},
};

/// What the coordinator says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Dial these, and report until there are `peers` connections and a mesh.
    Join { addresses: Vec<String>, peers: usize },
    /// Publish a message of this length and number.
    Publish { number: u64, bytes: usize },
    /// Report the processor time used so far.
    Cpu,
}

/// What a worker says. Times are of the machine's monotonic clock, in nanoseconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// It can be dialled there.
    Listening(String),
    /// So many links of so many wanted; nothing more comes when it has them.
    Links { peers: usize, wanted_peers: usize, neighbours: usize, wanted_neighbours: usize },
    /// Handed to the system now.
    Published { number: u64, at: u64 },
    /// The system did not take it.
    Refused { number: u64, why: String },
    /// It came, whole and as it was published.
    Delivered { number: u64, at: u64 },
    /// User and system time of the whole process, in nanoseconds.
    Cpu(u64),
}

/// Writes a line.
pub(crate) fn tell(report: &Report) {
    println!("{}", serde_json::to_string(report).expect("numbers and texts"));
}

#[derive(clap::Args)]
pub(crate) struct Args {
    system: System,
    #[arg(long)]
    listen: Multiaddr,
    /// Makes its key.
    #[arg(long)]
    number: u64,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let (listen, seed) = (args.listen.clone(), seed(args.number));
    // As the program `braidcast` has it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let serving = match args.system {
        System::Braidcast => runtime.spawn(serve::<Braidcast>(listen, seed)),
        System::Gossipsub => runtime.spawn(serve::<Gossipsub>(listen, seed)),
    };
    runtime.block_on(serving)?
}

async fn serve<N: Node>(listen: Multiaddr, seed: [u8; 32]) -> anyhow::Result<()> {
    let mut node = N::start(listen, seed).await?;
    tell(&Report::Listening(node.address()));
    let mut orders = orders();
    let noise = noise();
    let mut last = None;
    let mut wanted: Option<Links> = None;
    let mut look = interval(LOOK);
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return Ok(()),
                Some(Order::Join { addresses, peers }) => {
                    for address in addresses {
                        node.dial(address.parse()?).await?;
                    }
                    wanted = Some(Links { peers, neighbours: peers.min(N::NEIGHBOURS_MIN) });
                }
                Some(Order::Publish { number, bytes }) => {
                    let payload = message(number, bytes, &noise)?;
                    tell(&Report::Published { number, at: nanos(ClockId::Monotonic) });
                    node.publish(number, payload.into());
                }
                Some(Order::Cpu) => tell(&Report::Cpu(nanos(ClockId::ProcessCPUTime))),
            },
            payload = node.next() => {
                let at = nanos(ClockId::Monotonic);
                tell(&Report::Delivered { number: check(&payload?, &noise)?, at });
            }
            _ = look.tick(), if wanted.is_some() => {}
        }
        let links = node.links();
        if let Some(Links { peers, neighbours }) = wanted
            && last != Some(links)
        {
            last = Some(links);
            tell(&Report::Links {
                peers: links.peers,
                wanted_peers: peers,
                neighbours: links.neighbours,
                wanted_neighbours: neighbours,
            });
            wanted = wanted.filter(|_| links.peers < peers || links.neighbours < neighbours);
        }
    }
}

/// What comes on standard input; ends with it.
fn orders() -> mpsc::UnboundedReceiver<Order> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            let order = serde_json::from_str(&line).expect("the coordinator is this program");
            if sender.send(order).is_err() {
                break;
            }
        }
    });
    receiver
}

/// Its number, and what no compression shortens.
fn message(number: u64, bytes: usize, noise: &[u8]) -> anyhow::Result<BytesMut> {
    ensure!((8..=noise.len()).contains(&bytes), "a message has 8 to {} bytes, not {bytes}", noise.len());
    let mut message = BytesMut::with_capacity(bytes);
    message.put_u64(number);
    message.put_slice(&noise[8..bytes]);
    Ok(message)
}

/// The number of a message that is as it was published.
fn check(payload: &Payload, noise: &[u8]) -> anyhow::Result<u64> {
    let mut number = [0; 8];
    let mut offset = 0;
    for segment in payload.segments() {
        for (at, &byte) in segment.iter().enumerate().take(8_usize.saturating_sub(offset)) {
            number[offset + at] = byte;
        }
        let head = 8_usize.saturating_sub(offset).min(segment.len());
        let rest = noise.get(offset + head..offset + segment.len());
        ensure!(rest == Some(&segment[head..]), "a message differs from what was published");
        offset += segment.len();
    }
    Ok(u64::from_be_bytes(number))
}

/// The same in every worker.
fn noise() -> Vec<u8> {
    let mut noise = vec![0; LONGEST];
    Rng::from_seed([0; 32]).fill(&mut noise);
    noise
}

fn seed(number: u64) -> [u8; 32] {
    let mut seed = [1; 32];
    seed[..8].copy_from_slice(&number.to_be_bytes());
    seed
}

fn nanos(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// The longest message.
pub(crate) const LONGEST: usize = 16 * 1024 * 1024;
/// Between looks at the mesh while it forms; neither system tells of each change.
const LOOK: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_message_is_known_by_its_number_and_refused_when_it_differs() {
        let noise: Vec<u8> = (0..100).collect();
        let bytes = message(7, 50, &noise).unwrap().freeze();
        assert_eq!(check(&bytes.clone().into(), &noise).unwrap(), 7);
        let cut: Payload = [bytes.slice(..3), bytes.slice(3..20), bytes.slice(20..)].into_iter().collect();
        assert_eq!(check(&cut, &noise).unwrap(), 7);
        let mut other = bytes.to_vec();
        other[30] ^= 1;
        assert!(check(&Bytes::from(other).into(), &noise).is_err());
        assert!(message(7, 101, &noise).is_err());
    }
}
