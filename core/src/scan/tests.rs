#![expect(clippy::arithmetic_side_effects, reason = "an overflow in a test is a failed test")]

use qrcodegen::{Mask, QrCode, QrCodeEcc, QrSegment, Version};

use super::*;
use crate::frame::{LumaBuffer, LumaFrame, PackedFormat, Point, Rect, Rotation};
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_unix_ms(1_000);

/// A picture with one code on it and what is known about the code.
#[derive(Clone)]
struct Picture {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
    corners: [Point; 4],
}

impl Picture {
    fn frame(&self) -> LumaFrame<'_> {
        LumaFrame::luma8(&self.pixels, self.width as u32, self.height as u32, self.width).unwrap()
    }

    /// The picture turned clockwise by a quarter; corners stay those of the symbol.
    fn turned(&self) -> Self {
        let mut pixels = Vec::new();
        for y in 0..self.width {
            for x in 0..self.height {
                pixels.push(self.pixels[(self.height - 1 - x) * self.width + y]);
            }
        }
        let corners = self.corners.map(|p| Point::new(self.height as f32 - p.y, p.x));
        Self { width: self.height, height: self.width, pixels, corners }
    }

    fn mirrored(&self) -> Self {
        let pixels = self.pixels.chunks(self.width).flat_map(|row| row.iter().rev().copied()).collect();
        let corners = self.corners.map(|p| Point::new(self.width as f32 - p.x, p.y));
        Self { pixels, corners, ..*self }
    }

    fn inverted(&self) -> Self {
        Self { pixels: self.pixels.iter().map(|p| !p).collect(), ..*self }
    }
}

fn encode(bytes: &[u8], ecc: QrCodeEcc) -> QrCode {
    QrCode::encode_segments(&[QrSegment::make_bytes(bytes)], ecc).unwrap()
}

/// Draws the code with modules of `module` pixels, its top left corner at `(left, top)` of a light page.
fn draw(code: &QrCode, module: usize, (left, top): (usize, usize), (width, height): (usize, usize)) -> Picture {
    let mut pixels = vec![230; width * height];
    let side = code.size() as usize * module;
    for y in 0..side {
        for x in 0..side {
            if code.get_module((x / module) as i32, (y / module) as i32) {
                pixels[(top + y) * width + left + x] = 25;
            }
        }
    }
    let (l, t, r, b) = (left as f32, top as f32, (left + side) as f32, (top + side) as f32);
    let corners = [Point::new(l, t), Point::new(r, t), Point::new(r, b), Point::new(l, b)];
    Picture { width, height, pixels, corners }
}

fn thorough() -> Scanner {
    Scanner::new(ScanOptions { effort: ScanEffort::Thorough, ..ScanOptions::default() })
}

fn read_one(frame: &LumaFrame<'_>) -> Symbol {
    let outcome = thorough().scan(frame, NOW);
    assert_eq!(outcome.symbols.len(), 1, "{outcome:?}");
    assert_eq!(outcome.hints, []);
    outcome.symbols.into_iter().next().unwrap()
}

fn assert_corners(symbol: &Symbol, expected: [Point; 4], context: &str) {
    for (got, want) in symbol.corners.iter().zip(expected) {
        assert!(got.distance(want) <= 2.0, "{context}: {:?}, expected {expected:?}", symbol.corners);
    }
}

#[test]
fn codes_are_read_turned_mirrored_and_inverted_with_their_corners() {
    for text in ["https://pairlight.example/a", "a longer text, so that alignment patterns are there too: 0123456789"] {
        let code = encode(text.as_bytes(), QrCodeEcc::Medium);
        let mut picture = draw(&code, 4, (37, 50), (260, 231));
        for turn in 0..4 {
            for mirror in [false, true] {
                for invert in [false, true] {
                    let context = format!("{turn} quarter turns, mirrored {mirror}, inverted {invert}");
                    let shown = if mirror { picture.mirrored() } else { picture.clone() };
                    let shown = if invert { shown.inverted() } else { shown };
                    let symbol = read_one(&shown.frame());
                    assert_eq!(symbol.text.as_deref(), Some(text), "{context}");
                    assert_eq!((symbol.mirrored, symbol.inverted), (mirror, invert), "{context}");
                    assert_corners(&symbol, shown.corners, &context);
                    assert!((symbol.module_px - 4.0).abs() < 0.15, "{context}: {}", symbol.module_px);
                }
            }
            picture = picture.turned();
        }
    }
}

