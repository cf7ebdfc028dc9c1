//! A linked device in TypeScript, written from docs/protocol.md alone (`tests/interop`), against the Rust primary device
//! over a real relay. And vectors, both ways: what either implementation made, the other repeats.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::devices::Account;
use pairlight_core::net::{Connection, ConnectionEvent, Primary, SharedStore, system_time};
use pairlight_core::pairing::PrimaryEvent;
use pairlight_core::trust::{EvidenceBit, Finding, Policy, ScanSource};
use pairlight_tests::world::{Person, World, boxed_rng, open_store, play};
use pairlight_wire::device::SCOPE_ALL;
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::{DeviceList, RemovalReason};
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::sign::{Signed, SigningContext};
use pairlight_wire::standing::{Discrepancy, Standing};
use pairlight_wire::{List, Wire};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const PATIENCE: Duration = Duration::from_secs(60);
const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;

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

    /// Where it holds a secret, as it finds by walking everything that it has.
    async fn keys(&mut self) -> Vec<String> {
        self.hears(json!({ "keys": true })).await;
        serde_json::from_value(self.until("keys").await["held"].take()).unwrap()
    }
}

/// A linked device that is online, with the phone and the phone's line.
struct Pair {
    world: World,
    phone: Primary,
    line: Connection,
    linked: Linked,
    device: DeviceId,
    store: SharedStore,
}

impl Pair {
    async fn online() -> Option<Self> {
        let world = World::start().await;
        let mut linked = Linked::start(&["link", &world.relay.url()])?;
        let store = open_store(world.folder.path(), "phone");
        let (client, clock) = (world.client.clone(), world.time.clock());
        let phone = Primary::open_at(store.clone(), client, Policy::DEVELOPMENT, "phone", clock).await.unwrap();
        let device = link(&mut linked, &phone).await;
        linked.until("welcome").await;
        let line = phone.connect().await.unwrap();
        Some(Self { world, phone, line, linked, device, store })
    }

    /// The first event of the phone's line that is wanted.
    async fn phone_hears<T>(&self, what: &str, mut wanted: impl FnMut(&ConnectionEvent) -> Option<T>) -> T {
        let heard = tokio::time::timeout(PATIENCE, async {
            loop {
                let event = self.line.next_event().await.expect("the line ended");
                if let Some(found) = wanted(&event) {
                    return found;
                }
            }
        });
        heard.await.unwrap_or_else(|_| panic!("the phone does not hear of {what}"))
    }

    /// A message each way, which the other side opens.
    async fn talk(&mut self, there: &str, back: &str) {
        self.line.send(self.device, EnvelopeKind::Application, there.as_bytes()).await.unwrap();
        assert_eq!(self.linked.until("message").await["body"], there);
        self.answer(back).await;
    }

