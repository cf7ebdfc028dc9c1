//! The history by hand, over a real relay: older messages, a transfer stopped and begun again, damage repaired.

use pairlight_core::net::{Primary, RelayClient, SharedStore, system_rng, system_time};
use pairlight_core::store::{Cursor, KeyFile, Store};
use pairlight_core::sync::messages::{self, Message};
use pairlight_core::sync::{HistoryStanding, Replica, SyncRole, Turn};
use pairlight_core::trust::Policy;
use pairlight_wire::id::to_hex;
use rand_core::Rng;

use super::link::{PATIENCE, Program, World};

const TALK: &[u8] = b"a conversation";
const MANY: u64 = 1200;

/// The store of a profile that no program uses now.
fn open(world: &World, profile: &str) -> Store {
    let folder = world.path(profile);
    let key = KeyFile::open_or_create(&folder.join("store.key"), Box::new(system_rng())).unwrap();
    Store::open(&folder.join("store.db"), &key, Box::new(system_rng())).unwrap()
}

/// Another program looks into the file.
fn raw(world: &World, profile: &str, statement: &str) {
    let conn = rusqlite::Connection::open(world.path(profile).join("store.db")).unwrap();
    assert!(conn.execute(statement, []).unwrap() > 0, "{statement}");
}

/// A phone with a long conversation, and a laptop that is linked to it and was not online since.
fn linked_with_history() -> World {
    let world = World::new();
    world.link_as("tablet");
    let mut store = open(&world, "phone");
    let own = store.account().unwrap().unwrap().device_id();
    let replica = Replica::new(own, SyncRole::Primary(Policy::DEVELOPMENT));
    let mut changes = vec![messages::put_conversation(TALK, "Kim", 1).unwrap()];
    for n in 0..MANY {
        // Random, so that packs in the store stay as long as they are.
        let mut text = [0; 60];
        system_rng().fill_bytes(&mut text);
        let message = Message::text("Kim", &format!("number {n} {}", to_hex(&text)));
        changes.push(messages::put_message(TALK, &n.to_be_bytes(), 1_700_000_000_000 + n * 1000, &message).unwrap());
    }
    let mut turn = Turn::begin(&mut store, system_time(), &mut system_rng()).unwrap();
    replica.write(&mut turn, changes).unwrap();
    turn.commit().unwrap();
    drop(store);
    world.link();
    world
}

fn texts(world: &World, profile: &str) -> usize {
    messages::messages(&open(world, profile), TALK, Cursor::NEWEST, 5000).unwrap().len()
}

fn run(world: &World, profile: &str, command: &[&str]) -> (i32, String) {
    let profile = world.text(profile);
    Program::start(&[&["messages", "--profile", &profile], command].concat()).end()
}

/// A phone that gives all of the history, online until it is dropped and knows that one device has all of it.
struct Phone(Option<tokio::sync::oneshot::Sender<()>>, Option<std::thread::JoinHandle<()>>);

impl Phone {
    fn online(world: &World) -> Self {
        let (store, url) = (SharedStore::new(open(world, "phone")), world.relay.url());
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let run = async move {
            let client = RelayClient::new(RelayClient::discover(&url).await.unwrap()).unwrap();
            let phone = Primary::open(store, client, Policy::DEVELOPMENT, "phone").await.unwrap();
            let line = phone.sync().await.unwrap();
            tokio::select! {
                _ = stopped => {}
                () = async { while line.next_event().await.is_some() {} } => {}
            }
            // The tablet never comes, so one is done.
            let one_has_all = async || {
                let transfers = line.history().await.unwrap();
                transfers.iter().any(|transfer| transfer.standing == HistoryStanding::Done)
            };
            let deadline = tokio::time::Instant::now() + PATIENCE;
            while !one_has_all().await {
                tokio::time::timeout_at(deadline, line.next_event()).await.expect("the last word of the laptop");
            }
        };
        let thread = std::thread::spawn(|| tokio::runtime::Runtime::new().unwrap().block_on(run));
        Self(Some(stop), Some(thread))
    }
}

