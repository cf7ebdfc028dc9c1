//! What the operator says to a running relay: look, end without haste, turn somebody away.
#![cfg(unix)]
#![allow(missing_docs, reason = "tests")]

mod harness;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use harness::program::Program;
use harness::*;
use pairlight_wire::relay::*;
use reqwest::Method;

fn say(data_dir: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pairlight-relay"));
    // Where a person would write it: at the end.
    command.env_clear().args(words).arg("--data-dir").arg(data_dir).output().unwrap()
}

fn said(data_dir: &Path, words: &[&str]) -> String {
    let output = say(data_dir, words);
    assert!(output.status.success(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn stats(data_dir: &Path) -> serde_json::Value {
    serde_json::from_str(&said(data_dir, &["admin", "stats", "--json"])).unwrap()
}

#[tokio::test]
async fn a_drained_relay_completes_its_links_begins_none_and_lets_its_devices_go() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Program::start(folder.path(), &[]);
    let owner = Account::new(1);
    owner.put(&relay, &owner.first_list()).await;
    let mut phone = owner.connect(&relay, &owner.phone).await;
    let mut shower = Shower::show(&relay, slot(1)).await;
    let mut idle = Shower::show(&relay, slot(2)).await;
    let claimer = Claimer::claim(&relay, slot(1)).await;
    let _ = shower.hears().await;
    let now = stats(folder.path());
    let count = |name: &str| now[name].as_u64().unwrap();
    assert_eq!((count("links_under_way"), count("slots"), count("devices_connected")), (1, 2, 1), "{now}");
    assert_eq!((count("codes_shown"), count("codes_scanned"), &now["is_draining"]), (2, 1, &false.into()), "{now}");
    assert!(count("connections") >= 3, "{now}");

    let began = Instant::now();
    let words = said(folder.path(), &["drain", "--seconds", "4", "--no-wait"]);
    assert_eq!(words, "the relay ends within 4 s\n");
    // Nothing new, and balancers know.
    let ready = client().get(format!("{}/readyz", relay.url())).send().await.unwrap();
    assert_eq!((ready.status().as_u16(), ready.text().await.unwrap().as_str()), (503, "not ready: draining\n"));
    idle.is_sent_away(RefusalCode::Unavailable).await;
    let mut late = Shower::open(&relay).await;
    late.is_sent_away(RefusalCode::Unavailable).await;
    // The link under way goes on to its end.
    assert_eq!(claimer.send(0, b"hello").await.status, 204);
    assert!(matches!(shower.hears().await, LinkEvent::Msg(_)));
    shower.sends(slot(1), 0, b"hello back").await;
    let answer: SlotMessages = claimer.poll(0, 3000).await.read();
    assert_eq!(answer.messages.as_slice().len(), 1);
    assert!(stats(folder.path())["is_draining"].as_bool().unwrap());
    assert_eq!(claimer.end(0).await.status, 204);
    assert!(matches!(shower.hears().await, LinkEvent::Ended(_)));
    shower.is_sent_away(RefusalCode::Unavailable).await;
    phone.is_sent_away(RefusalCode::Unavailable).await;
    assert_eq!(relay.ends(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(16), "it waited for nobody");
    assert!(!folder.path().join("admin.sock").exists());
    let nobody = say(folder.path(), &["drain"]);
    let words = String::from_utf8(nobody.stderr).unwrap();
    assert!(!nobody.status.success() && words.contains("no relay answers there"), "{words}");
}

#[tokio::test]
async fn a_link_that_never_ends_does_not_hold_a_drain_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut relay = Program::start(folder.path(), &[]);
    let mut shower = Shower::show(&relay, slot(1)).await;
    let _claimer = Claimer::claim(&relay, slot(1)).await;
    let _ = shower.hears().await;
    said(folder.path(), &["drain", "--seconds", "60", "--no-wait"]);
    // A second word makes it shorter, never longer.
    said(folder.path(), &["drain", "--seconds", "2", "--no-wait"]);
    assert_eq!(said(folder.path(), &["drain", "--seconds", "60"]), "the relay has ended\n");
    shower.is_sent_away(RefusalCode::Unavailable).await;
    assert_eq!(relay.ends(), Some(0));
}

#[tokio::test]
async fn the_operator_sees_who_is_there_and_turns_a_device_or_an_account_away() {
    let folder = tempfile::tempdir().unwrap();
    let relay = Program::start(folder.path(), &[]);
    assert_eq!(std::fs::metadata(folder.path().join("admin.sock")).unwrap().permissions().mode() & 0o777, 0o600);
    let (owner, other) = (Account::new(1), Account::new(20));
    for one in [&owner, &other] {
        one.put(&relay, &one.first_list()).await;
    }
    let mut phone = owner.connect(&relay, &owner.phone).await;
    let mut stranger = other.connect(&relay, &other.phone).await;
    let (account, device) = (owner.id().to_hex(), owner.phone.id().to_hex());
    let sessions = said(folder.path(), &["admin", "sessions"]);
    assert!(sessions.starts_with("2 connected\n"), "{sessions}");
    assert!(sessions.contains(&format!("{account} {device} primary ZZ ")), "{sessions}");

    let words = said(folder.path(), &["admin", "revoke", &account, &device]);
    assert!(words.starts_with("1 sockets ended; not let in for 60 minutes"), "{words}");
    phone.is_sent_away(RefusalCode::NotAllowed).await;
    let auth = |nonce| owner.phone.auth(owner.id(), nonce, relay.host(), 1);
    let refused = |revoked: bool| {
        let (relay, owner) = (&relay, &owner);
        async move {
            let challenge: Challenge = call(relay, Method::POST, "/v1/challenge", &[], []).await.read();
            let answer = owner.chain_as(relay, auth(challenge.nonce), 1).await;
            assert_eq!(answer.status, if revoked { 403 } else { 200 }, "{answer:?}");
        }
    };
    refused(true).await;
    stranger.socket.stays_quiet().await;
    assert_eq!(stats(folder.path())["turned_away"], 1);
    assert_eq!(said(folder.path(), &["admin", "revoke", &account, &device, "--minutes", "0"]), "let in again\n");
    refused(false).await;
    said(folder.path(), &["admin", "revoke", &account]);
    refused(true).await;

    let bad = say(folder.path(), &["admin", "revoke", "somebody"]);
    let words = String::from_utf8(bad.stderr).unwrap();
    assert!(!bad.status.success() && words.contains("32 hexadecimal digits"), "{words}");
    let limits = said(folder.path(), &["admin", "limits"]);
    assert!(limits.contains("slot_lifetime: 60s") && limits.contains("connections"), "{limits}");
}

#[tokio::test]
async fn two_relays_do_not_share_a_socket_and_one_that_was_killed_leaves_none_in_the_way() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s.sock");
    let path = socket.to_str().unwrap();
    let mut first = Program::start(&folder.path().join("a"), &["--admin-socket", path]);
    let mut second = Command::new(env!("CARGO_BIN_EXE_pairlight-relay"));
    second.env_clear().args(["--listen", "127.0.0.1:0", "--store", "memory", "--admin-socket", path]);
    let output = second.output().unwrap();
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && words.contains("another relay answers there"), "{words}");
    first.kill();
    assert!(socket.exists());
    let third = Program::start(&folder.path().join("a"), &["--admin-socket", path]);
    drop(third);
    // What is no socket is not removed.
    std::fs::remove_file(&socket).unwrap();
    std::fs::write(&socket, "a file").unwrap();
    let output = second.output().unwrap();
    assert!(!output.status.success() && socket.exists(), "{output:?}");
}
