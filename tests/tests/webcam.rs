//! The real program with a webcam made of files: `fakecam/fakecam.c` answers for /dev/video0 inside the process.
#![cfg(target_os = "linux")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use image::{GrayImage, Luma};
use pairlight_tests::binary::pairlight_binary;
use qrcodegen::{QrCode, QrCodeEcc};
use tempfile::TempDir;

const WIDTH: u32 = 320;
const HEIGHT: u32 = 240;
const CONTENT: &str = "https://example.org/held-in-front-of-the-camera";

/// Compiles the preloaded library once per test process.
fn fakecam() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_folder, library) = LIBRARY.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let library = folder.path().join("libfakecam.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("fakecam/fakecam.c");
        let status = Command::new(std::env::var_os("CC").unwrap_or_else(|| "cc".into()))
            .args(["-shared", "-fPIC", "-O2", "-Wall", "-Wextra", "-Werror", "-o"])
            .args([library.as_path(), source.as_path()])
            .args(["-ldl", "-lpthread"])
            .status()
            .expect("a C compiler is installed");
        assert!(status.success(), "fakecam.c does not compile");
        (folder, library)
    });
    library
}

/// A white frame with the code in its middle, `at` pixels further right.
fn frame(content: &str, at: u32) -> GrayImage {
    let code = QrCode::encode_text(content, QrCodeEcc::Medium).unwrap();
    let (scale, side) = (4, code.size());
    let mut picture = GrayImage::from_pixel(WIDTH, HEIGHT, Luma([230]));
    let (left, top) = ((WIDTH - side as u32 * scale) / 2 + at, (HEIGHT - side as u32 * scale) / 2);
    for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))).filter(|&(x, y)| code.get_module(x, y)) {
        for (dx, dy) in (0..scale).flat_map(|dy| (0..scale).map(move |dx| (dx, dy))) {
            picture.put_pixel(left + x as u32 * scale + dx, top + y as u32 * scale + dy, Luma([25]));
        }
    }
    picture
}

fn empty_frame() -> GrayImage {
    GrayImage::from_fn(WIDTH, HEIGHT, |x, y| Luma([(x / 2 + y / 3) as u8]))
}

/// What the camera shows, and how it ends.
struct Camera {
    folder: TempDir,
    settings: Vec<(&'static str, String)>,
}

impl Camera {
    fn yuyv(frames: &[GrayImage]) -> Self {
        let folder = TempDir::new().unwrap();
        let source = folder.path().join("frames.yuyv");
        let bytes: Vec<u8> =
            frames.iter().flat_map(|frame| frame.as_raw().iter().flat_map(|&luma| [luma, 128])).collect();
        fs::write(&source, bytes).unwrap();
        Camera::with(folder, &source)
    }

    /// Every picture as the bytes given, JPEG or not.
    fn mjpeg(pictures: &[Vec<u8>]) -> Self {
        let folder = TempDir::new().unwrap();
        for (number, bytes) in pictures.iter().enumerate() {
            fs::write(folder.path().join(format!("{number:03}.jpg")), bytes).unwrap();
        }
        let source = folder.path().to_owned();
        Camera::with(folder, &source)
    }

    fn with(folder: TempDir, source: &Path) -> Self {
        let source = source.to_str().unwrap().to_owned();
        Camera { folder, settings: vec![("FAKECAM_SOURCE", source), ("FAKECAM_SIZE", format!("{WIDTH}x{HEIGHT}"))] }
    }

    fn set(mut self, name: &'static str, value: &str) -> Self {
        self.settings.push((name, value.to_owned()));
        self
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let (program, library) = (pairlight_binary(), fakecam());
        let started = Instant::now();
        let Output { status, stdout, stderr } = Command::new(program)
            .args(arguments)
            .current_dir(self.folder.path())
            .env("LD_PRELOAD", library)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env_remove("CLICOLOR_FORCE")
            .output()
            .unwrap();
        Run {
            code: status.code(),
            stdout: String::from_utf8(stdout).unwrap(),
            stderr: String::from_utf8(stderr).unwrap(),
            took: started.elapsed(),
        }
    }
}

#[derive(Debug)]
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
    took: Duration,
}

