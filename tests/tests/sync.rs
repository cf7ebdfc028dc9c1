//! Records in step over a real relay: live, offline, several devices, history, and what lies on the disk.

use std::path::Path;
use std::time::Duration;

use pairlight_core::net::{LinkedDevice, Primary, Sync, SyncUpdate, SyncUpdates};
use pairlight_core::store::Cursor;
use pairlight_core::sync::messages::{self, Message};
use pairlight_core::sync::{Change, HistoryStanding};
use pairlight_core::trust::{Grant, Policy};
use pairlight_tests::world::{Person, World, play};
use pairlight_wire::device::{Preset, SCOPE_RECEIVE};
use pairlight_wire::file::PIECE_BYTES;

const TALK: &[u8; 16] = b"the conversation";

fn id_of(number: u64) -> [u8; 16] {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

fn say(number: u64, text: &str) -> Change {
    messages::put_message(TALK, &id_of(number), 1_000 + number, &Message::text("Kim", text)).unwrap()
}

/// Takes events until `done` says so.
async fn until(sync: &Sync, what: &str, mut done: impl AsyncFnMut(&Sync) -> bool) {
    let wait = async {
        loop {
            if done(sync).await {
                return;
            }
            tokio::select! {
                event = sync.next_event() => match event {
                    Some(SyncUpdates::Line(event)) => {
                        use pairlight_core::net::ConnectionEvent::*;
                        assert!(!matches!(event, Failed(_) | Refused(_)), "{event:?}");
                    }
                    Some(SyncUpdates::Update(_)) => {}
                    None => panic!("the line ended while waiting for {what}"),
                },
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(120), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

async fn texts(sync: &Sync) -> Vec<String> {
    let page = sync.messages(TALK.to_vec(), Cursor::NEWEST, 100_000).await.unwrap();
    page.into_iter().map(|entry| entry.value.text.as_str().to_owned()).collect()
}

async fn linked(world: &World, phone: &Primary, name: &str) -> LinkedDevice {
    let device = world.linked(name).await.unwrap();
    play(phone, &device, name, Person::Agrees).await.linked.unwrap();
    device
}

/// Serves a device in the background, as an app's main loop does.
fn serve(sync: Sync) -> std::sync::Arc<Sync> {
    let sync = std::sync::Arc::new(sync);
    let weak = std::sync::Arc::downgrade(&sync);
    tokio::spawn(async move {
        loop {
            let Some(sync) = weak.upgrade() else { return };
            // Short turns, so that the last owner can drop it.
            if let Ok(None) = tokio::time::timeout(Duration::from_millis(100), sync.next_event()).await {
                return;
            }
        }
    });
    sync
}

#[tokio::test(flavor = "multi_thread")]
async fn history_then_live_writes_edits_and_deletes_reach_every_device() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let sync = phone.sync().await.unwrap();
    let mut old = vec![messages::put_conversation(TALK, "Talk", 1).unwrap()];
    old.extend((0..3_000).map(|n| say(n, &format!("old {n} {}", "abc ".repeat(usize::try_from(n % 60).unwrap())))));
    sync.write(old).await.unwrap();
    let sync = serve(sync);
    let laptop = linked(&world, &phone, "laptop").await;
    let tablet = linked(&world, &phone, "tablet").await;
    let laptop = laptop.sync().await.unwrap();
    let tablet = tablet.sync().await.unwrap();
    for device in [&laptop, &tablet] {
        until(device, "the history", async |device| {
            let history = device.history().await.unwrap();
            history.first().is_some_and(|progress| progress.standing == HistoryStanding::Done)
        })
        .await;
        let progress = device.history().await.unwrap().remove(0);
        assert_eq!((progress.records, progress.total), (3_001, 3_001));
        assert_eq!(texts(device).await.len(), 3_000);
        assert_eq!(device.conversations().await.unwrap()[0].title, "Talk");
    }
    let tablet = serve(tablet);
    laptop.write(vec![say(5_000, "from the laptop"), say(0, "edited")]).await.unwrap();
    laptop.write(vec![messages::delete_message(&id_of(1)).unwrap()]).await.unwrap();
    until(&laptop, "both others to have it", async |_| {
        let (a, b) = (texts(&sync).await, texts(&tablet).await);
        [a, b].iter().all(|all| {
            all.len() == 3_000 && all[0] == "from the laptop" && all.last().is_some_and(|last| last == "edited")
        })
    })
    .await;
    until(&laptop, "the acknowledgement", async |laptop| laptop.is_in_step().await.unwrap()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_offline_goes_out_later_and_a_signal_only_now() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let laptop = linked(&world, &phone, "laptop").await;
    let line = laptop.sync().await.unwrap();
    // The phone is away; so is the laptop, right after it wrote.
    line.write(vec![say(1, "written while nobody listens")]).await.unwrap();
    drop(line);
    let sync = serve(phone.sync().await.unwrap());
    let line = laptop.sync().await.unwrap();
    until(&line, "the phone to have it", async |_| texts(&sync).await == ["written while nobody listens"]).await;
    sync.signal("typing", 60_000, b"Kim").await.unwrap();
    let wait = async {
        loop {
            if let Some(SyncUpdates::Update(SyncUpdate::Signal { name, body, .. })) = line.next_event().await {
                assert_eq!((name.as_str(), body.as_slice()), ("typing", &b"Kim"[..]));
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the signal never came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_line_ends_although_somebody_waits_for_its_events_and_what_is_written_then_goes_out_by_the_next() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let laptop = linked(&world, &phone, "laptop").await;
    let line = std::sync::Arc::new(laptop.sync().await.unwrap());
    let online = |event: &SyncUpdates| matches!(event, SyncUpdates::Line(pairlight_core::net::ConnectionEvent::Online));
    while !online(&line.next_event().await.expect("the line")) {}
    let held = std::sync::Arc::clone(&line);
    let waiting = tokio::spawn(async move { while held.next_event().await.is_some() {} });
    line.end();
    tokio::time::timeout(Duration::from_secs(20), waiting).await.expect("it waits for ever").unwrap();
    line.write(vec![say(1, "written after the end")]).await.unwrap();
    assert_eq!(texts(&line).await, ["written after the end"]);

    let sync = serve(phone.sync().await.unwrap());
    let next = laptop.sync().await.unwrap();
    until(&next, "the phone to have it", async |_| texts(&sync).await == ["written after the end"]).await;
}

async fn content(sync: &Sync, hash: [u8; 32]) -> Vec<u8> {
    let mut all = Vec::new();
    while let Some(piece) = sync.file_piece(hash, (all.len() / PIECE_BYTES) as u64).await.unwrap() {
        all.extend_from_slice(&piece);
        if piece.len() < PIECE_BYTES {
            break;
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_goes_to_the_phone_by_itself_and_to_another_device_when_it_is_wanted() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let laptop = linked(&world, &phone, "laptop").await;
    let tablet = linked(&world, &phone, "tablet").await;
    // Several answers long, and not a whole number of pieces.
    let film: Vec<u8> =
        (0..11 * PIECE_BYTES as u32 + 12_345).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let line = laptop.sync().await.unwrap();
    let info = line.add_file(std::io::Cursor::new(film.clone())).await.unwrap();
    assert_eq!((info.size, info.is_complete(), info.is_owed), (film.len() as u64, true, true));
    let again = line.add_file(std::io::Cursor::new(film.clone())).await.unwrap();
    assert_eq!(again.hash, info.hash, "the same content is the same file");

    let tablet = tablet.sync().await.unwrap();
    tablet.want_file(info.hash, info.size).await.unwrap();
    let sync = serve(phone.sync().await.unwrap());
    let line = serve(line);
    // The phone has nothing yet and says so; the tablet hears again when it has.
    until(&tablet, "the file on the tablet", async |tablet| {
        tablet.file(info.hash).await.unwrap().is_some_and(|info| info.is_complete())
    })
    .await;
    assert!(content(&tablet, info.hash).await == film);
    assert!(content(&sync, info.hash).await == film);
    until(&tablet, "the laptop to know", async |_| !line.file(info.hash).await.unwrap().unwrap().is_owed).await;

    let empty = sync.add_file(std::io::empty()).await.unwrap();
    assert!(tablet.want_file(empty.hash, 0).await.unwrap().is_complete());
    tablet.want_file([9; 32], 5).await.unwrap();
    until(&tablet, "that nobody has it", async |tablet| tablet.file([9; 32]).await.unwrap().unwrap().is_missing).await;
    assert!(tablet.want_file([8; 32], u64::MAX).await.is_err(), "too long");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_goes_on_where_it_was_after_either_side_was_away() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let laptop = linked(&world, &phone, "laptop").await;
    let film: Vec<u8> = (0..40 * PIECE_BYTES as u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let mut sync = phone.sync().await.unwrap();
    let info = sync.add_file(std::io::Cursor::new(film.clone())).await.unwrap();
    let mut line = laptop.sync().await.unwrap();
    line.want_file(info.hash, info.size).await.unwrap();
    let (mut breaks, mut before) = (0, 0);
    let go_on = async {
        loop {
            let stored = line.file(info.hash).await.unwrap().unwrap();
            if stored.is_complete() {
                return (line, breaks);
            }
            // Each side in turn goes away in the middle, as often as there is a middle.
            if stored.stored > before && breaks < 4 {
                before = stored.stored;
                breaks += 1;
                if breaks % 2 == 0 {
                    drop(sync);
                    sync = phone.sync().await.unwrap();
                } else {
                    drop(line);
                    line = laptop.sync().await.unwrap();
                    assert!(line.file(info.hash).await.unwrap().unwrap().stored >= before, "nothing is lost");
                }
            }
            tokio::select! {
                _ = sync.next_event() => {}
                _ = line.next_event() => {}
                () = tokio::time::sleep(Duration::from_millis(20)) => {}
            }
        }
    };
    let moved = tokio::time::timeout(Duration::from_secs(200), go_on).await;
    let (line, breaks) = moved.expect("the transfer stands still");
    assert!(breaks >= 2, "{breaks}");
    assert!(content(&line, info.hash).await == film);
}

fn bytes_below(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(bytes_below(&path));
        } else if path.extension().is_none_or(|extension| extension != "key") {
            all.extend(std::fs::read(&path).unwrap());
        }
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn no_plaintext_is_on_any_disk_while_it_runs() {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let sync = phone.sync().await.unwrap();
    let mut all = vec![messages::put_conversation(TALK, "Zanzibarfahrt", 1).unwrap()];
    all.extend((0..500).map(|n| say(n, "Quittengelee")));
    sync.write(all).await.unwrap();
    let sync = serve(sync);
    let laptop = linked(&world, &phone, "laptop").await.sync().await.unwrap();
    until(&laptop, "the history", async |laptop| texts(laptop).await.len() == 500).await;
    // An attachment, whole on both; a search; an edit; a deletion.
    let sealed = b"Pflaumenmus".repeat(40_000);
    let file = sync.add_file(std::io::Cursor::new(sealed.clone())).await.unwrap();
    laptop.want_file(file.hash, file.size).await.unwrap();
    until(&laptop, "the file", async |laptop| {
        laptop.file(file.hash).await.unwrap().is_some_and(|known| known.is_complete())
    })
    .await;
    assert!(content(&laptop, file.hash).await == sealed);
    assert_eq!(laptop.search("QUITTEN".to_owned(), 1000).await.unwrap().len(), 500);
    laptop.write(vec![say(3, "Quittengelee, edited"), messages::delete_message(&id_of(4)).unwrap()]).await.unwrap();
    until(&laptop, "the phone to have it", async |_| texts(&sync).await.len() == 499).await;
    // Journals and all, as a thief or a crash would find them.
    let bytes = bytes_below(world.folder.path());
    assert!(bytes.len() > 100_000, "{} bytes", bytes.len());
    let secrets =
        [&b"Quittengelee"[..], b"QUITTEN", b"Zanzibarfahrt", b"Pflaumenmus", TALK, b"message", b"conversation"];
    for secret in secrets {
        let found = bytes.windows(secret.len()).any(|window| window == secret);
        assert!(!found, "{} lies on the disk", String::from_utf8_lossy(secret));
    }
    drop(sync);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_may_only_receive_goes_on_receiving_and_is_heard_later() {
    let world = World::start().await;
    let grant = Policy::DEVELOPMENT.medium.map(|grant| Grant { first: Some((SCOPE_RECEIVE, 3_600_000)), ..grant });
    let policy = Policy { preset: Preset::Custom, weak: grant, medium: grant, strong: grant, ..Policy::DEVELOPMENT };
    let phone = world.primary("phone", policy).await.unwrap();
    let sync = serve(phone.sync().await.unwrap());
    let laptop = linked(&world, &phone, "laptop").await;
    let line = laptop.sync().await.unwrap();
    line.write(vec![say(9_000, "too early")]).await.unwrap();
    // More than may be on their way unconfirmed: without the laptop's word nothing would go any more.
    for number in 0..80 {
        sync.write(vec![say(number, "from the phone")]).await.unwrap();
        until(&line, "each message", async |line| texts(line).await.len() > usize::try_from(number).unwrap()).await;
    }
    until(&line, "the phone to know", async |_| sync.is_in_step().await.unwrap()).await;
    assert!(!texts(&sync).await.contains(&"too early".to_owned()), "it may not send yet");
    // A running device asks by itself whether its first time is over.
    world.time.pass(3_600_000);
    until(&line, "the message of the laptop", async |_| texts(&sync).await.contains(&"too early".to_owned())).await;
    until(&line, "the acknowledgement", async |line| line.is_in_step().await.unwrap()).await;
}
