//! The acts of the story, each over real sockets and sealed stores.

use std::path::Path;
use std::time::Duration;

use pairlight_core::net::{
    Connection, ConnectionEvent, LinkedDevice, Linking, Pairing, Primary, RelayClient, SharedStore, system_rng,
};
use pairlight_core::pairing::{CodeMatrix, DeviceDescription, LinkedAccount, LinkedEvent, PrimaryEvent};
use pairlight_core::payload::Payload;
use pairlight_core::store::{KeyFile, Store};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_relay::{Limits, Place, PlaceTable, Relay, RelayConfig, RelayHandle};
use pairlight_wire::envelope::EnvelopeKind;
use pairlight_wire::list::RemovalReason;
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;

use super::DemoArgs;
use super::eye::{Eye, Screen, Sighting};
use super::timeline::{LAPTOP, PHONE, THIEF, Timeline};
use crate::exit::{Exit, Failure};
use crate::link::{draw, finding as found, words};

const RELAY: &str = "relay";

/// Nothing in the story takes longer; what does is broken.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// Life of a code in the act about expiry.
const SHORT_LIFE: Duration = Duration::from_millis(400);

/// A login code of another service, as somebody might send it.
const FOREIGN_CODE: &str =
    "https://wa.me/settings/linked_devices#2@Zm9yZWlnbi1zZWNyZXQ,a2V5LW1hdGVyaWFs,bW9yZS1rZXlz,c2VjcmV0,1";

/// The relay, the devices and the camera.
pub(crate) struct Stage {
    pub(super) timeline: Timeline,
    /// Runs as long as the stage stands.
    _relay: RelayHandle,
    client: RelayClient,
    pub(super) phone: Primary,
    pub(super) laptop: LinkedDevice,
    screen: Screen,
    eye: Eye,
    on_terminal: bool,
    folder: tempfile::TempDir,
}

pub(super) fn broken(what: impl Into<String>) -> Failure {
    Failure::new(Exit::Error, what, "this is a defect: please report it with the timeline")
}

fn open_store(folder: &Path, name: &str) -> Result<SharedStore, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Error, error.to_string(), "check the temporary folder and the free space")
    };
    let key = KeyFile::create(&folder.join(format!("{name}.key")), Box::new(system_rng()));
    let key = key.map_err(|error| failed(&error))?;
    let store = Store::open(&folder.join(format!("{name}.db")), &key, Box::new(system_rng()));
    Ok(SharedStore::new(store.map_err(|error| failed(&error))?))
}

fn laptop_description() -> DeviceDescription {
    DeviceDescription {
        name: "Kim's laptop".into(),
        os: std::env::consts::OS.into(),
        app: "pairlight demo".into(),
        kind: ClientKind::Native,
    }
}

async fn start_relay(limits: Limits) -> Result<(RelayHandle, RelayClient), Failure> {
    let here = Place { country: "ZZ".into(), city: Some("this machine".into()), asn: 0 };
    let places = PlaceTable(vec![(std::net::Ipv4Addr::LOCALHOST.into(), 8, here)]);
    let config = RelayConfig { limits, places: std::sync::Arc::new(places), ..RelayConfig::default() };
    let relay = Relay::spawn(config).await.map_err(|error| {
        Failure::new(Exit::Error, error.to_string(), "allow this program to listen on the loopback address")
    })?;
    let endpoint = RelayClient::discover(&relay.url()).await?;
    Ok((relay, RelayClient::new(endpoint)?))
}

impl Stage {
    pub(crate) async fn set(args: &DemoArgs, timeline: Timeline) -> Result<Self, Failure> {
        timeline.act("A relay, a laptop that wants to be linked, a phone with an account")?;
        let folder = tempfile::tempdir().map_err(|error| {
            Failure::new(Exit::Error, format!("cannot make a temporary folder: {error}"), "check TMPDIR")
        })?;
        let (relay, client) = start_relay(Limits::generous()).await?;
        timeline.step(RELAY, format!("listens on {}; it can read nothing that passes", relay.url()))?;
        let store = open_store(folder.path(), PHONE)?;
        let phone = Primary::open(store, client.clone(), Policy::DEVELOPMENT, "Kim's phone").await?;
        phone.register().await?;
        timeline.step(PHONE, "account made, sealed in its store, list number 1 published")?;
        let laptop = LinkedDevice::open(open_store(folder.path(), LAPTOP)?, client.clone()).await?;
        let screen = Screen::default();
        let eye = match &args.camera {
            Some(selector) => Eye::Webcam { selector: selector.clone(), timeline: timeline.clone() },
            None => {
                let (screen, folder) = (screen.clone(), args.out.clone());
                Eye::Lens { screen, seed: args.seed, folder, timeline: timeline.clone() }
            }
        };
        Ok(Self {
            timeline,
            _relay: relay,
            client,
            phone,
            laptop,
            screen,
            eye,
            on_terminal: args.camera.is_some(),
            folder,
        })
    }

