//! What is spoken with the relay: HTTP bodies and WebSocket frames, all CBOR.
//!
//! ```text
//! WS   /v1/link                      linked device: Open, Send, Cancel  <->  Opened, Claimed, Msg, Ended, Conflict, Refused
//! POST /v1/link/{slot}/claim         primary device: empty body -> ClaimAnswer
//! GET  /v1/link/{slot}/msgs?from=n   primary device: long poll -> SlotMessages       (Authorization: Bearer <claim token, hex>)
//! POST /v1/link/{slot}/msgs          primary device: SlotMessage -> 204
//! DELETE /v1/link/{slot}?reason=n    either side, with its token
//! POST /v1/challenge                 -> Challenge, one use, 60 s
//! PUT  /v1/accounts/{account}/list   PublishList -> 200, 409 (somebody was faster), 403 (not accepted)
//! GET  /v1/accounts/{account}/list?from=n   listed device -> ListChain            (Authorization: Pairlight <DeviceAuth, hex>)
//! POST /v1/recovery                  RecoveryClaim -> ListChain: the newest list alone
//! WS   /v1/stream                    Challenge; Login; Welcome; then Post/Ack <-> Accepted, Deliver, ListChanged, ...
//! PUT  /v1/blobs/{blob}              bytes; Upload-Length, Upload-Offset -> 201, 409  (Authorization: Bearer <blob token, hex>)
//! HEAD /v1/blobs/{blob}              same token -> Upload-Length, Upload-Offset: how much is there
//! GET  /v1/blobs/{blob}              same token; Range -> the bytes
//! DELETE /v1/blobs/{blob}            same token -> 204
//! GET  /v1/relay                     RelayInfo: the attestation key, for a first look; apps pin it
//! ```

use crate::codec::{Bytes, List, Text, choice, coded, record};
use crate::id::{AccountId, DeviceId, SlotId};
use crate::limits::{
    BLOB_TOKEN_BYTES, CHAIN_LISTS, ENVELOPE_BYTES, MESSAGES_PER_SLOT, OFFER_CT_BYTES, PAIRING_MESSAGE_BYTES,
};
use crate::pairing::EndReason;
use crate::sign::Signed;

coded! {
    /// Why the relay refuses. Each maps to one HTTP status and one close code.
    pub enum RefusalCode {
        /// Not a message of this protocol (400, 4400).
        Protocol = 0,
        /// The device was removed from the list (401, 4401).
        Removed = 1,
        /// The lease lapsed (403, 4403).
        LeaseExpired = 2,
        /// Waited too long (408, 4408).
        TimedOut = 3,
        /// Somebody else was first (409, 4409).
        Conflict = 4,
        /// The same device logged in again (4412).
        Duplicate = 5,
        /// The client is too old (426, 4426).
        Outdated = 6,
        /// Too many attempts (429, 4429).
        RateLimited = 7,
        /// No such slot or account, or not for this caller (404, 4404).
        NotFound = 8,
        /// Login or token not valid (403, 4402).
        NotAllowed = 9,
        /// Too large (413, 4413).
        TooLarge = 10,
        /// A mailbox, the list chain, or the room for blobs is full (429, 4414).
        Overflow = 11,
        /// The relay cannot store (503, 4503).
        Unavailable = 12,
        /// The code was here and is too old, or was taken back (410, 4410).
        Gone = 13,
    }
}

impl RefusalCode {
    /// WebSocket close code.
    #[must_use]
    pub fn close_code(self) -> u16 {
        match self {
            Self::Protocol => 4400,
            Self::Removed => 4401,
            Self::NotAllowed => 4402,
            Self::LeaseExpired => 4403,
            Self::NotFound => 4404,
            Self::TimedOut => 4408,
            Self::Conflict => 4409,
            Self::Duplicate => 4412,
            Self::TooLarge => 4413,
            Self::Overflow => 4414,
            Self::Outdated => 4426,
            Self::RateLimited => 4429,
            Self::Unavailable => 4503,
            Self::Gone => 4410,
        }
    }

