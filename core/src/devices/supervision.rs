//! The primary device's book on one linked device: what its check-ins said, whether they add up, and how it stands.

use pairlight_wire::device::{CheckIn, SCOPE_RECEIVE};
use pairlight_wire::hash::sha256;
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::{Entry, RemovalReason};
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::standing::{Discrepancy, Standing};
use pairlight_wire::{List, Text, Wire, record};

use super::discrepancy::{Action, Observation, action};
use crate::Timestamp;

/// A device that is this long behind by more than one epoch is shown the chain, and the second time quarantined, ms.
const BEHIND_MS: u64 = 48 * 3_600_000;
/// A device that has not reported once after this long was never linked on its side, ms.
const NEVER_CAME_MS: u64 = 72 * 3_600_000;
const DAY_MS: u64 = 24 * 3_600_000;
/// Events of a day that are remembered.
const REMEMBERED: usize = 8;
/// Second sockets of longer ago are no news: a device that heard nothing for this long has erased itself.
const OLDEST_NEWS_MS: u64 = 90 * DAY_MS;

record! {
    /// What is known of one linked device, as it lies in the sealed store.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Supervision [1] {
        /// The device.
        pub device: DeviceId,
        /// How it stands.
        pub standing: Standing,
        /// Why, unless it is active.
        pub because: Option<Discrepancy>,
        /// Counter of the last check-in that was accepted; 0 before the first.
        pub ctr: u64,
        /// Digest of it; zero before the first.
        pub digest: [u8; 32],
        /// When it came, by this device's clock, ms since 1970; 0 before the first.
        pub seen: u64,
        /// Its count of sent messages.
        pub tx_hw: u64,
        /// The class of platform that it named first, or that the person confirmed.
        pub platform: Option<[u8; 8]>,
        /// The class that it named last.
        pub latest_platform: Option<[u8; 8]>,
        /// End of the newest lease that it was given, ms since 1970; 0 when only the first one stands.
        pub lease_until: u64,
        /// Check-ins that its key did not sign.
        pub bad_signatures: u64,
        /// Since when it is behind by more than one epoch, ms since 1970.
        pub behind_since: Option<u64>,
        /// Whether the chain was sent to it because of that.
        pub chain_sent: bool,
        /// When its session was made anew, ms since 1970.
        pub resets: List<u64, REMEMBERED>,
        /// When it was connected twice at once, ms since 1970.
        pub sockets: List<u64, REMEMBERED>,
        /// Where the relay saw it last.
        pub country: Option<Text<2>>,
    }
}

/// What the primary device itself knows when a check-in comes.
#[derive(Debug, Clone, Copy)]
pub struct Circumstances<'a> {
    /// The device's entry on the current list.
    pub entry: &'a Entry,
    /// Epoch of the current list.
    pub epoch: u64,
    /// Hash of the list of the epoch that the check-in names, if this device ever had it.
    pub hash_then: Option<[u8; 32]>,
    /// Messages that were sealed for the device in the session that the report counts in; `None` when that is not the
    /// present one, and its counts say nothing here.
    pub sent: Option<u64>,
}

/// The verdict over one report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assessment {
    /// What does not add up, with what follows from it.
    pub findings: Vec<(Observation, Action)>,
    /// The check-in, if it is authentic: it gets a lease as an answer, unless the device is removed.
    pub check_in: Option<CheckIn>,
}

impl Assessment {
    /// The reason to take the device off the list, if there is one.
    #[must_use]
    pub fn removal(&self) -> Option<(RemovalReason, Discrepancy)> {
        self.findings.iter().find_map(|(seen, follows)| match follows {
            Action::Revoke(reason) => Some((*reason, seen.row())),
            _ => None,
        })
    }
}

impl Supervision {
    /// A device that has not reported yet.
    #[must_use]
    pub fn new(device: DeviceId) -> Self {
        Self {
            device,
            standing: Standing::Active,
            because: None,
            ctr: 0,
            digest: [0; 32],
            seen: 0,
            tx_hw: 0,
            platform: None,
            latest_platform: None,
            lease_until: 0,
            bad_signatures: 0,
            behind_since: None,
            chain_sent: false,
            resets: List::default(),
            sockets: List::default(),
            country: None,
        }
    }

