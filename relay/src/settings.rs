//! What an operator sets: flags, then environment, then a TOML file, then defaults. One struct names every key, so that all
//! three have the same ones, `--help` has all of them, and an unknown one is an error.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;

use crate::config::RelayConfig;
use crate::error::RelayError;
use crate::limits::{Limits, Quota, Rate};
use crate::network::Cidr;
use crate::page::Page;
use crate::store::{Durability, MemoryStore, SqliteOptions, SqliteStore, Store};
use crate::tls::Tls;

/// Every environment variable of the relay begins so.
const PREFIX: &str = "PAIRLIGHT_RELAY_";
const DAY: Duration = Duration::from_secs(86_400);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const MEBI: u64 = 1 << 20;

/// Arguments of the relay program.
#[derive(Debug, Clone, Default, Args)]
pub struct RelayArgs {
    /// TOML file with any of the keys below, written as the flags without `--`; flags and environment go first
    #[arg(long, global = true, value_name = "FILE", env = "PAIRLIGHT_RELAY_CONFIG")]
    pub config: Option<PathBuf>,
    /// Check the configuration, the key and the store, say what was found, and end
    #[arg(long)]
    pub check_config: bool,
    /// The keys.
    #[command(flatten)]
    pub settings: Settings,
    /// Something else than to run.
    #[cfg(unix)]
    #[command(subcommand)]
    pub operation: Option<crate::operate::Operation>,
}

