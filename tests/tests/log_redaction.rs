//! Whole links, one of them with a passkey and one with a radio, check-ins, a message each way, records in step, history, a blob,
//! recovery by words and a removal, over the real relay, with every log line of every crate at its finest: no key, code, digit,
//! word, token or content in any of them, in whatever form. A program of its own, because a log is global.

use std::collections::HashMap;
use std::io::Write;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use ed25519_dalek::Signer;
use pairlight_core::crypto::kdf::{KdfLabel, derive};
use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::net::{ConnectionEvent, Linking, Primary, RelayClient, SharedStore};
use pairlight_core::pairing::{AppEvidence, EvidenceWanted, LinkedAccount, LinkedEvent, PrimaryEvent};
use pairlight_core::store::{Cursor, Table};
use pairlight_core::sync::messages::{self, Message};
use pairlight_core::trust::{
    Evidence, EvidenceBit, LinkedAbilities, PasskeyRegistration, Policy, Radio, RadioOrder, ScanSource,
};
use pairlight_relay::{Limits, Relay, RelayConfig};
use pairlight_tests::world::{Time, World, description, open_store};
use pairlight_wire::Bytes;
use pairlight_wire::device::open_ops;
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::evidence::PasskeyProof;
use pairlight_wire::hash::sha256;
use pairlight_wire::id::BlobId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::qr::QrPayload;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());
/// What the library of the WebSockets prints at its finest: every frame as it crosses the wire, so sealed, but for the tokens of
/// blobs, which the relay sends in one. Our programs never let it do that; an app with a logger of its own must not either
/// (`docs/guides/embed-in-rust.md`).
static FRAMES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// Where both logging worlds write: `tracing` and `log`.
#[derive(Clone, Copy)]
struct Sink;

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl log::Log for Sink {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }
    fn log(&self, record: &log::Record<'_>) {
        let line = format!("{} {} {}\n", record.level(), record.target(), record.args());
        let is_frame = record.target().starts_with("tungstenite") && record.level() == log::Level::Trace;
        let log = if is_frame { &FRAMES } else { &LINES };
        log.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(line.as_bytes());
    }
    fn flush(&self) {}
}

// ---------------------------------------------------------------- looking for a secret

