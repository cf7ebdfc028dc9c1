//! A device that keeps records in step until somebody kills it: the victim of `tests/tests/sync_faults.rs`.
//!
//! `sync_victim <primary|linked> <folder> <name> <relay url> <relay key> <clock, ms> <pages>` opens the store `name` of the folder, on
//! a clock that is wrong by so much and a disk that takes so many pages (`all`: no limit), and stays in step. Talks by lines.
//! It hears `put <number> <text>`, `delete <number>`, `records`, `in-step`; it says `ready`, `done <clock> <device> <own|other>` (the
//! version that now stands, and whether it is what was written) or `done gone`, `refused <why>`, `record <hex>` and `end`, `in-step <yes|no>`.

use std::path::Path;
use std::sync::Arc;

use pairlight_core::Timestamp;
use pairlight_core::net::{Clock, LinkedDevice, NetError, Primary, RelayClient, RelayEndpoint, SharedStore, Sync};
use pairlight_core::store::{KeyFile, Probe, Store};
use pairlight_core::sync::messages::{self, MESSAGE, Message};
use pairlight_core::trust::Policy;
use pairlight_tests::world::boxed_rng;
use pairlight_wire::Wire;
use tokio::io::{AsyncBufReadExt, BufReader};

const TALK: &[u8; 16] = b"the conversation";

fn id_of(number: u64) -> [u8; 16] {
    let mut id = [7; 16];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

fn say(line: &str) {
    use std::io::Write;
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).expect("the test listens");
}

fn wrong_clock(by_ms: i64) -> Clock {
    let real = pairlight_core::net::system_clock();
    Arc::new(move || Timestamp::from_unix_ms(real().unix_ms().saturating_add_signed(by_ms)))
}

async fn write(sync: &Sync, store: &SharedStore, number: u64, text: Option<&str>) -> Result<String, NetError> {
    let change = match text {
        Some(text) => messages::put_message(TALK, &id_of(number), 1_000 + number, &Message::text("Kim", text))?,
        None => messages::delete_message(&id_of(number))?,
    };
    sync.write(vec![change]).await?;
    let now = store.run(move |store| store.record(MESSAGE, &id_of(number))).await?;
    // All devices may have passed a tombstone before this one looks.
    let Some(now) = now.map(|logged| logged.record) else { return Ok("gone".to_owned()) };
    let content = now.content.as_ref().map(|content| Message::decode(content.body.as_slice()).expect("a message"));
    let stands = if content.as_ref().map(|message| message.text.as_str()) == text { "own" } else { "other" };
    Ok(format!("{} {} {stands}", now.clock, hex::encode(now.device.as_bytes())))
}

async fn obey(line: &str, sync: &Sync, store: &SharedStore) {
    let mut words = line.splitn(3, ' ');
    let word = words.next().unwrap_or_default();
    let number = words.next().map(|number| number.parse().expect("a number"));
    let text = match (word, number) {
        ("put", Some(_)) => Some(words.next().unwrap_or_default()),
        ("delete", Some(_)) => None,
        ("records", None) => {
            let records = store.run(|store| store.records_after(0, usize::MAX >> 1)).await.expect("a readable store").0;
            for logged in &records {
                say(&format!("record {}", hex::encode(logged.record.encode())));
            }
            return say("end");
        }
        ("in-step", None) => {
            let yes = sync.is_in_step().await.expect("a readable store");
            return say(if yes { "in-step yes" } else { "in-step no" });
        }
        _ => panic!("{line}"),
    };
    match write(sync, store, number.unwrap_or_default(), text).await {
        Ok(version) => say(&format!("done {version}")),
        Err(error) => say(&format!("refused {error}")),
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [role, folder, name, url, key, clock, pages] = args.as_slice() else { panic!("see the head of this file") };
    let key: [u8; 32] = hex::decode(key).expect("hex").try_into().expect("a key");
    let client = RelayClient::new(RelayEndpoint::new(url, key).expect("an address")).expect("a client");
    let clock = wrong_clock(clock.parse().expect("milliseconds"));
    let folder = Path::new(folder);
    let wrap = KeyFile::open_or_create(&folder.join(format!("{name}.key")), boxed_rng()).expect("a key file");
    let probe = Probe { on_write: None, max_pages: pages.parse().ok() };
    let store = Store::open_probed(&folder.join(format!("{name}.db")), &wrap, boxed_rng(), probe).expect("a store");
    let store = SharedStore::new(store);
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    say("ready");
    loop {
        let sync = match role.as_str() {
            "primary" => {
                let opened = Primary::open_at(store.clone(), client.clone(), Policy::DEVELOPMENT, name, clock.clone());
                match opened.await {
                    Ok(phone) => phone.sync().await,
                    Err(error) => Err(error),
                }
            }
            _ => match LinkedDevice::open_at(store.clone(), client.clone(), clock.clone()).await {
                Ok(device) => device.sync().await,
                Err(error) => Err(error),
            },
        };
        // A full disk refuses even this; the next start has more room.
        let Ok(sync) = sync.inspect_err(|error| eprintln!("{name}: {error}")) else {
            let Ok(Some(_)) = lines.next_line().await else { return };
            say("refused: it does not start");
            continue;
        };
        loop {
            tokio::select! {
                event = sync.next_event() => match event {
                    Some(event) => {
                        if std::env::var_os("SYNC_VICTIM_EVENTS").is_some() {
                            eprintln!("{name}: {event:?}");
                        }
                    }
                    // Ended, by a store that took no more: again, as an app does.
                    None => break,
                },
                line = lines.next_line() => match line {
                    Ok(Some(line)) => obey(&line, &sync, &store).await,
                    _ => return,
                },
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}
