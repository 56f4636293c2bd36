//! `braidcast relay`: what peers may have of the relay to reach each other.

use std::{num::NonZeroU32, time::Duration};

use braidcast_net::CircuitLimits;

/// See [`CircuitLimits`]; the defaults are there.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Circuits (peers let through to each other)")]
pub(crate) struct CircuitArgs {
    /// Most peers that others may be let through to [default: as many as are connected]
    #[arg(long, value_name = "N", env = "BRAIDCAST_MAX_RESERVATIONS", value_parser = clap::value_parser!(u32).range(1..))]
    max_reservations: Option<u32>,
    /// Most circuits at once
    #[arg(long, value_name = "N", env = "BRAIDCAST_MAX_CIRCUITS", default_value_t = DEFAULT.circuits as u32,
        value_parser = clap::value_parser!(u32).range(1..))]
    max_circuits: u32,
    /// Most circuits at once from one peer
    #[arg(long, value_name = "N", env = "BRAIDCAST_MAX_CIRCUITS_PER_PEER",
        default_value_t = DEFAULT.circuits_per_peer as u32, value_parser = clap::value_parser!(u32).range(1..))]
    max_circuits_per_peer: u32,
    /// Longest time of a circuit, in seconds
    #[arg(long, value_name = "SECONDS", env = "BRAIDCAST_CIRCUIT_SECONDS",
        default_value_t = DEFAULT.circuit.as_secs() as u32, value_parser = clap::value_parser!(u32).range(1..))]
    circuit_seconds: u32,
    /// Most bytes through a circuit, each way
    #[arg(long, value_name = "BYTES", env = "BRAIDCAST_CIRCUIT_BYTES", default_value_t = DEFAULT.circuit_bytes,
        value_parser = clap::value_parser!(u64).range(1024..))]
    circuit_bytes: u64,
    /// Reservations, and as many circuits, that a peer may ask for in a minute
    #[arg(long, value_name = "N", env = "BRAIDCAST_REQUESTS_PER_PEER", default_value_t = DEFAULT.per_peer)]
    requests_per_peer: NonZeroU32,
    /// The same from one IP address; behind a proxy, everybody has the same
    #[arg(long, value_name = "N", env = "BRAIDCAST_REQUESTS_PER_IP", default_value_t = DEFAULT.per_ip)]
    requests_per_ip: NonZeroU32,
}

const DEFAULT: CircuitLimits = CircuitLimits::DEFAULT;

impl CircuitArgs {
    pub(crate) fn limits(&self) -> CircuitLimits {
        CircuitLimits {
            reservations: self.max_reservations.map_or(DEFAULT.reservations, |limit| limit as usize),
            reservation: DEFAULT.reservation,
            circuits: self.max_circuits as usize,
            circuits_per_peer: self.max_circuits_per_peer as usize,
            circuit: Duration::from_secs(self.circuit_seconds.into()),
            circuit_bytes: self.circuit_bytes,
            per_peer: self.requests_per_peer,
            per_ip: self.requests_per_ip,
        }
    }
}