/// What must not be in a log.
type Secrets = Vec<(&'static str, Vec<u8>)>;

/// A log, as it is searched.
struct Log {
    text: String,
    lower: String,
    /// Without white space: how lists are spaced, and whether over several lines, makes no difference.
    squeezed: String,
}

impl Log {
    fn new(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let squeezed = text.chars().filter(|c| !c.is_whitespace()).collect();
        Self { lower: text.to_lowercase(), squeezed, text }
    }

    /// What of `secrets` is there, in which form, and the line, in case it is one line: a secret as it is, or any 15 of its bytes
    /// in a row, unless it is words.
    fn first_of(&self, secrets: &[(&'static str, Vec<u8>)]) -> Option<(&'static str, &'static str, &str)> {
        let (mut lower, mut text, mut squeezed) = (Needles::default(), Needles::default(), Needles::default());
        for (what, secret) in secrets {
            let is_words = secret.contains(&b' ') && secret.iter().all(|byte| (b' '..=b'~').contains(byte));
            // Whatever 15 bytes begin at, they hold 12 that begin at a multiple of 4.
            let parts = secret.windows(12).step_by(4).filter(|_| !is_words);
            for part in std::iter::once(secret.as_slice()).chain(parts) {
                lower.add(what, "text", &String::from_utf8_lossy(part).to_lowercase());
                lower.add(what, "hexadecimal", &hex::encode(part));
                text.add(what, "an escaped string", &part.escape_ascii().to_string());
                let list = |form: fn(&u8) -> String| part.iter().map(form).collect::<Vec<_>>().join(",");
                squeezed.add(what, "a list of numbers", &list(|byte| format!("{byte}")));
                squeezed.add(what, "a list of hexadecimal numbers", &list(|byte| format!("{byte:x}")));
                base64_of(part).iter().for_each(|form| text.add(what, "base64", form));
            }
        }
        let found = lower.find_in(&self.lower).or_else(|| text.find_in(&self.text));
        found.or_else(|| squeezed.find_in(&self.squeezed))
    }

    /// The form in which one secret is there.
    fn form_of(&self, secret: &[u8]) -> Option<&'static str> {
        self.first_of(&[("a secret", secret.to_vec())]).map(|(_, form, _)| form)
    }
}

/// One form of a secret.
struct Needle {
    what: &'static str,
    form: &'static str,
    text: String,
}

/// Forms of secrets, by the eight bytes that they begin with: so a text is read once.
#[derive(Default)]
struct Needles {
    long: HashMap<[u8; 8], Vec<Needle>>,
    short: Vec<Needle>,
}

impl Needles {
    fn add(&mut self, what: &'static str, form: &'static str, text: &str) {
        let needle = Needle { what, form, text: text.to_owned() };
        match text.as_bytes().first_chunk() {
            Some(head) => self.long.entry(*head).or_default().push(needle),
            // Less than six characters are everywhere.
            None if text.len() >= 6 => self.short.push(needle),
            None => {}
        }
    }

    fn find_in<'a>(&self, text: &'a str) -> Option<(&'static str, &'static str, &'a str)> {
        let found = |needle: &Needle, at: usize| {
            let from = text.as_bytes()[..at].iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            (needle.what, needle.form, text[from..].lines().next().unwrap_or_default())
        };
        let short = self.short.iter().find_map(|needle| Some(found(needle, text.find(&needle.text)?)));
        short.or_else(|| {
            let bytes = text.as_bytes();
            (0..bytes.len().saturating_sub(7)).find_map(|at| {
                let same = bytes[at..].first_chunk().and_then(|head| self.long.get(head))?;
                let needle = same.iter().find(|needle| bytes[at..].starts_with(needle.text.as_bytes()))?;
                Some(found(needle, at))
            })
        })
    }
}

/// What of `part` stands in base64 whatever stands before and after it, padded or not, in both alphabets.
fn base64_of(part: &[u8]) -> Vec<String> {
    use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
    let mut forms = Vec::new();
    for before in 0..3 {
        let shifted = [&[0; 2][..before], part].concat();
        // Characters with bits of a neighbour, in front and at the end.
        let (front, end) = ((before * 8).div_ceil(6), shifted.len() * 8 / 6);
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            forms.push(engine.encode(&shifted)[front..end].to_owned());
        }
    }
    forms
}

#[test]
fn a_secret_is_found_in_every_form() {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
    let secret: [u8; 32] = core::array::from_fn(|at| 251 - 7 * u8::try_from(at).unwrap());
    let upper = hex::encode_upper(secret);
    let wrapped = STANDARD.encode([b"{\"key\":".as_slice(), &secret, b"}"].concat());
    let forms = [
        hex::encode(secret),
        upper[10..50].to_owned(),
        STANDARD.encode(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        wrapped,
        format!("{secret:?}"),
        format!("{secret:#?}"),
        format!("{secret:x?}"),
        format!("{:?}", &secret[..20]),
        serde_json::to_string(&secret).unwrap(),
        secret.escape_ascii().to_string(),
    ];
    for form in forms {
        let log = Log::new(format!("TRACE some::target value={form} and more\n").as_bytes());
        assert!(log.form_of(&secret).is_some(), "{form}");
        assert_eq!(log.form_of(&[0x5a; 32]), None, "{form}");
    }
    let digits = Log::new(b"DEBUG show 123 456 now");
    assert_eq!(digits.form_of(b"123 456"), Some("text"));
    assert_eq!(digits.form_of(b"123 457"), None);
}

// ---------------------------------------------------------------- what there is to keep secret

/// Carries connections to the relay and keeps what they say: so the tokens are known that nobody shows.
async fn overheard(listener: TcpListener, relay: std::net::SocketAddr, said: Arc<Mutex<Vec<Vec<u8>>>>) {
    loop {
        let Ok((mut near, _)) = listener.accept().await else { return };
        let said = said.clone();
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(relay).await else { return };
            let at = {
                let mut said = said.lock().unwrap();
                said.push(Vec::new());
                said.len() - 1
            };
            let (mut up, mut down) = (vec![0; 16_384], vec![0; 16_384]);
            loop {
                let moved = tokio::select! {
                    read = near.read(&mut up) => match read {
                        Ok(n @ 1..) => {
                            said.lock().unwrap()[at].extend_from_slice(&up[..n]);
                            far.write_all(&up[..n]).await
                        }
                        _ => return,
                    },
                    read = far.read(&mut down) => match read {
                        Ok(n @ 1..) => near.write_all(&down[..n]).await,
                        _ => return,
                    },
                };
                if moved.is_err() {
                    return;
                }
            }
        });
    }
}

