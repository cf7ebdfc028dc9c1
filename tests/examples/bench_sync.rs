//! `make bench-sync`: how long a history takes from a sealed store to a sealed store through a real relay on this machine,
//! where the time goes, how fast a live update is, and what others need for the same rows. Prints one JSON object.
//!
//! Relay, primary and linked device share this process and its cores; memory is that of all three.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use pairlight_core::net::{LinkedDevice, Primary, RelayClient, Sync, SyncUpdates};
use pairlight_core::store::Cursor;
use pairlight_core::sync::messages::{self, Message};
use pairlight_core::sync::{Change, HistoryStanding};
use pairlight_core::trust::Policy;
use pairlight_relay::store::{Durability, SqliteOptions, SqliteStore};
use pairlight_relay::{Limits, Relay, RelayConfig};
use pairlight_tests::world::{Person, open_store, play};
use serde_json::json;
use tokio_tungstenite::tungstenite;
use yrs::updates::decoder::Decode;
use yrs::{Map, ReadTxn, Transact};

/// Live updates that are measured.
const LIVE: u64 = 300;

fn words(state: &mut u64) -> String {
    const WORDS: [&str; 16] = [
        "see", "you", "at", "the", "station", "tomorrow", "morning", "bring", "coffee", "please", "and", "tell", "her",
        "that", "we", "rain",
    ];
    let mut next = || {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        usize::try_from(*state >> 8).unwrap_or(0)
    };
    // 200 bytes on average, as people write: many short, some long.
    let bytes = 60 + next() % 280;
    let mut text = String::new();
    while text.len() < bytes {
        text.push_str(WORDS[next() % 16]);
        text.push(' ');
    }
    text
}

struct Row {
    id: [u8; 16],
    talk: [u8; 16],
    at: u64,
    text: String,
}

fn rows(count: u64) -> Vec<Row> {
    let mut state = 0x9e37_79b9_7f4a_7c15;
    let row = |n: u64| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        id[8..].copy_from_slice(&n.to_be_bytes());
        let talk = [u8::try_from((n * n) % 50).unwrap(); 16];
        Row { id, talk, at: 1_700_000_000_000 + n * 60_000, text: words(&mut state) }
    };
    (0..count).map(row).collect()
}

fn change(row: &Row) -> Change {
    messages::put_message(&row.talk, &row.id, row.at, &Message::text("Kim", &row.text)).unwrap()
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let field = |name: &str| {
        let line = status.lines().find(|line| line.starts_with(name))?;
        line.split_whitespace().nth(1)?.parse::<u64>().ok()
    };
    field("VmHWM:").unwrap_or(0)
}

fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after = stat.rsplit(") ").next().unwrap_or_default().to_owned();
    let field = |n: usize| after.split_whitespace().nth(n).and_then(|v| v.parse::<f64>().ok()).unwrap_or(0.0);
    (field(11) + field(12)) / 100.0
}

fn size(folder: &Path, name: &str) -> u64 {
    ["", "-wal"]
        .iter()
        .filter_map(|end| std::fs::metadata(folder.join(format!("{name}.db{end}"))).ok())
        .map(|m| m.len())
        .sum()
}

fn serve(sync: Sync) -> Arc<Sync> {
    let sync = Arc::new(sync);
    let weak = Arc::downgrade(&sync);
    tokio::spawn(async move {
        while let Some(sync) = weak.upgrade() {
            let _ = tokio::time::timeout(Duration::from_millis(200), sync.next_event()).await;
        }
    });
    sync
}

async fn changed(sync: &Sync) {
    loop {
        match sync.next_event().await.expect("the line lives") {
            SyncUpdates::Update(pairlight_core::net::SyncUpdate::Changed(_)) => return,
            SyncUpdates::Line(pairlight_core::net::ConnectionEvent::Failed(error)) => panic!("{error}"),
            _ => {}
        }
    }
}

fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() - 1) * percent / 100]
}

fn milliseconds(mut samples: Vec<f64>) -> serde_json::Value {
    samples.sort_by(f64::total_cmp);
    json!({ "p50_ms": percentile(&samples, 50), "p99_ms": percentile(&samples, 99) })
}

/// A bare WebSocket that sends back what it gets.
async fn echo(bytes: usize) -> serde_json::Value {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        while let Some(Ok(message)) = socket.next().await {
            if message.is_close() || socket.send(message).await.is_err() {
                return;
            }
        }
    });
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}")).await.unwrap();
    let mut samples = Vec::new();
    for _ in 0..LIVE {
        let started = Instant::now();
        socket.send(tungstenite::Message::binary(vec![7; bytes])).await.unwrap();
        socket.next().await.unwrap().unwrap();
        samples.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    milliseconds(samples)
}

fn plain_sqlite(folder: &Path, rows: &[Row]) -> f64 {
    let mut conn = rusqlite::Connection::open(folder.join("plain.db")).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE message (id BLOB PRIMARY KEY, talk BLOB, at INTEGER, text TEXT) STRICT;
         CREATE INDEX by_talk ON message (talk, at); CREATE INDEX by_time ON message (at);",
    )
    .unwrap();
    let started = Instant::now();
    for batch in rows.chunks(2000) {
        let tx = conn.transaction().unwrap();
        for row in batch {
            let mut insert = tx.prepare_cached("INSERT INTO message VALUES (?1, ?2, ?3, ?4)").unwrap();
            insert.execute(rusqlite::params![row.id, row.talk, i64::try_from(row.at).unwrap(), row.text]).unwrap();
        }
        tx.commit().unwrap();
    }
    started.elapsed().as_secs_f64()
}

