//! `pairlight scan`: reads codes from pictures, recordings and cameras, prints what they say, and says why if it found
//! nothing. A link is never opened.

mod explain;
mod failures;
mod input;
mod output;
pub(crate) mod picture;
mod pipe;
mod preview;

use std::io::{self, IsTerminal, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use pairlight_core::frame::{LumaBuffer, LumaFrame};
use pairlight_core::net::system_time;
use pairlight_core::payload::{Payload, Severity};
use pairlight_core::scan::{Event, Hint, ScanEffort, ScanOptions, ScanOutcome, Scanner, Symbol};
use pairlight_core::time::Timestamp;

use crate::args::{Format, ScanArgs};
use crate::camera::{Frame, FrameSource, Selector, Webcam};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::style::Voice;
use crate::y4m::Y4mReader;

use self::failures::{Recorder, Timeline};
use self::input::{Input, InputError, Opened};
use self::output::{Finding, InputReport, Sink};
use self::preview::Preview;

/// How often Ctrl-C and the clock are looked at while no frame comes.
const PATIENCE: Duration = Duration::from_millis(100);
/// Advice for the person at the camera is given this often at most.
const HINT_PAUSE: Duration = Duration::from_secs(3);

/// For streams: what fails on this frame is read on one of the next.
const LIVE: ScanOptions =
    ScanOptions { effort: ScanEffort::Live, all_symbols: false, offers_only: false, region: None };

/// Scans everything that was asked for.
pub(crate) fn run(args: &ScanArgs, voice: Voice) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen();
    let deadline = args.timeout.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let sink = Sink::new(args.format, io::stdout().lock());
    let mut session = Session { args, voice, interrupt, deadline, sink, tally: Tally::default() };
    let outcome = match &args.camera {
        Some(camera) => session.scan_camera(&Selector::parse(camera)),
        None => session.scan_inputs(),
    };
    // A JSON document must be whole even if the camera was unplugged.
    session.sink.finish().map_err(|error| Failure::from_stdout(&error))?;
    outcome?;
    Ok(session.exit())
}

/// What was seen in the whole run; decides the exit code.
#[derive(Debug, Default)]
struct Tally {
    found: u64,
    failed: u64,
    saw_unreadable: bool,
    timed_out: bool,
    interrupted: bool,
}

/// What one input gave.
#[derive(Debug, Default)]
struct Looked {
    symbols: u64,
    frames: u64,
    saw_code: bool,
    finders: u32,
    hints: Vec<Hint>,
    /// What ended it early. What was found before stays found.
    error: Option<InputError>,
}

impl From<InputError> for Looked {
    fn from(error: InputError) -> Self {
        Looked { error: Some(error), ..Looked::default() }
    }
}

impl Looked {
    /// Remembers the best view there was of a code that was not read.
    fn note(&mut self, outcome: &ScanOutcome) {
        self.frames += 1;
        self.saw_code |= outcome.stats.saw_code();
        self.finders = self.finders.max(outcome.stats.finders);
        for hint in &outcome.hints {
            if !self.hints.contains(hint) {
                self.hints.push(*hint);
            }
        }
    }
}

struct Session<'a, W> {
    args: &'a ScanArgs,
    voice: Voice,
    interrupt: Interrupt,
    deadline: Option<Instant>,
    sink: Sink<W>,
    tally: Tally,
}

