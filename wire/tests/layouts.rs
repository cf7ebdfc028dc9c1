//! Every wire type: its layout as commented hex (`tests/layouts/<type>.txt`), and what its decoder refuses.
//!
//! The files are what other implementations read. A change that alters one alters the protocol. To write them anew after
//! a deliberate change: `PAIRLIGHT_BLESS=1 cargo test -p pairlight-wire --test layouts`.

use std::fmt::Debug;
use std::path::Path;

use pairlight_wire::context::{IpNet, OwnContext, RelayContext};
use pairlight_wire::device::{Certificate, CheckIn, Lease, OpsCertificate, Report, Role};
use pairlight_wire::envelope::{Envelope, EnvelopeKind, Header};
use pairlight_wire::evidence::*;
use pairlight_wire::file::*;
use pairlight_wire::id::{AccountId, DeviceId, SlotId};
use pairlight_wire::list::{DeviceList, Entry, RemovalReason, ResetMark, Tombstone};
use pairlight_wire::offer::{ClientKind, Offer};
use pairlight_wire::pairing::*;
use pairlight_wire::relay::*;
use pairlight_wire::reset::*;
use pairlight_wire::root::{RecoveryRecord, RootRotation};
use pairlight_wire::sign::Signed;
use pairlight_wire::standing::*;
use pairlight_wire::sync::*;
use pairlight_wire::{Bytes, DecodeError, List, Text, Wire};
use proptest::prelude::*;

// ---------------------------------------------------------------- reading CBOR by eye

/// One CBOR item inside a message: where its head starts and ends, and where the item ends.
#[derive(Debug, Clone, Copy)]
struct Item {
    start: usize,
    body: usize,
    end: usize,
    major: u8,
    value: u64,
    depth: usize,
}

/// Walks one definite-length item and everything in it.
fn walk(bytes: &[u8], start: usize, depth: usize, out: &mut Vec<Item>) -> usize {
    let (major, info) = (bytes[start] >> 5, bytes[start] & 31);
    let wide = match info {
        0..=23 => 0,
        24..=27 => 1 << (info - 24),
        _ => panic!("not definite"),
    };
    let body = start + 1 + wide;
    let value = match wide {
        0 => u64::from(info),
        _ => bytes[start + 1..body].iter().fold(0, |value, byte| value << 8 | u64::from(*byte)),
    };
    let index = out.len();
    out.push(Item { start, body, end: body, major, value, depth });
    let end = match major {
        2 | 3 => body + usize::try_from(value).unwrap(),
        4 => (0..value).fold(body, |at, _| walk(bytes, at, depth + 1, out)),
        _ => body,
    };
    out[index].end = end;
    end
}

fn items(bytes: &[u8]) -> Vec<Item> {
    let mut out = Vec::new();
    assert_eq!(walk(bytes, 0, 0, &mut out), bytes.len());
    out
}

/// A head of the same meaning in a longer form than needed.
fn longer_head(bytes: &[u8], item: &Item) -> Option<Vec<u8>> {
    let first = item.major << 5;
    let head = match item.body - item.start {
        _ if item.major == 7 => return None,
        1 => vec![first | 24, u8::try_from(item.value).ok()?],
        2 => [&[first | 25], u16::try_from(item.value).ok()?.to_be_bytes().as_slice()].concat(),
        3 => [&[first | 26], u32::try_from(item.value).ok()?.to_be_bytes().as_slice()].concat(),
        5 => [&[first | 27], item.value.to_be_bytes().as_slice()].concat(),
        _ => return None,
    };
    Some([&bytes[..item.start], &head, &bytes[item.body..]].concat())
}

/// The same string or array with indefinite length.
fn indefinite(bytes: &[u8], item: &Item) -> Option<Vec<u8>> {
    let content = match item.major {
        // One chunk: the string as it was.
        2 | 3 => &bytes[item.start..item.end],
        4 => &bytes[item.body..item.end],
        _ => return None,
    };
    Some([&bytes[..item.start], &[item.major << 5 | 31], content, &[0xff], &bytes[item.end..]].concat())
}

/// Hex with runs of one byte written once.
fn hex_of(bytes: &[u8]) -> String {
    match bytes {
        [first, ..] if bytes.len() > 8 && bytes.iter().all(|byte| byte == first) => {
            format!("{first:02x} (x {})", bytes.len())
        }
        _ => hex::encode(bytes),
    }
}

fn layout(name: &str, fields: &[&str], bytes: &[u8]) -> String {
    let mut text = format!("{name}, {} bytes\n", bytes.len());
    let mut field = fields.iter();
    for item in items(bytes) {
        let content = match item.major {
            2 | 3 => format!(" {}", hex_of(&bytes[item.body..item.end])),
            _ => String::new(),
        };
        let hex = format!("{}{}{content}", "  ".repeat(item.depth), hex::encode(&bytes[item.start..item.body]));
        let meaning = match (item.major, item.depth) {
            (_, 1) => (*field.next().unwrap_or_else(|| panic!("{name} has more fields than names"))).to_owned(),
            (4, _) => format!("array of {}", item.value),
            (3, _) => "text".to_owned(),
            (2, _) => format!("{} bytes", item.value),
            _ => String::new(),
        };
        text.push_str(format!("{hex:<44} {meaning}").trim_end());
        text.push('\n');
    }
    assert!(field.next().is_none(), "{name} has fewer fields than names");
    text
}