/// Every token that was shown to the relay in a header: those of claims are 16 bytes, those of blobs longer.
fn tokens(said: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut tokens = Vec::new();
    for connection in said {
        let text = String::from_utf8_lossy(connection);
        let texts = text.match_indices("Bearer ").map(|(at, word)| &text[at + word.len()..]);
        tokens.extend(texts.map(|rest| hex::decode(rest.split(['\r', '\n']).next().unwrap()).expect("a token")));
    }
    tokens.sort();
    tokens.dedup();
    tokens
}

/// The seeds of an account's own keys, out of its record: 32 bytes whose public key is known.
async fn own_seeds(store: &SharedStore, secrets: &mut Secrets) {
    let account = store.run(|store| store.account()).await.unwrap().unwrap();
    let bytes = account.encode();
    let device = account.list().entry(&account.device_id()).unwrap().device_pk;
    let ops = open_ops(account.ops_cert(), &account.root_pk(), &account.id()).unwrap().ops_pk;
    for (what, public) in [("the root key", account.root_pk()), ("the ops key", ops), ("the phone's key", device)] {
        // A byte string of 32 bytes.
        let heads = bytes.windows(34).filter(|window| window[..2] == [0x58, 0x20]);
        let seed = heads.map(|window| <[u8; 32]>::try_from(&window[2..]).unwrap());
        let seed = seed.into_iter().find(|seed| SigningKey::from_seed(seed).public() == public);
        secrets.push((what, seed.unwrap_or_else(|| panic!("{what} is not in the record")).to_vec()));
    }
    secrets.push(("the key of the names", account.label_key().to_vec()));
}

/// The key of the history that a device sends: after the name of the history.
async fn history_keys(store: &SharedStore, secrets: &mut Secrets) {
    let rows = store.run(|store| store.list(Table::History)).await.unwrap();
    let before = secrets.len();
    for row in rows.into_iter().flatten() {
        let value = row.value.to_vec();
        let found = value.windows(52).find(|window| window[..2] == [1, 0x50] && window[18..20] == [0x58, 0x20]);
        secrets.extend(found.map(|window| ("the key of a history", window[20..].to_vec())));
    }
    assert!(secrets.len() > before, "there is a history");
}

/// The keys inside a session: lists of 32 numbers.
fn ratchet_keys(session: &[u8], secrets: &mut Secrets) {
    fn collect(value: &serde_json::Value, secrets: &mut Secrets) {
        match value {
            serde_json::Value::Array(all) => {
                let bytes: Option<Vec<u8>> = all.iter().map(|one| u8::try_from(one.as_u64()?).ok()).collect();
                match bytes.filter(|bytes| bytes.len() >= 32) {
                    Some(bytes) => secrets.push(("a key of the ratchet", bytes)),
                    None => all.iter().for_each(|one| collect(one, secrets)),
                }
            }
            serde_json::Value::Object(fields) => fields.values().for_each(|one| collect(one, secrets)),
            _ => {}
        }
    }
    let start = session.windows(2).position(|two| two == b"{\"").expect("the state of a ratchet");
    let mut values = serde_json::Deserializer::from_slice(&session[start..]).into_iter::<serde_json::Value>();
    let before = secrets.len();
    collect(&values.next().unwrap().unwrap(), secrets);
    assert!(secrets.len() > before, "a ratchet has keys");
}

