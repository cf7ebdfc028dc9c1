//! What an end means, for people: what happened, and what to do.

use pairlight_core::trust::{EvidenceBit, Finding};
use pairlight_wire::pairing::EndReason;

use crate::exit::{Exit, Failure};

/// What happened.
pub(crate) fn words(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Cancelled => "the link was cancelled",
        EndReason::Declined => "the link was declined on the primary device",
        EndReason::TimedOut => "it took too long",
        EndReason::Tampered => "something was altered on the way, or the two devices disagree about what was said",
        EndReason::WrongCheckCode => "the check code was wrong three times",
        EndReason::Conflict => "two devices scanned the same code",
        EndReason::Expired => "the code is too old, or was used before",
        EndReason::Refused => {
            "refused: the account's policy wants more evidence, or the relay does not let this device in"
        }
        EndReason::StorageFailed => "a device could not store its keys",
        EndReason::Outdated => "the two programs do not speak the same version",
        EndReason::Superseded => "a newer code replaced this one",
        EndReason::NotPublished => "the account's device list could not be published",
        EndReason::RateLimited => "too many attempts",
        EndReason::Unreachable => "the other device or the relay could not be reached any more",
    }
}

/// A kind of evidence, in words.
pub(crate) fn evidence(bit: EvidenceBit) -> &'static str {
    match bit {
        EvidenceBit::CheckCode => "check code",
        EvidenceBit::RelayContext => "same network or place, says the relay",
        EvidenceBit::Lan => "local network",
        EvidenceBit::Ble => "radio",
        EvidenceBit::Passkey => "passkey",
        EvidenceBit::Tap => "cable or tap",
        EvidenceBit::KnownDevice => "known device",
        EvidenceBit::Managed => "managed device",
    }
}

/// What came of one piece of evidence, in words.
pub(crate) fn finding(bit: EvidenceBit, finding: &Finding) -> String {
    let name = evidence(bit);
    match finding {
        Finding::Proven => format!("evidence: {name}: proven"),
        Finding::Refuted(why) => format!("evidence: {name}: {why}"),
    }
}

fn remedy(reason: EndReason) -> &'static str {
    match reason {
        EndReason::Cancelled | EndReason::TimedOut => "start again on both devices; nothing was linked",
        EndReason::Declined => "if that was not you, nothing was linked and your other devices are safe",
        EndReason::Tampered => {
            "nothing was linked and your other devices are safe; use another network, then try again"
        }
        EndReason::WrongCheckCode => "start again and type the digits that the primary device shows",
        EndReason::Conflict => {
            "make sure that nobody else sees the screen, look at the list of devices, then show a new code"
        }
        EndReason::Expired | EndReason::Superseded => "ask the other device for a new code",
        EndReason::Refused => {
            "scan with the camera, close to the other device and in the same network; a device that was removed from the \
             account links again only from another folder (--profile); if it stays so, ask who runs the relay"
        }
        EndReason::StorageFailed => "make room on the disk, or check the folder's permissions, then start again",
        EndReason::Outdated => "update both programs",
        EndReason::NotPublished => "nothing was linked; check the network and start again",
        EndReason::RateLimited => "wait a while, then start again",
        EndReason::Unreachable => "check that the other device still waits, and the network of both; then start again",
    }
}

/// The failure for an end, with its exit code. `pause_ms`: when the relay takes attempts again, if it said so.
pub(crate) fn failure(reason: EndReason, pause_ms: Option<u64>) -> Failure {
    let exit = match reason {
        EndReason::Cancelled => Exit::Cancelled,
        EndReason::Declined => Exit::Declined,
        EndReason::TimedOut | EndReason::Expired | EndReason::Superseded => Exit::TimedOut,
        _ => Exit::Error,
    };
    match pause_ms.filter(|_| reason == EndReason::RateLimited) {
        Some(ms) => Failure::new(exit, words(reason), format!("start again in {}", span(ms))),
        None => Failure::new(exit, words(reason), remedy(reason)),
    }
}

/// A time to wait, in words, rounded up.
pub(crate) fn span(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    if seconds <= 90 { format!("{seconds} s") } else { format!("{} min", seconds.div_ceil(60)) }
}
