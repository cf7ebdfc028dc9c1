//! What a terminal tells its person of the account: notices, links that wait, permissions that ended.

use std::path::Path;
use std::sync::Arc;

use pairlight_core::devices::StoredNotice;
use pairlight_core::net::{LinkedDevice, Primary, RelayClient, SharedStore, system_clock, system_rng, system_time};
use pairlight_core::pairing::{DeviceDescription, LinkedAccount, LinkedEvent, PrimaryEvent};
use pairlight_core::store::{Batch, KeyFile, Store};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_relay::{Limits, Relay, RelayConfig};
use pairlight_wire::List;
use pairlight_wire::id::DeviceId;
use pairlight_wire::offer::ClientKind;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::standing::{Notice, NoticeKind};

use super::link::{Program, World};

const DAY_MS: u64 = 86_400_000;

/// The store of a profile that no program uses now.
pub(crate) fn open(world: &World, profile: &str) -> Store {
    open_in(&world.path(profile))
}

fn open_in(folder: &Path) -> Store {
    std::fs::create_dir_all(folder).unwrap();
    let key = KeyFile::open_or_create(&folder.join("store.key"), Box::new(system_rng())).unwrap();
    Store::open(&folder.join("store.db"), &key, Box::new(system_rng())).unwrap()
}

#[test]
fn a_laptop_that_follows_hears_of_a_new_device_at_once() {
    let world = World::new();
    world.link();
    let (laptop, phone) = (world.text("laptop"), world.text("phone"));
    let mut follow = Program::start(&["messages", "--profile", &laptop, "follow", "--format", "ndjson"]);
    follow.hear("\"event\":\"online\"");
    world.link_as("tablet");
    let online = Program::start(&["messages", "--profile", &phone, "follow"]);
    let event = follow.heard("\"event\":\"notice\"");
    let event: serde_json::Value = serde_json::from_str(&event).unwrap();
    assert_eq!(
        (&event["schema"], &event["kind"], &event["text"]),
        (&1.into(), &"Linked".into(), &"a device was linked".into())
    );
    let words = follow.heard("warning: a device was linked");
    assert!(words.contains("if that was not you: `pairlight devices revoke"), "{words}");
    for program in [follow, online] {
        program.interrupt();
        assert_eq!(program.end().0, 130);
    }
    world.stop();
}

#[test]
fn a_notice_that_is_due_on_the_phone_is_printed_by_whatever_goes_online_and_then_counts_as_shown() {
    let world = World::new();
    world.link();
    let phone = world.text("phone");
    let send = ["messages", "--quiet", "--profile", &phone, "send", "Kim", "hello"];
    let follow = ["messages", "--profile", &phone, "follow"];
    for (number, command) in [&send[..], &follow[..], &["devices", "--quiet", "--profile", &phone]].iter().enumerate() {
        let device = DeviceId([u8::try_from(number).unwrap() + 1; 16]);
        let notice = Notice { kind: NoticeKind::Linked, device, evidence: 0, removal: None, discrepancy: None, at: 1 };
        let mut notice = StoredNotice::plan(notice, vec![], &mut system_rng());
        notice.due = List::new(vec![1]).unwrap();
        let mut store = open(&world, "phone");
        let mut batch = Batch::new();
        batch.put_notice(&notice);
        store.commit(&batch).unwrap();
        drop(store);
        let mut program = Program::start(command);
        program.hear(&format!("a device was linked ({}); if that was not you", device.to_hex()));
        if *command == &follow[..] {
            // From here on it listens, and the notice is marked.
            program.hear("online");
            program.interrupt();
        }
        program.end();
        assert_eq!(open(&world, "phone").notices().unwrap(), [], "{command:?}");
    }
    world.stop();
}

#[test]
fn a_link_that_waits_to_be_completed_is_named_and_link_show_completes_it() {
    let world = World::new();
    world.link();
    // As a program leaves it that is killed between the certificate and the confirmation.
    let mut store = open(&world, "laptop");
    let account = store.linked_account().unwrap().unwrap();
    let mut bytes = account.encode().unwrap().to_vec();
    let created = [&[0x1b], account.created().unix_ms().to_be_bytes().as_slice(), &[0xf5]].concat();
    let at = bytes.windows(created.len()).position(|window| window == created).unwrap();
    bytes[at + created.len() - 1] = 0xf4;
    let pending = LinkedAccount::decode(&bytes).unwrap();
    assert!(account.is_committed() && !pending.is_committed());
    store.put_linked_account(&pending).unwrap();
    drop(store);
    let laptop = world.text("laptop");
    for command in [&["messages", "--profile", &laptop, "follow"][..], &["devices", "--profile", &laptop]] {
        let (exit, said) = Program::start(command).end();
        assert_eq!(exit, 1, "{said}");
        assert!(
            said.contains("waits to be completed") && said.contains("`pairlight link show` completes it"),
            "{said}"
        );
    }
    let (exit, said) = Program::start(&["link", "show", "--profile", &laptop]).end();
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("finishing a link that was interrupted") && said.contains("linked as"), "{said}");
    let (exit, said) = Program::start(&["messages", "--profile", &laptop, "list"]).end();
    assert_eq!(exit, 0, "{said}");
    world.stop();
}