#[test]
fn our_programs_collect_no_lines_of_the_crate_log() {
    let manifest = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml")).unwrap();
    let line = manifest.lines().find(|line| line.starts_with("tracing-subscriber = ")).unwrap();
    assert!(line.contains("default-features = false") && !line.contains("tracing-log"), "{line}");
}

// ---------------------------------------------------------------- the links

const RP_ID: &str = "example.com";
const ORIGIN: &str = "https://link.example.com";

fn passkey() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[0x44; 32])
}

fn registration() -> PasskeyRegistration {
    let mut cose = hex::decode("a4010103272006215820").unwrap();
    cose.extend(passkey().verifying_key().as_bytes());
    PasskeyRegistration::new(b"the credential", &cose, RP_ID, &[ORIGIN]).unwrap()
}

/// What a browser on the right page makes of the request; what it signed and the signature are nobody's but the phone's.
fn assertion(wanted: &EvidenceWanted, secrets: &mut Secrets) -> Vec<AppEvidence> {
    let Some(wanted) = &wanted.passkey else { return Vec::new() };
    let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(wanted.challenge);
    let client =
        format!(r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"{ORIGIN}","crossOrigin":false}}"#);
    let data = [sha256(&[RP_ID.as_bytes()]).as_slice(), &[0x05, 0, 0, 0, 1]].concat();
    let signature = passkey().sign(&[data.as_slice(), &sha256(&[client.as_bytes()])].concat());
    secrets.push(("the challenge of the passkey", wanted.challenge.to_vec()));
    secrets.push(("the signature of the passkey", signature.to_bytes().to_vec()));
    vec![AppEvidence::Passkey(Box::new(PasskeyProof {
        credential: Bytes::new(wanted.credentials[0].clone()).unwrap(),
        authenticator_data: Bytes::new(data).unwrap(),
        client_data: Bytes::new(client.into_bytes()).unwrap(),
        signature: Bytes::new(signature.to_bytes().to_vec()).unwrap(),
    }))]
}

/// The air between two simulated radios; without an end that listens, a radio that only hears.
struct Air(Option<Sender<[u8; 16]>>);

impl Radio for Air {
    fn perform(&self, order: RadioOrder) {
        if let (RadioOrder::Advertise(uuid), Some(says)) = (order, &self.0) {
            says.send(uuid).expect("the test listens");
        }
    }
}

/// Plays one link and notes what nobody may read.
async fn link(
    primary: &Primary,
    linking: &Linking,
    air: Option<Receiver<[u8; 16]>>,
    secrets: &mut Secrets,
) -> Box<LinkedAccount> {
    let code = loop {
        if let LinkedEvent::ShowCode { text, .. } = linking.next_event().await.unwrap() {
            break text;
        }
    };
    let payload = QrPayload::parse(&code).unwrap();
    let secret = *payload.qr_secret();
    secrets.push(("the text of the code", code.trim_start_matches("PAIRLIGHT:/").as_bytes().to_vec()));
    secrets.push(("the secret of the code", secret.to_vec()));
    for label in [KdfLabel::Offer, KdfLabel::Psk, KdfLabel::Ble] {
        secrets.push(("a key of the code", derive::<32>(b"pairlight/v1/qr", &secret, label, &[]).to_vec()));
    }
    let pairing = primary.link(payload, ScanSource::LiveCamera).await.unwrap();
    let (mut digits, mut asked, mut account, mut done) = (None, false, None, false);
    while account.is_none() || !done {
        tokio::select! {
            Some(event) = pairing.next_event(), if !done => match event {
                PrimaryEvent::Review(_) => pairing.approve().await.unwrap(),
                PrimaryEvent::ShowCheckCode(code) => digits = Some(code.to_display()),
                PrimaryEvent::Linked(_) => done = true,
                PrimaryEvent::Failed(reason) => panic!("{reason:?}"),
                _ => {}
            },
            Some(event) = linking.next_event(), if account.is_none() => match event {
                LinkedEvent::EnterCheckCode => asked = true,
                LinkedEvent::EvidenceWanted(wanted) => {
                    linking.give_evidence(assertion(&wanted, secrets)).await.unwrap();
                }
                LinkedEvent::Linked(linked) => account = Some(linked),
                LinkedEvent::Failed(reason) => panic!("{reason:?}"),
                _ => {}
            },
        }
        if let Some(digits) = digits.as_ref().filter(|_| asked) {
            asked = false;
            secrets.push(("the word of a cable", linking.tap_word().expect("a word").as_bytes().to_vec()));
            for uuid in air.iter().flat_map(Receiver::try_iter) {
                linking.heard(uuid).await.unwrap();
            }
            linking.enter_check_code(digits).await.unwrap();
            secrets.push(("the check code", digits.clone().into_bytes()));
        }
    }
    let account = account.unwrap();
    secrets.push(("the device key", account.device_key().own().unwrap().to_seed().to_vec()));
    secrets.push(("the key of the names", account.label_key().to_vec()));
    ratchet_keys(account.first_session(), secrets);
    account
}

