//! The pairing messages, outer form (what the relay sees) and inner form (what the other device reads).

use crate::codec::{Bytes, List, Text, coded, record};
use crate::sign::Signed;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// Length of the X-Wing encapsulation in bytes.
pub const ENC_BYTES: usize = 1120;
const CT_MAX: usize = 12 * 1024;

coded! {
    /// What the primary device wants from the pairing.
    pub enum Purpose {
        /// A new device.
        Link = 0,
        /// A device whose lease lapsed comes back.
        Relink = 1,
    }
}

coded! {
    /// Why a pairing ended without a link. Travels with the cancellation, so that both sides show the same reason.
    pub enum EndReason {
        /// The person closed the screen on either side.
        Cancelled = 0,
        /// The person said no on the primary device.
        Declined = 1,
        /// Somebody or something took too long.
        TimedOut = 2,
        /// A message failed authentication: tampering, or the two devices disagree about what was said.
        Tampered = 3,
        /// The check code was wrong three times.
        WrongCheckCode = 4,
        /// A second device scanned the same code.
        Conflict = 5,
        /// The code is too old, was used, or never existed.
        Expired = 6,
        /// The account's policy refuses the link with the evidence there is.
        Refused = 7,
        /// A device could not store its keys.
        StorageFailed = 8,
        /// The two apps do not speak the same version.
        Outdated = 9,
        /// A newer code replaced this one.
        Superseded = 10,
        /// The device list could not be published.
        NotPublished = 11,
        /// Too many attempts; the relay asks for patience.
        RateLimited = 12,
        /// The relay or the network could not be reached.
        Unreachable = 13,
    }
}

record! {
    /// M1, primary to linked: the HPKE encapsulation and the first sealed message.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M1 [1] {
        /// X-Wing encapsulation.
        pub enc: [u8; ENC_BYTES],
        /// [`M1Body`] sealed with aad `m1`.
        pub ct: Bytes<CT_MAX>,
    }
}
record! {
    /// M2, linked to primary.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M2 [2] {
        /// Salt of the response keys (RFC 9458 section 4.4).
        pub resp_nonce: [u8; 32],
        /// [`M2Body`] sealed with aad `m2 || th1`.
        pub ct: Bytes<CT_MAX>,
    }
}
record! {
    /// M2b, linked to primary: the outcome of the check code, evidence, and the fresh ratchet keys.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M2b [3] {
        /// [`M2bBody`] sealed with aad `m2b || th2`.
        pub ct: Bytes<CT_MAX>,
    }
}
record! {
    /// M3, primary to linked: who the account is, and the certificate.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M3 [4] {
        /// [`M3Body`] sealed under k3 with aad `m3 || th2`.
        pub ct: Bytes<CT_MAX>,
    }
}
record! {
    /// M4, linked to primary: the counter-signature.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M4 [5] {
        /// [`M4Body`] sealed with aad `m4 || th3`.
        pub ct: Bytes<CT_MAX>,
    }
}
record! {
    /// M5, primary to linked: the published list.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M5 [6] {
        /// [`M5Body`] sealed with aad `m5 || th3`.
        pub ct: Bytes<CT_MAX>,
    }
}

record! {
    /// Need, primary to linked, between M2b and M3, at most once: evidence that would help.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Need [7] {
        /// [`NeedBody`] sealed with aad `need || th2`.
        pub ct: Bytes<CT_MAX>,
    }
}

record! {
    /// Inside M1.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M1Body [1] {
        /// New link or relink.
        pub purpose: Purpose,
        /// Fresh randomness of the primary device.
        pub nonce_p: [u8; 32],
        /// Evidence bits without which the primary device will not go on.
        pub min_evidence: u64,
        /// Capability bits; 0 in version 1.
        pub caps: u64,
    }
}
record! {
    /// Inside M2.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M2Body [1] {
        /// Echo of the primary device's nonce.
        pub nonce_p: [u8; 32],
        /// Fresh randomness of the linked device; makes the check code ungrindable.
        pub nonce_s: [u8; 32],
        /// Capability bits; 0 in version 1.
        pub caps: u64,
    }
}
record! {
    /// One piece of evidence.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct EvidenceItem [] {
        /// Number of the evidence bit.
        pub bit: u8,
        /// What the verifier of that bit needs.
        pub proof: Bytes<4096>,
    }
}
record! {
    /// Inside M2b.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M2bBody [1] {
        /// Whether the person typed the right code. `false` ends the pairing.
        pub check_code_ok: bool,
        /// Evidence, at most one item a bit.
        pub evidence: List<EvidenceItem, 8>,
        /// Curve25519 identity key of the fresh ratchet account.
        pub olm_ik: [u8; 32],
        /// Its one-time key.
        pub olm_otk: [u8; 32],
    }
}
record! {
    /// Inside Need. The answer is M2b once more, with zero keys: evidence only.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct NeedBody [1] {
        /// Evidence bits that would help.
        pub wanted: u64,
        /// What the linked device must know to give it, by bit: for bit 4 a [`crate::evidence::PasskeyRequest`].
        pub hints: List<EvidenceItem, 8>,
    }
}
record! {
    /// Inside M3. Holds the key of the device names: zeroized on drop, redacted in `Debug`.
    #[derive(Clone, PartialEq, Eq)]
    pub struct M3Body [1] {
        /// The account's root public key.
        pub root_pk: [u8; 32],
        /// [`crate::device::Certificate`] for the linked device, by the root key.
        pub cert: Signed,
        /// [`crate::device::OpsCertificate`], by the root key.
        pub ops: Signed,
        /// The current [`crate::list::DeviceList`], without the new device.
        pub list: Signed,
        /// [`crate::device::Lease`], by the ops key.
        pub lease: Signed,
        /// Key under which the device labels in the list are sealed.
        pub label_key: [u8; 32],
        /// Curve25519 identity key of the primary device's fresh ratchet account.
        pub olm_ik: [u8; 32],
        /// First ratchet message; its plaintext is th2.
        pub olm_prekey: Bytes<1024>,
    }
}

impl ZeroizeOnDrop for M3Body {}

impl Drop for M3Body {
    fn drop(&mut self) {
        self.label_key.zeroize();
    }
}

impl core::fmt::Debug for M3Body {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("M3Body").finish_non_exhaustive()
    }
}

record! {
    /// Inside M4.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M4Body [1] {
        /// `Sign(d, device-accept, H(cert payload || cert sig))`.
        pub accept_sig: [u8; 64],
        /// First ratchet answer; its plaintext is th2.
        pub olm_msg: Bytes<1024>,
    }
}
record! {
    /// Inside M5.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct M5Body [1] {
        /// The published [`crate::list::DeviceList`] with the new device in it.
        pub list: Signed,
        /// Mailbox of the new device; in version 1 its device id.
        pub mailbox: [u8; 16],
        /// Where blobs are fetched, relative to the relay.
        pub blob_base: Text<128>,
    }
}