fn jpeg(frame: &GrayImage) -> Vec<u8> {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 85).encode_image(frame).unwrap();
    bytes
}

/// The luma planes of a 4:2:0 recording.
fn recorded(camera: &Camera, name: &str) -> Vec<Vec<u8>> {
    let bytes = fs::read(camera.folder.path().join(name)).unwrap();
    let header = format!("YUV4MPEG2 W{WIDTH} H{HEIGHT} F30:1 Ip A1:1 C420jpeg\n");
    assert!(bytes.starts_with(header.as_bytes()), "{:?}", String::from_utf8_lossy(&bytes[..60]));
    let luma = (WIDTH * HEIGHT) as usize;
    let frames = &bytes[header.len()..];
    assert_eq!(frames.len() % (6 + luma * 3 / 2), 0, "whole frames only");
    frames.chunks(6 + luma * 3 / 2).map(|frame| frame[6..6 + luma].to_vec()).collect()
}

/// Frames written and dropped, as the program says at the end of a recording.
fn counts(run: &Run) -> (usize, usize) {
    let line = run.stderr.lines().find(|line| line.contains(" frames written, ")).expect("the recorder counts");
    let number = |before: &str| line.split(before).next().unwrap().rsplit(' ').next().unwrap().parse().unwrap();
    (number(" frames written"), number(" dropped"))
}

