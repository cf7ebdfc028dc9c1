//! `make bench-link`: what a link costs. The median time of each step of the cryptography, bytes and turns on the wire, and
//! how long fifty links take from a camera's frame in memory to both sides linked, over a real relay on the loopback address with
//! sealed stores on the disk. People take no time here. Prints one JSON object.
//!
//! Relay, primary and linked device share this process and its cores.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use pairlight_core::Timestamp;
use pairlight_core::crypto::hpke::{ExportLabel, RecipientKey, SenderChannel};
use pairlight_core::crypto::kdf::{KdfLabel, derive};
use pairlight_core::crypto::olm::RatchetAccount;
use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::frame::LumaFrame;
use pairlight_core::net::{LinkedDevice, Primary, RelayClient, system_rng};
use pairlight_core::pairing::CodeMatrix;
use pairlight_core::scan::{Event, ScanOptions, Scanner};
use pairlight_core::session::Session;
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_lens::{Condition, Lens, Matrix};
use pairlight_relay::{Limits, Relay, RelayConfig, RelayHandle};
use pairlight_tests::world::{Person, World, open_store, play_scanned};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::sign::{SigningContext, verify};
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LINKS: usize = 50;
const RUNS: usize = 400;

/// Median time of `step`, in microseconds. What `prepare` makes is not measured.
fn median<T, U>(mut prepare: impl FnMut() -> T, mut step: impl FnMut(T) -> U) -> f64 {
    let mut times = Vec::with_capacity(RUNS);
    for _ in 0..RUNS {
        let input = prepare();
        let began = Instant::now();
        black_box(step(black_box(input)));
        times.push(began.elapsed());
    }
    times.sort_unstable();
    times[RUNS / 2].as_secs_f64() * 1e6
}

/// The steps of a link, in the order in which they come.
fn steps() -> Vec<(&'static str, f64)> {
    let (psk, id, info, text) = ([1; 32], [2; 16], b"info", [3; 1_000]);
    let generated = || RecipientKey::generate(&mut system_rng()).unwrap();
    let initiated = |public: &[u8; 1216]| SenderChannel::initiate(&mut system_rng(), public, &psk, &id, info).unwrap();
    let pair = || {
        let generated = generated();
        let initiated = initiated(&generated.public);
        let recipient = generated.secret.accept(&initiated.enc, &psk, &id, info).unwrap();
        (initiated.channel, recipient)
    };
    let key = SigningKey::from_seed(&[4; 32]);
    let signature = key.sign(SigningContext::DeviceList, &text);
    let session = || {
        let (one, two) = (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap());
        let keys = one.keys();
        let mut ratchet = one.start(&two.keys()).unwrap();
        let first = ratchet.seal(b"first").unwrap();
        let joined = two.join(&keys.identity, &first.bytes).unwrap().ratchet;
        let (a, b) = (DeviceId([1; 16]), DeviceId([2; 16]));
        (Session::new(a, b, ratchet), Session::new(b, a, joined))
    };
    vec![
        ("X-Wing: new key pair", median(|| (), |()| generated())),
        ("keys of a code (HKDF)", median(|| (), |()| derive::<32>(b"salt", &psk, KdfLabel::Psk, &[]))),
        ("HPKE: open a channel to the key", median(generated, |key| initiated(&key.public))),
        (
            "HPKE: join the channel",
            median(
                || {
                    let key = generated();
                    let enc = initiated(&key.public).enc;
                    (key, enc)
                },
                |(key, enc)| key.secret.accept(&enc, &psk, &id, info).unwrap(),
            ),
        ),
        ("HPKE: seal 1,000 bytes", median(pair, |(mut sender, _)| sender.seal(b"aad", &text).unwrap())),
        (
            "HPKE: open 1,000 bytes",
            median(
                || {
                    let (mut sender, recipient) = pair();
                    (sender.seal(b"aad", &text).unwrap(), recipient)
                },
                |(sealed, mut recipient)| recipient.open(b"aad", &sealed).unwrap(),
            ),
        ),
        ("check code (export and HKDF)", median(pair, |(sender, _)| sender.export(ExportLabel::CheckCode).unwrap())),
        ("Ed25519: sign 1,000 bytes", median(|| (), |()| key.sign(SigningContext::DeviceList, &text))),
        (
            "Ed25519: verify, strictly",
            median(|| (), |()| verify(&key.public(), SigningContext::DeviceList, &text, &signature).unwrap()),
        ),
        ("ratchet: keys for a link", median(|| (), |()| RatchetAccount::generate().unwrap())),
        (
            "ratchet: start, and its first message",
            median(
                || (RatchetAccount::generate().unwrap(), RatchetAccount::generate().unwrap().keys()),
                |(own, keys)| own.start(&keys).unwrap().seal(b"first").unwrap(),
            ),
        ),
        (
            "envelope: seal 1,000 bytes",
            median(session, |(mut one, _)| one.seal(EnvelopeKind::Application, &text, &mut system_rng()).unwrap()),
        ),
        (
            "envelope: open 1,000 bytes",
            median(
                || {
                    let (mut one, two) = session();
                    (one.seal(EnvelopeKind::Application, &text, &mut system_rng()).unwrap(), two)
                },
                |(envelope, mut two)| two.open(&envelope).unwrap(),
            ),
        ),
    ]
}

