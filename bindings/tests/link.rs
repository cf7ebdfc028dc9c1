//! A whole link through the binding objects, from a drawn code to messages both ways.

#[path = "common/camera.rs"]
mod camera;
mod common;
#[path = "common/wait.rs"]
mod wait;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use camera::photograph;
use common::{SoftKey, start_relay};
use pairlight_bindings::*;
use wait::until;

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// A person who unlocks the phone at the second request.
#[derive(Debug, Default)]
struct Hesitant(AtomicU32);

impl Approver for Hesitant {
    fn confirms(&self, device_name: String) -> Result<bool, PairlightError> {
        assert_eq!(device_name, "Laptop");
        let thread = std::thread::current().name().unwrap_or_default().to_owned();
        assert!(thread.starts_with("pairlight-"), "asked on {thread}");
        Ok(self.0.fetch_add(1, Ordering::SeqCst) > 0)
    }
}

/// A clock that stands an hour before the system's.
struct Slow;

impl Clock for Slow {
    fn now_ms(&self) -> Result<u64, PairlightError> {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        Ok(since.as_millis() as u64 - 3_600_000)
    }
}

static LINES: Mutex<Vec<(LogLevel, String, String)>> = Mutex::new(Vec::new());

struct Notebook;

impl LogSink for Notebook {
    fn line(&self, level: LogLevel, place: String, text: String) -> Result<(), PairlightError> {
        LINES.lock().unwrap().push((level, place, text));
        // A notebook that is full ends nothing.
        Err(PairlightError::Ended)
    }
}

struct Folder(tempfile::TempDir);

impl Folder {
    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    async fn phone(&self, relay: &RelayAddress, clock: Option<Arc<dyn Clock>>) -> PrimaryAccount {
        let (path, person) = (self.path("phone.db"), Arc::<Hesitant>::default());
        let hooks = PrimaryHooks { approver: Some(person), clock, ..PrimaryHooks::default() };
        let (key, relay, policy) = (Arc::new(SoftKey), relay.clone(), PolicyPreset::Development);
        PrimaryAccount::open(path, key, relay, policy, "Phone".into(), hooks).await.unwrap()
    }
}

/// The next report, waited for and taken.
async fn next_report(scanner: &Scanner) -> ScanReport {
    assert!(scanner.wait_for_report().await.unwrap(), "the scanner has ended");
    scanner.take_report().unwrap().expect("nobody else takes it")
}

#[tokio::test]
async fn a_scanned_plane_becomes_a_linked_device_that_can_talk() {
    start_logging(LogLevel::Trace, Arc::new(Notebook)).unwrap();
    assert!(matches!(start_logging(LogLevel::Trace, Arc::new(Notebook)), Err(PairlightError::Misuse { .. })));
    let (_relay, address) = start_relay().await;
    let folder = Folder(tempfile::tempdir().unwrap());
    let phone = folder.phone(&address, None).await;
    let laptop = LinkedAccount::open(folder.path("laptop.db"), Arc::new(SoftKey), address, LinkedHooks::default())
        .await
        .unwrap();
    assert_eq!(laptop.standing().await.unwrap(), None);
    let linking = laptop.link("Laptop".into(), "Linux".into(), "test".into()).await.unwrap();
    let Some(LinkingEvent::ShowCode { code }) = linking.next_event().await.unwrap() else { panic!("no code") };

    let scanner = Scanner::new(false).unwrap();
    let (luma, info) = photograph(&code);
    assert_eq!(scanner.submit(&luma, info.clone()).unwrap(), FrameFate::Waits);
    let report = next_report(&scanner).await;
    let scanned = report.codes.first().expect("the plane is read");
    assert!(scanned.meaning.is_offer && scanned.is_new && scanned.version == 4);
    assert_eq!((report.width, report.height), (info.width, info.height));
    scanner.submit(&luma, info.clone()).unwrap();
    assert!(!next_report(&scanner).await.codes[0].is_new, "a content is new once");
    scanner.rearm().unwrap();
    scanner.submit(&luma, info.clone()).unwrap();
    assert!(next_report(&scanner).await.codes[0].is_new, "and again when asked for");
    let short = scanner.submit(&luma[..100], info);
    assert!(matches!(short, Err(PairlightError::Misuse { .. })), "a short buffer is the caller's mistake");

    let pairing = phone.link(scanned.bytes.clone(), Source::LiveCamera).await.unwrap();
    let (mut device, mut secrets) = (None, vec![code.text.clone()]);
    while let Some(event) = pairing.next_event().await.unwrap() {
        match event {
            PairingEvent::Review { approval } => {
                assert_eq!(approval.device_name, "Laptop");
                assert_eq!(pairing.approve().await, Err(PairlightError::NotConfirmed), "nobody unlocked the phone");
                pairing.approve().await.unwrap();
            }
            PairingEvent::ShowCheckCode { digits } => {
                assert_eq!(digits.len(), 7);
                secrets.push(digits.clone());
                while linking.next_event().await.unwrap() != Some(LinkingEvent::EnterCheckCode) {}
                linking.enter_check_code(digits).await.unwrap();
            }
            PairingEvent::Linked { device: id } => device = Some(id),
            PairingEvent::Failed { reason } => panic!("{reason:?}"),
            _ => {}
        }
    }
    assert_eq!(pairing.next_event().await, Ok(None), "the end stays the end");
    assert_eq!(pairing.approve().await, Err(PairlightError::Ended));
    let mut primary = None;
    while let Some(event) = linking.next_event().await.unwrap() {
        if let LinkingEvent::Linked { primary: id, .. } = event {
            primary = id;
        }
    }
    let (device, primary) = (device.unwrap(), primary.unwrap());
    assert_eq!(laptop.standing().await.unwrap().unwrap().device, device);
    phone.rename(device.clone(), "Kim's laptop".into()).await.unwrap();
    let devices = phone.devices().await.unwrap();
    assert_eq!(
        devices.iter().map(|known| known.name.as_deref()).collect::<Vec<_>>(),
        [Some("Phone"), Some("Kim's laptop")]
    );

    let (phone_line, laptop_line) = (phone.sync().await.unwrap(), laptop.sync().await.unwrap());
    laptop_line.send_bytes(primary.clone(), b"hello".to_vec()).await.unwrap();
    let arrived = until(&phone_line, |event| match event {
        SyncEvent::Line { event: LineEvent::Message { body, .. } } => Some(body),
        _ => None,
    });
    assert_eq!(arrived.await, b"hello");
    let talk = laptop_line.begin_conversation("Kim".into()).await.unwrap();
    laptop_line.send(talk.clone(), "me".into(), "see you at eight".into(), None, Vec::new()).await.unwrap();
    let group = until(&phone_line, |event| match event {
        SyncEvent::Changed { records } => records.into_iter().find(|record| record.collection == "message")?.group,
        _ => None,
    });
    assert_eq!(group.await, talk);
    let page = phone_line.messages(talk, None, 10).await.unwrap();
    assert_eq!((page.len(), page[0].text.as_str()), (1, "see you at eight"));
    // The report of the linked device came with its line.
    assert!(phone.devices().await.unwrap().iter().any(|known| known.last_check_in_ms.is_some()));

    phone.revoke(device).await.unwrap();
    until(&laptop_line, |event| match event {
        SyncEvent::Line { event: LineEvent::Removed { .. } } => Some(()),
        SyncEvent::Line { event: LineEvent::Failed { error } } => panic!("{error}"),
        _ => None,
    })
    .await;
    assert_eq!(laptop.standing().await.unwrap(), None, "a removed device keeps nothing");
    assert_eq!(phone.removed_devices().await.unwrap().len(), 1);
    let foreign = phone.link(b"https://example.org".to_vec(), Source::LiveCamera).await;
    assert!(matches!(foreign.map(|_| ()), Err(PairlightError::Misuse { .. })));

    let lines = LINES.lock().unwrap().clone();
    assert!(lines.iter().any(|(level, ..)| *level >= LogLevel::Debug), "nothing was told: {lines:?}");
    assert!(lines.iter().all(|(_, place, _)| place.starts_with("pairlight")));
    secrets.extend(["see you at eight".to_owned(), "hello".to_owned(), "Kim".to_owned()]);
    for secret in secrets {
        assert_eq!(lines.iter().find(|(.., text)| text.contains(&secret)), None, "a line holds a secret");
    }
}

