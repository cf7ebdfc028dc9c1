//! What both sides of a transfer say about it.

use pairlight_wire::id::DeviceId;

/// What a transfer is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HistoryPhase {
    /// The conversation list and the latest messages.
    FirstScreen,
    /// The last 30 days, or what the policy allows at once.
    Recent,
    /// Everything older.
    Rest,
    /// Nothing more will come.
    Complete,
}

impl HistoryPhase {
    pub(super) fn from_code(code: u8) -> Self {
        match code {
            0 => Self::FirstScreen,
            1 => Self::Recent,
            2 => Self::Rest,
            _ => Self::Complete,
        }
    }
}

/// How a transfer is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryStanding {
    /// Linked, and nothing has begun: the two are separate.
    Waiting,
    /// Under way, or as soon as both sides are online.
    Running,
    /// The policy holds back what follows until this time, ms since 1970; all ones = no time is set.
    Held(u64),
    /// Stopped by a person; can be begun again without a new link.
    Cancelled,
    /// Everything that was promised is stored.
    Done,
}

/// Progress of a transfer, the same numbers on both sides up to what is on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryProgress {
    /// The other device.
    pub device: DeviceId,
    /// How it is doing.
    pub standing: HistoryStanding,
    /// What it is busy with.
    pub phase: HistoryPhase,
    /// Records stored on the linked device.
    pub records: u64,
    /// Records that it will bring in all.
    pub total: u64,
    /// Sealed bytes that were transferred.
    pub bytes: u64,
}

/// What became of a fetched chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// Its records are stored.
    Stored,
    /// It is not what was announced; another copy was asked for.
    Refused,
}