#[test]
fn a_broken_driver_ends_with_words_and_not_with_an_abort() {
    let camera = Camera::yuyv(&[empty_frame()]).set("FAKECAM_FRAMES", "3").set("FAKECAM_THEN", "break");
    let run = camera.run(&["record", "--out", "out.y4m", "--frames", "100"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stderr.contains("error: camera 0 (Fake Camera) failed: "), "{run:?}");
    assert!(!run.stderr.contains("panicked"), "{run:?}");
}

#[test]
fn the_camera_is_listed_with_name_and_formats() {
    let camera = Camera::yuyv(&[empty_frame()]).set("FAKECAM_NAME", "Front Camera").set("FAKECAM_FPS", "25");
    let run = camera.run(&["cameras"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stdout, "0  Front Camera\n   YUYV     320x240  25 fps\n");
    let run = camera.run(&["cameras", "--json"]);
    let list: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(list[0]["index"], 0);
    assert_eq!(list[0]["name"], "Front Camera");
    assert_eq!(list[0]["formats"][0]["pixels"], "YUYV");
    assert_eq!(list[0]["formats"][0]["fps"], serde_json::json!([25]));
}

#[test]
fn yuyv_frames_are_recorded_bit_for_bit_also_with_padded_rows() {
    let frames = [frame(CONTENT, 0), frame(CONTENT, 9), empty_frame()];
    for stride in ["640", "704"] {
        let camera = Camera::yuyv(&frames).set("FAKECAM_STRIDE", stride);
        let run = camera.run(&["record", "--out", "out.y4m", "--frames", "12"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        let recorded = recorded(&camera, "out.y4m");
        assert_eq!(recorded.len(), 12);
        for luma in &recorded {
            assert!(frames.iter().any(|frame| frame.as_raw() == luma), "a frame is not one of the camera's ({stride})");
        }
        for frame in &frames {
            assert!(recorded.contains(frame.as_raw()), "a frame of the camera is missing ({stride})");
        }
    }
}

#[test]
fn jpeg_frames_are_recorded_and_damaged_ones_dropped_and_counted() {
    let good = jpeg(&frame(CONTENT, 0));
    let cut = good[..good.len() / 2].to_vec();
    // The rest of the driver's buffer is zero on the first round, so the cut picture has no end.
    let camera = Camera::mjpeg(&[cut, good, b"no picture at all".to_vec()]);
    let run = camera.run(&["record", "--out", "out.y4m", "--frames", "3"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let expected = frame(CONTENT, 0);
    for luma in recorded(&camera, "out.y4m") {
        let worst = luma.iter().zip(expected.as_raw()).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst < Some(60), "JPEG changes pixels a little, not by {worst:?}");
    }
    let damaged = run.stderr.split(", ").last().unwrap().split(' ').next().unwrap();
    assert!(damaged.parse::<u32>().unwrap() >= 3, "{}", run.stderr);
}

#[test]
fn an_unplugged_camera_ends_with_code_6_and_keeps_the_frames_so_far() {
    let camera = Camera::yuyv(&[empty_frame()]).set("FAKECAM_FRAMES", "4").set("FAKECAM_THEN", "unplug");
    let run = camera.run(&["record", "--out", "out.y4m", "--frames", "100"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(
        run.stderr.contains("error: camera 0 (Fake Camera) was disconnected after 4 frames\n help: check the cable"),
        "{run:?}"
    );
    // A frame that came while a busy machine was still writing the one before is dropped, and that is said.
    let (written, dropped) = counts(&run);
    assert_eq!(written + dropped, 4, "{run:?}");
    assert_eq!(recorded(&camera, "out.y4m").len(), written);
}

#[test]
fn a_silent_camera_ends_with_code_6_within_about_three_seconds() {
    for frames in ["0", "3"] {
        let camera = Camera::yuyv(&[empty_frame()]).set("FAKECAM_FRAMES", frames).set("FAKECAM_THEN", "stall");
        let run = camera.run(&["record", "--out", "out.y4m", "--frames", "100"]);
        assert_eq!(run.code, Some(6), "{run:?}");
        assert!(run.stderr.contains("no frames: nothing for 2 s\n help: "), "{run:?}");
        assert!(run.took >= Duration::from_millis(1900) && run.took < Duration::from_millis(4500), "{run:?}");
    }
}

#[test]
fn a_camera_that_sends_only_rubbish_counts_as_silent() {
    let camera = Camera::mjpeg(&[vec![0xFF; 700]]);
    let run = camera.run(&["record", "--out", "out.y4m", "--frames", "1"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stderr.contains("no frames") && run.stderr.contains("damaged ones were thrown away"), "{run:?}");
    assert!(!camera.folder.path().join("out.y4m").exists(), "no empty recording is left behind");
}

#[test]
fn no_permission_and_a_busy_camera_are_told_apart() {
    for (errno, words) in [("EACCES", "no permission to use"), ("EBUSY", "is in use by another program")] {
        let camera = Camera::yuyv(&[empty_frame()]).set("FAKECAM_OPEN", errno);
        let run = camera.run(&["record", "--out", "out.y4m", "--frames", "1"]);
        assert_eq!(run.code, Some(6), "{run:?}");
        assert!(run.stderr.contains(words), "{run:?}");
        let run = camera.run(&["cameras"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert!(run.stdout.contains("cannot be opened") && run.stderr.contains(words), "{run:?}");
    }
}

#[test]
fn an_unknown_camera_is_answered_with_the_ones_that_exist() {
    let camera = Camera::yuyv(&[empty_frame()]);
    let run = camera.run(&["record", "--camera", "elgato", "--out", "out.y4m"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stderr.contains("no camera with 'elgato' in its name; there is: camera 0 (Fake Camera)"), "{run:?}");
}

#[test]
fn a_code_in_front_of_the_camera_is_read_from_yuyv_and_from_jpeg() {
    let frames = [empty_frame(), empty_frame(), frame(CONTENT, 0)];
    let pictures: Vec<Vec<u8>> = frames.iter().map(jpeg).collect();
    for camera in [Camera::yuyv(&frames), Camera::mjpeg(&pictures)] {
        let run = camera.run(&["scan", "--camera", "--once", "--timeout", "10"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        assert_eq!(run.stdout, format!("{CONTENT}\n"));
        assert!(run.stderr.contains("looking through camera 0 (Fake Camera)"), "{run:?}");
        assert!(run.stderr.contains("example.org"), "{run:?}");
    }
}

#[test]
fn watching_prints_each_code_once_until_the_time_is_over() {
    let frames = [frame("first", 0), frame("first", 3), empty_frame(), frame("second", 0)];
    let camera = Camera::yuyv(&frames);
    let run = camera.run(&["scan", "--camera", "fake", "--timeout", "2", "--format", "ndjson"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let mut texts: Vec<String> = Vec::new();
    for line in run.stdout.lines() {
        let symbol: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(symbol["source"], "camera 0 (Fake Camera)");
        assert!(symbol["frame"].is_u64());
        texts.push(symbol["text"].as_str().unwrap().to_owned());
    }
    texts.sort();
    assert_eq!(texts, ["first", "second"]);
}

#[test]
fn a_camera_that_shows_no_code_ends_with_code_7() {
    let camera = Camera::yuyv(&[empty_frame()]);
    let run = camera.run(&["scan", "--camera", "0", "--timeout", "0.7"]);
    assert_eq!(run.code, Some(7), "{run:?}");
    assert_eq!(run.stdout, "");
    assert!(run.stderr.contains("no code found"), "{run:?}");
}

#[test]
fn unplugging_while_scanning_keeps_what_was_found() {
    let camera = Camera::yuyv(&[frame(CONTENT, 0)]).set("FAKECAM_FRAMES", "20");
    let run = camera.run(&["scan", "--camera", "--format", "json"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stderr.contains("was disconnected after 20 frames"), "{run:?}");
    let document: serde_json::Value = serde_json::from_str(&run.stdout).unwrap();
    assert_eq!(document["symbols"][0]["text"], CONTENT);
}

#[test]
fn a_camera_that_goes_silent_while_scanning_is_no_black_wait() {
    let camera = Camera::yuyv(&[empty_frame()]).set("FAKECAM_FRAMES", "5").set("FAKECAM_THEN", "stall");
    let run = camera.run(&["scan", "--camera"]);
    assert_eq!(run.code, Some(6), "{run:?}");
    assert!(run.stderr.contains("no frames: nothing for 2 s"), "{run:?}");
    assert!(run.took < Duration::from_millis(4500), "{run:?}");
}

#[test]
fn a_recording_of_the_camera_can_be_scanned() {
    let camera = Camera::yuyv(&[frame(CONTENT, 0)]);
    let run = camera.run(&["record", "--out", "out.y4m", "--frames", "3"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = camera.run(&["scan", "--quiet", "out.y4m"]);
    assert_eq!((run.code, run.stdout), (Some(0), format!("{CONTENT}\n")));
}

#[test]
fn a_failed_scan_is_kept_and_comes_out_the_same_again_and_a_successful_one_is_not_kept() {
    // A code with a bar over two of its corner squares: something is there and nothing can be read.
    let mut spoiled = frame(CONTENT, 0);
    for (x, y) in (0..WIDTH).flat_map(|x| (60..140).map(move |y| (x, y))) {
        spoiled.put_pixel(x, y, Luma([130]));
    }
    let camera = Camera::yuyv(&[empty_frame(), spoiled]);
    let run = camera.run(&["scan", "--camera", "--timeout", "1", "--keep-failures", "kept", "--preview"]);
    assert_eq!(run.stdout, "", "{run:?}");
    assert!(run.stderr.contains("--preview needs a terminal"), "{run:?}");
    assert!(run.stderr.contains("pairlight scan kept/failed-scan-"), "{run:?}");
    let again = camera.run(&["scan", "kept"]);
    // The camera ran out of time; a file ends by itself. With two of three corner squares covered there is no code to speak of.
    assert_eq!((run.code, again.code, again.stdout.as_str()), (Some(7), Some(4), ""), "{again:?}");
    assert!(again.stderr.contains("frames came out as when recorded"), "{again:?}");
    // A recording that was touched is noticed.
    let folder = camera.folder.path().join("kept");
    let files: Vec<PathBuf> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    let timeline = files.iter().find(|path| path.extension().is_some_and(|end| end == "json")).unwrap();
    let text = fs::read_to_string(timeline).unwrap().replacen("finders: ", "finders: 7", 1);
    fs::write(timeline, text).unwrap();
    assert!(camera.run(&["scan", "kept"]).stderr.contains("otherwise than when recorded"));

    let camera = Camera::yuyv(&[empty_frame(), frame(CONTENT, 0)]);
    let run = camera.run(&["scan", "--camera", "--once", "--timeout", "10", "--keep-failures", "kept"]);
    assert_eq!(run.stdout, format!("{CONTENT}\n"));
    assert_eq!(fs::read_dir(camera.folder.path().join("kept")).unwrap().count(), 0, "{run:?}");
}
