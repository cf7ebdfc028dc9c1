//! YUV4MPEG2 ("Y4M") recordings: a text header, then raw frames. Simple enough to be written by ffmpeg, GStreamer and
//! us, and played by browsers as a fake camera. Only the luma plane is kept; the chroma planes are skipped.
//!
//! The format is the one of the mjpegtools manual page yuv4mpeg(5).

use std::fmt;
use std::io::{self, Read, Write};

use thiserror::Error;

/// First bytes of every recording.
pub(crate) const MAGIC: &[u8] = b"YUV4MPEG2";
/// A header line of real programs has under 100 bytes; a longer one is not a recording.
const MAX_LINE: usize = 512;
/// Longest side and largest area accepted, so that a lying header cannot ask for memory.
const MAX_SIDE: u32 = 16_384;
const MAX_PIXELS: u64 = 64 << 20;

/// Why a recording cannot be read on.
#[derive(Debug, Error)]
pub(crate) enum Y4mError {
    /// The file does not begin with the magic word: it is something else. The caller names the file.
    #[error("not a Y4M recording: it does not begin with YUV4MPEG2")]
    NotY4m,
    /// A header or frame line has no end within the limit: damaged or not a recording.
    #[error("{place}: the line is longer than {MAX_LINE} bytes")]
    LineTooLong {
        /// Header, or the frame's number.
        place: Place,
    },
    /// A header field that says nothing usable. The caller re-encodes the recording.
    #[error("header: {field} is '{value}', which is not {expected}")]
    BadField {
        /// What the field means.
        field: &'static str,
        /// What was found there.
        value: String,
        /// What would be right.
        expected: &'static str,
    },
    /// Width or height is absent.
    #[error("header: the {0} is missing")]
    MissingField(&'static str),
    /// The frame is larger than any camera's.
    #[error("header: {width}x{height} is larger than the limit of {MAX_SIDE} per side and {MAX_PIXELS} pixels")]
    TooLarge {
        /// Width in pixels.
        width: u32,
        /// Height in pixels.
        height: u32,
    },
    /// A layout that is not 8 bit 4:2:0, 4:2:2, 4:4:4 or mono. The caller re-encodes, e.g. with `-pix_fmt yuv420p`.
    #[error("header: colour space '{0}' is not supported (8 bit 420, 422, 444 and mono are)")]
    UnsupportedColourSpace(String),
    /// The bytes between two frames are not a FRAME line: damage before this frame.
    #[error("frame {number}: expected FRAME, found '{found}'")]
    BadFrameHeader {
        /// Frame number, from 0.
        number: u64,
        /// The first bytes found.
        found: String,
    },
    /// The recording ends inside a frame, e.g. because the recorder was killed.
    #[error("frame {number}: {got} of {expected} bytes, the recording is cut off")]
    Truncated {
        /// Frame number, from 0.
        number: u64,
        /// Bytes present.
        got: u64,
        /// Bytes of a whole frame.
        expected: u64,
    },
    /// The disk or the pipe failed.
    #[error("{place}: {source}")]
    Io {
        /// Header, or the frame's number.
        place: Place,
        /// The system's reason.
        source: io::Error,
    },
}

/// Where in a recording something is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// The first line.
    Header,
    /// A frame, counted from 0.
    Frame(u64),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Header => f.write_str("header"),
            Place::Frame(number) => write!(f, "frame {number}"),
        }
    }
}

/// How the chroma planes that follow the luma plane are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chroma {
    /// Quarter size each; all `C420*` siting variants.
    C420,
    /// Half width each.
    C422,
    /// Full size each.
    C444,
    /// None.
    Mono,
}

impl Chroma {
    fn parse(name: &str) -> Option<Self> {
        match name {
            "420" | "420jpeg" | "420mpeg2" | "420paldv" => Some(Chroma::C420),
            "422" => Some(Chroma::C422),
            "444" => Some(Chroma::C444),
            "mono" => Some(Chroma::Mono),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Chroma::C420 => "420jpeg",
            Chroma::C422 => "422",
            Chroma::C444 => "444",
            Chroma::Mono => "mono",
        }
    }