impl<W: Write> Session<'_, W> {
    /// True when the run must end: Ctrl-C, the time is over, or the one wanted code was printed.
    fn is_over(&mut self) -> bool {
        self.tally.interrupted |= self.interrupt.is_raised();
        self.tally.timed_out |= self.deadline.is_some_and(|deadline| Instant::now() >= deadline);
        self.tally.interrupted || self.tally.timed_out || (self.args.once && self.tally.found > 0)
    }

    fn exit(&self) -> Exit {
        let Tally { found, failed, saw_unreadable, timed_out, interrupted } = self.tally;
        if interrupted {
            Exit::Interrupted
        } else if failed > 0 && !(self.args.keep_going && found > 0) {
            Exit::Error
        } else if found > 0 {
            Exit::Done
        } else if timed_out {
            Exit::TimedOut
        } else if saw_unreadable {
            Exit::Unreadable
        } else {
            Exit::NoneFound
        }
    }

    fn scan_inputs(&mut self) -> Result<(), Failure> {
        for path in &self.args.inputs {
            for (source, input) in input::expand(path) {
                if self.is_over() {
                    return Ok(());
                }
                let timeline = match &input {
                    Ok(Input::File(path)) => Timeline::beside(path),
                    _ => None,
                };
                let looked = match input.and_then(|input| input.open(self.deadline, &self.interrupt)) {
                    Ok(Opened::Picture(bytes)) => self.scan_picture(&source, &bytes)?,
                    Ok(Opened::Recording(reader)) => self.scan_recording(&source, reader, timeline.as_ref())?,
                    Err(error) => error.into(),
                };
                self.conclude(&source, &looked);
            }
        }
        Ok(())
    }

    fn scan_picture(&mut self, source: &str, bytes: &[u8]) -> Result<Looked, Failure> {
        let mut buffer = LumaBuffer::new();
        let frame = match picture::decode(bytes, &mut buffer) {
            Ok(frame) => frame,
            Err(error) => return Ok(error.into()),
        };
        if picture::is_cut_off(bytes) {
            self.voice.warn(format_args!("{source}: the picture is cut off; copy or download it again"));
        }
        let options =
            ScanOptions { effort: ScanEffort::Thorough, all_symbols: self.args.all, ..ScanOptions::default() };
        let started = Instant::now();
        let mut scanner = Scanner::new(options);
        let (outcome, steps) = if self.args.explain {
            let (outcome, steps) = scanner.explain(&frame, system_time());
            (outcome, Some(steps))
        } else {
            (scanner.scan(&frame, system_time()), None)
        };
        let took = started.elapsed();
        if let Some(steps) = steps {
            let place = explain::place_of(source);
            match explain::draw(&frame, &steps).save(&place) {
                Ok(()) => self.voice.note(format!("{source}: what was tried is drawn in {}", place.display())),
                Err(error) => self.voice.warn(format!("{} cannot be written: {error}", place.display())),
            }
            for line in explain::tell(&steps) {
                self.voice.note(line);
            }
        }
        let mut looked = Looked::default();
        looked.note(&outcome);
        for symbol in &outcome.symbols {
            self.found(Finding { source, frame: None, symbol, took })?;
            looked.symbols += 1;
            if self.args.once {
                break;
            }
        }
        Ok(looked)
    }

    /// With the timeline of a failed scan the frames have their own times, and it is said whether all came out as then.
    fn scan_recording(
        &mut self,
        source: &str,
        input: Box<dyn Read>,
        timeline: Option<&Timeline>,
    ) -> Result<Looked, Failure> {
        let mut reader = match Y4mReader::new(input) {
            Ok(reader) => reader,
            Err(error) => return Ok(InputError::from(error).into()),
        };
        let header = *reader.header();
        let mut looked = Looked::default();
        let mut scanner = Scanner::new(LIVE);
        let mut luma = Vec::new();
        let mut differing = None;
        while !self.is_over() && (looked.symbols == 0 || self.args.watch) {
            let view = match reader.next_frame(&mut luma) {
                Ok(Some(number)) => LumaFrame::luma8(&luma, header.width, header.height, header.width as usize)
                    .map(|view| (number, view))
                    .map_err(InputError::from),
                Ok(None) => break,
                Err(error) => Err(error.into()),
            };
            let (number, view) = match view {
                Ok(view) => view,
                Err(error) => {
                    looked.error = Some(error);
                    break;
                }
            };
            let told = timeline.and_then(|timeline| timeline.time(number));
            let now = told.unwrap_or_else(|| recording_time(number, header.rate));
            let outcome = self.look(source, number, &mut scanner, &view, now, &mut looked)?;
            if timeline.is_some_and(|timeline| !timeline.agrees(number, &outcome)) {
                differing.get_or_insert(number);
            }
        }
        if timeline.is_some() {
            match differing {
                None => {
                    self.voice.note(format_args!("{source}: all {} frames came out as when recorded", looked.frames))
                }
                Some(frame) => self.voice.note(format_args!(
                    "{source}: from frame {frame} on it came out otherwise than when recorded (by another version?)"
                )),
            }
        }
        Ok(looked)
    }

    fn scan_camera(&mut self, selector: &Selector) -> Result<(), Failure> {
        let mut camera = Webcam::open(selector)?;
        let source = camera.name().to_owned();
        self.voice.note(format_args!("looking through {source}, {}; Ctrl-C ends it", camera.format()));
        let mut scanner = Scanner::new(LIVE);
        let (mut frame, mut looked) = (Frame::empty(), Looked::default());
        let mut coach = Coach::default();
        let mut recorder = match &self.args.keep_failures {
            Some(folder) => Some(Recorder::new(folder, &source).map_err(|error| cannot_keep(folder, &error))?),
            None => None,
        };
        let mut preview = self.preview();
        let ended = loop {
            if self.is_over() {
                break Ok(());
            }
            match camera.next_frame(&mut frame, PATIENCE) {
                Ok(true) => {}
                Ok(false) => continue,
                Err(error) => break Err(error.into()),
            }
            let view = LumaFrame::luma8(&frame.luma, frame.width, frame.height, frame.width as usize)
                .map_err(|error| Failure::new(Exit::Camera, format!("{source}: {error}"), "choose another camera"))?;
            // Advice is about what the camera shows now.
            looked.hints.clear();
            if recorder.as_ref().is_some_and(|recorder| recorder.wants_fresh_scanner(&frame)) {
                scanner = Scanner::new(LIVE);
            }
            let now = taken_at(&frame);
            let outcome = self.look(&source, frame.number, &mut scanner, &view, now, &mut looked)?;
            if looked.symbols > 0 {
                recorder.take().into_iter().for_each(Recorder::discard);
            }
            if let (Some(recorder), Some(folder)) = (&mut recorder, &self.args.keep_failures) {
                recorder.add(&frame, now, &outcome).map_err(|error| cannot_keep(folder, &error))?;
            }
            match &mut preview {
                Some(preview) => {
                    if !outcome.events.is_empty() {
                        preview.leave();
                    }
                    let outlines: Vec<_> = outcome.symbols.iter().map(|symbol| symbol.corners).collect();
                    let words = Coach::advice(&looked).unwrap_or("");
                    // A terminal that went away is noticed where codes are printed.
                    let _shown = preview.show(&mut io::stderr().lock(), &view, &outlines, words);
                }
                None => coach.advise(self.voice, &looked),
            }
        };
        if let Some(recorder) = recorder {
            self.keep(recorder)?;
        }
        if ended.is_ok() {
            self.conclude(&source, &looked);
        }
        ended
    }

    /// The preview, where there is a terminal for it.
    fn preview(&self) -> Option<Preview> {
        if !self.args.preview {
            return None;
        }
        if !io::stderr().is_terminal() {
            self.voice.warn("--preview needs a terminal on standard error; going on without");
            return None;
        }
        Some(Preview::new())
    }

    /// Nothing was read: tells where the frames are.
    fn keep(&self, recorder: Recorder) -> Result<(), Failure> {
        let Some(folder) = &self.args.keep_failures else { return Ok(()) };
        for path in recorder.keep().map_err(|error| cannot_keep(folder, &error))? {
            let path = path.display();
            self.voice.note(format_args!("kept the failed scan; look again with: pairlight scan {path}"));
        }
        Ok(())
    }

    /// Looks at one frame of a stream and prints each content that is new.
    fn look(
        &mut self,
        source: &str,
        number: u64,
        scanner: &mut Scanner,
        view: &LumaFrame<'_>,
        now: Timestamp,
        looked: &mut Looked,
    ) -> Result<ScanOutcome, Failure> {
        let started = Instant::now();
        let outcome = scanner.scan(view, now);
        let took = started.elapsed();
        looked.note(&outcome);
        for Event::Found(symbol) in &outcome.events {
            self.found(Finding { source, frame: Some(number), symbol, took })?;
            looked.symbols += 1;
            if self.args.once {
                break;
            }
        }
        Ok(outcome)
    }

    /// Prints one code, and in text mode says what it means.
    fn found(&mut self, finding: Finding<'_>) -> Result<(), Failure> {
        let payload = Payload::classify(&finding.symbol.bytes);
        self.sink.write(&finding, &payload).map_err(|error| Failure::from_stdout(&error))?;
        self.tally.found += 1;
        if self.args.format == Format::Text {
            self.explain(finding.source, finding.symbol, &payload);
        }
        Ok(())
    }

    fn explain(&self, source: &str, symbol: &Symbol, payload: &Payload) {
        let words = format!("{source}: {}", payload.explain());
        if payload.severity() >= Severity::Caution {
            self.voice.warn(words)
        } else {
            self.voice.note(words)
        }
        if symbol.text.is_none() {
            self.voice.note("the content is not text and is shown escaped; --format raw gives the exact bytes");
        }
    }

    /// Says why an input gave nothing, and counts it.
    fn conclude(&mut self, source: &str, looked: &Looked) {
        let error = looked.error.as_ref().filter(|error| !error.is_given_up());
        if looked.error.is_some() && error.is_none() {
            // Nothing is wrong with it: this notes whether the time was over or Ctrl-C was pressed.
            self.is_over();
        }
        let cut_short = self.tally.interrupted || (self.args.once && self.tally.found > 0);
        if let Some(error) = error {
            self.tally.failed += 1;
            self.voice.error(format_args!("{source}: {error}"), error.remedy());
        } else if looked.symbols == 0 && !cut_short {
            self.tally.saw_unreadable |= looked.saw_code;
            self.voice.warn(format_args!("{source}: {}", why_nothing(looked)));
        }
        self.sink.conclude(InputReport {
            source: source.to_owned(),
            symbols: looked.symbols,
            frames: looked.frames,
            finders: looked.finders,
            hints: looked.hints.iter().map(|hint| hint.key()).collect(),
            error: error.map(InputError::to_string),
        });
    }
}

