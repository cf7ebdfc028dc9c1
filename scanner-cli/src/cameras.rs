//! `pairlight cameras`: what is connected, and what it can do.

use std::io::Write;

use serde::Serialize;

use crate::args::CamerasArgs;
use crate::camera::{self, CameraEntry, CameraError};
use crate::exit::{Exit, Failure};
use crate::style::{Voice, printable};

/// One camera in the JSON list.
#[derive(Debug, Serialize)]
struct CameraJson<'a> {
    index: Option<u32>,
    name: &'a str,
    formats: Vec<FormatJson>,
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct FormatJson {
    pixels: String,
    width: u32,
    height: u32,
    fps: Vec<u32>,
}

/// Lists the cameras on standard output. No camera at all is exit code 6, so that a script notices.
pub(crate) fn run(args: &CamerasArgs, voice: Voice) -> Result<Exit, Failure> {
    let entries = camera::list()?;
    let text = if args.json { json(&entries)? } else { table(&entries) };
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()).map_err(|error| Failure::from_stdout(&error))?;
    if entries.is_empty() {
        return Err(CameraError::NotFound { wanted: "to list".into(), available: Vec::new() }.into());
    }
    for error in entries.iter().filter_map(|entry| entry.formats.as_ref().err()) {
        voice.warn(format_args!("{error}; {}", error.remedy()));
    }
    Ok(Exit::Done)
}

/// The formats of a camera with all rates of one size together.
fn grouped(entry: &CameraEntry) -> Vec<FormatJson> {
    let mut groups: Vec<FormatJson> = Vec::new();
    for format in entry.formats.iter().flatten() {
        let pixels = format.pixels.to_string();
        match groups.last_mut() {
            Some(last) if (&last.pixels, last.width, last.height) == (&pixels, format.width, format.height) => {
                last.fps.push(format.fps);
            }
            _ => groups.push(FormatJson { pixels, width: format.width, height: format.height, fps: vec![format.fps] }),
        }
    }
    groups
}

fn table(entries: &[CameraEntry]) -> String {
    let mut text = String::new();
    for entry in entries {
        let index = entry.number.map_or_else(|| "-".into(), |number| number.to_string());
        text.push_str(&format!("{index}  {}\n", printable(&entry.name)));
        for FormatJson { pixels, width, height, fps } in grouped(entry) {
            let rates: Vec<String> = fps.iter().map(u32::to_string).collect();
            let size = format!("{width}x{height}");
            text.push_str(&format!("   {pixels:<5}  {size:>9}  {} fps\n", rates.join(", ")));
        }
        if entry.formats.is_err() {
            text.push_str("   cannot be opened\n");
        }
    }
    text
}

fn json(entries: &[CameraEntry]) -> Result<String, Failure> {
    let list: Vec<CameraJson<'_>> = entries
        .iter()
        .map(|entry| CameraJson {
            index: entry.number,
            name: &entry.name,
            formats: grouped(entry),
            error: entry.formats.as_ref().err().map(CameraError::to_string),
        })
        .collect();
    serde_json::to_string_pretty(&list)
        .map(|text| text + "\n")
        .map_err(|error| Failure::new(Exit::Error, format!("cannot write JSON: {error}"), "please report this"))
}