    async fn answer(&mut self, back: &str) {
        self.linked.hears(json!({ "send": back })).await;
        let body = self.phone_hears(back, |event| match event {
            ConnectionEvent::Message { body, .. } => Some(body.clone()),
            ConnectionEvent::Unreadable { .. } => panic!("a message that cannot be opened"),
            _ => None,
        });
        assert_eq!(body.await, back.as_bytes());
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
    link_seeing(linked, primary).await.0
}

/// Links, and says whether the device proved that it is one which lapsed.
async fn link_seeing(linked: &mut Linked, primary: &Primary) -> (DeviceId, bool) {
    let code = linked.until("code").await;
    let payload = QrPayload::parse(code["text"].as_str().unwrap()).unwrap();
    let pairing = primary.link(payload, ScanSource::LiveCamera).await.unwrap();
    let mut known = false;
    loop {
        match pairing.next_event().await.unwrap() {
            PrimaryEvent::Review(_) => pairing.approve().await.unwrap(),
            PrimaryEvent::ShowCheckCode(code) => linked.hears(json!({ "type": code.to_display() })).await,
            PrimaryEvent::EvidenceChecked { bit: EvidenceBit::KnownDevice, finding } => {
                known = finding == Finding::Proven
            }
            PrimaryEvent::Linked(device) => return (device, known),
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

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_answers_a_phone_that_asks_for_a_new_session() {
    let Some(mut pair) = Pair::online().await else { return };
    pair.talk("before", "before too").await;
    pair.linked.hears(json!({ "spoil": true })).await;
    // D8: six in a row, and the phone asks. It notes the reset in the list, which the device follows.
    for sent in 0..6 {
        pair.linked.hears(json!({ "send": format!("lost {sent}") })).await;
        pair.phone_hears("what it cannot open", |event| {
            matches!(event, ConnectionEvent::Unreadable { .. }).then_some(())
        })
        .await;
    }
    // Its last record and the list reach the device by two ways, in either order.
    let (mut reset, mut listed) = (None, None);
    while reset.is_none() || listed.is_none() {
        let said = pair.linked.says().await;
        match said["event"].as_str() {
            Some("session_reset") => reset = said["asked"].as_bool(),
            Some("list") => listed = said["epoch"].as_u64(),
            Some("failed") => panic!("{said}"),
            _ => {}
        }
    }
    assert_eq!((reset, listed), (Some(false), Some(3)));
    let device = pair.device;
    let reset = |event: &ConnectionEvent| matches!(event, ConnectionEvent::SessionReset { peer } if *peer == device);
    pair.phone_hears("the new session", |event| reset(event).then_some(())).await;
    pair.talk("there", "and back").await;
    pair.talk("again", "and again").await;
    // A report names the new session, and its counts, which begin anew, are believed.
    pair.linked.hears(json!({ "report": true })).await;
    assert_eq!(pair.linked.until("leased").await["standing"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_asks_for_a_new_session_when_it_opens_nothing_any_more() {
    let Some(mut pair) = Pair::online().await else { return };
    pair.talk("before", "before too").await;
    pair.linked.hears(json!({ "spoil": true })).await;
    for sent in 1..=6 {
        pair.line.send(pair.device, EnvelopeKind::Application, b"lost").await.unwrap();
        assert_eq!(pair.linked.until("unreadable").await["count"], sent);
    }
    assert_eq!(pair.linked.until("session_reset").await["asked"], true);
    let device = pair.device;
    let reset = |event: &ConnectionEvent| matches!(event, ConnectionEvent::SessionReset { peer } if *peer == device);
    pair.phone_hears("the new session", |event| reset(event).then_some(())).await;
    // It began this session: until it has heard from the phone, each of its messages is a pre-key message.
    pair.answer("first").await;
    pair.answer("second").await;
    pair.talk("there", "and back").await;
    pair.linked.hears(json!({ "report": true })).await;
    assert_eq!(pair.linked.until("leased").await["standing"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_follows_the_signed_list_as_it_changes() {
    let Some(mut pair) = Pair::online().await else { return };
    let tablet = pair.world.linked("tablet").await.unwrap();
    let other = play(&pair.phone, &tablet, "tablet", Person::Agrees).await.primary.unwrap();
    let devices = |said: &Value| -> Vec<String> { serde_json::from_value(said["devices"].clone()).unwrap() };
    let said = pair.linked.until("list").await;
    assert_eq!((said["epoch"].as_u64(), devices(&said).len()), (Some(3), 3), "{said}");
    assert!(devices(&said).contains(&hex::encode(other.as_bytes())));
    // The ops key may take a device off.
    pair.phone.revoke(other, RemovalReason::Revoked).await.unwrap();
    let said = pair.linked.until("list").await;
    assert_eq!((said["epoch"].as_u64(), devices(&said).len()), (Some(4), 2), "{said}");
    pair.talk("there", "and back").await;
    pair.linked.hears(json!({ "report": true })).await;
    assert_eq!(pair.linked.until("leased").await["epoch"], 4);
}

/// The root key of an account, out of its record: the first of its seeds.
fn root_key(account: &Account) -> SigningKey {
    let record = account.encode();
    let at = record.windows(2).position(|head| head == [0x58, 0x20]).unwrap() + 2;
    let key = SigningKey::from_seed(&record[at..at + 32].try_into().unwrap());
    assert_eq!(key.public(), account.root_pk());
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_follows_a_signed_root_rotation_and_refuses_an_unsigned_one() {
    let Some(pair) = Pair::online().await else { return };
    let Pair { world, phone, line, mut linked, device, store } = pair;
    let account = store.run(|store| store.account()).await.unwrap().unwrap();
    let now = (world.time.clock())();
    let next = account.rotate_root(now, &mut boxed_rng()).unwrap();
    let new_root = root_key(&next);
    // What follows the list that the device knows, but for its last rotation; signed as a list all the same.
    let bent = |bend: &dyn Fn(&mut Vec<Signed>)| {
        let mut list = DeviceList::decode(next.list().signed().payload.as_slice()).unwrap();
        let mut roots = list.roots.as_slice().to_vec();
        bend(&mut roots);
        list.roots = List::new(roots).unwrap();
        new_root.sign_payload(SigningContext::DeviceList, list.encode()).unwrap()
    };
    let by_itself = |roots: &mut Vec<Signed>| {
        let payload = roots[0].payload.as_slice().to_vec();
        roots[0] = new_root.sign_payload(SigningContext::RootRotate, payload).unwrap();
    };
    let as_another_record = |roots: &mut Vec<Signed>| {
        let payload = roots[0].payload.as_slice().to_vec();
        roots[0] = root_key(&account).sign_payload(SigningContext::DeviceList, payload).unwrap();
    };
    let cases = [
        ("signed by the root key before", bent(&|_| {}), true),
        ("not signed", bent(&|roots| roots[0].sig = [0; 64]), false),
        ("a bit of the signature", bent(&|roots| roots[0].sig[40] ^= 1), false),
        ("signed by the new key", bent(&by_itself), false),
        ("signed as something else", bent(&as_another_record), false),
        ("no rotation at all", bent(&|roots| roots.clear()), false),
        ("twice", bent(&|roots| roots.push(roots[0].clone())), false),
    ];
    for (what, list, follows) in cases {
        let ops = hex::encode(next.ops_cert().encode());
        linked.hears(json!({ "list": hex::encode(list.encode()), "ops": ops })).await;
        let said = linked.until("judged").await;
        assert_eq!(said["follows"], follows, "{what}: {said}");
    }

    // And over the relay: the device follows, takes leases under the new key, and goes on talking.
    drop(line);
    phone.rotate_root().await.unwrap();
    let said = linked.until("list").await;
    assert_eq!((said["epoch"].as_u64(), said["devices"].as_array().map(Vec::len)), (Some(3), Some(2)), "{said}");
    let line = phone.connect().await.unwrap();
    let mut pair = Pair { world, phone, line, linked, device, store };
    pair.linked.hears(json!({ "report": true })).await;
    assert_eq!(pair.linked.until("leased").await["epoch"], 3);
    pair.talk("under the new key", "and back").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_takes_notices_as_notices_and_no_messages() {
    let Some(mut pair) = Pair::online().await else { return };
    let tablet = pair.world.linked("tablet").await.unwrap();
    let other = play(&pair.phone, &tablet, "tablet", Person::Agrees).await.primary.unwrap();
    let mut notice = async |what: &str| loop {
        let said = pair.linked.says().await;
        assert!(said["event"] != "message" && said["event"] != "failed", "{said}");
        if said["event"] == "notice" && said["what"] == what {
            assert_eq!(said["device"], hex::encode(other.as_bytes()));
            return said;
        }
    };
    assert_eq!(notice("linked").await["removal"], Value::Null);
    pair.phone.revoke(other, RemovalReason::Revoked).await.unwrap();
    assert_eq!(notice("removed").await["removal"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_that_is_removed_says_why_and_holds_no_key_any_more() {
    let Some(mut pair) = Pair::online().await else { return };
    pair.talk("there", "and back").await;
    let held = pair.linked.keys().await;
    for secret in ["secrets.seed", "secrets.device.key", "account.labelKey", "secrets.conversation.ratchet.root"] {
        assert!(held.iter().any(|path| path == secret), "{secret} is not among {held:?}");
    }
    pair.phone.revoke(pair.device, RemovalReason::Revoked).await.unwrap();
    let said = pair.linked.until("removed").await;
    assert_eq!((&said["reason"], &said["words"]), (&json!(0), &json!("revoked by the person")));
    assert_eq!(pair.linked.keys().await, Vec::<String>::new());
    for line in [json!({ "send": "still there?" }), json!({ "report": true }), json!({ "link": true })] {
        pair.linked.hears(line).await;
        assert_eq!(pair.linked.until("not_done").await["why"], "removed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_typescript_device_locks_after_its_lease_and_comes_back_by_a_new_link_alone() {
    let Some(mut pair) = Pair::online().await else { return };
    pair.talk("there", "and back").await;
    // 30 days of the lease are over; it locks a day later.
    pair.linked.hears(json!({ "pass": 30 * DAY_MS + HOUR_MS })).await;
    pair.linked.until("silent").await;
    pair.linked.hears(json!({ "pass": 22 * HOUR_MS })).await;
    pair.linked.hears(json!({ "keys": true })).await;
    let said = pair.linked.until("keys").await;
    assert!(said["held"].as_array().unwrap().len() > 2, "a day is not over: {said}");
    pair.linked.hears(json!({ "pass": HOUR_MS + 60_000 })).await;
    pair.linked.until("locked").await;
    assert_eq!(pair.linked.keys().await, ["secrets.device.key", "secrets.seed"], "what a new link takes, and no more");
    for line in [json!({ "send": "still there?" }), json!({ "report": true })] {
        pair.linked.hears(line).await;
        assert_eq!(pair.linked.until("not_done").await["why"], "locked");
    }
    pair.world.time.pass(32 * DAY_MS);

    // The same device, known by its key.
    pair.linked.hears(json!({ "link": true })).await;
    let (same, known) = link_seeing(&mut pair.linked, &pair.phone).await;
    assert_eq!(same, pair.device);
    assert!(known, "it proved that it is the one that lapsed");
    assert_eq!(pair.phone.devices().await.unwrap().len(), 2);
    pair.linked.until("welcome").await;
    pair.talk("welcome back", "here again").await;

    // Nobody comes within 90 days: erased.
    pair.linked.hears(json!({ "pass": 90 * DAY_MS })).await;
    assert_eq!(pair.linked.until("removed").await["words"], "it did not report for too long");
    assert_eq!(pair.linked.keys().await, Vec::<String>::new());
}
