//! What the core says, as the JSON of `web/src/types.ts`.

use pairlight_core::net::{ConnectionEvent, SyncUpdate, SyncUpdates};
use pairlight_core::pairing::{CodeMatrix, LinkedEvent};
use pairlight_core::sync::messages::{ConversationInfo, Entry, Message};
use pairlight_core::sync::{FileInfo, HistoryPhase, HistoryProgress, HistoryStanding};
use pairlight_wire::id::{parse_hex, to_hex};
use pairlight_wire::standing::NoticeKind;
use serde_json::{Value, json};

use crate::fault;

/// The bytes of hexadecimal digits.
pub(crate) fn from_hex(digits: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| parse_hex::<1>(core::str::from_utf8(pair).ok()?).map(|[byte]| byte);
    let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(pair).collect();
    bytes.filter(|bytes| !bytes.is_empty())
}

/// The name of a case, which pages translate: sentences of the core are English.
pub(crate) fn key(case: impl core::fmt::Debug) -> String {
    format!("{case:?}")
}

pub(crate) fn linking(event: &LinkedEvent) -> Value {
    match event {
        LinkedEvent::ShowCode { text, shown_ms } => {
            // An offer always fits a code.
            let (size, modules) = CodeMatrix::draw(text).map_or((0, String::new()), |code| {
                (code.size(), code.modules().iter().map(|dark| if *dark { '1' } else { '0' }).collect())
            });
            json!({ "type": "code", "size": size, "modules": modules, "shownMs": shown_ms, "text": text })
        }
        LinkedEvent::Paused => json!({ "type": "paused" }),
        LinkedEvent::Reconnecting { after_ms } => json!({ "type": "reconnecting", "afterMs": after_ms }),
        LinkedEvent::Claimed => json!({ "type": "claimed" }),
        LinkedEvent::EnterCheckCode => json!({ "type": "enter-check-code" }),
        LinkedEvent::WrongCheckCode { tries_left } => json!({ "type": "wrong-check-code", "triesLeft": tries_left }),
        LinkedEvent::TooManyAttempts { retry_after_ms } => {
            json!({ "type": "too-many-attempts", "retryAfterMs": retry_after_ms })
        }
        LinkedEvent::CheckCodeAccepted => json!({ "type": "check-code-accepted" }),
        LinkedEvent::EvidenceWanted(wanted) => json!({
            "type": "evidence-wanted",
            "passkey": wanted.passkey.as_ref().map(|passkey| json!({
                "rpId": passkey.rp_id,
                "credentials": passkey.credentials.iter().map(|id| to_hex(id)).collect::<Vec<_>>(),
                "challenge": to_hex(&passkey.challenge),
            })),
        }),
        LinkedEvent::SecondScanner => json!({ "type": "second-scanner" }),
        LinkedEvent::Linked(account) => json!({ "type": "linked", "device": account.device_id().to_hex() }),
        LinkedEvent::Failed(reason) => json!({ "type": "failed", "reason": key(reason) }),
    }
}

fn line(event: ConnectionEvent) -> Value {
    match event {
        ConnectionEvent::Online => json!({ "type": "online" }),
        ConnectionEvent::Offline { retry_in } => {
            json!({ "type": "offline", "retryMs": u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX) })
        }
        ConnectionEvent::Leased { until, because, .. } => {
            json!({ "type": "leased", "untilMs": until.unix_ms(), "restriction": because.map(key) })
        }
        ConnectionEvent::Silent { for_ms } => json!({ "type": "silent", "forMs": for_ms }),
        ConnectionEvent::Locked(row) => json!({ "type": "locked", "reason": key(row) }),
        ConnectionEvent::Forked(fork) => json!({
            "type": "forked", "epoch": fork.epoch, "ours": to_hex(&fork.ours), "theirs": to_hex(&fork.theirs),
        }),
        ConnectionEvent::RolledBack { .. } => json!({ "type": "rolled-back" }),
        ConnectionEvent::Notice(notice) => json!({
            "type": "notice", "kind": key(notice.kind), "discrepancy": notice.discrepancy.map(key),
            "removal": notice.removal.map(key), "words": notice.text(),
        }),
        ConnectionEvent::Discrepancy { row, .. } => json!({
            "type": "notice", "kind": key(NoticeKind::Discrepancy), "discrepancy": key(row), "removal": null, "words": row.text(),
        }),
        ConnectionEvent::Removed(reason) => json!({ "type": "removed", "reason": key(reason) }),
        ConnectionEvent::Refused(code) => json!({ "type": "refused", "reason": key(code) }),
        ConnectionEvent::Failed(error) => {
            json!({ "type": "failed", "reason": fault::kind(&error), "words": error.to_string() })
        }
        ConnectionEvent::ListChanged { .. } => json!({ "type": "devices-changed" }),
        ConnectionEvent::Message { .. }
        | ConnectionEvent::Unreadable { .. }
        | ConnectionEvent::Withheld { .. }
        | ConnectionEvent::SessionReset { .. } => json!({ "type": "other" }),
    }
}

