//! How long each exported function keeps the thread that calls it: a phone draws its screen on that thread. Prints the times;
//! what fails is a function that is not measured, and one that calls the app back on the app's own thread.

#[path = "common/camera.rs"]
mod camera;
mod common;
#[path = "common/exported.rs"]
mod exported;
#[path = "common/passkey.rs"]
mod passkey;
#[path = "common/wait.rs"]
mod wait;

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use camera::photograph;
use common::{SoftKey, start_relay};
use pairlight_bindings::*;
use wait::until;

/// Times the same story is played; of each function the median and the worst of its calls count.
const ROUNDS: usize = 5;

fn on_a_thread_of_the_library() {
    let thread = std::thread::current().name().unwrap_or_default().to_owned();
    assert!(thread.starts_with("pairlight-"), "called back on {thread}");
}

struct Person;

impl Approver for Person {
    fn confirms(&self, _: String) -> Result<bool, PairlightError> {
        on_a_thread_of_the_library();
        // As long as a person takes: nobody may wait for it.
        std::thread::sleep(Duration::from_millis(50));
        Ok(true)
    }
}

struct SlowKey;

impl KeyWrap for SlowKey {
    fn wrap(&self, key: Vec<u8>) -> Result<Vec<u8>, PairlightError> {
        on_a_thread_of_the_library();
        std::thread::sleep(Duration::from_millis(50));
        SoftKey.wrap(key)
    }

    fn unwrap_key(&self, wrapped: Vec<u8>) -> Result<Vec<u8>, PairlightError> {
        self.wrap(wrapped)
    }
}

struct Quiet;

impl LogSink for Quiet {
    fn line(&self, _: LogLevel, _: String, _: String) -> Result<(), PairlightError> {
        Ok(())
    }
}

/// Time of this thread, without what it waited for a processor that others had: what a call blocks or computes.
struct Stopwatch {
    began: Instant,
    queued: Duration,
}

impl Stopwatch {
    fn start() -> Self {
        Self { queued: Self::queued(), began: Instant::now() }
    }

    /// As the kernel counts it; nothing where it does not.
    fn queued() -> Duration {
        let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        Duration::from_nanos(stat.split(' ').nth(1).and_then(|nanos| nanos.parse().ok()).unwrap_or_default())
    }

    fn stop(self) -> Duration {
        let took = self.began.elapsed();
        took.saturating_sub(Self::queued().saturating_sub(self.queued))
    }
}

