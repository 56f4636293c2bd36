use std::task::{Context, Poll};

use crate::{Channels, Lost, sessions::Place};

/// A connection that holds its place among all.
pub struct Placed<C> {
    channels: C,
    _place: Place,
}

impl<C> Placed<C> {
    pub(crate) fn new(channels: C, place: Place) -> Self {
        Self { channels, _place: place }
    }
}

impl<C: Channels> Channels for Placed<C> {
    type Channel = C::Channel;

    fn open(&mut self) -> Result<C::Channel, Lost> {
        self.channels.open()
    }

    fn poll_incoming(&mut self, context: &mut Context<'_>) -> Poll<C::Channel> {
        self.channels.poll_incoming(context)
    }

    fn poll_lost(&mut self, context: &mut Context<'_>) -> Poll<Lost> {
        self.channels.poll_lost(context)
    }

    fn poll_close(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.channels.poll_close(context)
    }
}
