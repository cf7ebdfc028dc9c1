//! Clocks that are far ahead. A version that is far in the future would win over everything that others write for as long,
//! and raise every other clock to it.
//!
//! The primary device takes nothing from the device that wrote it with a clock that is further ahead than `DRIFT_MS` of the
//! primary's own time, unless it counts on from a clock that the primary has seen: then it is no news. What it does not take
//! stays in the log of the device that wrote it, unconfirmed, and stands nowhere else. When that device's clock is right
//! again it gives these versions new times, and they go out like anything written offline.
//!
//! Why nothing is refused for ever, and nothing stands at two devices in two versions:
//! 1. A clock here is not less than any version that is here, so what is written here stands here.
//! 2. The primary's clock is not less than anything that it sent or confirmed (`heard`), and grows with what it takes.
//! 3. A linked device looks at what the primary takes next with the primary's eyes, but for `heard` in the place of the
//!    primary's clock, which is not less. So what the primary refuses is ahead here too, once the time is right here.
//! 4. The new time is later than all else that is here and than all that was heard, so it is taken, and wins over what it
//!    was written over. It is at the end of the log: what it counts on from comes to the primary before it.
//! 5. If the primary had taken the old version all the same, it gives it back (`Batch::merge_of_writer`).

use pairlight_wire::id::DeviceId;
use pairlight_wire::sync::SyncRecord;

use super::SyncError;
use super::peer::{self, PeerState};
use super::turn::Turn;
use crate::Timestamp;
use crate::store::LoggedRecord;

/// How far a version may be ahead of the primary device's clock, ms: a clock that was set by hand in a wrong time zone is
/// within it.
const DRIFT_MS: u64 = 24 * 3_600_000;
/// How far a clock gets by counting what was written: more than a log has numbers for.
const COUNTED: u64 = 1 << 32;
/// Records looked at at a time, and not less than one exchange reaches over.
const STRIDE: usize = 512;

/// The greatest clock of a version that is taken at a time.
fn bound(now: Timestamp) -> u64 {
    // The upper 48 bits of a clock are ms.
    now.unix_ms().saturating_add(DRIFT_MS).min(u64::MAX >> 16) << 16
}

/// Looks at versions in the order of a log as a primary device does that takes them.
struct Judge {
    bound: u64,
    /// The clock of the primary device, as far as it is known.
    clock: u64,
}

impl Judge {
    /// Whether its sender's clock is too far ahead. What somebody else wrote is no fault of the sender, and nothing that it
    /// could write anew: it is taken as it is.
    fn is_ahead(&mut self, sender: &DeviceId, record: &SyncRecord) -> bool {
        let ahead = record.device == *sender && record.clock > self.bound.max(self.clock.saturating_add(COUNTED));
        if !ahead {
            self.clock = self.clock.max(record.clock);
        }
        ahead
    }

    /// The same of what lies in the sender's own log: what is there already it does not send.
    fn is_logged_ahead(&mut self, own: &DeviceId, logged: &LoggedRecord, state: &PeerState) -> bool {
        self.clock = self.clock.max(if is_there(logged, state) { logged.record.clock } else { 0 });
        self.is_ahead(own, &logged.record)
    }
}

/// Whether the other device has this version: it came from there, or was confirmed.
fn is_there(logged: &LoggedRecord, state: &PeerState) -> bool {
    logged.change <= state.acked || (logged.source == state.slot && logged.change > state.whole)
}

/// Whether the sender of these versions wrote one of them with a clock that is too far ahead.
pub(super) fn is_ahead(turn: &Turn<'_>, from: &DeviceId, records: &[SyncRecord]) -> bool {
    let mut judge = Judge { bound: bound(turn.now), clock: turn.clock() };
    records.iter().any(|record| judge.is_ahead(from, record))
}

/// Gives what this linked device wrote with a clock that was far ahead, and its primary does not take, the time that it is
/// now. Tells whether there was any of it. Cheap where there is none: one look at the next records that are not confirmed.
pub(super) fn restamp(turn: &mut Turn<'_>, own: &DeviceId) -> Result<bool, SyncError> {
    let bound = bound(turn.now);
    if turn.clock() <= bound {
        return Ok(false);
    }
    for (device, stored) in peer::peers(turn.store)? {
        let state = turn.peer(&device)?.unwrap_or(stored);
        if turn.clock() > state.heard.saturating_add(COUNTED) && restamp_for(turn, own, &device, state, bound)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn restamp_for(
    turn: &mut Turn<'_>,
    own: &DeviceId,
    device: &DeviceId,
    mut state: PeerState,
    bound: u64,
) -> Result<bool, SyncError> {
    // Where nothing of the next exchange is ahead it is taken, and the look at what follows it comes later.
    let (next, _) = turn.store.records_after(state.acked, STRIDE)?;
    let mut judge = Judge { bound, clock: state.heard };
    if !next.iter().any(|logged| judge.is_logged_ahead(own, logged, &state)) {
        return Ok(false);
    }
    // What came from there, and what was confirmed, is there: a state of before this was remembered does not know it.
    each(turn, 0, |logged| {
        if is_there(&logged, &state) {
            state.hear(logged.record.clock);
        }
    })?;
    let mut judge = Judge { bound, clock: state.heard };
    let mut ahead = Vec::new();
    each(turn, state.acked, |logged| {
        if judge.is_logged_ahead(own, &logged, &state) {
            ahead.push(logged);
        }
    })?;
    if ahead.is_empty() {
        turn.put_peer(device, state);
        return Ok(false);
    }
    // Later than everything else that is here, also before what is not confirmed: so it stands, as all that is written next.
    let mut latest = judge.clock;
    each(turn, 0, |logged| {
        if ahead.binary_search_by_key(&logged.change, |one| one.change).is_err() {
            latest = latest.max(logged.record.clock);
        }
    })?;
    turn.set_clock(latest);
    for LoggedRecord { record, .. } in ahead {
        let clock = turn.tick();
        turn.replace(SyncRecord { clock, ..record });
    }
    let (acked, last) = (state.acked, turn.store.last_change()?);
    state.rewind(acked, last);
    turn.put_peer(device, state);
    Ok(true)
}

/// Notes what the other device has when it confirms more than before.
pub(super) fn hear_confirmed(turn: &Turn<'_>, state: &mut PeerState, before: u64, last: u64) -> Result<(), SyncError> {
    if state.acked >= last {
        // Everything that was ever written or taken here.
        state.hear(turn.clock());
    } else if state.acked > before {
        let mut from = before;
        while from < state.acked {
            let (page, end) = turn.store.records_after(from, STRIDE)?;
            let acked = state.acked;
            page.iter().filter(|logged| logged.change <= acked).for_each(|logged| state.hear(logged.record.clock));
            from = end;
        }
    }
    Ok(())
}

fn each(turn: &Turn<'_>, after: u64, mut look: impl FnMut(LoggedRecord)) -> Result<(), SyncError> {
    let mut from = after;
    loop {
        let (page, end) = turn.store.records_after(from, STRIDE)?;
        page.into_iter().for_each(&mut look);
        if end <= from {
            return Ok(());
        }
        from = end;
    }
}
