//! Where this terminal keeps who it is: a sealed store in a folder, and the relay that it belongs to.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;
use pairlight_core::devices::AccountError;
use pairlight_core::net::{NetError, RelayClient, RelayEndpoint, SharedStore, system_rng};
use pairlight_core::store::{KeyFile, KeyWrap, KeyWrapError, Passphrase, PassphraseCost, Store, StoreError};
use pairlight_core::sync::SyncError;
use pairlight_core::trust::Policy;
use pairlight_wire::id::to_hex;
use pairlight_wire::relay::RefusalCode;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::link::span;
use crate::style::Voice;

/// The relay that is used when none is named and none was used before.
const NO_RELAY: &str = "name a relay with --relay URL, or set PAIRLIGHT_RELAY; `pairlight relay` runs one";
/// A relay whose key is known is given this long to show it again.
const KEY_CHECK: Duration = Duration::from_secs(3);
/// Seconds between tries to reach a relay for the first time; the last one again and again (protocol, section 8).
const RECONNECT_S: [u64; 6] = [1, 2, 4, 8, 16, 30];
const SETTING_URL: &str = "relay-url";
const SETTING_KEY: &str = "relay-key";

/// Which role a profile plays when no folder is named.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Role {
    Primary,
    Linked,
}

/// What this terminal grants at most to the devices that are linked already. It is no second choice beside that of
/// `link scan --policy`: leases and history follow the preset that stands in the certificate of each device, and this
/// only bounds them.
pub(crate) fn standing_policy() -> Policy {
    Policy::BALANCED
}

/// Options that every command with an identity has.
#[derive(Debug, Args)]
pub(crate) struct ProfileArgs {
    /// Folder of this device's sealed store; made if it is missing. Each role has its own by default
    #[arg(long, value_name = "DIR", env = "PAIRLIGHT_PROFILE", global = true)]
    profile: Option<PathBuf>,
    /// The relay, as https://host or http://host:port; remembered after the first use
    #[arg(long, value_name = "URL", env = "PAIRLIGHT_RELAY", global = true)]
    relay: Option<String>,
    /// The relay's attestation key, 64 hexadecimal digits; without it the key of the first contact is trusted
    #[arg(long, value_name = "HEX", global = true)]
    relay_key: Option<String>,
    /// Guard the store with a passphrase instead of a key file; asked for, or taken from PAIRLIGHT_PASSPHRASE
    #[arg(long, global = true)]
    passphrase: bool,
}

impl ProfileArgs {
    /// Opens the store and makes a client of its relay. A relay that is known need not be in reach for it.
    pub(crate) async fn open(&self, role: Role, voice: Voice) -> Result<(SharedStore, RelayClient), Failure> {
        let store = self.open_offline(role)?;
        let client = self.client(&store, voice).await?;
        Ok((store, client))
    }

    /// As [`Self::open`], and waits for a relay whose key is to be learned at this first contact.
    pub(crate) async fn open_patiently(
        &self,
        role: Role,
        voice: Voice,
        interrupt: &Interrupt,
    ) -> Result<(SharedStore, RelayClient), Failure> {
        let store = self.open_offline(role)?;
        let mut waits = RECONNECT_S.into_iter();
        let mut wait = 0;
        loop {
            let failure = match self.client(&store, voice).await {
                Ok(client) => return Ok((store, client)),
                Err(failure) if failure.is_offline() => failure,
                Err(failure) => return Err(failure),
            };
            wait = waits.next().unwrap_or(wait);
            voice.warn(format_args!("{}; trying again in {wait} s", failure.what()));
            let again = Instant::now() + Duration::from_secs(wait);
            while Instant::now() < again {
                tokio::time::sleep(Duration::from_millis(100)).await;
                if interrupt.is_raised() {
                    return Err(Failure::new(Exit::Interrupted, "interrupted", "start again when the relay runs"));
                }
            }
        }
    }

