//! A primary device, three linked ones and a relay as programs of their own, killed, stopped, given wrong clocks and full
//! disks while they write: in the end all have the same records, byte for byte, and every write that was confirmed is
//! there or was followed by a later one. The judge is a plain map.
//!
//! `PAIRLIGHT_SYNC_FAULTS=5000` plays so many steps; `PAIRLIGHT_SEED` other ones.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use pairlight_core::net::{LinkedDevice, Primary, RelayClient, RelayEndpoint};
use pairlight_core::sync::messages::Message;
use pairlight_core::trust::Policy;
use pairlight_tests::binary::pairlight_binary;
use pairlight_tests::world::{Person, open_store, play};
use pairlight_wire::Wire;
use pairlight_wire::sync::SyncRecord;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng, SeedableRng};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const NAMES: [&str; 4] = ["phone", "laptop", "tablet", "desk"];
/// Messages that are written, again and again, on all devices.
const MESSAGES: u64 = 24;
/// No answer takes longer.
const PATIENCE: Duration = Duration::from_secs(120);

fn signal(child: &Child, name: &str) {
    let Some(id) = child.id() else { return };
    let sent = std::process::Command::new("kill").args([format!("-{name}"), id.to_string()]).status().unwrap();
    assert!(sent.success(), "no {name} for {id}");
}

/// The relay, in a folder that outlives it.
struct Relay {
    child: Child,
    address: String,
    folder: PathBuf,
}

impl Relay {
    fn launch(address: &str, folder: &Path) -> Child {
        Command::new(pairlight_binary())
            .args(["relay", "--quiet", "--limits", "generous", "--listen", address, "--data-dir"])
            .arg(folder)
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap()
    }