    /// The whole story.
    pub(crate) async fn play(&mut self) -> Result<(), Failure> {
        self.fill().await?;
        let account = self.link().await?;
        drop(self.talk(&account).await?);
        self.records().await?;
        let laptop = self.laptop.connect().await?;
        self.second_scanner().await?;
        self.expired_code().await?;
        self.foreign_code().await?;
        self.revoke(&account, laptop).await?;
        Ok(())
    }

    /// Looks through the camera on a thread that may block.
    async fn look(&self, scene: &'static str) -> Result<Sighting, Failure> {
        let eye = self.eye.clone();
        let looked = tokio::task::spawn_blocking(move || eye.look(scene)).await;
        looked.map_err(|_| broken("the camera's thread ended"))?
    }

    /// The next code on the laptop's screen.
    async fn shown(&self, linking: &mut Linking) -> Result<String, Failure> {
        loop {
            match next(linking.next_event()).await? {
                LinkedEvent::ShowCode { text, .. } => {
                    self.put_on_screen(&text)?;
                    return Ok(text);
                }
                LinkedEvent::Failed(reason) => return Err(ended(reason)),
                _ => {}
            }
        }
    }

    fn put_on_screen(&self, text: &str) -> Result<(), Failure> {
        self.screen.show(Some(text.to_owned()));
        if self.on_terminal {
            let code = CodeMatrix::draw(text).map_err(|error| broken(error.to_string()))?;
            self.timeline.say(&draw(&code, true))?;
        }
        Ok(())
    }

    /// Scans the laptop's screen while its code is replaced every half minute.
    async fn scan_live(&self, scene: &'static str, linking: &Linking) -> Result<QrPayload, Failure> {
        let scanning = self.scan(scene);
        tokio::pin!(scanning);
        loop {
            tokio::select! {
                payload = &mut scanning => return payload,
                event = linking.next_event() => match event {
                    Some(LinkedEvent::ShowCode { text, .. }) => {
                        self.timeline.step(LAPTOP, "shows a new code; the one before stays good for as long again")?;
                        self.put_on_screen(&text)?;
                    }
                    Some(LinkedEvent::Failed(reason)) => return Err(ended(reason)),
                    Some(_) => {}
                    None => return Err(broken("a side ended without a word")),
                },
            }
        }
    }

    async fn scan(&self, scene: &'static str) -> Result<QrPayload, Failure> {
        let sighting = self.look(scene).await?;
        self.timeline.step(
            PHONE,
            format!(
                "code found in frame {} (version {}, level {:?}, {:.1} px per module; {:.0} ms of scanning)",
                sighting.frames,
                sighting.symbol.version,
                sighting.symbol.ecc,
                sighting.symbol.module_px,
                sighting.scanning.as_secs_f64() * 1000.0
            ),
        )?;
        match Payload::classify(&sighting.symbol.bytes) {
            Payload::PairingOffer(payload) => Ok(payload),
            other => Err(Failure::new(Exit::Error, other.explain(), "point the camera at the code of this demo")),
        }
    }

    async fn link(&mut self) -> Result<Box<LinkedAccount>, Failure> {
        self.timeline.act("Linking: the phone's camera looks at the laptop's screen")?;
        let mut linking = self.laptop.link(laptop_description());
        self.shown(&mut linking).await?;
        self.timeline.step(LAPTOP, "shows a code: 33 x 33 modules, good for 30 s")?;
        let payload = self.scan_live("link", &linking).await?;
        let mut pairing = self.phone.link(payload, ScanSource::LiveCamera).await?;
        let account = self.shake_hands(&mut linking, &mut pairing).await?;
        self.screen.show(None);
        Ok(account)
    }