    /// Reads a check-in. The same bytes as the last one are a repetition on the way, and answered again.
    pub fn assess(&mut self, signed: &Signed, here: &Circumstances<'_>, now: Timestamp) -> Assessment {
        let opened = signed.open(&here.entry.device_pk, SigningContext::CheckIn);
        let check_in = opened.ok().and_then(|payload| CheckIn::decode(payload).ok());
        let Some(check_in) = check_in.filter(|check_in| check_in.device == self.device) else {
            self.bad_signatures = self.bad_signatures.saturating_add(1);
            let findings = self.act(&[Observation::BadSignature { count: self.bad_signatures }]);
            return Assessment { findings, check_in: None };
        };
        let digest = signed.digest();
        if digest == self.digest {
            return Assessment { findings: Vec::new(), check_in: Some(check_in) };
        }
        let seen = self.observe(&check_in, here, now);
        // A report that shows an old state or a copy must not become the one that the next is measured by.
        if !seen.iter().any(|seen| matches!(seen, Observation::CounterRepeated | Observation::CopyForked)) {
            self.ctr = check_in.ctr;
            self.digest = digest;
            if here.sent.is_some() {
                self.tx_hw = self.tx_hw.max(check_in.tx_hw);
            }
            self.latest_platform = Some(check_in.platform);
            self.platform = self.platform.or(Some(check_in.platform));
        }
        self.seen = now.unix_ms();
        Assessment { findings: self.act(&seen), check_in: Some(check_in) }
    }

    fn observe(&mut self, check_in: &CheckIn, here: &Circumstances<'_>, now: Timestamp) -> Vec<Observation> {
        let mut seen = Vec::new();
        if check_in.ctr <= self.ctr {
            seen.push(Observation::CounterRepeated);
        } else if Some(check_in.ctr) == self.ctr.checked_add(1) && check_in.prev != self.digest {
            seen.push(Observation::CopyForked);
        }
        if here.sent.is_some_and(|sent| check_in.rx_hw > sent || check_in.tx_hw < self.tx_hw) {
            seen.push(Observation::CountersImpossible);
        }
        if here.hash_then.is_some_and(|hash| hash != check_in.list_hash) {
            seen.push(Observation::ListDiffers);
        }
        if check_in.epoch.saturating_add(1) < here.epoch {
            let since = *self.behind_since.get_or_insert(now.unix_ms());
            if now.ms_since(Timestamp::from_unix_ms(since)) > BEHIND_MS {
                seen.push(Observation::ListStale { sent_before: self.chain_sent });
                self.chain_sent = true;
                self.behind_since = Some(now.unix_ms());
            }
        } else {
            self.behind_since = None;
            self.chain_sent = false;
        }
        if self.platform.is_some_and(|platform| platform != check_in.platform)
            && self.latest_platform != Some(check_in.platform)
        {
            seen.push(Observation::PlatformChanged);
        }
        seen
    }

    /// Whether a device that was linked at `linked` has not reported once in 72 hours: its link was never completed there.
    #[must_use]
    pub fn never_came(&self, linked: Timestamp, now: Timestamp) -> bool {
        self.seen == 0 && now.ms_since(linked) >= NEVER_CAME_MS
    }

    /// The session with the device was made anew: its counters start again.
    pub fn on_reset(&mut self, now: Timestamp) -> Vec<(Observation, Action)> {
        self.tx_hw = 0;
        let in_a_day = remember(&mut self.resets, now);
        self.act(&[Observation::SessionReset { in_a_day }])
    }

