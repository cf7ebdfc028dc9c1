//! A relay, a victim's phone, and laptops of anybody.

use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use pairlight_core::net::{
    Clock, LinkedDevice, Linking, NetError, Pairing, Primary, RelayClient, SharedStore, system_clock, system_rng,
};
use pairlight_core::pairing::{DeviceDescription, LinkedAccount, LinkedEvent, PrimaryEvent, ReviewModel};
use pairlight_core::store::{KeyFile, Store};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_relay::{Cidr, Limits, Place, PlaceTable, Relay, RelayConfig, RelayHandle};
use pairlight_wire::id::DeviceId;
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;

use super::line::{Between, FAR, Line, RelayPage, Seen};
use crate::demo::timeline::{LAPTOP, PHONE, THIEF, Timeline};
use crate::exit::{Exit, Failure};
use crate::link::words;

/// Nothing takes longer; what does is broken.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) struct Stage {
    pub(super) timeline: Timeline,
    pub(super) relay: RelayHandle,
    pub(super) client: RelayClient,
    pub(super) folder: tempfile::TempDir,
    /// What the clocks of the play are ahead of the real one, ms: nobody sits through the hours of a story.
    passed: Arc<AtomicU64>,
}

/// What the person does, from the approval screen on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Person {
    /// Says yes to everything, and passes the digits on to whoever asks.
    BelievesEverything,
    /// Says no on the approval screen.
    Declines,
    /// Says no on the second, red screen.
    DeclinesTheSecondTime,
}

/// How an attempt ended.
pub(super) struct Outcome {
    pub(super) review: Option<ReviewModel>,
    pub(super) asked_twice: bool,
    pub(super) primary: Result<DeviceId, EndReason>,
    pub(super) linked: Result<Box<LinkedAccount>, EndReason>,
}

/// The play did not go as the table says.
pub(super) fn surprise(what: impl Into<String>) -> Failure {
    Failure::new(Exit::Error, what, "the attack did not end where it should: please report this")
}

pub(super) fn expect(holds: bool, what: &str) -> Result<(), Failure> {
    if holds { Ok(()) } else { Err(surprise(format!("expected: {what}"))) }
}

pub(super) async fn soon<T>(what: impl Future<Output = Option<T>>) -> Result<T, Failure> {
    match tokio::time::timeout(PATIENCE, what).await {
        Ok(Some(value)) => Ok(value),
        _ => Err(surprise("something should have happened by now")),
    }
}

pub(super) fn open_store(folder: &Path, name: &str) -> Result<SharedStore, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Error, error.to_string(), "check the temporary folder and the free space")
    };
    let key = KeyFile::open_or_create(&folder.join(format!("{name}.key")), Box::new(system_rng()));
    let key = key.map_err(|error| failed(&error))?;
    let store = Store::open(&folder.join(format!("{name}.db")), &key, Box::new(system_rng()));
    Ok(SharedStore::new(store.map_err(|error| failed(&error))?))
}

async fn spawn(config: RelayConfig) -> Result<RelayHandle, Failure> {
    Relay::spawn(config).await.map_err(|error| {
        Failure::new(Exit::Error, error.to_string(), "allow this program to listen on the loopback address")
    })
}

impl Stage {
    pub(super) async fn set(timeline: Timeline) -> Result<Self, Failure> {
        let relay = spawn(RelayConfig { limits: Limits::generous(), ..RelayConfig::default() }).await?;
        let url = relay.url();
        Self::at(timeline, relay, &url).await
    }