    /// The code for a WebSocket close code.
    #[must_use]
    pub fn from_close_code(code: u16) -> Option<Self> {
        (0..=13).filter_map(Self::from_code).find(|refusal| refusal.close_code() == code)
    }

    /// HTTP status.
    #[must_use]
    pub fn http_status(self) -> u16 {
        match self {
            Self::Protocol => 400,
            Self::Removed => 401,
            Self::LeaseExpired | Self::NotAllowed => 403,
            Self::NotFound => 404,
            Self::TimedOut => 408,
            Self::Conflict | Self::Duplicate => 409,
            Self::TooLarge => 413,
            Self::Outdated => 426,
            Self::RateLimited | Self::Overflow => 429,
            Self::Unavailable => 503,
            Self::Gone => 410,
        }
    }
}

record! {
    /// A refusal, as an HTTP body or a frame before the close.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Refused [7] {
        /// Why.
        pub code: RefusalCode,
        /// When a new try makes sense, ms from now; 0 = not stated.
        pub retry_after_ms: u64,
        /// One plain sentence for people.
        pub words: Text<200>,
        /// The slot that it is about, on `/v1/link`.
        pub slot: Option<SlotId>,
        /// [`PostEnvelope::reference`] of the post that it is about, on `/v1/stream`: the socket lives on.
        pub reference: Option<u64>,
    }
}

// ---- /v1/link, linked device to relay ----

record! {
    /// Opens a slot.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct OpenSlot [1] {
        /// The slot's id.
        pub slot: SlotId,
        /// The sealed offer.
        pub offer_ct: Bytes<OFFER_CT_BYTES>,
    }
}
record! {
    /// Sends a pairing message to the device that claimed the slot. Repeating a number changes nothing.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotSend [2] {
        /// The slot.
        pub slot: SlotId,
        /// 0, 1, 2 ... per side.
        pub seq: u64,
        /// The message.
        pub body: Bytes<PAIRING_MESSAGE_BYTES>,
    }
}
record! {
    /// Ends a slot.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct CancelSlot [3] {
        /// The slot.
        pub slot: SlotId,
        /// Why.
        pub reason: EndReason,
    }
}
choice! {
    /// Frames of the linked device on `/v1/link`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum LinkRequest {
        /// Opens a slot.
        Open(OpenSlot) = 1,
        /// Sends a message.
        Send(SlotSend) = 2,
        /// Ends a slot.
        Cancel(CancelSlot) = 3,
    }
}

// ---- /v1/link, relay to linked device ----

record! {
    /// The slot is open; the code may be shown.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotOpened [1] {
        /// The slot.
        pub slot: SlotId,
        /// Unclaimed life time in ms.
        pub ttl_ms: u64,
        /// [`crate::context::RelayContext`], signed.
        pub context: Signed,
    }
}
record! {
    /// A primary device claimed the slot.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotClaimed [2] {
        /// The slot.
        pub slot: SlotId,
    }
}
record! {
    /// A message of the primary device.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotMsg [3] {
        /// The slot.
        pub slot: SlotId,
        /// 0, 1, 2 ... per side.
        pub seq: u64,
        /// The message.
        pub body: Bytes<PAIRING_MESSAGE_BYTES>,
    }
}
record! {
    /// The slot is gone.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotEnded [4] {
        /// The slot.
        pub slot: SlotId,
        /// Why.
        pub reason: EndReason,
    }
}
record! {
    /// A second device tried to claim the slot and was refused.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotConflict [5] {
        /// The slot.
        pub slot: SlotId,
    }
}
choice! {
    /// Frames of the relay on `/v1/link`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum LinkEvent {
        /// The slot is open.
        Opened(SlotOpened) = 1,
        /// The slot was claimed.
        Claimed(SlotClaimed) = 2,
        /// A message came.
        Msg(SlotMsg) = 3,
        /// The slot is gone.
        Ended(SlotEnded) = 4,
        /// A second scanner.
        Conflict(SlotConflict) = 5,
        /// The relay refuses.
        Refused(Refused) = 7,
    }
}

// ---- primary device ----

