//! Bytes as decimal digits: what a QR code's numeric mode carries with 1.2 % overhead.
//!
//! Each 7 bytes, read little-endian, become 17 digits with leading zeros; a rest of 1 to 6 bytes becomes
//! 3, 5, 8, 10, 13 or 15 digits. The same scheme as the CTAP 2.2 hybrid QR code.

/// Digits for a group of `n` bytes, by `n`.
const DIGITS: [usize; 8] = [0, 3, 5, 8, 10, 13, 15, 17];
const GROUP_BYTES: usize = 7;
const GROUP_DIGITS: usize = 17;

/// Why a digit string is not the encoding of any bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Base10Error {
    /// A character that is not `0` to `9`. The text was damaged or is not ours.
    #[error("character {position} is not a decimal digit")]
    NotADigit {
        /// Index of the first such character, in bytes.
        position: usize,
    },
    /// No number of bytes encodes to this many digits. The text was cut off or joined with something else.
    #[error("{digits} digits cannot be split into groups")]
    Length {
        /// How many digits there were.
        digits: usize,
    },
    /// A group's value does not fit its bytes. The text was damaged.
    #[error("the group at digit {position} is too large")]
    Overflow {
        /// Index of the group's first digit.
        position: usize,
    },
}

/// Encodes `bytes` as decimal digits.
#[must_use]
pub fn encode(bytes: &[u8]) -> String {
    let mut digits = String::new();
    for group in bytes.chunks(GROUP_BYTES) {
        let mut word = [0u8; 8];
        word.iter_mut().zip(group).for_each(|(to, from)| *to = *from);
        let width = DIGITS.get(group.len()).copied().unwrap_or(GROUP_DIGITS);
        digits.push_str(&format!("{:0width$}", u64::from_le_bytes(word)));
    }
    digits
}

/// Decodes decimal digits; exactly one digit string stands for each byte string.
///
/// # Errors
/// [`Base10Error`] when the text is not the output of [`encode`].
pub fn decode(digits: &str) -> Result<Vec<u8>, Base10Error> {
    if let Some(position) = digits.bytes().position(|c| !c.is_ascii_digit()) {
        return Err(Base10Error::NotADigit { position });
    }
    let mut bytes = Vec::new();
    for (index, group) in digits.as_bytes().chunks(GROUP_DIGITS).enumerate() {
        let size = DIGITS.iter().position(|d| *d == group.len());
        let size = size.ok_or(Base10Error::Length { digits: digits.len() })?;
        let position = index.saturating_mul(GROUP_DIGITS);
        let value = group
            .iter()
            .try_fold(0u64, |value, c| value.checked_mul(10)?.checked_add(u64::from(c.saturating_sub(b'0'))));
        let word = value.ok_or(Base10Error::Overflow { position })?.to_le_bytes();
        let (kept, rest) = word.split_at_checked(size).ok_or(Base10Error::Overflow { position })?;
        if rest.iter().any(|b| *b != 0) {
            return Err(Base10Error::Overflow { position });
        }
        bytes.extend_from_slice(kept);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_survives_the_round_trip() {
        for len in 0..=64u8 {
            let bytes: Vec<u8> = (0..len).map(|i| 255 - i).collect();
            assert_eq!(decode(&encode(&bytes)), Ok(bytes));
        }
    }

    #[test]
    fn damaged_digits_are_refused_with_the_place() {
        assert_eq!(decode("12a"), Err(Base10Error::NotADigit { position: 2 }));
        assert_eq!(decode("1234"), Err(Base10Error::Length { digits: 4 }));
        assert_eq!(decode("256"), Err(Base10Error::Overflow { position: 0 }));
        assert_eq!(decode("99999999999999999"), Err(Base10Error::Overflow { position: 0 }));
    }
}