    /// Opens the store alone: for what needs no relay.
    pub(crate) fn open_offline(&self, role: Role) -> Result<SharedStore, Failure> {
        self.open_store(&self.folder(role)?)
    }

    /// As [`Self::open_offline`], for what makes no sense in an empty profile.
    pub(crate) fn open_existing(&self, role: Role) -> Result<SharedStore, Failure> {
        let folder = self.folder(role)?;
        if folder.join("store.db").is_file() {
            return self.open_store(&folder);
        }
        let what = format!("there is no profile in {}", folder.display());
        let remedy = "link it with `pairlight link show`, or make an account with `pairlight link scan`; --profile names another";
        Err(Failure::new(Exit::Error, what, remedy))
    }

    /// The role whose store is on this machine; the linked one if both are.
    pub(crate) fn likely_role(&self) -> Role {
        let linked = self.folder(Role::Linked).is_ok_and(|folder| folder.join("store.db").is_file());
        if linked { Role::Linked } else { Role::Primary }
    }

    fn folder(&self, role: Role) -> Result<PathBuf, Failure> {
        if let Some(folder) = &self.profile {
            return Ok(folder.clone());
        }
        let dirs = directories::ProjectDirs::from("", "", "pairlight").ok_or_else(|| {
            Failure::new(Exit::Error, "this account has no home folder", "name a folder with --profile DIR")
        })?;
        Ok(dirs.data_dir().join(match role {
            Role::Primary => "primary",
            Role::Linked => "linked",
        }))
    }

    fn open_store(&self, folder: &Path) -> Result<SharedStore, Failure> {
        make_private(folder)?;
        let wrap: Box<dyn KeyWrap> = if self.passphrase {
            let typed = passphrase()?;
            Box::new(Passphrase::new(&typed, PassphraseCost::DEFAULT, Box::new(system_rng()))?)
        } else {
            let (key, store) = (folder.join("store.key"), folder.join("store.db"));
            if store.exists() && !key.exists() {
                let what = format!("{} has no key file beside it", store.display());
                let remedy = "put store.key back, or add --passphrase if the store is guarded by one";
                return Err(Failure::new(Exit::Error, what, remedy));
            }
            if key.exists() && is_emptied(&store) {
                let what = format!("{} is empty, but it has a key: what was in it is lost", store.display());
                let remedy = "restore it from a backup; if this profile was never used, remove its folder";
                return Err(Failure::new(Exit::Error, what, remedy));
            }
            Box::new(KeyFile::open_or_create(&key, Box::new(system_rng()))?)
        };
        let store = Store::open(&folder.join("store.db"), wrap.as_ref(), Box::new(system_rng()))?;
        Ok(SharedStore::new(store))
    }

    /// A client of the relay that this profile belongs to.
    pub(crate) async fn client(&self, store: &SharedStore, voice: Voice) -> Result<RelayClient, Failure> {
        let known_url = text_setting(store, SETTING_URL).await?;
        let known_key = text_setting(store, SETTING_KEY).await?;
        let url = self.relay.clone().or_else(|| known_url.clone());
        let url = url.ok_or_else(|| Failure::new(Exit::Usage, "no relay is known yet", NO_RELAY))?;
        let url = url.trim_end_matches('/').to_owned();
        let same_relay = known_url.as_deref() == Some(url.as_str());
        let pinned = self.relay_key.clone().or_else(|| known_key.filter(|_| same_relay));
        let endpoint = match pinned {
            Some(key) => {
                let key = parse_key(&key)?;
                // A relay with another key than before would only show as a tampered code, much later.
                match timeout(KEY_CHECK, RelayClient::discover(&url)).await {
                    Ok(Ok(relay)) if relay.attestation_pk() != key => {
                        let what = format!("the relay at {url} has another key than the one that is trusted");
                        let remedy =
                            "if its operator changed it, give the new one with --relay-key HEX; else do not use it";
                        return Err(Failure::new(Exit::Error, what, remedy));
                    }
                    // Out of reach: what needs the relay says so itself and tries again, the rest works without it.
                    Ok(Ok(_) | Err(NetError::Unreachable(_))) | Err(_) => {}
                    Ok(Err(error)) => return Err(error.into()),
                }
                RelayEndpoint::new(&url, key)?
            }
            None => {
                let endpoint = RelayClient::discover(&url).await?;
                let key = to_hex(&endpoint.attestation_pk());
                voice.note(format_args!("first contact with {url}: trusting its key {key}"));
                endpoint
            }
        };
        let (url, key) = (endpoint.url().to_owned(), to_hex(&endpoint.attestation_pk()));
        store
            .run(move |store| {
                store.put_setting(SETTING_URL, url.as_bytes())?;
                store.put_setting(SETTING_KEY, key.as_bytes())
            })
            .await?;
        Ok(RelayClient::new(endpoint)?)
    }
}