    /// The relay says that the device was connected twice at once, `ago_ms` before now. Only times count, not when they are
    /// told: one of last week that is told now and one of now are no pair. What would be longer ago than a device lives
    /// without a word is no news of this one.
    pub fn on_two_sockets(&mut self, ago_ms: u64, now: Timestamp) -> Vec<(Observation, Action)> {
        if ago_ms > OLDEST_NEWS_MS {
            return Vec::new();
        }
        let at = now.unix_ms().saturating_sub(ago_ms);
        let known = |at: &&u64| now.ms_since(Timestamp::from_unix_ms(**at)) <= OLDEST_NEWS_MS;
        let mut times: Vec<u64> = self.sockets.as_slice().iter().filter(known).copied().collect();
        times.push(at);
        let in_a_day = times.iter().filter(|other| other.abs_diff(at) < DAY_MS).count();
        times.sort_unstable();
        let surplus = times.len().saturating_sub(REMEMBERED);
        times.drain(..surplus);
        self.sockets = List::new(times).unwrap_or_default();
        self.act(&[Observation::TwoSockets { in_a_day }])
    }

    /// The relay says where the device is.
    pub fn on_country(&mut self, country: &str) -> Vec<(Observation, Action)> {
        let before = self.country.replace(Text::truncated(country));
        let moved = before.is_some_and(|before| before.as_str() != country);
        if moved { self.act(&[Observation::CountryChanged]) } else { Vec::new() }
    }

    /// The person confirms a device that runs on another platform now.
    pub fn confirm(&mut self) {
        if self.standing == Standing::Restricted {
            self.standing = Standing::Active;
            self.because = None;
            self.platform = self.latest_platform;
        }
    }

    /// The removal that follows from how the device stands, if one does: for when it could not be published at once.
    #[must_use]
    pub fn pending_removal(&self) -> Option<RemovalReason> {
        match self.because {
            Some(Discrepancy::CopyForked | Discrepancy::TwoSockets) => Some(RemovalReason::Cloned),
            Some(Discrepancy::CountersImpossible) => Some(RemovalReason::Discrepancy),
            _ => None,
        }
    }

    /// The scope that the device has now, of the one that its certificate grants.
    #[must_use]
    pub fn scope(&self, granted: u64) -> u64 {
        match self.standing {
            Standing::Active => granted,
            Standing::Restricted => granted & SCOPE_RECEIVE,
            Standing::Quarantined => 0,
        }
    }

    /// Applies what concerns the standing; the rest is the caller's.
    fn act(&mut self, seen: &[Observation]) -> Vec<(Observation, Action)> {
        let findings: Vec<_> = seen.iter().map(|seen| (*seen, action(seen))).collect();
        for (seen, follows) in &findings {
            let standing = match follows {
                // A removal takes effect here before the list says so.
                Action::Quarantine | Action::Revoke(_) => Standing::Quarantined,
                Action::Restrict => Standing::Restricted,
                _ => continue,
            };
            let graver = matches!(follows, Action::Revoke(_));
            if standing > self.standing || graver {
                self.standing = standing;
                self.because = Some(seen.row());
            }
        }
        findings
    }
}

/// Adds an event; tells how many there were within a day, this one included.
fn remember(events: &mut List<u64, REMEMBERED>, now: Timestamp) -> usize {
    let recent = |at: &&u64| now.ms_since(Timestamp::from_unix_ms(**at)) < DAY_MS;
    let mut kept: Vec<u64> = events.as_slice().iter().filter(recent).copied().collect();
    kept.push(now.unix_ms());
    let surplus = kept.len().saturating_sub(REMEMBERED);
    kept.drain(..surplus);
    let count = kept.len();
    *events = List::new(kept).unwrap_or_default();
    count
}

/// The class of a platform: enough to notice that a profile moved, too coarse to tell people apart.
#[must_use]
pub fn platform_class(system: &str, processor: &str) -> [u8; 8] {
    let [a, b, c, d, e, f, g, h, ..] =
        sha256(&[b"pairlight/v1/platform\0", system.as_bytes(), &[0], processor.as_bytes()]);
    [a, b, c, d, e, f, g, h]
}

#[cfg(test)]
#[path = "supervision_tests.rs"]
mod tests;
