//! Which cameras there are and what they can do.

use std::sync::mpsc;
use std::thread;

use super::webcam::{self, Device};
use super::{CameraError, OPEN_LIMIT, StreamFormat};

/// One camera as the list shows it.
#[derive(Debug)]
pub(crate) struct CameraEntry {
    /// The number for `--camera`, where the system has one.
    pub(crate) number: Option<u32>,
    /// The system's name.
    pub(crate) name: String,
    /// What it offers, or why that cannot be told.
    pub(crate) formats: Result<Vec<StreamFormat>, CameraError>,
}

/// All cameras, in the order of their numbers. A video device without a single picture format (metadata, output) is
/// not a camera and is left out.
///
/// # Errors
/// The system cannot list devices at all.
pub(crate) fn list() -> Result<Vec<CameraEntry>, CameraError> {
    let mut entries = Vec::new();
    for device in webcam::devices()? {
        let formats = formats_in_time(&device);
        if !matches!(formats, Err(CameraError::UnsupportedFormat { .. })) {
            entries.push(CameraEntry { number: device.number, name: device.name, formats });
        }
    }
    Ok(entries)
}

/// Asks the driver on a thread that is left behind if it hangs.
fn formats_in_time(device: &Device) -> Result<Vec<StreamFormat>, CameraError> {
    let (answer, answered) = mpsc::channel();
    let asked = device.clone();
    let spawned = thread::Builder::new().name(webcam::THREAD_NAME.into()).spawn(move || {
        let formats = webcam::contain(&asked.label(), || {
            let (_camera, mut formats) = webcam::offers(&asked)?;
            formats.sort_unstable();
            formats.dedup();
            Ok(formats)
        });
        // The receiver is gone only when it gave up waiting.
        drop(answer.send(formats));
    });
    let camera = device.label();
    match spawned {
        Ok(_) => answered.recv_timeout(OPEN_LIMIT).unwrap_or(Err(CameraError::NoFrames {
            camera,
            waited: OPEN_LIMIT,
            damaged: 0,
        })),
        Err(error) => Err(CameraError::Backend { camera, detail: format!("no thread: {error}") }),
    }
}
