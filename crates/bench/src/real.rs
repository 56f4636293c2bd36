//! Real processes: nodes of Braidcast and of rust-libp2p's gossipsub, one process each.
//!
//! [`mesh`] loads the loopback interface, `netns` puts slow uplinks between the nodes. Both start [`fleet`]s of
//! [`worker`]s, which are this program again, and let each node know a few others ([`acquaintances`]). A worker is a
//! [`node`]: of [`braidcast`] or of [`gossipsub`].

pub(crate) mod acquaintances;
pub(crate) mod braidcast;
pub(crate) mod fleet;
pub(crate) mod gossipsub;
pub(crate) mod load;
pub(crate) mod mesh;
#[cfg(target_os = "linux")]
pub(crate) mod namespaces;
#[cfg(target_os = "linux")]
pub(crate) mod netns;
pub(crate) mod node;
pub(crate) mod worker;

/// What is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum System {
    Braidcast,
    Gossipsub,
}

impl System {
    /// On the command line of a worker.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Braidcast => "braidcast",
            Self::Gossipsub => "gossipsub",
        }
    }

    /// Name and version.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Braidcast => concat!("braidcast ", env!("CARGO_PKG_VERSION")),
            Self::Gossipsub => "libp2p-gossipsub 0.50.1",
        }
    }
}

/// The middle one, or the mean of the two; the order of `values` is lost.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len() / 2, values.len() % 2) {
        (0, 0) => f64::NAN,
        (half, 0) => f64::midpoint(values[half - 1], values[half]),
        (half, _) => values[half],
    }
}

/// Four significant digits: more is noise.
pub(crate) fn significant(value: f64) -> f64 {
    format!("{value:.3e}").parse().unwrap_or(value)
}