/// Every key that can be set.
#[derive(Debug, Clone, Default, Args, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
#[command(next_help_heading = "Keys of the configuration")]
pub struct Settings {
    /// Address to listen on; port 0 takes a free one [default: 127.0.0.1:8787]
    #[arg(long, value_name = "ADDRESS", env = "PAIRLIGHT_RELAY_LISTEN")]
    pub listen: Option<SocketAddr>,
    /// Address for Prometheus, GET /metrics; keep it from the world [default: none]
    #[arg(long, value_name = "ADDRESS", env = "PAIRLIGHT_RELAY_METRICS_LISTEN")]
    pub metrics_listen: Option<SocketAddr>,
    /// PEM file with the certificate and those between it and a root: then the relay speaks TLS itself. Read again when it changes [default: none, plain HTTP]
    #[arg(long, value_name = "FILE", env = "PAIRLIGHT_RELAY_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the private key of the certificate
    #[arg(long, value_name = "FILE", env = "PAIRLIGHT_RELAY_TLS_KEY")]
    pub tls_key: Option<PathBuf>,
    /// Host name under which devices reach the relay; logins sign it [default: the listen address]
    #[arg(long, value_name = "NAME", env = "PAIRLIGHT_RELAY_HOST")]
    pub host: Option<String>,
    /// Where lists, mailboxes and blobs live [default: sqlite]
    #[arg(long, value_enum, env = "PAIRLIGHT_RELAY_STORE")]
    pub store: Option<StoreKind>,
    /// Folder of the store, and of the key when no other file is named; made when missing [default: relay-data]
    #[arg(long, global = true, value_name = "FOLDER", env = "PAIRLIGHT_RELAY_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// Socket on which `drain` and `admin` reach the running relay; mode 0600 [default: admin.sock in the folder, if its name is not too long]
    #[arg(long, global = true, value_name = "SOCKET", env = "PAIRLIGHT_RELAY_ADMIN_SOCKET")]
    pub admin_socket: Option<PathBuf>,
    /// What an acknowledged write survives [default: power-cut]
    #[arg(long, value_enum, env = "PAIRLIGHT_RELAY_DURABILITY")]
    pub durability: Option<Durability>,
    /// Room for lists and mailboxes, and again for blobs, in MiB [default: 65536, or 2048 in memory]
    #[arg(long, value_name = "MIB", env = "PAIRLIGHT_RELAY_STORE_MIB")]
    pub store_mib: Option<u64>,
    /// File with the attestation key; made when missing [default: relay.key in the folder]
    #[arg(long, value_name = "FILE", env = "PAIRLIGHT_RELAY_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// Web page that may use the relay, for example https://app.example; repeatable
    #[arg(long, value_name = "ORIGIN", env = "PAIRLIGHT_RELAY_ALLOW_ORIGIN", value_delimiter = ',')]
    pub allow_origin: Option<Vec<String>>,
    /// Folder of the page that links browsers, served at /; "none" serves none [default: the one this program was built with]
    #[arg(long, value_name = "FOLDER", env = "PAIRLIGHT_RELAY_PAGE")]
    pub page: Option<PathBuf>,
    /// Address or network of reverse proxies whose X-Forwarded-For is believed; from others it is refused; repeatable
    #[arg(long, value_name = "NETWORK", env = "PAIRLIGHT_RELAY_TRUST_PROXY", value_delimiter = ',')]
    pub trust_proxy: Option<Vec<Cidr>>,
    /// Address or network of callers who are not counted: gateways of many people, probes; repeatable
    #[arg(long, value_name = "NETWORK", env = "PAIRLIGHT_RELAY_EXEMPT", value_delimiter = ',')]
    pub exempt: Option<Vec<Cidr>>,
    /// Form of the log on standard error [default: text]
    #[arg(long, value_enum, env = "PAIRLIGHT_RELAY_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,
    /// How much one caller may take, before the keys below [default: public]
    #[arg(long, value_enum, env = "PAIRLIGHT_RELAY_LIMITS")]
    pub limits: Option<LimitsPreset>,
    /// Codes shown by one network in a minute [public: 10, and 60 in an hour]
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_OPENS_PER_MINUTE")]
    pub opens_per_minute: Option<u32>,
    /// Codes shown by one network in an hour
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_OPENS_PER_HOUR")]
    pub opens_per_hour: Option<u32>,
    /// Codes scanned by one account, or by one network without account, in 10 minutes [public: 6, and 20 in a day]
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_CLAIMS_PER_TEN_MINUTES")]
    pub claims_per_ten_minutes: Option<u32>,
    /// Codes scanned by one account, or by one network without account, in a day
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_CLAIMS_PER_DAY")]
    pub claims_per_day: Option<u32>,
    /// Lists published by one network in a minute [public: 20, and 200 in a day]
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_PUBLISHES_PER_MINUTE")]
    pub publishes_per_minute: Option<u32>,
    /// Challenges and sockets of one network in a minute [public: 60, and 1200 in an hour]
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_CHALLENGES_PER_MINUTE")]
    pub challenges_per_minute: Option<u32>,
    /// Connections in all [default: 10000]
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_CONNECTIONS")]
    pub connections: Option<usize>,
    /// Connections of one network [public: 256]
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_CONNECTIONS_PER_NETWORK")]
    pub connections_per_network: Option<usize>,
    /// Codes that are shown at a time, in all [default: 50000]
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_SLOTS")]
    pub slots: Option<usize>,
    /// Room of one mailbox in MiB [default: 64]
    #[arg(long, value_name = "MIB", env = "PAIRLIGHT_RELAY_MAILBOX_MIB")]
    pub mailbox_mib: Option<u64>,
    /// Envelopes of one mailbox [default: 10000]
    #[arg(long, value_name = "N", env = "PAIRLIGHT_RELAY_MAILBOX_MESSAGES")]
    pub mailbox_messages: Option<usize>,
    /// Days after which mail that nobody fetched is dropped [default: 30]
    #[arg(long, value_name = "DAYS", env = "PAIRLIGHT_RELAY_MAILBOX_DAYS")]
    pub mailbox_days: Option<u32>,
    /// Room for the blobs of one account in MiB [default: 2048]
    #[arg(long, value_name = "MIB", env = "PAIRLIGHT_RELAY_BLOB_MIB")]
    pub blob_mib: Option<u64>,
    /// Hours after which blobs are dropped [default: 72]
    #[arg(long, value_name = "HOURS", env = "PAIRLIGHT_RELAY_BLOB_HOURS")]
    pub blob_hours: Option<u32>,
}

