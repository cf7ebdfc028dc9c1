//! How the program ends: each exit code, and the two lines of words that go with it.

use std::io::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::fixture::{Place, Run, code, nothing, png, ruined_code, y4m};

fn has_two_lines(run: &Run) -> bool {
    let lines: Vec<&str> = run.stderr.lines().collect();
    matches!(&lines[..], [what, remedy] if what.starts_with("error: ") && remedy.starts_with(" help: "))
}

#[test]
fn no_code_is_4_and_says_so() {
    let place = Place::new();
    place.file("a.png", &png(&nothing()));
    let run = place.run(&["scan", "a.png"]);
    assert_eq!(run.code, Some(4), "{run:?}");
    assert_eq!(run.stdout, b"");
    assert!(run.stderr.starts_with("warning: a.png: no code found."), "{run:?}");
}

#[test]
fn a_code_that_cannot_be_read_is_5_and_says_what_to_do() {
    let place = Place::new();
    place.file("a.png", &png(&ruined_code()));
    let run = place.run(&["scan", "a.png"]);
    assert_eq!(run.code, Some(5), "{run:?}");
    assert!(run.stderr.starts_with("warning: a.png: a code is there but cannot be read."), "{run:?}");
}

#[test]
fn a_broken_input_is_named_the_others_are_scanned_and_the_code_is_1() {
    let place = Place::new();
    let whole = png(&code("still read"));
    place.file("broken.png", &whole[..whole.len() / 3]).file("ok.png", &whole).file("words.png", b"hello");
    let run = place.run(&["scan", "--quiet", "broken.png", "missing.png", "words.png", "ok.png"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(run.text(), "still read\n");
    for words in [
        "error: broken.png: the picture cannot be decoded",
        "error: missing.png: cannot be read: ",
        "error: words.png: not a picture or recording",
    ] {
        assert!(run.stderr.contains(words), "{words}: {run:?}");
    }
    assert_eq!(run.stderr.lines().count(), 6, "two lines for each: {run:?}");
    let run = place.run(&["scan", "--keep-going", "broken.png", "ok.png"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = place.run(&["scan", "--keep-going", "broken.png"]);
    assert_eq!(run.code, Some(1), "nothing was found at all: {run:?}");
}

#[test]
fn a_cut_off_recording_gives_what_it_has_and_then_the_place_of_the_damage() {
    let place = Place::new();
    let recording = y4m(&[code("whole frame"), code("whole frame")]);
    place.file("cut.y4m", &recording[..recording.len() - 10]);
    let run = place.run(&["scan", "--quiet", "--watch", "cut.y4m"]);
    assert_eq!((run.code, run.text()), (Some(1), "whole frame\n"), "{run:?}");
    assert!(run.stderr.contains("error: cut.y4m: the recording is damaged: frame 1: "), "{run:?}");
    assert!(has_two_lines(&run), "{run:?}");
}

#[test]
fn an_empty_folder_is_1() {
    let place = Place::new();
    place.file("shots/readme.txt", b"");
    let run = place.run(&["scan", "shots"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(has_two_lines(&run) && run.stderr.contains("no pictures or recordings"), "{run:?}");
}

#[test]
fn wrong_usage_is_2() {
    let place = Place::new();
    for arguments in [
        &["scan"][..],
        &["scan", "--format", "xml", "a.png"],
        &["scan", "--once", "--watch", "a.png"],
        &["scan", "--timeout", "0", "a.png"],
        &["scan", "--timeout", "NaN", "a.png"],
        &["record"],
        &["record", "--out", "x.y4m", "--frames", "0"],
        &["nonsense"],
        &["man", "nonsense"],
    ] {
        let run = place.run(arguments);
        assert_eq!(run.code, Some(2), "{arguments:?}: {run:?}");
        assert_eq!(run.stdout, b"", "{arguments:?}");
        assert!(run.stderr.contains("error"), "{arguments:?}: {run:?}");
    }
}

/// Frames without a code for as long as somebody reads them.
fn feed_for_ever(mut pipe: impl Write) {
    let mut frame = y4m(&[nothing()]);
    while pipe.write_all(&frame).and_then(|()| pipe.flush()).is_ok() {
        std::thread::sleep(Duration::from_millis(10));
        if frame.starts_with(b"YUV4MPEG2") {
            let header = frame.iter().position(|&byte| byte == b'\n').unwrap() + 1;
            frame.drain(..header);
        }
    }
}

#[test]
fn a_timeout_without_a_code_is_7() {
    let place = Place::new();
    let started = Instant::now();
    let mut child = place.command(&["scan", "--timeout", "0.3", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || feed_for_ever(stdin));
    let run = Run::from(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    assert_eq!(run.code, Some(7), "{run:?}");
    assert!(started.elapsed() >= Duration::from_millis(300));
}

#[cfg(unix)]
fn interrupt_after(pause: Duration, child: &std::process::Child) {
    std::thread::sleep(pause);
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
}

#[test]
#[cfg(unix)]
fn ctrl_c_is_130_and_a_json_document_is_still_whole() {
    let place = Place::new();
    let arguments = ["scan", "--watch", "--format", "json", "-"];
    let mut child = place.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
    let stdin = child.stdin.take().unwrap();
    let feeder = std::thread::spawn(move || feed_for_ever(stdin));
    interrupt_after(Duration::from_millis(500), &child);
    let run = Run::from(child.wait_with_output().unwrap());
    feeder.join().unwrap();
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(run.json()["inputs"][0]["frames"].as_u64().unwrap() > 0, "{run:?}");
}

#[test]
#[cfg(unix)]
fn ctrl_c_ends_a_wait_for_a_pipe_that_stays_silent() {
    let place = Place::new();
    let mut child = place.command(&["scan", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let silent = child.stdin.take().unwrap();
    let started = Instant::now();
    interrupt_after(Duration::from_millis(500), &child);
    let run = Run::from(child.wait_with_output().unwrap());
    drop(silent);
    assert_eq!(run.code, Some(130), "{run:?}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_reader_that_hangs_up_is_success_and_silence() {
    let place = Place::new();
    place.file("a.png", &png(&code("nobody reads this")));
    for arguments in [&["scan", "--quiet", "a.png"][..], &["completions", "bash"], &["man"], &["--help"]] {
        let mut child = place.command(arguments).spawn().unwrap();
        drop(child.stdout.take());
        let run = Run::from(child.wait_with_output().unwrap());
        assert_eq!(run.code, Some(0), "{arguments:?}: {run:?}");
        assert_eq!(run.stderr, "", "{arguments:?}");
    }
}

#[test]
fn a_silent_pipe_ends_with_the_time_and_what_was_found_before_stays() {
    let place = Place::new();
    let blank = image::GrayImage::from_pixel(120, 90, image::Luma([230]));
    let film = y4m(&[code("seen in time")]);
    let cases: [(&[u8], &str, Option<i32>); 4] = [
        (b"", "", Some(7)),
        (b"YUV4MPEG2 W120", "", Some(7)),
        (&y4m(&[blank]), "", Some(7)),
        (&film, "seen in time\n", Some(0)),
    ];
    for (input, text, exit) in cases {
        let arguments = ["scan", "-", "--watch", "--timeout", "0.5", "--quiet"];
        let mut child = place.command(&arguments).stdin(Stdio::piped()).spawn().unwrap();
        // Held open until the program has ended by itself.
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input).unwrap();
        let (done, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || done.send(Run::from(child.wait_with_output().unwrap())));
        let run = ended.recv_timeout(Duration::from_secs(30)).expect("it waits for ever");
        drop(stdin);
        assert_eq!((run.code, run.text()), (exit, text), "{run:?}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_under_a_result_is_named_as_standard_output() {
    let place = Place::new();
    place.file("a.png", &png(&code("x")));
    place.file("m.jsonl", br#"{"image":"a.png","expected":["x"],"set":"s"}"#);
    for arguments in [&["bench", "m.jsonl"][..], &["bench", "--json", "m.jsonl"], &["scan", "--quiet", "a.png"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let run = Run::from(place.command(arguments).stdout(full).output().unwrap());
        assert_eq!(run.code, Some(1), "{arguments:?}: {run:?}");
        assert!(run.stderr.contains("cannot write to standard output"), "{arguments:?}: {run:?}");
    }
}

#[test]
fn an_existing_recording_is_not_overwritten() {
    let place = Place::new();
    place.file("x.y4m", b"precious");
    let run = place.run(&["record", "--out", "x.y4m", "--frames", "1"]);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(has_two_lines(&run) && run.stderr.contains("x.y4m exists already"), "{run:?}");
    assert_eq!(std::fs::read(place.path("x.y4m")).unwrap(), b"precious");
}

#[test]
fn the_demo_tells_its_story_and_leaves_frames_and_timeline() {
    let place = Place::new();
    let run = place.run(&["demo"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let told = format!("{}{}", run.text(), run.stderr);
    for part in ["code found", "claimed", "check code", "counter-signed", "linked:", "refused", "revoked"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let left = place.path("demo-out");
    let timeline = std::fs::read(left.join("timeline.json")).unwrap();
    assert!(serde_json::from_slice::<serde_json::Value>(&timeline).is_ok());
    let mut files = left.read_dir().unwrap().filter_map(Result::ok);
    assert!(files.any(|file| file.path().extension() == Some("png".as_ref())));
}
