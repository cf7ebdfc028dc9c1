//! A relay on a free port, sealed stores in a temporary folder, and both roles on this machine.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use pairlight_core::net::{Clock, LinkedDevice, Linking, NetError, Primary, RelayClient, SharedStore, system_clock};
use pairlight_core::pairing::{DeviceDescription, LinkedAccount, LinkedEvent, PrimaryEvent};
use pairlight_core::store::{KeyFile, Store};
use pairlight_core::trust::{Policy, ScanSource};
use pairlight_relay::{Limits, Relay, RelayConfig, RelayHandle};
use pairlight_wire::device::Preset;
use pairlight_wire::id::DeviceId;
use pairlight_wire::offer::ClientKind;
use pairlight_wire::pairing::EndReason;
use pairlight_wire::qr::QrPayload;

/// The operating system's randomness, boxed as a store wants it.
#[must_use]
pub fn boxed_rng() -> Box<rand_core::UnwrapErr<getrandom::SysRng>> {
    Box::new(rand_core::UnwrapErr(getrandom::SysRng))
}

/// Opens (or makes) a store with a key file beside it.
///
/// # Panics
/// When the folder cannot be used.
#[must_use]
pub fn open_store(folder: &Path, name: &str) -> SharedStore {
    let key = KeyFile::open_or_create(&folder.join(format!("{name}.key")), boxed_rng()).expect("a key file");
    SharedStore::new(Store::open(&folder.join(format!("{name}.db")), &key, boxed_rng()).expect("a store"))
}

/// How a linked device of the tests introduces itself.
#[must_use]
pub fn description(name: &str) -> DeviceDescription {
    DeviceDescription { name: name.into(), os: "Linux".into(), app: "tests".into(), kind: ClientKind::Native }
}

/// The time of a world: the real one, and what a test adds.
#[derive(Clone, Default)]
pub struct Time(Arc<AtomicU64>);

impl Time {
    /// Moves every clock of the world on.
    pub fn pass(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }

    /// The clock of a device.
    #[must_use]
    pub fn clock(&self) -> Clock {
        let (added, real) = (self.0.clone(), system_clock());
        Arc::new(move || real().plus_ms(added.load(Ordering::SeqCst)))
    }
}

/// A running relay with a folder for stores.
pub struct World {
    /// The time of the relay and of every device.
    pub time: Time,
    /// Where stores live.
    pub folder: tempfile::TempDir,
    /// The relay.
    pub relay: RelayHandle,
    /// A client of it that knows its key.
    pub client: RelayClient,
}

impl World {
    /// Starts a relay.
    ///
    /// # Panics
    /// When no port or folder can be had.
    pub async fn start() -> Self {
        Self::start_with(RelayConfig { limits: Limits::generous(), ..RelayConfig::default() }).await
    }

    /// Starts a relay that is configured like this, but for its clock.
    ///
    /// # Panics
    /// When no port or folder can be had.
    pub async fn start_with(config: RelayConfig) -> Self {
        let time = Time::default();
        let clock = time.clock();
        let config = RelayConfig { clock: Arc::new(move || clock().unix_ms()), ..config };
        let relay = Relay::spawn(config).await.expect("a relay on a free port");
        let endpoint = RelayClient::discover(&relay.url()).await.expect("the relay answers");
        let client = RelayClient::new(endpoint).expect("a client");
        Self { time, folder: tempfile::tempdir().expect("a folder"), relay, client }
    }

    /// A primary device with its own store.
    ///
    /// # Errors
    /// What opening says.
    pub async fn primary(&self, name: &str, policy: Policy) -> Result<Primary, NetError> {
        let store = open_store(self.folder.path(), name);
        Primary::open_at(store, self.client.clone(), policy, name, self.time.clock()).await
    }

    /// A linked device with its own store.
    ///
    /// # Errors
    /// What opening says.
    pub async fn linked(&self, name: &str) -> Result<LinkedDevice, NetError> {
        LinkedDevice::open_at(open_store(self.folder.path(), name), self.client.clone(), self.time.clock()).await
    }
}