/// Where things are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// In two files of a folder
    #[default]
    Sqlite,
    /// In memory, lost at the end
    Memory,
}

/// How the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people
    #[default]
    Text,
    /// One JSON object a line, for programs
    Json,
}

/// Named sets of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LimitsPreset {
    /// For demonstrations and tests on one machine
    Generous,
    /// For a relay that anybody can reach
    #[default]
    Public,
}

impl LimitsPreset {
    /// The limits.
    #[must_use]
    pub fn limits(self) -> Limits {
        match self {
            Self::Generous => Limits::generous(),
            Self::Public => Limits::public(),
        }
    }
}

/// A fault that the operator mends.
fn fault(reason: impl Into<String>) -> RelayError {
    RelayError::Settings { reason: reason.into() }
}

impl RelayArgs {
    /// All keys from flags, environment and file.
    ///
    /// # Errors
    /// [`RelayError::Settings`] for a file that cannot be read, and for a key that is not known anywhere.
    pub fn resolve(&self) -> Result<Settings, RelayError> {
        refuse_unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        let Some(path) = &self.config else { return Ok(self.settings.clone()) };
        let text = std::fs::read_to_string(path).map_err(|error| fault(format!("{}: {error}", path.display())))?;
        let file = Settings::from_toml(&text).map_err(|reason| fault(format!("{}: {reason}", path.display())))?;
        Ok(self.settings.clone().or(file))
    }
}

/// A misspelled variable must not be a setting that has no effect.
fn refuse_unknown_variables(names: impl Iterator<Item = String>) -> Result<(), RelayError> {
    let known = RelayArgs::augment_args(clap::Command::new("relay"));
    let known: Vec<_> = known.get_arguments().filter_map(|argument| argument.get_env()?.to_str()).collect();
    let mut unknown = names.filter(|name| name.starts_with(PREFIX) && !known.contains(&name.as_str()));
    unknown
        .next()
        .map_or(Ok(()), |name| Err(fault(format!("the environment variable {name} is not a key; see --help"))))
}

macro_rules! first_of {
    ($one:ident, $other:ident: $($field:ident),* $(,)?) => { Self { $($field: $one.$field.or($other.$field)),* } };
}

