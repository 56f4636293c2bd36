//! The browser's own WebRTC.
//!
//! Events of the browser fill bounded queues and wake tasks; nothing here waits by a timer. A peer connection is
//! reported dead when it fails, when the peer closes it, and when the page is left.

mod channel;
mod connection;
pub mod direct;
mod listener;

use js_sys::Reflect;
use wasm_bindgen::{JsCast, JsValue};

use crate::{Backend, IceServer, Lost, protocol::Role};

pub use self::{
    channel::DataChannel,
    connection::{Connection, Made, made},
};

/// Whether there is WebRTC here. There is none in workers, in Node.js, or where the user has turned it off.
pub fn is_available() -> bool {
    Reflect::has(&js_sys::global(), &"RTCPeerConnection".into()).unwrap_or(false)
}

/// Makes the browser's peer connections.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// Where they ask for their public address, and who carries what cannot go directly.
    pub servers: Vec<IceServer>,
}

impl Backend for Browser {
    type Connection = Connection;

    fn connection(&self, role: Role) -> Result<Connection, Error> {
        Connection::new(&self.servers, role)
    }
}

/// Why the browser does not connect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No WebRTC here.
    #[error("WebRTC is not available here: it works in a page's window, not in workers or Node.js")]
    Missing,
    /// The browser refuses a call; the connection is of no more use.
    #[error("the browser refuses: {0}")]
    Refused(String),
    /// The connection is gone.
    #[error(transparent)]
    Lost(#[from] Lost),
}

impl Error {
    fn refused(error: JsValue) -> Self {
        let message = error.dyn_ref::<js_sys::Error>().and_then(|error| error.message().as_string());
        Self::Refused(message.unwrap_or_else(|| "it gives no reason".into()))
    }
}
