use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Defines [`Stats`] and the counters behind it, so that none is forgotten in the copying.
macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// What a node counted since its start. All values only grow, but `peers`.
        #[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct Stats {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        /// The same, written from the hub and from the connections.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Counters {
            pub(crate) fn snapshot(&self) -> Stats {
                Stats { $($name: self.$name.load(Relaxed),)* }
            }
        }
    };
}

counters! {
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
    /// Messages that the application did not accept, or not in time.
    refused,
    /// Rules broken by peers.
    offences,
    /// Peers that speak our protocol and are connected now.
    peers,
    /// Events dropped because the application was slow.
    inbox_lost,
}

/// Adds without ordering: each counter stands for itself.
pub(crate) fn add(counter: &AtomicU64, amount: usize) {
    counter.fetch_add(amount as u64, Relaxed);
}
