//! The primary device's camera: the lens pointed at the code, or a webcam pointed at the screen.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pairlight_core::frame::LumaFrame;
use pairlight_core::net::system_time;
use pairlight_core::pairing::CodeMatrix;
use pairlight_core::scan::{Event, ScanOptions, Scanner, Symbol};
use pairlight_lens::{Condition, Lens, Matrix, View};

use super::timeline::{PHONE, Timeline};
use crate::camera::{Frame, FrameSource, Selector, Webcam};
use crate::exit::{Exit, Failure};

/// How long a person may take to point a webcam at the screen.
const WEBCAM_PATIENCE: Duration = Duration::from_secs(90);
/// Frames of the lens until it must have been read.
const LENS_FRAMES: u32 = 40;

/// What is on the other device's screen right now; codes rotate under the camera.
#[derive(Debug, Clone, Default)]
pub(crate) struct Screen(Arc<Mutex<Option<String>>>);

impl Screen {
    pub(crate) fn show(&self, text: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }

    fn text(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// A code that was seen.
#[derive(Debug)]
pub(crate) struct Sighting {
    /// The code.
    pub(crate) symbol: Symbol,
    /// Frames looked at, this one included.
    pub(crate) frames: u32,
    /// Time spent scanning them.
    pub(crate) scanning: Duration,
}

/// The camera of the primary device.
#[derive(Debug, Clone)]
pub(crate) enum Eye {
    /// Draws what a phone would see of the screen; the frames are left in a folder.
    Lens { screen: Screen, seed: u64, folder: PathBuf, timeline: Timeline },
    /// A webcam.
    Webcam { selector: String, timeline: Timeline },
}

impl Eye {
    /// Looks until a code is read. Blocks: run it where that is allowed.
    pub(crate) fn look(&self, scene: &str) -> Result<Sighting, Failure> {
        match self {
            Self::Lens { screen, seed, folder, timeline } => look_through_lens(screen, *seed, folder, scene, timeline),
            Self::Webcam { selector, timeline } => look_through_webcam(selector, timeline),
        }
    }
}

/// Scans one frame; the code in it, or what the scanner would tell the person.
fn read(scanner: &mut Scanner, luma: &[u8], width: u32, height: u32) -> Result<Symbol, &'static str> {
    let Ok(frame) = LumaFrame::luma8(luma, width, height, width as usize) else { return Err("not a frame") };
    let outcome = scanner.scan(&frame, system_time());
    match outcome.events.into_iter().next() {
        Some(Event::Found(symbol)) => Ok(symbol),
        None => Err(outcome.hints.first().map_or("hold the camera still", |hint| hint.text())),
    }
}

fn look_through_lens(
    screen: &Screen,
    seed: u64,
    folder: &Path,
    scene: &str,
    timeline: &Timeline,
) -> Result<Sighting, Failure> {
    let broken = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Error, format!("the lens fails: {error}"), "report this with the seed that was used")
    };
    let mut scanner = Scanner::new(ScanOptions::default());
    let mut scanning = Duration::ZERO;
    for index in 0..LENS_FRAMES {
        let text = screen.text().ok_or_else(|| broken(&"nothing is on the screen"))?;
        let matrix = CodeMatrix::draw(&text).map_err(|error| broken(&error))?;
        let matrix = Matrix::new(matrix.size(), matrix.modules().to_vec()).map_err(|error| broken(&error))?;
        let lens = Lens::new(&Condition::Nominal.scene(matrix)).map_err(|error| broken(&error))?;
        let frame = lens.shoot(&approach(index, seed)).map_err(|error| broken(&error))?;
        let path = folder.join(format!("{scene}-{index:02}.png"));
        let file = std::fs::File::create(path).map_err(|error| broken(&error))?;
        frame.write_png(std::io::BufWriter::new(file)).map_err(|error| broken(&error))?;
        let (width, height) = (frame.width as u32, frame.height as u32);
        let luma = frame.luma();
        let start = Instant::now();
        let symbol = read(&mut scanner, &luma, width, height);
        scanning += start.elapsed();
        match symbol {
            Ok(symbol) => return Ok(Sighting { symbol, frames: index + 1, scanning }),
            Err(hint) => timeline.step(PHONE, format!("frame {} seen, no code in it yet: {hint}", index + 1))?,
        }
    }
    Err(broken(&format!("no code was read in {LENS_FRAMES} frames")))
}

/// A phone that comes nearer: first far, blurred and moving, then steady. The hand never holds still.
fn approach(index: u32, seed: u64) -> View {
    let arrival = (index as f32 / 4.0).min(1.0);
    let seed = seed.wrapping_mul(1_000).wrapping_add(u64::from(index));
    let steady = Condition::Nominal.view(seed);
    let away = 1.0 - arrival;
    View {
        px_per_module: 1.3 + (steady.px_per_module - 1.3) * arrival,
        defocus_px: steady.defocus_px + 5.0 * away,
        hand: [steady.hand[0] + 500.0 * away, steady.hand[1] - 240.0 * away],
        offset: [steady.offset[0] - 180.0 * away, steady.offset[1] + 90.0 * away],
        roll: steady.roll + 14.0 * away,
        ..steady
    }
}

fn look_through_webcam(selector: &str, timeline: &Timeline) -> Result<Sighting, Failure> {
    let mut camera = Webcam::open(&Selector::parse(selector))?;
    let mut scanner = Scanner::new(ScanOptions::default());
    let (start, mut scanning) = (Instant::now(), Duration::ZERO);
    let (mut frame, mut frames) = (Frame::empty(), 0);
    while start.elapsed() < WEBCAM_PATIENCE {
        if !camera.next_frame(&mut frame, Duration::from_millis(100))? {
            continue;
        }
        frames += 1;
        let looked = Instant::now();
        let symbol = read(&mut scanner, &frame.luma, frame.width, frame.height);
        scanning += looked.elapsed();
        match symbol {
            Ok(symbol) => return Ok(Sighting { symbol, frames, scanning }),
            // The first one, and then about one in two seconds.
            Err(hint) if frames % 60 == 1 => {
                let (width, height) = (frame.width, frame.height);
                timeline.step(PHONE, format!("frame {frames} seen ({width} x {height}), no code in it yet: {hint}"))?;
            }
            Err(_) => {}
        }
    }
    let what = format!("no code was read in {} s", WEBCAM_PATIENCE.as_secs());
    Err(Failure::new(
        Exit::NoneFound,
        what,
        "hold the webcam so that the whole code is sharp and fills a third of the picture",
    ))
}