#[test]
fn a_frame_that_names_its_rotation_and_mirror_gives_upright_corners() {
    let code = encode(b"rotated by the sensor", QrCodeEcc::Quartile);
    let upright = draw(&code, 5, (60, 31), (300, 221));
    let mut sensor = upright.mirrored();
    for turns in 0..4 {
        let degrees = [0, 270, 180, 90][turns];
        let frame = sensor.frame().rotated(Rotation::from_degrees(degrees).unwrap()).mirrored(true);
        let symbol = read_one(&frame);
        assert!(!symbol.mirrored);
        assert_corners(&symbol, upright.corners, &format!("{degrees}"));
        sensor = sensor.turned();
    }
}

#[test]
fn a_crop_gives_corners_of_the_full_frame_and_hides_the_rest() {
    let code = encode(b"in the corner", QrCodeEcc::Low);
    let picture = draw(&code, 4, (200, 120), (320, 240));
    let cropped = picture.frame().crop(Rect::new(180, 100, 140, 140)).unwrap();
    assert_corners(&read_one(&cropped), picture.corners, "crop");
    let elsewhere = picture.frame().crop(Rect::new(0, 0, 180, 240)).unwrap();
    assert_eq!(thorough().scan(&elsewhere, NOW).symbols, []);
}

#[test]
fn a_region_is_enforced_for_every_rotation_and_mirror() {
    let code = encode(b"in the region", QrCodeEcc::Low);
    // Two codes on one page: the region holds the second.
    let mut page = draw(&code, 4, (190, 130), (320, 260));
    let other = draw(&encode(b"outside", QrCodeEcc::Low), 4, (20, 20), (320, 260));
    page.pixels.iter_mut().zip(&other.pixels).for_each(|(to, from)| *to = (*to).min(*from));
    let region = Rect::new(170, 115, 1_000, 1_000);
    let options = ScanOptions { effort: ScanEffort::Thorough, all_symbols: true, ..ScanOptions::default() };
    let mut sensor = page.clone();
    for turns in 0..4 {
        let rotation = Rotation::from_degrees(360 - 90 * turns).unwrap();
        for (sensor, mirrored) in [(sensor.clone(), false), (mirror_upright(&sensor, turns), true)] {
            let frame = sensor.frame().rotated(rotation).mirrored(mirrored);
            let context = format!("{turns} turns, mirrored {mirrored}");
            let scan = |region| Scanner::new(ScanOptions { region, ..options }).scan(&frame, NOW).symbols;
            assert_eq!(scan(None).len(), 2, "{context}");
            let symbols = scan(Some(region));
            assert_eq!(symbols.len(), 1, "{context}");
            assert_eq!(symbols[0].bytes, b"in the region", "{context}");
            assert_corners(&symbols[0], page.corners, &context);
            assert_eq!(scan(Some(Rect::new(0, 0, 170, 115))).len(), 1, "{context}");
            assert_eq!(scan(Some(Rect::new(0, 115, 170, 145))), [], "{context}");
            for nothing in [Rect::new(900, 0, 50, 50), Rect::new(0, 0, 0, 9), Rect::new(u32::MAX, 1, u32::MAX, 1)] {
                assert_eq!(scan(Some(nothing)), [], "{context}");
            }
        }
        sensor = sensor.turned();
    }
    // A crop that was there before stays: the region cannot reach out of it.
    let cropped = page.frame().crop(Rect::new(0, 0, 180, 260)).unwrap();
    assert_eq!(Scanner::new(ScanOptions { region: Some(region), ..options }).scan(&cropped, NOW).symbols, []);
}

/// What a sensor that is turned so many quarters delivers when it shows the upright picture mirrored.
fn mirror_upright(sensor: &Picture, turns: i32) -> Picture {
    let mut upright = sensor.clone();
    (0..4 - turns).for_each(|_| upright = upright.turned());
    let mut mirrored = upright.mirrored();
    (0..turns).for_each(|_| mirrored = mirrored.turned());
    mirrored
}