pub(crate) fn update(update: SyncUpdates) -> Value {
    match update {
        SyncUpdates::Update(SyncUpdate::Changed(records)) => {
            let record = |record: &pairlight_core::sync::ChangedRecord| {
                json!({
                    "collection": record.collection,
                    "id": to_hex(&record.id),
                    "group": record.group.as_deref().map(to_hex),
                })
            };
            json!({ "type": "changed", "records": records.iter().map(record).collect::<Vec<_>>() })
        }
        SyncUpdates::Update(SyncUpdate::Signal { .. }) => json!({ "type": "other" }),
        SyncUpdates::Update(SyncUpdate::History) => json!({ "type": "history" }),
        SyncUpdates::Update(SyncUpdate::File(hash)) => json!({ "type": "file", "hash": to_hex(&hash) }),
        SyncUpdates::Update(SyncUpdate::Missed) => json!({ "type": "missed" }),
        SyncUpdates::Line(event) => line(event),
    }
}

pub(crate) fn message(entry: &Entry<Message>) -> Value {
    let attachments = entry.value.attachments.as_slice().iter();
    let attachments: Vec<Value> = attachments
        .map(|file| {
            json!({
                "name": file.name.as_str(), "mediaType": file.media_type.as_str(), "size": file.size,
                "hash": to_hex(&file.hash),
            })
        })
        .collect();
    json!({
        "id": to_hex(&entry.id),
        "conversation": to_hex(&entry.group),
        "sender": entry.value.sender.as_str(),
        "text": entry.value.text.as_str(),
        "sentMs": entry.at,
        "editedMs": entry.value.edited,
        "replyTo": entry.value.reply_to.as_ref().map(|id| to_hex(id)),
        "attachments": attachments,
        // A string: both may pass 2^53.
        "place": format!("{}.{}", entry.cursor.order, entry.cursor.change),
    })
}

pub(crate) fn conversation(info: &ConversationInfo) -> Value {
    json!({
        "id": to_hex(&info.id),
        "title": info.title,
        "latest": info.latest.as_ref().map(message),
        "readUpToMs": info.read_up_to,
    })
}

pub(crate) fn history(progress: &HistoryProgress) -> Value {
    let (state, until) = match progress.standing {
        HistoryStanding::Waiting => ("waiting", None),
        HistoryStanding::Running => ("running", None),
        HistoryStanding::Held(until) => ("held", Some(until).filter(|until| *until != u64::MAX)),
        HistoryStanding::Cancelled => ("cancelled", None),
        HistoryStanding::Done => ("done", None),
    };
    let stage = match progress.phase {
        HistoryPhase::FirstScreen => "first-screen",
        HistoryPhase::Recent => "recent",
        HistoryPhase::Rest => "rest",
        HistoryPhase::Complete => "complete",
    };
    json!({
        "device": progress.device.to_hex(), "state": state, "untilMs": until, "stage": stage,
        "records": progress.records, "total": progress.total, "bytes": progress.bytes,
    })
}

pub(crate) fn file(info: &FileInfo) -> Value {
    json!({
        "hash": to_hex(&info.hash), "size": info.size, "stored": info.stored,
        "isComplete": info.is_complete(), "isMissing": info.is_missing,
    })
}
