//! The plays of devices that are linked: what comes out afterwards, copies, and what a recording holds. Each returns an
//! error when its attack does not end as the table says.

use std::time::Duration;

use pairlight_core::crypto::CryptoError;
use pairlight_core::crypto::hpke::{Initiated, RecipientKey, SenderChannel};
use pairlight_core::devices::Action;
use pairlight_core::net::{Connection, ConnectionEvent, LinkedDevice, Primary, SharedStore, system_rng};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::id::DeviceId;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::relay::RefusalCode;
use pairlight_wire::standing::{Discrepancy, NoticeKind};

use super::line::Between;
use super::stage::{Person, Stage, expect, open_store, soon, surprise};
use crate::demo::timeline::{LAPTOP, PHONE, THIEF};
use crate::exit::Failure;

/// A link that should not be comes out within three hours, and ends when the owner removes it.
pub(super) async fn comes_out(
    stage: &Stage,
    phone: &Primary,
    laptop: &LinkedDevice,
    device: DeviceId,
) -> Result<(), Failure> {
    let watch = phone.connect().await?;
    stage.pass(3 * 3_600_000);
    loop {
        match soon(watch.next_event()).await? {
            ConnectionEvent::Notice(notice) if notice.device == device => {
                stage.tell(
                    PHONE,
                    format!("within three hours, when the owner has the phone alone: {}", notice.text()),
                )?;
                expect(notice.kind == NoticeKind::Linked, "it says that the device was linked")?;
                break;
            }
            _ => {}
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

pub(super) async fn cloned_profile(stage: &Stage) -> Result<(), Failure> {
    seen_by_logins(stage).await?;
    seen_by_reports(stage).await
}

/// A laptop that was linked and has reported, and a copy of its files under `copy`.
async fn copied(stage: &Stage, owner: &str, name: &str, copy: &str) -> Result<(Primary, Connection), Failure> {
    let (phone, _) = linked_pair(stage, owner, name).await?;
    let watch = phone.connect().await?;
    reports(&stage.laptop(name).await?).await?;
    stage.tell(LAPTOP, "online; its report is answered with a lease")?;
    settle().await;
    // The journal first, and only if it is still there: what it holds goes into the file when the store is closed.
    for ending in ["db-wal", "db", "key"] {
        let path = |name: &str| stage.folder.path().join(format!("{name}.{ending}"));
        match std::fs::copy(path(name), path(copy)) {
            Err(error) if ending != "db-wal" => return Err(surprise(error.to_string())),
            _ => {}
        }
    }
    Ok((phone, watch))
}

/// A store is closed, and a socket with it, a moment after its last handle.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// Both are online at once.
async fn seen_by_logins(stage: &Stage) -> Result<(), Failure> {
    let (_phone, watch) = copied(stage, "owner", "laptop", "copy").await?;
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
    out(stage, LAPTOP, &line).await?;
    out(stage, THIEF, &stage.laptop("copy").await?.connect().await?).await
}

/// The copy takes care to be online only while the laptop is not.
async fn seen_by_reports(stage: &Stage) -> Result<(), Failure> {
    let (_phone, watch) = copied(stage, "careful-owner", "careful-laptop", "careful-copy").await?;
    drop(reports(&stage.laptop("careful-laptop").await?).await?);
    stage.tell(LAPTOP, "online and off again; it has reported a second time")?;
    settle().await;
    let line = stage.laptop("careful-copy").await?.connect().await?;
    stage.tell(THIEF, "the copy goes online while the laptop is off, and reports")?;
    let (row, _) = found(&watch, |_, follows| follows == Action::Quarantine).await?;
    stage.tell(PHONE, format!("a notice: {}; the device may do nothing more", row.text()))?;
    expect(row == Discrepancy::CounterRepeated, "its report has a number that was used")?;
    drop(line);
    settle().await;
    let line = stage.laptop("careful-copy").await?.connect().await?;
    let (row, _) = found(&watch, |_, follows| follows == Action::Revoke(RemovalReason::Cloned)).await?;
    stage.tell(PHONE, format!("its next report: {}; the device is removed, by itself", row.text()))?;
    expect(row == Discrepancy::CopyForked, "it follows another report than the laptop's")?;
    out(stage, THIEF, &line).await?;
    out(stage, LAPTOP, &stage.laptop("careful-laptop").await?.connect().await?).await
}

/// A device hears that it was removed as a copy, and erases itself.
async fn out(stage: &Stage, who: &'static str, line: &Connection) -> Result<(), Failure> {
    loop {
        match soon(line.next_event()).await? {
            ConnectionEvent::Removed(reason) => {
                stage.tell(who, "out, and erased itself")?;
                return expect(reason == RemovalReason::Cloned, "it says why");
            }
            ConnectionEvent::Refused(RefusalCode::Duplicate) | ConnectionEvent::Online => {}
            ConnectionEvent::Refused(code) => return Err(surprise(format!("refused with {code:?}"))),
            _ => {}
        }
    }
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
async fn linked_pair(stage: &Stage, owner: &str, name: &str) -> Result<(Primary, DeviceId), Failure> {
    let phone = stage.phone(owner, Policy::BALANCED).await?;
    let device = link(stage, &phone, &stage.laptop(name).await?, "Kim's laptop").await?;
    Ok((phone, device))
}

/// Links, as an honest person would.
async fn link(stage: &Stage, phone: &Primary, laptop: &LinkedDevice, name: &str) -> Result<DeviceId, Failure> {
    let (linking, code) = stage.showing(laptop, name).await?;
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let outcome = stage.attempt(pairing, linking, Person::BelievesEverything).await?;
    match (outcome.primary, outcome.linked) {
        (Ok(device), Ok(_)) => Ok(device),
        _ => Err(surprise("the honest link failed")),
    }
}

pub(super) async fn stolen_unlocked_phone(stage: &Stage) -> Result<(), Failure> {
    let (phone, _) = linked_pair(stage, "owner", "own").await?;
    let watch = phone.connect().await?;
    let own = reports(&stage.laptop("own").await?).await?;
    stage.tell(LAPTOP, "the owner's laptop is online")?;
    stage.tell(THIEF, "holds the unlocked phone and links a laptop")?;
    let laptop = stage.laptop("thief").await?;
    let device = link(stage, &phone, &laptop, "Thief's laptop").await?;
    loop {
        if let ConnectionEvent::Notice(notice) = soon(own.next_event()).await? {
            stage.tell(LAPTOP, format!("the owner's laptop, at once: {}", notice.text()))?;
            expect(notice.kind == NoticeKind::Linked && notice.device == device, "it names the device")?;
            break;
        }
    }
    drop(watch);
    let listed = phone.devices().await?;
    let names: Vec<_> = listed.iter().filter(|info| !info.is_this).filter_map(|info| info.name.clone()).collect();
    stage.tell(PHONE, format!("the list shows: {}", names.join(", ")))?;
    expect(names.iter().any(|name| name == "Thief's laptop"), "the new device is on the list")?;
    comes_out(stage, &phone, &laptop, device).await
}

pub(super) async fn recorded_traffic(stage: &Stage) -> Result<(), Failure> {
    const SAID: &[u8] = b"meet me at the station at nine";
    let (stage, seen) = &stage.with(Between::Records).await?;
    let phone_store = open_store(stage.folder.path(), "owner")?;
    let laptop_store = open_store(stage.folder.path(), "laptop")?;
    let phone = Primary::open(phone_store.clone(), stage.client.clone(), Policy::BALANCED, "owner").await?;
    phone.register().await?;
    let laptop = LinkedDevice::open(laptop_store.clone(), stage.client.clone()).await?;
    let (linking, code) = stage.showing(&laptop, "Name of the laptop").await?;
    let text = code.to_text();
    let secret = *code.qr_secret();
    let pairing = phone.link(code, ScanSource::LiveCamera).await?;
    let outcome = stage.attempt(pairing, linking, Person::BelievesEverything).await?;
    let (Ok(device), Ok(account)) = (outcome.primary, outcome.linked) else {
        return Err(surprise("the honest link failed"));
    };
    let own = account.primary().ok_or_else(|| surprise("an account without a phone"))?;
    let mut ratchets = vec![ratchet_keys(&phone_store, device).await?, ratchet_keys(&laptop_store, own).await?];
    let (line, other) = (phone.connect().await?, laptop.connect().await?);
    line.send(device, EnvelopeKind::Application, SAID).await?;
    loop {
        if let ConnectionEvent::Message { body, .. } = soon(other.next_event()).await? {
            expect(body == SAID, "the message arrives")?;
            break;
        }
    }
    ratchets.extend([ratchet_keys(&phone_store, device).await?, ratchet_keys(&laptop_store, own).await?]);
    let heard = seen.heard();
    stage.tell(THIEF, format!("recorded {} bytes of the link and the first message", heard.len()))?;
    expect(heard.len() > 10_000, "the recorder sat on the line")?;
    let key = account.device_key().own().ok_or_else(|| surprise("a laptop without its key"))?;
    let seed = key.to_seed();
    let holds = |what: &[u8]| heard.windows(what.len()).any(|window| window == what);
    // Both ends of the socket are in the recording, so what is public is found: the search works.
    expect(holds(account.id().as_bytes()), "the account's id, which is public, is in the recording")?;
    for (what, bytes) in [
        ("the name of the laptop", b"Name of the laptop".as_slice()),
        ("what was said", SAID),
        ("the secret of the code", &secret),
        ("the text of the code", text.as_bytes()),
        ("the key of the device names", account.label_key().as_slice()),
        ("the key of the device", seed.as_slice()),
    ] {
        expect(!holds(bytes), &format!("{what} is not in the recording"))?;
    }
    let keys: Vec<_> = ratchets.iter().flat_map(|ratchet| &ratchet.secret).collect();
    let count = |held: bool| keys.iter().filter(|key| holds(key.as_slice()) == held).count();
    stage.tell(
        THIEF,
        format!("looks for {} secrets of the ratchets, before and after: {} found", keys.len(), count(true)),
    )?;
    expect(ratchets.iter().all(|ratchet| ratchet.secret.len() >= 2), "each ratchet has keys")?;
    expect(count(true) == 0, "no key of a ratchet is in the recording")?;
    let mut public = ratchets.iter().flat_map(|ratchet| &ratchet.public);
    expect(
        public.any(|key| holds(key)),
        "the public half of a ratchet key, in the head of a message, is in the recording",
    )?;
    broken(stage)
}

/// How a ratchet begins in a stored session.
const BEGINS: &[u8] = b"{\"session_keys\"";

/// The keys of the session with `peer`, as a store holds them.
async fn ratchet_keys(store: &SharedStore, peer: DeviceId) -> Result<RatchetKeys, Failure> {
    let session = store.run(move |store| store.session(&peer)).await?.ok_or_else(|| surprise("no session"))?;
    let bytes = session.encode().map_err(|error| surprise(error.to_string()))?;
    // The ratchet lies in the record as JSON: secrets as lists of numbers, public keys as text.
    let begins = bytes.windows(BEGINS.len()).position(|window| window == BEGINS);
    let begins = begins.ok_or_else(|| surprise("no ratchet"))?;
    let json = bytes.get(begins..).unwrap_or_default();
    let mut values = serde_json::Deserializer::from_slice(json).into_iter::<serde_json::Value>();
    let Some(Ok(ratchet)) = values.next() else { return Err(surprise("no ratchet")) };
    let mut keys = RatchetKeys::default();
    collect(&ratchet, "", "", &mut keys);
    Ok(keys)
}

/// Keys of a ratchet: those that nobody else may know, and the other side's, which travel in the head of each message.
#[derive(Default)]
struct RatchetKeys {
    secret: Vec<[u8; 32]>,
    public: Vec<[u8; 32]>,
}

/// Takes the keys out of `value`, which is the field `name` of the field `within`.
fn collect(value: &serde_json::Value, name: &str, within: &str, keys: &mut RatchetKeys) {
    match value {
        serde_json::Value::Array(items) => {
            let bytes = items.iter().map(|item| item.as_u64().and_then(|byte| u8::try_from(byte).ok()));
            match bytes.collect::<Option<Vec<u8>>>().map(<[u8; 32]>::try_from) {
                Some(Ok(key)) => match (name, within) {
                    // Of this side's ratchet key the private half is kept; of the other side's there is only the public one.
                    ("ratchet_key", "active_ratchet") => keys.secret.push(key),
                    ("ratchet_key" | "parent_ratchet_key", _) => keys.public.push(key),
                    (_, "session_keys") => {}
                    _ => keys.secret.push(key),
                },
                _ => items.iter().for_each(|item| collect(item, name, within, keys)),
            }
        }
        serde_json::Value::Object(fields) => {
            for (field, value) in fields {
                collect(value, field, name, keys);
            }
        }
        _ => {}
    }
}

/// A computer that breaks X-Wing has the private key. Nobody can build it here, so the play hands the key over.
fn broken(stage: &Stage) -> Result<(), Failure> {
    const CODE: [u8; 32] = [3; 32];
    let opens = |has_key: bool, code: [u8; 32]| -> Result<bool, Failure> {
        let failed = |error: CryptoError| surprise(error.to_string());
        let laptop = RecipientKey::generate(&mut system_rng()).map_err(failed)?;
        let guessed = RecipientKey::generate(&mut system_rng()).map_err(failed)?;
        let sealed = SenderChannel::initiate(&mut system_rng(), &laptop.public, &CODE, &[1; 16], b"info");
        let Initiated { mut channel, enc } = sealed.map_err(failed)?;
        let message = channel.seal(b"m1", b"first message").map_err(failed)?;
        let key = if has_key { laptop.secret } else { guessed.secret };
        let mut thief = key.accept(&enc, &code, &[1; 16], b"info").map_err(failed)?;
        Ok(thief.open(b"m1", &message).is_ok_and(|opened| opened == b"first message"))
    };
    expect(opens(true, CODE)?, "with both the channel of a pairing opens")?;
    expect(!opens(true, [4; 32])?, "whoever breaks X-Wing and has not seen the code opens nothing")?;
    expect(!opens(false, CODE)?, "whoever has seen the code and cannot break X-Wing opens nothing")?;
    stage.tell(THIEF, "given the private key of X-Wing, without the code: opens nothing. With both: it opens")
}