/// Gives advice at the camera, neither at once nor all the time.
#[derive(Debug, Default)]
struct Coach {
    last: Option<Instant>,
}

impl Coach {
    fn advice(looked: &Looked) -> Option<&'static str> {
        match looked.hints.first() {
            Some(hint) => Some(hint.text()),
            None if looked.symbols == 0 && looked.saw_code => {
                Some("A code is in view. Hold it still, flat and closer.")
            }
            None => None,
        }
    }

    fn advise(&mut self, voice: Voice, looked: &Looked) {
        let Some(advice) = Self::advice(looked) else { return };
        let now = Instant::now();
        if self.last.is_none_or(|last| now.duration_since(last) >= HINT_PAUSE) {
            self.last = Some(now);
            voice.note(advice);
        }
    }
}

fn why_nothing(looked: &Looked) -> String {
    let advice: Vec<&str> = looked.hints.iter().map(|hint| hint.text()).collect();
    let advice = if advice.is_empty() { String::new() } else { format!(" {}", advice.join(" ")) };
    match (looked.saw_code, looked.finders) {
        (true, _) if advice.is_empty() => {
            "a code is there but cannot be read. Cut the picture to the code, enlarge it, or take it again with less \
             tilt and glare."
                .into()
        }
        (true, _) => format!("a code is there but cannot be read.{advice}"),
        (false, 0) => format!("no code found.{advice}"),
        (false, corners) => {
            let corners = corners.min(3);
            format!("no code found; {corners} of 3 corner squares seen. Is the code cut off or covered?{advice}")
        }
    }
}

fn cannot_keep(folder: &Path, error: &io::Error) -> Failure {
    Failure::new(
        Exit::Error,
        format!("cannot keep a recording in {}: {error}", folder.display()),
        "check the folder, its permissions and the free space",
    )
}

/// When the camera delivered a frame: it may have waited while an earlier one was looked at.
fn taken_at(frame: &Frame) -> Timestamp {
    let age = u64::try_from(frame.arrived.elapsed().as_millis()).unwrap_or(u64::MAX);
    Timestamp::from_unix_ms(system_time().unix_ms().saturating_sub(age))
}

/// The time of a frame as the recording's rate tells it, so that a replay gives the same result at any speed.
fn recording_time(number: u64, rate: (u32, u32)) -> Timestamp {
    let (top, bottom) = if rate.0 == 0 { (30, 1) } else { rate };
    let ms = u128::from(number) * 1000 * u128::from(bottom) / u128::from(top);
    Timestamp::from_unix_ms(u64::try_from(ms).unwrap_or(u64::MAX))
}