#[tokio::test]
async fn the_newest_frame_wins_and_what_was_announced_is_not_lost() {
    let (_relay, address) = start_relay().await;
    let folder = Folder(tempfile::tempdir().unwrap());
    let laptop = LinkedAccount::open(folder.path("laptop.db"), Arc::new(SoftKey), address, LinkedHooks::default())
        .await
        .unwrap();
    let linking = laptop.link("Laptop".into(), "Linux".into(), "test".into()).await.unwrap();
    let Some(LinkingEvent::ShowCode { code }) = linking.next_event().await.unwrap() else { panic!("no code") };
    let (luma, info) = photograph(&code);

    let scanner = Scanner::new(false).unwrap();
    for _ in 0..200 {
        scanner.submit(&luma, info.clone()).unwrap();
    }
    let all = async {
        loop {
            let counts = scanner.counts().unwrap();
            if counts.scanned + counts.dropped == counts.submitted {
                return counts;
            }
            tokio::task::yield_now().await;
        }
    };
    let counts = tokio::time::timeout(PATIENCE, all).await.expect("frames are left");
    assert_eq!(counts.submitted, 200);
    assert!(counts.scanned >= 1 && counts.dropped >= 1, "{counts:?}");
    // Nobody took a report meanwhile: one is left, and it still announces the code. Who only waited took nothing.
    assert_eq!(scanner.wait_for_report().await, Ok(true));
    let report = next_report(&scanner).await;
    assert_eq!(report.codes.iter().filter(|code| code.is_new).count(), 1);
    scanner.stop().unwrap();
    assert_eq!(scanner.wait_for_report().await, Ok(false));
    assert_eq!(scanner.take_report(), Ok(None));
    assert_eq!(scanner.submit(&luma, info), Err(PairlightError::Ended));
}

#[tokio::test]
async fn a_call_that_is_dropped_ends_its_work_and_leaves_the_account_usable() {
    let (_relay, address) = start_relay().await;
    let folder = Folder(tempfile::tempdir().unwrap());
    let phone = folder.phone(&address, Some(Arc::new(Slow))).await;
    {
        // Polled once, then dropped while it waits for the disk or the network.
        let mut link = Box::pin(phone.revoke("00".repeat(16)));
        let once = std::future::poll_fn(|context| std::task::Poll::Ready(link.as_mut().poll(context).is_pending()));
        assert!(once.await, "it waits");
    }
    assert!(matches!(phone.revoke("00".repeat(16)).await, Err(PairlightError::Misuse { .. })));
    let linked = phone.devices().await.unwrap()[0].linked_ms;
    assert!(Slow.now_ms().unwrap().abs_diff(linked) < 600_000, "the app's clock counts");
}