fn proven(account: &LinkedAccount, bit: EvidenceBit) -> bool {
    let entry = account.list().entry(&account.device_id()).unwrap();
    Evidence::from_certificate(entry.evidence).0.has(bit)
}

const THERE: &str = "the garden gate is open";
const BACK: &str = "and the key is under the mat";
const RECORD: &str = "dinner is at seven";
const BLOB: &[u8] = b"a letter that nobody else reads";
const TALK: &[u8; 16] = b"the conversation";

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_at_any_level_holds_a_secret() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| Sink)
        .init();
    log::set_max_level(log::LevelFilter::Trace);
    log::set_logger(&Sink).unwrap();

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = listener.local_addr().unwrap().to_string();
    let time = Time::default();
    let clock = time.clock();
    let config = RelayConfig {
        host: Some(line.clone()),
        clock: Arc::new(move || clock().unix_ms()),
        limits: Limits::generous(),
        ..RelayConfig::default()
    };
    let relay = Relay::spawn(config).await.unwrap();
    let said = Arc::new(Mutex::new(Vec::new()));
    tokio::spawn(overheard(listener, relay.local_addr(), said.clone()));
    let endpoint = RelayClient::discover(&format!("http://{line}")).await.unwrap();
    let client = RelayClient::new(endpoint).unwrap();
    let world = World { time, folder: tempfile::tempdir().unwrap(), relay, client };
    let mut secrets = Secrets::new();

    let store = open_store(world.folder.path(), "phone");
    let clock = world.time.clock();
    let primary =
        Primary::open_at(store.clone(), world.client.clone(), Policy::DEVELOPMENT, "phone", clock).await.unwrap();
    let laptop = world.linked("laptop").await.unwrap();
    let account = link(&primary, &laptop.link(description("the name of the laptop")), None, &mut secrets).await;
    let device = account.device_id();
    own_seeds(&store, &mut secrets).await;

    // Two more links, with what a page and a radio prove.
    let (says, hears) = channel();
    let strict =
        world.primary("strict phone", Policy::STRONG_ONLY).await.unwrap().with_radio(Arc::new(Air(Some(says))));
    strict.register_passkey(registration()).await.unwrap();
    let near = world.linked("near").await.unwrap().with_radio(Arc::new(Air(None)));
    let linked = link(&strict, &near.link(description("near")), Some(hears), &mut secrets).await;
    assert!(proven(&linked, EvidenceBit::Ble));
    let strict = {
        drop(strict);
        world.primary("strict phone", Policy::STRONG_ONLY).await.unwrap()
    };
    let abilities = LinkedAbilities { passkey: true, ..LinkedAbilities::default() };
    let page = world.linked("page").await.unwrap().with_abilities(abilities);
    let linked = link(&strict, &page.link(description("page")), None, &mut secrets).await;
    assert!(proven(&linked, EvidenceBit::Passkey));
    drop(strict);

    let (line, other) = (primary.connect().await.unwrap(), laptop.connect().await.unwrap());
    line.send(device, EnvelopeKind::Application, THERE.as_bytes()).await.unwrap();
    while !matches!(other.next_event().await.unwrap(), ConnectionEvent::Message { .. }) {}
    other.send(account.primary().unwrap(), EnvelopeKind::Application, BACK.as_bytes()).await.unwrap();
    while !matches!(line.next_event().await.unwrap(), ConnectionEvent::Message { .. }) {}
    line.blobs().put(BlobId([7; 32]), BLOB).await.unwrap();
    assert_eq!(other.blobs().get(BlobId([7; 32])).await.unwrap().as_deref(), Some(BLOB));
    drop((line, other));

    let (sync, other) = (primary.sync().await.unwrap(), laptop.sync().await.unwrap());
    sync.write(vec![messages::put_message(TALK, &[7; 16], 1_000, &Message::text("Kim", RECORD)).unwrap()])
        .await
        .unwrap();
    let in_step = async {
        loop {
            tokio::select! {
                _ = sync.next_event() => {}
                _ = other.next_event() => {}
                () = tokio::time::sleep(Duration::from_millis(50)) => {}
            }
            let page = other.messages(TALK.to_vec(), Cursor::NEWEST, 10).await.unwrap();
            if page.iter().any(|entry| entry.value.text.as_str() == RECORD) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), in_step).await.expect("the record arrives");
    history_keys(&store, &mut secrets).await;
    drop((sync, other));

    let words = primary.create_recovery().await.unwrap();
    let new_store = open_store(world.folder.path(), "new");
    let clock = world.time.clock();
    let found =
        Primary::recover_at(new_store.clone(), world.client.clone(), Policy::DEVELOPMENT, "new phone", &words, clock);
    let (found, fresh) = found.await.unwrap();
    for words in [&words, &fresh] {
        let text = words.to_text().unwrap();
        let first: Vec<_> = text.split(' ').take(3).collect();
        secrets.push(("recovery words", first.join(" ").into_bytes()));
    }
    own_seeds(&new_store, &mut secrets).await;
    let (line, other) = (found.connect().await.unwrap(), laptop.connect().await.unwrap());
    while !matches!(other.next_event().await.unwrap(), ConnectionEvent::Leased { .. }) {}
    found.revoke(device, RemovalReason::Revoked).await.unwrap();
    while other.next_event().await.is_some() {}
    drop((line, other, found, world));

    secrets.push(("a message", THERE.as_bytes().to_vec()));
    secrets.push(("a message", BACK.as_bytes().to_vec()));
    secrets.push(("a record", RECORD.as_bytes().to_vec()));
    secrets.push(("a blob", BLOB.to_vec()));
    secrets.push(("the name of the laptop", b"the name of the laptop".to_vec()));
    let read = |log: &Mutex<Vec<u8>>| Log::new(&log.lock().unwrap_or_else(PoisonError::into_inner));
    let (log, frames) = (read(&LINES), read(&FRAMES));
    let (claims, blobs): (Vec<_>, Vec<_>) =
        tokens(&said.lock().unwrap()).into_iter().partition(|token| token.len() == 16);
    assert!(claims.len() >= 3 && blobs.len() >= 2, "{} tokens of claims, {} of blobs", claims.len(), blobs.len());
    secrets.extend(claims.into_iter().map(|token| ("the token of a claim", token)));
    println!(
        "{} lines, {} bytes of log, {} lines of frames, {} secrets",
        log.text.lines().count(),
        log.text.len(),
        frames.text.lines().count(),
        secrets.len() + blobs.len()
    );
    for of in ["pairlight_core", "pairlight_relay", "hyper"] {
        assert!(log.text.contains(of), "nothing was logged by {of}, so nothing was shown");
    }
    assert_eq!(log.first_of(&secrets), None, "a log line holds a secret");
    assert_eq!(frames.first_of(&secrets), None, "a frame on the wire holds a secret");
    for token in blobs {
        assert_eq!(log.form_of(&token), None, "a log line holds the token of a blob");
        assert!(frames.form_of(&token).is_some(), "if no frame holds it any more, this test need not set frames apart");
    }
    // Whatever the token: neither header may be written out.
    for header in ["bearer ", "authorization: ", "\"authorization\""] {
        let line = log.lower.lines().find(|line| line.contains(header));
        assert_eq!(line, None, "a log line holds an authorisation");
    }
}