/// How one attempt ended on both sides.
#[derive(Debug)]
pub struct Outcome {
    /// On the linked device.
    pub linked: Result<Box<LinkedAccount>, EndReason>,
    /// On the primary device.
    pub primary: Result<DeviceId, EndReason>,
}

/// What the person does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Person {
    /// Approves and types the right code.
    Agrees,
    /// Declines on the approval screen.
    Declines,
    /// Types wrong codes.
    Mistypes,
}

/// Plays one attempt from the shown code to the end of both sides.
///
/// # Panics
/// When a side ends without an end.
pub async fn play(primary: &Primary, linked: &LinkedDevice, name: &str, person: Person) -> Outcome {
    let parse = |text: &str| QrPayload::parse(text).expect("our own code");
    play_scanned(primary, linked, name, person, ScanSource::LiveCamera, parse).await
}

/// The same with `look` in the place of the camera: it is given the text that the linked device shows and gives what
/// the primary device scanned, from `source`.
///
/// # Panics
/// When a side ends without an end.
pub async fn play_scanned(
    primary: &Primary,
    linked: &LinkedDevice,
    name: &str,
    person: Person,
    source: ScanSource,
    look: impl FnOnce(&str) -> QrPayload,
) -> Outcome {
    play_linking(primary, &linked.link(description(name)), person, source, look).await
}

/// Plays one attempt of a device that was linked before, and comes back as itself.
///
/// # Panics
/// When the device was never linked, or a side ends without an end.
pub async fn play_relink(primary: &Primary, linked: &LinkedDevice, name: &str) -> Outcome {
    let linking = linked.relink(description(name)).await.expect("it was linked");
    let parse = |text: &str| QrPayload::parse(text).expect("our own code");
    play_linking(primary, &linking, Person::Agrees, ScanSource::LiveCamera, parse).await
}

/// Plays one attempt that was begun.
///
/// # Panics
/// When a side ends without an end.
pub async fn play_linking(
    primary: &Primary,
    linking: &Linking,
    person: Person,
    source: ScanSource,
    look: impl FnOnce(&str) -> QrPayload,
) -> Outcome {
    let text = loop {
        match linking.next_event().await.expect("a code or an end") {
            LinkedEvent::ShowCode { text, .. } => break text,
            LinkedEvent::Failed(reason) => {
                return Outcome { linked: Err(reason), primary: Err(reason) };
            }
            _ => {}
        }
    };
    let pairing = primary.link(look(&text), source).await.expect("the primary is registered");
    let (mut linked_end, mut primary_end) = (None, None);
    let (mut digits, mut asked) = (None, false);
    while linked_end.is_none() || primary_end.is_none() {
        tokio::select! {
            event = linking.next_event(), if linked_end.is_none() => match event.expect("an end") {
                LinkedEvent::EnterCheckCode | LinkedEvent::WrongCheckCode { tries_left: 1.. } => asked = true,
                LinkedEvent::Linked(account) => linked_end = Some(Ok(account)),
                LinkedEvent::Failed(reason) => linked_end = Some(Err(reason)),
                _ => {}
            },
            event = pairing.next_event(), if primary_end.is_none() => match event.expect("an end") {
                PrimaryEvent::Review(_) if person == Person::Declines => pairing.decline().await.expect("alive"),
                PrimaryEvent::Review(_) => pairing.approve().await.expect("alive"),
                PrimaryEvent::ApproveAgain { .. } => pairing.approve_again().await.expect("alive"),
                PrimaryEvent::ShowCheckCode(code) => digits = Some(code.to_display()),
                PrimaryEvent::Linked(device) => primary_end = Some(Ok(device)),
                PrimaryEvent::Failed(reason) => primary_end = Some(Err(reason)),
                _ => {}
            },
        }
        if let Some(digits) = digits.as_ref().filter(|_| asked) {
            asked = false;
            let typed = if person == Person::Mistypes { "000000" } else { digits.as_str() };
            linking.enter_check_code(typed).await.expect("alive");
        }
    }
    Outcome { linked: linked_end.expect("ended"), primary: primary_end.expect("ended") }
}

/// The preset that a certificate names.
#[must_use]
pub fn preset_of(evidence: u64) -> Option<Preset> {
    pairlight_core::trust::Evidence::from_certificate(evidence).2
}
