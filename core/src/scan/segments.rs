//! From the data codewords of a repaired code to bytes (ISO/IEC 18004, 7.4).

use super::symbol::EccLevel;

/// What a code says, without where it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Decoded {
    pub(super) bytes: Vec<u8>,
    pub(super) version: u8,
    pub(super) ecc: EccLevel,
    pub(super) mask: u8,
    pub(super) mirrored: bool,
}

/// Takes bits from the front of codewords.
struct Bits<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl Bits<'_> {
    fn left(&self) -> usize {
        self.bytes.len().saturating_mul(8).saturating_sub(self.position)
    }

    /// The next `count` bits, at most 16, or `None` when there are fewer.
    fn take(&mut self, count: usize) -> Option<usize> {
        if self.left() < count {
            return None;
        }
        let mut value = 0usize;
        for _ in 0..count {
            let byte = *self.bytes.get(self.position / 8)?;
            let shift = 7usize.saturating_sub(self.position % 8);
            value = value << 1 | usize::from(byte >> shift & 1);
            self.position = self.position.saturating_add(1);
        }
        Some(value)
    }
}

pub(super) const LETTERS: &[u8; 45] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";

/// The content of the data codewords of a code of this version, or `None` when they make no sense.
///
/// Bytes come back as they are, kanji as Shift-JIS. What only describes the content is passed over: the character set
/// (ECI), the place in a series of codes (structured append) and the marks of GS1 and AIM.
pub(super) fn parse(codewords: &[u8], version: usize) -> Option<Vec<u8>> {
    let mut bits = Bits { bytes: codewords, position: 0 };
    let mut out = Vec::new();
    let by_version = |small: usize, medium: usize, large: usize| match version {
        ..=9 => small,
        10..=26 => medium,
        _ => large,
    };
    loop {
        // Fewer than four bits left stand for the end as well.
        match bits.take(4).unwrap_or(0) {
            0 => return Some(out),
            1 => {
                let count = bits.take(by_version(10, 12, 14))?;
                numeric(&mut bits, count, &mut out)?;
            }
            2 => {
                let count = bits.take(by_version(9, 11, 13))?;
                alphanumeric(&mut bits, count, &mut out)?;
            }
            4 => {
                let count = bits.take(by_version(8, 16, 16))?;
                if bits.left() < count.saturating_mul(8) {
                    return None;
                }
                for _ in 0..count {
                    out.push(u8::try_from(bits.take(8)?).ok()?);
                }
            }
            8 => {
                let count = bits.take(by_version(8, 10, 12))?;
                kanji(&mut bits, count, &mut out)?;
            }
            7 => {
                let first = bits.take(8)?;
                let more = match first {
                    0..=0x7f => 0,
                    0x80..=0xbf => 8,
                    0xc0..=0xdf => 16,
                    _ => return None,
                };
                bits.take(more)?;
            }
            3 => {
                bits.take(16)?;
            }
            5 => {}
            9 => {
                bits.take(8)?;
            }
            _ => return None,
        }
    }
}

fn numeric(bits: &mut Bits<'_>, mut count: usize, out: &mut Vec<u8>) -> Option<()> {
    while count > 0 {
        let digits = count.min(3);
        let value = bits.take([0, 4, 7, 10].get(digits).copied()?)?;
        let mut place = [1usize, 1, 10, 100].get(digits).copied()?;
        let above = [1usize, 10, 100, 1000].get(digits).copied()?;
        if value >= above {
            return None;
        }
        while place > 0 {
            out.push(b'0'.saturating_add(u8::try_from(value.checked_div(place)? % 10).ok()?));
            place /= 10;
        }
        count = count.saturating_sub(digits);
    }
    Some(())
}

fn alphanumeric(bits: &mut Bits<'_>, mut count: usize, out: &mut Vec<u8>) -> Option<()> {
    while count > 0 {
        if count == 1 {
            out.push(*LETTERS.get(bits.take(6)?)?);
            return Some(());
        }
        let pair = bits.take(11)?;
        out.push(*LETTERS.get(pair / 45)?);
        out.push(*LETTERS.get(pair % 45)?);
        count = count.saturating_sub(2);
    }
    Some(())
}

fn kanji(bits: &mut Bits<'_>, count: usize, out: &mut Vec<u8>) -> Option<()> {
    for _ in 0..count {
        let value = bits.take(13)?;
        let packed = ((value / 0xc0) << 8) | (value % 0xc0);
        let letter = packed.saturating_add(if packed < 0x1f00 { 0x8140 } else { 0xc140 });
        out.extend(u16::try_from(letter).ok()?.to_be_bytes());
    }
    Some(())
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]
mod tests {
    use super::*;

    /// Codewords from `(bits, value)` pairs, filled up with zeros.
    fn pack(fields: &[(usize, usize)]) -> Vec<u8> {
        let text: String = fields.iter().map(|&(bits, value)| format!("{value:0bits$b}")).collect();
        let padded = format!("{text}{}", "0".repeat((8 - text.len() % 8) % 8));
        padded
            .as_bytes()
            .chunks(8)
            .map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap())
            .collect()
    }

    #[test]
    fn every_mode_gives_its_letters() {
        let numbers = pack(&[(4, 1), (10, 8), (10, 12), (10, 345), (7, 67), (4, 0)]);
        assert_eq!(parse(&numbers, 1).unwrap(), b"01234567");
        // The example of the standard: AC-42.
        let letters = pack(&[(4, 2), (9, 5), (11, 462), (11, 1849), (6, 2), (4, 0)]);
        assert_eq!(parse(&letters, 1).unwrap(), b"AC-42");
        let bytes = pack(&[(4, 4), (16, 2), (8, 0xff), (8, 0), (4, 0)]);
        assert_eq!(parse(&bytes, 10).unwrap(), [0xff, 0]);
        // The example of the standard: the kanji 0x935f is 0xd9f, 0xe4aa is 0x1aaa.
        let kanji = pack(&[(4, 8), (8, 2), (13, 0xd9f), (13, 0x1aaa), (4, 0)]);
        assert_eq!(parse(&kanji, 1).unwrap(), [0x93, 0x5f, 0xe4, 0xaa]);
    }

    #[test]
    fn what_describes_the_content_is_passed_over() {
        let marked = pack(&[
            (4, 3),
            (16, 0xabcd),
            (4, 7),
            (8, 26),
            (4, 7),
            (16, 0x8123),
            (4, 5),
            (4, 9),
            (8, 1),
            (4, 4),
            (8, 1),
            (8, 65),
            (4, 0),
        ]);
        assert_eq!(parse(&marked, 1).unwrap(), b"A");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(parse(&pack(&[(4, 6), (12, 0)]), 1), None, "no such mode");
        assert_eq!(parse(&pack(&[(4, 4), (8, 9), (8, 65)]), 1), None, "too short");
        assert_eq!(parse(&pack(&[(4, 1), (10, 3), (10, 1000)]), 1), None, "three digits are below 1000");
        assert_eq!(parse(&pack(&[(4, 2), (9, 1), (6, 45)]), 1), None, "no such letter");
        assert_eq!(parse(&pack(&[(4, 7), (8, 0xff)]), 1), None, "no such character set");
        assert_eq!(parse(&[], 1).unwrap(), b"");
    }

    proptest::proptest! {
        #[test]
        fn any_codewords_are_survived(codewords in proptest::collection::vec(proptest::num::u8::ANY, 0..400), version in 1usize..=40) {
            if let Some(bytes) = parse(&codewords, version) {
                // The densest mode packs three digits into ten bits.
                proptest::prop_assert!(bytes.len() <= codewords.len() * 3);
            }
        }
    }
}
