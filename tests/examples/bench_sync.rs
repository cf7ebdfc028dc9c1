//! `make bench-sync`: how long a history takes from a sealed store to a sealed store through a real relay on this machine,
//! where the time goes, how fast a live update is, and what others need for the same rows. Prints one JSON object.
//!
//! The history runs between three processes: the relay in this one, each device in one of its own, so that each has its own
//! memory. Live messages run in this one. What they are compared with is measured in turns with them: a bare WebSocket echo,
//! and three plain commits of SQLite one after another, since a message is durable at its writer, at the relay and at its
//! reader before it is shown.

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
use tokio::io::{AsyncBufReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite;
use yrs::updates::decoder::Decode;
use yrs::{Map, ReadTxn, Transact};

/// Live updates that are measured.
const LIVE: u64 = 300;

/// Words that no dictionary of a compressor knows, as often as words of a language: the n-th word 1/n as often as the first.
struct Language {
    words: Vec<String>,
    state: u64,
}

impl Language {
    fn new() -> Self {
        let mut language = Self { words: Vec::new(), state: 0x9e37_79b9_7f4a_7c15 };
        for rank in 0..8000 {
            // Frequent words are short.
            let syllables = 1 + language.random(1 + usize::min(rank + 1, 999).ilog10() as usize);
            let word: String = (0..syllables).map(|_| language.syllable()).collect();
            language.words.push(word);
        }
        language
    }

    fn random(&mut self, below: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 20).unwrap_or(0) % below
    }

    fn syllable(&mut self) -> String {
        const ONSETS: [&str; 16] = ["b", "d", "f", "g", "h", "k", "l", "m", "n", "p", "r", "s", "t", "w", "st", "ch"];
        const ENDS: [&str; 16] =
            ["a", "e", "i", "o", "u", "an", "en", "er", "et", "is", "ou", "ai", "un", "or", "al", "it"];
        format!("{}{}", ONSETS[self.random(16)], ENDS[self.random(16)])
    }

    /// 200 bytes on average, as people write: many short, some long.
    fn message(&mut self) -> String {
        let bytes = 60 + self.random(280);
        let mut text = String::new();
        while text.len() < bytes {
            if self.random(40) == 0 {
                text += &format!("{} ", self.random(100_000));
            }
            let unit = self.random(1 << 20) as f64 / f64::from(1 << 20);
            let rank = (self.words.len() as f64).powf(unit) as usize - 1;
            let ends = [" ", " ", " ", " ", " ", " ", ", ", ". ", "! ", "? "];
            text += &self.words[rank];
            text += ends[self.random(ends.len())];
        }
        text
    }
}

struct Row {
    id: [u8; 16],
    talk: [u8; 16],
    at: u64,
    text: String,
}

fn rows(count: u64) -> impl Iterator<Item = Row> {
    let mut language = Language::new();
    let row = move |n: u64| {
        let mut id = [0; 16];
        id[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
        id[8..].copy_from_slice(&n.to_be_bytes());
        let talk = [u8::try_from((n * n) % 50).unwrap(); 16];
        Row { id, talk, at: 1_700_000_000_000 + n * 60_000, text: language.message() }
    };
    (0..count).map(row)
}

fn change(row: &Row) -> Change {
    messages::put_message(&row.talk, &row.id, row.at, &Message::text("Kim", &row.text)).unwrap()
}

fn memory_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).unwrap_or(0)
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

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// A bare WebSocket that sends back what it gets.
async fn echoing() -> Socket {
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
    tokio_tungstenite::connect_async(format!("ws://{address}")).await.unwrap().0
}

/// Three databases, as a message passes three.
fn three_plain(folder: &Path) -> [rusqlite::Connection; 3] {
    ["one", "two", "three"].map(|name| {
        let conn = rusqlite::Connection::open(folder.join(format!("{name}.db"))).unwrap();
        conn.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE t (id INTEGER PRIMARY KEY, text BLOB) STRICT;",
        )
        .unwrap();
        conn
    })
}

fn since(started: Instant) -> f64 {
    started.elapsed().as_secs_f64() * 1000.0
}

