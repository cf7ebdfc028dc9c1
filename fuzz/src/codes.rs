//! What a camera or a clipboard brings.

use pairlight_core::Timestamp;
use pairlight_core::frame::{LumaFrame, Rect, Rotation};
use pairlight_core::payload::{Classifier, Payload};
use pairlight_core::scan::{ScanEffort, ScanOptions, Scanner};
use pairlight_wire::base10;
use pairlight_wire::qr::QrPayload;

/// Target: the text of a code.
pub fn qr_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(payload) = QrPayload::parse(text) {
        assert!(payload.to_text().eq_ignore_ascii_case(text), "two texts for one code");
        assert_eq!(QrPayload::parse(&payload.to_text()).as_ref(), Ok(&payload));
    }
    if let Ok(bytes) = base10::decode(text) {
        assert_eq!(base10::encode(&bytes), text, "two digit strings for one byte string");
    }
}

/// Target: what a code means to a person.
pub fn payload(data: &[u8]) {
    let payload = Payload::classify(data);
    let said = payload.explain();
    assert!(!said.is_empty());
    assert!(!said.chars().any(|c| c.is_control()), "an explanation that could steer a terminal: {said:?}");
    let _ = (payload.severity(), payload.kind_key(), format!("{payload:?}"));
    let hosted = Classifier::new(["link.example.com"]).classify(data);
    let _ = hosted.explain();
}

/// Target: a frame. Bytes 0 and 1 are width and effort; the rest are pixels.
pub fn frame(data: &[u8]) {
    let [width, choice, pixels @ ..] = data else { return };
    let width = u32::from(*width).max(1);
    let height = u32::try_from(pixels.len()).unwrap_or(0) / width;
    let Ok(frame) = LumaFrame::luma8(pixels, width, height, width as usize) else { return };
    let effort = if choice % 2 == 0 { ScanEffort::Thorough } else { ScanEffort::Live };
    let mut scanner = Scanner::new(ScanOptions { effort, all_symbols: choice % 4 >= 2, ..ScanOptions::default() });
    let outcome = scanner.scan(&frame, Timestamp::from_unix_ms(1));
    for symbol in &outcome.symbols {
        assert!(symbol.bytes.len() <= 7089);
        let _ = Payload::classify(&symbol.bytes);
    }
}

/// Target: a camera stream, so that codes are held and frames are added up. Byte 0 is the width, byte 1 the number of
/// frames, byte 2 says how the camera is held; the rest are the pixels of all frames.
pub fn stream(data: &[u8]) {
    let [width, frames, choice, pixels @ ..] = data else { return };
    let width = u32::from(*width).max(1);
    let count = usize::from(*frames % 12) + 1;
    let each = pixels.len() / count;
    let height = u32::try_from(each).unwrap_or(0) / width;
    let region = (choice & 8 != 0).then(|| Rect::new(u32::from(choice >> 4), 2, width, height / 2));
    let mut scanner = Scanner::new(ScanOptions { region, offers_only: choice & 16 != 0, ..ScanOptions::default() });
    for (number, pixels) in (0u64..).zip(pixels.chunks(each.max(1)).take(count)) {
        let Ok(frame) = LumaFrame::luma8(pixels, width, height, width as usize) else { return };
        let turn = Rotation::from_degrees(90 * i32::from(choice & 3)).unwrap_or_default();
        let frame = frame.rotated(turn).mirrored(choice & 4 != 0);
        // Twice: what the first look found is held in the second.
        for look in 0..2 {
            let outcome = scanner.scan(&frame, Timestamp::from_unix_ms(33 * number + look));
            for symbol in &outcome.symbols {
                assert!(symbol.bytes.len() <= 7089);
                assert!(symbol.corners.iter().all(|corner| corner.x.is_finite() && corner.y.is_finite()));
                let _ = Payload::classify(&symbol.bytes);
            }
        }
    }
}
