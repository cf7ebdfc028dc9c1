//! What a link may do, by grade: four presets, or the embedder's own table.

use pairlight_wire::device::{Preset, SCOPE_ALL, SCOPE_RECEIVE, SCOPE_SEND};

use super::evidence::Grade;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

/// How much history a new device gets at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryNow {
    /// Nothing.
    None,
    /// The conversation list, its latest messages and the last 48 hours.
    Recent,
    /// Everything.
    All,
}

/// What one grade grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Scope bits of the certificate (`SCOPE_*`).
    pub scope: u64,
    /// How long "approve" must be held on the approval screen, ms; 0 = a tap.
    pub hold_ms: u64,
    /// Whether the person must approve again, on a warning screen, once the evidence is known.
    pub second_approval: bool,
    /// History at once.
    pub history_now: HistoryNow,
    /// When the rest may follow without another approval, ms after linking; `None` = now.
    pub history_rest_after_ms: Option<u64>,
    /// Length of each lease, ms.
    pub lease_ms: u64,
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
}

const FULL: Grant = Grant {
    scope: SCOPE_ALL,
    hold_ms: 0,
    second_approval: false,
    history_now: HistoryNow::All,
    history_rest_after_ms: None,
    lease_ms: 30 * DAY_MS,
};

impl Policy {
    /// No delays, no refusals. For development; the certificate says so.
    pub const DEVELOPMENT: Self =
        Self { preset: Preset::Development, weak: Some(FULL), medium: Some(FULL), strong: Some(FULL) };

    /// The default: a phone on mobile data beside a laptop on Wi-Fi is weak by context, so weak stays usable.
    pub const BALANCED: Self = Self {
        preset: Preset::Balanced,
        weak: Some(Grant {
            hold_ms: 10_000,
            second_approval: true,
            history_now: HistoryNow::Recent,
            history_rest_after_ms: Some(12 * HOUR_MS),
            lease_ms: 14 * DAY_MS,
            ..FULL
        }),
        medium: Some(FULL),
        strong: Some(FULL),
    };

    /// Little for little evidence.
    pub const STRICT: Self = Self {
        preset: Preset::Strict,
        weak: Some(Grant {
            scope: SCOPE_RECEIVE,
            hold_ms: 10_000,
            second_approval: true,
            history_now: HistoryNow::None,
            history_rest_after_ms: Some(DAY_MS),
            lease_ms: DAY_MS,
        }),
        medium: Some(Grant {
            scope: SCOPE_RECEIVE | SCOPE_SEND,
            history_now: HistoryNow::Recent,
            history_rest_after_ms: Some(12 * HOUR_MS),
            lease_ms: 14 * DAY_MS,
            ..FULL
        }),
        strong: Some(FULL),
    };

    /// Only strong evidence links. For people at high risk.
    pub const STRONG_ONLY: Self = Self { preset: Preset::StrongOnly, weak: None, medium: None, strong: Some(FULL) };

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
    }
}
