//! All workers of one system.

use std::{
    collections::BTreeSet,
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    thread,
    time::Duration,
};

use anyhow::{Context as _, bail};

use super::{
    System,
    acquaintances::degrees,
    worker::{Order, Report},
};

/// Running workers; they end with it.
pub(crate) struct Fleet {
    pub(crate) system: System,
    workers: Vec<Worker>,
    /// `None` when a worker has ended.
    reports: Receiver<(usize, Option<Report>)>,
    /// Of the next message.
    number: u64,
}

struct Worker {
    child: Child,
    orders: Option<ChildStdin>,
}

impl Fleet {
    /// Starts a worker with each of these commands, and the links that `dials` says. Returns when the mesh stands.
    pub(crate) fn start(
        system: System,
        commands: Vec<Command>,
        dials: &[BTreeSet<usize>],
    ) -> anyhow::Result<Self> {
        let (sender, reports) = mpsc::channel();
        let mut fleet = Self { system, workers: Vec::new(), reports, number: 0 };
        for (number, mut command) in commands.into_iter().enumerate() {
            let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
            let (orders, lines) = (child.stdin.take(), child.stdout.take().context("it was piped")?);
            fleet.workers.push(Worker { child, orders });
            let sender = sender.clone();
            thread::spawn(move || {
                for line in BufReader::new(lines).lines().map_while(Result::ok) {
                    let report = serde_json::from_str(&line).expect("a worker is this program");
                    // Nobody listens when the fleet is gone.
                    let _ = sender.send((number, Some(report)));
                }
                let _ = sender.send((number, None));
            });
        }
        fleet.join(dials)?;
        Ok(fleet)
    }

    fn join(&mut self, dials: &[BTreeSet<usize>]) -> anyhow::Result<()> {
        let mut addresses = vec![None; self.len()];
        while addresses.contains(&None) {
            match self.next()? {
                Some((from, Report::Listening(address))) => addresses[from] = Some(address),
                Some(_) => {}
                None => bail!("{} does not listen", self.missing(&addresses, Option::is_some)),
            }
        }
        for (node, peers) in degrees(dials).into_iter().enumerate() {
            let addresses = dials[node].iter().filter_map(|&other| addresses[other].clone()).collect();
            self.order(node, &Order::Join { addresses, peers })?;
        }
        let mut state = vec![(false, String::new()); self.len()];
        while !state.iter().all(|(ready, _)| *ready) {
            match self.next()? {
                Some((from, Report::Links { peers, wanted_peers, neighbours, wanted_neighbours })) => {
                    state[from] = (
                        peers >= wanted_peers && neighbours >= wanted_neighbours,
                        format!(
                            "{peers} of {wanted_peers} peers, {neighbours} of {wanted_neighbours} neighbours"
                        ),
                    );
                }
                Some(_) => {}
                None => bail!(
                    "no mesh: {} stands at {:?}",
                    self.missing(&state, |(ready, _)| *ready),
                    state.iter().filter(|(ready, _)| !ready).map(|(_, text)| text).collect::<Vec<_>>(),
                ),
            }
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.workers.len()
    }

    /// Has a node publish, each in turn; the message's number.
    pub(crate) fn publish(&mut self, bytes: usize) -> anyhow::Result<u64> {
        let number = self.number;
        self.number += 1;
        self.order((number % self.len() as u64) as usize, &Order::Publish { number, bytes })?;
        Ok(number)
    }

    fn order(&mut self, node: usize, order: &Order) -> anyhow::Result<()> {
        let orders = self.workers[node].orders.as_mut().context("it was piped")?;
        let line = serde_json::to_string(order)? + "\n";
        orders.write_all(line.as_bytes()).with_context(|| format!("{} {node} is gone", self.system.name()))
    }

    /// What is reported next and by whom; `None` when nobody reported anything for [`PATIENCE`].
    pub(crate) fn next(&self) -> anyhow::Result<Option<(usize, Report)>> {
        match self.reports.recv_timeout(PATIENCE) {
            Ok((from, Some(report))) => Ok(Some((from, report))),
            Ok((from, None)) => bail!("{} {from} has ended", self.system.name()),
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Err(RecvTimeoutError::Disconnected) => bail!("every worker has ended"),
        }
    }

    /// User and system time of all workers so far.
    pub(crate) fn cpu(&mut self) -> anyhow::Result<Duration> {
        for node in 0..self.len() {
            self.order(node, &Order::Cpu)?;
        }
        let mut times = vec![None; self.len()];
        while times.contains(&None) {
            match self.next()? {
                Some((from, Report::Cpu(nanos))) => times[from] = Some(Duration::from_nanos(nanos)),
                Some(_) => {}
                None => bail!("{} does not answer", self.missing(&times, Option::is_some)),
            }
        }
        Ok(times.into_iter().flatten().sum())
    }

    /// The nodes of which `there` is not true.
    fn missing<T>(&self, states: &[T], there: impl Fn(&T) -> bool) -> String {
        let missing: Vec<_> = states.iter().enumerate().filter(|(_, state)| !there(state)).collect();
        let numbers: Vec<_> = missing.iter().map(|(number, _)| number.to_string()).collect();
        format!("{} {}", self.system.name(), numbers.join(", "))
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.orders = None;
            // One that has ended already needs no end.
            let _ = worker.child.kill();
        }
        for worker in &mut self.workers {
            let _ = worker.child.wait();
        }
    }
}

/// Longer than any silence of workers that are well.
const PATIENCE: Duration = Duration::from_secs(20);
