//! A webcam through nokhwa, on a thread of its own.

use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use nokhwa::Camera;
use nokhwa::NokhwaError;
use nokhwa::utils::{
    ApiBackend, CameraFormat, CameraIndex, CameraInfo, FrameFormat, RequestedFormat, RequestedFormatType, Resolution,
    frame_formats,
};

use super::slot::Slot;
use super::{CameraError, Frame, FrameSource, Losses, PixelFormat, StreamFormat, luma, negotiate};

/// How long a stopped camera may take to let go before its thread is left behind.
const CLOSE_PATIENCE: Duration = Duration::from_millis(500);
/// Name of the threads that run the capture library.
pub(super) const THREAD_NAME: &str = "pairlight-camera";
/// Formats that are tried before a camera is given up.
const MOST_ATTEMPTS: usize = 6;

/// Installs a panic hook that says nothing about panics of the capture library on its own threads: they are contained
/// and become a [`CameraError`]. For `main`, once.
pub(crate) fn silence_capture_panics() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if thread::current().name() != Some(THREAD_NAME) {
            before(info);
        }
    }));
}

/// Which camera is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Selector {
    /// The first one that delivers pictures.
    First,
    /// The number that `pairlight cameras` shows.
    Number(u32),
    /// A part of the name, in any case.
    Name(String),
}

impl Selector {
    /// Digits are a number, anything else is a part of a name.
    pub(crate) fn parse(text: &str) -> Self {
        match text.parse() {
            Ok(number) => Selector::Number(number),
            Err(_) if text.is_empty() => Selector::First,
            Err(_) => Selector::Name(text.to_owned()),
        }
    }

    fn matches(&self, device: &Device) -> bool {
        match self {
            Selector::First => true,
            Selector::Number(number) => device.number == Some(*number),
            Selector::Name(part) => device.name.to_lowercase().contains(&part.to_lowercase()),
        }
    }

    fn describe(&self) -> String {
        match self {
            Selector::First => "to use".into(),
            Selector::Number(number) => format!("number {number}"),
            Selector::Name(part) => format!("with '{part}' in its name"),
        }
    }
}

/// A camera that the system lists; not opened yet.
#[derive(Debug, Clone)]
pub(super) struct Device {
    /// The system's number, where it has one.
    pub(super) number: Option<u32>,
    pub(super) name: String,
    index: CameraIndex,
}

impl Device {
    fn from_info(info: &CameraInfo) -> Self {
        let index = info.index().clone();
        Device { number: index.as_index().ok(), name: info.human_name(), index }
    }

    /// Name and number, for messages.
    pub(super) fn label(&self) -> String {
        match self.number {
            Some(number) => format!("camera {number} ({})", self.name),
            None => format!("camera {}", self.name),
        }
    }
}

/// All video devices in the order of their numbers. Linux lists metadata and output devices among them.
pub(super) fn devices() -> Result<Vec<Device>, CameraError> {
    const SYSTEM: &str = "the camera system";
    let infos = contain(SYSTEM, || {
        nokhwa::query(ApiBackend::Auto)
            .map_err(|error| CameraError::Backend { camera: SYSTEM.into(), detail: error.to_string() })
    })?;
    let mut devices: Vec<Device> = infos.iter().map(Device::from_info).collect();
    devices.sort_by(|a, b| (a.number.is_none(), a.number, &a.name).cmp(&(b.number.is_none(), b.number, &b.name)));
    Ok(devices)
}

/// Runs code of the capture library, which asserts and panics on what drivers answer.
pub(super) fn contain<T>(camera: &str, work: impl FnOnce() -> Result<T, CameraError>) -> Result<T, CameraError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
        Err(CameraError::Backend { camera: camera.to_owned(), detail: "the capture library gave up".into() })
    })
}

/// Opens a device far enough to know its formats. Blocks while the driver does.
pub(super) fn offers(device: &Device) -> Result<(Camera, Vec<StreamFormat>), CameraError> {
    let request = RequestedFormat::with_formats(RequestedFormatType::None, frame_formats());
    let mut camera = Camera::new(device.index.clone(), request).map_err(|error| explain(&error, &device.label()))?;
    let formats = camera.compatible_camera_formats().map_err(|error| explain(&error, &device.label()))?;
    Ok((camera, formats.iter().map(from_nokhwa).collect()))
}

/// A camera that is streaming.
///
/// The stream belongs to a thread. nokhwa waits in the driver without a limit, so a thread whose camera went silent
/// cannot be ended; it is left behind, holding the camera, until the process ends or the driver comes back.
#[derive(Debug)]
pub(crate) struct Webcam {
    slot: Arc<Slot>,
    name: String,
    format: StreamFormat,
}

