//! What a link may do, by grade: four presets, or the embedder's own table.

use pairlight_wire::device::{Preset, SCOPE_ALL, SCOPE_RECEIVE, SCOPE_SEND};

use super::evidence::{Evidence, Grade};
use crate::Timestamp;

const MINUTE_MS: u64 = 60_000;
const HOUR_MS: u64 = 60 * MINUTE_MS;
const DAY_MS: u64 = 24 * HOUR_MS;

/// The longest lease of any preset, ms.
pub const LONGEST_LEASE_MS: u64 = 30 * DAY_MS;

/// How much history a new device gets at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HistoryNow {
    /// Nothing.
    None,
    /// The conversation list, its latest messages and the last 48 hours.
    Recent,
    /// Everything.
    All,
}

/// When the history that did not come at once may follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryRest {
    /// There is no rest: everything came at once.
    Nothing,
    /// After a time, or once the person proved presence on the primary device again, at the earliest `presence_ms` after
    /// linking.
    Either {
        /// ms after linking.
        after_ms: u64,
        /// ms after linking.
        presence_ms: u64,
    },
    /// After a time, and only once the person proved presence again.
    Both {
        /// ms after linking.
        after_ms: u64,
        /// ms after linking.
        presence_ms: u64,
    },
}

/// What a device may be sent of the history now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryGrant {
    /// How much.
    pub allowed: HistoryNow,
    /// When the rest follows by itself, if no other approval is missing.
    pub rest_at: Option<Timestamp>,
    /// From when on another proof of presence (biometry, device lock) frees the rest, or is still needed for it.
    pub presence_from: Option<Timestamp>,
}

/// What one grade grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Scope bits of the certificate (`SCOPE_*`): the most that a lease may ever give.
    pub scope: u64,
    /// Scope bits for the first time, and how long that is, ms; the first lease gives these. See [`Grant::scope_at`].
    pub first: Option<(u64, u64)>,
    /// How long "approve" must be held on the approval screen, ms; 0 = a tap.
    pub hold_ms: u64,
    /// Whether the person must approve again, on a warning screen, once the evidence is known.
    pub second_approval: bool,
    /// History at once.
    pub history_now: HistoryNow,
    /// When the rest may follow.
    pub history_rest: HistoryRest,
    /// Length of each lease, ms.
    pub lease_ms: u64,
}

impl Grant {
    /// Scope bits of a lease that is made `ms` after linking.
    #[must_use]
    pub fn scope_at(&self, ms: u64) -> u64 {
        match self.first {
            Some((scope, first_ms)) if ms < first_ms => scope & self.scope,
            _ => self.scope,
        }
    }

    /// As [`Grant::scope_at`], for a lease or a message at any time. Bits that only this grant lacks are not its business:
    /// the certificate says what was granted.
    #[must_use]
    pub fn scope_in_time(&self, ms: u64) -> u64 {
        match self.first {
            Some((scope, first_ms)) if ms < first_ms => scope,
            _ => u64::MAX,
        }
    }

    /// The narrower of two grants, in every point.
    #[must_use]
    pub fn narrower(&self, other: &Self) -> Self {
        use HistoryRest::{Both, Either, Nothing};
        let first = match (self.first, other.first) {
            (Some((a, a_ms)), Some((b, b_ms))) => Some((a & b, a_ms.max(b_ms))),
            (first, None) | (None, first) => first,
        };
        // Where not everything came at once, no rest means that it never comes.
        let never = |grant: &Self| grant.history_rest == Nothing && grant.history_now != HistoryNow::All;
        let history_rest = match (self.history_rest, other.history_rest) {
            _ if never(self) || never(other) => Nothing,
            (Nothing, rest) | (rest, Nothing) => rest,
            (
                Either { after_ms: a, presence_ms: p } | Both { after_ms: a, presence_ms: p },
                Either { after_ms: b, presence_ms: q } | Both { after_ms: b, presence_ms: q },
            ) => {
                let (after_ms, presence_ms) = (a.max(b), p.max(q));
                match (self.history_rest, other.history_rest) {
                    (Either { .. }, Either { .. }) => Either { after_ms, presence_ms },
                    _ => Both { after_ms, presence_ms },
                }
            }
        };
        Self {
            scope: self.scope & other.scope,
            first,
            hold_ms: self.hold_ms.max(other.hold_ms),
            second_approval: self.second_approval || other.second_approval,
            history_now: self.history_now.min(other.history_now),
            history_rest,
            lease_ms: self.lease_ms.min(other.lease_ms),
        }
    }

