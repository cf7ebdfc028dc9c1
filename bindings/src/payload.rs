//! What a code means, before anything is done with it.

use pairlight_core::payload::{Payload, Severity};

use crate::contain::contain;
use crate::error::PairlightError;

/// How careful the person should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, uniffi::Enum)]
pub enum Danger {
    /// One of our codes.
    Ours,
    /// Nothing to worry about.
    Info,
    /// Look twice.
    Caution,
    /// Going on may cost an account, a secret or money.
    Danger,
}

/// A code, explained. Safe to show: no secret of the code is in it.
#[derive(Debug, Clone, PartialEq, Eq, uniffi::Record)]
pub struct Meaning {
    /// Stable key of the kind.
    pub kind: String,
    /// A few words.
    pub title: String,
    /// One or two sentences.
    pub explanation: String,
    /// How careful to be.
    pub danger: Danger,
    /// Whether it can be given to `PrimaryAccount.link`.
    pub is_offer: bool,
}

/// The most that a QR code can hold: digits, version 40, lowest correction.
const CODE_BYTES: usize = 7_089;

/// Explains the content of a code. Nothing is ever opened. More bytes than a code can hold are refused.
#[uniffi::export]
pub fn explain(content: Vec<u8>) -> Result<Meaning, PairlightError> {
    contain("explain", || match content.len() {
        0..=CODE_BYTES => Ok(Meaning::of(&content)),
        _ => Err(PairlightError::misuse("no code holds more than 7,089 characters")),
    })
}

impl Meaning {
    pub(crate) fn of(content: &[u8]) -> Self {
        let payload = Payload::classify(content);
        Self {
            kind: payload.kind_key().to_owned(),
            title: payload.title(),
            explanation: payload.explain(),
            danger: match payload.severity() {
                Severity::Ours => Danger::Ours,
                Severity::Info => Danger::Info,
                Severity::Caution => Danger::Caution,
                Severity::Danger => Danger::Danger,
            },
            is_offer: matches!(payload, Payload::PairingOffer(_)),
        }
    }
}
