//! Codes that are themselves a secret: whoever has seen one can sign in or sign as its owner. No part is kept.

use super::safe_text::SafeText;
use super::uri::{parameter, percent_decode, strip_prefix_ignore_case};

/// Characters of an issuer's name that are shown.
const ISSUER_CHARS: usize = 40;

/// What sort of secret a code carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Secret {
    /// The seed of one-time passwords (`otpauth://`).
    OneTimePassword {
        /// For which service, in the words of the code's author.
        issuer: Option<SafeText>,
    },
    /// All the seeds of an authenticator app (`otpauth-migration://`).
    OneTimePasswordExport,
    /// A private key.
    PrivateKey,
    /// The key or the recovery words of a wallet.
    WalletKey,
}

/// Recognises the secrets that have a scheme. `rest` is what follows `scheme:`.
pub(super) fn from_scheme(scheme: &str, rest: &str) -> Option<Secret> {
    if scheme.eq_ignore_ascii_case("otpauth-migration") {
        return Some(Secret::OneTimePasswordExport);
    }
    if !scheme.eq_ignore_ascii_case("otpauth") && !scheme.eq_ignore_ascii_case("apple-otpauth") {
        return None;
    }
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let label = percent_decode(path.rsplit('/').next().unwrap_or_default());
    // The label is `issuer:account`. Without a colon it is the account alone, which is not shown.
    let issuer = parameter(query, "issuer").map(std::borrow::Cow::into_owned);
    let issuer = issuer.or_else(|| label.split_once(':').map(|(issuer, _)| issuer.to_owned()));
    let issuer = issuer.map(|issuer| SafeText::new(&issuer, ISSUER_CHARS)).filter(|issuer| !issuer.is_empty());
    Some(Secret::OneTimePassword { issuer })
}

/// Recognises keys and recovery words.
pub(super) fn from_text(text: &str) -> Option<Secret> {
    let is_word =
        |min: usize, max: usize| (min..=max).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric());
    let starts = |prefix| strip_prefix_ignore_case(text, prefix).is_some();
    let first_line = text.lines().next().unwrap_or_default();
    if first_line.starts_with("-----BEGIN ") && first_line.contains("PRIVATE KEY") || starts("AGE-SECRET-KEY-1") {
        return Some(Secret::PrivateKey);
    }
    if starts("nsec1") && is_word(63, 63) {
        return Some(Secret::PrivateKey);
    }
    let is_extended_key = ["xprv", "yprv", "zprv", "tprv"].iter().any(|prefix| text.starts_with(prefix));
    (is_extended_key && is_word(100, 120) || is_recovery_phrase(text)).then_some(Secret::WalletKey)
}

/// BIP-39: 12, 15, 18, 21 or 24 words of three to eight lower-case letters, and nothing else. A sentence of exactly that
/// shape has no capital, no comma, and no word such as "a", "to" or "is"; that is rare enough to warn.
fn is_recovery_phrase(text: &str) -> bool {
    if text.len() > 24 * 9 {
        return false;
    }
    let mut count = 0_usize;
    let fits = text.split_ascii_whitespace().all(|word| {
        count = count.saturating_add(1);
        (3..=8).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_lowercase())
    });
    fits && matches!(count, 12 | 15 | 18 | 21 | 24)
}