/// A profile in `folder` that was linked so many days ago and has not been online since.
async fn linked_days_ago(folder: &Path, days: u64) {
    let ago = move || system_time().unix_ms() - days * DAY_MS;
    let config = RelayConfig { limits: Limits::generous(), clock: Arc::new(ago), ..RelayConfig::default() };
    let relay = Relay::spawn(config).await.unwrap();
    let client = RelayClient::new(RelayClient::discover(&relay.url()).await.unwrap()).unwrap();
    let clock: pairlight_core::net::Clock = {
        let real = system_clock();
        Arc::new(move || pairlight_core::Timestamp::from_unix_ms(real().unix_ms() - days * DAY_MS))
    };
    let (store, other) = (SharedStore::new(open_in(folder)), SharedStore::new(open_in(&folder.join("phone"))));
    let phone = Primary::open_at(other, client.clone(), Policy::DEVELOPMENT, "phone", clock.clone()).await.unwrap();
    phone.register().await.unwrap();
    let laptop = LinkedDevice::open_at(store, client, clock).await.unwrap();
    let (name, os, app) = ("laptop".into(), "linux".into(), "test".into());
    let linking = laptop.link(DeviceDescription { name, os, app, kind: ClientKind::Native });
    let code = loop {
        match linking.next_event().await.unwrap() {
            LinkedEvent::ShowCode { text, .. } => break QrPayload::parse(&text).unwrap(),
            LinkedEvent::Failed(reason) => panic!("{reason:?}"),
            _ => {}
        }
    };
    let pairing = phone.link(code, ScanSource::LiveCamera).await.unwrap();
    let (mut digits, mut asked) = (None, false);
    loop {
        tokio::select! {
            event = pairing.next_event() => match event {
                Some(PrimaryEvent::Review(_)) => pairing.approve().await.unwrap(),
                Some(PrimaryEvent::ApproveAgain { .. }) => pairing.approve_again().await.unwrap(),
                Some(PrimaryEvent::ShowCheckCode(code)) => digits = Some(code.to_display()),
                Some(PrimaryEvent::Failed(reason)) => panic!("{reason:?}"),
                Some(_) => {}
                // The phone is done and waits for nothing; the laptop's end is still to come.
                None => tokio::time::sleep(std::time::Duration::from_millis(10)).await,
            },
            event = linking.next_event() => match event.unwrap() {
                LinkedEvent::EnterCheckCode => asked = true,
                LinkedEvent::Linked(_) => break,
                LinkedEvent::Failed(reason) => panic!("{reason:?}"),
                _ => {}
            },
        }
        if let Some(digits) = digits.take_if(|_| asked) {
            linking.enter_check_code(&digits).await.unwrap();
        }
    }
    drop((linking, pairing, laptop, phone));
    relay.shutdown().await;
}

#[test]
fn a_profile_whose_permission_ended_is_locked_offline_too_and_after_90_days_erased() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let export = folder.path().join("result.json");
    std::fs::write(&export, r#"{ "name": "Kim", "type": "personal_chat", "id": 1, "messages": [] }"#).unwrap();
    let export = export.to_str().unwrap();
    for (days, words) in [(2, None), (40, Some("this device is locked since 20")), (95, Some("were erased"))] {
        let profile = folder.path().join(days.to_string());
        runtime.block_on(linked_days_ago(&profile, days));
        assert!(open_in(&profile).linked_account().unwrap().is_some());
        let profile_text = profile.to_str().unwrap();
        let commands =
            [&["list"][..], &["show", "Kim"], &["search", "x"], &["files"], &["send", "Kim", "x"], &["status"]];
        let commands = commands.map(|command| [&["messages", "--profile", profile_text][..], command].concat());
        let commands = commands.into_iter().chain([vec!["import", "--profile", profile_text, export]]);
        // Erasing says so once; an erased profile is an empty one.
        for command in commands.take(if days == 95 { 1 } else { 7 }) {
            let (exit, said) = Program::start(&command).end();
            match words {
                Some(words) => {
                    assert_eq!(exit, 1, "{command:?}: {said}");
                    assert!(said.contains(words) && said.contains("link it again with `pairlight link show"), "{said}");
                }
                None => assert!(!said.contains("locked") && !said.contains("erased"), "{command:?}: {said}"),
            }
        }
        assert_eq!(open_in(&profile).linked_account().unwrap().is_none(), days == 95);
    }
    let erased = folder.path().join("95");
    let (exit, said) = Program::start(&["messages", "--profile", erased.to_str().unwrap(), "send", "Kim", "x"]).end();
    assert_eq!(exit, 1);
    assert!(said.contains("not linked"), "{said}");
}
