//! One side of a link that somebody kills: the victim of `tests/tests/link_crash.rs`.
//!
//! `link_victim <linked|primary> <folder> <relay url> <kill at>` plays one side. It counts the write points of its store and
//! the events of its machine, and dies by SIGKILL at the one with the number `kill at` (`never` plays to the end).
//! `link_victim <linked|primary> <folder> <relay url> resume` is the next start of that side, on a clock that runs fast.
//! Talks by lines: `code <text>`, `digits <code>`, `asks`, `end <linked|reason>`, `points <passed>`.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use pairlight_core::Timestamp;
use pairlight_core::net::{Clock, LinkedDevice, Linking, Pairing, Primary, RelayClient, SharedStore, system_clock};
use pairlight_core::pairing::{LinkedEvent, PrimaryEvent};
use pairlight_core::store::{KeyFile, Probe, Store};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_tests::world::{boxed_rng, description};
use pairlight_wire::qr::QrPayload;

/// After a restart time runs this much faster, so that what takes ten minutes of waiting takes seconds.
const FAST: u64 = 100;

/// Counts points and dies at one of them.
#[derive(Clone)]
struct Fate {
    passed: Arc<AtomicU64>,
    at: Option<u64>,
}

impl Fate {
    fn pass(&self) {
        if Some(self.passed.fetch_add(1, Ordering::SeqCst)) == self.at {
            let own = std::process::id().to_string();
            // Not exit: no destructor, no flush, no goodbye.
            let _ = std::process::Command::new("kill").args(["-KILL", &own]).status();
            loop {
                std::thread::park();
            }
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the test listens");
}

fn hear() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the test speaks");
    line.trim().to_owned()
}

fn open(folder: &Path, fate: Option<Fate>) -> SharedStore {
    let key = KeyFile::open_or_create(&folder.join("store.key"), boxed_rng()).expect("a key file");
    // Opening has crash tests of its own: the count begins when the store stands.
    let counting = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let armed = Arc::clone(&counting);
    let on_write: Option<Box<dyn FnMut(_) + Send>> = fate.map(|fate| {
        Box::new(move |_| {
            if armed.load(Ordering::SeqCst) {
                fate.pass();
            }
        }) as Box<dyn FnMut(_) + Send>
    });
    let probe = Probe { on_write, max_pages: None };
    let store = Store::open_probed(&folder.join("store.db"), &key, boxed_rng(), probe).expect("a store");
    counting.store(true, Ordering::SeqCst);
    SharedStore::new(store)
}

fn fast_clock() -> Clock {
    let (real, start) = (system_clock(), Instant::now());
    let begun = real();
    Arc::new(move || {
        let passed = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        Timestamp::from_unix_ms(begun.unix_ms() + passed * FAST)
    })
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [role, folder, url, mode] = args.as_slice() else { panic!("link_victim <role> <folder> <url> <mode>") };
    let folder = Path::new(folder);
    let endpoint = RelayClient::discover(url).await.expect("the relay answers");
    let client = RelayClient::new(endpoint).expect("a client");
    let resuming = mode == "resume";
    let fate = Fate { passed: Arc::default(), at: mode.parse().ok() };
    match role.as_str() {
        "linked" if resuming => {
            let device = LinkedDevice::open_at(open(folder, None), client, fast_clock()).await.expect("opens");
            match device.resume().await.expect("resumes") {
                None => say("end nothing to resume"),
                Some(linking) => follow_linked(linking, None).await,
            }
        }
        "linked" => {
            let device = LinkedDevice::open(open(folder, Some(fate.clone())), client).await.expect("opens");
            follow_linked(device.link(description("victim")), Some(&fate)).await;
        }
        "primary" if resuming => {
            let store = open(folder, None);
            let opened = Primary::open_at(store, client, Policy::DEVELOPMENT, "victim", fast_clock()).await;
            for pairing in opened.expect("opens").resume().await.expect("resumes") {
                follow_primary(pairing, None).await;
            }
            say("end resumed");
        }
        _ => {
            let store = open(folder, None);
            let opened = Primary::open(store, client.clone(), Policy::DEVELOPMENT, "victim").await.expect("opens");
            opened.register().await.expect("registers");
            drop(opened);
            // The account stands: the count begins with the link.
            let store = open(folder, Some(fate.clone()));
            let primary = Primary::open(store, client, Policy::DEVELOPMENT, "victim").await.expect("opens again");
            let payload = QrPayload::parse(&hear()).expect("a code");
            let pairing = primary.link(payload, ScanSource::LiveCamera).await.expect("links");
            follow_primary(pairing, Some(&fate)).await;
        }
    }
    say(&format!("points {}", fate.passed.load(Ordering::SeqCst)));
}

async fn follow_linked(linking: Linking, fate: Option<&Fate>) {
    while let Some(event) = linking.next_event().await {
        if let Some(fate) = fate {
            fate.pass();
        }
        match event {
            LinkedEvent::ShowCode { text, .. } => say(&format!("code {text}")),
            LinkedEvent::EnterCheckCode => {
                say("asks");
                linking.enter_check_code(&hear()).await.expect("alive");
            }
            LinkedEvent::Linked(_) => say("end linked"),
            LinkedEvent::Failed(reason) => say(&format!("end {reason:?}")),
            _ => {}
        }
    }
}

async fn follow_primary(pairing: Pairing, fate: Option<&Fate>) {
    while let Some(event) = pairing.next_event().await {
        if let Some(fate) = fate {
            fate.pass();
        }
        match event {
            PrimaryEvent::Review(_) => pairing.approve().await.expect("alive"),
            PrimaryEvent::ApproveAgain { .. } => pairing.approve_again().await.expect("alive"),
            PrimaryEvent::ShowCheckCode(code) => say(&format!("digits {}", code.to_display())),
            PrimaryEvent::Linked(_) => say("end linked"),
            PrimaryEvent::Failed(reason) => say(&format!("end {reason:?}")),
            _ => {}
        }
    }
}
