//! `pairlight record`: keeps a camera's frames as a Y4M recording, to look at a hard case again.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::args::RecordArgs;
use crate::camera::{Frame, FrameSource, Selector, Webcam};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::style::Voice;
use crate::y4m::{Chroma, Header, Y4mWriter};

/// How often Ctrl-C and the clock are looked at while no frame comes.
const PATIENCE: Duration = Duration::from_millis(100);

/// Records until the wanted number of frames or seconds, or until Ctrl-C.
pub(crate) fn run(args: &RecordArgs, voice: Voice) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen();
    if !args.force && args.out != Path::new("-") && args.out.exists() {
        return Err(exists_already(&args.out));
    }
    let selector = args.camera.as_deref().map_or(Selector::First, Selector::parse);
    let mut camera = Webcam::open(&selector)?;
    voice.note(format_args!("recording {}, {}", camera.name(), camera.format()));
    let mut recording = Recording { path: &args.out, force: args.force, writer: None, rate: camera.format().fps };
    let ended = follow(args, &mut camera, &mut recording, &interrupt);
    // Whatever ended it, the frames so far are kept.
    let frames = recording.finish().map_err(|error| cannot_write(&args.out, &error))?;
    let losses = camera.losses();
    voice.note(format_args!("{frames} frames written, {} dropped, {} damaged", losses.dropped, losses.damaged));
    ended
}

fn follow(
    args: &RecordArgs,
    camera: &mut impl FrameSource,
    recording: &mut Recording<'_>,
    interrupt: &Interrupt,
) -> Result<Exit, Failure> {
    let until = args.seconds.map(|seconds| Instant::now() + Duration::from_secs_f64(seconds));
    let mut frame = Frame::empty();
    let mut written = 0;
    loop {
        if interrupt.is_raised() {
            // Without a limit Ctrl-C is how a recording is meant to end.
            let limited = args.frames.is_some() || args.seconds.is_some();
            return Ok(if limited { Exit::Interrupted } else { Exit::Done });
        }
        if args.frames.is_some_and(|wanted| written >= wanted) || until.is_some_and(|until| Instant::now() >= until) {
            return Ok(Exit::Done);
        }
        if camera.next_frame(&mut frame, PATIENCE)? {
            recording.add(&frame)?;
            written += 1;
        }
    }
}

/// A recording that begins with the first frame: only that tells the real size, and a camera that never delivers one
/// leaves no empty file behind.
struct Recording<'a> {
    path: &'a Path,
    force: bool,
    writer: Option<Y4mWriter<Box<dyn Write>>>,
    rate: u32,
}

impl Recording<'_> {
    fn add(&mut self, frame: &Frame) -> Result<(), Failure> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                // 4:2:0 with grey chroma is half as large again as mono, but every player and browser reads it.
                let header =
                    Header { width: frame.width, height: frame.height, rate: (self.rate, 1), chroma: Chroma::C420 };
                let output = open(self.path, self.force)?;
                self.writer.insert(Y4mWriter::new(output, header).map_err(|error| cannot_write(self.path, &error))?)
            }
        };
        writer.write_frame(&frame.luma).map_err(|error| cannot_write(self.path, &error))
    }

    fn finish(self) -> io::Result<u64> {
        let Some(writer) = self.writer else { return Ok(0) };
        let frames = writer.frames();
        writer.finish()?;
        Ok(frames)
    }
}

fn open(path: &Path, force: bool) -> Result<Box<dyn Write>, Failure> {
    if path == Path::new("-") {
        return Ok(Box::new(BufWriter::new(io::stdout())));
    }
    let opened: io::Result<File> =
        if force { File::create(path) } else { OpenOptions::new().write(true).create_new(true).open(path) };
    match opened {
        Ok(file) => Ok(Box::new(BufWriter::new(file))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists_already(path)),
        Err(error) => Err(cannot_write(path, &error)),
    }
}

fn exists_already(path: &Path) -> Failure {
    Failure::new(
        Exit::Error,
        format!("{} exists already", path.display()),
        "choose another name, or overwrite it with --force",
    )
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    if path == Path::new("-") {
        return Failure::from_stdout(error);
    }
    Failure::new(
        Exit::Error,
        format!("cannot write {}: {error}", path.display()),
        "check the folder, its permissions and the free space",
    )
}
