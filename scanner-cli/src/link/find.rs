//! Finds an offer for `pairlight link scan`: through a camera, in frames, in a picture, in a pasted text.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pairlight_core::frame::{LumaBuffer, LumaFrame};
use pairlight_core::net::system_time;
use pairlight_core::payload::{Payload, Severity};
use pairlight_core::scan::{Event, ScanEffort, ScanOptions, Scanner};
use pairlight_wire::qr::QrPayload;

use crate::camera::{Frame, FrameSource, Selector, Webcam};
use crate::exit::{Exit, Failure};
use crate::scan::picture;
use crate::style::Voice;
use crate::y4m::Y4mReader;

/// What a code means for linking: an offer, or words why not. Nothing is ever opened.
fn offer(bytes: &[u8], voice: Voice) -> Result<QrPayload, Failure> {
    match Payload::classify(bytes) {
        Payload::PairingOffer(offer) => Ok(offer),
        other => {
            let what = match other {
                Payload::OfferOfOtherVersion { .. } | Payload::DamagedOffer => other.title(),
                _ => format!("this is not a linking code of this app: {}", other.title()),
            };
            if other.severity() == Severity::Danger {
                voice.warn(other.explain());
            }
            let remedy = match other {
                Payload::OfferOfOtherVersion { .. } => "update the older of the two programs",
                Payload::DamagedOffer => "show a new code and scan it again",
                _ => "scan the code that `pairlight link show` draws",
            };
            Err(Failure::new(Exit::Error, what, remedy))
        }
    }
}

/// An offer in a pasted text.
pub(super) fn in_text(text: &str, voice: Voice) -> Result<QrPayload, Failure> {
    offer(text.trim().as_bytes(), voice)
}

/// The first offer in a picture. Every attempt is made, and other codes are looked past.
pub(super) fn in_picture(path: &Path, voice: Voice) -> Result<QrPayload, Failure> {
    let cannot = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Error, format!("cannot read {}: {error}", path.display()), "name a PNG or JPEG picture")
    };
    let bytes = std::fs::read(path).map_err(|error| cannot(&error))?;
    let mut buffer = LumaBuffer::new();
    let frame = picture::decode(&bytes, &mut buffer).map_err(|error| cannot(&error))?;
    let options = ScanOptions { effort: ScanEffort::Thorough, all_symbols: true, ..ScanOptions::default() };
    let outcome = Scanner::new(options).scan(&frame, system_time());
    let mut foreign = None;
    for symbol in &outcome.symbols {
        match offer(&symbol.bytes, voice) {
            Ok(offer) => return Ok(offer),
            Err(failure) => foreign = foreign.or(Some(failure)),
        }
    }
    Err(match foreign {
        Some(foreign) => foreign,
        None if outcome.stats.saw_code() => unreadable(&path.display()),
        None => none_found(&path.display()),
    })
}

/// The first offer in a recording. Other codes are named once each and looked past.
pub(super) fn in_frames(path: &Path, voice: Voice) -> Result<QrPayload, Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Error, format!("{}: {error}", path.display()), "name a Y4M recording")
    };
    let file = std::fs::File::open(path).map_err(|error| broken(&error))?;
    let mut reader = Y4mReader::new(std::io::BufReader::new(file)).map_err(|error| broken(&error))?;
    let header = *reader.header();
    let mut scanner = Scanner::new(ScanOptions::default());
    let (mut luma, mut saw_code, mut last) = (Vec::new(), false, None);
    while reader.next_frame(&mut luma).map_err(|error| broken(&error))?.is_some() {
        let frame = LumaFrame::luma8(&luma, header.width, header.height, header.width as usize)
            .map_err(|error| broken(&error))?;
        let outcome = scanner.scan(&frame, system_time());
        saw_code |= outcome.stats.saw_code();
        for Event::Found(symbol) in outcome.events {
            match offer(&symbol.bytes, voice) {
                Ok(offer) => return Ok(offer),
                // As through a camera: another code is looked past.
                Err(foreign) => {
                    voice.warn(foreign.what());
                    last = Some(foreign);
                }
            }
        }
    }
    Err(if let Some(foreign) = last {
        foreign
    } else if saw_code {
        unreadable(&path.display())
    } else {
        none_found(&path.display())
    })
}

/// Looks through a camera until an offer is seen, or `stop`. Other codes are named once each and looked past.
pub(super) fn through_camera(selector: &str, stop: &Arc<AtomicBool>, voice: Voice) -> Result<QrPayload, Failure> {
    let mut camera = Webcam::open(&Selector::parse(selector))?;
    voice.note(format_args!("looking through {}; hold the code in front of it, Ctrl-C ends it", camera.name()));
    let mut scanner = Scanner::new(ScanOptions::default());
    let (mut frame, mut named) = (Frame::empty(), HashSet::new());
    while !stop.load(Ordering::SeqCst) {
        if !camera.next_frame(&mut frame, Duration::from_millis(100))? {
            continue;
        }
        let Ok(view) = LumaFrame::luma8(&frame.luma, frame.width, frame.height, frame.width as usize) else { continue };
        for Event::Found(symbol) in scanner.scan(&view, system_time()).events {
            match Payload::classify(&symbol.bytes) {
                Payload::PairingOffer(offer) => return Ok(offer),
                other if named.insert(symbol.bytes) => {
                    voice.warn(format_args!("{}: {}", other.title(), other.explain()));
                }
                _ => {}
            }
        }
    }
    Err(Failure::new(Exit::Interrupted, "interrupted", "start again when you like"))
}

fn unreadable(source: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Exit::Unreadable,
        format!("{source}: there is a code, but it cannot be read"),
        "take a sharper picture, closer",
    )
}

fn none_found(source: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        Exit::NoneFound,
        format!("{source}: there is no code in it"),
        "the whole code with its white margin must be in the picture",
    )
}
