//! How much one caller, and all callers together, may take. What clients must know stands in `pairlight_wire::limits`.

use std::time::Duration;

use pairlight_wire::limits::{BLOB_TOKEN_MS, CLAIM_MS, LEASE_GRACE_MS, LONG_POLL_MS, SLOT_LIFETIME_MS};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// At most `count` in every span of `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

/// Several rates that hold together, counted per IPv4 address or IPv6 /64, and for claims per account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quota(pub Vec<Rate>);

impl Quota {
    /// One rate.
    #[must_use]
    pub fn one(count: u32, per: Duration) -> Self {
        Self(vec![Rate { count, per }])
    }

    /// Two rates.
    #[must_use]
    pub fn two(count: u32, per: Duration, more: u32, in_all: Duration) -> Self {
        Self(vec![Rate { count, per }, Rate { count: more, per: in_all }])
    }
}

/// All limits and life times of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Life of a slot that nobody claims.
    pub slot_lifetime: Duration,
    /// Life of a slot after its claim.
    pub claim_lifetime: Duration,
    /// For how long the reason of an ended slot can still be asked for.
    pub ended_slot_memory: Duration,
    /// After the linked device's socket closed, its claimed slot is kept for this long.
    pub socket_grace: Duration,
    /// Longest wait of one long-poll request.
    pub long_poll: Duration,
    /// Live slots of one socket. One more replaces the oldest that nobody claimed.
    pub slots_per_socket: usize,
    /// Slots of all callers, ended ones included.
    pub slots: usize,
    /// Bytes in all slots.
    pub slot_bytes: usize,
    /// Opening slots.
    pub opens: Quota,
    /// Claiming slots, successful or not: of one account, or of one network for who proves no account.
    pub claims: Quota,
    /// Publishing lists.
    pub publishes: Quota,
    /// Asking for a nonce, and opening sockets.
    pub challenges: Quota,
    /// TCP connections of all callers.
    pub connections: usize,
    /// TCP connections of one IPv4 address or IPv6 /64. Trusted proxies are not counted: they speak for many.
    pub connections_per_network: usize,
    /// A connection that moves no byte for this long is closed. Longer than a long poll and than two pings.
    pub idle: Duration,
    /// Life of a nonce, and the time to log in on a new socket.
    pub nonce_lifetime: Duration,
    /// Nonces that are kept; beyond, the oldest is forgotten.
    pub nonces: usize,
    /// Signed lists kept for one account, the newest; a device that is further behind must be linked anew.
    pub lists_per_account: u64,
    /// Bytes of one mailbox.
    pub mailbox_bytes: usize,
    /// Envelopes of one mailbox.
    pub mailbox_messages: usize,
    /// Envelopes that nobody fetched for this long are dropped.
    pub mailbox_age: Duration,
    /// Bytes of all lists, mailboxes and blobs of the in-memory store.
    pub store_bytes: usize,
    /// Life of a token for blobs.
    pub blob_token_lifetime: Duration,
    /// Bytes that the blobs of one account may take when they are complete. A small blob counts as 4 KiB.
    pub blob_room: u64,
    /// Blobs are dropped this long after they were begun.
    pub blob_age: Duration,
    /// A connected device is told this long before its lease ends.
    pub lease_notice: Duration,
    /// A lapsed lease still logs in for this long.
    pub lease_grace: Duration,
    /// A socket that stays silent for twice this time is closed; pings are sent at this interval.
    pub ping_every: Duration,
    /// A caller that does not take or send its bytes within this time is dropped.
    pub stall: Duration,
}

impl Limits {
    /// For a relay that anybody can reach.
    #[must_use]
    pub fn public() -> Self {
        Self {
            slot_lifetime: Duration::from_millis(SLOT_LIFETIME_MS),
            claim_lifetime: Duration::from_millis(CLAIM_MS),
            ended_slot_memory: MINUTE,
            socket_grace: Duration::from_secs(2),
            long_poll: Duration::from_millis(LONG_POLL_MS),
            slots_per_socket: 2,
            slots: 50_000,
            slot_bytes: 256 << 20,
            opens: Quota::two(10, MINUTE, 60, HOUR),
            claims: Quota::two(6, Duration::from_secs(600), 20, DAY),
            publishes: Quota::two(20, MINUTE, 200, DAY),
            challenges: Quota::two(60, MINUTE, 1_200, HOUR),
            connections: 10_000,
            connections_per_network: 256,
            idle: Duration::from_secs(75),
            nonce_lifetime: MINUTE,
            nonces: 50_000,
            lists_per_account: 1_024,
            mailbox_bytes: 64 << 20,
            mailbox_messages: 10_000,
            mailbox_age: Duration::from_secs(30 * 86_400),
            store_bytes: 2 << 30,
            blob_token_lifetime: Duration::from_millis(BLOB_TOKEN_MS),
            blob_room: 2 << 30,
            blob_age: Duration::from_secs(72 * 3_600),
            lease_notice: Duration::from_secs(72 * 3_600),
            lease_grace: Duration::from_millis(LEASE_GRACE_MS),
            ping_every: Duration::from_secs(25),
            stall: Duration::from_secs(10),
        }
    }

    /// For a demonstration and for tests on one machine, where every device has the same address.
    #[must_use]
    pub fn generous() -> Self {
        let many = Quota::one(100_000, MINUTE);
        Self {
            opens: many.clone(),
            claims: many.clone(),
            publishes: many.clone(),
            challenges: many,
            connections_per_network: 10_000,
            ..Self::public()
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::public()
    }
}
