//! A linked device in TypeScript, written from docs/protocol.md alone (`tests/interop`), against the Rust primary device
//! over a real relay. And vectors, both ways: what either implementation made, the other repeats.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pairlight_core::net::{ConnectionEvent, Primary, system_time};
use pairlight_core::pairing::PrimaryEvent;
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_tests::world::World;
use pairlight_wire::device::SCOPE_ALL;
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::id::DeviceId;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::standing::{Discrepancy, Standing};
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

/// Links without a slip.
async fn link(linked: &mut Linked, primary: &Primary) -> DeviceId {
    let code = linked.until("code").await;
    let payload = QrPayload::parse(code["text"].as_str().unwrap()).unwrap();
    let pairing = primary.link(payload, ScanSource::LiveCamera).await.unwrap();
    loop {
        match pairing.next_event().await.unwrap() {
            PrimaryEvent::Review(_) => pairing.approve().await.unwrap(),
            PrimaryEvent::ShowCheckCode(code) => linked.hears(json!({ "type": code.to_display() })).await,
            PrimaryEvent::Linked(device) => return device,
            PrimaryEvent::Failed(reason) => panic!("failed: {reason:?}"),
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_reports_and_takes_the_lease_that_answers() {
    let world = World::start().await;
    let url = world.relay.url();
    let Some(mut linked) = Linked::start(&["link", &url]) else { return };
    let primary = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let device = link(&mut linked, &primary).await;
    linked.until("welcome").await;
    let line = primary.connect().await.unwrap();
    // Messages both ways first, so that the counts of the session are not zero.
    line.send(device, EnvelopeKind::Application, b"one").await.unwrap();
    linked.until("message").await;
    linked.hears(json!({ "send": "two" })).await;
    linked.until("accepted").await;

    let granted = |said: &Value, ctr: u64, epoch: u64| {
        assert_eq!((said["ctr"].as_u64(), said["epoch"].as_u64()), (Some(ctr), Some(epoch)), "{said}");
        assert_eq!((&said["standing"], &said["because"]), (&json!(0), &Value::Null), "{said}");
        assert_eq!(said["scope"].as_u64(), Some(SCOPE_ALL), "{said}");
        let now = system_time().unix_ms();
        let until = said["until"].as_u64().unwrap();
        assert!(until > now + 29 * 86_400_000 && until < now + 31 * 86_400_000, "{said}");
    };
    linked.hears(json!({ "report": true })).await;
    granted(&linked.until("leased").await, 1, 2);
    // The account's list goes on: the next grant carries what the device lacks.
    primary.rename(device, "Renamed").await.unwrap();
    linked.hears(json!({ "report": true })).await;
    granted(&linked.until("leased").await, 2, 3);
    let info = primary.devices().await.unwrap().into_iter().find(|info| info.id == device).unwrap();
    assert!(info.standing == Standing::Active && info.because.is_none(), "{info:?}");

    // That the counts are judged at all shows that both name the session alike: this many were never sent.
    linked.hears(json!({ "report": true, "received": 1_000_000 })).await;
    let removed = tokio::time::timeout(PATIENCE, async {
        loop {
            if let ConnectionEvent::Discrepancy { device: of, row, .. } =
                line.next_event().await.expect("the line ended")
            {
                return (of, row);
            }
        }
    });
    assert_eq!(removed.await.expect("nothing is found out"), (device, Discrepancy::CountersImpossible));
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
    link(&mut linked, &primary).await;
    linked.until("linked").await;
    let vector: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(vector["qr"].as_str().is_some_and(|text| QrPayload::parse(text).is_ok()));
    assert_eq!(vector["messages"].as_object().unwrap().len(), 6);
}