/// What each function took of its caller's thread: the sum over the polls of one call.
#[derive(Default)]
struct Held(Mutex<BTreeMap<&'static str, Vec<Duration>>>);

impl Held {
    fn note(&self, name: &'static str, took: Duration) {
        self.0.lock().unwrap().entry(name).or_default().push(took);
    }

    fn now<T>(&self, name: &'static str, call: impl FnOnce() -> T) -> T {
        let watch = Stopwatch::start();
        let outcome = call();
        self.note(name, watch.stop());
        outcome
    }

    async fn call<T>(&self, name: &'static str, call: impl Future<Output = T>) -> T {
        let mut call = pin!(call);
        let mut took = Duration::ZERO;
        let outcome = std::future::poll_fn(|context| {
            let watch = Stopwatch::start();
            let polled = call.as_mut().poll(context);
            took += watch.stop();
            polled
        })
        .await;
        self.note(name, took);
        outcome
    }
}

async fn story(held: &Held, address: &RelayAddress) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let preset = PolicyPreset::Development;

    // The first round begins it, the others are refused: both are calls.
    let _ = held.now("start_logging", || start_logging(LogLevel::Info, Arc::new(Quiet)));
    held.now("set_log_level", || set_log_level(LogLevel::Warn)).unwrap();
    held.now("activity", activity).unwrap();
    held.now("explain", || explain(vec![b'1'; 2_953])).unwrap();

    let (hooks, key) =
        (PrimaryHooks { approver: Some(Arc::new(Person)), ..PrimaryHooks::default() }, Arc::new(SlowKey));
    let open = PrimaryAccount::open(path("p.db"), key, address.clone(), preset, "P".into(), hooks);
    let phone = held.call("PrimaryAccount.open", open).await.unwrap();
    assert!(held.call("PrimaryAccount.resume", phone.resume()).await.unwrap().is_empty());
    let words = held.call("PrimaryAccount.create_recovery", phone.create_recovery()).await.unwrap();
    let open = LinkedAccount::open(path("l.db"), Arc::new(SlowKey), address.clone(), LinkedHooks::default());
    let laptop = held.call("LinkedAccount.open", open).await.unwrap();
    assert!(held.call("LinkedAccount.standing", laptop.standing()).await.unwrap().is_none());
    assert!(held.call("LinkedAccount.resume", laptop.resume()).await.unwrap().is_none());

    // A link that is declined, and one that is cancelled on each side.
    for end in 0..3 {
        let linking = laptop.link("L".into(), "os".into(), "app".into()).await.unwrap();
        held.call("LinkingFlow.show_again", linking.show_again()).await.unwrap();
        let Some(LinkingEvent::ShowCode { code }) = linking.next_event().await.unwrap() else { panic!("no code") };
        let pairing = phone.link(code.text.into_bytes(), Source::Pasted).await.unwrap();
        while !matches!(pairing.next_event().await.unwrap(), Some(PairingEvent::Review { .. })) {}
        match end {
            0 => held.call("PairingFlow.decline", pairing.decline()).await.unwrap(),
            1 => held.call("PairingFlow.cancel", pairing.cancel()).await.unwrap(),
            _ => held.call("LinkingFlow.cancel", linking.cancel()).await.unwrap(),
        }
        while pairing.next_event().await.unwrap().is_some() {}
    }

    let link = laptop.link("Laptop".into(), "os".into(), "app".into());
    let linking = held.call("LinkedAccount.link", link).await.unwrap();
    let Some(LinkingEvent::ShowCode { code }) =
        held.call("LinkingFlow.next_event", linking.next_event()).await.unwrap()
    else {
        panic!("no code")
    };
    let scanner = held.now("Scanner.new", || Scanner::new(true)).unwrap();
    let (plane, info) = photograph(&code);
    held.now("Scanner.submit", || scanner.submit(&plane, info)).unwrap();
    assert!(held.call("Scanner.wait_for_report", scanner.wait_for_report()).await.unwrap());
    let report = held.now("Scanner.take_report", || scanner.take_report()).unwrap().unwrap();
    held.now("Scanner.rearm", || scanner.rearm()).unwrap();
    held.now("Scanner.counts", || scanner.counts()).unwrap();
    held.now("Scanner.stop", || scanner.stop()).unwrap();
    // Nobody's key.
    let passkey = passkey::registration(&[7; 32]);
    held.call("PrimaryAccount.register_passkey", phone.register_passkey(passkey.clone())).await.unwrap();
    assert_eq!(held.call("PrimaryAccount.passkeys", phone.passkeys()).await.unwrap().len(), 1);
    held.call("PrimaryAccount.forget_passkey", phone.forget_passkey(passkey.credential)).await.unwrap();
    let link = phone.link(report.codes[0].bytes.clone(), Source::LiveCamera);
    let pairing = held.call("PrimaryAccount.link", link).await.unwrap();
    let mut device = None;
    while let Some(event) = held.call("PairingFlow.next_event", pairing.next_event()).await.unwrap() {
        match event {
            PairingEvent::Review { .. } => held.call("PairingFlow.approve", pairing.approve()).await.unwrap(),
            PairingEvent::ShowCheckCode { digits } => {
                while linking.next_event().await.unwrap() != Some(LinkingEvent::EnterCheckCode) {}
                held.call("LinkingFlow.heard", linking.heard("00".repeat(16))).await.unwrap();
                held.call("LinkingFlow.give_evidence", linking.give_evidence(None, Some(vec![1; 4_096])))
                    .await
                    .unwrap();
                let word = held.now("LinkingFlow.tap_word", || linking.tap_word()).unwrap().unwrap();
                held.call("PairingFlow.tapped", pairing.tapped(TapMedium::Cable, word)).await.unwrap();
                held.call("PairingFlow.judge", pairing.judge(false)).await.unwrap();
                held.call("LinkingFlow.enter_check_code", linking.enter_check_code(digits)).await.unwrap();
            }
            PairingEvent::Linked { device: id } => device = Some(id),
            PairingEvent::Failed { reason } => panic!("{reason:?}"),
            _ => {}
        }
    }
    // Nobody asks twice under the policy of developers; the person is asked all the same.
    assert_eq!(held.call("PairingFlow.approve_again", pairing.approve_again()).await, Err(PairlightError::Ended));
    while linking.next_event().await.unwrap().is_some() {}
    let device = device.unwrap();

    let here = held.call("PrimaryAccount.sync", phone.sync()).await.unwrap();
    let there = held.call("LinkedAccount.sync", laptop.sync()).await.unwrap();
    held.call("Sync.next_event", there.next_event()).await.unwrap();
    let talk = held.call("Sync.begin_conversation", there.begin_conversation("Kim".into())).await.unwrap();
    let file = held.call("Sync.begin_file", there.begin_file()).await.unwrap();
    held.call("NewFile.write", file.write(vec![7; 256 * 1024])).await.unwrap();
    let taken = held.call("NewFile.finish", file.finish("a".into(), "b".into())).await.unwrap();
    let send = there.send(talk.clone(), "me".into(), "look".into(), None, vec![taken.clone()]);
    let message = held.call("Sync.send", send).await.unwrap();
    until(&here, |event| match event {
        SyncEvent::FileMoved { .. } => Some(()),
        _ => None,
    })
    .await;
    held.call("Sync.file", here.file(taken.file.clone())).await.unwrap();
    held.call("Sync.want_file", here.want_file(taken.file.clone(), taken.size)).await.unwrap();
    held.call("Sync.file_piece", here.file_piece(taken.file.clone(), 0)).await.unwrap();
    held.call("Sync.edit_message", there.edit_message(message.clone(), "look here".into())).await.unwrap();
    assert_eq!(held.call("Sync.conversations", here.conversations()).await.unwrap().len(), 1);
    assert_eq!(held.call("Sync.messages", here.messages(talk.clone(), None, 50)).await.unwrap().len(), 1);
    held.call("Sync.search", here.search("look".into(), 50)).await.unwrap();
    held.call("Sync.mark_read", here.mark_read(talk.clone(), 1)).await.unwrap();
    held.call("Sync.signal", here.signal("typing".into(), 1_000, vec![1; 1_000])).await.unwrap();
    held.call("Sync.send_bytes", here.send_bytes(device.clone(), vec![1; 10_000])).await.unwrap();
    held.call("Sync.history", here.history()).await.unwrap();
    held.call("Sync.cancel_history", here.cancel_history(device.clone())).await.unwrap();
    held.call("Sync.retry_history", here.retry_history(device.clone())).await.unwrap();
    held.call("Sync.presence_shown", here.presence_shown(device.clone())).await.unwrap();
    held.call("Sync.ask_older", there.ask_older(talk, 1, 1)).await.unwrap();
    held.call("Sync.is_in_step", here.is_in_step()).await.unwrap();
    held.call("Sync.repair", here.repair()).await.unwrap();
    held.call("Sync.delete_message", here.delete_message(message)).await.unwrap();
    held.now("Sync.stop", || here.stop()).unwrap();
    while here.next_event().await.unwrap().is_some() {}
    held.now("(a line is closed)", || drop((here, there)));

    let devices = held.call("PrimaryAccount.devices", phone.devices()).await.unwrap();
    assert_eq!(devices.len(), 2);
    held.call("PrimaryAccount.rename", phone.rename(device.clone(), "Kim's".into())).await.unwrap();
    held.call("PrimaryAccount.confirm", phone.confirm(device.clone())).await.unwrap();
    held.call("PrimaryAccount.due_alerts", phone.due_alerts()).await.unwrap();
    held.call("PrimaryAccount.fork", phone.fork()).await.unwrap();
    held.call("PrimaryAccount.keep_own_list", phone.keep_own_list()).await.unwrap();
    held.call("LinkedAccount.keep_own_list", laptop.keep_own_list()).await.unwrap();
    let relink = laptop.relink("L".into(), "os".into(), "app".into());
    drop(held.call("LinkedAccount.relink", relink).await.unwrap());
    held.call("PrimaryAccount.revoke", phone.revoke(device)).await.unwrap();
    // Nobody is left to be removed.
    let nobody = held.call("PrimaryAccount.revoke_all", phone.revoke_all()).await;
    assert!(matches!(nobody, Err(PairlightError::Misuse { .. })), "{nobody:?}");
    assert_eq!(held.call("PrimaryAccount.removed_devices", phone.removed_devices()).await.unwrap().len(), 1);
    held.call("PrimaryAccount.rotate_root", phone.rotate_root()).await.unwrap();
    held.call("LinkedAccount.forget", laptop.forget()).await.unwrap();
    let (file, key) = (path("n.db"), Arc::new(SlowKey));
    let recover = recover_account(words, file, key, address.clone(), preset, "N".into(), PrimaryHooks::default());
    let recovered = held.call("recover_account", recover).await.unwrap();
    held.now("(an account is closed)", || drop((phone, laptop, recovered)));
    held.now("shutdown", shutdown).unwrap();
}