record! {
    /// Answer to a claim. Holds the slot's token: redacted in `Debug`.
    #[derive(Clone, PartialEq, Eq)]
    pub struct ClaimAnswer [1] {
        /// The sealed offer.
        pub offer_ct: Bytes<OFFER_CT_BYTES>,
        /// [`crate::context::RelayContext`] of the linked device, signed.
        pub context: Signed,
        /// [`crate::context::OwnContext`] of the caller, signed.
        pub own_context: Signed,
        /// Bearer token for this slot.
        pub claim_token: [u8; 16],
        /// How long the claimed slot lives, ms.
        pub ttl_ms: u64,
    }
}
record! {
    /// One message of a slot.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotMessage [1] {
        /// 0, 1, 2 ... per side.
        pub seq: u64,
        /// The message.
        pub body: Bytes<PAIRING_MESSAGE_BYTES>,
    }
}
record! {
    /// Answer to the long poll of the primary device.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SlotMessages [1] {
        /// Messages of the linked device from the asked number on.
        pub messages: List<SlotMessage, MESSAGES_PER_SLOT>,
        /// Set when the slot is gone.
        pub ended: Option<EndReason>,
        /// Whether a second device tried to claim the slot.
        pub conflict: bool,
    }
}

// ---- accounts ----

record! {
    /// Publishes a list.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PublishList [1] {
        /// The signed list; its epoch is one above the stored one.
        pub list: Signed,
        /// Certificate of the ops key; needed when it signed, stored for leases.
        pub ops: Signed,
    }
}
record! {
    /// The lists from an epoch on, oldest first.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ListChain [1] {
        /// The signed lists.
        pub lists: List<Signed, CHAIN_LISTS>,
        /// Certificate of the ops key that the account uses.
        pub ops: Option<Signed>,
    }
}
record! {
    /// A nonce that a login must sign; used once, valid 60 s.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Challenge [1] {
        /// The nonce.
        pub nonce: [u8; 32],
    }
}
record! {
    /// Asks for the account whose recovery key signs.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RecoveryClaim [1] {
        /// Public recovery key.
        pub recovery_pk: [u8; 32],
        /// Nonce of a [`Challenge`].
        pub nonce: [u8; 32],
        /// Over [`recovery_message`].
        pub sig: [u8; 64],
    }
}

/// What a recovery key signs to learn its account: `nonce || relay host`.
#[must_use]
pub fn recovery_message(nonce: &[u8; 32], relay_host: &str) -> Vec<u8> {
    [nonce.as_slice(), relay_host.as_bytes()].concat()
}

record! {
    /// Proof of a listed device, for `GET` of the list.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeviceAuth [1] {
        /// The account.
        pub account: AccountId,
        /// The device.
        pub device: DeviceId,
        /// Nonce of a [`Challenge`].
        pub nonce: [u8; 32],
        /// Epoch of the list that the device knows.
        pub epoch: u64,
        /// Over [`auth_message`].
        pub sig: [u8; 64],
    }
}

/// What a device signs to log in: `nonce || relay host || 0 || device id || epoch (8 bytes)`.
#[must_use]
pub fn auth_message(nonce: &[u8; 32], relay_host: &str, device: &DeviceId, epoch: u64) -> Vec<u8> {
    [nonce.as_slice(), relay_host.as_bytes(), &[0], device.as_bytes(), &epoch.to_be_bytes()].concat()
}

// ---- /v1/stream ----

