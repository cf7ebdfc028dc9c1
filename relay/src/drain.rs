//! A relay that ends without haste: what is being linked goes on, nothing new begins, and connected devices leave one after
//! the other, so that they do not all come to the next relay at once.

use std::time::Duration;

use pairlight_wire::relay::RefusalCode;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::link::{going_away, random};
use crate::refusal::{Refusal, refuse};
use crate::server::State;
use crate::slot::LinkSeat;

/// How often it is looked whether a link has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Until when everybody has to be gone, once that is wanted.
pub(crate) struct Drain(watch::Sender<Option<Instant>>);

impl Default for Drain {
    fn default() -> Self {
        Self(watch::channel(None).0)
    }
}

impl Drain {
    /// Begins; a second call only makes it end earlier.
    pub(crate) fn begin(&self, within: Duration) {
        let until = Instant::now().checked_add(within).unwrap_or_else(Instant::now);
        self.0.send_modify(|known| *known = Some(known.map_or(until, |known| known.min(until))));
    }

    pub(crate) fn is_begun(&self) -> bool {
        self.0.borrow().is_some()
    }

    /// When it has begun: until when, which may still become earlier.
    async fn begun(&self) -> watch::Receiver<Option<Instant>> {
        let mut begun = self.0.subscribe();
        // The sender lives as long as the relay.
        let _ = begun.wait_for(Option::is_some).await;
        begun
    }
}

fn end(drain: &watch::Receiver<Option<Instant>>) -> Instant {
    drain.borrow().unwrap_or_else(Instant::now)
}

impl State {
    /// Refuses what would begin something new.
    pub(crate) fn begins_nothing_while_draining(&self) -> Result<(), Refusal> {
        if !self.drain.is_begun() {
            return Ok(());
        }
        let words = "the relay is about to stop; show a new code in a moment";
        Err(refuse(RefusalCode::Unavailable, words).after(Duration::from_secs(2)))
    }

    /// The moment at which one connected device is to leave: any between the beginning of the drain and its end.
    pub(crate) async fn dismissed(&self) -> Refusal {
        let mut drain = self.drain.begun().await;
        let part = f64::from(u32::from_be_bytes(random().unwrap_or_default())) / f64::from(u32::MAX);
        loop {
            let until = drain.borrow_and_update().unwrap_or_else(Instant::now);
            let left = until.saturating_duration_since(Instant::now());
            tokio::select! {
                () = sleep(left.mul_f64(part)) => return going_away(),
                changed = drain.changed() => if changed.is_err() { return going_away() },
            }
        }
    }

    /// The moment at which the socket of a linked device that shows codes is to leave: when none of its links is under way.
    pub(crate) async fn links_ended(&self, seat: &LinkSeat) -> Refusal {
        let drain = self.drain.begun().await;
        while self.slots.claimed(Some(seat)) > 0 && Instant::now() < end(&drain) {
            sleep(LOOK_EVERY).await;
        }
        going_away()
    }

    /// When all have left, or the time is over.
    pub(crate) async fn drained(&self) {
        let drain = self.drain.begun().await;
        while (self.presence.devices() > 0 || self.slots.claimed(None) > 0) && Instant::now() < end(&drain) {
            sleep(LOOK_EVERY).await;
        }
    }
}