#[test]
fn several_codes_come_in_reading_order_whatever_the_hand_does() {
    let (width, height) = (520, 340);
    let at = |i: usize, sway: usize| {
        // Two lines of three; within a line each hangs a little lower or higher than its neighbour.
        (20 + 160 * (i % 3), 20 + 160 * (i / 3) + if (i + sway).is_multiple_of(2) { 0 } else { 14 })
    };
    for sway in [0, 1] {
        let mut page = vec![230; width * height];
        for i in 0..6 {
            let one = draw(&encode(&[b'a' + i as u8], QrCodeEcc::Low), 4, at(i, sway), (width, height));
            page.iter_mut().zip(&one.pixels).for_each(|(to, from)| *to = (*to).min(*from));
        }
        let frame = LumaFrame::luma8(&page, width as u32, height as u32, width).unwrap();
        let options = ScanOptions { effort: ScanEffort::Thorough, all_symbols: true, ..ScanOptions::default() };
        let outcome = Scanner::new(options).scan(&frame, NOW);
        let order: Vec<u8> = outcome.symbols.iter().flat_map(|symbol| symbol.bytes.clone()).collect();
        assert_eq!(order, b"abcdef");
    }
}

#[test]
fn a_code_of_another_kind_is_named_when_only_offers_are_wanted_and_after_some_frames() {
    let page = |text: &str| draw(&encode(text.as_bytes(), QrCodeEcc::Low), 4, (20, 20), (190, 190));
    let foreign = page("https://example.com/menu");
    let ours = page("pairlight:/0123");
    let hints = |offers_only, effort, picture: &Picture, frames: u64| {
        let mut scanner = Scanner::new(ScanOptions { effort, offers_only, ..ScanOptions::default() });
        (0..frames).map(|i| scanner.scan(&picture.frame(), NOW.plus_ms(33 * i))).last().unwrap().hints
    };
    let (live, still) = (ScanEffort::Live, ScanEffort::Thorough);
    assert_eq!(hints(true, still, &foreign, 1), [Hint::WrongKind]);
    assert_eq!(hints(true, live, &foreign, 1), []);
    assert_eq!(hints(true, live, &foreign, 6), [Hint::WrongKind]);
    assert_eq!(hints(true, still, &ours, 1), []);
    assert_eq!(hints(false, still, &foreign, 1), []);
}

#[test]
fn every_pixel_format_is_read() {
    let code = encode(b"formats", QrCodeEcc::Medium);
    let picture = draw(&code, 4, (20, 20), (140, 130));
    let (width, height) = (140, 130);
    let check = |frame: LumaFrame<'_>| {
        let symbol = read_one(&frame);
        assert_eq!(symbol.bytes, b"formats");
        assert_corners(&symbol, picture.corners, "format");
    };
    // Rows with a gap that is filled with garbage.
    let padded = |bytes_per_pixel: usize, pixel: &dyn Fn(u8) -> Vec<u8>| {
        let mut data = Vec::new();
        for row in picture.pixels.chunks(picture.width) {
            data.extend(row.iter().flat_map(|&p| pixel(p)));
            data.extend([0, 255, 77, 13]);
        }
        (data, picture.width * bytes_per_pixel + 4)
    };
    let (mut data, stride) = padded(1, &|p| vec![p]);
    check(LumaFrame::luma8(&data, width, height, stride).unwrap());
    data.extend(vec![128; stride * height as usize / 2]);
    check(LumaFrame::nv12(&data, width, height, stride).unwrap());
    check(LumaFrame::nv21(&data, width, height, stride).unwrap());
    check(LumaFrame::i420(&data, width, height, stride).unwrap());
    let (data, stride) = padded(2, &|p| vec![p, 128]);
    check(LumaFrame::yuyv(&data, width, height, stride).unwrap());
    let mut buffer = LumaBuffer::new();
    let (data, stride) = padded(3, &|p| vec![p, p, p]);
    check(buffer.fill(PackedFormat::Rgb, &data, width, height, stride).unwrap());
    let (data, stride) = padded(4, &|p| vec![p, p, p, 255]);
    check(buffer.fill(PackedFormat::Rgba, &data, width, height, stride).unwrap());
    let (data, stride) = padded(4, &|p| vec![p, p, p, 0]);
    check(buffer.fill(PackedFormat::Bgra, &data, width, height, stride).unwrap());
}