    /// Another relay, other devices, and somebody on the line between them.
    pub(super) async fn with(&self, between: Between) -> Result<(Self, Seen), Failure> {
        let line = Line::listen(between).await?;
        // The relay goes by the name of the line: logins sign the name.
        let host = Some(line.host.clone());
        let mut config = RelayConfig { limits: Limits::generous(), host, ..RelayConfig::default() };
        let url = format!("http://{}", line.host);
        if between == Between::Elsewhere {
            let place = |city: &str, country: &str| Place { country: country.into(), city: Some(city.into()), asn: 0 };
            let network = |text: &str| text.parse().map_err(|_| surprise("no address"));
            config.trusted_proxies =
                vec![Cidr::try_from("127.0.0.1".to_owned()).map_err(|error| surprise(error.to_string()))?];
            let home = (network("127.0.0.1")?, 8, place("Utrecht", "NL"));
            config.places = Arc::new(PlaceTable(vec![home, (network(FAR)?, 24, place("Auckland", "NZ"))]));
        }
        let relay = spawn(config).await?;
        let seen = line.lead_to(&relay.url());
        Ok((Self::at(self.timeline.clone(), relay, &url).await?, seen))
    }

    async fn at(timeline: Timeline, relay: RelayHandle, url: &str) -> Result<Self, Failure> {
        let client = RelayClient::new(RelayClient::discover(url).await?)?;
        let folder = tempfile::tempdir().map_err(|error| {
            Failure::new(Exit::Error, format!("cannot make a temporary folder: {error}"), "check TMPDIR")
        })?;
        Ok(Self { timeline, relay, client, folder, passed: Arc::default() })
    }

    pub(super) fn tell(&self, actor: &'static str, what: impl Into<String>) -> Result<(), Failure> {
        self.timeline.step(actor, what)
    }

    pub(super) async fn phone(&self, name: &str, policy: Policy) -> Result<Primary, Failure> {
        let store = open_store(self.folder.path(), name)?;
        let phone = Primary::open_at(store, self.client.clone(), policy, name, self.clock()).await?;
        phone.register().await?;
        Ok(phone)
    }

    pub(super) async fn laptop(&self, name: &str) -> Result<LinkedDevice, Failure> {
        let store = open_store(self.folder.path(), name)?;
        Ok(LinkedDevice::open_at(store, self.client.clone(), self.clock()).await?)
    }

    /// The clock of every device of the play.
    pub(super) fn clock(&self) -> Clock {
        let (passed, real) = (Arc::clone(&self.passed), system_clock());
        Arc::new(move || real().plus_ms(passed.load(Ordering::SeqCst)))
    }

    /// Time passes, for every device at once.
    pub(super) fn pass(&self, ms: u64) {
        self.passed.fetch_add(ms, Ordering::SeqCst);
    }

    /// The person approves: what comes before the time that the screen asks for does not count.
    pub(super) async fn approve(&self, pairing: &Pairing, hold_ms: u64) -> Result<(), Failure> {
        if hold_ms > 0 {
            let early = pairing.approve().await;
            expect(matches!(early, Err(NetError::TooEarly(_))), "an approval before its time does not count")?;
            let seconds = hold_ms / 1000;
            self.tell(PHONE, format!("approving at once does not count; the button is held for {seconds} s"))?;
            self.pass(hold_ms);
        }
        Ok(pairing.approve().await?)
    }

    /// A laptop that shows a code, and the code.
    pub(super) async fn showing(&self, laptop: &LinkedDevice, name: &str) -> Result<(Linking, QrPayload), Failure> {
        let linking = laptop.link(DeviceDescription {
            name: name.into(),
            os: std::env::consts::OS.into(),
            app: "pairlight demo".into(),
            kind: ClientKind::Native,
        });
        loop {
            match soon(linking.next_event()).await? {
                LinkedEvent::ShowCode { text, .. } => {
                    let payload = QrPayload::parse(&text).map_err(|error| surprise(error.to_string()))?;
                    return Ok((linking, payload));
                }
                LinkedEvent::Failed(reason) => return Err(surprise(format!("no code: {reason:?}"))),
                _ => {}
            }
        }
    }

    /// Plays an attempt to its end on both sides. The person sees the laptop, and types the digits there.
    pub(super) async fn attempt(&self, pairing: Pairing, linking: Linking, person: Person) -> Result<Outcome, Failure> {
        self.attempt_by(pairing, linking, person, None).await
    }

