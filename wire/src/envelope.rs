//! One sealed message between two linked devices, as the relay stores it.

use crate::codec::{Bytes, Wire, coded, record};
use crate::id::DeviceId;

coded! {
    /// What an envelope is for.
    pub enum EnvelopeKind {
        /// A message of the application.
        Application = 0,
        /// History transfer.
        History = 1,
        /// A check-in of a linked device ([`crate::device::Report`]); not sealed by the ratchet.
        CheckIn = 2,
        /// The lease that answers it.
        Lease = 3,
        /// Dropped when late; never stored.
        Ephemeral = 4,
        /// A step towards a new session; its body is a signed record and not sealed by the ratchet.
        Reset = 5,
        /// Something happened to a device of the account.
        Notice = 6,
        /// Records and their acknowledgement ([`crate::sync::Exchange`]).
        Records = 7,
        /// Contents of attachments ([`crate::file::FileMessage`]).
        File = 8,
    }
}

record! {
    /// `[1, kind, from, to, seq, olm_type, olm_ct, body_ct]`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Envelope [1] {
        /// What it is for.
        pub kind: EnvelopeKind,
        /// Sender.
        pub from: DeviceId,
        /// Recipient.
        pub to: DeviceId,
        /// Counts up per sender and recipient.
        pub seq: u64,
        /// 0 = pre-key message, 1 = normal ratchet message.
        pub olm_type: u8,
        /// Ratchet ciphertext of `content key || H(header)`.
        pub olm_ct: Bytes<2048>,
        /// Body under the content key, AES-256-GCM with the header as associated data.
        pub body_ct: Bytes<{ 60 * 1024 }>,
    }
}

record! {
    /// The first five items of an envelope: what is bound to the body.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct Header [1] {
        /// What it is for.
        pub kind: EnvelopeKind,
        /// Sender.
        pub from: DeviceId,
        /// Recipient.
        pub to: DeviceId,
        /// Counts up per sender and recipient.
        pub seq: u64,
    }
}

impl Envelope {
    /// The bound header, encoded.
    #[must_use]
    pub fn header(&self) -> Vec<u8> {
        Header { kind: self.kind, from: self.from, to: self.to, seq: self.seq }.encode()
    }
}
