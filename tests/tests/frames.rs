//! Frames: what the scanner makes of simulated and of recorded pictures, and the whole way from a frame to a message.
//! Read rates are printed; the floors catch a scanner that got worse.

use std::path::Path;
use std::process::Command;

use pairlight_core::Timestamp;
use pairlight_core::frame::LumaFrame;
use pairlight_core::net::ConnectionEvent;
use pairlight_core::pairing::CodeMatrix;
use pairlight_core::payload::Payload;
use pairlight_core::scan::{ScanEffort, ScanOptions, Scanner, Symbol};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_lens::{Condition, Frame, Lens, Matrix};
use pairlight_tests::binary::pairlight_binary;
use pairlight_tests::world::{Person, World, play, play_scanned};
use pairlight_wire::envelope::EnvelopeKind;

/// An offer of version 1 with arbitrary digits: what our own codes look like.
const OFFER: &str = concat!(
    "PAIRLIGHT:/",
    "0065793000000000257098374650912837465091283746509128374650912837465091283746509128374650912837465091283746509128",
    "374650912837"
);

/// Shots per condition, and how many of them must be read at least. `Worst` is not meant to be read.
const SHOTS: u64 = 4;
const FLOORS: [(Condition, usize); 15] = [
    (Condition::Nominal, 4),
    (Condition::Far, 2),
    (Condition::Small, 1),
    (Condition::Tilted, 4),
    (Condition::Rotated, 4),
    (Condition::Defocused, 2),
    (Condition::Motion, 4),
    (Condition::Dark, 2),
    (Condition::Overexposed, 2),
    (Condition::Glare, 2),
    (Condition::Moire, 4),
    (Condition::Banding, 4),
    (Condition::Inverted, 4),
    (Condition::Mirrored, 4),
    (Condition::Compressed, 4),
];

/// Pictures of the shared set that must be read at least, of 445 with a code.
const SHARED_FLOOR: u64 = 430;

fn matrix(text: &str) -> Matrix {
    let code = CodeMatrix::draw(text).unwrap();
    Matrix::new(code.size(), code.modules().to_vec()).unwrap()
}

fn scan(frame: &Frame) -> Vec<Symbol> {
    let luma = frame.luma();
    let view = LumaFrame::luma8(&luma, frame.width as u32, frame.height as u32, frame.width).unwrap();
    let mut scanner = Scanner::new(ScanOptions { effort: ScanEffort::Thorough, ..ScanOptions::default() });
    scanner.scan(&view, Timestamp::default()).symbols
}

#[test]
fn codes_on_simulated_screens_are_read_in_every_condition() {
    let matrix = matrix(OFFER);
    let mut below = Vec::new();
    for (condition, floor) in FLOORS {
        let lens = Lens::new(&condition.scene(matrix.clone())).unwrap();
        let frames = (0..SHOTS).map(|seed| lens.shoot(&condition.view(seed)).unwrap());
        let mut read = 0;
        for frame in frames {
            let symbols = scan(&frame);
            assert!(symbols.iter().all(|symbol| symbol.bytes == OFFER.as_bytes()), "a false read of {condition:?}");
            read += usize::from(!symbols.is_empty());
        }
        println!("simulated {:<12} {read} of {SHOTS} read", condition.name());
        if read < floor {
            below.push(format!("{}: {read} of {SHOTS} read, floor {floor}", condition.name()));
        }
    }
    assert!(below.is_empty(), "{below:#?}");
}

#[test]
fn recorded_photos_are_read_as_often_as_before() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/frames/dev/manifest.jsonl");
    if !manifest.exists() {
        println!("skipped: no shared frames");
        return;
    }
    let output = Command::new(pairlight_binary()).arg("bench").arg(&manifest).arg("--json").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let (read, expected) = (report["read"].as_u64().unwrap(), report["expected"].as_u64().unwrap());
    println!(
        "recorded photos: {read} of {expected} with a code read ({:.1} %), {} false reads, p50 {:.1} ms, p95 {:.1} ms",
        100.0 * read as f64 / expected as f64,
        report["false_reads"],
        report["p50_ms"].as_f64().unwrap(),
        report["p95_ms"].as_f64().unwrap(),
    );
    assert!(read >= SHARED_FLOOR, "{read} of {expected} read, floor {SHARED_FLOOR}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_code_that_a_camera_sees_becomes_a_linked_device_that_survives_a_restart() {
    let world = World::start().await;
    let primary = world.primary("phone", Policy::BALANCED).await.unwrap();
    let laptop = world.linked("laptop").await.unwrap();
    // The camera: draw the offered code on a screen, shoot it, scan the shot.
    let look = |text: &str| {
        let condition = Condition::Tilted;
        let lens = Lens::new(&condition.scene(matrix(text))).unwrap();
        let symbols = (0..20).map(|seed| scan(&lens.shoot(&condition.view(seed)).unwrap()));
        let symbol = symbols.flatten().next().expect("a tilted screen is read");
        match Payload::classify(&symbol.bytes) {
            Payload::PairingOffer(offer) => offer,
            other => panic!("{other:?}"),
        }
    };
    let outcome = play_scanned(&primary, &laptop, "Kim's laptop", Person::Agrees, ScanSource::LiveCamera, look).await;
    let account = outcome.linked.unwrap();
    drop((primary, laptop));

    let primary = world.primary("phone", Policy::BALANCED).await.unwrap();
    let laptop = world.linked("laptop").await.unwrap();
    assert_eq!(laptop.account().await.unwrap().unwrap().device_id(), account.device_id());
    let phone_line = primary.connect().await.unwrap();
    let laptop_line = laptop.connect().await.unwrap();
    laptop_line
        .send(account.primary().unwrap(), EnvelopeKind::Application, b"from the code on the screen")
        .await
        .unwrap();
    loop {
        match phone_line.next_event().await.expect("a message") {
            ConnectionEvent::Message { body, .. } => {
                assert_eq!(body, b"from the code on the screen");
                break;
            }
            ConnectionEvent::Failed(error) => panic!("{error}"),
            _ => {}
        }
    }
    // The same code cannot be used twice, even by the phone that it linked.
    let second = play(&primary, &world.linked("tablet").await.unwrap(), "tablet", Person::Agrees).await;
    assert!(second.linked.is_ok(), "a fresh code links another device");
    world.relay.shutdown().await;
}