#[test]
fn binary_contents_come_back_byte_for_byte() {
    let all: Vec<u8> = (0..=255).collect();
    let code = encode(&all, QrCodeEcc::Medium);
    let side = code.size() as usize * 3 + 40;
    let symbol = read_one(&draw(&code, 3, (20, 20), (side, side)).frame());
    assert_eq!(symbol.bytes, all);
    assert_eq!(symbol.text, None);
    assert_eq!(symbol.version, code.version().value());
    for bytes in [&b""[..], b"\0", b"\xff\xfe\0\0", b"Gr\xfc\xdfe"] {
        let symbol = read_one(&draw(&encode(bytes, QrCodeEcc::Low), 4, (20, 20), (140, 140)).frame());
        assert_eq!(symbol.bytes, bytes);
    }
}

#[test]
fn version_level_and_mask_are_reported() {
    for (level, expected) in [
        (QrCodeEcc::Low, EccLevel::L),
        (QrCodeEcc::Medium, EccLevel::M),
        (QrCodeEcc::Quartile, EccLevel::Q),
        (QrCodeEcc::High, EccLevel::H),
    ] {
        for (version, mask) in [(1, 0), (2, 3), (7, 5), (10, 7)] {
            let segments = [QrSegment::make_bytes(b"levels")];
            let (low, high) = (Version::new(version), Version::new(version));
            let code =
                QrCode::encode_segments_advanced(&segments, level, low, high, Some(Mask::new(mask)), false).unwrap();
            let symbol = read_one(&draw(&code, 4, (20, 20), (280, 280)).frame());
            assert_eq!((symbol.version, symbol.ecc, symbol.mask), (version, expected, mask));
        }
    }
}

#[test]
fn several_codes_in_one_picture_are_all_read_when_asked_for() {
    let codes = [encode(b"one", QrCodeEcc::Low), encode(b"two", QrCodeEcc::Low), encode(b"one", QrCodeEcc::Low)];
    let mut sheet = vec![230; 500 * 160];
    for (i, code) in codes.iter().enumerate() {
        let one = draw(code, 4, (20 + 160 * i, 30), (500, 160));
        for (to, from) in sheet.iter_mut().zip(&one.pixels) {
            *to = (*to).min(*from);
        }
    }
    let frame = LumaFrame::luma8(&sheet, 500, 160, 500).unwrap();
    let mut scanner =
        Scanner::new(ScanOptions { effort: ScanEffort::Thorough, all_symbols: true, ..ScanOptions::default() });
    let outcome = scanner.scan(&frame, NOW);
    let mut contents: Vec<&[u8]> = outcome.symbols.iter().map(|s| s.bytes.as_slice()).collect();
    contents.sort_unstable();
    assert_eq!(contents, [&b"one"[..], b"one", b"two"]);
    assert_eq!(outcome.events.len(), 2, "each content is announced once");
}

#[test]
fn a_code_that_stays_in_view_is_announced_once_until_rearmed() {
    let picture = draw(&encode(b"stay", QrCodeEcc::Low), 4, (20, 20), (140, 140));
    let mut scanner = Scanner::new(ScanOptions::default());
    let first = scanner.scan(&picture.frame(), NOW);
    assert_eq!(first.events, [Event::Found(first.symbols[0].clone())]);
    let second = scanner.scan(&picture.frame(), NOW.plus_ms(33));
    assert_eq!((second.symbols.len(), second.events.len()), (1, 0));
    scanner.rearm();
    assert_eq!(scanner.scan(&picture.frame(), NOW.plus_ms(66)).events.len(), 1);
}

#[test]
fn live_scanning_reads_an_inverted_code_within_a_few_frames() {
    let picture = draw(&encode(b"dark mode", QrCodeEcc::Low), 4, (20, 20), (140, 140)).inverted();
    let mut scanner = Scanner::new(ScanOptions::default());
    let frames = (0..20u64).position(|i| {
        let outcome = scanner.scan(&picture.frame(), NOW.plus_ms(33 * i));
        assert!(outcome.stats.attempts <= 2);
        !outcome.symbols.is_empty()
    });
    assert!(frames.is_some_and(|n| n < 10), "{frames:?}");
}

