//! `bench rlnc` and `bench rlnc-wasm`: the coding engine.

mod braidcast;
mod cases;
#[cfg(not(target_arch = "wasm32"))]
mod command;
mod rivals;
#[cfg(target_arch = "wasm32")]
mod wasm;

use std::fmt::Write;
use std::time::Duration;

use braidcast_rlnc::{Engine, Kernel};

use crate::clock::{Run, best_of};
use crate::figure::Figure;
use braidcast::Braidcast;
use cases::{Case, Message};
#[cfg(not(target_arch = "wasm32"))]
pub(crate) use command::{Args, run};

/// A codec.
trait System {
    /// Name and version.
    fn name(&self) -> &str;
    /// The instruction set it was told to use.
    fn kernel(&self) -> &str;
    /// The case made ready to run, its result checked once; `None` where the system cannot do it.
    fn prepare<'a>(&'a self, case: Case, message: &'a Message) -> Option<Run<'a>>;
    /// Whether its work is a product with K x piece length coef-bytes per row.
    fn is_matrix_product(&self) -> bool;
}

/// Every kernel at hand, the fastest first.
fn engines() -> Vec<Engine> {
    Kernel::ALL.into_iter().filter_map(Engine::with_kernel).collect()
}

/// The lines of a table, or of JSON.
struct Report {
    bench: &'static str,
    json: bool,
    /// Processor, and what runs on it.
    cpu: String,
    /// Time for one case at one size, all systems together.
    budget: Duration,
}

impl Report {
    fn new(bench: &'static str, json: bool, cpu: String, quick: bool) -> Self {
        let budget = Duration::from_millis(1500);
        Self { bench, json, cpu, budget: if quick { budget / 10 } else { budget } }
    }

    /// Empty for JSON.
    fn head(&self) -> String {
        if self.json {
            return String::new();
        }
        format!(
            "{}; one thread, best of many\n{:<14} {:>4} {:>9} {:<24} {:<12} {:>12} {:>8} {:>13} {:>7}\n",
            self.cpu, "case", "K", "bytes", "system", "kernel", "us", "GB/s", "coef-GB/s", "x time"
        )
    }

    /// A line for each system that can do the case. The first engine runs it, and for `gemm` all do.
    fn measure(&self, case: Case, message: &Message, engines: &[Engine]) -> String {
        let engines = if case == Case::Gemm { engines } else { &engines[..1] };
        let mut systems: Vec<Box<dyn System>> = Vec::new();
        systems.extend(engines.iter().map(|&engine| Box::new(Braidcast::new(engine)) as Box<dyn System>));
        if cfg!(not(target_arch = "wasm32")) && case == Case::Decode {
            systems.push(Box::new(Braidcast::with_two_threads(engines[0])));
        }
        systems.extend(rivals::all());
        let (able, mut runs): (Vec<&dyn System>, Vec<Run>) =
            systems.iter().filter_map(|system| Some((&**system, system.prepare(case, message)?))).unzip();
        let times = best_of(&mut runs, self.budget);
        let line = |(system, time): (&dyn System, &Duration)| {
            self.line(system, case, message, time.as_secs_f64(), times[0].as_secs_f64())
        };
        able.into_iter().zip(&times).map(line).collect()
    }

    /// What one system took, and how that compares with `ours`, both in seconds.
    fn line(&self, system: &dyn System, case: Case, message: &Message, seconds: f64, ours: f64) -> String {
        let coef = system.is_matrix_product().then(|| case.coef_bytes(message) / seconds);
        let gb = if case == Case::Gemm { case.coef_bytes(message) } else { message.bytes.len() as f64 };
        let gb = gb / seconds / 1e9;
        let mut lines = String::new();
        if !self.json {
            _ = writeln!(
                lines,
                "{:<14} {:>4} {:>9} {:<24} {:<12} {:>12.2} {:>8.2} {:>13} {:>7.2}",
                case.name(),
                message.k,
                message.bytes.len(),
                system.name(),
                system.kernel(),
                seconds * 1e6,
                gb,
                coef.map_or("-".into(), |coef| format!("{:.1}", coef / 1e9)),
                seconds / ours
            );
            return lines;
        }
        let values =
            [(Some(seconds), "s"), (Some(gb), "GB/s"), (coef, "coef-bytes/s"), (Some(seconds / ours), "x")];
        for (value, unit) in values {
            let Some(value) = value else { continue };
            let (case, k, bytes) = (case.name(), message.k, message.bytes.len());
            let (bench, system, kernel, cpu) = (self.bench, system.name(), system.kernel(), &self.cpu[..]);
            let figure = Figure { bench, case, k, bytes, system, kernel, value, unit, cpu };
            _ = writeln!(lines, "{}", figure.json());
        }
        lines
    }
}