    async fn start(folder: &Path) -> Self {
        // A free port, kept through every restart.
        let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let relay = Self { child: Self::launch(&address, folder), address, folder: folder.to_owned() };
        relay.until_it_answers().await;
        relay
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    async fn until_it_answers(&self) -> RelayEndpoint {
        let wait = async {
            loop {
                match RelayClient::discover(&self.url()).await {
                    Ok(endpoint) => return endpoint,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("the relay never answers")
    }

    async fn restart(&mut self) {
        self.child.kill().await.unwrap();
        self.child = Self::launch(&self.address, &self.folder);
    }
}

/// One device that runs, or stands still.
struct Device {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    stopped: bool,
}

/// What every device of a world is started with.
struct Surroundings {
    folder: PathBuf,
    url: String,
    key: String,
}

impl Device {
    async fn start(world: &Surroundings, at: usize, clock_ms: i64, pages: Option<u64>) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_sync_victim"))
            .arg(if at == 0 { "primary" } else { "linked" })
            .arg(&world.folder)
            .args([NAMES[at], &world.url, &world.key, &clock_ms.to_string()])
            .arg(pages.map_or_else(|| "all".to_owned(), |pages| pages.to_string()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut device = Self { child, input, lines: BufReader::new(output).lines(), stopped: false };
        assert_eq!(device.hear().await, "ready", "{}", NAMES[at]);
        device
    }

    async fn say(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
    }

    async fn hear(&mut self) -> String {
        let line = tokio::time::timeout(PATIENCE, self.lines.next_line()).await.expect("a device stands still");
        line.unwrap().expect("a device ended by itself")
    }

    async fn records(&mut self) -> Vec<SyncRecord> {
        self.say("records").await;
        let mut all = Vec::new();
        loop {
            let line = self.hear().await;
            let Some(record) = line.strip_prefix("record ") else { break };
            all.push(SyncRecord::decode(&hex::decode(record).unwrap()).unwrap());
        }
        all.sort_by(|a, b| (a.collection.as_str(), a.id.as_slice()).cmp(&(b.collection.as_str(), b.id.as_slice())));
        all
    }
}

/// A version of a message: its clock and its device.
type Version = (u64, [u8; 16]);

/// What the judge knows of one message.
#[derive(Default)]
struct Known {
    /// The newest version that a device confirmed, and its text (`None`: deleted), if it was the write's own.
    newest: Option<(Version, Option<Option<String>>)>,
    /// Writes without an answer: they may have been stored.
    maybe: Vec<Option<String>>,
}

impl Known {
    fn confirm(&mut self, version: Version, text: Option<String>, own: bool) {
        // The same version may be named by another device first, which cannot say what it was.
        if own && self.newest.as_ref().is_none_or(|(newest, _)| *newest <= version) {
            self.newest = Some((version, Some(text)));
        } else if self.newest.as_ref().is_none_or(|(newest, _)| *newest < version) {
            self.newest = Some((version, None));
        }
    }

    /// Whether this can be what is left: a text, a tombstone, or nothing any more, where all devices had passed a tombstone.
    fn allows(&self, left: Option<(Version, Option<String>)>) -> bool {
        let Some((newest, written)) = &self.newest else {
            return left.is_none_or(|(_, text)| self.maybe.contains(&text));
        };
        match left {
            None => *written == Some(None) || self.maybe.contains(&None),
            Some((version, text)) if version == *newest => written.as_ref().is_none_or(|written| *written == text),
            Some((version, text)) => version > *newest && self.maybe.contains(&text),
        }
    }
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    // The relay's socket holds no bytes.
    let entries = entries.filter(|path| path.is_dir() || path.is_file());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

fn wanted(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().expect(name))
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_stops_full_disks_and_wrong_clocks_lose_and_invent_nothing() {
    let (steps, seed) = (wanted("PAIRLIGHT_SYNC_FAULTS", 300), wanted("PAIRLIGHT_SEED", 1));
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Relay::start(&folder.path().join("relay")).await;
    let endpoint = relay.until_it_answers().await;
    let key = hex::encode(endpoint.attestation_pk());
    let world = Surroundings { folder: folder.path().to_owned(), url: relay.url(), key };
    {
        let client = RelayClient::new(endpoint).unwrap();
        let store = open_store(folder.path(), NAMES[0]);
        let phone = Primary::open(store, client.clone(), Policy::DEVELOPMENT, NAMES[0]).await;
        let phone = phone.unwrap();
        for name in &NAMES[1..] {
            let device = LinkedDevice::open(open_store(folder.path(), name), client.clone()).await;
            let outcome = play(&phone, &device.unwrap(), name, Person::Agrees).await;
            outcome.linked.expect("linked");
        }
    }

    let mut devices = Vec::new();
    for at in 0..NAMES.len() {
        devices.push(Device::start(&world, at, 0, None).await);
    }
    let mut judge: BTreeMap<u64, Known> = BTreeMap::new();
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    let mut relay_stopped = false;
    let begun = Instant::now();
    for step in 0..steps {
        let mut dice = |sides: u32| rng.next_u32() % sides;
        let at = dice(4) as usize;
        let what = dice(100);
        let number = u64::from(dice(u32::try_from(MESSAGES).unwrap()));
        let text = (dice(6) != 0).then(|| format!("step {step} {}", "abc ".repeat(dice(40) as usize)));
        let order = text.as_ref().map_or_else(|| format!("delete {number}"), |text| format!("put {number} {text}"));
        let text = text.map(|text| text.trim_end().to_owned());
        let jump = i64::from(dice(43_200_000)) - 21_600_000;
        let (room, pause) = (u64::from(dice(12)), Duration::from_millis(u64::from(dice(30))));
        let count = match what {
            0..70 if !devices[at].stopped => {
                devices[at].say(order.trim_end()).await;
                let answer = devices[at].hear().await;
                let known = judge.entry(number).or_default();
                if answer == "done gone" {
                    known.maybe.push(text);
                    "writes"
                } else if let Some(version) = answer.strip_prefix("done ") {
                    let words: Vec<&str> = version.split(' ').collect();
                    let device: [u8; 16] = hex::decode(words[1]).unwrap().try_into().unwrap();
                    known.confirm((words[0].parse().unwrap(), device), text, words[2] == "own");
                    "writes"
                } else {
                    assert!(answer.starts_with("refused"), "{answer}");
                    "refused writes"
                }
            }
            // Killed while it writes, or soon after; back with another clock, sometimes on a disk that is nearly full.
            70..80 => {
                if !devices[at].stopped {
                    devices[at].say(order.trim_end()).await;
                    judge.entry(number).or_default().maybe.push(text);
                    tokio::time::sleep(pause).await;
                }
                devices[at].child.kill().await.unwrap();
                let bytes = std::fs::metadata(folder.path().join(format!("{}.db", NAMES[at]))).unwrap().len();
                let pages = (room < 4).then_some(bytes / 4096 + room);
                devices[at] = Device::start(&world, at, jump, pages).await;
                if pages.is_some() { "starts on a full disk" } else { "kills of a device" }
            }
            80..86 => {
                signal(&devices[at].child, if devices[at].stopped { "CONT" } else { "STOP" });
                devices[at].stopped = !devices[at].stopped;
                "stops of a device"
            }
            86..89 => {
                relay.restart().await;
                relay_stopped = false;
                "kills of the relay"
            }
            89..91 => {
                signal(&relay.child, if relay_stopped { "CONT" } else { "STOP" });
                relay_stopped = !relay_stopped;
                "stops of the relay"
            }
            _ => {
                tokio::time::sleep(pause).await;
                "pauses"
            }
        };
        *counts.entry(count).or_default() += 1;
    }
    println!("seed {seed}, {steps} steps in {:.1} s: {counts:?}", begun.elapsed().as_secs_f64());

    // Everything works again; the clocks are right, and the disks have room.
    relay.restart().await;
    relay.until_it_answers().await;
    for (at, device) in devices.iter_mut().enumerate() {
        device.child.kill().await.unwrap();
        *device = Device::start(&world, at, 0, None).await;
    }
    let begun = Instant::now();
    // When a tombstone may go, each device hears by itself: what must be alike is what is not deleted.
    let live = |records: &[SyncRecord]| -> Vec<SyncRecord> {
        records.iter().filter(|record| record.content.is_some()).cloned().collect()
    };
    let all = loop {
        let mut all = Vec::new();
        let mut in_step = true;
        for device in &mut devices {
            device.say("in-step").await;
            in_step &= device.hear().await == "in-step yes";
            all.push(device.records().await);
        }
        if in_step && all.windows(2).all(|two| live(&two[0]) == live(&two[1])) {
            break all.concat();
        }
        if begun.elapsed() > PATIENCE {
            let differ = |number: &u64| {
                let of = |records: &Vec<SyncRecord>| {
                    records.iter().find(|r| r.id.as_slice()[..8] == number.to_be_bytes()).cloned()
                };
                let versions: Vec<_> = all.iter().map(|records| of(records).map(|r| (r.clock, r.device))).collect();
                versions.windows(2).any(|two| two[0] != two[1]).then_some((*number, versions))
            };
            panic!(
                "never in step, by their own words {in_step}; records that differ: {:?}",
                (0..MESSAGES).filter_map(|n| differ(&n)).collect::<Vec<_>>()
            );
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    println!("in step {:.1} s after the last fault, {} records of all four", begun.elapsed().as_secs_f64(), all.len());
    for (number, known) in &judge {
        let mut id = [7; 16];
        id[..8].copy_from_slice(&number.to_be_bytes());
        let of_it = |record: &&SyncRecord| record.collection.as_str() == "message" && record.id.as_slice() == id;
        let left = all.iter().filter(of_it).max_by_key(|record| (record.clock, record.device.0));
        let left = left.map(|record| {
            let text = record.content.as_ref().map(|content| Message::decode(content.body.as_slice()).unwrap());
            let text = text.map(|message| message.text.as_str().trim_end().to_owned());
            ((record.clock, record.device.0), text)
        });
        assert!(
            known.allows(left.clone()),
            "message {number}: {left:?} is left, of {:?} or {:?}",
            known.newest,
            known.maybe
        );
    }
    assert!(counts["writes"] > steps / 4, "{counts:?}");
    // All of them were killed as they were: nothing that was written may lie on a disk in clear.
    for device in &mut devices {
        device.child.kill().await.unwrap();
    }
    drop(relay);
    let mut looked = 0;
    for path in files_below(folder.path()) {
        let bytes = std::fs::read(&path).unwrap();
        looked += bytes.len();
        for secret in [&b"abc abc"[..], b"step "] {
            let found = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!found, "plaintext in {}", path.display());
        }
    }
    assert!(looked > 100_000, "{looked}");
    let faults =
        ["kills of a device", "starts on a full disk", "stops of a device", "kills of the relay", "stops of the relay"];
    for what in faults {
        assert!(counts.contains_key(what), "no {what}: {counts:?}");
    }
}