    /// As [`Self::attempt`]; the person has a page alone, and types the digits into that.
    pub(super) async fn attempt_by(
        &self,
        pairing: Pairing,
        linking: Linking,
        person: Person,
        mut page: Option<&mut RelayPage>,
    ) -> Result<Outcome, Failure> {
        let (mut primary, mut linked, mut digits, mut asked) = (None, None, None, false);
        let (mut review, mut asked_twice) = (None, false);
        while primary.is_none() || linked.is_none() {
            let next = async {
                tokio::select! {
                    event = pairing.next_event(), if primary.is_none() => event.map(Err),
                    event = linking.next_event(), if linked.is_none() => event.map(Ok),
                }
            };
            match soon(next).await? {
                Err(PrimaryEvent::Review(model)) => {
                    let words: Vec<_> = model.warnings.iter().map(|warning| warning.text()).collect();
                    self.tell(PHONE, format!("approval screen: \"{}\". {}", model.device_name, words.join(" ")))?;
                    let hold_ms = model.hold_ms;
                    review = Some(*model);
                    if person == Person::Declines {
                        self.tell(PHONE, "the person says no")?;
                        pairing.decline().await?;
                    } else {
                        self.tell(PHONE, "the person believes the story and approves")?;
                        self.approve(&pairing, hold_ms).await?;
                    }
                }
                Err(PrimaryEvent::ApproveAgain { hold_ms }) => {
                    asked_twice = true;
                    self.tell(PHONE, format!("red screen: hold for {} s to approve again", hold_ms / 1000))?;
                    if person == Person::DeclinesTheSecondTime {
                        self.tell(PHONE, "the person says no")?;
                        pairing.decline().await?;
                    } else {
                        self.pass(hold_ms);
                        pairing.approve_again().await?;
                    }
                }
                Err(PrimaryEvent::ShowCheckCode(code)) => digits = Some(code.to_display()),
                Err(PrimaryEvent::Linked(device)) => primary = Some(Ok(device)),
                Err(PrimaryEvent::Failed(reason)) => {
                    self.tell(PHONE, format!("ended: {}", words(reason)))?;
                    primary = Some(Err(reason));
                }
                Ok(LinkedEvent::EnterCheckCode) => asked = true,
                Ok(LinkedEvent::Linked(account)) => linked = Some(Ok(account)),
                Ok(LinkedEvent::Failed(reason)) => {
                    self.tell(LAPTOP, format!("ended: {}", words(reason)))?;
                    linked = Some(Err(reason));
                }
                _ => {}
            }
            if let Some(digits) = digits.take_if(|_| asked) {
                let typed = match page.as_deref_mut() {
                    Some(page) => {
                        self.tell(PHONE, "the person types the six digits into the page")?;
                        page.pass_on(&digits).await?
                    }
                    None => digits,
                };
                self.tell(LAPTOP, "the six digits are typed")?;
                linking.enter_check_code(&typed).await?;
            }
        }
        match (primary, linked) {
            (Some(primary), Some(linked)) => Ok(Outcome { review, asked_twice, primary, linked }),
            _ => Err(surprise("a side did not end")),
        }
    }

    /// An attacker's laptop shows a code; the victim's phone, under `policy`, gets it by `source`.
    pub(super) async fn lured(&self, policy: Policy, source: ScanSource, person: Person) -> Result<Outcome, Failure> {
        Ok(self.lured_pair("only", policy, source, person).await?.2)
    }

    /// As [`Self::lured`], with both devices; `victim` tells those of a play apart.
    pub(super) async fn lured_pair(
        &self,
        victim: &str,
        policy: Policy,
        source: ScanSource,
        person: Person,
    ) -> Result<(Primary, LinkedDevice, Outcome), Failure> {
        let phone = self.phone(&format!("{victim}-victim"), policy).await?;
        let laptop = self.laptop(&format!("{victim}-attacker")).await?;
        let (linking, code) = self.showing(&laptop, "Family group").await?;
        self.tell(THIEF, "a laptop far away shows a code; it is passed on to the victim")?;
        let pairing = phone.link(code, source).await?;
        let outcome = self.attempt(pairing, linking, person).await?;
        Ok((phone, laptop, outcome))
    }
}
