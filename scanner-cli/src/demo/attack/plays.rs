//! The plays. Each returns an error when its attack does not end as the table says.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::devices::Action;
use pairlight_core::net::{Connection, ConnectionEvent, LinkedDevice, Primary, RelayClient, RelayEndpoint};
use pairlight_core::pairing::{AppEvidence, Choice, LinkedEvent, PrimaryEvent, Warning};
use pairlight_core::payload::{Payload, Severity};
use pairlight_core::trust::{
    EvidenceBit, Finding, Grade, LinkedAbilities, PasskeyError, PasskeyRegistration, Policy, Refutation, ScanSource,
};
use pairlight_relay::{Limits, Relay, RelayConfig, RelayHandle};
use pairlight_wire::Bytes;
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::evidence::PasskeyProof;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::relay::RefusalCode;
use pairlight_wire::standing::{Discrepancy, NoticeKind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::stage::{Person, Stage, expect, open_store, soon, surprise};
use crate::demo::timeline::{LAPTOP, PHONE, THIEF};
use crate::exit::Failure;
use crate::link::words;

/// What the scanner says about a code of another service.
fn scanned(stage: &Stage, code: &str, secret: &str) -> Result<(), Failure> {
    let payload = Payload::classify(code.as_bytes());
    stage.tell(PHONE, format!("scanned: {}", payload.explain()))?;
    expect(matches!(payload, Payload::OtherService(_)), "the service is recognised")?;
    expect(payload.severity() == Severity::Danger, "it is called dangerous")?;
    expect(!format!("{payload:?} {}", payload.explain()).contains(secret), "the token is not shown")
}

pub(super) async fn unc5792_group_invite(stage: &Stage) -> Result<(), Failure> {
    scanned(stage, "sgnl://linkdevice?uuid=R3JvdXBJbnZpdGU&pub_key=QmFzZTY0S2V5", "R3JvdXBJbnZpdGU")?;
    let outcome = stage.lured(Policy::BALANCED, ScanSource::Picture, Person::Declines).await?;
    let review = outcome.review.ok_or_else(|| surprise("there was no approval screen"))?;
    expect(review.warnings.contains(&Warning::NotFromCamera), "the screen says that it came from a picture")?;
    expect(outcome.primary == Err(EndReason::Declined), "the phone ends as declined")?;
    expect(outcome.linked.err() == Some(EndReason::Declined), "the laptop hears the same reason")
}

pub(super) async fn ghostpairing(stage: &Stage) -> Result<(), Failure> {
    let payload = Payload::classify(b"ABCD-1234");
    stage.tell(PHONE, format!("the page's code: {}", payload.explain()))?;
    expect(matches!(payload, Payload::Text { .. }), "the code means nothing here")?;
    // The page that knows better shows the code of the attacker's laptop. Its program is changed: it computes the digits
    // as every linked device does, and says that they were typed. So they stop nobody here.
    stage.tell(THIEF, "the page shows a linking code; the changed program behind it will ask nobody for the digits")?;
    let (_, _, outcome) =
        stage.lured_pair("careful", Policy::BALANCED, ScanSource::LiveCamera, Person::Declines).await?;
    let review = outcome.review.ok_or_else(|| surprise("there was no approval screen"))?;
    expect(review.device_name == "Family group", "the screen names the device")?;
    expect(review.default_choice == Choice::Decline, "and its default is no")?;
    expect(outcome.primary == Err(EndReason::Declined), "who declines is not linked")?;
    let (_, _, refused) =
        stage.lured_pair("strict", Policy::STRONG_ONLY, ScanSource::LiveCamera, Person::BelievesEverything).await?;
    expect(refused.primary == Err(EndReason::Refused), "StrongOnly refuses what only digits speak for")?;
    let (phone, laptop, linked) =
        stage.lured_pair("trusting", Policy::BALANCED, ScanSource::LiveCamera, Person::BelievesEverything).await?;
    let device = linked.primary.map_err(|reason| surprise(format!("who approves links it, but: {reason:?}")))?;
    stage.tell(PHONE, "who approves has linked it: medium at best, for digits and place; strong it never is")?;
    let listed = phone.devices().await?.into_iter().find(|info| info.id == device);
    expect(listed.is_some_and(|info| info.grade < Some(Grade::Strong)), "the certificate says so for ever")?;
    comes_out(stage, &phone, &laptop, device).await
}

/// A link that should not be comes out within three hours, and ends when the owner removes it.
async fn comes_out(
    stage: &Stage,
    phone: &Primary,
    laptop: &LinkedDevice,
    device: pairlight_wire::id::DeviceId,
) -> Result<(), Failure> {
    let watch = phone.connect().await?;
    stage.pass(3 * 3_600_000);
    loop {
        if let ConnectionEvent::Notice(notice) = soon(watch.next_event()).await? {
            stage.tell(PHONE, format!("within three hours, when the owner has the phone alone: {}", notice.text()))?;
            expect(notice.kind == NoticeKind::Linked && notice.device == device, "it names the device")?;
            break;
        }
    }
    drop(watch);
    let line = laptop.connect().await?;
    while !matches!(soon(line.next_event()).await?, ConnectionEvent::Online) {}
    phone.revoke(device, RemovalReason::Revoked).await?;
    stage.tell(PHONE, "the owner removes it")?;
    loop {
        match soon(line.next_event()).await? {
            ConnectionEvent::Removed(_) => break,
            ConnectionEvent::Refused(code) => return Err(surprise(format!("refused with {code:?}"))),
            _ => {}
        }
    }
    stage.tell(THIEF, "the laptop is out, and erased itself")?;
    expect(laptop.account().await?.is_none(), "nothing of the account is left on it")
}

pub(super) async fn star_blizzard(stage: &Stage) -> Result<(), Failure> {
    let broken = Payload::classify(b"PAIRLIGHT:/123");
    stage.tell(PHONE, format!("the broken code: {}", broken.explain()))?;
    expect(broken == Payload::DamagedOffer, "a broken code of ours is named as broken")?;
    let code = "https://wa.me/settings/linked_devices#2@Zm9yZWlnbi1zZWNyZXQ,a2V5LW1hdGVyaWFs,bW9yZS1rZXlz,c2VjcmV0,1";
    scanned(stage, code, "Zm9yZWlnbi1zZWNyZXQ")
}

pub(super) async fn qrljacking_relay_page(stage: &Stage) -> Result<(), Failure> {
    // The worst case: the person believes everything and reads the digits to the page.
    let (_, _, refused) =
        stage.lured_pair("strict", Policy::STRONG_ONLY, ScanSource::LiveCamera, Person::BelievesEverything).await?;
    stage.tell(PHONE, "StrongOnly: refused, because nothing proves that the laptop is the person's own")?;
    expect(refused.primary == Err(EndReason::Refused), "StrongOnly refuses")?;
    expect(refused.linked.err() == Some(EndReason::Refused), "and the laptop hears it")?;
    // The default takes it: here it is medium, because attacker and victim share a network.
    let (phone, laptop, taken) =
        stage.lured_pair("default", Policy::BALANCED, ScanSource::LiveCamera, Person::BelievesEverything).await?;
    let review = taken.review.ok_or_else(|| surprise("there was no approval screen"))?;
    expect(review.default_choice == Choice::Decline, "the screen's default is no")?;
    let device = taken.primary.map_err(|reason| surprise(format!("the default takes it, but: {reason:?}")))?;
    stage.tell(PHONE, "the default takes what the person approved and read the digits of")?;
    comes_out(stage, &phone, &laptop, device).await
}

pub(super) async fn forwarded_screenshot(stage: &Stage) -> Result<(), Failure> {
    let outcome = stage.lured(Policy::BALANCED, ScanSource::Picture, Person::DeclinesTheSecondTime).await?;
    let review = outcome.review.ok_or_else(|| surprise("there was no approval screen"))?;
    expect(review.grade_so_far == Grade::Weak, "weak, although both are in one network")?;
    expect(review.hold_ms == 10_000, "approval must be held for ten seconds")?;
    expect(outcome.asked_twice, "the person is asked twice")?;
    expect(outcome.primary == Err(EndReason::Declined), "and may still say no")?;
    expect(outcome.linked.err() == Some(EndReason::Declined), "the laptop hears the same reason")
}

pub(super) async fn shoulder_surfing(stage: &Stage) -> Result<(), Failure> {
    let own = stage.phone("owner", Policy::BALANCED).await?;
    let other = stage.phone("stranger", Policy::BALANCED).await?;
    let laptop = stage.laptop("laptop").await?;
    let (linking, code) = stage.showing(&laptop, "Kim's laptop").await?;
    let first = own.link(code.clone(), ScanSource::LiveCamera).await?;
    loop {
        match soon(first.next_event()).await? {
            PrimaryEvent::Review(_) => break,
            PrimaryEvent::Failed(reason) => return Err(surprise(format!("the owner's scan failed: {reason:?}"))),
            _ => {}
        }
    }
    stage.tell(THIEF, "scans the same code over the person's shoulder")?;
    let second = other.link(code, ScanSource::LiveCamera).await?;
    let refused = loop {
        match soon(second.next_event()).await? {
            PrimaryEvent::Failed(reason) => break reason,
            PrimaryEvent::Review(_) => return Err(surprise("the stranger got the code as well")),
            _ => {}
        }
    };
    stage.tell(THIEF, format!("ended: {}", words(refused)))?;
    expect(refused == EndReason::Conflict, "the second scan is a conflict")?;
    let shown = loop {
        match soon(first.next_event()).await? {
            PrimaryEvent::Failed(reason) => break reason,
            PrimaryEvent::Linked(_) => return Err(surprise("it was linked")),
            _ => {}
        }
    };
    stage.tell(PHONE, format!("the approval screen goes away: {}", words(shown)))?;
    expect(shown == EndReason::Conflict, "the owner's phone says that two devices scanned it")?;
    loop {
        match soon(linking.next_event()).await? {
            LinkedEvent::Failed(reason) => {
                stage.tell(LAPTOP, format!("ended: {}", words(reason)))?;
                return expect(reason == shown, "the laptop says the same");
            }
            LinkedEvent::Linked(_) => return Err(surprise("it was linked")),
            _ => {}
        }
    }
}

pub(super) async fn printed_sticker(stage: &Stage) -> Result<(), Failure> {
    // A relay whose codes live for half a second, so that nobody waits for a minute; all else is as ever.
    let limits = Limits { slot_lifetime: Duration::from_millis(500), ..Limits::generous() };
    let relay = Relay::spawn(RelayConfig { limits, ..RelayConfig::default() }).await;
    let relay = relay.map_err(|error| surprise(error.to_string()))?;
    let client = RelayClient::new(RelayClient::discover(&relay.url()).await?)?;
    let laptop = LinkedDevice::open(open_store(stage.folder.path(), "laptop")?, client.clone()).await?;
    let (linking, code) = stage.showing(&laptop, "Kim's laptop").await?;
    stage.tell(THIEF, "a real code of a laptop is printed, and glued over another")?;
    tokio::time::sleep(Duration::from_millis(800)).await;
    let phone = Primary::open(open_store(stage.folder.path(), "victim")?, client, Policy::BALANCED, "victim").await?;
    phone.register().await?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let reason = match soon(pairing.next_event()).await? {
        PrimaryEvent::Failed(reason) => reason,
        _ => return Err(surprise("a printed code was believed")),
    };
    stage.tell(PHONE, format!("ended: {}", words(reason)))?;
    expect(reason == EndReason::Expired, "the code is too old, although its laptop still waits")?;
    drop(linking);
    relay.shutdown().await;
    Ok(())
}

pub(super) async fn cloned_profile(stage: &Stage) -> Result<(), Failure> {
    let (phone, _) = linked_pair(stage, "laptop").await?;
    let watch = phone.connect().await?;
    reports(&stage.laptop("laptop").await?).await?;
    stage.tell(LAPTOP, "online; its report is answered with a lease")?;
    // The store is closed a moment after its last handle.
    tokio::time::sleep(Duration::from_millis(200)).await;
    // The journal first, and only if it is still there: what it holds goes into the file when the store is closed.
    for ending in ["db-wal", "db", "key"] {
        let path = |name: &str| stage.folder.path().join(format!("{name}.{ending}"));
        match std::fs::copy(path("laptop"), path("copy")) {
            Err(error) if ending != "db-wal" => return Err(surprise(error.to_string())),
            _ => {}
        }
    }
    let own = stage.laptop("laptop").await?;
    let line = reports(&own).await?;
    let other = stage.laptop("copy").await?.connect().await?;
    stage.tell(THIEF, "a copy of the laptop's files goes online")?;
    loop {
        match soon(line.next_event()).await? {
            ConnectionEvent::Refused(RefusalCode::Duplicate) => break,
            ConnectionEvent::Refused(code) => return Err(surprise(format!("refused with {code:?}"))),
            _ => {}
        }
    }
    stage.tell(LAPTOP, "offline: the same device is online elsewhere")?;
    let (row, follows) = found(&watch, |row, _| row == Discrepancy::TwoSockets).await?;
    stage.tell(PHONE, format!("a notice: {}", row.text()))?;
    expect(follows == Action::Notice, "once may be an accident")?;
    drop((line, own));
    stage.tell(LAPTOP, "the person starts the program again")?;
    let own = stage.laptop("laptop").await?;
    let line = own.connect().await?;
    let (row, _) = found(&watch, |_, follows| follows == Action::Revoke(RemovalReason::Cloned)).await?;
    stage.tell(PHONE, format!("the second time within a day the device is removed, by itself: {}", row.text()))?;
    drop(other);
    for (who, line) in [(LAPTOP, line), (THIEF, stage.laptop("copy").await?.connect().await?)] {
        loop {
            match soon(line.next_event()).await? {
                ConnectionEvent::Removed(reason) => {
                    stage.tell(who, "out, and erased itself")?;
                    expect(reason == RemovalReason::Cloned, "it says why")?;
                    break;
                }
                ConnectionEvent::Refused(RefusalCode::Duplicate) | ConnectionEvent::Online => {}
                ConnectionEvent::Refused(code) => return Err(surprise(format!("refused with {code:?}"))),
                _ => {}
            }
        }
    }
    Ok(())
}

/// Goes online until the phone has answered a report.
async fn reports(laptop: &LinkedDevice) -> Result<Connection, Failure> {
    let line = laptop.connect().await?;
    while !matches!(soon(line.next_event()).await?, ConnectionEvent::Leased { .. }) {}
    Ok(line)
}

/// What the phone finds by itself.
async fn found(
    line: &Connection,
    wanted: impl Fn(Discrepancy, Action) -> bool,
) -> Result<(Discrepancy, Action), Failure> {
    loop {
        match soon(line.next_event()).await? {
            ConnectionEvent::Discrepancy { row, follows, .. } if wanted(row, follows) => return Ok((row, follows)),
            _ => {}
        }
    }
}

/// A phone and a laptop that were linked.
async fn linked_pair(stage: &Stage, name: &str) -> Result<(Primary, pairlight_wire::id::DeviceId), Failure> {
    let phone = stage.phone("owner", Policy::BALANCED).await?;
    let laptop = stage.laptop(name).await?;
    let (linking, code) = stage.showing(&laptop, "Kim's laptop").await?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let outcome = stage.attempt(pairing, linking, Person::BelievesEverything).await?;
    match (outcome.primary, outcome.linked) {
        (Ok(device), Ok(_)) => Ok((phone, device)),
        _ => Err(surprise("the honest link failed")),
    }
}

pub(super) async fn evil_relay(stage: &Stage) -> Result<(), Failure> {
    let laptop = stage.laptop("laptop").await?;
    let (linking, code) = stage.showing(&laptop, "Kim's laptop").await?;
    // The app pins the key of another relay than the one that answers.
    let endpoint = RelayEndpoint::new(&stage.relay.url(), [7; 32])?;
    let store = open_store(stage.folder.path(), "victim")?;
    let phone = Primary::open(store, RelayClient::new(endpoint)?, Policy::BALANCED, "victim").await?;
    phone.register().await?;
    stage.tell(THIEF, "the relay is not the one that the app knows, and signs with a key of its own")?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let reason = loop {
        match soon(pairing.next_event()).await? {
            PrimaryEvent::Failed(reason) => break reason,
            PrimaryEvent::Review(_) => return Err(surprise("a foreign relay's statement was believed")),
            _ => {}
        }
    };
    stage.tell(PHONE, format!("ended: {}", words(reason)))?;
    expect(words(reason).starts_with("something was altered on the way"), "the phone says that it was altered")?;
    loop {
        match soon(linking.next_event()).await? {
            LinkedEvent::Failed(reason) => return expect(reason == EndReason::Tampered, "so does the laptop"),
            LinkedEvent::Linked(_) => return Err(surprise("it was linked")),
            _ => {}
        }
    }
}

pub(super) async fn stolen_unlocked_phone(stage: &Stage) -> Result<(), Failure> {
    stage.tell(THIEF, "holds the unlocked phone and links a laptop")?;
    let (phone, device) = linked_pair(stage, "thief").await?;
    let listed = phone.devices().await?;
    let names: Vec<_> = listed.iter().filter(|info| !info.is_this).filter_map(|info| info.name.clone()).collect();
    stage.tell(PHONE, format!("the list shows: {}", names.join(", ")))?;
    expect(listed.iter().any(|info| info.id == device), "the new device is on the list")?;
    let laptop = stage.laptop("thief").await?;
    comes_out(stage, &phone, &laptop, device).await
}

pub(super) async fn recorded_traffic(stage: &Stage) -> Result<(), Failure> {
    const SAID: &[u8] = b"meet me at the station at nine";
    let tap = Tap::start().await?;
    let client = RelayClient::new(RelayClient::discover(&tap.url).await?)?;
    let store = open_store(stage.folder.path(), "owner")?;
    let phone = Primary::open(store, client.clone(), Policy::BALANCED, "owner").await?;
    phone.register().await?;
    let laptop = LinkedDevice::open(open_store(stage.folder.path(), "laptop")?, client).await?;
    let (linking, code) = stage.showing(&laptop, "Name of the laptop").await?;
    let text = code.to_text();
    let secret = *code.qr_secret();
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let outcome = stage.attempt(pairing, linking, Person::BelievesEverything).await?;
    let (Ok(device), Ok(account)) = (outcome.primary, outcome.linked) else {
        return Err(surprise("the honest link failed"));
    };
    let (line, other) = (phone.connect().await?, laptop.connect().await?);
    line.send(device, EnvelopeKind::Application, SAID).await?;
    loop {
        if let ConnectionEvent::Message { body, .. } = soon(other.next_event()).await? {
            expect(body == SAID, "the message arrives")?;
            break;
        }
    }
    let heard = tap.heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
    stage.tell(THIEF, format!("recorded {} bytes of the link and the first message", heard.len()))?;
    expect(heard.len() > 10_000, "the recorder sat on the line")?;
    let holds = |what: &[u8]| heard.windows(what.len()).any(|window| window == what);
    // Both ends of the socket are in the recording, so what is public is found: the search works.
    expect(holds(account.id().as_bytes()), "the account's id, which is public, is in the recording")?;
    for (what, bytes) in [
        ("the name of the laptop", b"Name of the laptop".as_slice()),
        ("what was said", SAID),
        ("the secret of the code", &secret),
        ("the text of the code", text.as_bytes()),
        ("the key of the device names", account.label_key().as_slice()),
        ("the key of the device", account.device_key().to_seed().as_slice()),
    ] {
        expect(!holds(bytes), &format!("{what} is not in the recording"))?;
    }
    Ok(())
}

/// Somebody on the line, who passes everything on and keeps a copy.
struct Tap {
    url: String,
    /// The relay behind it, which is reached under the tap's name: logins sign the name.
    _relay: RelayHandle,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Tap {
    async fn start() -> Result<Self, Failure> {
        let failed = |error: std::io::Error| surprise(error.to_string());
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let host = listener.local_addr().map_err(failed)?.to_string();
        let url = format!("http://{host}");
        let config = RelayConfig { limits: Limits::generous(), host: Some(host), ..RelayConfig::default() };
        let behind = Relay::spawn(config).await.map_err(|error| surprise(error.to_string()))?;
        let relay = behind.url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let copy = Arc::clone(&heard);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = TcpStream::connect(&relay).await else { return };
                let (near_in, near_out) = near.into_split();
                let (far_in, far_out) = far.into_split();
                tokio::spawn(copied(near_in, far_out, Arc::clone(&copy)));
                tokio::spawn(copied(far_in, near_out, Arc::clone(&copy)));
            }
        });
        Ok(Self { url, _relay: behind, heard })
    }
}

