//! Clocks that are far ahead. A version that is far in the future would win over everything that others write for as long,
//! and raise every other clock to it.
//!
//! The primary device takes no version that is further ahead of its own clock than `DRIFT_MS`. What it does not take stays
//! in the log of the device that wrote it, unconfirmed, and stands nowhere else. When that device's clock is right again it
//! gives these versions new times, and they go out like anything written offline.

use pairlight_wire::sync::SyncRecord;

use super::SyncError;
use super::peer;
use super::turn::Turn;
use crate::Timestamp;

/// How far a version may be ahead of the primary device's clock, ms: a clock that was set by hand in a wrong time zone is
/// within it.
const DRIFT_MS: u64 = 24 * 3_600_000;
/// Records looked at at a time.
const STRIDE: usize = 512;

/// The greatest clock of a version that is taken at a time.
fn bound(now: Timestamp) -> u64 {
    // The upper 48 bits of a clock are ms.
    now.unix_ms().saturating_add(DRIFT_MS).min(u64::MAX >> 16) << 16
}

/// Whether a linked device of today wrote one of these versions with a clock that is too far ahead. What others wrote before
/// it (a primary device that was lost) nobody can write anew: it is taken as it is.
pub(super) fn is_ahead(turn: &Turn<'_>, records: &[SyncRecord]) -> Result<bool, SyncError> {
    let bound = bound(turn.now);
    let mut ahead = records.iter().filter(|record| record.clock > bound).peekable();
    if ahead.peek().is_none() {
        return Ok(false);
    }
    let linked = peer::peers(turn.store)?;
    Ok(ahead.any(|record| linked.iter().any(|(device, _)| *device == record.device)))
}

/// Gives what this device wrote with a clock that was far ahead, and nobody has, the time that it is now. Tells whether there
/// was any of it.
pub(super) fn restamp(turn: &mut Turn<'_>) -> Result<bool, SyncError> {
    let bound = bound(turn.now);
    if turn.clock() <= bound {
        return Ok(false);
    }
    let peers = peer::peers(turn.store)?;
    let Some(confirmed) = peers.iter().map(|(_, state)| state.acked).min() else { return Ok(false) };
    let mut ahead = Vec::new();
    each(turn, confirmed, |source, record| {
        if source == 0 && record.clock > bound {
            ahead.push(record);
        }
    })?;
    if ahead.is_empty() {
        return Ok(false);
    }
    // Later than everything else that is here, so that what is written next stands.
    let mut latest = 0;
    each(turn, 0, |_, record| {
        if record.clock <= bound {
            latest = latest.max(record.clock);
        }
    })?;
    turn.set_clock(latest);
    for record in ahead {
        let clock = turn.tick();
        turn.replace(SyncRecord { clock, ..record });
    }
    for (device, stored) in peers {
        let mut state = turn.peer(&device)?.unwrap_or(stored);
        let (acked, last) = (state.acked, turn.store.last_change()?);
        state.rewind(acked, last);
        turn.put_peer(&device, state);
    }
    Ok(true)
}

fn each(turn: &Turn<'_>, after: u64, mut look: impl FnMut(u8, SyncRecord)) -> Result<(), SyncError> {
    let mut from = after;
    loop {
        let (page, end) = turn.store.records_after(from, STRIDE)?;
        for logged in page {
            look(logged.source, logged.record);
        }
        if end <= from {
            return Ok(());
        }
        from = end;
    }
}