    /// Bytes of both chroma planes together. Odd sizes round up (a half-covered sample still exists).
    fn plane_bytes(self, width: u32, height: u32) -> u64 {
        let (width, height) = (u64::from(width), u64::from(height));
        match self {
            Chroma::C420 => 2 * width.div_ceil(2) * height.div_ceil(2),
            Chroma::C422 => 2 * width.div_ceil(2) * height,
            Chroma::C444 => 2 * width * height,
            Chroma::Mono => 0,
        }
    }
}

/// What the first line of a recording says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Width in pixels, 1 to 16384.
    pub(crate) width: u32,
    /// Height in pixels, 1 to 16384.
    pub(crate) height: u32,
    /// Frames per second as numerator and denominator; 0:0 where the writer did not know.
    pub(crate) rate: (u32, u32),
    /// The layout of the planes that are skipped.
    pub(crate) chroma: Chroma,
}

impl Header {
    /// Pixels of the luma plane, which is its size in bytes.
    fn luma_bytes(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }

    fn parse(line: &str) -> Result<Self, Y4mError> {
        let mut fields = line.split_ascii_whitespace();
        if fields.next() != Some("YUV4MPEG2") {
            return Err(Y4mError::NotY4m);
        }
        let (mut width, mut height, mut rate, mut chroma) = (None, None, (0, 0), Chroma::C420);
        for field in fields {
            let Some((key, value)) = field.split_at_checked(1) else { continue };
            match key {
                "W" => width = Some(parse_side("width", value)?),
                "H" => height = Some(parse_side("height", value)?),
                "F" => rate = parse_rate(value)?,
                "C" => {
                    chroma = Chroma::parse(value).ok_or_else(|| Y4mError::UnsupportedColourSpace(value.to_owned()))?;
                }
                // Interlacing, aspect ratio and comments do not change where the luma plane is.
                _ => {}
            }
        }
        let width = width.ok_or(Y4mError::MissingField("width (W)"))?;
        let height = height.ok_or(Y4mError::MissingField("height (H)"))?;
        let header = Header { width, height, rate, chroma };
        if width > MAX_SIDE || height > MAX_SIDE || header.luma_bytes() > MAX_PIXELS {
            return Err(Y4mError::TooLarge { width, height });
        }
        Ok(header)
    }
}

fn parse_side(field: &'static str, value: &str) -> Result<u32, Y4mError> {
    match value.parse::<u32>() {
        Ok(side) if side > 0 => Ok(side),
        _ => Err(Y4mError::BadField { field, value: value.to_owned(), expected: "a number of pixels above 0" }),
    }
}

fn parse_rate(value: &str) -> Result<(u32, u32), Y4mError> {
    let parsed = value.split_once(':').and_then(|(top, bottom)| Some((top.parse().ok()?, bottom.parse().ok()?)));
    match parsed {
        Some((top, bottom)) if bottom > 0 || top == 0 => Ok((top, bottom)),
        _ => Err(Y4mError::BadField { field: "frame rate", value: value.to_owned(), expected: "like 30:1" }),
    }
}

/// Reads a recording frame by frame; memory is one luma plane, however long the recording.
#[derive(Debug)]
pub(crate) struct Y4mReader<R> {
    input: R,
    header: Header,
    next: u64,
}

impl<R: Read> Y4mReader<R> {
    /// Reads the header. `input` should be buffered: lines are read byte by byte.
    pub(crate) fn new(mut input: R) -> Result<Self, Y4mError> {
        let line = read_line(&mut input, Place::Header)?.ok_or(Y4mError::NotY4m)?;
        let header = match std::str::from_utf8(&line) {
            Ok(text) => Header::parse(text)?,
            Err(_) if line.starts_with(MAGIC) => {
                let value = String::from_utf8_lossy(&line).into_owned();
                return Err(Y4mError::BadField { field: "the line", value, expected: "text" });
            }
            Err(_) => return Err(Y4mError::NotY4m),
        };
        Ok(Y4mReader { input, header, next: 0 })
    }

    /// What the first line said.
    pub(crate) fn header(&self) -> &Header {
        &self.header
    }

