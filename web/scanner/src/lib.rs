//! The scanner in a browser: `pairlight-core`'s, behind an interface that JavaScript can call. A program of its own, so that
//! whoever only shows a code does not load it.
//!
//! What it does not do: no camera, no picture on a screen. The TypeScript package beside it (`web/src`) takes frames from a
//! video and runs this in a worker. Nothing that a code says is ever opened.
//!
//! What has a structure is JSON, whose shapes are written down in `web/src/types.ts`. Bytes are hexadecimal digits,
//! times are ms since 1970, lengths are pixels.
#![cfg(target_arch = "wasm32")]

use js_sys::Error;
use pairlight_core::frame::{FrameError, LumaBuffer, LumaFrame, PackedFormat};
use pairlight_core::payload::Payload;
use pairlight_core::scan::{Event, Hint, ScanEffort, ScanOptions, ScanOutcome, Scanner, Symbol};
use pairlight_core::time::Timestamp;
use pairlight_wire::id::to_hex;
use serde_json::{Value, json};
use wasm_bindgen::prelude::*;

/// Reads codes from the frames of one camera.
#[wasm_bindgen]
pub struct FrameReader {
    scanner: Scanner,
    /// The brightness of the last frame that came in colour.
    brightness: LumaBuffer,
}

#[wasm_bindgen]
impl FrameReader {
    /// For a camera (`thorough` = false: cheap, spread over frames) or for pictures (`thorough` = true). With `offers_only` a
    /// code of another kind is told, and a hint says that it links nothing.
    #[wasm_bindgen(constructor)]
    #[must_use]
    pub fn new(thorough: bool, offers_only: bool) -> Self {
        let effort = if thorough { ScanEffort::Thorough } else { ScanEffort::Live };
        let scanner = Scanner::new(ScanOptions { effort, offers_only, ..ScanOptions::default() });
        Self { scanner, brightness: LumaBuffer::new() }
    }

    /// Looks at a brightness plane: a byte for each pixel, `stride` bytes from row to row. Gives a report.
    pub fn plane(&mut self, bytes: &[u8], width: u32, height: u32, stride: u32, now: f64) -> Result<String, JsValue> {
        let frame = LumaFrame::luma8(bytes, width, height, stride as usize).map_err(misuse)?;
        Ok(report(&self.scanner.scan(&frame, time(now)), width, height))
    }

    /// Looks at pixels of four bytes, `stride` bytes from row to row: red, green, blue and opacity, or with `blue_first` blue,
    /// green, red and nothing. Gives a report.
    pub fn colours(
        &mut self,
        bytes: &[u8],
        width: u32,
        height: u32,
        stride: u32,
        blue_first: bool,
        now: f64,
    ) -> Result<String, JsValue> {
        let format = if blue_first { PackedFormat::Bgra } else { PackedFormat::Rgba };
        let frame = self.brightness.fill(format, bytes, width, height, stride as usize).map_err(misuse)?;
        Ok(report(&self.scanner.scan(&frame, time(now)), width, height))
    }

    /// Announces whatever is in view once more: when the person starts to scan again.
    pub fn rearm(&mut self) {
        self.scanner.rearm();
    }
}

/// Says what bytes of a code mean, without a picture.
#[wasm_bindgen]
#[must_use]
pub fn explain(content: &[u8]) -> String {
    meaning(content).to_string()
}

#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
fn misuse(error: FrameError) -> JsValue {
    let thrown = Error::new(&error.to_string());
    thrown.set_name("Misuse");
    thrown.into()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; NaN is 0")]
fn time(ms: f64) -> Timestamp {
    Timestamp::from_unix_ms(ms as u64)
}

fn meaning(content: &[u8]) -> Value {
    let payload = Payload::classify(content);
    json!({
        "kind": payload.kind_key(),
        "title": payload.title(),
        "explanation": payload.explain(),
        "about": about(&payload),
        "danger": payload.severity().key(),
        "isOffer": matches!(payload, Payload::PairingOffer(_)),
    })
}

/// What a code names that no translation says: whose service, which host, which network.
fn about(payload: &Payload) -> Option<String> {
    match payload {
        Payload::OtherService(service) => {
            let host = service.host().map(|host| format!(" ({host})")).unwrap_or_default();
            Some(format!("{}{host}", service.service_name()))
        }
        Payload::WebLink(link) => Some(link.host().to_string()),
        Payload::Wifi(wifi) => Some(wifi.network.to_string()),
        _ => None,
    }
}

fn report(outcome: &ScanOutcome, width: u32, height: u32) -> String {
    let is_new = |symbol: &Symbol| outcome.events.iter().any(|Event::Found(found)| found.bytes == symbol.bytes);
    let code = |symbol: &Symbol| {
        json!({
            "bytes": to_hex(&symbol.bytes),
            "text": symbol.text,
            "meaning": meaning(&symbol.bytes),
            "corners": symbol.corners.map(|corner| json!({ "x": corner.x, "y": corner.y })),
            "version": symbol.version,
            "isNew": is_new(symbol),
        })
    };
    let hint = |hint: &Hint| json!({ "key": hint.key(), "text": hint.text() });
    json!({
        "codes": outcome.symbols.iter().map(code).collect::<Vec<_>>(),
        "hints": outcome.hints.iter().map(hint).collect::<Vec<_>>(),
        "sawCode": outcome.stats.saw_code(),
        "zoom": outcome.advice.zoom,
        "torch": outcome.advice.torch,
        "width": width,
        "height": height,
    })
    .to_string()
}
