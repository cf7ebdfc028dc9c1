//! Which modules of a symbol say the same in every symbol of its size, and which carry data (ISO/IEC 18004, 6.3).
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

/// Alignment patterns in a row, at most.
pub(super) const MOST_ALIGNMENTS: usize = 7;

/// The middle modules of the alignment patterns in a row or column (ISO/IEC 18004, annex E), and how many there are.
pub(super) fn alignment_middles(size: usize) -> ([usize; MOST_ALIGNMENTS], usize) {
    let mut middles = [0; MOST_ALIGNMENTS];
    let version = size.saturating_sub(17) / 4;
    if version < 2 {
        return (middles, 0);
    }
    let count = (version / 7 + 2).min(MOST_ALIGNMENTS);
    let step = (version * 8 + count * 3 + 5) / (count * 4 - 4) * 2;
    for (i, middle) in middles.iter_mut().enumerate().take(count) {
        // In even steps from the far end; the first stands in line with the timing patterns.
        *middle = if i == 0 { 6 } else { size.saturating_sub(7 + (count - 1 - i) * step) };
    }
    (middles, count)
}

/// The distance to the middle of the alignment pattern that covers the module.
fn alignment_ring(size: usize, x: isize, y: isize) -> Option<isize> {
    let (middles, count) = alignment_middles(size);
    let last = size as isize - 7;
    let along =
        |at: isize| middles.iter().take(count).map(|&middle| middle as isize).find(|middle| (at - middle).abs() <= 2);
    let (cx, cy) = (along(x)?, along(y)?);
    let in_finder = (cx == 6 && (cy == 6 || cy == last)) || (cx == last && cy == 6);
    (!in_finder).then(|| (x - cx).abs().max((y - cy).abs()))
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
            let mut order = super::super::layout::Layout::default();
            order.set(size);
            assert_eq!(order.order().len(), data);
        }
        let data = (0..33 * 33).filter(|i| is_data(33, i % 33, i / 33)).count();
        assert_eq!(data, 807);
    }
}
