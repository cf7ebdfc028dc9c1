//! A whole link, check-ins, a message each way, records in step, recovery by words and a removal, over the real relay, with
//! every log line of every crate at its finest: no key, code, digit, word, token or content in any of them. A program of
//! its own, because a log is global.

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pairlight_core::net::{ConnectionEvent, Primary};
use pairlight_core::pairing::{LinkedEvent, PrimaryEvent};
use pairlight_core::store::Cursor;
use pairlight_core::sync::messages::{self, Message};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_tests::world::{World, description, open_store};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::qr::QrPayload;

static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

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
        let _ = writeln!(&mut { *self }, "{} {} {}", record.level(), record.target(), record.args());
    }
    fn flush(&self) {}
}

const THERE: &str = "the garden gate is open";
const BACK: &str = "and the key is under the mat";
const RECORD: &str = "dinner is at seven";
const TALK: &[u8; 16] = b"the conversation";

#[tokio::test(flavor = "multi_thread")]
async fn no_log_line_at_any_level_holds_a_secret() {
    tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(|| Sink)
        .init();
    log::set_max_level(log::LevelFilter::Trace);
    log::set_logger(&Sink).unwrap();

    let world = World::start().await;
    let primary = world.primary("phone", Policy::DEVELOPMENT).await.unwrap();
    let laptop = world.linked("laptop").await.unwrap();
    let linking = laptop.link(description("the name of the laptop"));
    let mut secrets: Vec<(&str, Vec<u8>)> = Vec::new();
    let code = loop {
        if let LinkedEvent::ShowCode { text, .. } = linking.next_event().await.unwrap() {
            break text;
        }
    };
    let payload = QrPayload::parse(&code).unwrap();
    secrets.push(("the text of the code", code.trim_start_matches("PAIRLIGHT:/").as_bytes().to_vec()));
    secrets.push(("the secret of the code", payload.qr_secret().to_vec()));
    let pairing = primary.link(payload, ScanSource::LiveCamera).await.unwrap();
    let account = loop {
        tokio::select! {
            Some(event) = pairing.next_event() => match event {
                PrimaryEvent::Review(_) => pairing.approve().await.unwrap(),
                PrimaryEvent::ShowCheckCode(digits) => {
                    let digits = digits.to_display();
                    linking.enter_check_code(&digits).await.unwrap();
                    secrets.push(("the check code", digits.into_bytes()));
                }
                PrimaryEvent::Failed(reason) => panic!("{reason:?}"),
                _ => {}
            },
            Some(event) = linking.next_event() => match event {
                LinkedEvent::Linked(account) => break account,
                LinkedEvent::Failed(reason) => panic!("{reason:?}"),
                _ => {}
            },
        }
    };
    let device = account.device_id();
    secrets.push(("the device key", account.device_key().to_seed().to_vec()));
    secrets.push(("the key of the names", account.label_key().to_vec()));
    secrets.push(("the session", account.first_session().to_vec()));
    let (line, other) = (primary.connect().await.unwrap(), laptop.connect().await.unwrap());
    line.send(device, EnvelopeKind::Application, THERE.as_bytes()).await.unwrap();
    while !matches!(other.next_event().await.unwrap(), ConnectionEvent::Message { .. }) {}
    other.send(account.primary().unwrap(), EnvelopeKind::Application, BACK.as_bytes()).await.unwrap();
    while !matches!(line.next_event().await.unwrap(), ConnectionEvent::Message { .. }) {}
    drop((line, other, linking, pairing));

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
    drop((sync, other));

    let words = primary.create_recovery().await.unwrap();
    let store = open_store(world.folder.path(), "new");
    let clock = world.time.clock();
    let found = Primary::recover_at(store, world.client.clone(), Policy::DEVELOPMENT, "new phone", &words, clock);
    let (found, fresh) = found.await.unwrap();
    for words in [&words, &fresh] {
        let text = words.to_text().unwrap();
        let first: Vec<_> = text.split(' ').take(3).collect();
        secrets.push(("recovery words", first.join(" ").into_bytes()));
    }
    let (line, other) = (found.connect().await.unwrap(), laptop.connect().await.unwrap());
    while !matches!(other.next_event().await.unwrap(), ConnectionEvent::Leased { .. }) {}
    found.revoke(device, RemovalReason::Revoked).await.unwrap();
    while other.next_event().await.is_some() {}
    drop((line, other, found, world));

    secrets.push(("a message", THERE.as_bytes().to_vec()));
    secrets.push(("a message", BACK.as_bytes().to_vec()));
    secrets.push(("a record", RECORD.as_bytes().to_vec()));
    secrets.push(("the name of the laptop", b"the name of the laptop".to_vec()));
    let lines = LINES.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let text = String::from_utf8_lossy(&lines).to_lowercase();
    println!("{} lines, {} bytes of log", text.lines().count(), lines.len());
    assert!(text.lines().count() > 20, "nothing was logged, so nothing was shown:\n{text}");
    for (what, secret) in &secrets {
        let forms = [
            String::from_utf8_lossy(secret).to_lowercase(),
            hex::encode(secret),
            format!("{secret:?}").trim_matches(['[', ']']).to_owned(),
        ];
        for form in forms.iter().filter(|form| form.len() >= 6) {
            let line = text.lines().find(|line| line.contains(form.as_str()));
            assert_eq!(line, None, "a log line holds {what}");
        }
    }
    // A token is 16 bytes in hexadecimal, an authorisation longer: neither header may be written out.
    for header in ["bearer ", "authorization: ", "\"authorization\""] {
        let line = text.lines().find(|line| line.contains(header));
        assert_eq!(line, None, "a log line holds an authorisation");
    }
}
