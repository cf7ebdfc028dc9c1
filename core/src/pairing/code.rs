//! The QR code of an offer: alphanumeric scheme, numeric digits, ECC level M, version 4 (33 modules).

use pairlight_wire::qr::SCHEME;
use qrcodegen::{Mask, QrCode, QrCodeEcc, QrSegment, Version};

/// Quiet zone that a code needs on every side, in modules (ISO/IEC 18004 section 9.1).
pub const QUIET_ZONE: usize = 4;

/// A drawn code: `size * size` modules, row by row, `true` = dark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CodeMatrix {
    size: usize,
    version: u8,
    dark: Vec<bool>,
}

/// The text does not fit a QR code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text does not fit a QR code")]
pub struct CodeTooLong;

impl CodeMatrix {
    /// Draws `text`. Our own texts are split into an alphanumeric scheme and a numeric rest, which saves two versions;
    /// mask and version are chosen for the smallest and most even code.
    ///
    /// # Errors
    /// [`CodeTooLong`] beyond 2,331 bytes.
    pub fn draw(text: &str) -> Result<Self, CodeTooLong> {
        let ours = text
            .split_at_checked(SCHEME.len())
            .filter(|(scheme, rest)| *scheme == SCHEME && !rest.is_empty() && rest.bytes().all(|c| c.is_ascii_digit()));
        let segments = match ours {
            Some((scheme, digits)) => vec![QrSegment::make_alphanumeric(scheme), QrSegment::make_numeric(digits)],
            None => QrSegment::make_segments(text),
        };
        let code = QrCode::encode_segments_advanced(
            &segments,
            QrCodeEcc::Medium,
            Version::MIN,
            Version::MAX,
            None::<Mask>,
            false,
        )
        .map_err(|_| CodeTooLong)?;
        let range = 0..code.size();
        let dark = range.clone().flat_map(|y| range.clone().map(move |x| (x, y))).map(|(x, y)| code.get_module(x, y));
        Ok(Self {
            size: usize::try_from(code.size()).map_err(|_| CodeTooLong)?,
            version: code.version().value(),
            dark: dark.collect(),
        })
    }

    /// Modules a side, without the quiet zone.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// QR version, 1 to 40.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.version
    }

    /// The modules, row by row, `true` = dark.
    #[must_use]
    pub fn modules(&self) -> &[bool] {
        &self.dark
    }

    /// Whether the module at column `x`, row `y` is dark; light outside the code.
    #[must_use]
    pub fn is_dark(&self, x: usize, y: usize) -> bool {
        let index = y.checked_mul(self.size).and_then(|row| row.checked_add(x));
        x < self.size && index.and_then(|index| self.dark.get(index)).copied().unwrap_or(false)
    }
}

#[cfg(test)]
mod tests {
    use pairlight_wire::qr::QrPayload;

    use super::*;

    #[test]
    fn our_code_is_version_4_with_33_modules_at_level_m() {
        for byte in [0u8, 0x5a, 0xff] {
            let code = CodeMatrix::draw(&QrPayload::new(byte, [byte; 32], [byte; 16]).to_text()).unwrap();
            assert_eq!((code.version(), code.size()), (4, 33));
            // Level L would give the same size. Of the format, the first two modules left in row 8 are the level, 00 for M,
            // after a mask that begins with 10 (ISO/IEC 18004:2015, 7.9).
            assert_eq!((code.is_dark(0, 8), code.is_dark(1, 8)), (true, false));
        }
    }

    #[test]
    fn other_texts_are_drawn_too_and_too_long_ones_refused() {
        assert_eq!(CodeMatrix::draw("https://example.org/").unwrap().version(), 2);
        assert_eq!(CodeMatrix::draw(&"x".repeat(3000)), Err(CodeTooLong));
    }
}