/// The layout of a value, and everything that its decoder must refuse.
fn check<T: Wire + PartialEq + Debug>(name: &str, fields: &[&str], value: &T) {
    let bytes = value.encode();
    assert_eq!(&T::decode(&bytes).unwrap(), value, "{name}: round trip");

    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/layouts/{name}.txt"));
    let text = layout(name, fields, &bytes);
    if std::env::var_os("PAIRLIGHT_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap_or_default(), text, "{name}: its layout changed");

    for end in 0..bytes.len() {
        assert!(T::decode(&bytes[..end]).is_err(), "{name}: cut at {end}");
    }
    assert!(T::decode(&[bytes.as_slice(), &[0]].concat()).is_err(), "{name}: a trailing byte");
    for item in items(&bytes) {
        if let Some(long) = longer_head(&bytes, &item) {
            assert!(T::decode(&long).is_err(), "{name}: long form at {}", item.start);
        }
        if let Some(open) = indefinite(&bytes, &item) {
            assert!(T::decode(&open).is_err(), "{name}: indefinite length at {}", item.start);
        }
    }
    for index in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[index] ^= 1 << bit;
            if let Ok(other) = T::decode(&flipped) {
                assert_ne!(&other, value, "{name}: bit {bit} of byte {index} means nothing");
                assert_eq!(other.encode(), flipped, "{name}: two encodings of one value");
            }
        }
    }
}

// ---------------------------------------------------------------- one value of each type

fn blob<const MAX: usize>(bytes: &[u8]) -> Bytes<MAX> {
    Bytes::new(bytes.to_vec()).unwrap()
}

const SLOT: SlotId = SlotId([0x51; 16]);
const ACCOUNT: AccountId = AccountId([0xac; 16]);
const DEVICE: DeviceId = DeviceId([0xde; 16]);

fn signed() -> Signed {
    Signed { kid: [0x6b; 8], payload: blob(&[1, 2, 3]), sig: [0x5e; 64] }
}

fn entry() -> Entry {
    Entry {
        device: DEVICE,
        device_pk: [0xdb; 32],
        role: Role::Linked,
        scope: 15,
        evidence: 0x2203,
        created: 1_800_000_000_000,
        not_after: 1_900_000_000_000,
        cert_digest: [0xcd; 32],
        accept_sig: [0xa5; 64],
        label_ct: blob(&[9; 40]),
        hw_sig: None,
    }
}

fn tombstone() -> Tombstone {
    Tombstone { device: DEVICE, reason: RemovalReason::Abandoned, at: 1_800_000_000_000 }
}

fn auth() -> DeviceAuth {
    DeviceAuth { account: ACCOUNT, device: DEVICE, nonce: [0x40; 32], epoch: 7, sig: [0x5e; 64] }
}

fn refused() -> Refused {
    Refused {
        code: RefusalCode::RateLimited,
        retry_after_ms: 90_000,
        words: Text::truncated("wait"),
        slot: Some(SLOT),
        reference: Some(300),
    }
}

fn list<T: Debug, const MAX: usize>(items: Vec<T>) -> List<T, MAX> {
    List::new(items).unwrap()
}

fn tombstone_record() -> SyncRecord {
    SyncRecord {
        collection: Text::truncated("message"),
        id: blob(&[9; 16]),
        clock: 65_537,
        device: DEVICE,
        content: None,
    }
}

