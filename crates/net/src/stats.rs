use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Defines figures and the counters behind them, so that none is forgotten in the copying.
macro_rules! counters {
    ($(#[doc = $about:literal])* $stats:ident, $counters:ident; $($(#[doc = $doc:literal])* $name:ident,)*) => {
        $(#[doc = $about])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $stats {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        /// The same, written where things happen.
        #[derive(Debug, Default)]
        pub(crate) struct $counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl $counters {
            pub(crate) fn snapshot(&self) -> $stats {
                $stats { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
    /// What a node counted since its start. All values only grow, but `peers`.
    Stats, Counters;
    /// Messages delivered to the application.
    messages_in,
    /// Messages published here.
    messages_out,
    /// Bytes of our frames received: control and bulk, length prefixes included, encryption not.
    bytes_in,
    /// Bytes of our frames sent.
    bytes_out,
    /// The bulk share of `bytes_in`.
    bulk_bytes_in,
    /// The bulk share of `bytes_out`.
    bulk_bytes_out,
    /// The control share of `bytes_in`.
    control_bytes_in,
    /// The control share of `bytes_out`.
    control_bytes_out,
    /// Verified pieces that were lacking.
    pieces_new,
    /// Pieces that were here already.
    pieces_duplicate,
    /// Pieces of messages that were whole already.
    pieces_unnecessary,
    /// Pieces that did not match the publisher's hash.
    pieces_corrupt,
    /// Pieces sent.
    pieces_sent,
    /// Pieces asked for.
    wants,
    /// Mesh links added.
    grafts,
    /// Mesh links removed.
    prunes,
    /// Payload bytes of messages that arrived whole.
    delivered_bytes,
    /// Unfinished messages given up.
    abandoned,
    /// Messages that the application did not accept, or not in time, or was not asked about because too many waited.
    refused,
    /// Rules broken by peers.
    offences,
    /// Peers that speak our protocol and are connected now.
    peers,
    /// Events dropped because the application was slow.
    inbox_lost,
}

counters! {
    /// What a relay granted and refused to those whom it connects with each other. All values only grow.
    CircuitStats, CircuitCounters;
    /// Reservations granted, renewals not counted.
    reservations,
    /// Reservations refused: over a limit.
    reservations_refused,
    /// Circuits opened.
    circuits,
    /// Of those, the ones that are closed.
    circuits_closed,
    /// Circuits refused: over a limit, or to a peer without reservation.
    circuits_refused,
}

/// Adds without ordering: each counter stands for itself.
pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Relaxed);
}
