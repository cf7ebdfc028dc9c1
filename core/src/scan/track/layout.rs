//! Which modules of a symbol say the same in every symbol of its size (ISO/IEC 18004, 6.3), and in which order the
//! others are filled.
#![expect(clippy::arithmetic_side_effects, reason = "module coordinates are below 177 and versions at most 40")]

/// Versions 1 to 40 by modules on a side.
pub(super) fn version(size: usize) -> Option<usize> {
    let version = size.checked_sub(17)? / 4;
    (size % 4 == 1 && (1..=40).contains(&version)).then_some(version)
}

/// The module's value where the standard fixes it: corner squares with their margin, timing lines, alignment patterns
/// and the one dark module. `None` for all others. Outside the symbol, where its quiet zone lies, it is light.
pub(super) fn fixed(size: usize, x: isize, y: isize) -> Option<bool> {
    let end = size as isize;
    if x < 0 || y < 0 || x >= end || y >= end {
        return Some(false);
    }
    for (left, top) in [(0, 0), (end - 7, 0), (0, end - 7)] {
        let (dx, dy) = ((x - left - 3).abs(), (y - top - 3).abs());
        let ring = dx.max(dy);
        if ring <= 4 {
            return Some(ring != 2 && ring != 4);
        }
    }
    if let Some(ring) = alignment_ring(size, x, y) {
        return Some(ring != 1);
    }
    if x == 6 || y == 6 {
        return Some((x + y) % 2 == 0);
    }
    (x == 8 && y == end - 8).then_some(true)
}

/// Whether the module carries data or error correction: neither fixed, nor format, nor version information.
pub(super) fn is_data(size: usize, x: isize, y: isize) -> bool {
    let end = size as isize;
    let format = (y == 8 && (x < 9 || x >= end - 8)) || (x == 8 && (y < 9 || y >= end - 8));
    let near = |a: isize, b: isize| a < 6 && (end - 11..end - 8).contains(&b);
    let version = size >= 45 && (near(x, y) || near(y, x));
    !format && !version && fixed(size, x, y).is_none()
}

/// The distance to the middle of the alignment pattern that covers the module.
fn alignment_ring(size: usize, x: isize, y: isize) -> Option<isize> {
    let version = version(size)?;
    if version == 1 {
        return None;
    }
    let last = size as isize - 7;
    let along = |at: isize| {
        // From the far end in even steps; the first is always at 6 and may stand closer to the second.
        let count = version as isize / 7 + 2;
        let step = if version == 32 { 26 } else { (version as isize * 4 + count * 2 + 1) / (count * 2 - 2) * 2 };
        (0..count).map(|i| if i + 1 == count { 6 } else { last - i * step }).find(|middle| (at - middle).abs() <= 2)
    };
    let (cx, cy) = (along(x)?, along(y)?);
    let in_finder = (cx == 6 && cy == 6) || (cx == 6 && cy == last) || (cx == last && cy == 6);
    (!in_finder).then(|| (x - cx).abs().max((y - cy).abs()))
}

/// Calls `visit` with the modules that carry codewords in the order of their bits: two columns at a time from the right,
/// upwards and downwards in turn.
pub(super) fn for_each_data(size: usize, mut visit: impl FnMut(usize, usize)) {
    let end = size as isize;
    let mut right = end - 1;
    let mut upwards = true;
    while right > 0 {
        if right == 6 {
            right = 5;
        }
        for step in 0..end {
            let y = if upwards { end - 1 - step } else { step };
            for x in [right, right - 1] {
                if is_data(size, x, y) {
                    visit(x as usize, y as usize);
                }
            }
        }
        upwards = !upwards;
        right -= 2;
    }
}

/// Whether mask `mask` turns the module over.
pub(super) fn is_masked(mask: u8, x: usize, y: usize) -> bool {
    let (i, j) = (y, x);
    match mask {
        0 => (i + j) % 2 == 0,
        1 => i % 2 == 0,
        2 => j % 3 == 0,
        3 => (i + j) % 3 == 0,
        4 => (i / 2 + j / 3) % 2 == 0,
        5 => (i * j) % 2 + (i * j) % 3 == 0,
        6 => ((i * j) % 2 + (i * j) % 3) % 2 == 0,
        _ => ((i + j) % 2 + (i * j) % 3) % 2 == 0,
    }
}

/// The places of the 15 format bits, the most significant first, in both copies.
pub(super) fn format_places(size: usize) -> impl Iterator<Item = (usize, [(usize, usize); 2])> {
    (0..15).map(move |bit| {
        // Bit 14 is the most significant; the first copy runs around the top left square.
        let first = match bit {
            0..=5 => (8, bit),
            6 => (8, 7),
            7 => (8, 8),
            8 => (7, 8),
            _ => (14 - bit, 8),
        };
        let second = if bit < 8 { (size - 1 - bit, 8) } else { (8, size - 15 + bit) };
        (bit, [first, second])
    })
}

/// The 15 format bits of an error correction level (its two bits as the standard numbers them) and a mask.
pub(super) fn format_bits(level: u8, mask: u8) -> u16 {
    let data = u16::from(level) << 3 | u16::from(mask);
    let mut rest = data;
    for _ in 0..10 {
        rest = (rest << 1) ^ ((rest >> 9) * 0x537);
    }
    (data << 10 | rest) ^ 0x5412
}

#[cfg(test)]
mod tests {
    use super::*;
    use qrcodegen::{Mask, QrCode, QrCodeEcc, QrSegment, Version};

    fn draw(version: u8, mask: u8) -> QrCode {
        let segments = QrSegment::make_segments("LAYOUT");
        let (low, mask) = (Version::new(version), Some(Mask::new(mask)));
        QrCode::encode_segments_advanced(&segments, QrCodeEcc::Medium, low, low, mask, false).unwrap()
    }

    #[test]
    fn fixed_modules_are_as_an_encoder_draws_them_in_every_version() {
        for version in 1..=40 {
            let (a, b) = (draw(version, 0), draw(version, 5));
            let size = a.size() as usize;
            assert_eq!(super::version(size), Some(usize::from(version)));
            let mut data = 0;
            for y in 0..size as isize {
                for x in 0..size as isize {
                    let modules = [&a, &b].map(|code| code.get_module(x as i32, y as i32));
                    if let Some(dark) = fixed(size, x, y) {
                        assert_eq!(modules, [dark; 2], "version {version} at {x}, {y}");
                        assert!(!is_data(size, x, y));
                    }
                    data += usize::from(is_data(size, x, y));
                }
            }
            let mut visited = 0;
            for_each_data(size, |_, _| visited += 1);
            assert_eq!(visited, data);
        }
        let data = (0..33 * 33).filter(|i| is_data(33, i % 33, i / 33)).count();
        assert_eq!(data, 807);
    }

    #[test]
    fn format_bits_and_masks_are_as_an_encoder_draws_them() {
        for mask in 0..8 {
            let code = draw(4, mask);
            let bits = format_bits(0, mask);
            for (bit, places) in format_places(33) {
                for (x, y) in places {
                    let dark = bits >> bit & 1 == 1;
                    assert_eq!(code.get_module(x as i32, y as i32), dark, "mask {mask} bit {bit} at {x}, {y}");
                }
            }
            let plain = draw(4, (mask + 1) % 8);
            for_each_data(33, |x, y| {
                let differs = is_masked(mask, x, y) != is_masked((mask + 1) % 8, x, y);
                let [a, b] = [&code, &plain].map(|code| code.get_module(x as i32, y as i32));
                assert_eq!(a != b, differs, "mask {mask} at {x}, {y}");
            });
        }
    }
}