    /// From the claim to the link, both sides at once.
    async fn shake_hands(&self, linking: &mut Linking, pairing: &mut Pairing) -> Result<Box<LinkedAccount>, Failure> {
        let timeline = &self.timeline;
        let (mut account, mut linked, mut digits, mut asked) = (None, false, None, false);
        while account.is_none() || !linked {
            tokio::select! {
                event = next(pairing.next_event()), if !linked => match event? {
                    PrimaryEvent::Review(review) => {
                        let place = review.place.unwrap_or_else(|| "an unknown place".into());
                        let origin = review.origin.unwrap_or_else(|| "a program, not a web page".into());
                        timeline.step(PHONE, format!(
                            "review: \"{}\", {} on {}, {origin}, {place}{}",
                            review.device_name,
                            review.app,
                            review.os,
                            if review.same_place { ", in the same network" } else { "" }
                        ))?;
                        pairing.approve().await?;
                        timeline.step(PHONE, "approved by its owner")?;
                    }
                    PrimaryEvent::ShowCheckCode(code) => {
                        timeline.step(PHONE, format!("shows the check code {}", code.to_display()))?;
                        digits = Some(code.to_display());
                    }
                    PrimaryEvent::CheckCodeConfirmed { grade } => {
                        timeline.step(PHONE, format!("the code was typed right; evidence so far: {}", grade.text()))?;
                    }
                    PrimaryEvent::EvidenceChecked { bit, finding } => {
                        timeline.step(PHONE, found(bit, &finding))?;
                    }
                    PrimaryEvent::AskedForEvidence(_)
                    | PrimaryEvent::EvidenceMissing { .. }
                    | PrimaryEvent::TooManyAttempts { .. }
                    | PrimaryEvent::JudgeManaged(_) => {}
                    PrimaryEvent::ApproveAgain { .. } => pairing.approve_again().await?,
                    PrimaryEvent::Certified => timeline.step(PHONE, "signed the laptop's certificate with the root key")?,
                    PrimaryEvent::Accepted => timeline.step(PHONE, "the laptop counter-signed; publishing the list")?,
                    PrimaryEvent::SecondScanner => timeline.step(PHONE, "somebody else tried to scan the code")?,
                    PrimaryEvent::Linked(_) => {
                        linked = true;
                        timeline.step(PHONE, "listed: the relay holds list number 2, signed")?;
                    }
                    PrimaryEvent::Failed(reason) => return Err(ended(reason)),
                },
                event = next(linking.next_event()), if account.is_none() => match event? {
                    LinkedEvent::Claimed => timeline.step(LAPTOP, "claimed: \"phone connected, confirm there\"")?,
                    LinkedEvent::EnterCheckCode => asked = true,
                    LinkedEvent::CheckCodeAccepted => timeline.step(LAPTOP, "check code accepted")?,
                    LinkedEvent::WrongCheckCode { .. } => return Err(broken("the right check code was refused")),
                    LinkedEvent::Linked(linked) => {
                        timeline.step(LAPTOP, "linked: certificate, list and lease verified and stored")?;
                        account = Some(linked);
                    }
                    LinkedEvent::Failed(reason) => return Err(ended(reason)),
                    LinkedEvent::ShowCode { .. }
                    | LinkedEvent::Paused
                    | LinkedEvent::Reconnecting { .. }
                    | LinkedEvent::TooManyAttempts { .. }
                    | LinkedEvent::EvidenceWanted(_) => {}
                    LinkedEvent::SecondScanner => timeline.step(LAPTOP, "somebody else tried to scan the code")?,
                },
            }
            if let Some(code) = digits.as_ref().filter(|_| asked) {
                asked = false;
                timeline.step(LAPTOP, "its owner types the six digits")?;
                linking.enter_check_code(code).await?;
            }
        }
        account.ok_or_else(|| broken("linked without an account"))
    }

    async fn talk(&self, account: &LinkedAccount) -> Result<(Connection, Connection), Failure> {
        self.timeline.act("The first sealed messages")?;
        let mut phone = self.phone.connect().await?;
        let mut laptop = self.laptop.connect().await?;
        let primary = account.primary().ok_or_else(|| broken("the account has no primary device"))?;
        laptop.send(primary, EnvelopeKind::Application, b"hello from the laptop").await?;
        let said = message(&mut phone).await?;
        self.timeline.step(PHONE, format!("opened: \"{said}\""))?;
        phone.send(account.device_id(), EnvelopeKind::Application, b"hello from the phone").await?;
        let said = message(&mut laptop).await?;
        self.timeline.step(LAPTOP, format!("opened: \"{said}\""))?;
        Ok((phone, laptop))
    }

    async fn second_scanner(&self) -> Result<(), Failure> {
        self.timeline.act("A second scanner of the same code")?;
        let other = LinkedDevice::open(open_store(self.folder.path(), "tablet")?, self.client.clone()).await?;
        let mut linking = other.link(DeviceDescription { name: "Kim's tablet".into(), ..laptop_description() });
        let payload = QrPayload::parse(&self.shown(&mut linking).await?).map_err(|error| broken(error.to_string()))?;
        let mut first = self.phone.link(payload.clone(), ScanSource::LiveCamera).await?;
        while !matches!(next(first.next_event()).await?, PrimaryEvent::Review(_)) {}
        self.timeline.step(PHONE, "claimed the code and reviews")?;
        let store = open_store(self.folder.path(), THIEF)?;
        let thief = Primary::open(store, self.client.clone(), Policy::DEVELOPMENT, "somebody").await?;
        let mut second = thief.link(payload, ScanSource::LiveCamera).await?;
        let reason = primary_end(&mut second).await?;
        self.timeline.step(THIEF, format!("refused: {}", words(reason)))?;
        let reason = linked_end(&mut linking).await?;
        self.timeline.step("tablet", format!("ends too: {}", words(reason)))?;
        let reason = primary_end(&mut first).await?;
        self.timeline.step(PHONE, format!("is told as well: {}", words(reason)))?;
        Ok(())
    }