/// What went over the wire of one side, headers and frames of HTTP and WebSocket included.
#[derive(Default)]
struct Wire {
    sent: AtomicU64,
    received: AtomicU64,
    /// How often the direction changed from sending to receiving: round trips.
    turns: AtomicU64,
    sending: AtomicBool,
}

impl Wire {
    fn figures(&self) -> Value {
        json!({
            "bytes_sent": self.sent.load(Relaxed),
            "bytes_received": self.received.load(Relaxed),
            "round_trips": self.turns.load(Relaxed),
        })
    }
}

/// Listens where the relay is thought to be, and counts for the phone and the laptop. A laptop that links opens one socket,
/// everything else is the phone's.
async fn counted(listener: TcpListener, relay: String, wires: [Arc<Wire>; 2]) {
    while let Ok((near, _)) = listener.accept().await {
        let Ok(far) = TcpStream::connect(&relay).await else { return };
        let (mut near_in, mut near_out) = near.into_split();
        let (mut far_in, mut far_out) = far.into_split();
        let wires = wires.clone();
        tokio::spawn(async move {
            let mut buffer = vec![0; 64 * 1024];
            let Ok(first @ 1..) = near_in.read(&mut buffer).await else { return };
            let [phone, laptop] = wires;
            let wire = if buffer.starts_with(b"GET /v1/link HTTP") { laptop } else { phone };
            let down = Arc::clone(&wire);
            tokio::spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(read @ 1..) = far_in.read(&mut buffer).await {
                    down.received.fetch_add(read as u64, Relaxed);
                    down.turns.fetch_add(u64::from(down.sending.swap(false, Relaxed)), Relaxed);
                    if near_out.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
            let mut read = first;
            loop {
                wire.sent.fetch_add(read as u64, Relaxed);
                wire.sending.store(true, Relaxed);
                if far_out.write_all(&buffer[..read]).await.is_err() {
                    return;
                }
                match near_in.read(&mut buffer).await {
                    Ok(more @ 1..) => read = more,
                    _ => return,
                }
            }
        });
    }
}

/// A relay that is reached through the counter.
async fn behind_a_counter(wires: [Arc<Wire>; 2]) -> (RelayHandle, RelayClient) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    // Logins sign the name of the relay, which is that of the counter.
    let config = RelayConfig { limits: Limits::generous(), host: Some(host.clone()), ..RelayConfig::default() };
    let relay = Relay::spawn(config).await.unwrap();
    let address = relay.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
    tokio::spawn(counted(listener, address, wires));
    let endpoint = RelayClient::discover(&format!("http://{host}")).await.unwrap();
    (relay, RelayClient::new(endpoint).unwrap())
}