#[test]
fn modules_of_little_more_than_a_pixel_are_read() {
    let picture = draw(&encode(b"tiny", QrCodeEcc::Low), 2, (20, 20), (100, 100));
    assert_eq!(read_one(&picture.frame()).bytes, b"tiny");
}

#[test]
fn a_code_with_a_hidden_corner_square_is_read() {
    let code = encode(b"a thumb lies on one of the three corner squares", QrCodeEcc::Medium);
    let far = code.size() as usize - 7;
    for (left, top) in [(0, 0), (far, 0), (0, far)] {
        let mut picture = draw(&code, 4, (30, 24), (210, 190));
        for y in 0..7 * 4 {
            for x in 0..7 * 4 {
                picture.pixels[(24 + top * 4 + y) * 210 + 30 + left * 4 + x] = 150;
            }
        }
        for turn in 0..4 {
            let context = format!("the square at {left}, {top} is hidden, {turn} quarter turns");
            let outcome = thorough().scan(&picture.frame(), NOW);
            assert_eq!(outcome.symbols.len(), 1, "{context}");
            assert_eq!(outcome.symbols[0].bytes, b"a thumb lies on one of the three corner squares", "{context}");
            assert_corners(&outcome.symbols[0], picture.corners, &context);
            picture = picture.turned();
        }
    }
}

#[test]
fn a_code_that_is_seen_but_destroyed_is_counted() {
    let code = encode(b"scratched until no repair could help it any more", QrCodeEcc::Low);
    let mut picture = draw(&code, 5, (30, 30), (220, 220));
    // The three corners and the timing patterns stay; the data turns into a chequered area.
    for y in 9..code.size() as usize - 8 {
        for x in 9..code.size() as usize {
            for i in 0..25 {
                picture.pixels[(30 + y * 5 + i / 5) * 220 + 30 + x * 5 + i % 5] =
                    if (x + y) % 2 == 0 { 25 } else { 230 };
            }
        }
    }
    let outcome = thorough().scan(&picture.frame(), NOW);
    assert_eq!(outcome.symbols, []);
    assert!(outcome.stats.saw_code(), "{:?}", outcome.stats);
    assert!(outcome.stats.undecodable > 0, "{:?}", outcome.stats);
}

#[test]
fn a_page_without_a_code_gives_nothing_and_a_dark_one_asks_for_light() {
    let blank = LumaFrame::luma8(&[128; 64 * 64], 64, 64, 64).unwrap().rotated(Rotation::R90);
    let outcome = thorough().scan(&blank, NOW);
    assert!(outcome.symbols.is_empty() && !outcome.stats.saw_code() && outcome.hints.is_empty());
    let dark = [9; 64 * 64];
    let outcome = thorough().scan(&LumaFrame::luma8(&dark, 64, 64, 64).unwrap(), NOW);
    assert_eq!(outcome.hints, [Hint::TooDark]);
}