impl Settings {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// What is wrong with it, with line and column.
    pub fn from_toml(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    /// These, and for what they leave open the others.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        first_of!(self, other: listen, metrics_listen, tls_cert, tls_key, host, store, data_dir, admin_socket, durability, store_mib, key_file, allow_origin, page, trust_proxy,
            exempt, log_format, limits, opens_per_minute, opens_per_hour, claims_per_ten_minutes, claims_per_day,
            publishes_per_minute, challenges_per_minute, connections, connections_per_network, slots, mailbox_mib,
            mailbox_messages, mailbox_days, blob_mib, blob_hours)
    }

    /// The folder, unless all is in memory.
    fn folder(&self) -> Option<PathBuf> {
        match self.store.unwrap_or_default() {
            StoreKind::Memory => None,
            StoreKind::Sqlite => Some(self.data_dir.clone().unwrap_or_else(|| "relay-data".into())),
        }
    }

    /// The file of the attestation key, if there is one.
    pub(crate) fn key_path(&self) -> Option<PathBuf> {
        self.key_file.clone().or_else(|| Some(self.folder()?.join("relay.key")))
    }

    /// Where the operator reaches the running relay, if anywhere.
    pub(crate) fn admin_path(&self) -> Option<PathBuf> {
        // Longer names than this no system gives to a socket.
        let own = || Some(self.folder()?.join("admin.sock")).filter(|path| path.as_os_str().len() <= 100);
        self.admin_socket.clone().or_else(own)
    }

    /// The limits.
    fn relay_limits(&self) -> Limits {
        let mut limits = self.limits.unwrap_or_default().limits();
        set_rate(&mut limits.opens, MINUTE, self.opens_per_minute);
        set_rate(&mut limits.opens, HOUR, self.opens_per_hour);
        set_rate(&mut limits.claims, MINUTE.saturating_mul(10), self.claims_per_ten_minutes);
        set_rate(&mut limits.claims, DAY, self.claims_per_day);
        set_rate(&mut limits.publishes, MINUTE, self.publishes_per_minute);
        set_rate(&mut limits.challenges, MINUTE, self.challenges_per_minute);
        let bytes = |mib: u64| mib.saturating_mul(MEBI);
        let size = |mib: u64| usize::try_from(bytes(mib)).unwrap_or(usize::MAX);
        set(&mut limits.connections, self.connections);
        set(&mut limits.connections_per_network, self.connections_per_network);
        set(&mut limits.slots, self.slots);
        set(&mut limits.mailbox_bytes, self.mailbox_mib.map(size));
        set(&mut limits.mailbox_messages, self.mailbox_messages);
        set(&mut limits.mailbox_age, self.mailbox_days.map(|days| DAY.saturating_mul(days)));
        set(&mut limits.blob_room, self.blob_mib.map(bytes));
        set(&mut limits.blob_age, self.blob_hours.map(|hours| HOUR.saturating_mul(hours)));
        set(&mut limits.store_bytes, self.store_mib.map(size));
        limits
    }

    /// Opens the store.
    ///
    /// # Errors
    /// [`RelayError::Store`].
    pub(crate) fn open_store(&self) -> Result<Arc<dyn Store>, RelayError> {
        let Some(folder) = self.folder() else {
            return Ok(Arc::new(MemoryStore::new(self.relay_limits().store_bytes)));
        };
        let most_bytes = self.store_mib.unwrap_or(65_536).saturating_mul(MEBI);
        let durability = self.durability.unwrap_or_default();
        Ok(Arc::new(SqliteStore::open(Path::new(&folder), SqliteOptions { most_bytes, durability })?))
    }

    /// The configuration, without key and store.
    ///
    /// # Errors
    /// [`RelayError::Settings`] for keys that contradict each other.
    pub(crate) fn relay_config(&self) -> Result<RelayConfig, RelayError> {
        if self.store == Some(StoreKind::Memory) && (self.data_dir.is_some() || self.durability.is_some()) {
            return Err(fault("data-dir and durability are for the store sqlite, and the store is memory"));
        }
        let origins = self.allow_origin.clone().unwrap_or_default();
        if let Some(bad) = origins.iter().find(|origin| !is_origin(origin)) {
            return Err(fault(format!("allow-origin {bad:?} is no origin; write it as https://app.example, no path")));
        }
        let page = match self.page.as_deref() {
            None => Page::built_in(),
            Some(folder) if folder == Path::new("none") => None,
            Some(folder) => Some(Page::read(folder)?),
        };
        let tls = match (&self.tls_cert, &self.tls_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some(Tls::read(cert, key)?),
            _ => return Err(fault("tls-cert and tls-key belong together, and one of them is missing")),
        };
        let listen = self.listen.unwrap_or_else(|| SocketAddr::from((Ipv4Addr::LOCALHOST, 8787)));
        Ok(RelayConfig {
            metrics_listen: self.metrics_listen,
            tls,
            admin_socket: self.admin_path(),
            host: self.host.clone(),
            limits: self.relay_limits(),
            allowed_origins: origins,
            page,
            trusted_proxies: self.trust_proxy.clone().unwrap_or_default(),
            exempt: self.exempt.clone().unwrap_or_default(),
            ..RelayConfig::new(listen)
        })
    }
}

fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, host)| !scheme.is_empty() && !host.is_empty() && !host.contains('/'))
}

fn set<T>(target: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *target = value;
    }
}

