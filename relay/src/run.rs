//! The relay in the foreground: what the `pairlight-relay` program and `pairlight relay` both call.

use std::io::{ErrorKind, Write};
use std::path::Path;

use pairlight_wire::id::parse_hex;

use crate::error::RelayError;
use crate::server::Relay;
use crate::settings::RelayArgs;

/// Runs a relay until SIGINT or SIGTERM, and says on standard output where it listens and which key to pin.
///
/// # Errors
/// [`RelayError`] when it cannot start.
pub async fn run_foreground(args: RelayArgs) -> Result<(), RelayError> {
    // Before anybody can know the address: a signal that comes at once still ends it in order.
    let asked = stop_signal()?;
    let settings = args.resolve()?;
    #[cfg(unix)]
    if let Some(operation) = &args.operation {
        return say(operation.run(&settings).await?.trim_end());
    }
    let mut config = settings.relay_config()?;
    // First the store: then its folder is there for the key.
    config.store = Some(settings.open_store()?);
    config.attestation_seed = settings.key_path().as_deref().map(load_or_create_seed).transpose()?;
    if args.check_config {
        return say(&format!("the configuration is good; the relay would listen on {}", config.listen));
    }
    let relay = Relay::spawn(config).await?;
    let key: String = relay.attestation_pk().iter().map(|b| format!("{b:02x}")).collect();
    say(&format!("relay {}  host {}  attestation key {key}", relay.url(), relay.host()))?;
    let asked = tokio::select! {
        asked = asked => asked,
        () = relay.drained() => Ok(()),
    };
    tracing::info!("stopping");
    relay.shutdown().await;
    asked
}

/// Whoever started it may have closed the pipe; the relay runs all the same.
#[expect(clippy::unnecessary_wraps, reason = "ends a function that may fail")]
fn say(line: &str) -> Result<(), RelayError> {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
    Ok(())
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