#[test]
fn frames_of_any_size_down_to_one_pixel_are_survived() {
    for (width, height) in [(1, 1), (1, 100), (100, 1), (2, 3), (7, 7), (8, 300), (21, 21)] {
        for value in [0, 128, 255] {
            let data = vec![value; width * height];
            let frame = LumaFrame::luma8(&data, width as u32, height as u32, width).unwrap();
            let outcome = thorough().scan(&frame, NOW);
            assert_eq!(outcome.symbols.len(), 0);
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 48, ..Default::default() })]
    #[test]
    fn noise_gives_nothing_and_never_panics(
        seed: u64, width in 1usize..200, height in 1usize..200, block in 1usize..5,
    ) {
        let data: Vec<u8> = (0..width * height)
            .map(|i| {
                let cell = (i % width / block) as u64 + (i / width / block) as u64 * 977;
                let mixed = (cell ^ seed).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(31).wrapping_mul(0xBF58_476D_1CE4_E5B9);
                (mixed >> 56) as u8
            })
            .collect();
        let frame = LumaFrame::luma8(&data, width as u32, height as u32, width).unwrap();
        proptest::prop_assert_eq!(thorough().scan(&frame, NOW).symbols, vec![]);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 24, ..Default::default() })]
    /// The front end on frames of odd shapes: one pixel wide or high, gaps between rows, stripes, turned and cropped.
    #[test]
    fn odd_frames_stay_within_the_budget(
        width in 1usize..400, height in 1usize..40, gap in 0usize..9, stripe in 1usize..12, upright: bool, seed: u8,
        turn in 0i32..4, mirrored: bool,
    ) {
        let (width, height) = if upright { (height, width) } else { (width, height) };
        let stride = width + gap;
        let data: Vec<u8> = (0..stride * height)
            .map(|i| {
                let (x, y) = (i % stride, i / stride);
                // Stripes of 1:1:3:1:1 both ways: as many false corner squares as there can be.
                let bar = |n: usize| matches!((n / stripe) % 8, 0 | 2..=4 | 6);
                if bar(x) && bar(y) { seed / 4 } else { 255 - seed / 4 }
            })
            .collect();
        let frame = LumaFrame::luma8(&data, width as u32, height as u32, stride).unwrap();
        let frame = frame.rotated(Rotation::from_degrees(turn * 90).unwrap()).mirrored(mirrored);
        let mut scanner = Scanner::new(ScanOptions { effort: ScanEffort::Thorough, all_symbols: true, ..ScanOptions::default() });
        let outcome = scanner.scan(&frame, NOW);
        proptest::prop_assert_eq!(outcome.symbols, vec![]);
        proptest::prop_assert!(outcome.stats.pixels <= (width * height) as u64 + 8_000_000);
        proptest::prop_assert!(outcome.stats.fits <= 700, "{}", outcome.stats.fits);
    }
}

#[test]
fn curved_paper_is_read() {
    // A version 3 code around a can: columns are squeezed towards the sides, rows sag in the middle.
    let code = encode(b"around a can of lemonade, version 3", QrCodeEcc::Medium);
    let flat = draw(&code, 8, (60, 60), (352, 352));
    let mut bent = vec![230; 352 * 352];
    for y in 0..352usize {
        for x in 0..352usize {
            let t = (x as f32 - 176.0) / 176.0;
            let (from_x, from_y) = (176.0 + 176.0 * (t + 0.16 * t * t * t), y as f32 - 22.0 * (1.0 - t * t) + 11.0);
            if (0.0..352.0).contains(&from_x) && (0.0..352.0).contains(&from_y) {
                bent[y * 352 + x] = flat.pixels[from_y as usize * 352 + from_x as usize];
            }
        }
    }
    let frame = LumaFrame::luma8(&bent, 352, 352, 352).unwrap();
    assert_eq!(read_one(&frame).bytes, b"around a can of lemonade, version 3");
}

#[test]
fn all_versions_and_levels_are_read() {
    for version in 1..=40u8 {
        for (ecc, level) in [QrCodeEcc::Low, QrCodeEcc::Medium, QrCodeEcc::Quartile, QrCodeEcc::High].into_iter().zip([
            EccLevel::L,
            EccLevel::M,
            EccLevel::Q,
            EccLevel::H,
        ]) {
            // All four levels of every tenth version, one level of the others.
            if version % 10 != 0 && usize::from(version) % 4 != ecc as usize {
                continue;
            }
            let segments = [QrSegment::make_bytes(b"v"), QrSegment::make_numeric("0123")];
            let only = Version::new(version);
            let code = QrCode::encode_segments_advanced(&segments, ecc, only, only, None, false).unwrap();
            let side = code.size() as usize * 3 + 36;
            let symbol = read_one(&draw(&code, 3, (18, 18), (side, side)).frame());
            assert_eq!(symbol.bytes, b"v0123");
            assert_eq!((symbol.version, symbol.ecc), (version, level));
        }
    }
}

#[test]
fn a_code_that_touches_the_edge_of_the_picture_is_read() {
    let code = encode(b"no margin", QrCodeEcc::Low);
    let side = code.size() as usize * 4;
    let picture = draw(&code, 4, (0, 0), (side, side));
    assert_corners(&read_one(&picture.frame()), picture.corners, "no margin");
}