    /// How much history a device that was linked at `linked` may be sent at `now`; `presence` is when the person last
    /// proved presence on the primary device for this purpose, after linking.
    #[must_use]
    pub fn history_grant(&self, linked: Timestamp, presence: Option<Timestamp>, now: Timestamp) -> HistoryGrant {
        let all = HistoryGrant { allowed: HistoryNow::All, rest_at: None, presence_from: None };
        let present = |ms: u64| presence.is_some_and(|at| at.unix_ms() >= linked.plus_ms(ms).unix_ms());
        let passed = |ms: u64| now.ms_since(linked) >= ms;
        let (done, rest_at, presence_from) = match self.history_rest {
            HistoryRest::Nothing => return HistoryGrant { allowed: self.history_now, ..all },
            HistoryRest::Either { after_ms, presence_ms } => {
                (passed(after_ms) || present(presence_ms), Some(after_ms), Some(presence_ms))
            }
            HistoryRest::Both { after_ms, presence_ms } => {
                let shown = present(presence_ms);
                (passed(after_ms) && shown, shown.then_some(after_ms), (!shown).then_some(presence_ms))
            }
        };
        if done {
            return all;
        }
        let at = |ms: Option<u64>| ms.map(|ms| linked.plus_ms(ms));
        HistoryGrant { allowed: self.history_now, rest_at: at(rest_at), presence_from: at(presence_from) }
    }
}

/// The table of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Which preset this is; [`Preset::Custom`] for a table of the embedder.
    pub preset: Preset,
    /// Grant for weak evidence; `None` refuses the link.
    pub weak: Option<Grant>,
    /// Grant for medium evidence.
    pub medium: Option<Grant>,
    /// Grant for strong evidence.
    pub strong: Option<Grant>,
    /// Evidence without which no link is made, whatever its grade.
    pub required: Evidence,
}

const FULL: Grant = Grant {
    scope: SCOPE_ALL,
    first: None,
    hold_ms: 0,
    second_approval: false,
    history_now: HistoryNow::All,
    history_rest: HistoryRest::Nothing,
    lease_ms: LONGEST_LEASE_MS,
};

impl Policy {
    /// No delays, no refusals. For development; the certificate says so.
    pub const DEVELOPMENT: Self = Self {
        preset: Preset::Development,
        weak: Some(FULL),
        medium: Some(FULL),
        strong: Some(FULL),
        required: Evidence::NONE,
    };

    /// The default: a phone on mobile data beside a laptop on Wi-Fi is weak by context, so weak stays usable.
    pub const BALANCED: Self = Self {
        preset: Preset::Balanced,
        weak: Some(Grant {
            hold_ms: 10_000,
            second_approval: true,
            history_now: HistoryNow::Recent,
            history_rest: HistoryRest::Either { after_ms: 12 * HOUR_MS, presence_ms: 0 },
            lease_ms: 14 * DAY_MS,
            ..FULL
        }),
        medium: Some(FULL),
        strong: Some(FULL),
        required: Evidence::NONE,
    };

    /// Little for little evidence.
    pub const STRICT: Self = Self {
        preset: Preset::Strict,
        weak: Some(Grant {
            scope: SCOPE_RECEIVE | SCOPE_SEND,
            first: Some((SCOPE_RECEIVE, HOUR_MS)),
            hold_ms: 10_000,
            second_approval: true,
            history_now: HistoryNow::None,
            history_rest: HistoryRest::Both { after_ms: DAY_MS, presence_ms: 10 * MINUTE_MS },
            lease_ms: DAY_MS,
        }),
        medium: Some(Grant {
            scope: SCOPE_RECEIVE | SCOPE_SEND,
            history_now: HistoryNow::Recent,
            history_rest: HistoryRest::Either { after_ms: 12 * HOUR_MS, presence_ms: 10 * MINUTE_MS },
            lease_ms: 14 * DAY_MS,
            ..FULL
        }),
        strong: Some(FULL),
        required: Evidence::NONE,
    };

    /// Only strong evidence links. For people at high risk.
    pub const STRONG_ONLY: Self =
        Self { preset: Preset::StrongOnly, weak: None, medium: None, strong: Some(FULL), required: Evidence::NONE };

    /// The table of a preset; `None` for [`Preset::Custom`], which only the embedder knows.
    #[must_use]
    pub fn of_preset(preset: Preset) -> Option<Self> {
        match preset {
            Preset::Custom => None,
            Preset::Development => Some(Self::DEVELOPMENT),
            Preset::Balanced => Some(Self::BALANCED),
            Preset::Strict => Some(Self::STRICT),
            Preset::StrongOnly => Some(Self::STRONG_ONLY),
        }
    }

