//! What a live connection has to say: to the person in words on standard error, to programs as JSON on standard output.

use std::time::Duration;

use pairlight_core::devices::{Action, ListFork};
use pairlight_core::net::{ConnectionEvent, Sync, SyncUpdates};
use pairlight_wire::id::{DeviceId, to_hex};
use pairlight_wire::relay::RefusalCode;
use pairlight_wire::standing::{Notice, NoticeKind, Standing};
use serde_json::{Value, json};

use super::{Format, line};
use crate::exit::{Exit, Failure};
use crate::style::Voice;

const DAY_MS: u64 = 86_400_000;

/// How much the person must hear of it.
#[derive(Debug, PartialEq, Eq)]
enum Tone {
    /// Said however quiet the program is asked to be.
    Caution(String),
    /// Worth knowing.
    Note(String),
    /// For programs only.
    Silent,
}

/// A piece of news: the words, and what programs read, without the fields that all lines have.
type News = (Tone, Value);

/// What happened, and what to do about it. Works on either kind of device.
pub(crate) fn notice_words(notice: &Notice) -> String {
    let device = notice.device.to_hex();
    let remedy = match notice.kind {
        NoticeKind::Linked | NoticeKind::Relinked => {
            format!("if that was not you: `pairlight devices revoke {device}` on the primary device")
        }
        NoticeKind::Removed => {
            "if that was not you: `pairlight devices` on the primary device lists who is left".into()
        }
        NoticeKind::Discrepancy => "`pairlight devices` on the primary device says how it stands".into(),
        NoticeKind::RootChanged | NoticeKind::RecoveryChanged => {
            "if that was not you, somebody else had the primary device or the 24 words: look who is linked, remove \
             whom you do not know, and make new words with `pairlight account recovery-key`"
                .into()
        }
    };
    format!("{} ({device}); {remedy}", notice.text())
}

fn notice_news(notice: &Notice) -> News {
    let event = json!({
        "event": "notice",
        "kind": format!("{:?}", notice.kind),
        "device": notice.device.to_hex(),
        "at_ms": notice.at,
        "text": notice.text(),
    });
    (Tone::Caution(notice_words(notice)), event)
}

pub(crate) fn fork_words(fork: &ListFork) -> String {
    format!(
        "somebody shows the devices different lists of epoch {}: {} here, {} elsewhere. No other list is taken until you \
         decide, messages go on. Compare with the other devices; `pairlight devices keep-list` keeps the one of this \
         device",
        fork.epoch,
        to_hex(&fork.ours),
        to_hex(&fork.theirs)
    )
}

fn follows(action: Action, device: DeviceId) -> String {
    let device = device.to_hex();
    match action {
        Action::Count => "it is counted".into(),
        Action::Notice => format!("if it is not where it should be: `pairlight devices revoke {device}`"),
        Action::SendChain => "the lists that it lacks go to it".into(),
        Action::Restrict => format!("it may only receive until `pairlight devices confirm {device}`"),
        Action::Quarantine => "it may do nothing until it is linked again".into(),
        Action::Revoke(_) => "it is taken off the list".into(),
        Action::FreezeList => "no other list is taken until you decide; `pairlight devices keep-list`".into(),
        Action::ResetSession => "a new session is made under the same keys".into(),
        Action::Lock => "it is locked; link it again".into(),
        Action::Wipe => "its data is erased".into(),
    }
}