async fn copied(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, heard: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let Some(bytes) = buffer.get(..read) else { return };
        heard.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
    let _ = to.shutdown().await;
}

pub(super) async fn look_alike_app(stage: &Stage) -> Result<(), Failure> {
    let ours = QrPayload::new(0, [7; 32], [9; 16]).to_text();
    let other = Payload::classify(ours.replace("PAIRLIGHT", "PAlRLIGHT").as_bytes());
    stage.tell(PHONE, format!("a code with an l for an I: {}", other.explain()))?;
    expect(matches!(other, Payload::AppLink { .. } | Payload::Text { .. }), "it is not ours")?;
    let hosted = Payload::classify(ours.replace("PAIRLIGHT:/", "https://pair1ight.example/L#").as_bytes());
    stage.tell(PHONE, format!("a code as a link: {}", hosted.explain()))?;
    expect(matches!(hosted, Payload::WebLink(_)), "a link of another host is a link")?;
    // A program that lies about its name with characters that turn the line around.
    let phone = stage.phone("victim", Policy::BALANCED).await?;
    let laptop = stage.laptop("attacker").await?;
    let (linking, code) = stage.showing(&laptop, "Kim's \u{202e}potpal\u{202c}\u{200b}\u{7}").await?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let outcome = stage.attempt(pairing, linking, Person::Declines).await?;
    let review = outcome.review.ok_or_else(|| surprise("there was no approval screen"))?;
    let hidden = |c: char| c.is_control() || matches!(c, '\u{200b}' | '\u{202a}'..='\u{202e}');
    expect(!review.device_name.contains(hidden), "the name is shown without its hidden characters")?;
    imitated_page(stage).await
}