    /// Replaces `luma` by the next frame's luma plane (`width * height` bytes, rows without padding) and gives the
    /// frame's number from 0, or `None` at the end of the recording. After an error the reader is of no further use.
    pub(crate) fn next_frame(&mut self, luma: &mut Vec<u8>) -> Result<Option<u64>, Y4mError> {
        let number = self.next;
        let place = Place::Frame(number);
        let Some(line) = read_line(&mut self.input, place)? else { return Ok(None) };
        if line != b"FRAME" && !line.starts_with(b"FRAME ") {
            let start: Vec<u8> = line.iter().copied().take(16).collect();
            return Err(Y4mError::BadFrameHeader { number, found: String::from_utf8_lossy(&start).into_owned() });
        }
        let luma_bytes = self.header.luma_bytes();
        let chroma_bytes = self.header.chroma.plane_bytes(self.header.width, self.header.height);
        let expected = luma_bytes + chroma_bytes;
        luma.clear();
        // read_to_end grows with what really arrives, so a short file with a large header costs no memory.
        let got = (&mut self.input)
            .take(luma_bytes)
            .read_to_end(luma)
            .and_then(|got| Ok(got as u64 + io::copy(&mut (&mut self.input).take(chroma_bytes), &mut io::sink())?))
            .map_err(|source| Y4mError::Io { place, source })?;
        if got < expected {
            return Err(Y4mError::Truncated { number, got, expected });
        }
        self.next = number.saturating_add(1);
        Ok(Some(number))
    }
}

/// One line without its newline; `None` if the input is at its end.
fn read_line(input: &mut impl Read, place: Place) -> Result<Option<Vec<u8>>, Y4mError> {
    let mut line = Vec::new();
    let mut byte = [0_u8];
    loop {
        match input.read(&mut byte) {
            Ok(0) if line.is_empty() => return Ok(None),
            Ok(0) => return Ok(Some(line)),
            Ok(_) if byte == *b"\n" => return Ok(Some(line)),
            Ok(_) => line.extend_from_slice(&byte),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Y4mError::Io { place, source }),
        }
        let header_so_far = place == Place::Header && line.len() <= MAGIC.len();
        if header_so_far && !MAGIC.starts_with(&line) {
            return Err(Y4mError::NotY4m);
        }
        if line.len() > MAX_LINE {
            return Err(Y4mError::LineTooLong { place });
        }
    }
}

/// Writes a recording. Chroma planes are filled with grey (128), so every player shows a grey picture.
#[derive(Debug)]
pub(crate) struct Y4mWriter<W> {
    output: W,
    header: Header,
    grey: Vec<u8>,
    frames: u64,
}

impl<W: Write> Y4mWriter<W> {
    /// Writes the header.
    ///
    /// # Errors
    /// The output's own error.
    pub(crate) fn new(mut output: W, header: Header) -> io::Result<Self> {
        let Header { width, height, rate: (top, bottom), chroma } = header;
        writeln!(output, "YUV4MPEG2 W{width} H{height} F{top}:{bottom} Ip A1:1 C{}", chroma.name())?;
        let grey_bytes = usize::try_from(chroma.plane_bytes(width, height)).unwrap_or(usize::MAX);
        Ok(Y4mWriter { output, header, grey: vec![128; grey_bytes], frames: 0 })
    }

    /// Appends one frame of `width * height` luma bytes.
    ///
    /// # Errors
    /// `InvalidInput` if the plane has another size than the header says; otherwise the output's own error.
    pub(crate) fn write_frame(&mut self, luma: &[u8]) -> io::Result<()> {
        if luma.len() as u64 != self.header.luma_bytes() {
            let words = format!(
                "frame {}: {} luma bytes do not make {}x{}",
                self.frames,
                luma.len(),
                self.header.width,
                self.header.height
            );
            return Err(io::Error::new(io::ErrorKind::InvalidInput, words));
        }
        self.output.write_all(b"FRAME\n")?;
        self.output.write_all(luma)?;
        self.output.write_all(&self.grey)?;
        self.frames = self.frames.saturating_add(1);
        Ok(())
    }

    /// Frames written so far.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Flushes and hands the output back.
    ///
    /// # Errors
    /// The output's own error.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.output.flush()?;
        Ok(self.output)
    }
}

#[cfg(test)]
mod tests;
