//! The host's radio during one link.

use std::sync::Arc;

use crate::trust::{Radio, RadioOrder};

/// Passes orders on, and stops the radio when the link is dropped: a machine that is gone can order nothing.
pub(super) struct Air {
    radio: Option<Arc<dyn Radio>>,
    on: bool,
}

impl Air {
    pub(super) fn new(radio: Option<Arc<dyn Radio>>) -> Self {
        Self { radio, on: false }
    }

    pub(super) fn perform(&mut self, order: RadioOrder) {
        self.on = order != RadioOrder::Stop;
        if let Some(radio) = &self.radio {
            radio.perform(order);
        }
    }
}

impl Drop for Air {
    fn drop(&mut self) {
        if self.on {
            self.perform(RadioOrder::Stop);
        }
    }
}
