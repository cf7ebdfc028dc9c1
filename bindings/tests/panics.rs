//! A panic in any exported function becomes `Internal`, and the next call works; a call that nobody waits for any more ends. A
//! program of its own: panics and waits are planted through a file that its environment names. Prints how soon work ended.

mod common;
#[path = "common/exported.rs"]
mod exported;
#[path = "common/wait.rs"]
mod wait;

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use common::{SoftKey, start_relay};
use pairlight_bindings::*;
use wait::until;

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

struct Silent;

impl LogSink for Silent {
    fn line(&self, _: LogLevel, _: String, _: String) -> Result<(), PairlightError> {
        Ok(())
    }
}

struct Yes;

impl Approver for Yes {
    fn confirms(&self, _: String) -> Result<bool, PairlightError> {
        Ok(true)
    }
}

/// Where the name of the function that shall panic is written.
fn file() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| PathBuf::from(std::env::var_os("PAIRLIGHT_PANIC_IN").expect("given by the parent")))
}

fn plant(name: &str) {
    std::fs::write(file(), name).unwrap();
}

fn is_internal<T>(name: &str, outcome: Result<T, PairlightError>) {
    assert_eq!(outcome.err(), Some(PairlightError::Internal { what: name.to_owned() }), "{name}");
}

/// What was tried, and how long it took from the end of the waiting to the end of the work.
struct Tried(Vec<String>, Vec<(Duration, String)>);

impl Tried {
    async fn call<T, F>(&mut self, name: &str, call: impl Fn() -> F)
    where
        F: Future<Output = Result<T, PairlightError>>,
    {
        plant(name);
        is_internal(name, call().await);
        // Held in the middle, and given up.
        let idle = settled().await;
        plant(&format!("hold {name}"));
        let held = tokio::time::timeout(Duration::from_millis(5), call()).await;
        assert!(held.is_err(), "{name} was not held");
        let given_up = Instant::now();
        while activity().unwrap().tasks > idle {
            tokio::time::sleep(Duration::from_micros(100)).await;
            assert!(given_up.elapsed() < PATIENCE, "the work of {name} goes on");
        }
        self.1.push((given_up.elapsed(), name.to_owned()));
        plant("");
        self.0.push(name.to_owned());
    }

    fn now<T>(&mut self, name: &str, call: impl FnOnce() -> Result<T, PairlightError>) {
        plant(name);
        is_internal(name, call());
        plant("");
        self.0.push(name.to_owned());
    }
}

/// The tasks of the library, once their number holds still.
async fn settled() -> u32 {
    let (mut tasks, mut still) = (activity().unwrap().tasks, 0);
    while still < 10 {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let now = activity().unwrap().tasks;
        still = if now == tasks { still + 1 } else { 0 };
        tasks = now;
    }
    tasks
}

fn dark_frame() -> (Vec<u8>, FrameInfo) {
    let info = FrameInfo {
        width: 64,
        height: 64,
        row_stride: 64,
        pixel_stride: 1,
        turn: Turn::None,
        mirrored: false,
        crop: None,
        taken_ms: 1,
    };
    (vec![0; 64 * 64], info)
}

#[test]
fn a_panic_planted_in_each_exported_function_is_an_internal_error_and_the_process_lives() {
    let folder = tempfile::tempdir().unwrap();
    let planted = folder.path().join("planted");
    std::fs::write(&planted, "").unwrap();
    // A child with the environment that this program must not set for itself: threads may read it already.
    if std::env::var_os("PAIRLIGHT_PANIC_IN").is_none() {
        let me = std::env::current_exe().unwrap();
        let child = std::process::Command::new(me)
            .args([
                "--nocapture",
                "--exact",
                "a_panic_planted_in_each_exported_function_is_an_internal_error_and_the_process_lives",
            ])
            .env("PAIRLIGHT_PANIC_IN", &planted)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&child.stdout);
        assert!(child.status.success(), "{said}");
        said.lines().filter(|line| line.contains("given up")).for_each(|line| println!("{line}"));
        return;
    }
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(each());
}

