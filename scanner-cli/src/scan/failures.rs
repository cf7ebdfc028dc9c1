//! `--keep-failures`: what a camera showed while nothing was read, kept so that it can be looked at again and gives
//! the same result again.
//!
//! A failed scan becomes two files of one name: `NAME.y4m` with the frames and `NAME.json` with the time of each frame
//! and what the scanner made of it. The scanner begins afresh with each recording, so that the recording holds all that
//! decided its outcome.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use pairlight_core::scan::ScanOutcome;
use pairlight_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::camera::Frame;
use crate::y4m::{Chroma, Header, Y4mWriter};

/// Frames of a recording; after these a new one is begun and the one before the last is dropped.
pub(super) const MOST_FRAMES: usize = 300;
/// Version of the timeline's JSON.
const SCHEMA: u32 = 1;

/// What happened in which frame.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Timeline {
    schema: u32,
    source: String,
    frames: Vec<Moment>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Moment {
    at_ms: u64,
    outcome: String,
}

impl Timeline {
    /// The timeline that lies beside a recording, if it is one of ours.
    pub(super) fn beside(recording: &Path) -> Option<Self> {
        let text = fs::read(recording.with_extension("json")).ok()?;
        serde_json::from_slice::<Self>(&text).ok().filter(|timeline| timeline.schema == SCHEMA)
    }

    /// When the frame was taken.
    pub(super) fn time(&self, frame: u64) -> Option<Timestamp> {
        self.moment(frame).map(|moment| Timestamp::from_unix_ms(moment.at_ms))
    }

    /// Whether the scanner makes of the frame what it made of it then.
    pub(super) fn agrees(&self, frame: u64, outcome: &ScanOutcome) -> bool {
        self.moment(frame).is_some_and(|moment| moment.outcome == describe(outcome))
    }

    fn moment(&self, frame: u64) -> Option<&Moment> {
        self.frames.get(usize::try_from(frame).ok()?)
    }
}

/// All that a frame gave, in words that are equal only if the outcomes are.
fn describe(outcome: &ScanOutcome) -> String {
    format!("{:?} {:?} {:?}", outcome.stats, outcome.hints, outcome.symbols)
}

/// Records while nothing is read.
#[derive(Debug)]
pub(super) struct Recorder {
    folder: PathBuf,
    source: String,
    current: Option<Part>,
    finished: Vec<PathBuf>,
}

#[derive(Debug)]
struct Part {
    /// Without extension.
    stem: PathBuf,
    writer: Y4mWriter<BufWriter<File>>,
    size: (u32, u32),
    frames: Vec<Moment>,
}

impl Recorder {
    /// Keeps recordings in `folder`, which is made.
    ///
    /// # Errors
    /// The system's, when the folder cannot be made.
    pub(super) fn new(folder: &Path, source: &str) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self { folder: folder.to_owned(), source: source.to_owned(), current: None, finished: Vec::new() })
    }

    /// Whether the scanner must begin afresh before it looks at a frame of this size.
    pub(super) fn wants_fresh_scanner(&self, frame: &Frame) -> bool {
        let full = |part: &Part| part.frames.len() >= MOST_FRAMES || part.size != (frame.width, frame.height);
        self.current.as_ref().is_none_or(full)
    }

    /// Adds a frame and what was made of it.
    ///
    /// # Errors
    /// The system's, when the recording cannot be written.
    pub(super) fn add(&mut self, frame: &Frame, now: Timestamp, outcome: &ScanOutcome) -> io::Result<()> {
        if self.wants_fresh_scanner(frame) {
            self.end_part()?;
            self.current = Some(Part::begin(&self.folder, frame, now)?);
        }
        if let Some(part) = &mut self.current {
            part.writer.write_frame(&frame.luma)?;
            part.frames.push(Moment { at_ms: now.unix_ms(), outcome: describe(outcome) });
        }
        Ok(())
    }

    fn end_part(&mut self) -> io::Result<()> {
        let Some(part) = self.current.take() else { return Ok(()) };
        part.writer.finish()?;
        let timeline = Timeline { schema: SCHEMA, source: self.source.clone(), frames: part.frames };
        let mut file = BufWriter::new(File::create(part.stem.with_extension("json"))?);
        serde_json::to_writer_pretty(&mut file, &timeline)?;
        writeln!(file)?;
        file.flush()?;
        self.finished.push(part.stem);
        // The last two are enough to see what went wrong.
        while self.finished.len() > 2 {
            remove(&self.finished.remove(0));
        }
        Ok(())
    }

    /// Ends the recording. Gives the files that hold frames.
    ///
    /// # Errors
    /// The system's, when the recording cannot be written.
    pub(super) fn keep(mut self) -> io::Result<Vec<PathBuf>> {
        self.end_part()?;
        Ok(self.finished.iter().map(|stem| stem.with_extension("y4m")).collect())
    }

    /// Something was read: nothing is kept.
    pub(super) fn discard(mut self) {
        let unfinished = self.current.take().map(|part| part.stem);
        self.finished.iter().chain(&unfinished).for_each(|stem| remove(stem));
    }
}

impl Part {
    fn begin(folder: &Path, frame: &Frame, now: Timestamp) -> io::Result<Self> {
        let header = Header { width: frame.width, height: frame.height, rate: (30, 1), chroma: Chroma::Mono };
        let mut number = now.unix_ms();
        loop {
            let stem = folder.join(format!("failed-scan-{number}"));
            match File::create_new(stem.with_extension("y4m")) {
                Ok(file) => {
                    let writer = Y4mWriter::new(BufWriter::new(file), header)?;
                    return Ok(Self { stem, writer, size: (frame.width, frame.height), frames: Vec::new() });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(error),
            }
        }
    }
}

/// Removes a recording. What cannot be removed stays: it does no harm.
fn remove(stem: &Path) {
    for extension in ["y4m", "json"] {
        let _gone = fs::remove_file(stem.with_extension(extension));
    }
}
