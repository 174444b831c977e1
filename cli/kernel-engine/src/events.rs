//! The way facts take from those who work to those who listen.

use kernel_core::event::Event;
use tokio::sync::mpsc;

/// Takes facts. Cheap to clone; never blocks; when nobody listens any more, facts are lost and work goes on.
#[derive(Clone, Debug)]
pub struct Events(mpsc::UnboundedSender<Event>);

impl Events {
    /// A sender and what listens to it. The listener ends when the last sender is dropped.
    #[must_use]
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Event>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Tells a fact.
    pub fn emit(&self, event: Event) {
        drop(self.0.send(event));
    }
}