    async fn expired_code(&self) -> Result<(), Failure> {
        let life_ms = SHORT_LIFE.as_millis();
        self.timeline.act(&format!("A code that is too old (on a second relay where codes live {life_ms} ms)"))?;
        let limits = Limits { slot_lifetime: SHORT_LIFE, ..Limits::generous() };
        let (relay, client) = start_relay(limits).await?;
        let device = LinkedDevice::open(open_store(self.folder.path(), "late-laptop")?, client.clone()).await?;
        let mut linking = device.link(laptop_description());
        let payload = QrPayload::parse(&self.shown(&mut linking).await?).map_err(|error| broken(error.to_string()))?;
        tokio::time::sleep(SHORT_LIFE * 2).await;
        let store = open_store(self.folder.path(), "late-phone")?;
        let phone = Primary::open(store, client, Policy::DEVELOPMENT, "late phone").await?;
        let mut pairing = phone.link(payload, ScanSource::LiveCamera).await?;
        let reason = primary_end(&mut pairing).await?;
        self.timeline.step(PHONE, format!("refused: {}", words(reason)))?;
        if reason != EndReason::Expired {
            return Err(broken("an old code ended with another reason"));
        }
        drop(linking);
        relay.shutdown().await;
        Ok(())
    }

    async fn foreign_code(&self) -> Result<(), Failure> {
        self.timeline.act("A login code of another app")?;
        let bytes = if self.on_terminal {
            FOREIGN_CODE.as_bytes().to_vec()
        } else {
            self.screen.show(Some(FOREIGN_CODE.to_owned()));
            self.look("foreign").await?.symbol.bytes
        };
        let payload = Payload::classify(&bytes);
        if matches!(payload, Payload::PairingOffer(_)) {
            return Err(broken("a foreign code was taken for ours"));
        }
        self.timeline.step(PHONE, format!("refused: {}. {}", payload.title(), payload.explain()))
    }

    async fn revoke(&self, account: &LinkedAccount, laptop: Connection) -> Result<(), Failure> {
        self.timeline.act("Revocation")?;
        self.phone.revoke(account.device_id(), RemovalReason::Revoked).await?;
        self.timeline.step(PHONE, "revoked the laptop: list number 3 published")?;
        loop {
            match next(laptop.next_event()).await? {
                ConnectionEvent::Removed(reason) => {
                    let gone = self.laptop.account().await?.is_none();
                    self.timeline
                        .step(LAPTOP, format!("session ended ({}), keys and data erased: {gone}", reason.text()))?;
                    break;
                }
                ConnectionEvent::Failed(error) => return Err(error.into()),
                ConnectionEvent::Refused(code) => return Err(broken(format!("ended without proof: {code:?}"))),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Awaits an event, at most as long as anything in the story may take.
async fn next<T>(event: impl Future<Output = Option<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, event).await {
        Ok(Some(event)) => Ok(event),
        Ok(None) => Err(broken("a side ended without a word")),
        Err(_) => Err(Failure::new(Exit::TimedOut, "the story stands still", "try again on a quieter machine")),
    }
}

async fn message(connection: &mut Connection) -> Result<String, Failure> {
    loop {
        match next(connection.next_event()).await? {
            ConnectionEvent::Message { body, .. } => return Ok(String::from_utf8_lossy(&body).into_owned()),
            ConnectionEvent::Unreadable { .. } => return Err(broken("a message could not be opened")),
            ConnectionEvent::Failed(error) => return Err(error.into()),
            _ => {}
        }
    }
}

async fn primary_end(pairing: &mut Pairing) -> Result<EndReason, Failure> {
    loop {
        match next(pairing.next_event()).await? {
            PrimaryEvent::Failed(reason) => return Ok(reason),
            PrimaryEvent::Linked(_) => return Err(broken("linked where a refusal was due")),
            _ => {}
        }
    }
}

async fn linked_end(linking: &mut Linking) -> Result<EndReason, Failure> {
    loop {
        match next(linking.next_event()).await? {
            LinkedEvent::Failed(reason) => return Ok(reason),
            LinkedEvent::Linked(_) => return Err(broken("linked where a refusal was due")),
            _ => {}
        }
    }
}

fn ended(reason: EndReason) -> Failure {
    Failure::new(Exit::Error, format!("the link ended: {}", words(reason)), "start the demo again")
}