    /// What a device keeps that was linked with `grade` under `preset`: what it was given then, but never more than this
    /// policy gives now. So no program that runs under another policy later makes a link wider in silence. `None`: this
    /// policy refuses the grade.
    #[must_use]
    pub fn grant_under(&self, preset: Preset, grade: Grade) -> Option<Grant> {
        let now = self.grant(grade)?;
        let then = Self::of_preset(preset);
        Some(match then.as_ref().and_then(|then| then.grant(grade)) {
            Some(then) => now.narrower(then),
            None => *now,
        })
    }

    /// As [`Policy::grant_under`], by the evidence field of a certificate.
    #[must_use]
    pub fn grant_of(&self, evidence: u64) -> Option<Grant> {
        let (_, grade, preset) = Evidence::from_certificate(evidence);
        self.grant_under(preset.unwrap_or(Preset::Custom), grade?)
    }

    /// As [`Policy::grant_of`]; where this policy refuses the grade today, what the preset gave.
    #[must_use]
    pub fn kept(&self, evidence: u64) -> Option<Grant> {
        let (_, grade, preset) = Evidence::from_certificate(evidence);
        self.grant_of(evidence).or_else(|| Self::of_preset(preset?)?.grant(grade?).copied())
    }

    /// What `grade` grants; `None` refuses the link.
    #[must_use]
    pub fn grant(&self, grade: Grade) -> Option<&Grant> {
        match grade {
            Grade::Weak => self.weak.as_ref(),
            Grade::Medium => self.medium.as_ref(),
            Grade::Strong => self.strong.as_ref(),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::BALANCED
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_are_the_ones_of_the_protocol() {
        let days = |policy: Policy, grade| policy.grant(grade).map(|grant| grant.lease_ms / DAY_MS);
        assert_eq!(days(Policy::STRICT, Grade::Weak), Some(1));
        assert_eq!(days(Policy::STRICT, Grade::Medium), Some(14));
        assert_eq!(days(Policy::BALANCED, Grade::Weak), Some(14));
        assert_eq!(days(Policy::BALANCED, Grade::Strong), Some(30));
        assert_eq!(days(Policy::STRONG_ONLY, Grade::Medium), None);
        assert_eq!(Policy::default(), Policy::BALANCED);
        assert!(Policy::BALANCED.grant(Grade::Weak).is_some_and(|grant| grant.second_approval));
        assert!(Policy::DEVELOPMENT.grant(Grade::Weak).is_some_and(|grant| grant.hold_ms == 0));
        let strict = Policy::STRICT.weak.unwrap();
        assert_eq!(strict.scope_at(0), SCOPE_RECEIVE);
        assert_eq!(strict.scope_at(HOUR_MS - 1), SCOPE_RECEIVE);
        assert_eq!(strict.scope_at(HOUR_MS), SCOPE_RECEIVE | SCOPE_SEND);
        assert_eq!(Policy::STRICT.medium.unwrap().scope_at(0), SCOPE_RECEIVE | SCOPE_SEND);
        assert_eq!(Policy::BALANCED.weak.unwrap().scope_at(0), SCOPE_ALL);
    }

    /// What a policy grants; to a grade that it refuses, nothing.
    fn granted(policy: Policy, grade: Grade) -> Grant {
        let refused = Grant { history_now: HistoryNow::None, history_rest: HistoryRest::Nothing, ..FULL };
        policy.grant(grade).copied().unwrap_or(refused)
    }

    #[test]
    fn the_narrower_of_two_grants_is_narrower_than_either_in_every_point() {
        let linked = Timestamp::from_unix_ms(1_800_000_000_000);
        let rests = [
            HistoryRest::Nothing,
            HistoryRest::Either { after_ms: HOUR_MS, presence_ms: 0 },
            HistoryRest::Either { after_ms: MINUTE_MS, presence_ms: DAY_MS },
            HistoryRest::Both { after_ms: DAY_MS, presence_ms: 0 },
            HistoryRest::Both { after_ms: 0, presence_ms: HOUR_MS },
        ];
        let mut grants = Vec::new();
        for history_now in [HistoryNow::None, HistoryNow::Recent, HistoryNow::All] {
            for history_rest in rests {
                for first in [None, Some((SCOPE_RECEIVE, HOUR_MS)), Some((SCOPE_SEND, MINUTE_MS))] {
                    let (scope, lease_ms) = (SCOPE_ALL ^ history_now as u64, HOUR_MS * (1 + history_now as u64));
                    grants.push(Grant { scope, first, history_now, history_rest, lease_ms, ..FULL });
                }
            }
        }
        let moments = [0, MINUTE_MS, HOUR_MS, DAY_MS, 2 * DAY_MS];
        for (a, b) in grants.iter().flat_map(|a| grants.iter().map(move |b| (a, b))) {
            let both = a.narrower(b);
            assert_eq!(both, b.narrower(a), "{a:?} {b:?}");
            assert!(both.lease_ms <= a.lease_ms.min(b.lease_ms));
            for ms in moments {
                assert_eq!(both.scope_at(ms) & !(a.scope_at(ms) & b.scope_at(ms)), 0, "{a:?} {b:?} at {ms}");
                for presence in moments.map(Some).into_iter().chain([None]) {
                    let presence = presence.filter(|at| *at <= ms).map(|at| linked.plus_ms(at));
                    let at = |grant: &Grant| grant.history_grant(linked, presence, linked.plus_ms(ms)).allowed;
                    assert!(at(&both) <= at(a).min(at(b)), "{a:?} {b:?} at {ms}, {presence:?}");
                }
            }
        }
    }

    #[test]
    fn a_policy_that_refuses_a_grade_today_widens_no_link_of_yesterday() {
        let strict_weak = Evidence::NONE.to_certificate(Grade::Weak, Preset::Strict);
        assert_eq!(Policy::STRONG_ONLY.grant_of(strict_weak), None);
        assert_eq!(Policy::STRONG_ONLY.kept(strict_weak), Policy::STRICT.weak);
        assert_eq!(Policy::DEVELOPMENT.kept(strict_weak).map(|grant| grant.scope_at(0)), Some(SCOPE_RECEIVE));
    }

    #[test]
    fn history_comes_at_once_after_a_time_or_after_another_proof_of_presence() {
        use HistoryNow::{All, None as Nothing, Recent};
        let linked = Timestamp::from_unix_ms(1_800_000_000_000);
        let after = |ms: u64| linked.plus_ms(ms);
        let (day, hours, minutes) = (DAY_MS, 12 * HOUR_MS, 10 * MINUTE_MS);
        // Policy, grade, ms since linking, proof of presence at, what may be sent.
        let table: [(Policy, Grade, u64, Option<u64>, HistoryNow); 19] = [
            (Policy::BALANCED, Grade::Strong, 0, None, All),
            (Policy::BALANCED, Grade::Medium, 0, None, All),
            (Policy::BALANCED, Grade::Weak, 0, None, Recent),
            (Policy::BALANCED, Grade::Weak, hours - 1, None, Recent),
            (Policy::BALANCED, Grade::Weak, hours, None, All),
            (Policy::BALANCED, Grade::Weak, 1, Some(1), All),
            (Policy::STRICT, Grade::Strong, 0, None, All),
            (Policy::STRICT, Grade::Medium, 0, None, Recent),
            (Policy::STRICT, Grade::Medium, hours - 1, Some(minutes - 1), Recent),
            (Policy::STRICT, Grade::Medium, minutes, Some(minutes), All),
            (Policy::STRICT, Grade::Medium, hours, None, All),
            (Policy::STRICT, Grade::Weak, 0, None, Nothing),
            (Policy::STRICT, Grade::Weak, 10 * day, None, Nothing),
            (Policy::STRICT, Grade::Weak, 10 * day, Some(minutes - 1), Nothing),
            (Policy::STRICT, Grade::Weak, day - 1, Some(minutes), Nothing),
            (Policy::STRICT, Grade::Weak, day, Some(minutes), All),
            (Policy::STRONG_ONLY, Grade::Strong, 0, None, All),
            (Policy::STRONG_ONLY, Grade::Medium, 10 * day, Some(day), Nothing),
            (Policy::DEVELOPMENT, Grade::Weak, 0, None, All),
        ];
        for (policy, grade, ms, presence, allowed) in table {
            let grant = granted(policy, grade).history_grant(linked, presence.map(after), after(ms));
            assert_eq!(grant.allowed, allowed, "{:?} {grade:?} after {ms} ms, presence {presence:?}", policy.preset);
            if allowed == All {
                assert_eq!((grant.rest_at, grant.presence_from), (None, None));
            }
        }
        let medium = granted(Policy::STRICT, Grade::Medium).history_grant(linked, None, linked);
        assert_eq!((medium.rest_at, medium.presence_from), (Some(after(hours)), Some(after(minutes))));
        let weak = granted(Policy::STRICT, Grade::Weak).history_grant(linked, None, linked);
        assert_eq!((weak.rest_at, weak.presence_from), (None, Some(after(minutes))));
        let weak = granted(Policy::STRICT, Grade::Weak).history_grant(linked, Some(after(minutes)), linked);
        assert_eq!((weak.rest_at, weak.presence_from), (Some(after(day)), None));
        // A clock that was set back to before the link opens nothing.
        let back = Timestamp::from_unix_ms(0);
        assert_eq!(granted(Policy::BALANCED, Grade::Weak).history_grant(linked, None, back).allowed, Recent);
    }
}
