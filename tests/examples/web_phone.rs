//! A phone for the tests of the page in a browser (`web/tests`): a primary device under the development policy, told what to
//! do line by line. `web_phone FOLDER RELAY`; it says what happens, one line each.
//!
//! | line | what it does |
//! |---|---|
//! | `seed N` | writes N messages, a minute apart, the newest now |
//! | `send TEXT` | writes one |
//! | `link CODE` | links who shows the code: says `digits 123456`, what came of evidence, then `linked ID GRADE` or `failed REASON` |
//! | `decline CODE` | claims, and says no |
//! | `attach N` | writes a message with a file of N bytes |
//! | `revoke` | takes every linked device off the list |
//! | `passkey RP ORIGIN ID KEY` | registers a passkey: its credential id and COSE key in hexadecimal digits |

use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

use pairlight_core::net::{Primary, RelayClient, Sync, SyncUpdate, SyncUpdates, system_time};
use pairlight_core::pairing::PrimaryEvent;
use pairlight_core::sync::Change;
use pairlight_core::sync::messages::{self, Attachment, Message};
use pairlight_core::trust::{PasskeyRegistration, Policy, ScanSource};
use pairlight_tests::world::open_store;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::{List, Text};
use tokio::io::{AsyncBufReadExt, BufReader};

const TALK: [u8; 16] = [7; 16];
/// Messages of one batch.
const BATCH: u64 = 500;

fn id(number: u64) -> [u8; 16] {
    let mut id = [1; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

async fn seed(sync: &Sync, count: u64) {
    let now = system_time().unix_ms();
    sync.write(vec![messages::put_conversation(&TALK, "Kim", now - count * 60_000).unwrap()]).await.unwrap();
    for from in (0..count).step_by(BATCH as usize) {
        let change = |number: u64| -> Change {
            let words = format!("Message {} of {count}. {}", number + 1, "Some words. ".repeat((number % 9) as usize));
            let message = Message::text(if number.is_multiple_of(3) { "Me" } else { "Kim" }, &words);
            messages::put_message(&TALK, &id(number), now - (count - number) * 60_000, &message).unwrap()
        };
        sync.write((from..count.min(from + BATCH)).map(change).collect()).await.unwrap();
    }
    println!("seeded {count}");
}

async fn link(primary: &Primary, code: &str, approve: bool) {
    let Ok(payload) = QrPayload::parse(code) else { return println!("failed NoCode") };
    let pairing = primary.link(payload, ScanSource::LiveCamera).await.unwrap();
    while let Some(event) = pairing.next_event().await {
        match event {
            PrimaryEvent::Review(review) => {
                println!("review {}", review.device_name);
                if approve { pairing.approve().await.unwrap() } else { pairing.decline().await.unwrap() }
            }
            PrimaryEvent::ShowCheckCode(code) => println!("digits {}", code.to_display()),
            PrimaryEvent::EvidenceChecked { bit, finding } => println!("evidence {bit:?} {finding:?}"),
            PrimaryEvent::Linked(device) => {
                let devices = primary.devices().await.unwrap();
                let linked = devices.iter().find(|shown| shown.id == device).unwrap();
                println!("linked {} {:?}", device.to_hex(), linked.grade.unwrap());
            }
            PrimaryEvent::Failed(reason) => println!("failed {reason:?}"),
            _ => {}
        }
    }
}

async fn write(sync: &Sync, number: u64, message: &Message) {
    let at = system_time().unix_ms();
    sync.write(vec![messages::put_message(&TALK, &id(number), at, message).unwrap()]).await.unwrap();
}

async fn attach(sync: &Sync, number: u64, length: u64) {
    let content: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
    let info = sync.add_file(Cursor::new(content)).await.unwrap();
    let mut message = Message::text("Kim", "A file");
    let file = Attachment {
        name: Text::truncated("film.bin"),
        media_type: Text::truncated("application/octet-stream"),
        size: info.size,
        hash: info.hash,
    };
    message.attachments = List::new(vec![file]).unwrap();
    write(sync, number, &message).await;
}

fn bytes(digits: &str) -> Vec<u8> {
    let pair = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(pair).collect()
}

/// Says what other devices wrote.
async fn listen(sync: Arc<Sync>) {
    while let Some(event) = sync.next_event().await {
        let SyncUpdates::Update(SyncUpdate::Changed(records)) = event else { continue };
        for changed in records {
            let Ok(Some(logged)) = sync.record(messages::MESSAGE, changed.id).await else { continue };
            if let Some(entry) = messages::read::<Message>(&logged) {
                println!("message {}", entry.value.text.as_str());
            }
        }
    }
}

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, relay] = arguments.as_slice() else { panic!("web_phone FOLDER RELAY") };
    std::fs::create_dir_all(folder).unwrap();
    let endpoint = RelayClient::discover(relay).await.unwrap();
    let client = RelayClient::new(endpoint).unwrap();
    let store = open_store(Path::new(folder), "phone");
    let primary = Primary::open(store, client, Policy::DEVELOPMENT, "phone").await.unwrap();
    primary.register().await.unwrap();
    let sync = Arc::new(primary.sync().await.unwrap());
    tokio::spawn(listen(Arc::clone(&sync)));
    println!("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let mut written = 1 << 40;
    while let Some(line) = lines.next_line().await.unwrap() {
        let (word, rest) = line.split_once(' ').unwrap_or((&line, ""));
        written += 1;
        match word {
            "seed" => seed(&sync, rest.parse().unwrap()).await,
            "send" => write(&sync, written, &Message::text("Kim", rest)).await,
            "attach" => attach(&sync, written, rest.parse().unwrap()).await,
            "link" => link(&primary, rest, true).await,
            "decline" => link(&primary, rest, false).await,
            "passkey" => {
                let words: Vec<&str> = rest.split(' ').collect();
                let [party, origin, credential, key] = words[..] else { panic!("passkey RP ORIGIN ID KEY") };
                let passkey = PasskeyRegistration::new(&bytes(credential), &bytes(key), party, &[origin]).unwrap();
                primary.register_passkey(passkey).await.unwrap();
                println!("passkey kept");
            }
            "revoke" => {
                primary.revoke_all().await.unwrap();
                println!("revoked");
            }
            _ => println!("unknown {word}"),
        }
    }
}