/// `None` for what is no news: the messages themselves.
fn news(event: &ConnectionEvent) -> Option<News> {
    use Tone::{Caution, Note, Silent};
    Some(match event {
        ConnectionEvent::Message { .. } => return None,
        ConnectionEvent::Online => (Note("online".into()), json!({ "event": "online" })),
        ConnectionEvent::Offline { retry_in } => {
            let words = format!("offline; trying again in {} s", retry_in.as_secs());
            let retry = u64::try_from(retry_in.as_millis()).unwrap_or(u64::MAX);
            (Note(words), json!({ "event": "offline", "retry_in_ms": retry }))
        }
        ConnectionEvent::Unreadable { from } => {
            let words = format!("a message of {} cannot be opened and was dropped", from.to_hex());
            (Caution(words), json!({ "event": "unreadable", "device": from.to_hex() }))
        }
        ConnectionEvent::Withheld { from } => {
            let device = from.to_hex();
            let words = format!(
                "a message of {device} was dropped: that device may not send now; `pairlight devices` on the primary \
                 device says why"
            );
            (Caution(words), json!({ "event": "withheld", "device": device }))
        }
        ConnectionEvent::ListChanged { epoch } => {
            (Note("the account's device list changed".into()), json!({ "event": "list-changed", "epoch": epoch }))
        }
        ConnectionEvent::Leased { until, standing, because } => {
            let why = because.map_or("", |row| row.text());
            let tone = match standing {
                Standing::Active => Silent,
                Standing::Restricted => {
                    Caution(format!("this device may only receive: {why}; confirm it on the primary device"))
                }
                Standing::Quarantined => Caution(format!(
                    "this device may do nothing: {why}; link it again with `pairlight link show --replace`"
                )),
            };
            let event = json!({
                "event": "lease",
                "until_ms": until.unix_ms(),
                "standing": format!("{standing:?}"),
                "because": because.map(|row| row.text()),
            });
            (tone, event)
        }
        ConnectionEvent::Silent { for_ms } => {
            let words = format!(
                "the primary device has been silent for {} days; bring it online, or this device locks itself when its \
                 permission ends",
                for_ms / DAY_MS
            );
            (Caution(words), json!({ "event": "silent", "for_ms": for_ms }))
        }
        ConnectionEvent::Locked(row) => (Silent, json!({ "event": "locked", "because": row.text() })),
        ConnectionEvent::Forked(fork) => {
            let event = json!({
                "event": "fork",
                "epoch": fork.epoch,
                "ours": to_hex(&fork.ours),
                "theirs": to_hex(&fork.theirs),
            });
            (Caution(fork_words(fork)), event)
        }
        ConnectionEvent::RolledBack { known, offered } => {
            let words = format!(
                "the relay shows an older device list (epoch {offered}) than before (epoch {known}); this device keeps \
                 the newer one. Ask who runs the relay; if it goes on, do not trust that relay"
            );
            (Caution(words), json!({ "event": "rollback", "known": known, "offered": offered }))
        }
        ConnectionEvent::Discrepancy { device, row, follows: action } => {
            let words = format!("device {}: {}; {}", device.to_hex(), row.text(), follows(*action, *device));
            let event = json!({
                "event": "discrepancy",
                "device": device.to_hex(),
                "text": row.text(),
                "follows": format!("{action:?}"),
            });
            (if *action == Action::Count { Silent } else { Caution(words) }, event)
        }
        ConnectionEvent::Notice(notice) => notice_news(notice),
        ConnectionEvent::SessionReset { peer } => {
            let device = peer.to_hex();
            let words = format!(
                "the session with {device} was made anew under the same keys; a restored profile does that once, a copy \
                 of it often"
            );
            (Caution(words), json!({ "event": "session-reset", "device": device }))
        }
        ConnectionEvent::Removed(reason) => (Silent, json!({ "event": "removed", "reason": reason.text() })),
        ConnectionEvent::Refused(code) => (Silent, json!({ "event": "refused", "code": format!("{code:?}") })),
        ConnectionEvent::Failed(error) => (Silent, json!({ "event": "failed", "text": error.to_string() })),
    })
}

fn say((tone, mut event): News, format: Format, voice: Voice) -> Result<(), Failure> {
    match tone {
        Tone::Caution(words) => voice.caution(words),
        Tone::Note(words) => voice.note(words),
        Tone::Silent => {}
    }
    if format == Format::Ndjson {
        event["schema"] = 1.into();
        line(&event.to_string())?;
    }
    Ok(())
}

/// A notice that is due on this device.
pub(super) fn tell_notice(notice: &Notice, format: Format, voice: Voice) -> Result<(), Failure> {
    say(notice_news(notice), format, voice)
}

/// Says what happened. An error is the end of the line, in the words for it.
pub(super) fn tell(event: ConnectionEvent, format: Format, voice: Voice) -> Result<(), Failure> {
    if let Some(news) = news(&event) {
        say(news, format, voice)?;
    }
    ended(event)
}