impl Webcam {
    /// Finds, opens and starts a camera in the format that suits reading codes best.
    ///
    /// # Errors
    /// [`CameraError`] in words for the person; also when the driver does not answer.
    pub(crate) fn open(selector: &Selector) -> Result<Self, CameraError> {
        let listed = devices()?;
        let matching: Vec<Device> = listed.iter().filter(|device| selector.matches(device)).cloned().collect();
        let mut last = CameraError::NotFound {
            wanted: selector.describe(),
            available: listed.iter().map(Device::label).collect(),
        };
        // One name can belong to several devices, of which only one has pictures (Linux lists metadata the same way).
        for device in matching {
            match Webcam::start(&device) {
                Err(error @ CameraError::UnsupportedFormat { .. }) => last = error,
                outcome => return outcome,
            }
        }
        Err(last)
    }

    fn start(device: &Device) -> Result<Self, CameraError> {
        ask_permission(&device.label())?;
        let slot = Arc::new(Slot::new());
        let name = device.label();
        let (for_thread, device) = (Arc::clone(&slot), device.clone());
        let spawned = thread::Builder::new().name(THREAD_NAME.into()).spawn(move || {
            let label = device.label();
            if let Err(error) = contain(&label, || stream(&device, &for_thread)) {
                for_thread.fail(error);
            }
            for_thread.writer_done();
        });
        if let Err(error) = spawned {
            return Err(CameraError::Backend { camera: name, detail: format!("no thread: {error}") });
        }
        let format = slot.wait_until_open(&name)?;
        Ok(Webcam { slot, name, format })
    }
}

impl FrameSource for Webcam {
    fn next_frame(&mut self, frame: &mut Frame, patience: Duration) -> Result<bool, CameraError> {
        self.slot.take(frame, patience, &self.name)
    }