async fn text_setting(store: &SharedStore, name: &'static str) -> Result<Option<String>, NetError> {
    let value = store.run(move |store| store.setting(name)).await?;
    Ok(value.and_then(|value| String::from_utf8(value).ok()))
}

fn parse_key(text: &str) -> Result<[u8; 32], Failure> {
    pairlight_wire::id::parse_hex(text).ok_or_else(|| {
        Failure::new(Exit::Usage, "the relay's key is not 64 hexadecimal digits", "copy it from the relay's first line")
    })
}

fn passphrase() -> Result<Zeroizing<String>, Failure> {
    if let Ok(given) = std::env::var("PAIRLIGHT_PASSPHRASE") {
        return Ok(Zeroizing::new(given));
    }
    rpassword::prompt_password("Passphrase of this device's store: ").map(Zeroizing::new).map_err(|error| {
        let what = format!("cannot ask for the passphrase: {error}");
        Failure::new(Exit::Error, what, "run this in a terminal, or set PAIRLIGHT_PASSPHRASE")
    })
}

/// Whether a store has lost its bytes: an empty file, and no journal beside it. To begin a new profile in its place would
/// hide the loss, and a phone would make a second account.
fn is_emptied(store: &Path) -> bool {
    let is_empty = |path: &Path| std::fs::metadata(path).map(|file| file.len() == 0);
    let journal = store.with_extension("db-wal");
    is_empty(store).unwrap_or(false) && is_empty(&journal).unwrap_or(true)
}

/// Makes a folder that only its owner can enter.
fn make_private(folder: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(|error| {
        let what = format!("cannot make the folder {}: {error}", folder.display());
        Failure::new(Exit::Error, what, "name another folder with --profile DIR")
    })
}

/// The errors of the store say what happened in their first sentence, and what to do in the second.
fn two_sentences(error: &dyn std::fmt::Display) -> Failure {
    let words = error.to_string();
    match words.split_once(". ") {
        Some((what, remedy)) => Failure::new(Exit::Error, what, remedy),
        None => Failure::new(Exit::Error, words, "check the profile's folder and the free space"),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        two_sentences(&error)
    }
}

impl From<KeyWrapError> for Failure {
    fn from(error: KeyWrapError) -> Self {
        two_sentences(&error)
    }
}

/// What to do about a refusal of the relay; its own words say what happened.
fn refusal_remedy(code: RefusalCode, retry_after_ms: u64) -> String {
    let fixed = match code {
        RefusalCode::RateLimited | RefusalCode::Overflow | RefusalCode::Unavailable | RefusalCode::TimedOut => {
            let wait = (retry_after_ms > 0).then(|| span(retry_after_ms));
            return wait.map_or("wait a little and try again".into(), |wait| format!("try again in {wait}"));
        }
        RefusalCode::Protocol | RefusalCode::Outdated => "update this program, or ask who runs the relay to update it",
        RefusalCode::Removed => "link this device again with `pairlight link show --replace`, if its owner agrees",
        RefusalCode::LeaseExpired => "link this device again with `pairlight link show --replace`",
        RefusalCode::NotAllowed => "ask who runs the relay; waiting does not change it",
        RefusalCode::NotFound | RefusalCode::Gone => "check the relay's address: its path is part of it",
        RefusalCode::Conflict | RefusalCode::Duplicate => {
            "end the other program that uses this profile, then try again"
        }
        RefusalCode::TooLarge => "send less at a time",
    };
    fixed.into()
}

