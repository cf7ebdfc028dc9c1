//! Decoders of the wire. The first byte chooses the record.

use pairlight_wire::Wire;
use pairlight_wire::context::{OwnContext, RelayContext};
use pairlight_wire::device::{Certificate, CheckIn, Lease, OpsCertificate, Report};
use pairlight_wire::envelope::{Envelope, Header};
use pairlight_wire::evidence::{LanAnswer, LanChallenge, LanOffer, PasskeyProof, PasskeyRequest};
use pairlight_wire::file::{FileHave, FileMissing, FilePieces, FileTell, FileWant};
use pairlight_wire::list::ResetMark;
use pairlight_wire::list::{DeviceList, Entry, Tombstone};
use pairlight_wire::offer::Offer;
use pairlight_wire::pairing::*;
use pairlight_wire::relay::*;
use pairlight_wire::reset::{ResetAnswer, ResetFinish, ResetKeys, ResetOffer, ResetStart};
use pairlight_wire::root::{RecoveryRecord, RootRotation};
use pairlight_wire::sign::Signed;
use pairlight_wire::standing::{LeaseGrant, Notice};
use pairlight_wire::sync::{
    ChunkRecords, Exchange, HistoryAck, HistoryCancel, HistoryFirst, HistoryOlder, HistoryPage, HistoryRequest,
    HistoryStart, HistoryState, Signal, SyncRecord,
};

/// Decodes, and encodes back what was accepted: a record has exactly one encoding.
fn one_encoding<T: Wire>(bytes: &[u8]) {
    if let Ok(value) = T::decode(bytes) {
        assert_eq!(value.encode(), bytes, "a record with two encodings");
    }
}

macro_rules! records {
    ($($name:ident),+ $(,)?) => {
        /// Every record of the wire, by the name of its Rust type. Append only: corpora count from the front.
        pub const RECORDS: &[(&str, fn(&[u8]))] = &[$((stringify!($name), one_encoding::<$name>)),+];
    };
}

records![
    Offer,
    RelayContext,
    OwnContext,
    M1,
    M2,
    M2b,
    M3,
    M4,
    M5,
    M1Body,
    M2Body,
    EvidenceItem,
    M2bBody,
    M3Body,
    M4Body,
    M5Body,
    Certificate,
    OpsCertificate,
    Lease,
    CheckIn,
    Entry,
    Tombstone,
    DeviceList,
    Envelope,
    Header,
    Signed,
    Refused,
    OpenSlot,
    SlotSend,
    CancelSlot,
    LinkRequest,
    SlotOpened,
    SlotClaimed,
    SlotMsg,
    SlotEnded,
    SlotConflict,
    LinkEvent,
    ClaimAnswer,
    SlotMessage,
    SlotMessages,
    PublishList,
    ListChain,
    Challenge,
    DeviceAuth,
    Login,
    PostEnvelope,
    AckEnvelopes,
    StreamRequest,
    Welcome,
    Accepted,
    Deliver,
    ListChanged,
    LeaseExpiring,
    DuplicateSocket,
    StreamEvent,
    RelayInfo,
    DeviceSeen,
    LeaseGrant,
    Notice,
    RecoveryClaim,
    RecoveryRecord,
    RenewLease,
    ResetAnswer,
    ResetFinish,
    ResetKeys,
    ResetMark,
    AskBlobToken,
    BlobToken,
    LanAnswer,
    LanChallenge,
    LanOffer,
    Need,
    NeedBody,
    PasskeyProof,
    PasskeyRequest,
    ResetOffer,
    ResetStart,
    RootRotation,
    ChunkRecords,
    Exchange,
    HistoryAck,
    HistoryCancel,
    HistoryFirst,
    HistoryOlder,
    HistoryPage,
    HistoryRequest,
    HistoryStart,
    HistoryState,
    Signal,
    SyncRecord,
    FileTell,
    FileWant,
    FilePieces,
    FileMissing,
    FileHave,
    Report,
];

/// Target: any record of the wire.
pub fn wire_record(data: &[u8]) {
    if let Some((choice, bytes)) = data.split_first()
        && let Some((_, decode)) = RECORDS.get(usize::from(*choice) % RECORDS.len())
    {
        decode(bytes);
    }
}
