//! Codes drawn for the tests, and a way to run the program.

use std::ffi::OsStr;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use image::{GrayImage, ImageFormat, Luma};
use qrcodegen::{QrCode, QrCodeEcc};
use tempfile::TempDir;

/// A folder that vanishes with the test, and the program running in it.
pub(crate) struct Place {
    folder: TempDir,
}

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).unwrap()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl From<Output> for Run {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8(output.stderr).unwrap();
        Run { code: output.status.code(), stdout: output.stdout, stderr }
    }
}

impl Place {
    pub(crate) fn new() -> Self {
        Place { folder: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, making its folders.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> &Self {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        self
    }

    /// The program, unaffected by the colour settings of whoever runs the tests.
    pub(crate) fn command(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pairlight"));
        command.args(arguments).current_dir(self.folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.env_remove("NO_COLOR").env_remove("CLICOLOR_FORCE").env_remove("CLICOLOR").env("TERM", "xterm");
        command
    }

    pub(crate) fn run(&self, arguments: &[impl AsRef<OsStr>]) -> Run {
        self.command(arguments).output().unwrap().into()
    }

    pub(crate) fn run_with_stdin(&self, arguments: &[impl AsRef<OsStr>], input: &[u8]) -> Run {
        let mut child = self.command(arguments).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let input = input.to_vec();
        // From a thread, so that a full pipe in the other direction cannot block both.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let run = child.wait_with_output().unwrap().into();
        writer.join().unwrap();
        run
    }
}

fn draw(code: &QrCode) -> GrayImage {
    let (scale, quiet) = (5, 4);
    let side = (code.size() + 2 * quiet) as u32 * scale;
    GrayImage::from_fn(side, side, |x, y| {
        let dark = code.get_module((x / scale) as i32 - quiet, (y / scale) as i32 - quiet);
        Luma([if dark { 20 } else { 235 }])
    })
}

/// A picture of a code with this text.
pub(crate) fn code(text: &str) -> GrayImage {
    draw(&QrCode::encode_text(text, QrCodeEcc::Medium).unwrap())
}

/// A picture of a code with these bytes.
pub(crate) fn binary_code(bytes: &[u8]) -> GrayImage {
    draw(&QrCode::encode_binary(bytes, QrCodeEcc::Medium).unwrap())
}

/// A code whose corner squares are whole and whose content is destroyed.
pub(crate) fn ruined_code() -> GrayImage {
    let mut picture = code("this content will be covered by a stain that no repair can undo");
    let side = picture.width();
    for y in side * 35 / 100..side * 65 / 100 {
        for x in side * 5 / 100..side * 95 / 100 {
            picture.put_pixel(x, y, Luma([if (x / 7 + y / 11) % 2 == 0 { 20 } else { 235 }]));
        }
    }
    picture
}

pub(crate) fn nothing() -> GrayImage {
    GrayImage::from_pixel(120, 90, Luma([200]))
}

pub(crate) fn png(picture: &GrayImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// A mono recording at 10 frames per second; all frames must have the size of the first.
pub(crate) fn y4m(frames: &[GrayImage]) -> Vec<u8> {
    let (width, height) = frames[0].dimensions();
    let mut bytes = format!("YUV4MPEG2 W{width} H{height} F10:1 Cmono\n").into_bytes();
    for frame in frames {
        assert_eq!(frame.dimensions(), (width, height));
        bytes.extend_from_slice(b"FRAME\n");
        bytes.extend_from_slice(frame.as_raw());
    }
    bytes
}