/// Calls `$each!(Type, [field names], value)` for one value of every record.
macro_rules! every_record {
    ($each:ident) => {
        $each!(
            SyncRecord,
            ["collection", "id", "clock", "device", "content"],
            SyncRecord {
                collection: Text::truncated("message"),
                id: blob(&[0x1d; 16]),
                clock: 1_800_000_000_000 << 16,
                device: DEVICE,
                content: Some(Content { group: blob(&[0xc0; 16]), order: 1_800_000_000_000, body: blob(b"hello") }),
            }
        );
        $each!(
            Exchange,
            ["tag", "log", "from", "to", "seen_log", "seen", "again", "records", "dropped"],
            Exchange {
                log: [0x10; 8],
                from: 7,
                to: 8,
                seen_log: [0x11; 8],
                seen: 300,
                again: false,
                records: list(vec![tombstone_record()]),
                dropped: list(vec![Dropped { collection: Text::truncated("message"), id: blob(&[1]), clock: 65_536 }]),
            }
        );
        $each!(
            Signal,
            ["tag", "name", "sent", "life", "body"],
            Signal { name: Text::truncated("typing"), sent: 1_800_000_000_000, life: 5_000, body: blob(b"kim") }
        );
        $each!(
            HistoryStart,
            ["tag", "history", "key", "log", "snapshot", "total", "supersedes"],
            HistoryStart {
                history: [0x41; 16],
                key: [0x4b; 32],
                log: [0x10; 8],
                snapshot: 1000,
                total: 999,
                supersedes: None,
            }
        );
        $each!(
            HistoryFirst,
            ["tag", "history", "part", "last", "records"],
            HistoryFirst { history: [0x41; 16], part: 0, last: true, records: list(vec![tombstone_record()]) }
        );
        $each!(
            HistoryPage,
            ["tag", "history", "chunks"],
            HistoryPage {
                history: [0x41; 16],
                chunks: list(vec![Chunk {
                    index: 0,
                    blob: [0xb1; 32],
                    size: 16_400,
                    hash: [0x4a; 32],
                    newest: 1_800_000_000_000,
                    oldest: 1_790_000_000_000,
                    records: 1900,
                    phase: 2,
                }]),
            }
        );
        $each!(
            HistoryState,
            ["tag", "history", "phase", "chunks", "held_until"],
            HistoryState { history: [0x41; 16], phase: 1, chunks: 4, held_until: 0 }
        );
        $each!(
            HistoryAck,
            ["tag", "history", "parts", "done", "want"],
            HistoryAck {
                history: [0x41; 16],
                parts: 2,
                done: list(vec![Run { first: 0, last: 3 }]),
                want: list(vec![])
            }
        );
        $each!(
            HistoryRequest,
            ["tag", "range"],
            HistoryRequest {
                range: Some(HistoryRange {
                    collection: Text::truncated("message"),
                    group: blob(&[0xc0; 16]),
                    before: 1_700_000_000_000,
                    count: 50,
                }),
            }
        );
        $each!(HistoryCancel, ["tag", "history"], HistoryCancel { history: [0x41; 16] });
        $each!(
            HistoryOlder,
            ["tag", "records", "last"],
            HistoryOlder { records: list(vec![tombstone_record()]), last: false }
        );
        $each!(FileTell, ["tag", "hash", "size"], FileTell { hash: [0x51; 32], size: 70_000 });
        $each!(FileWant, ["tag", "hash", "first", "count"], FileWant { hash: [0x51; 32], first: 3, count: 8 });
        $each!(
            FilePieces,
            ["tag", "hash", "key", "pieces"],
            FilePieces {
                hash: [0x51; 32],
                key: [0x52; 32],
                pieces: list(vec![FilePiece { index: 3, blob: [0x53; 32] }])
            }
        );
        $each!(FileMissing, ["tag", "hash"], FileMissing { hash: [0x51; 32] });
        $each!(FileHave, ["tag", "hash"], FileHave { hash: [0x51; 32] });
        $each!(ChunkRecords, ["tag", "records"], ChunkRecords { records: list(vec![tombstone_record()]) });
        $each!(
            Offer,
            ["tag", "kem_pk", "device_pk", "nonce_o", "client_kind", "name", "os", "app", "caps"],
            Offer {
                kem_pk: [0xe1; 1216],
                device_pk: [0xdb; 32],
                nonce_o: [0x40; 32],
                client_kind: ClientKind::Native,
                name: Text::truncated("Kim's laptop"),
                os: Text::truncated("Linux"),
                app: Text::truncated("pairlight"),
                caps: 0,
            }
        );
        $each!(
            RelayContext,
            [
                "tag",
                "slot",
                "offer_ct_hash",
                "origin",
                "ip_net",
                "country",
                "city",
                "asn",
                "ua_family",
                "client_kind",
                "issued",
                "ttl"
            ],
            RelayContext {
                slot: SLOT,
                offer_ct_hash: [0x0f; 32],
                origin: Some(Text::truncated("https://example.org")),
                ip_net: IpNet::V4([192, 0, 2]),
                country: Text::truncated("NL"),
                city: Some(Text::truncated("Utrecht")),
                asn: 64_500,
                ua_family: Text::truncated("Firefox"),
                client_kind: ClientKind::Web,
                issued: 1_800_000_000_000,
                ttl: 60_000,
            }
        );
        $each!(
            OwnContext,
            ["tag", "slot", "ip_net", "country", "city", "asn"],
            OwnContext {
                slot: SLOT,
                ip_net: IpNet::V6([0x20, 1, 0xd, 0xb8, 0, 1]),
                country: Text::truncated("ZZ"),
                city: None,
                asn: 0,
            }
        );
        $each!(Signed, ["kid", "payload", "sig"], signed());
        $each!(
            Certificate,
            [
                "tag",
                "account",
                "device",
                "device_pk",
                "role",
                "scope",
                "evidence",
                "created",
                "not_after",
                "epoch",
                "prev_list",
                "link_th"
            ],
            Certificate {
                account: ACCOUNT,
                device: DEVICE,
                device_pk: [0xdb; 32],
                role: Role::Linked,
                scope: 15,
                evidence: 0x2203,
                created: 1_800_000_000_000,
                not_after: 1_900_000_000_000,
                epoch: 2,
                prev_list: [0x91; 32],
                link_th: [0x72; 32],
            }
        );
        $each!(
            OpsCertificate,
            ["tag", "account", "ops_pk", "not_after", "caps"],
            OpsCertificate { account: ACCOUNT, ops_pk: [0x09; 32], not_after: 1_900_000_000_000, caps: 7 }
        );
        $each!(
            Lease,
            ["tag", "account", "device", "ctr", "checkin", "epoch", "list_hash", "not_before", "not_after", "scope"],
            Lease {
                account: ACCOUNT,
                device: DEVICE,
                ctr: 0,
                checkin: [0; 32],
                epoch: 2,
                list_hash: [0x11; 32],
                not_before: 1_800_000_000_000,
                not_after: 1_802_592_000_000,
                scope: 15,
            }
        );
        $each!(
            CheckIn,
            ["tag", "device", "ctr", "prev", "epoch", "list_hash", "rx_hw", "tx_hw", "platform", "time", "nonce"],
            CheckIn {
                device: DEVICE,
                ctr: 1,
                prev: [0x91; 32],
                epoch: 2,
                list_hash: [0x11; 32],
                rx_hw: 24,
                tx_hw: 256,
                platform: [0x07; 8],
                time: 1_800_000_000_000,
                nonce: [0x40; 16],
            }
        );
        $each!(Report, ["tag", "session", "check_in"], Report { session: [0x5e; 8], check_in: signed() });
        $each!(
            Entry,
            [
                "device",
                "device_pk",
                "role",
                "scope",
                "evidence",
                "created",
                "not_after",
                "cert_digest",
                "accept_sig",
                "label_ct",
                "hw_sig"
            ],
            entry()
        );
        $each!(Tombstone, ["device", "reason", "at"], tombstone());
        $each!(
            DeviceList,
            [
                "tag",
                "account",
                "epoch",
                "prev",
                "issued",
                "root_pk",
                "entries",
                "tombstones",
                "recovery",
                "roots",
                "resets"
            ],
            DeviceList {
                account: ACCOUNT,
                epoch: 2,
                prev: [0x91; 32],
                issued: 1_800_000_000_000,
                root_pk: [0x00; 32],
                entries: List::new(vec![entry()]).unwrap(),
                tombstones: List::new(vec![tombstone()]).unwrap(),
                recovery: Some(signed()),
                roots: List::new(vec![signed()]).unwrap(),
                resets: List::new(vec![ResetMark { device: DEVICE, at: 1_800_000_000_000 }]).unwrap(),
            }
        );
        $each!(ResetMark, ["device", "at"], ResetMark { device: DEVICE, at: 1_800_000_000_000 });
        $each!(
            RecoveryRecord,
            ["tag", "account", "recovery_pk", "label_key_ct", "at"],
            RecoveryRecord {
                account: ACCOUNT,
                recovery_pk: [0x4e; 32],
                label_key_ct: blob(&[0x1b; 60]),
                at: 1_800_000_000_000,
            }
        );
        $each!(
            RootRotation,
            ["tag", "account", "from_pk", "to_pk", "at", "recovery"],
            RootRotation {
                account: ACCOUNT,
                from_pk: [0x00; 32],
                to_pk: [0x02; 32],
                at: 1_800_000_000_000,
                recovery: Some(signed()),
            }
        );
        $each!(
            LeaseGrant,
            ["tag", "lease", "ops", "standing", "because", "lists"],
            LeaseGrant {
                lease: signed(),
                ops: signed(),
                standing: Standing::Restricted,
                because: Some(Discrepancy::PlatformChanged),
                lists: List::new(vec![signed()]).unwrap(),
            }
        );
        $each!(
            Notice,
            ["tag", "kind", "device", "evidence", "removal", "discrepancy", "at"],
            Notice {
                kind: NoticeKind::Removed,
                device: DEVICE,
                evidence: 0x2203,
                removal: Some(RemovalReason::Cloned),
                discrepancy: Some(Discrepancy::CopyForked),
                at: 1_800_000_000_000,
            }
        );
        $each!(
            ResetOffer,
            ["tag", "from", "to", "nonce", "kem_pk", "at"],
            ResetOffer {
                from: DEVICE,
                to: DeviceId([0xaf; 16]),
                nonce: [0x40; 16],
                kem_pk: [0xe1; 1216],
                at: 1_800_000_000_000,
            }
        );
        $each!(
            ResetAnswer,
            ["tag", "from", "to", "offer", "enc", "ct"],
            ResetAnswer {
                from: DEVICE,
                to: DeviceId([0xaf; 16]),
                offer: [0x0f; 32],
                enc: [0xe0; 1120],
                ct: blob(&[0xc1; 85]),
            }
        );
        $each!(
            ResetFinish,
            ["tag", "from", "to", "answer", "ct"],
            ResetFinish { from: DEVICE, to: DeviceId([0xaf; 16]), answer: [0x0a; 32], ct: blob(&[0xc2; 200]) }
        );
        $each!(ResetKeys, ["tag", "olm_ik", "olm_otk"], ResetKeys { olm_ik: [0x1c; 32], olm_otk: [0x0c; 32] });
        $each!(
            ResetStart,
            ["tag", "olm_ik", "olm_prekey"],
            ResetStart { olm_ik: [0x1c; 32], olm_prekey: blob(&[3, 10]) }
        );
        $each!(
            Envelope,
            ["tag", "kind", "from", "to", "seq", "olm_type", "olm_ct", "body_ct"],
            Envelope {
                kind: EnvelopeKind::Application,
                from: DEVICE,
                to: DeviceId([0xaf; 16]),
                seq: 24,
                olm_type: 1,
                olm_ct: blob(&[3, 10, 32]),
                body_ct: blob(&[0xbb; 48]),
            }
        );
        $each!(
            Header,
            ["tag", "kind", "from", "to", "seq"],
            Header { kind: EnvelopeKind::Ephemeral, from: DEVICE, to: DeviceId([0xaf; 16]), seq: 24 }
        );
        $each!(M1, ["tag", "enc", "ct"], M1 { enc: [0xe0; 1120], ct: blob(&[0xc1; 64]) });
        $each!(M2, ["tag", "resp_nonce", "ct"], M2 { resp_nonce: [0x40; 32], ct: blob(&[0xc2; 64]) });
        $each!(M2b, ["tag", "ct"], M2b { ct: blob(&[0xcb; 64]) });
        $each!(M3, ["tag", "ct"], M3 { ct: blob(&[0xc3; 64]) });
        $each!(M4, ["tag", "ct"], M4 { ct: blob(&[0xc4; 64]) });
        $each!(M5, ["tag", "ct"], M5 { ct: blob(&[0xc5; 64]) });
        $each!(
            M1Body,
            ["tag", "purpose", "nonce_p", "min_evidence", "caps"],
            M1Body { purpose: Purpose::Link, nonce_p: [0x40; 32], min_evidence: 0, caps: 0 }
        );
        $each!(
            M2Body,
            ["tag", "nonce_p", "nonce_s", "caps"],
            M2Body { nonce_p: [0x40; 32], nonce_s: [0x41; 32], caps: 0 }
        );
        $each!(EvidenceItem, ["bit", "proof"], EvidenceItem { bit: 3, proof: blob(&[0xbe; 16]) });
        $each!(
            M2bBody,
            ["tag", "check_code_ok", "evidence", "olm_ik", "olm_otk"],
            M2bBody {
                check_code_ok: true,
                evidence: List::new(vec![EvidenceItem { bit: 3, proof: blob(&[0xbe; 16]) }]).unwrap(),
                olm_ik: [0x1c; 32],
                olm_otk: [0x0c; 32],
            }
        );
        $each!(Need, ["tag", "ct"], Need { ct: blob(&[0xce; 64]) });
        $each!(
            NeedBody,
            ["tag", "wanted", "hints"],
            NeedBody {
                wanted: 0x10,
                hints: List::new(vec![EvidenceItem { bit: 4, proof: blob(&[0x83, 1, 0x60, 0x80]) }]).unwrap(),
            }
        );
        $each!(
            PasskeyProof,
            ["tag", "credential", "authenticator_data", "client_data", "signature"],
            PasskeyProof {
                credential: blob(&[0xcd; 16]),
                authenticator_data: blob(&[0xad; 37]),
                client_data: blob(b"{}"),
                signature: blob(&[0x30; 70]),
            }
        );
        $each!(
            PasskeyRequest,
            ["tag", "rp_id", "credentials"],
            PasskeyRequest {
                rp_id: Text::truncated("link.example.com"),
                credentials: List::new(vec![blob(&[0xcd; 16])]).unwrap(),
            }
        );
        $each!(
            LanOffer,
            ["tag", "port", "addresses"],
            LanOffer {
                port: 49_152,
                addresses: List::new(vec![
                    LanAddress([192, 168, 1, 7].into()),
                    LanAddress([0xfd00, 0, 0, 0, 0, 0, 0, 7].into()),
                ])
                .unwrap(),
            }
        );
        $each!(
            LanChallenge,
            ["tag", "number", "nonce", "mac"],
            LanChallenge { number: 4, nonce: [0x40; 32], tag: [0x7a; 16] }
        );
        $each!(
            LanAnswer,
            ["tag", "number", "signature", "mac"],
            LanAnswer { number: 4, signature: [0x51; 64], tag: [0x7b; 16] }
        );
        $each!(
            M3Body,
            ["tag", "root_pk", "cert", "ops", "list", "lease", "label_key", "olm_ik", "olm_prekey"],
            M3Body {
                root_pk: [0x00; 32],
                cert: signed(),
                ops: signed(),
                list: signed(),
                lease: signed(),
                label_key: [0x1b; 32],
                olm_ik: [0x1c; 32],
                olm_prekey: blob(&[3, 10]),
            }
        );
        $each!(M4Body, ["tag", "accept_sig", "olm_msg"], M4Body { accept_sig: [0xa5; 64], olm_msg: blob(&[3, 10]) });
        $each!(
            M5Body,
            ["tag", "list", "mailbox", "blob_base"],
            M5Body { list: signed(), mailbox: [0xde; 16], blob_base: Text::truncated("/v1/blobs/") }
        );
        $each!(Refused, ["tag", "code", "retry_after_ms", "words", "slot", "reference"], refused());
        $each!(OpenSlot, ["tag", "slot", "offer_ct"], OpenSlot { slot: SLOT, offer_ct: blob(&[0x0c; 80]) });
        $each!(SlotSend, ["tag", "slot", "seq", "body"], SlotSend { slot: SLOT, seq: 2, body: blob(&[0xb0; 32]) });
        $each!(CancelSlot, ["tag", "slot", "reason"], CancelSlot { slot: SLOT, reason: EndReason::Declined });
        $each!(
            SlotOpened,
            ["tag", "slot", "ttl_ms", "context"],
            SlotOpened { slot: SLOT, ttl_ms: 60_000, context: signed() }
        );
        $each!(SlotClaimed, ["tag", "slot"], SlotClaimed { slot: SLOT });
        $each!(SlotMsg, ["tag", "slot", "seq", "body"], SlotMsg { slot: SLOT, seq: 0, body: blob(&[0xb0; 32]) });
        $each!(SlotEnded, ["tag", "slot", "reason"], SlotEnded { slot: SLOT, reason: EndReason::Expired });
        $each!(SlotConflict, ["tag", "slot"], SlotConflict { slot: SLOT });
        $each!(
            ClaimAnswer,
            ["tag", "offer_ct", "context", "own_context", "claim_token", "ttl_ms"],
            ClaimAnswer {
                offer_ct: blob(&[0x0c; 80]),
                context: signed(),
                own_context: signed(),
                claim_token: [0x70; 16],
                ttl_ms: 180_000,
            }
        );
        $each!(SlotMessage, ["tag", "seq", "body"], SlotMessage { seq: 1, body: blob(&[0xb0; 32]) });
        $each!(
            SlotMessages,
            ["tag", "messages", "ended", "conflict"],
            SlotMessages {
                messages: List::new(vec![SlotMessage { seq: 1, body: blob(&[0xb0; 32]) }]).unwrap(),
                ended: None,
                conflict: false,
            }
        );
        $each!(PublishList, ["tag", "list", "ops"], PublishList { list: signed(), ops: signed() });
        $each!(ListChain, ["tag", "lists", "ops"], ListChain { lists: List::new(vec![signed()]).unwrap(), ops: None });
        $each!(Challenge, ["tag", "nonce"], Challenge { nonce: [0x40; 32] });
        $each!(DeviceAuth, ["tag", "account", "device", "nonce", "epoch", "sig"], auth());
        $each!(
            Login,
            ["tag", "auth", "lease", "previous"],
            Login { auth: auth(), lease: Some(signed()), previous: Some([0x41; 32]) }
        );
        $each!(RenewLease, ["tag", "lease"], RenewLease { lease: signed() });
        $each!(
            RecoveryClaim,
            ["tag", "recovery_pk", "nonce", "sig"],
            RecoveryClaim { recovery_pk: [0x4e; 32], nonce: [0x40; 32], sig: [0x5e; 64] }
        );
        $each!(DeviceSeen, ["tag", "device", "country"], DeviceSeen { device: DEVICE, country: Text::truncated("NL") });
        $each!(
            PostEnvelope,
            ["tag", "to", "reference", "envelope"],
            PostEnvelope { to: DEVICE, reference: 9, envelope: blob(&[0xee; 20]) }
        );
        $each!(AckEnvelopes, ["tag", "up_to"], AckEnvelopes { up_to: 70_000 });
        $each!(Welcome, ["tag", "epoch"], Welcome { epoch: 2 });
        $each!(Accepted, ["tag", "reference"], Accepted { reference: 9 });
        $each!(Deliver, ["tag", "number", "envelope"], Deliver { number: 1, envelope: blob(&[0xee; 20]) });
        $each!(ListChanged, ["tag", "epoch"], ListChanged { epoch: 3 });
        $each!(LeaseExpiring, ["tag", "not_after"], LeaseExpiring { not_after: 1_802_592_000_000 });
        $each!(DuplicateSocket, ["tag", "device", "ago_ms"], DuplicateSocket { device: DEVICE, ago_ms: 7_200_000 });
        $each!(AskBlobToken, ["tag", "reference"], AskBlobToken { reference: 11 });
        $each!(
            BlobToken,
            ["tag", "reference", "token", "ttl_ms"],
            BlobToken { reference: 11, token: blob(&[0x70; 56]), ttl_ms: 600_000 }
        );
        $each!(
            RelayInfo,
            ["tag", "host", "attestation_pk"],
            RelayInfo { host: Text::truncated("relay.example"), attestation_pk: [0xa7; 32] }
        );
    };
}