/// Sets the rate of a span, or adds it.
fn set_rate(quota: &mut Quota, per: Duration, count: Option<u32>) {
    let Some(count) = count else { return };
    quota.0.retain(|rate| rate.per != per);
    quota.0.push(Rate { count, per });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_what_flags_and_environment_leave_open() {
        let file = "listen = \"0.0.0.0:1\"\nhost = \"relay.example\"\ntrust-proxy = [\"10.0.0.0/8\", \"::1\"]\n\
                    opens-per-minute = 3\nmailbox-mib = 1\nlimits = \"generous\"\ndurability = \"program-end\"\n";
        let file = Settings::from_toml(file).unwrap();
        let flags = Settings { listen: "127.0.0.1:2".parse().ok(), connections: Some(7), ..Settings::default() };
        let all = flags.or(file);
        let config = all.relay_config().unwrap();
        assert_eq!((config.listen.port(), config.host.as_deref()), (2, Some("relay.example")));
        assert_eq!(config.trusted_proxies, ["10.0.0.0/8", "::1"].map(|text| text.parse().unwrap()));
        assert_eq!((config.limits.connections, config.limits.mailbox_bytes), (7, 1 << 20));
        assert_eq!(config.limits.opens, Quota::one(3, MINUTE));
        assert_eq!(all.durability, Some(Durability::ProgramEnd));
        assert_eq!(all.key_path(), Some("relay-data/relay.key".into()));
    }

    #[test]
    fn unknown_keys_and_values_are_errors_that_name_them() {
        for (text, word) in [
            ("listne = \"x\"", "listne"),
            ("[listen]\nx = 1", "listen"),
            ("trust-proxy = [\"10.0.0.0/99\"]", "10.0.0.0/99"),
            ("store = \"postgres\"", "postgres"),
            ("connections = -1", "connections"),
        ] {
            let reason = Settings::from_toml(text).unwrap_err();
            assert!(reason.contains(word), "{text}: {reason}");
        }
        let names = |name: &str| [name.to_owned(), "PATH".to_owned(), "PAIRLIGHT_RELAY".to_owned()].into_iter();
        assert!(refuse_unknown_variables(names("PAIRLIGHT_RELAY_LISTEN")).is_ok());
        let error = refuse_unknown_variables(names("PAIRLIGHT_RELAY_LISTNE")).unwrap_err().to_string();
        assert!(error.contains("PAIRLIGHT_RELAY_LISTNE"), "{error}");
        for settings in [
            Settings { store: Some(StoreKind::Memory), data_dir: Some("x".into()), ..Settings::default() },
            Settings { tls_cert: Some("x".into()), ..Settings::default() },
            Settings { allow_origin: Some(vec!["app.example".into()]), ..Settings::default() },
            Settings { allow_origin: Some(vec!["https://app.example/".into()]), ..Settings::default() },
        ] {
            assert!(matches!(settings.relay_config(), Err(RelayError::Settings { .. })), "{settings:?}");
        }
    }

    #[test]
    fn every_key_is_a_flag_a_variable_and_a_line_of_the_file() {
        let command = RelayArgs::augment_args(clap::Command::new("relay"));
        let mut keys = 0;
        for argument in command.get_arguments().filter(|argument| argument.get_id() != "check_config") {
            let flag = argument.get_long().unwrap();
            let variable = format!("{PREFIX}{}", flag.to_uppercase().replace('-', "_"));
            assert_eq!(argument.get_env().and_then(|name| name.to_str()), Some(variable.as_str()));
            assert!(argument.get_help().is_some(), "{flag}");
            // A known key of a wrong type is another error than an unknown key.
            let reason = Settings::from_toml(&format!("{flag} = {{}}")).unwrap_err();
            assert_eq!(reason.contains("unknown field"), flag == "config", "{flag}: {reason}");
            keys += 1;
        }
        assert!(keys > 25, "{keys}");
    }
}