record! {
    /// First frame of a device.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Login [1] {
        /// Who, over the challenge of this socket.
        pub auth: DeviceAuth,
        /// Current lease; a primary device has none.
        pub lease: Option<Signed>,
        /// Nonce of the socket that this running program had before: a device that comes back is no second one.
        pub previous: Option<[u8; 32]>,
    }
}
record! {
    /// A newer lease, on a socket that is open.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RenewLease [5] {
        /// The lease.
        pub lease: Signed,
    }
}
record! {
    /// Posts an envelope to a device of the same account.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct PostEnvelope [2] {
        /// Recipient.
        pub to: DeviceId,
        /// Chosen by the sender; comes back in [`Accepted`]. The same number twice is accepted once.
        pub reference: u64,
        /// An encoded [`crate::envelope::Envelope`].
        pub envelope: Bytes<ENVELOPE_BYTES>,
    }
}
record! {
    /// All envelopes up to a number were stored by the recipient.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AckEnvelopes [3] {
        /// The number.
        pub up_to: u64,
    }
}
record! {
    /// Asks for a [`BlobToken`].
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct AskBlobToken [4] {
        /// Chosen by the device; comes back in the answer or the refusal.
        pub reference: u64,
    }
}
choice! {
    /// Frames of a device on `/v1/stream`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum StreamRequest {
        /// Logs in.
        Login(Login) = 1,
        /// Posts an envelope.
        Post(PostEnvelope) = 2,
        /// Acknowledges envelopes.
        Ack(AckEnvelopes) = 3,
        /// Asks for a token for blobs.
        BlobToken(AskBlobToken) = 4,
        /// Shows a newer lease.
        Renew(RenewLease) = 5,
    }
}

record! {
    /// The login is accepted.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Welcome [2] {
        /// Epoch of the stored list.
        pub epoch: u64,
    }
}
record! {
    /// An envelope is stored.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Accepted [3] {
        /// The sender's reference.
        pub reference: u64,
    }
}
record! {
    /// An envelope for this device.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Deliver [4] {
        /// Its number in this mailbox, for the acknowledgement.
        pub number: u64,
        /// The encoded envelope.
        pub envelope: Bytes<ENVELOPE_BYTES>,
    }
}
record! {
    /// The account has a new list.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct ListChanged [5] {
        /// Its epoch.
        pub epoch: u64,
    }
}
record! {
    /// The lease ends soon.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct LeaseExpiring [6] {
        /// When, ms since 1970.
        pub not_after: u64,
    }
}
record! {
    /// A device of the account logged in twice.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DuplicateSocket [8] {
        /// The device.
        pub device: DeviceId,
        /// How long ago, ms; 0 = now.
        pub ago_ms: u64,
    }
}
record! {
    /// Lets the device use the blobs of its account for a while. Redacted in `Debug`.
    #[derive(Clone, PartialEq, Eq)]
    pub struct BlobToken [9] {
        /// The device's reference.
        pub reference: u64,
        /// Bearer token. What is in it is the relay's affair.
        pub token: Bytes<BLOB_TOKEN_BYTES>,
        /// How long it is good, ms from now.
        pub ttl_ms: u64,
    }
}
record! {
    /// Where the relay sees a device of the account, for its primary device.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct DeviceSeen [10] {
        /// The device.
        pub device: DeviceId,
        /// ISO 3166.
        pub country: Text<2>,
    }
}
choice! {
    /// Frames of the relay on `/v1/stream`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum StreamEvent {
        /// A nonce to sign.
        Challenge(Challenge) = 1,
        /// Logged in.
        Welcome(Welcome) = 2,
        /// An envelope is stored.
        Accepted(Accepted) = 3,
        /// An envelope came.
        Deliver(Deliver) = 4,
        /// A new list.
        ListChanged(ListChanged) = 5,
        /// The lease ends soon.
        LeaseExpiring(LeaseExpiring) = 6,
        /// The relay refuses, or could not store a post.
        Refused(Refused) = 7,
        /// A device logged in twice.
        Duplicate(DuplicateSocket) = 8,
        /// A token for blobs.
        BlobToken(BlobToken) = 9,
        /// Where a device connected.
        Seen(DeviceSeen) = 10,
    }
}

record! {
    /// Who the relay is.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct RelayInfo [1] {
        /// Host name that logins sign.
        pub host: Text<255>,
        /// Ed25519 public key of its attestations.
        pub attestation_pk: [u8; 32],
    }
}

impl core::fmt::Debug for ClaimAnswer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ClaimAnswer").field("ttl_ms", &self.ttl_ms).finish_non_exhaustive()
    }
}

impl core::fmt::Debug for BlobToken {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("BlobToken")
            .field("reference", &self.reference)
            .field("ttl_ms", &self.ttl_ms)
            .finish_non_exhaustive()
    }
}