#[test]
fn every_record_has_one_layout_and_refuses_every_other() {
    macro_rules! each {
        ($type:ident, [$($field:literal),*], $value:expr) => {
            check::<$type>(stringify!($type), &[$($field),*], &$value);
        };
    }
    every_record!(each);
}

#[test]
fn frames_are_told_apart_by_their_first_item() {
    let requests = [
        LinkRequest::Open(OpenSlot { slot: SLOT, offer_ct: blob(&[1]) }),
        LinkRequest::Send(SlotSend { slot: SLOT, seq: 0, body: blob(&[1]) }),
        LinkRequest::Cancel(CancelSlot { slot: SLOT, reason: EndReason::Cancelled }),
    ];
    for (request, tag) in requests.iter().zip([1, 2, 3]) {
        assert_eq!(request.encode()[1], tag);
        assert_eq!(&LinkRequest::decode(&request.encode()).unwrap(), request);
    }
    let events = [
        LinkEvent::Opened(SlotOpened { slot: SLOT, ttl_ms: 1, context: signed() }),
        LinkEvent::Claimed(SlotClaimed { slot: SLOT }),
        LinkEvent::Msg(SlotMsg { slot: SLOT, seq: 0, body: blob(&[1]) }),
        LinkEvent::Ended(SlotEnded { slot: SLOT, reason: EndReason::Cancelled }),
        LinkEvent::Conflict(SlotConflict { slot: SLOT }),
        LinkEvent::Refused(refused()),
    ];
    for (event, tag) in events.iter().zip([1, 2, 3, 4, 5, 7]) {
        assert_eq!(event.encode()[1], tag);
        assert_eq!(&LinkEvent::decode(&event.encode()).unwrap(), event);
    }
    let requests = [
        StreamRequest::Login(Login { auth: auth(), lease: None, previous: None }),
        StreamRequest::Post(PostEnvelope { to: DEVICE, reference: 1, envelope: blob(&[1]) }),
        StreamRequest::Ack(AckEnvelopes { up_to: 1 }),
        StreamRequest::BlobToken(AskBlobToken { reference: 1 }),
        StreamRequest::Renew(RenewLease { lease: signed() }),
    ];
    for (request, tag) in requests.iter().zip([1, 2, 3, 4, 5]) {
        assert_eq!(request.encode()[1], tag);
        assert_eq!(&StreamRequest::decode(&request.encode()).unwrap(), request);
    }
    let events = [
        StreamEvent::Challenge(Challenge { nonce: [0; 32] }),
        StreamEvent::Welcome(Welcome { epoch: 1 }),
        StreamEvent::Accepted(Accepted { reference: 1 }),
        StreamEvent::Deliver(Deliver { number: 1, envelope: blob(&[1]) }),
        StreamEvent::ListChanged(ListChanged { epoch: 1 }),
        StreamEvent::LeaseExpiring(LeaseExpiring { not_after: 1 }),
        StreamEvent::Refused(refused()),
        StreamEvent::Duplicate(DuplicateSocket { device: DEVICE, ago_ms: 0 }),
        StreamEvent::BlobToken(BlobToken { reference: 1, token: blob(&[1]), ttl_ms: 1 }),
        StreamEvent::Seen(DeviceSeen { device: DEVICE, country: Text::truncated("NL") }),
    ];
    for (event, tag) in events.iter().zip(1..) {
        assert_eq!(event.encode()[1], tag);
        assert_eq!(&StreamEvent::decode(&event.encode()).unwrap(), event);
    }
    for unknown in [0, 6, 8, 9, 23] {
        let mut bytes = LinkEvent::Claimed(SlotClaimed { slot: SLOT }).encode();
        bytes[1] = unknown;
        assert!(LinkEvent::decode(&bytes).is_err(), "{unknown}");
    }
}