impl Drop for Phone {
    fn drop(&mut self) {
        self.0.take();
        let ended = self.1.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

/// A terminal as the phone, online until it is interrupted; the histories have begun.
fn phone_online(world: &World) -> Program {
    let profile = world.text("phone");
    let mut phone = Program::start(&["messages", "--profile", &profile, "follow", "--format", "ndjson"]);
    phone.hear("\"event\":\"online\"");
    phone.heard("\"event\":\"history\"");
    phone
}

fn hang_up(program: Program) {
    program.interrupt();
    assert_eq!(program.end().0, 130);
}

#[test]
fn a_history_is_stopped_begun_again_completed_and_asked_for_anew_without_a_new_link() {
    let world = linked_with_history();
    for profile in ["phone", "laptop"] {
        let (code, said) = run(&world, profile, &["cancel"]);
        assert_eq!((code, said.contains("no transfer of history is under way")), (2, true), "{said}");
    }
    // It has begun, and the phone stops it before the laptop came.
    hang_up(phone_online(&world));
    let (code, said) = run(&world, "phone", &["cancel"]);
    assert_eq!((code, said.contains("stopped; `pairlight messages retry`")), (0, true), "{said}");
    let (_, said) = run(&world, "phone", &["status"]);
    assert!(said.contains("history: cancelled, 0 of 1201 records"), "{said}");
    // One message more, by which the next transfer is told from this one.
    assert_eq!(run(&world, "phone", &["send", "Kim", "one more"]).0, 0);
    let (code, said) = run(&world, "phone", &["retry"]);
    assert_eq!((code, said.contains("begun again")), (0, true), "{said}");
    // A terminal as the phone holds back what is old; the laptop stops even that, and both know.
    let phone = phone_online(&world);
    let profile = world.text("laptop");
    let mut laptop = Program::start(&["messages", "--profile", &profile, "follow", "--format", "ndjson"]);
    laptop.hear("\"standing\":\"held\",\"total\":1202");
    hang_up(laptop);
    let (code, said) = run(&world, "laptop", &["cancel"]);
    assert_eq!((code, said.contains("stopped; `pairlight messages retry`")), (0, true), "{said}");
    let (_, said) = run(&world, "laptop", &["status"]);
    assert!(said.contains("history: cancelled"), "{said}");
    hang_up(phone);
    // The laptop asks for all of it anew, and gets it.
    let (code, said) = run(&world, "laptop", &["retry"]);
    assert_eq!((code, said.contains("begun again")), (0, true), "{said}");
    let phone = Phone::online(&world);
    let complete = "history: complete, 1202 of 1202 records";
    let (code, said) = run(&world, "laptop", &["follow", "--once"]);
    assert_eq!((code, said.contains(complete)), (0, true), "{said}");
    assert_eq!(texts(&world, "laptop"), 1201);
    let (code, said) = run(&world, "laptop", &["cancel"]);
    assert_eq!((code, said.contains("no transfer of history is under way")), (2, true), "{said}");
    drop(phone);
    let (_, said) = run(&world, "phone", &["status"]);
    assert!(said.contains(complete), "the same on both sides: {said}");
    // What is complete is not sent once more; the tablet's is not.
    let (code, said) = run(&world, "laptop", &["retry"]);
    assert_eq!((code, said.contains("every history is complete")), (2, true), "{said}");
    assert_eq!(run(&world, "phone", &["retry"]).0, 0);
    for profile in ["laptop", "phone"] {
        let (_, said) = run(&world, profile, &["status"]);
        assert!(said.contains(complete), "{said}");
    }
    world.stop();
}

#[test]
fn older_messages_that_are_not_here_come_from_the_phone_when_they_are_asked_for() {
    let world = linked_with_history();
    let phone = Phone::online(&world);
    let (code, said) = run(&world, "laptop", &["follow", "--once"]);
    assert_eq!((code, said.contains("1201 of 1201")), (0, true), "{said}");
    let (code, said) = run(&world, "laptop", &["older", "Kim"]);
    assert_eq!((code, said.contains("gave nothing older")), (0, true), "{said}");
    // All but the first screen is lost, and the laptop does not know.
    raw(&world, "laptop", "DELETE FROM pack WHERE pack > (SELECT min(pack) FROM pack)");
    assert!(open(&world, "laptop").repair_records().unwrap() > 1000);
    assert_eq!(texts(&world, "laptop"), 50);
    let (code, said) = run(&world, "laptop", &["older", "Kim", "-n", "70"]);
    assert_eq!((code, said.contains("70 older messages came")), (0, true), "{said}");
    let lines: Vec<&str> = said.lines().filter(|line| line.contains("Kim: number ")).collect();
    assert_eq!(lines.len(), 70);
    assert!(lines[0].contains("number 1080 ") && lines[69].contains("number 1149 "), "oldest first: {lines:?}");
    assert_eq!(texts(&world, "laptop"), 120);
    let (code, said) = run(&world, "phone", &["older", "Kim"]);
    assert_ne!(code, 0, "a running profile is in use, or a primary device has nobody to ask: {said}");
    drop(phone);
    let (code, said) = run(&world, "phone", &["older", "Kim"]);
    assert_eq!((code, said.contains("this profile is the primary device")), (2, true), "{said}");
    world.stop();
}

#[test]
fn damage_is_repaired_from_the_other_device_and_a_sound_store_is_left_alone() {
    let world = linked_with_history();
    let phone = Phone::online(&world);
    assert_eq!(run(&world, "laptop", &["follow", "--once"]).0, 0);
    let (code, said) = run(&world, "laptop", &["repair"]);
    assert_eq!((code, said.contains("every record is sound")), (0, true), "{said}");
    raw(&world, "laptop", "UPDATE pack SET sealed = zeroblob(60) WHERE pack > (SELECT min(pack) FROM pack)");
    assert!(open(&world, "laptop").integrity_check().is_err());
    let (code, said) = run(&world, "laptop", &["repair"]);
    assert_eq!((code, said.contains("damaged records were dropped")), (0, true), "{said}");
    assert!(said.contains("nothing is missing"), "{said}");
    assert_eq!(texts(&world, "laptop"), 1200);
    open(&world, "laptop").integrity_check().unwrap();
    drop(phone);
    // The other way round: the phone gets back what its laptop has.
    raw(&world, "phone", "UPDATE pack SET sealed = zeroblob(60) WHERE pack > (SELECT min(pack) FROM pack)");
    let profile = world.text("laptop");
    let mut laptop = Program::start(&["messages", "--profile", &profile, "follow", "--format", "ndjson"]);
    laptop.hear("\"event\":\"online\"");
    let (code, said) = run(&world, "phone", &["repair"]);
    assert_eq!((code, said.contains("nothing is missing")), (0, true), "{said}");
    assert_eq!(texts(&world, "phone"), 1200);
    hang_up(laptop);
    world.stop();
}

#[test]
fn who_follows_is_told_of_every_message_that_came_while_it_was_away_and_of_edits_and_deletions() {
    let world = linked_with_history();
    let profile = world.text("laptop");
    let follow = || Program::start(&["messages", "--profile", &profile, "follow", "--once", "--format", "ndjson"]);
    let phone = Phone::online(&world);
    let (code, said) = follow().end();
    assert!(code == 0 && said.contains("\"standing\":\"done\""), "{said}");
    drop(phone);
    // More than go as one to the terminal, written while the laptop is away.
    let mut store = open(&world, "phone");
    let own = store.account().unwrap().unwrap().device_id();
    let replica = Replica::new(own, SyncRole::Primary(Policy::DEVELOPMENT));
    let put = |n: u64, text: &str, edited| {
        let message = Message { edited, ..Message::text("Kim", text) };
        messages::put_message(TALK, &n.to_be_bytes(), 1_700_000_000_000 + n * 1000, &message).unwrap()
    };
    let mut changes: Vec<_> = (MANY..MANY + 150).map(|n| put(n, &format!("while away {n}"), None)).collect();
    changes.push(put(7, "number 7, mended", Some(1_800_000_000_000)));
    changes.push(messages::delete_message(&8_u64.to_be_bytes()).unwrap());
    let mut turn = Turn::begin(&mut store, system_time(), &mut system_rng()).unwrap();
    replica.write(&mut turn, changes).unwrap();
    turn.commit().unwrap();
    drop(store);

    let phone = Phone::online(&world);
    let (code, said) = follow().end();
    drop(phone);
    assert_eq!(code, 0, "{said}");
    let events: Vec<serde_json::Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["event"] == kind).collect::<Vec<_>>();
    let texts: Vec<_> = of("message").iter().map(|event| event["text"].as_str().unwrap().to_owned()).collect();
    for n in MANY..MANY + 150 {
        assert_eq!(texts.iter().filter(|text| **text == format!("while away {n}")).count(), 1, "{n}");
    }
    assert_eq!(texts.len(), 151, "{texts:?}");
    let mended: Vec<_> = of("message").into_iter().filter(|event| !event["edited_ms"].is_null()).collect();
    assert_eq!(mended.len(), 1, "{mended:?}");
    assert_eq!(
        (&mended[0]["text"], &mended[0]["edited_ms"]),
        (&"number 7, mended".into(), &1_800_000_000_000_u64.into())
    );
    assert_eq!(of("deleted").len(), 1);
    assert_eq!(of("deleted")[0]["id"], to_hex(&8_u64.to_be_bytes()));
}