#[test]
fn each_function_is_measured_on_the_thread_that_calls_it() {
    let servers = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (_relay, address) = servers.block_on(start_relay());
    // The main thread of an app: one, and nothing else runs on it.
    let main = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let held = Held::default();
    for _ in 0..ROUNDS {
        main.block_on(story(&held, &address));
    }
    let mut held = held.0.into_inner().unwrap();
    let mut rows: Vec<_> = held
        .iter_mut()
        .map(|(name, calls)| {
            calls.sort();
            (calls[calls.len() / 2], *calls.last().unwrap(), calls.len(), *name)
        })
        .collect();
    rows.sort();
    rows.reverse();
    println!("time on the caller's thread, development build: median, worst, calls, function");
    for (median, worst, calls, name) in rows.iter().take(12) {
        println!("{:>7} us {:>7} us {calls:>4}  {name}", median.as_micros(), worst.as_micros());
    }
    let worst = rows.iter().map(|row| (row.1, row.3)).max().unwrap();
    println!("worst of all {} functions: {} us, {}", rows.len(), worst.0.as_micros(), worst.1);
    let mut measured: Vec<_> = rows.iter().map(|row| row.3.to_owned()).filter(|name| !name.starts_with('(')).collect();
    measured.sort();
    assert_eq!(measured, exported::functions(), "each exported function is measured");
}