#[test]
fn another_version_is_named() {
    let mut bytes = Challenge { nonce: [0; 32] }.encode();
    bytes[1] = 2;
    assert_eq!(Challenge::decode(&bytes), Err(DecodeError::Tag { record: "Challenge", expected: 1, found: 2 }));
}

// ---------------------------------------------------------------- limits

/// `bytes` with its item at `path` (position in the outer array, position in that, ...) replaced.
fn with_item(bytes: &[u8], path: &[usize], new: &[u8]) -> Vec<u8> {
    let all = items(bytes);
    let mut at = all[0];
    for position in path {
        let children = all.iter().filter(|i| i.depth == at.depth + 1 && i.start >= at.body && i.end <= at.end);
        at = *children.collect::<Vec<_>>()[*position];
    }
    [&bytes[..at.start], new, &bytes[at.end..]].concat()
}

fn head(major: u8, value: usize) -> Vec<u8> {
    let value = u32::try_from(value).unwrap();
    match value {
        0..24 => vec![major << 5 | u8::try_from(value).unwrap()],
        24..256 => vec![major << 5 | 24, u8::try_from(value).unwrap()],
        256..65_536 => [&[major << 5 | 25], u16::try_from(value).unwrap().to_be_bytes().as_slice()].concat(),
        _ => [&[major << 5 | 26], value.to_be_bytes().as_slice()].concat(),
    }
}

