//! Limits and life times that both ends of a wire must know. Times are relative, in milliseconds.

/// Longest sealed offer that a relay takes, in bytes.
pub const OFFER_CT_BYTES: usize = 2048;
/// Longest pairing message, in bytes.
pub const PAIRING_MESSAGE_BYTES: usize = 16 * 1024;
/// Most pairing messages that one slot carries, both directions together.
pub const MESSAGES_PER_SLOT: usize = 64;
/// Longest envelope, in bytes.
pub const ENVELOPE_BYTES: usize = 64 * 1024;
/// Most entries of a device list.
pub const LIST_ENTRIES: usize = 16;
/// Most tombstones of a device list.
pub const LIST_TOMBSTONES: usize = 256;
/// Most rotations of the root key of one account.
pub const LIST_ROOTS: usize = 8;
/// Most session resets that a list remembers.
pub const LIST_RESETS: usize = 32;
/// Most lists in the answer to a check-in.
pub const GRANT_LISTS: usize = 32;
/// Longest signed payload inside [`crate::sign::Signed`], in bytes.
pub const SIGNED_PAYLOAD_BYTES: usize = 16 * 1024;
/// Most signed lists in one answer.
pub const CHAIN_LISTS: usize = 256;

/// A new code is shown after this time.
pub const ROTATE_MS: u64 = 30_000;
/// An unclaimed slot lives this long at the relay.
pub const SLOT_LIFETIME_MS: u64 = 60_000;
/// Codes are shown for this long, then the person is asked.
pub const SHOW_MS: u64 = 300_000;
/// From claim to the end of the pairing.
pub const CLAIM_MS: u64 = 180_000;
/// For each message that is expected from the other machine.
pub const MESSAGE_MS: u64 = 20_000;
/// For the person to type the check code.
pub const CHECK_CODE_MS: u64 = 120_000;
/// For the primary device to check evidence that takes a while: a challenge on the local network, an app's own verdict.
pub const EVIDENCE_MS: u64 = 20_000;
/// For the linked device to give evidence that it was asked for; a person may have to act.
pub const NEED_MS: u64 = 60_000;
/// For the platform to sign with a device's key that it guards; less than the other side waits for the message.
pub const SIGN_MS: u64 = 10_000;
/// For the signed list to be published and confirmed.
pub const PUBLISH_MS: u64 = 60_000;
/// How long the linked device asks for the list when the last message is missing, and how often.
pub const COMMIT_POLL_MS: u64 = 5_000;
/// See [`COMMIT_POLL_MS`].
pub const COMMIT_GIVE_UP_MS: u64 = 600_000;
/// Longest wait of one long-poll request.
pub const LONG_POLL_MS: u64 = 25_000;
/// Tries for the check code.
pub const CHECK_CODE_TRIES: u8 = 3;
/// The relay lets a lapsed lease log in for this much longer, in milliseconds.
pub const LEASE_GRACE_MS: u64 = 24 * 3_600_000;

/// Longest blob, in bytes.
pub const BLOB_BYTES: usize = 1024 * 1024;
/// A blob token lives this long.
pub const BLOB_TOKEN_MS: u64 = 600_000;
/// Longest blob token, in bytes.
pub const BLOB_TOKEN_BYTES: usize = 128;