/// Yjs in Rust: the same rows into one document, its state to another document in memory. No disk, no encryption, no network.
fn yjs(rows: &[Row]) -> serde_json::Value {
    let doc = yrs::Doc::new();
    let map = doc.get_or_insert_map("messages");
    let started = Instant::now();
    for batch in rows.chunks(2000) {
        let mut txn = doc.transact_mut();
        for row in batch {
            let id: String = row.id.iter().map(|byte| format!("{byte:02x}")).collect();
            map.insert(&mut txn, id, format!("{}\u{1f}{}\u{1f}{}", row.talk[0], row.at, row.text));
        }
    }
    let written = started.elapsed().as_secs_f64();
    let started = Instant::now();
    let state = doc.transact().encode_state_as_update_v1(&yrs::StateVector::default());
    let other = yrs::Doc::new();
    other.get_or_insert_map("messages");
    other.transact_mut().apply_update(yrs::Update::decode_v1(&state).unwrap()).unwrap();
    json!({ "write_s": written, "transfer_s": started.elapsed().as_secs_f64(), "bytes": state.len() })
}

#[tokio::main]
async fn main() {
    let count: u64 = std::env::args().nth(1).and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let all = rows(count);
    let text_bytes: usize = all.iter().map(|row| row.text.len()).sum();
    eprintln!("{count} messages, {text_bytes} bytes of text, in {}", folder.path().display());

    let store = SqliteStore::open(
        &folder.path().join("relay"),
        SqliteOptions { most_bytes: 8 << 30, durability: Durability::PowerCut },
    )
    .unwrap();
    let config = RelayConfig { limits: Limits::generous(), store: Some(Arc::new(store)), ..RelayConfig::default() };
    let relay = Relay::spawn(config).await.unwrap();
    let client = RelayClient::new(RelayClient::discover(&relay.url()).await.unwrap()).unwrap();
    let phone_store = open_store(folder.path(), "phone");
    let phone = Primary::open(phone_store, client.clone(), Policy::DEVELOPMENT, "phone").await.unwrap();
    let line = phone.sync().await.unwrap();
    let started = Instant::now();
    let talks =
        (0..50_u8).map(|n| messages::put_conversation(&[n; 16], &format!("Talk {n}"), 1 + u64::from(n)).unwrap());
    line.write(talks.collect()).await.unwrap();
    for batch in all.chunks(2000) {
        line.write(batch.iter().map(change).collect()).await.unwrap();
    }
    let seeded = started.elapsed().as_secs_f64();
    eprintln!("written on the primary in {seeded:.2} s");
    let line = serve(line);

    let laptop = LinkedDevice::open(open_store(folder.path(), "laptop"), client).await.unwrap();
    reset_peak();
    let (idle, cpu) = (peak_kib(), cpu_seconds());
    play(&phone, &laptop, "laptop", Person::Agrees).await.linked.unwrap();
    let linked = Instant::now();
    let laptop = laptop.sync().await.unwrap();
    let (mut first, mut done) = (None, None);
    while done.is_none() {
        let _ = tokio::time::timeout(Duration::from_millis(20), laptop.next_event()).await;
        if first.is_none()
            && laptop.conversations().await.unwrap().iter().filter(|talk| talk.latest.is_some()).count() >= 20
        {
            first = Some(linked.elapsed().as_secs_f64());
        }
        let history = laptop.history().await.unwrap();
        if history.first().is_some_and(|progress| progress.standing == HistoryStanding::Done) {
            done = Some((linked.elapsed().as_secs_f64(), history[0].bytes));
        }
    }
    let (took, sealed_bytes) = done.unwrap();
    let (peak, cpu) = (peak_kib(), cpu_seconds() - cpu);
    eprintln!("history in {took:.2} s");

    // What the history still has to say is not a live message.
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(500), laptop.next_event()).await {}
    let mut live = Vec::new();
    for n in 0..LIVE {
        let row = Row {
            id: [9; 16],
            talk: [1; 16],
            at: 1_900_000_000_000 + n,
            text: "a live message of usual length, more or less".into(),
        };
        let started = Instant::now();
        line.write(vec![change(&row)]).await.unwrap();
        changed(&laptop).await;
        live.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    let held = laptop.messages(vec![1; 16], Cursor::NEWEST, 1).await.unwrap();
    assert_eq!(held[0].at, 1_900_000_000_000 + LIVE - 1);
    let echo = echo(600).await;
    let stores = [size(folder.path(), "phone"), size(folder.path(), "laptop")];
    drop((line, laptop));
    let plain = plain_sqlite(folder.path(), &all);
    let yjs = yjs(&all);
    let report = json!({
        "messages": count,
        "text_bytes": text_bytes,
        "write_on_primary_s": seeded,
        "history_s": took,
        "records_per_s": count as f64 / took,
        "history_cpu_s_of_all_three": cpu,
        "sealed_bytes_through_the_relay": sealed_bytes,
        "first_screen_after_linked_s": first,
        "peak_kib_above_before_all_three": peak.saturating_sub(idle),
        "live": milliseconds(live),
        "bare_websocket_echo": echo,
        "store_bytes_primary_linked": stores,
        "store_bytes_per_text_byte": stores[1] as f64 / text_bytes as f64,
        "plain_sqlite_insert_s": plain,
        "history_over_plain_sqlite": took / plain,
        "yjs_in_memory": yjs,
    });
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
    relay.shutdown().await;
}