fn string(major: u8, length: usize) -> Vec<u8> {
    [head(major, length), vec![b'a'; length]].concat()
}

/// Exactly `limit` bytes at `path` are taken, one more is refused with the limit's name.
fn limited<T: Wire + Debug + PartialEq>(value: &T, path: &[usize], major: u8, limit: usize) {
    let bytes = value.encode();
    T::decode(&with_item(&bytes, path, &string(major, limit))).unwrap();
    match T::decode(&with_item(&bytes, path, &string(major, limit + 1))) {
        Err(DecodeError::OverLimit { limit: stated, .. }) => assert_eq!(stated, limit),
        other => panic!("{path:?}: {other:?}"),
    }
}

#[test]
fn one_over_each_limit_is_refused() {
    const BYTES: u8 = 2;
    const TEXT: u8 = 3;
    macro_rules! each {
        (Offer, $_fields:tt, $value:expr) => {
            limited(&$value, &[5], TEXT, 64);
            limited(&$value, &[6], TEXT, 32);
            limited(&$value, &[7], TEXT, 32);
        };
        (RelayContext, $_fields:tt, $value:expr) => {
            limited(&$value, &[3], TEXT, 128);
            limited(&$value, &[5], TEXT, 2);
            limited(&$value, &[6], TEXT, 64);
            limited(&$value, &[8], TEXT, 32);
        };
        (OwnContext, $_fields:tt, $value:expr) => {
            limited(&$value, &[3], TEXT, 2);
            limited(&$value, &[4], TEXT, 64);
        };
        (Signed, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 16 * 1024);
        };
        (Entry, $_fields:tt, $value:expr) => {
            limited(&$value, &[9], BYTES, 128);
        };
        (DeviceList, $_fields:tt, $value:expr) => {
            limited(&$value, &[6, 0, 9], BYTES, 128);
        };
        (Envelope, $_fields:tt, $value:expr) => {
            limited(&$value, &[6], BYTES, 2048);
            limited(&$value, &[7], BYTES, 60 * 1024);
        };
        (M1, $_fields:tt, $value:expr) => {
            limited(&$value, &[2], BYTES, 12 * 1024);
        };
        (M2, $_fields:tt, $value:expr) => {
            limited(&$value, &[2], BYTES, 12 * 1024);
        };
        (M2b, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 12 * 1024);
        };
        (M3, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 12 * 1024);
        };
        (M4, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 12 * 1024);
        };
        (M5, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 12 * 1024);
        };
        (EvidenceItem, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 4096);
        };
        (Need, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 12 * 1024);
        };
        (NeedBody, $_fields:tt, $value:expr) => {
            limited(&$value, &[2, 0, 1], BYTES, 4096);
        };
        (PasskeyProof, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 255);
            limited(&$value, &[2], BYTES, 512);
            limited(&$value, &[3], BYTES, 2048);
            limited(&$value, &[4], BYTES, 128);
        };
        (PasskeyRequest, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], TEXT, 253);
            limited(&$value, &[2, 0], BYTES, 255);
        };
        (M3Body, $_fields:tt, $value:expr) => {
            limited(&$value, &[8], BYTES, 1024);
        };
        (M4Body, $_fields:tt, $value:expr) => {
            limited(&$value, &[2], BYTES, 1024);
        };
        (M5Body, $_fields:tt, $value:expr) => {
            limited(&$value, &[3], TEXT, 128);
        };
        (Refused, $_fields:tt, $value:expr) => {
            limited(&$value, &[3], TEXT, 200);
        };
        (OpenSlot, $_fields:tt, $value:expr) => {
            limited(&$value, &[2], BYTES, 2048);
        };
        (SlotSend, $_fields:tt, $value:expr) => {
            limited(&$value, &[3], BYTES, 16 * 1024);
        };
        (SlotMsg, $_fields:tt, $value:expr) => {
            limited(&$value, &[3], BYTES, 16 * 1024);
        };
        (ClaimAnswer, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], BYTES, 2048);
        };
        (SlotMessage, $_fields:tt, $value:expr) => {
            limited(&$value, &[2], BYTES, 16 * 1024);
        };
        (PostEnvelope, $_fields:tt, $value:expr) => {
            limited(&$value, &[3], BYTES, 64 * 1024);
        };
        (Deliver, $_fields:tt, $value:expr) => {
            limited(&$value, &[2], BYTES, 64 * 1024);
        };
        (RelayInfo, $_fields:tt, $value:expr) => {
            limited(&$value, &[1], TEXT, 255);
        };
        ($_type:ident, $_fields:tt, $value:expr) => {};
    }
    every_record!(each);
}

