//! What is printed for a code: text, JSON or the bare bytes. Each code is flushed at once, so that a pipe sees it while
//! the camera goes on.

use std::io::{self, Write};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pairlight_core::payload::Payload;
use pairlight_core::scan::Symbol;
use serde::Serialize;

use crate::args::Format;
use crate::style::printable;

/// Version of the JSON, raised when a field changes its meaning or goes away.
const SCHEMA: u32 = 1;

/// A code and where it was found.
#[derive(Debug)]
pub(super) struct Finding<'a> {
    /// File, camera or standard input.
    pub(super) source: &'a str,
    /// Frame number from 0; none for a picture.
    pub(super) frame: Option<u64>,
    /// The code.
    pub(super) symbol: &'a Symbol,
    /// Time spent on the frame or picture it was found in.
    pub(super) took: Duration,
}

/// What one input gave, for the JSON document.
#[derive(Debug, Serialize)]
pub(super) struct InputReport {
    pub(super) source: String,
    pub(super) symbols: u64,
    pub(super) frames: u64,
    /// Most corner squares seen at once; a code has three.
    pub(super) finders: u32,
    pub(super) hints: Vec<&'static str>,
    pub(super) error: Option<String>,
}

#[derive(Debug, Serialize)]
struct SymbolJson {
    source: String,
    frame: Option<u64>,
    kind: &'static str,
    severity: &'static str,
    explanation: String,
    text: Option<String>,
    bytes: String,
    corners: [[f32; 2]; 4],
    version: u8,
    ecc: char,
    mask: u8,
    inverted: bool,
    mirrored: bool,
    module_px: f32,
    milliseconds: f64,
}

#[derive(Debug, Serialize)]
struct Line<'a> {
    schema: u32,
    #[serde(flatten)]
    symbol: &'a SymbolJson,
}

#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    symbols: &'a [SymbolJson],
    inputs: &'a [InputReport],
}

/// Writes findings in one format.
#[derive(Debug)]
pub(super) struct Sink<W> {
    format: Format,
    output: W,
    symbols: Vec<SymbolJson>,
    inputs: Vec<InputReport>,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(format: Format, output: W) -> Self {
        Sink { format, output, symbols: Vec::new(), inputs: Vec::new() }
    }

    /// Prints one code, or keeps it for the document.
    ///
    /// # Errors
    /// The output's own error.
    pub(super) fn write(&mut self, finding: &Finding<'_>, payload: &Payload) -> io::Result<()> {
        match self.format {
            Format::Text => writeln!(self.output, "{}", shown(finding.symbol))?,
            Format::Raw => self.output.write_all(&finding.symbol.bytes)?,
            Format::Ndjson => {
                let line = Line { schema: SCHEMA, symbol: &describe(finding, payload) };
                serde_json::to_writer(&mut self.output, &line)?;
                self.output.write_all(b"\n")?;
            }
            Format::Json => self.symbols.push(describe(finding, payload)),
        }
        self.output.flush()
    }

    /// Notes that an input is done.
    pub(super) fn conclude(&mut self, report: InputReport) {
        if self.format == Format::Json {
            self.inputs.push(report);
        }
    }

    /// Prints the document, in the format that has one.
    ///
    /// # Errors
    /// The output's own error.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        if self.format == Format::Json {
            let document = Document { schema: SCHEMA, symbols: &self.symbols, inputs: &self.inputs };
            serde_json::to_writer_pretty(&mut self.output, &document)?;
            self.output.write_all(b"\n")?;
        }
        self.output.flush()
    }
}

/// The content for a terminal. What is not text is shown as ASCII with escapes.
fn shown(symbol: &Symbol) -> String {
    match &symbol.text {
        Some(text) => printable(text),
        None => symbol.bytes.escape_ascii().to_string(),
    }
}

fn describe(finding: &Finding<'_>, payload: &Payload) -> SymbolJson {
    let Finding { source, frame, symbol, took } = finding;
    SymbolJson {
        source: (*source).to_owned(),
        frame: *frame,
        kind: payload.kind_key(),
        severity: payload.severity().key(),
        explanation: payload.explain(),
        text: symbol.text.clone(),
        bytes: STANDARD.encode(&symbol.bytes),
        corners: symbol.corners.map(|corner| [tenth(corner.x), tenth(corner.y)]),
        version: symbol.version,
        ecc: symbol.ecc.letter(),
        mask: symbol.mask,
        inverted: symbol.inverted,
        mirrored: symbol.mirrored,
        module_px: tenth(symbol.module_px),
        milliseconds: (took.as_secs_f64() * 10_000.0).round() / 10.0,
    }
}

/// Rounded to a tenth of a pixel; more digits would be noise.
fn tenth(value: f32) -> f32 {
    (value * 10.0).round() / 10.0
}
