//! The relay in the foreground: what the `pairlight-relay` program and `pairlight relay` both call.

use std::io::{ErrorKind, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pairlight_wire::id::parse_hex;

use crate::config::RelayConfig;
use crate::error::RelayError;
use crate::limits::Limits;
use crate::server::Relay;
use crate::store::{Durability, SqliteOptions, SqliteStore, Store};

/// Arguments of the relay program.
#[derive(Debug, Clone, clap::Args)]
pub struct RelayArgs {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, default_value = "127.0.0.1:8787", env = "PAIRLIGHT_RELAY_LISTEN")]
    pub listen: SocketAddr,
    /// Host name under which devices reach the relay; logins sign it. Default: the listen address
    #[arg(long, env = "PAIRLIGHT_RELAY_HOST")]
    pub host: Option<String>,
    /// File with the attestation key; made when missing. Without it the key is new at every start
    #[arg(long, value_name = "FILE", env = "PAIRLIGHT_RELAY_KEY_FILE")]
    pub key_file: Option<PathBuf>,
    /// Folder for lists, mailboxes and blobs, and for the attestation key when no other file is named; made when
    /// missing. Without it they are in memory and lost at the end
    #[arg(long, value_name = "FOLDER", env = "PAIRLIGHT_RELAY_DATA_DIR")]
    pub data_dir: Option<PathBuf>,
    /// How much one caller may take
    #[arg(long, value_enum, default_value_t = LimitsPreset::Public)]
    pub limits: LimitsPreset,
    /// Web page that may use the relay, for example https://app.example; may be given several times
    #[arg(long = "allow-origin", value_name = "ORIGIN")]
    pub allow_origins: Vec<String>,
    /// Reverse proxy whose X-Forwarded-For is believed; may be given several times
    #[arg(long = "trust-proxy", value_name = "ADDRESS")]
    pub trusted_proxies: Vec<IpAddr>,
}

/// Named sets of limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LimitsPreset {
    /// For demonstrations and tests on one machine
    Generous,
    /// For a relay that anybody can reach
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

/// Runs a relay until SIGINT or SIGTERM, and says on standard output where it listens and which key to pin.
///
/// # Errors
/// [`RelayError`] when it cannot start.
pub async fn run_foreground(args: RelayArgs) -> Result<(), RelayError> {
    // Before anybody can know the address: a signal that comes at once still ends it in order.
    let asked = stop_signal()?;
    let store = args.data_dir.as_deref().map(open_store).transpose()?;
    // After the store was opened: then the folder is there.
    let key_file = args.key_file.or_else(|| args.data_dir.as_ref().map(|folder| folder.join("relay.key")));
    let attestation_seed = key_file.as_deref().map(load_or_create_seed).transpose()?;
    let relay = Relay::spawn(RelayConfig {
        host: args.host,
        attestation_seed,
        store,
        limits: args.limits.limits(),
        allowed_origins: args.allow_origins,
        trusted_proxies: args.trusted_proxies,
        ..RelayConfig::new(args.listen)
    })
    .await?;
    let key: String = relay.attestation_pk().iter().map(|b| format!("{b:02x}")).collect();
    // Whoever started it may have closed the pipe; the relay runs all the same.
    let mut out = std::io::stdout();
    let _ = writeln!(out, "relay {}  host {}  attestation key {key}", relay.url(), relay.host());
    let _ = out.flush();
    let asked = asked.await;
    tracing::info!("stopping");
    relay.shutdown().await;
    asked
}

/// Each of the two files may take so much.
const STORE_BYTES: u64 = 64 << 30;

fn open_store(folder: &Path) -> Result<Arc<dyn Store>, RelayError> {
    let options = SqliteOptions { most_bytes: STORE_BYTES, durability: Durability::PowerCut };
    Ok(Arc::new(SqliteStore::open(folder, options)?))
}

/// Listens for the signals now; the future ends when one came.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = Result<(), RelayError>>, RelayError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(RelayError::Signal)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(RelayError::Signal)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Ok(()),
            _ = terminate.recv() => Ok(()),
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = Result<(), RelayError>>, RelayError> {
    Ok(async { tokio::signal::ctrl_c().await.map_err(RelayError::Signal) })
}

/// Reads the seed, or makes one in a file that only its owner may read.
fn load_or_create_seed(path: &Path) -> Result<[u8; 32], RelayError> {
    let fault = |source| RelayError::KeyFile { path: path.to_owned(), source };
    let bad = |reason| RelayError::BadKeyFile { path: path.to_owned(), reason };
    match std::fs::read_to_string(path) {
        Ok(text) => {
            if !is_private(path).map_err(fault)? {
                return Err(bad("others may read it; set its mode to 600"));
            }
            parse_hex(text.trim()).ok_or_else(|| bad("it does not hold 64 hexadecimal digits"))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut seed = [0; 32];
            getrandom::fill(&mut seed).map_err(RelayError::Randomness)?;
            let text: String = seed.iter().map(|b| format!("{b:02x}")).collect();
            let mut options = std::fs::OpenOptions::new();
            options.write(true).create_new(true);
            #[cfg(unix)]
            std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
            let mut file = options.open(path).map_err(fault)?;
            writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(fault)?;
            Ok(seed)
        }
        Err(error) => Err(fault(error)),
    }
}

#[cfg(unix)]
fn is_private(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::PermissionsExt;
    Ok(std::fs::metadata(path)?.permissions().mode() & 0o077 == 0)
}

#[cfg(not(unix))]
fn is_private(_path: &Path) -> std::io::Result<bool> {
    Ok(true)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_made_once_private_and_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("relay.key");
        let made = load_or_create_seed(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load_or_create_seed(&path).unwrap(), made);

        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        assert!(matches!(load_or_create_seed(&path), Err(RelayError::BadKeyFile { .. })));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, "not a key").unwrap();
        assert!(matches!(load_or_create_seed(&path), Err(RelayError::BadKeyFile { .. })));
        assert!(matches!(load_or_create_seed(&folder.path().join("no/such")), Err(RelayError::KeyFile { .. })));
    }
}