#[test]
fn one_item_over_each_list_is_refused_before_it_is_read() {
    fn refuse<T: Wire + Debug>(bytes: &[u8], position: usize, limit: usize) {
        // Only the head: a claimed length must be refused without its items.
        match T::decode(&with_item(bytes, &[position], &head(4, limit + 1))) {
            Err(DecodeError::OverLimit { limit: stated, .. }) => assert_eq!(stated, limit),
            other => panic!("{other:?}"),
        }
        let endless = [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert!(T::decode(&with_item(bytes, &[position], &endless)).is_err());
    }
    macro_rules! each {
        (DeviceList, $_fields:tt, $value:expr) => {
            refuse::<DeviceList>(&$value.encode(), 6, 16);
            refuse::<DeviceList>(&$value.encode(), 7, 256);
        };
        (M2bBody, $_fields:tt, $value:expr) => {
            refuse::<M2bBody>(&$value.encode(), 2, 8);
        };
        (NeedBody, $_fields:tt, $value:expr) => {
            refuse::<NeedBody>(&$value.encode(), 2, 8);
        };
        (PasskeyRequest, $_fields:tt, $value:expr) => {
            refuse::<PasskeyRequest>(&$value.encode(), 2, 8);
        };
        (LanOffer, $_fields:tt, $value:expr) => {
            refuse::<LanOffer>(&$value.encode(), 2, 4);
        };
        (SlotMessages, $_fields:tt, $value:expr) => {
            refuse::<SlotMessages>(&$value.encode(), 1, 64);
        };
        (ListChain, $_fields:tt, $value:expr) => {
            refuse::<ListChain>(&$value.encode(), 1, 256);
        };
        ($_type:ident, $_fields:tt, $value:expr) => {};
    }
    every_record!(each);
}

#[test]
fn constructors_hold_the_same_limits() {
    assert!(Bytes::<4>::new(vec![0; 4]).is_ok());
    assert_eq!(Bytes::<4>::new(vec![0; 5]), Err(vec![0; 5]));
    assert!(List::<u64, 2>::new(vec![1, 2]).is_ok());
    assert_eq!(List::<u64, 2>::new(vec![1, 2, 3]), Err(vec![1, 2, 3]));
    assert_eq!(Text::<4>::truncated("abcdef").as_str(), "abcd");
    assert_eq!(Text::<4>::truncated("ééé").as_str(), "éé");
    assert_eq!(Text::<3>::truncated("ééé").as_str(), "é");
}

// ---------------------------------------------------------------- arbitrary bytes

/// Decodes as everything; whatever is accepted encodes back to the same bytes.
fn decode_as_everything(bytes: &[u8]) {
    fn as_a<T: Wire>(bytes: &[u8]) {
        if let Ok(value) = T::decode(bytes) {
            assert_eq!(value.encode(), bytes);
        }
    }
    macro_rules! each {
        ($type:ident, $_fields:tt, $_value:expr) => {
            as_a::<$type>(bytes);
        };
    }
    every_record!(each);
    as_a::<LinkRequest>(bytes);
    as_a::<LinkEvent>(bytes);
    as_a::<StreamRequest>(bytes);
    as_a::<StreamEvent>(bytes);
    let _ = pairlight_wire::qr::QrPayload::decode(bytes);
    if let Ok(text) = core::str::from_utf8(bytes) {
        let _ = pairlight_wire::qr::QrPayload::parse(text);
        let _ = pairlight_wire::base10::decode(text);
    }
}

fn samples() -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    macro_rules! each {
        ($type:ident, $_fields:tt, $value:expr) => {
            all.push($value.encode());
        };
    }
    every_record!(each);
    all
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_decoder_panics_on_arbitrary_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        decode_as_everything(&bytes);
    }

    #[test]
    fn no_decoder_panics_on_pieces_of_messages(
        (first, second) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        (cut, join) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        noise in prop::collection::vec(any::<u8>(), 0..4),
    ) {
        let all = samples();
        let (first, second) = (&all[first.index(all.len())], &all[second.index(all.len())]);
        let (head, tail) = (&first[..cut.index(first.len())], &second[join.index(second.len())..]);
        decode_as_everything(&[head, &noise, tail].concat());
    }
}
