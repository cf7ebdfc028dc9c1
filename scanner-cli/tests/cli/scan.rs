//! What `scan` prints.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::fixture::{Place, binary_code, code, nothing, png, y4m};

#[test]
fn text_is_printed_with_one_newline_and_the_meaning_goes_to_standard_error() {
    let place = Place::new();
    place.file("a.png", &png(&code("https://example.org/?a=1")));
    let run = place.run(&["scan", "a.png"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.text(), "https://example.org/?a=1\n");
    assert!(run.stderr.starts_with("note: a.png: ") && run.stderr.contains("example.org"), "{run:?}");
    let run = place.run(&["scan", "--quiet", "a.png"]);
    assert_eq!((run.text(), run.stderr.as_str()), ("https://example.org/?a=1\n", ""));
}

#[test]
fn raw_is_byte_exact_for_every_byte_value() {
    let bytes: Vec<u8> = (0..=255).chain(*b"\r\n\0\n").collect();
    let place = Place::new();
    place.file("a.png", &png(&binary_code(&bytes)));
    let run = place.run(&["scan", "--format", "raw", "a.png"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.stdout, bytes);
}

#[test]
fn a_code_cannot_steer_the_terminal_but_raw_and_json_keep_it() {
    let content = "before\u{1b}[2J\u{1b}]0;title\u{7}after";
    let place = Place::new();
    place.file("a.png", &png(&binary_code(content.as_bytes())));
    let text = place.run(&["scan", "a.png"]);
    assert_eq!(text.code, Some(0));
    assert!(!text.stdout.contains(&0x1b) && !text.stderr.contains('\u{1b}'), "{text:?}");
    assert_eq!(text.text(), "before\\x1b[2J\\x1b]0;title\\x07after\n");
    assert_eq!(place.run(&["scan", "-f", "raw", "a.png"]).stdout, content.as_bytes());
    let json = place.run(&["scan", "-f", "json", "a.png"]).json();
    assert_eq!(json["symbols"][0]["bytes"], STANDARD.encode(content));
    assert_eq!(json["symbols"][0]["text"], serde_json::Value::Null);
}

#[test]
fn json_is_one_document_with_everything_about_a_code() {
    let place = Place::new();
    place.file("a.png", &png(&code("Grüße"))).file("b.png", &png(&nothing()));
    let run = place.run(&["scan", "--format", "json", "a.png", "b.png"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    let json = run.json();
    assert_eq!(json["schema"], 1);
    let symbol = &json["symbols"][0];
    assert_eq!(symbol["source"], "a.png");
    assert_eq!(symbol["frame"], serde_json::Value::Null);
    assert_eq!(symbol["text"], "Grüße");
    assert_eq!(symbol["bytes"], STANDARD.encode("Grüße"));
    assert_eq!(symbol["kind"], "text");
    assert_eq!(symbol["version"], 1);
    // Asked for M; the generator raises the level as far as the version has room.
    assert_eq!(symbol["ecc"], "H");
    assert_eq!(symbol["inverted"], false);
    assert!(symbol["milliseconds"].as_f64().unwrap() > 0.0);
    // The drawing has 5 pixels per module and 4 modules of margin; version 1 has 21 modules.
    for (corner, [x, y]) in [[20.0, 20.0], [125.0, 20.0], [125.0, 125.0], [20.0, 125.0]].into_iter().enumerate() {
        let found = &symbol["corners"][corner];
        let (dx, dy) = (found[0].as_f64().unwrap() - x, found[1].as_f64().unwrap() - y);
        assert!(dx.abs() < 3.0 && dy.abs() < 3.0, "corner {corner} is {found}");
    }
    assert_eq!(json["inputs"][0]["symbols"], 1);
    assert_eq!(json["inputs"][1]["symbols"], 0);
    assert_eq!(json["inputs"][1]["source"], "b.png");
}

#[test]
fn ndjson_is_one_line_for_each_code() {
    let place = Place::new();
    place.file("a.png", &png(&code("one"))).file("b.png", &png(&code("two")));
    let run = place.run(&["scan", "--format", "ndjson", "a.png", "b.png"]);
    let lines: Vec<serde_json::Value> = run.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!((&lines[0]["text"], &lines[1]["text"]), (&"one".into(), &"two".into()));
    assert_eq!(lines[0]["schema"], 1);
}

#[test]
fn a_folder_is_scanned_to_the_bottom_in_the_order_of_the_paths() {
    let place = Place::new();
    place.file("shots/b.png", &png(&code("second"))).file("shots/a/deep/z.png", &png(&code("first")));
    place.file("shots/notes.txt", b"not looked at").file("shots/c.y4m", &y4m(&[code("third")]));
    let run = place.run(&["scan", "--quiet", "shots"]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(run.text(), "first\nsecond\nthird\n");
}

#[test]
fn standard_input_may_be_a_picture_or_a_recording() {
    let place = Place::new();
    let run = place.run_with_stdin(&["scan", "-"], &png(&code("picture")));
    assert_eq!((run.code, run.text()), (Some(0), "picture\n"));
    assert!(run.stderr.contains("standard input: "), "{run:?}");
    let run = place.run_with_stdin(&["scan", "-"], &y4m(&[code("recording")]));
    assert_eq!((run.code, run.text()), (Some(0), "recording\n"));
}

#[test]
fn a_recording_stops_at_the_first_code_and_watch_goes_on_and_says_each_once() {
    let place = Place::new();
    let (one, two) = (code("code one"), code("code two"));
    let blank = image::GrayImage::from_pixel(one.width(), one.height(), image::Luma([230]));
    let frames = [blank.clone(), one.clone(), one.clone(), blank, two, one];
    place.file("a.y4m", &y4m(&frames));
    let run = place.run(&["scan", "--quiet", "a.y4m"]);
    assert_eq!((run.code, run.text()), (Some(0), "code one\n"));
    let run = place.run(&["scan", "--quiet", "--watch", "a.y4m"]);
    assert_eq!((run.code, run.text()), (Some(0), "code one\ncode two\n"));
    let json = place.run(&["scan", "--watch", "--format", "json", "a.y4m"]).json();
    assert_eq!((&json["symbols"][0]["frame"], &json["symbols"][1]["frame"]), (&1.into(), &4.into()));
    assert_eq!(json["inputs"][0]["frames"], 6);
}

#[test]
fn once_ends_the_run_with_the_first_code() {
    let place = Place::new();
    place.file("a.png", &png(&nothing())).file("b.png", &png(&code("two"))).file("c.png", &png(&code("three")));
    let run = place.run(&["scan", "--quiet", "--once", "a.png", "b.png", "c.png"]);
    assert_eq!((run.code, run.text()), (Some(0), "two\n"));
}

#[test]
fn the_format_is_told_by_the_bytes_and_transparency_is_white() {
    let place = Place::new();
    let drawn = code("transparent");
    let transparent = image::RgbaImage::from_fn(drawn.width(), drawn.height(), |x, y| {
        image::Rgba([0, 0, 0, 255 - drawn.get_pixel(x, y).0[0]])
    });
    let mut bytes = std::io::Cursor::new(Vec::new());
    transparent.write_to(&mut bytes, image::ImageFormat::WebP).unwrap();
    place.file("wrong-name.jpg", &bytes.into_inner());
    let run = place.run(&["scan", "--quiet", "wrong-name.jpg"]);
    assert_eq!((run.code, run.text()), (Some(0), "transparent\n"), "{run:?}");
}
