//! The six digits: shown on the primary device, typed on the linked device.
//!
//! Typed rather than compared, because nobody compares. Not grindable: the primary device's encapsulation is fixed
//! before the linked device's nonce is known, and three tries end the pairing.

use core::fmt;

use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::crypto::kdf::{KdfLabel, derive};

/// Number of digits.
pub const CHECK_CODE_DIGITS: usize = 6;

/// Six digits that both ends of an honest pairing compute. Redacted in `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct CheckCode([u8; CHECK_CODE_DIGITS]);

impl CheckCode {
    /// `u64be(HKDF(salt = th2, ikm = exported, "pairlight/v1/sas", 8)) mod 10^6`.
    pub(crate) fn derive(th2: &[u8; 32], exported: &[u8; 32]) -> Self {
        let number = u64::from_be_bytes(*derive::<8>(th2, exported, KdfLabel::CheckCode, &[]));
        let digits = format!("{:06}", number.checked_rem(1_000_000).unwrap_or_default());
        let mut code = [0; CHECK_CODE_DIGITS];
        code.iter_mut().zip(digits.bytes()).for_each(|(to, from)| *to = from);
        Self(code)
    }

    /// `123 456`, for the primary device's screen.
    #[must_use]
    pub fn to_display(&self) -> String {
        let digits: String = self.0.iter().copied().map(char::from).collect();
        let (left, right) = digits.split_at_checked(3).unwrap_or((&digits, ""));
        format!("{left} {right}")
    }

    /// Whether the person typed this code; spaces and hyphens do not matter. `None` when it is not six digits at all,
    /// which is a slip of the finger and no try.
    #[must_use]
    pub fn matches(&self, typed: &str) -> Option<bool> {
        let digits: Vec<u8> = typed.bytes().filter(|c| !matches!(c, b' ' | b'-')).collect();
        let is_code = digits.len() == CHECK_CODE_DIGITS && digits.iter().all(u8::is_ascii_digit);
        is_code.then(|| crate::crypto::constant_time_eq(&self.0, &digits))
    }
}

impl fmt::Debug for CheckCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CheckCode(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_is_forgiving_about_form_and_strict_about_digits() {
        let code = CheckCode(*b"012345");
        assert_eq!(code.to_display(), "012 345");
        assert_eq!(code.matches("012345"), Some(true));
        assert_eq!(code.matches(" 012-345 "), Some(true));
        assert_eq!(code.matches("012346"), Some(false));
        assert_eq!(code.matches("12345"), None);
        assert_eq!(code.matches("01234x"), None);
        assert_eq!(format!("{code:?}"), "CheckCode(..)");
    }

    #[test]
    fn who_speaks_first_cannot_search_for_digits() {
        use crate::pairing::transcript::{th0, th2};
        // Whoever poses as the primary device has sent M1, with its encapsulation, before it knows M2: whatever it chose,
        // the digits are decided by what comes after.
        let opened = th0(b"code", b"offer", b"context");
        for m1 in [b"one first message".as_slice(), b"another"] {
            let digits = |nonce: u16| CheckCode::derive(&th2(&opened, m1, &nonce.to_be_bytes()), &[5; 32]).0;
            let all: std::collections::BTreeSet<_> = (0..2_000).map(digits).collect();
            // Of 2,000 draws from a million about two meet.
            assert!(all.len() > 1_980, "{}", all.len());
        }
    }
}
