//! Errors of libp2p in words for people: the innermost cause, not the path to it.

use std::error::Error;

use libp2p::{TransportError, swarm::DialError};

/// The innermost cause.
pub(crate) fn of(error: &(dyn Error + 'static)) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// Why nobody answered.
pub(crate) fn of_dial(error: &DialError) -> String {
    match error {
        DialError::LocalPeerId { .. } => "the address is this node's own".into(),
        DialError::WrongPeerId { obtained, .. } => format!("another node answers there: {obtained}"),
        DialError::Denied { cause } => of(cause),
        DialError::Transport(failures) => {
            let mut reasons: Vec<_> = failures.iter().map(|(_, error)| of_transport(error)).collect();
            reasons.dedup();
            reasons.join("; ")
        }
        other => other.to_string(),
    }
}

fn of_transport(error: &TransportError<std::io::Error>) -> String {
    match error {
        TransportError::MultiaddrNotSupported(address) => format!("{address} is of no use here"),
        TransportError::Other(error) => of(error),
    }
}
