//! The binding below the npm package: convert, call, convert. What a JavaScript developer sees is `web/ts`.
//!
//! Nothing here calls JavaScript while Rust runs. JavaScript waits for [`WasmNode::ready`] and takes events with
//! [`WasmNode::next_event`] until there are none. The one exception is the last word of a panic, see [`on_panic`].
//! Settings, events and errors cross as plain objects, payloads as `Uint8Array`.

mod allocator;
mod convert;

use std::{cell::RefCell, future::poll_fn, panic, pin::Pin};

use braidcast_net::{Content, Events, Identity, Node, Topic, rlnc::Engine};
use futures::{FutureExt, StreamExt, stream::Peekable};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::convert::{Failure, Settings, TopicSettings};

/// One running node.
#[wasm_bindgen]
#[derive(Debug)]
pub struct WasmNode {
    node: Node,
    events: RefCell<Peekable<Events>>,
}

#[wasm_bindgen]
impl WasmNode {
    /// Starts a node. Does not wait for the relays: an event tells. `seed` is the secret of its identity, 32 bytes.
    pub async fn start(
        #[wasm_bindgen(unchecked_param_type = "WasmSettings")] settings: JsValue,
        seed: Vec<u8>,
    ) -> Result<WasmNode, Failure> {
        let seed = seed.try_into().map_err(|seed: Vec<u8>| {
            Failure::config(format!("identity seed is {} bytes, expected 32", seed.len()))
        })?;
        let config = Settings::from_js(settings)?.into_config(Identity::from_seed(&seed))?;
        let (node, events) = Node::start(config).await?;
        Ok(Self { node, events: RefCell::new(events.peekable()) })
    }

    /// Its id, `12D3KooW...`.
    pub fn peer_id(&self) -> String {
        self.node.peer_id().to_string()
    }

    /// Receives the messages of a topic, and helps to spread them.
    pub async fn subscribe(&self, topic: String) -> Result<(), Failure> {
        Ok(self.node.subscribe(Topic::new(topic)?).await?)
    }

    /// Stops both.
    pub async fn unsubscribe(&self, topic: String) -> Result<(), Failure> {
        Ok(self.node.unsubscribe(Topic::new(topic)?).await?)
    }

    /// How a topic is spread from now on. Fails at once for what can never work.
    pub fn configure(
        &self,
        topic: String,
        #[wasm_bindgen(unchecked_param_type = "WasmTopicSettings")] settings: JsValue,
    ) -> Result<js_sys::Promise, Failure> {
        let (topic, params) = (Topic::new(topic)?, TopicSettings::into_params(settings)?);
        let node = self.node.clone();
        Ok(future_to_promise(async move {
            node.configure(topic, params).await.map_err(Failure::from)?;
            Ok(JsValue::UNDEFINED)
        }))
    }

    /// What the application thinks of a message of a topic that was configured to be validated.
    pub async fn judge(
        &self,
        id: Vec<u8>,
        #[wasm_bindgen(unchecked_param_type = "\"accept\" | \"ignore\" | \"reject\"")] verdict: String,
    ) -> Result<(), Failure> {
        let (id, verdict) = (convert::message_id(id)?, convert::parse_verdict(&verdict));
        Ok(self.node.judge(id, verdict).await?)
    }

    /// Spreads a message; answers when it is on its way.
    #[wasm_bindgen(unchecked_return_type = "WasmPublished")]
    pub async fn publish(
        &self,
        topic: String,
        bytes: Vec<u8>,
        content_type: String,
        name: String,
    ) -> Result<JsValue, Failure> {
        let content = Content { payload: bytes::Bytes::from(bytes).into(), content_type, name };
        let published = self.node.publish(Topic::new(topic)?, content).await?;
        Ok(convert::published(published))
    }

    /// The connected peers.
    #[wasm_bindgen(unchecked_return_type = "WasmPeer[]")]
    pub async fn peers(&self) -> Result<JsValue, Failure> {
        Ok(convert::peers(self.node.peers().await?))
    }

    /// What to give as `acquaintances` at a later start.
    #[wasm_bindgen(unchecked_return_type = "Uint8Array[]")]
    pub async fn acquaintances(&self) -> Result<js_sys::Array, Failure> {
        let records = self.node.acquaintances().await?;
        Ok(records.iter().map(|record| js_sys::Uint8Array::from(&record[..])).collect())
    }

    /// How what a peer publishes comes to us.
    #[wasm_bindgen(unchecked_return_type = "WasmPath")]
    pub async fn path(&self, peer: String) -> Result<JsValue, Failure> {
        Ok(convert::path(self.node.path(convert::parse_peer(&peer)?).await?))
    }

    /// The counters now.
    #[wasm_bindgen(unchecked_return_type = "WasmStats")]
    pub fn stats(&self) -> JsValue {
        convert::to_js(&self.node.stats())
    }

    /// Closes every connection and ends the node.
    pub async fn stop(&self) {
        self.node.stop().await;
    }

    /// Waits until events can be taken: true. False when the node has stopped and none will come.
    pub async fn ready(&self) -> bool {
        // Borrowed for each poll alone, so that `next_event` may be called meanwhile.
        poll_fn(|context| {
            Pin::new(&mut *self.events.borrow_mut()).poll_peek(context).map(|event| event.is_some())
        })
        .await
    }

    /// The next event, if one waits.
    #[wasm_bindgen(unchecked_return_type = "WasmEvent | undefined")]
    pub fn next_event(&self) -> JsValue {
        let event = self.events.borrow_mut().next().now_or_never().flatten();
        event.map_or(JsValue::UNDEFINED, convert::event)
    }
}

/// The instructions that code large messages, as `Kernel` names them.
#[wasm_bindgen]
pub fn kernel() -> String {
    Engine::new().kernel().name().into()
}

/// Bytes of the module's memory that are in use.
#[wasm_bindgen]
pub fn live_bytes() -> usize {
    allocator::live_bytes()
}

/// Has `report` called with the text of a panic, after which the module is dead: calls trap, and what was awaited
/// never ends. `report` must not call into the module.
#[wasm_bindgen]
pub fn on_panic(report: js_sys::Function) {
    thread_local!(static REPORT: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) });
    REPORT.set(Some(report));
    panic::set_hook(Box::new(|info| {
        if let Some(report) = REPORT.take() {
            // An exception thrown here has nowhere to go.
            _ = report.call1(&JsValue::UNDEFINED, &info.to_string().into());
        }
    }));
}