async fn each() {
    let (_relay, address) = start_relay().await;
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut tried = Tried(Vec::new(), Vec::new());

    tried.now("explain", || explain(b"x".to_vec()));
    tried.now("activity", activity);
    tried.now("set_log_level", || set_log_level(LogLevel::Info));
    tried.now("start_logging", || start_logging(LogLevel::Info, Arc::new(Silent)));
    tried.now("shutdown", shutdown);

    tried.now("Scanner.new", || Scanner::new(false));
    let scanner = Scanner::new(false).unwrap();
    let (plane, info) = dark_frame();
    tried.now("Scanner.submit", || scanner.submit(&plane, info.clone()));
    tried.call("Scanner.wait_for_report", || scanner.wait_for_report()).await;
    tried.now("Scanner.take_report", || scanner.take_report());
    tried.now("Scanner.rearm", || scanner.rearm());
    tried.now("Scanner.counts", || scanner.counts());
    tried.now("Scanner.stop", || scanner.stop());
    // Not a call of the app's, but it runs because of one: the app hears of it, and the next frame is read.
    plant("Scanner.read");
    scanner.submit(&plane, info.clone()).unwrap();
    assert!(scanner.wait_for_report().await.unwrap());
    is_internal("Scanner.read", scanner.take_report());
    plant("");
    scanner.submit(&plane, info).unwrap();
    assert!(scanner.wait_for_report().await.unwrap() && scanner.take_report().unwrap().is_some());

    let open = || {
        let (path, address) = (path("phone.db"), address.clone());
        let hooks = PrimaryHooks { approver: Some(Arc::new(Yes)), ..PrimaryHooks::default() };
        PrimaryAccount::open(path, Arc::new(SoftKey), address, PolicyPreset::Development, "P".into(), hooks)
    };
    tried.call("PrimaryAccount.open", open).await;
    let phone = open().await.unwrap();
    let nobody = "00".repeat(16);
    tried.call("PrimaryAccount.link", || phone.link(Vec::new(), Source::Pasted)).await;
    tried.call("PrimaryAccount.resume", || phone.resume()).await;
    tried.call("PrimaryAccount.sync", || phone.sync()).await;
    tried.call("PrimaryAccount.devices", || phone.devices()).await;
    tried.call("PrimaryAccount.removed_devices", || phone.removed_devices()).await;
    tried.call("PrimaryAccount.revoke", || phone.revoke(nobody.clone())).await;
    tried.call("PrimaryAccount.revoke_all", || phone.revoke_all()).await;
    tried.call("PrimaryAccount.rename", || phone.rename(nobody.clone(), "x".into())).await;
    tried.call("PrimaryAccount.confirm", || phone.confirm(nobody.clone())).await;
    tried.call("PrimaryAccount.fork", || phone.fork()).await;
    tried.call("PrimaryAccount.keep_own_list", || phone.keep_own_list()).await;
    tried.call("PrimaryAccount.due_alerts", || phone.due_alerts()).await;
    tried.call("PrimaryAccount.create_recovery", || phone.create_recovery()).await;
    tried.call("PrimaryAccount.rotate_root", || phone.rotate_root()).await;
    let (credential, rp_id) = (vec![1], "example.com".to_owned());
    let passkey = Passkey { credential: credential.clone(), public_key: Vec::new(), rp_id, origins: Vec::new() };
    tried.call("PrimaryAccount.register_passkey", || phone.register_passkey(passkey.clone())).await;
    tried.call("PrimaryAccount.forget_passkey", || phone.forget_passkey(credential.clone())).await;
    tried.call("PrimaryAccount.passkeys", || phone.passkeys()).await;
    let recovered = || {
        let (words, key, preset) = ("words".into(), Arc::new(SoftKey), PolicyPreset::Balanced);
        recover_account(words, path("other.db"), key, address.clone(), preset, "P".into(), PrimaryHooks::default())
    };
    tried.call("recover_account", recovered).await;

    let open = || LinkedAccount::open(path("laptop.db"), Arc::new(SoftKey), address.clone(), LinkedHooks::default());
    tried.call("LinkedAccount.open", open).await;
    let laptop = open().await.unwrap();
    let begin = || laptop.link("L".into(), "os".into(), "app".into());
    tried.call("LinkedAccount.standing", || laptop.standing()).await;
    tried.call("LinkedAccount.link", begin).await;
    tried.call("LinkedAccount.relink", || laptop.relink("L".into(), "os".into(), "app".into())).await;
    tried.call("LinkedAccount.keep_own_list", || laptop.keep_own_list()).await;
    tried.call("LinkedAccount.resume", || laptop.resume()).await;
    tried.call("LinkedAccount.sync", || laptop.sync()).await;
    tried.call("LinkedAccount.forget", || laptop.forget()).await;

    // What is set up by itself is set up before calls are tried: tasks of it would be counted as theirs.
    let linking = begin().await.unwrap();
    let text = loop {
        if let Some(LinkingEvent::ShowCode { code }) = linking.next_event().await.unwrap() {
            break code.text;
        }
    };
    tried.call("LinkingFlow.next_event", || linking.next_event()).await;
    tried.call("LinkingFlow.enter_check_code", || linking.enter_check_code("1".into())).await;
    tried.call("LinkingFlow.show_again", || linking.show_again()).await;
    tried.call("LinkingFlow.cancel", || linking.cancel()).await;
    tried.call("LinkingFlow.give_evidence", || linking.give_evidence(None, None)).await;
    tried.call("LinkingFlow.heard", || linking.heard(String::new())).await;
    tried.now("LinkingFlow.tap_word", || linking.tap_word());

    let pairing = phone.link(text.into_bytes(), Source::LiveCamera).await.unwrap();
    while !matches!(pairing.next_event().await.unwrap().expect("a review"), PairingEvent::Review { .. }) {}
    while linking.next_event().await.unwrap().expect("a claim") != LinkingEvent::Claimed {}
    tried.call("PairingFlow.next_event", || pairing.next_event()).await;
    tried.call("PairingFlow.approve", || pairing.approve()).await;
    plant("PairingFlow.confirm");
    is_internal("PairingFlow.confirm", pairing.approve().await);
    plant("");
    tried.call("PairingFlow.approve_again", || pairing.approve_again()).await;
    tried.call("PairingFlow.decline", || pairing.decline()).await;
    tried.call("PairingFlow.cancel", || pairing.cancel()).await;
    tried.call("PairingFlow.tapped", || pairing.tapped(TapMedium::Nfc, Vec::new())).await;
    tried.call("PairingFlow.judge", || pairing.judge(true)).await;
    // After all that the pairing goes on as if nothing had been.
    pairing.approve().await.unwrap();
    loop {
        match pairing.next_event().await.unwrap().expect("an end") {
            PairingEvent::ShowCheckCode { digits } => {
                while linking.next_event().await.unwrap() != Some(LinkingEvent::EnterCheckCode) {}
                linking.enter_check_code(digits).await.unwrap();
            }
            PairingEvent::Linked { .. } => break,
            PairingEvent::Failed { reason } => panic!("{reason:?}"),
            _ => {}
        }
    }

    let sync = phone.sync().await.unwrap();
    until(&sync, |event| matches!(event, SyncEvent::Line { event: LineEvent::Online }).then_some(())).await;
    tried.call("Sync.next_event", || sync.next_event()).await;
    tried.call("Sync.conversations", || sync.conversations()).await;
    tried.call("Sync.messages", || sync.messages(nobody.clone(), None, 1)).await;
    tried.call("Sync.search", || sync.search("x".into(), 1)).await;
    tried.call("Sync.begin_conversation", || sync.begin_conversation("x".into())).await;
    tried.call("Sync.send", || sync.send(nobody.clone(), "x".into(), "y".into(), None, Vec::new())).await;
    tried.call("Sync.edit_message", || sync.edit_message(nobody.clone(), "y".into())).await;
    tried.call("Sync.delete_message", || sync.delete_message(nobody.clone())).await;
    tried.call("Sync.mark_read", || sync.mark_read(nobody.clone(), 1)).await;
    tried.call("Sync.signal", || sync.signal("x".into(), 1, Vec::new())).await;
    tried.call("Sync.send_bytes", || sync.send_bytes(nobody.clone(), Vec::new())).await;
    tried.call("Sync.history", || sync.history()).await;
    tried.call("Sync.cancel_history", || sync.cancel_history(nobody.clone())).await;
    tried.call("Sync.retry_history", || sync.retry_history(nobody.clone())).await;
    tried.call("Sync.presence_shown", || sync.presence_shown(nobody.clone())).await;
    tried.call("Sync.ask_older", || sync.ask_older(nobody.clone(), 1, 1)).await;
    tried.call("Sync.is_in_step", || sync.is_in_step()).await;
    tried.call("Sync.repair", || sync.repair()).await;
    tried.call("Sync.begin_file", || sync.begin_file()).await;
    tried.call("Sync.file", || sync.file(nobody.clone())).await;
    tried.call("Sync.want_file", || sync.want_file(nobody.clone(), 1)).await;
    tried.call("Sync.file_piece", || sync.file_piece(nobody.clone(), 0)).await;
    let file = sync.begin_file().await.unwrap();
    tried.call("NewFile.write", || file.write(vec![1])).await;
    tried.call("NewFile.finish", || file.finish("x".into(), "y".into())).await;
    let talk = sync.begin_conversation("Kim".into()).await.unwrap();
    sync.send(talk.clone(), "me".into(), "still here".into(), None, Vec::new()).await.unwrap();
    assert_eq!(sync.messages(talk, None, 9).await.unwrap().len(), 1);
    tried.now("Sync.stop", || sync.stop());

    // Drawing a code is no call of the app's either: a fault in it is one of ours, and threads that were ended meanwhile are none.
    let linking = begin().await.unwrap();
    plant("LinkingFlow.event");
    is_internal("LinkingFlow.next_event", linking.next_event().await);
    drop(linking);
    let linking = begin().await.unwrap();
    plant("hold LinkingFlow.event");
    let held = tokio::time::timeout(Duration::from_millis(50), linking.next_event()).await;
    assert!(held.is_err(), "an event came while its drawing was held");
    shutdown().unwrap();
    plant("");
    assert_eq!(linking.next_event().await, Err(PairlightError::Ended));

    tried.1.sort();
    let worst = tried.1.last().unwrap();
    println!("{} calls given up: to no work left {} us at worst, {}", tried.1.len(), worst.0.as_micros(), worst.1);
    tried.0.sort();
    assert_eq!(tried.0, exported::functions(), "each exported function has its panic here");
}