    fn format(&self) -> StreamFormat {
        self.format
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn losses(&self) -> Losses {
        self.slot.losses()
    }
}

impl Drop for Webcam {
    fn drop(&mut self) {
        // A healthy thread notices with its next frame. One that is stuck in the driver stays behind: see the type.
        self.slot.leave(CLOSE_PATIENCE);
    }
}

/// The capture thread: open, then frames until an error or until nobody reads.
fn stream(device: &Device, slot: &Slot) -> Result<(), CameraError> {
    let label = device.label();
    let (mut camera, offered) = offers(device)?;
    let format = configure(&mut camera, &offered, &label)?;
    camera.open_stream().map_err(|error| explain(&error, &label))?;
    slot.opened(format);
    // Closing a stream panics twice when a broken driver refuses, which would end the process. So only a stream that
    // ended well is closed; a failed one keeps its buffers until the process ends.
    let mut camera = ManuallyDrop::new(camera);
    let mut frame = Frame::empty();
    for number in 0.. {
        let buffer = match camera.frame_raw() {
            Ok(buffer) => buffer,
            Err(error) => return Err(explain_loss(&error, &label, slot.published())),
        };
        let arrived = Instant::now();
        let wanted = match luma::extract(&buffer, format, &mut frame.luma) {
            Ok((width, height)) => {
                (frame.width, frame.height, frame.number, frame.arrived) = (width, height, number, arrived);
                slot.publish(&mut frame)
            }
            Err(luma::Damaged) => slot.discard(),
        };
        if !wanted {
            break;
        }
    }
    drop(ManuallyDrop::into_inner(camera));
    Ok(())
}

/// Sets the best format that the driver accepts and gives what it really became.
fn configure(camera: &mut Camera, offered: &[StreamFormat], label: &str) -> Result<StreamFormat, CameraError> {
    let mut refusal = String::from("none that can be decoded");
    for wanted in negotiate::rank(offered).into_iter().take(MOST_ATTEMPTS) {
        let format = to_nokhwa(wanted);
        let allowed = [format.format()];
        let request = RequestedFormat::with_formats(RequestedFormatType::Exact(format), &allowed);
        match camera.set_camera_requset(request) {
            Ok(_) => return Ok(from_nokhwa(&camera.camera_format())),
            Err(error) => match explain(&error, label) {
                CameraError::Backend { .. } | CameraError::UnsupportedFormat { .. } => {
                    refusal = format!("{wanted} was refused");
                }
                other => return Err(other),
            },
        }
    }
    Err(CameraError::UnsupportedFormat { camera: label.to_owned(), detail: refusal })
}

fn from_nokhwa(format: &CameraFormat) -> StreamFormat {
    let pixels = match format.format() {
        FrameFormat::MJPEG => PixelFormat::Mjpeg,
        FrameFormat::YUYV => PixelFormat::Yuyv,
        FrameFormat::NV12 => PixelFormat::Nv12,
        FrameFormat::GRAY => PixelFormat::Gray,
        FrameFormat::RAWRGB => PixelFormat::Rgb,
        FrameFormat::RAWBGR => PixelFormat::Bgr,
    };
    StreamFormat { pixels, width: format.width(), height: format.height(), fps: format.frame_rate() }
}

fn to_nokhwa(format: StreamFormat) -> CameraFormat {
    let pixels = match format.pixels {
        PixelFormat::Mjpeg => FrameFormat::MJPEG,
        PixelFormat::Yuyv => FrameFormat::YUYV,
        PixelFormat::Nv12 => FrameFormat::NV12,
        PixelFormat::Gray => FrameFormat::GRAY,
        PixelFormat::Rgb => FrameFormat::RAWRGB,
        PixelFormat::Bgr => FrameFormat::RAWBGR,
    };
    CameraFormat::new(Resolution::new(format.width, format.height), pixels, format.fps)
}

/// The system's error number, which the library only hands on inside its words: "... (os error 13)".
fn system_code(words: &str) -> Option<u32> {
    words.rsplit_once("(os error ")?.1.split(')').next()?.parse().ok()
}

/// Sorts what went wrong while opening. The numbers are those of Linux; elsewhere the words decide.
fn explain(error: &NokhwaError, label: &str) -> CameraError {
    let camera = label.to_owned();
    let words = error.to_string();
    let lower = words.to_lowercase();
    let code = if cfg!(target_os = "linux") { system_code(&words) } else { None };
    match code {
        // ENOENT, ENXIO, ENODEV: it was listed a moment ago.
        Some(2 | 6 | 19) => CameraError::Disconnected { camera, frames: 0 },
        // EPERM, EACCES
        Some(1 | 13) => CameraError::PermissionDenied { camera },
        // EBUSY
        Some(16) => CameraError::Busy { camera },
        _ if lower.contains("permission") || lower.contains("denied") || lower.contains("not authorized") => {
            CameraError::PermissionDenied { camera }
        }
        _ if lower.contains("in use") || lower.contains("busy") => CameraError::Busy { camera },
        // The library's own: no format fits, or the current one is unknown to it. A device without any capture format
        // answers "not a typewriter" (ENOTTY) or EINVAL.
        _ if matches!(error, NokhwaError::GetPropertyError { .. } | NokhwaError::SetPropertyError { .. }) => {
            CameraError::UnsupportedFormat { camera, detail: words }
        }
        _ => CameraError::Backend { camera, detail: words },
    }
}

/// Sorts what ended a stream that was running.
fn explain_loss(error: &NokhwaError, label: &str, frames: u64) -> CameraError {
    match explain(error, label) {
        CameraError::Disconnected { camera, .. } => CameraError::Disconnected { camera, frames },
        other => other,
    }
}

/// macOS asks the person once; capture started without an answer stays black.
#[cfg(target_os = "macos")]
fn ask_permission(label: &str) -> Result<(), CameraError> {
    if nokhwa::nokhwa_check() {
        return Ok(());
    }
    let (answer, answered) = std::sync::mpsc::channel();
    nokhwa::nokhwa_initialize(move |granted| drop(answer.send(granted)));
    match answered.recv_timeout(Duration::from_secs(60)) {
        Ok(true) => Ok(()),
        _ => Err(CameraError::PermissionDenied { camera: label.to_owned() }),
    }
}

/// Elsewhere opening the device is the question.
#[cfg(not(target_os = "macos"))]
#[expect(clippy::unnecessary_wraps, reason = "the same signature as on macOS, where the answer can be no")]
fn ask_permission(_label: &str) -> Result<(), CameraError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open_error(words: &str) -> NokhwaError {
        NokhwaError::OpenDeviceError("0".into(), format!("V4L2 Error: {words}"))
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_system_answers_becomes_a_typed_error() {
        let camera = || "cam".to_owned();
        for (words, expected) in [
            ("Permission denied (os error 13)", CameraError::PermissionDenied { camera: camera() }),
            ("Device or resource busy (os error 16)", CameraError::Busy { camera: camera() }),
            ("No such file or directory (os error 2)", CameraError::Disconnected { camera: camera(), frames: 0 }),
        ] {
            assert_eq!(explain(&open_error(words), "cam"), expected);
        }
        let unknown = explain(&open_error("odd"), "cam");
        assert!(matches!(unknown, CameraError::Backend { .. }), "{unknown:?}");
        let gone = NokhwaError::ReadFrameError("No such device (os error 19)".into());
        assert_eq!(explain_loss(&gone, "cam", 7), CameraError::Disconnected { camera: camera(), frames: 7 });
    }

    #[test]
    fn digits_select_by_number_and_words_by_name() {
        assert_eq!(Selector::parse("2"), Selector::Number(2));
        assert_eq!(Selector::parse(""), Selector::First);
        let device = Device { number: Some(4), name: "HD Pro Webcam C920".into(), index: CameraIndex::Index(4) };
        assert!(Selector::parse("c920").matches(&device));
        assert!(Selector::parse("4").matches(&device));
        assert!(!Selector::parse("0").matches(&device));
        assert!(!Selector::parse("facetime").matches(&device));
    }
}