async fn on_the_wire() -> Value {
    let wires = [Arc::new(Wire::default()), Arc::new(Wire::default())];
    let (_relay, client) = behind_a_counter(wires.clone()).await;
    let folder = tempfile::tempdir().unwrap();
    let phone =
        Primary::open(open_store(folder.path(), "phone"), client.clone(), Policy::BALANCED, "phone").await.unwrap();
    phone.register().await.unwrap();
    let laptop = LinkedDevice::open(open_store(folder.path(), "laptop"), client).await.unwrap();
    let before = wires.clone().map(|wire| (wire.sent.swap(0, Relaxed), wire.received.swap(0, Relaxed)));
    wires.iter().for_each(|wire| wire.turns.store(0, Relaxed));
    assert!(before[0].0 > 0, "the counter is on the line");
    let parse = |text: &str| QrPayload::parse(text).unwrap();
    let outcome = play_scanned(&phone, &laptop, "laptop", Person::Agrees, ScanSource::LiveCamera, parse).await;
    outcome.linked.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    json!({ "phone": wires[0].figures(), "laptop": wires[1].figures() })
}

/// The laptop's screen with a code on it, in front of the simulated camera.
fn screen(text: &str) -> Lens {
    let code = CodeMatrix::draw(text).unwrap();
    let matrix = Matrix::new(code.size(), code.modules().to_vec()).unwrap();
    Lens::new(&Condition::Nominal.scene(matrix)).unwrap()
}

async fn links() -> Value {
    let world = World::start().await;
    let phone = world.primary("phone", Policy::BALANCED).await.unwrap();
    phone.register().await.unwrap();
    let (mut from_start, mut from_frame, mut frames) = (Vec::new(), Vec::new(), 0_u64);
    for number in 0..LINKS {
        let laptop = world.linked(&format!("laptop-{number}")).await.unwrap();
        let (began, mut seen, mut rendering) = (Instant::now(), None, Duration::ZERO);
        let outcome = play_scanned(&phone, &laptop, "laptop", Person::Agrees, ScanSource::LiveCamera, |text| {
            let lens = screen(text);
            let mut scanner = Scanner::new(ScanOptions::default());
            loop {
                let draw = Instant::now();
                let frame = lens.shoot(&Condition::Nominal.view(frames)).unwrap();
                let luma = frame.luma();
                frames += 1;
                rendering += draw.elapsed();
                // The frame that is read counts from here: in memory, as a camera hands it over.
                seen = Some(Instant::now());
                let view = LumaFrame::luma8(&luma, frame.width as u32, frame.height as u32, frame.width).unwrap();
                let found = scanner.scan(&view, Timestamp::default()).events.into_iter().next();
                if let Some(Event::Found(symbol)) = found {
                    return QrPayload::parse(&symbol.text.unwrap()).unwrap();
                }
            }
        });
        let device = outcome.await.primary.unwrap();
        from_start.push(began.elapsed().saturating_sub(rendering));
        from_frame.push(seen.unwrap().elapsed());
        phone.revoke(device, RemovalReason::Revoked).await.unwrap();
    }
    let figures = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        let at = |percent: usize| {
            (times[(times.len() * percent / 100).min(times.len() - 1)].as_secs_f64() * 1e5).round() / 100.0
        };
        json!({ "p50_ms": at(50), "p95_ms": at(95), "worst_ms": at(100) })
    };
    json!({
        "links": LINKS,
        "frames": frames,
        "frame_in_memory_to_both_linked": figures(&mut from_frame),
        "all_but_rendering": figures(&mut from_start),
    })
}

#[tokio::main]
async fn main() {
    let steps: Map<String, Value> =
        steps().into_iter().map(|(name, us)| (name.to_owned(), json!((us * 10.0).round() / 10.0))).collect();
    let report = json!({
        "profile": if cfg!(debug_assertions) { "development" } else { "release" },
        "median_us": steps,
        "one_link_on_the_wire": on_the_wire().await,
        "loopback": links().await,
    });
    println!("{}", serde_json::to_string_pretty(&report).unwrap());
}
