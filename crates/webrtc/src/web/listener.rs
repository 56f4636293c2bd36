use wasm_bindgen::{JsCast, closure::Closure};
use web_sys::{Event, EventTarget};

/// One event's listener, detached when dropped, so that no event can call a closure that is gone.
pub(super) struct Listener {
    target: EventTarget,
    event: &'static str,
    closure: Closure<dyn FnMut(Event)>,
}

impl Listener {
    /// `on_event` must not run tasks. Waking one is fine: an executor of the browser queues it.
    pub(super) fn new(
        target: &EventTarget,
        event: &'static str,
        on_event: impl FnMut(Event) + 'static,
    ) -> Self {
        let closure = Closure::new(on_event);
        target
            .add_event_listener_with_callback(event, function(&closure))
            .expect("it fails only for options that are not used here");
        Self { target: target.clone(), event, closure }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.target
            .remove_event_listener_with_callback(self.event, function(&self.closure))
            .expect("it fails only for options that are not used here");
    }
}

fn function(closure: &Closure<dyn FnMut(Event)>) -> &js_sys::Function {
    closure.as_ref().unchecked_ref()
}