impl From<NetError> for Failure {
    fn from(error: NetError) -> Self {
        if let NetError::Store(error) = error {
            return error.into();
        }
        let (exit, remedy) = match &error {
            NetError::BadAddress(_) => (Exit::Usage, "write it as https://host or http://host:port"),
            NetError::File(_) => (Exit::Error, "check the file and its permissions"),
            NetError::OtherRelay(_) => {
                (Exit::Error, "scan it with a device that uses that relay, or update this program")
            }
            NetError::OtherHost(_) => (Exit::Error, "use that name in --relay, or start the relay with --host"),
            NetError::Unreachable(_) => (Exit::Error, "check the network, and that the relay runs"),
            NetError::Protocol => (Exit::Error, "check the relay's address; a proxy or another server may answer"),
            NetError::Refused(refused) => {
                let remedy = refusal_remedy(refused.code, refused.retry_after_ms);
                return Failure::new(Exit::Error, error.to_string(), remedy);
            }
            NetError::NotAuthentic => (Exit::Error, "do not use this relay; compare its key with its operator's"),
            NetError::Store(_) | NetError::Sync(_) => {
                (Exit::Error, "check the profile's folder, its key and the free space")
            }
            NetError::OtherRole(_) => (Exit::Usage, "name another folder with --profile DIR"),
            NetError::NoAccount => (Exit::Error, "link this device first"),
            NetError::OutOfScope(_) => (Exit::Error, "`pairlight devices` on the primary device shows what it may do"),
            NetError::Locked => (Exit::Error, "link this device again with `pairlight link show --replace`"),
            NetError::Account(AccountError::WrongWords) => {
                (Exit::Usage, "check the words, their order and spelling; `account recover` takes the newest ones")
            }
            NetError::UnknownDevice => (Exit::Error, "`pairlight devices` lists the account's devices"),
            NetError::TooEarly(_) => (Exit::Error, "take the time to think, then answer again"),
            NetError::Session(_) | NetError::Account(_) | NetError::KeyGuard(_) | NetError::Ended => {
                (Exit::Error, "start again")
            }
        };
        let failure = Failure::new(exit, error.to_string(), remedy);
        if matches!(error, NetError::Unreachable(_)) { failure.offline() } else { failure }
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        NetError::from(error).into()
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        NetError::from(error).into()
    }
}

impl From<pairlight_relay::RelayError> for Failure {
    fn from(error: pairlight_relay::RelayError) -> Self {
        use pairlight_relay::RelayError as E;
        let (exit, remedy) = match &error {
            E::Listen { .. } => (Exit::Error, "choose another address with --listen; port 0 takes a free one"),
            E::KeyFile { .. } | E::BadKeyFile { .. } => {
                (Exit::Error, "check the file, its owner and mode 0600, or name another")
            }
            E::Settings { .. } => {
                (Exit::Usage, "correct it; --check-config tries a configuration, `relay --help` has every key")
            }
            E::Store { .. } => {
                (Exit::Error, "check the folder, its permissions and the free space, or name another with --data-dir")
            }
            E::Tls { .. } => {
                (Exit::Error, "check both files and that they belong together; PEM, the certificate first")
            }
            E::Admin { .. } => {
                (Exit::Error, "name the folder of the running relay with --data-dir, or its socket with --admin-socket")
            }
            E::Page { .. } => (Exit::Error, "build the page with `make web`, name another folder, or --page none"),
            E::Host => (Exit::Usage, "give the name under which devices reach the relay with --host"),
            E::Randomness(_) | E::Signal(_) => (Exit::Error, "restart the machine, or run the relay on another one"),
        };
        Failure::new(exit, error.to_string(), remedy)
    }
}
