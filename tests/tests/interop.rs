//! A linked device in TypeScript, written from docs/protocol.md alone (`tests/interop`), against the Rust primary device
//! over a real relay. And vectors, both ways: what either implementation made, the other repeats.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pairlight_core::net::ConnectionEvent;
use pairlight_core::pairing::PrimaryEvent;
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_tests::world::World;
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const PATIENCE: Duration = Duration::from_secs(60);

fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The compiled program, or why there is none.
fn program() -> Result<PathBuf, String> {
    let program = tests_folder().join("interop/out/main.js");
    let modules = tests_folder().join("interop/node_modules");
    let node = std::process::Command::new("node").arg("--version").output();
    let version = node.map_err(|_| "node is not installed".to_owned())?;
    let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
    let major: Option<u32> = version.trim_start_matches('v').split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major| major < 20) {
        return Err(format!("node {version} is older than 20"));
    }
    if !program.is_file() || !modules.is_dir() {
        return Err("tests/interop is not built (npm ci && npx tsc -p tests/interop)".into());
    }
    Ok(program)
}

/// A running linked device.
struct Linked {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Linked {
    fn start(arguments: &[&str]) -> Option<Self> {
        let program = match program() {
            Ok(program) => program,
            Err(why) => {
                println!("skipped: {why}");
                return None;
            }
        };
        let mut child = Command::new("node")
            .arg("--no-warnings")
            .arg(program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Some(Self { child, input, lines })
    }

    /// The next thing that it says.
    async fn says(&mut self) -> Value {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("it says nothing");
        serde_json::from_str(&line.unwrap().expect("it ended")).unwrap()
    }

    /// Waits for an event and gives it back.
    async fn until(&mut self, event: &str) -> Value {
        loop {
            let said = self.says().await;
            assert!(said["event"] == event || said["event"] != "failed", "waiting for {event}: {said}");
            if said["event"] == event {
                return said;
            }
        }
    }

    async fn hears(&mut self, line: Value) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_links_and_talks_with_the_rust_phone() {
    let world = World::start().await;
    let url = world.relay.url();
    let Some(mut linked) = Linked::start(&["link", &url]) else { return };
    let primary = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();

    let code = linked.until("code").await;
    let payload = QrPayload::parse(code["text"].as_str().unwrap()).unwrap();
    let pairing = primary.link(payload, ScanSource::LiveCamera).await.unwrap();
    let device = loop {
        match pairing.next_event().await.unwrap() {
            PrimaryEvent::Review(review) => {
                assert_eq!(review.device_name, "Interop laptop");
                pairing.approve().await.unwrap();
            }
            PrimaryEvent::ShowCheckCode(code) => {
                linked.until("enter_check_code").await;
                // A slip and a wrong code do not end it.
                linked.hears(json!({ "type": "12345" })).await;
                assert_eq!(linked.until("wrong_check_code").await["triesLeft"], 3);
                linked.hears(json!({ "type": code.to_display() })).await;
            }
            PrimaryEvent::Linked(device) => break device,
            PrimaryEvent::Failed(reason) => panic!("failed: {reason:?}, {:?}", linked.says().await),
            _ => {}
        }
    };
    let said = linked.until("linked").await;
    assert_eq!(said["device"], hex::encode(device.as_bytes()));
    assert_eq!(said["epoch"], 2);
    linked.until("welcome").await;

    let line = primary.connect().await.unwrap();
    for (there, back) in [("to the laptop", "to the phone"), ("again", "and again"), ("\u{fffd} third", "third")] {
        line.send(device, EnvelopeKind::Application, there.as_bytes()).await.unwrap();
        assert_eq!(linked.until("message").await["body"], there);
        linked.hears(json!({ "send": back })).await;
        let body = tokio::time::timeout(PATIENCE, async {
            loop {
                match line.next_event().await.expect("the line ended") {
                    ConnectionEvent::Message { body, .. } => return body,
                    ConnectionEvent::Unreadable { .. } => panic!("a message that cannot be opened"),
                    _ => {}
                }
            }
        });
        assert_eq!(body.await.expect("no message"), back.as_bytes());
        linked.until("accepted").await;
    }

    linked.hears(json!({ "quit": true })).await;
    assert!(tokio::time::timeout(PATIENCE, linked.child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_wrong_codes_on_the_typescript_device_end_both_sides_with_the_same_reason() {
    let world = World::start().await;
    let url = world.relay.url();
    let Some(mut linked) = Linked::start(&["link", &url]) else { return };
    let primary = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let code = linked.until("code").await;
    let payload = QrPayload::parse(code["text"].as_str().unwrap()).unwrap();
    let pairing = primary.link(payload, ScanSource::LiveCamera).await.unwrap();
    let reason = loop {
        match pairing.next_event().await.unwrap() {
            PrimaryEvent::Review(_) => pairing.approve().await.unwrap(),
            PrimaryEvent::ShowCheckCode(code) => {
                let wrong = if code.to_display() == "000 000" { "000001" } else { "000000" };
                for _ in 0..3 {
                    linked.hears(json!({ "type": wrong })).await;
                }
            }
            PrimaryEvent::Linked(_) => panic!("linked"),
            PrimaryEvent::Failed(reason) => break reason,
            _ => {}
        }
    };
    assert_eq!(reason, EndReason::WrongCheckCode);
    loop {
        let said = linked.says().await;
        if said["event"] == "failed" {
            assert_eq!(said["reason"], "WrongCheckCode");
            break;
        }
    }
}

/// What Rust made (`core/src/pairing/tests/vectors.rs` writes and reads these files), TypeScript repeats byte for byte.
#[tokio::test]
async fn the_typescript_device_repeats_the_vectors_of_both() {
    for name in ["made-by-rust.json", "made-by-typescript.json"] {
        let path = tests_folder().join("vectors/pairing").join(name);
        let Some(mut linked) = Linked::start(&["check", path.to_str().unwrap()]) else { return };
        let said = linked.says().await;
        assert_eq!(said["ok"], true, "{name}: {said}");
    }
}

/// A new vector of the TypeScript device: `PAIRLIGHT_BLESS=1 cargo test -p pairlight-tests --test interop`.
#[tokio::test(flavor = "multi_thread")]
async fn a_pairing_of_the_typescript_device_becomes_a_vector() {
    let folder = tempfile::tempdir().unwrap();
    let path = match std::env::var_os("PAIRLIGHT_BLESS") {
        Some(_) => tests_folder().join("vectors/pairing/made-by-typescript.json"),
        None => folder.path().join("vector.json"),
    };
    let world = World::start().await;
    let url = world.relay.url();
    let Some(mut linked) = Linked::start(&["link", &url, path.to_str().unwrap()]) else { return };
    let primary = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let code = linked.until("code").await;
    let payload = QrPayload::parse(code["text"].as_str().unwrap()).unwrap();
    let pairing = primary.link(payload, ScanSource::LiveCamera).await.unwrap();
    loop {
        match pairing.next_event().await.unwrap() {
            PrimaryEvent::Review(_) => pairing.approve().await.unwrap(),
            PrimaryEvent::ShowCheckCode(code) => linked.hears(json!({ "type": code.to_display() })).await,
            PrimaryEvent::Linked(_) => break,
            PrimaryEvent::Failed(reason) => panic!("failed: {reason:?}"),
            _ => {}
        }
    }
    linked.until("linked").await;
    let vector: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert_eq!(vector["qr"], code["text"]);
    assert_eq!(vector["messages"].as_object().unwrap().len(), 6);
}
