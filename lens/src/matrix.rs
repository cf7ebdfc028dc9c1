//! The modules of a symbol, without any knowledge of what they say.

use qrcodegen::{QrCode, QrCodeEcc, QrSegment};

use crate::LensError;

/// A square of modules, row by row from the top-left corner. The quiet zone is not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Matrix {
    size: usize,
    dark: Vec<bool>,
}

impl Matrix {
    /// Takes `size * size` modules in rows, `true` for dark.
    ///
    /// # Errors
    /// [`LensError::MatrixShape`] when the count does not fit or the size is zero.
    pub fn new(size: usize, dark: Vec<bool>) -> Result<Self, LensError> {
        let expected = size.saturating_mul(size);
        if size == 0 || dark.len() != expected {
            return Err(LensError::MatrixShape { size, expected, found: dark.len() });
        }
        Ok(Self { size, dark })
    }

    /// Copies the modules of a finished QR code.
    #[must_use]
    pub fn from_qr(code: &QrCode) -> Self {
        let side = code.size();
        let dark = (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).map(|(x, y)| code.get_module(x, y)).collect();
        Self { size: side.unsigned_abs() as usize, dark }
    }

    /// Encodes text with error correction level M.
    ///
    /// # Errors
    /// [`LensError::ContentTooLong`].
    pub fn from_text(text: &str) -> Result<Self, LensError> {
        Self::from_segments(&QrSegment::make_segments(text), QrCodeEcc::Medium)
    }

    /// Encodes bytes in one byte-mode segment with error correction level M.
    ///
    /// # Errors
    /// [`LensError::ContentTooLong`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LensError> {
        Self::from_segments(&[QrSegment::make_bytes(bytes)], QrCodeEcc::Medium)
    }

    /// Encodes segments with at least the given error correction level.
    ///
    /// # Errors
    /// [`LensError::ContentTooLong`].
    pub fn from_segments(segments: &[QrSegment], level: QrCodeEcc) -> Result<Self, LensError> {
        QrCode::encode_segments(segments, level).map(|code| Self::from_qr(&code)).map_err(|_| LensError::ContentTooLong)
    }

    /// Modules per side.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }

    /// Whether the module in this column and row is dark; `false` outside.
    #[must_use]
    pub fn is_dark(&self, column: usize, row: usize) -> bool {
        column < self.size && row < self.size && self.dark[row * self.size + column]
    }
}
