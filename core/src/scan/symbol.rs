//! A code that was read.

use super::segments::Decoded;
use crate::frame::Point;

/// How much damage a code can repair, from the least to the most (ISO/IEC 18004, 6.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EccLevel {
    /// About 7 % of the codewords.
    L,
    /// About 15 %.
    M,
    /// About 25 %.
    Q,
    /// About 30 %.
    H,
}

impl EccLevel {
    /// The letter that the standard uses.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Self::L => 'L',
            Self::M => 'M',
            Self::Q => 'Q',
            Self::H => 'H',
        }
    }
}

/// One QR code as it was read from a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Symbol {
    /// The content, byte for byte, at most 2953 bytes, or 7089 digits. This is what the next floor works with.
    pub bytes: Vec<u8>,
    /// The content as text, or `None` when it is not text. UTF-8 first; otherwise Latin-1 if nothing in it is a control
    /// character. Never use it for anything but showing: two different contents can show the same text.
    pub text: Option<String>,
    /// The outer corners of the symbol in pixels of the upright full frame: top left, top right, bottom right, bottom
    /// left *of the symbol*. The first is where the corner square lies that has two neighbours.
    pub corners: [Point; 4],
    /// 1 to 40; the symbol has `17 + 4 * version` modules on a side.
    pub version: u8,
    /// How much damage it could repair.
    pub ecc: EccLevel,
    /// The mask pattern, 0 to 7.
    pub mask: u8,
    /// Light modules on a dark ground.
    pub inverted: bool,
    /// The symbol itself appears mirrored in the upright picture, as in a window seen from behind.
    pub mirrored: bool,
    /// The side of one module in pixels of the full frame, averaged over the four sides.
    pub module_px: f32,
}

impl Symbol {
    /// What was decoded of a code with so many modules on a side. `outline` are its corners as they are seen: a mirrored
    /// code has its second corner where the picture has the fourth.
    pub(super) fn new(decoded: Decoded, outline: [Point; 4], modules: usize, inverted: bool) -> Self {
        let Decoded { bytes, version, ecc, mask, mirrored } = decoded;
        Self {
            text: to_text(&bytes),
            bytes,
            corners: if mirrored { turned_over(outline) } else { outline },
            version,
            ecc,
            mask,
            inverted,
            mirrored,
            module_px: module_side(&outline, modules),
        }
    }

    /// What was decoded, without where it was.
    pub(super) fn decoded(&self) -> Decoded {
        let Self { version, ecc, mask, mirrored, .. } = *self;
        Decoded { bytes: self.bytes.clone(), version, ecc, mask, mirrored }
    }

    /// The corners as they are seen, as [`new`](Self::new) takes them.
    pub(super) fn outline(&self) -> [Point; 4] {
        if self.mirrored { turned_over(self.corners) } else { self.corners }
    }

    /// Modules on a side.
    pub(super) fn modules(&self) -> usize {
        usize::from(self.version).saturating_mul(4).saturating_add(17)
    }

    /// The middle of the symbol, in pixels of the upright full frame.
    #[must_use]
    pub fn center(&self) -> Point {
        middle(&self.corners)
    }
}

/// Sorts codes as one reads: line by line from the top, each line from the left. A code belongs to the line of the one
/// above it if its middle lies no deeper than that one's lower edge, so that a hand that trembles changes no order.
pub(super) fn sort_as_read(symbols: &mut [Symbol]) {
    let across = |symbol: &Symbol| symbol.center().x;
    let down = |symbol: &Symbol| symbol.center().y;
    symbols.sort_unstable_by(|a, b| down(a).total_cmp(&down(b)).then(across(a).total_cmp(&across(b))));
    let mut rest = symbols;
    while let Some(first) = rest.first() {
        let modules = f32::from(first.version) * 4.0 + 17.0;
        let depth = down(first) + first.module_px * modules / 2.0;
        let count = rest.iter().take_while(|symbol| down(symbol) <= depth).count().max(1);
        let (line, below) = std::mem::take(&mut rest).split_at_mut(count);
        line.sort_unstable_by(|a, b| across(a).total_cmp(&across(b)).then(down(a).total_cmp(&down(b))));
        rest = below;
    }
}

fn turned_over([first, second, third, fourth]: [Point; 4]) -> [Point; 4] {
    [first, fourth, third, second]
}

/// The mean of four corners.
pub(super) fn middle(corners: &[Point; 4]) -> Point {
    let [a, b, c, d] = corners;
    Point::new((a.x + b.x + c.x + d.x) / 4.0, (a.y + b.y + c.y + d.y) / 4.0)
}

/// The mean side of a square with these corners, divided into `modules`.
pub(super) fn module_side(corners: &[Point; 4], modules: usize) -> f32 {
    let [a, b, c, d] = *corners;
    (a.distance(b) + b.distance(c) + c.distance(d) + d.distance(a)) / (4.0 * modules.max(1) as f32)
}

/// The bytes as text, if they are text: see [`Symbol::text`].
pub(super) fn to_text(bytes: &[u8]) -> Option<String> {
    let is_control = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r');
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        // Latin-1 is the encoding that the standard names when a code says nothing; every byte is one character.
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    };
    (!text.chars().any(is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_utf8_or_latin1_or_nothing() {
        assert_eq!(to_text("Grüße 🔗".as_bytes()).as_deref(), Some("Grüße 🔗"));
        assert_eq!(to_text(b"Gr\xfc\xdfe").as_deref(), Some("Grüße"));
        assert_eq!(to_text(b"a\r\n\tb").as_deref(), Some("a\r\n\tb"));
        assert_eq!(to_text(b"a\0b"), None);
        assert_eq!(to_text(b"\x93\xfa\x96\x7b"), None);
        assert_eq!(to_text(b"").as_deref(), Some(""));
    }
}