/// A page that looks like ours asks for the passkey of the person, and gives what it can: an assertion of its own origin.
async fn imitated_page(stage: &Stage) -> Result<(), Failure> {
    use base64::Engine as _;

    let failed = |what: String| surprise(what);
    // A passkey that the phone made: EdDSA, in COSE form.
    let key = SigningKey::from_seed(&[5; 32]).public();
    let cose = [[0xa4, 1, 1, 3, 0x27, 0x20, 6, 0x21, 0x58, 0x20].as_slice(), &key].concat();
    let passkey = PasskeyRegistration::new(b"passkey", &cose, "example.com", &["https://link.example.com"]);
    let passkey = passkey.map_err(|error| failed(error.to_string()))?;
    let phone = stage.phone("owner", Policy::STRONG_ONLY).await?;
    phone.register_passkey(passkey).await?;
    let page = stage.laptop("page").await?;
    let page = page.with_abilities(LinkedAbilities { passkey: true, ..LinkedAbilities::default() });
    let (linking, code) = stage.showing(&page, "link.examp1e.com").await?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let (mut digits, mut asked, mut finding, mut refused) = (None, false, None, None);
    while refused.is_none() {
        let next = async {
            tokio::select! {
                event = pairing.next_event() => event.map(Err),
                Some(event) = linking.next_event() => Some(Ok(event)),
            }
        };
        match soon(next).await? {
            Err(PrimaryEvent::Review(model)) => stage.approve(&pairing, model.hold_ms).await?,
            Err(PrimaryEvent::ShowCheckCode(code)) => digits = Some(code.to_display()),
            Err(PrimaryEvent::EvidenceChecked { bit: EvidenceBit::Passkey, finding: checked }) => {
                finding = Some(checked)
            }
            Err(PrimaryEvent::Failed(reason)) => refused = Some(reason),
            Err(PrimaryEvent::Linked(_)) => return Err(surprise("it was linked")),
            Ok(LinkedEvent::EnterCheckCode) => asked = true,
            Ok(LinkedEvent::EvidenceWanted(wanted)) => {
                let Some(wanted) = wanted.passkey else { return Err(surprise("another evidence is wanted")) };
                let challenge = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(wanted.challenge);
                let said = format!(
                    r#"{{"type":"webauthn.get","challenge":"{challenge}","origin":"https://link.examp1e.com","crossOrigin":false}}"#
                );
                let proof = PasskeyProof {
                    credential: bytes(b"passkey")?,
                    authenticator_data: bytes(&[0; 37])?,
                    client_data: bytes(said.as_bytes())?,
                    signature: bytes(&[0; 64])?,
                };
                stage.tell(THIEF, "a page of almost the same name asks for the passkey, and passes on what it gets")?;
                linking.give_evidence(vec![AppEvidence::Passkey(Box::new(proof))]).await?;
            }
            _ => {}
        }
        if let Some(digits) = digits.take_if(|_| asked) {
            linking.enter_check_code(&digits).await?;
        }
    }
    let refuted = Finding::Refuted(Refutation::Passkey(PasskeyError::ForeignOrigin));
    stage.tell(PHONE, PasskeyError::ForeignOrigin.to_string())?;
    expect(finding == Some(refuted), "the origin in the assertion is not the service's")?;
    expect(refused == Some(EndReason::Refused), "StrongOnly refuses a page without the person's passkey")
}

fn bytes<const MAX: usize>(of: &[u8]) -> Result<Bytes<MAX>, Failure> {
    Bytes::new(of.to_vec()).map_err(|_| surprise("too long"))
}