/// Says what has happened and was not taken yet, before the line ends.
pub(super) async fn tell_rest(line: &Sync, format: Format, voice: Voice) -> Result<(), Failure> {
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, line.next_event()).await {
        if let SyncUpdates::Line(event) = event {
            tell(event, format, voice)?;
        }
    }
    line.connection().marked().await;
    Ok(())
}

pub(crate) fn ended(event: ConnectionEvent) -> Result<(), Failure> {
    match event {
        ConnectionEvent::Removed(reason) => {
            let what = format!("this device was removed from the account ({}); its data is erased", reason.text());
            Err(Failure::new(Exit::Error, what, "link it again"))
        }
        ConnectionEvent::Locked(row) => {
            let what = format!("this device is locked: {}", row.text());
            Err(Failure::new(Exit::Error, what, "link it again with `pairlight link show --replace`"))
        }
        ConnectionEvent::Refused(RefusalCode::Duplicate) => {
            let what = "this device was connected again from elsewhere, and this connection gave way";
            let remedy = "if you did not start it twice there is a copy of this profile: remove the device on the primary device";
            Err(Failure::new(Exit::Error, what, remedy))
        }
        ConnectionEvent::Refused(code) => {
            Err(Failure::new(Exit::Error, format!("the relay refuses this device: {code:?}"), "link it again"))
        }
        ConnectionEvent::Failed(error) => Err(error.into()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pairlight_core::Timestamp;
    use pairlight_wire::envelope::EnvelopeKind;
    use pairlight_wire::list::RemovalReason;
    use pairlight_wire::standing::Discrepancy;

    #[test]
    fn what_concerns_the_person_is_said_aloud_and_says_what_to_do() {
        let device = DeviceId([7; 16]);
        let notice = |kind| Notice { kind, device, evidence: 0, removal: None, discrepancy: None, at: 1 };
        let fork = ListFork { epoch: 3, ours: [1; 32], theirs: [2; 32], at: 4 };
        let because = Some(Discrepancy::PlatformChanged);
        let restricted =
            ConnectionEvent::Leased { until: Timestamp::default(), standing: Standing::Restricted, because };
        let (row, follows) = (Discrepancy::TwoSockets, Action::Revoke(RemovalReason::Cloned));
        for (event, name, part) in [
            (ConnectionEvent::Notice(notice(NoticeKind::Linked)), "notice", "devices revoke 0707"),
            (ConnectionEvent::Notice(notice(NoticeKind::RecoveryChanged)), "notice", "account recovery-key"),
            (ConnectionEvent::Forked(fork), "fork", "devices keep-list"),
            (ConnectionEvent::RolledBack { known: 9, offered: 8 }, "rollback", "do not trust that relay"),
            (ConnectionEvent::Silent { for_ms: 11 * DAY_MS }, "silent", "silent for 11 days; bring it online"),
            (restricted, "lease", "confirm it on the primary device"),
            (ConnectionEvent::Discrepancy { device, row, follows }, "discrepancy", "taken off the list"),
            (ConnectionEvent::SessionReset { peer: device }, "session-reset", "made anew"),
            (ConnectionEvent::Unreadable { from: device }, "unreadable", "cannot be opened"),
            (ConnectionEvent::Withheld { from: device }, "withheld", "`pairlight devices`"),
        ] {
            let (tone, json) = news(&event).unwrap();
            assert_eq!(json["event"], name);
            assert!(matches!(&tone, Tone::Caution(words) if words.contains(part)), "{name}: {tone:?}");
            assert!(ended(event).is_ok(), "{name} does not end the line");
        }
        for (event, name) in [
            (ConnectionEvent::Locked(Discrepancy::LeaseEnded), "locked"),
            (ConnectionEvent::Removed(RemovalReason::Revoked), "removed"),
        ] {
            assert_eq!(news(&event).unwrap().1["event"], name);
            assert!(ended(event).is_err(), "{name} ends the line with its words");
        }
        let message = ConnectionEvent::Message { from: device, kind: EnvelopeKind::Application, body: vec![] };
        assert!(news(&message).is_none());
    }
}