/// Live messages, and in turns with them what they are compared with.
async fn live(folder: &Path, line: &Sync, laptop: &Sync) -> serde_json::Value {
    let mut socket = echoing().await;
    let mut plain = Some(three_plain(folder));
    let (mut ours, mut echoes, mut commits, mut threes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for n in 0..LIVE {
        let text = "a live message of usual length, more or less".to_owned();
        let mut id = [9; 16];
        id[..8].copy_from_slice(&n.to_be_bytes());
        let row = Row { id, talk: [1; 16], at: 1_900_000_000_000 + n, text };
        let started = Instant::now();
        line.write(vec![change(&row)]).await.unwrap();
        changed(laptop).await;
        ours.push(since(started));
        let started = Instant::now();
        socket.send(tungstenite::Message::binary(vec![7; 600])).await.unwrap();
        socket.next().await.unwrap().unwrap();
        echoes.push(since(started));
        let databases = plain.take().unwrap();
        let (databases, times) = tokio::task::spawn_blocking(move || {
            let started = Instant::now();
            let commit = |conn: &rusqlite::Connection| {
                conn.execute("INSERT INTO t (text) VALUES (?1)", [vec![7_u8; 600]]).unwrap();
                since(started)
            };
            let times = [&databases[0], &databases[1], &databases[2]].map(commit);
            (databases, times)
        })
        .await
        .unwrap();
        plain = Some(databases);
        commits.push(times[0]);
        threes.push(times[2]);
    }
    let held = laptop.messages(vec![1; 16], Cursor::NEWEST, 1).await.unwrap();
    assert_eq!(held[0].at, 1_900_000_000_000 + LIVE - 1);
    json!({
        "message": milliseconds(ours),
        "bare_websocket_echo": milliseconds(echoes),
        "plain_sqlite_commit": milliseconds(commits),
        "three_plain_sqlite_commits": milliseconds(threes),
    })
}

fn plain_sqlite(folder: &Path, count: u64) -> f64 {
    let mut conn = rusqlite::Connection::open(folder.join("plain.db")).unwrap();
    conn.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE message (id BLOB PRIMARY KEY, talk BLOB, at INTEGER, text TEXT) STRICT;
         CREATE INDEX by_talk ON message (talk, at); CREATE INDEX by_time ON message (at);",
    )
    .unwrap();
    let (mut took, mut rows) = (Duration::ZERO, rows(count));
    loop {
        let batch: Vec<Row> = rows.by_ref().take(2000).collect();
        if batch.is_empty() {
            return took.as_secs_f64();
        }
        let started = Instant::now();
        let tx = conn.transaction().unwrap();
        for row in &batch {
            let mut insert = tx.prepare_cached("INSERT INTO message VALUES (?1, ?2, ?3, ?4)").unwrap();
            insert.execute(rusqlite::params![row.id, row.talk, i64::try_from(row.at).unwrap(), row.text]).unwrap();
        }
        tx.commit().unwrap();
        took += started.elapsed();
    }
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

async fn heard() {
    tokio::task::spawn_blocking(|| std::io::stdin().read_line(&mut String::new())).await.unwrap().unwrap();
}

/// One device in a process of its own: `bench_sync side <primary|linked> <folder> <relay url>`. Says `ready`, hears `go`; a
/// linked device says `first` and `done <bytes>`; both hear `end` and say their memory.
async fn side(role: &str, folder: &Path, url: &str) {
    let client = RelayClient::new(RelayClient::discover(url).await.unwrap()).unwrap();
    let name = if role == "primary" { "phone" } else { "laptop" };
    let store = open_store(folder, name);
    println!("ready");
    heard().await;
    reset_peak();
    let (idle, cpu) = (memory_kib("VmRSS:"), cpu_seconds());
    let sync = if role == "primary" {
        let phone = Primary::open(store, client, Policy::DEVELOPMENT, name).await.unwrap();
        phone.sync().await.unwrap()
    } else {
        LinkedDevice::open(store, client).await.unwrap().sync().await.unwrap()
    };
    let (mut first, mut done) = (role == "primary", role == "primary");
    let mut end = std::pin::pin!(heard());
    loop {
        tokio::select! {
            () = &mut end => break,
            event = tokio::time::timeout(Duration::from_millis(20), sync.next_event()) => assert!(!matches!(event, Ok(None))),
        }
        if !first && sync.conversations().await.unwrap().iter().filter(|talk| talk.latest.is_some()).count() >= 20 {
            first = true;
            println!("first");
        }
        if let (false, Some(progress)) = (done, sync.history().await.unwrap().first())
            && progress.standing == HistoryStanding::Done
        {
            done = true;
            println!("done {}", progress.bytes);
        }
    }
    println!("{} {}", memory_kib("VmHWM:").saturating_sub(idle), cpu_seconds() - cpu);
}

struct Side {
    process: tokio::process::Child,
    said: tokio::io::Lines<tokio::io::BufReader<tokio::process::ChildStdout>>,
}

impl Side {
    async fn start(role: &str, folder: &Path, url: &str) -> Self {
        let mut process = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args([std::ffi::OsStr::new("side"), role.as_ref(), folder.as_os_str(), url.as_ref()])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let said = tokio::io::BufReader::new(process.stdout.take().unwrap()).lines();
        let mut side = Self { process, said };
        assert_eq!(side.hear().await, "ready");
        side
    }

    async fn hear(&mut self) -> String {
        self.said.next_line().await.unwrap().expect("the device lives")
    }

    async fn tell(&mut self, word: &str) {
        self.process.stdin.as_mut().unwrap().write_all(word.as_bytes()).await.unwrap();
    }

    /// Peak memory over idle, KiB, and processor seconds.
    async fn end(mut self) -> (u64, f64) {
        self.tell("end\n").await;
        let last = self.hear().await;
        let (memory, cpu) = last.split_once(' ').unwrap();
        self.process.wait().await.unwrap();
        (memory.parse().unwrap(), cpu.parse().unwrap())
    }
}

#[tokio::main]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [side_of, role, folder, url] = args.as_slice()
        && side_of == "side"
    {
        return side(role, Path::new(folder), url).await;
    }
    let count: u64 = args.first().and_then(|count| count.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let text_bytes: usize = rows(count).map(|row| row.text.len()).sum();
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
    let talks =
        (0..50_u8).map(|n| messages::put_conversation(&[n; 16], &format!("Talk {n}"), 1 + u64::from(n)).unwrap());
    line.write(talks.collect()).await.unwrap();
    let (mut seeded, cpu, mut all) = (Duration::ZERO, cpu_seconds(), rows(count));
    let mut seeding_cpu = 0.0;
    loop {
        let batch: Vec<Change> = all.by_ref().take(2000).map(|row| change(&row)).collect();
        if batch.is_empty() {
            break;
        }
        let (started, before) = (Instant::now(), cpu_seconds());
        line.write(batch).await.unwrap();
        seeded += started.elapsed();
        seeding_cpu += cpu_seconds() - before;
    }
    eprintln!("written on the primary in {:.2} s, {:.2} s in all", seeded.as_secs_f64(), cpu_seconds() - cpu);
    drop(line);

    let laptop = LinkedDevice::open(open_store(folder.path(), "laptop"), client.clone()).await.unwrap();
    play(&phone, &laptop, "laptop", Person::Agrees).await.linked.unwrap();
    drop((phone, laptop));
    tokio::time::sleep(Duration::from_millis(500)).await;
    let mut linked = Side::start("linked", folder.path(), &relay.url()).await;
    let mut primary = Side::start("primary", folder.path(), &relay.url()).await;
    let (started, cpu) = (Instant::now(), cpu_seconds());
    primary.tell("go\n").await;
    linked.tell("go\n").await;
    assert_eq!(linked.hear().await, "first");
    let first = started.elapsed().as_secs_f64();
    let done = linked.hear().await;
    let took = started.elapsed().as_secs_f64();
    let sealed_bytes: u64 = done.strip_prefix("done ").unwrap().parse().unwrap();
    let relay_cpu = cpu_seconds() - cpu;
    eprintln!("history in {took:.2} s");
    let ((linked_kib, linked_cpu), (primary_kib, primary_cpu)) = (linked.end().await, primary.end().await);
    // Closed, without journals.
    let stores = [size(folder.path(), "phone"), size(folder.path(), "laptop")];

    let phone = Primary::open(open_store(folder.path(), "phone"), client.clone(), Policy::DEVELOPMENT, "phone");
    let line = serve(phone.await.unwrap().sync().await.unwrap());
    let laptop = LinkedDevice::open(open_store(folder.path(), "laptop"), client).await.unwrap().sync().await.unwrap();
    // What is left to say is not a live message.
    while let Ok(Some(_)) = tokio::time::timeout(Duration::from_millis(500), laptop.next_event()).await {}
    let live = live(folder.path(), &line, &laptop).await;
    let open = size(folder.path(), "laptop");
    drop((line, laptop));
    let plain = plain_sqlite(folder.path(), count);
    // All of it in memory, several times: not for a million.
    let yjs = if count <= 200_000 { yjs(&rows(count).collect::<Vec<_>>()) } else { serde_json::Value::Null };
    let report = json!({
        "messages": count,
        "text_bytes": text_bytes,
        "write_on_primary_s": seeded.as_secs_f64(),
        "write_on_primary_cpu_s": seeding_cpu,
        "history_s": took,
        "records_per_s": count as f64 / took,
        "history_cpu_s_primary_relay_linked": [primary_cpu, relay_cpu, linked_cpu],
        "sealed_bytes_through_the_relay": sealed_bytes,
        "first_screen_s": first,
        "peak_kib_over_idle_primary_linked": [primary_kib, linked_kib],
        "live": live,
        "store_bytes_primary_linked": stores,
        "store_bytes_linked_while_open": open,
        "store_bytes_per_text_byte": stores[1] as f64 / text_bytes as f64,
        "store_bytes_per_compressed_byte": stores[1] as f64 / sealed_bytes as f64,
        "plain_sqlite_insert_s": plain,
        "history_over_plain_sqlite": took / plain,
        "yjs_in_memory": yjs,
    });
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
    relay.shutdown().await;
}
