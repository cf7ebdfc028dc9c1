//! Why the relay cannot start.

use std::net::SocketAddr;
use std::path::PathBuf;

/// Faults of the environment or of the configuration; callers of the running relay get `Refused` instead.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The address is taken or not ours. Choose another, or port 0.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system says.
        source: std::io::Error,
    },
    /// The system gives no randomness, so no token would be safe. Nothing to do but fix the system.
    #[error("the system gives no randomness: {0}")]
    Randomness(getrandom::Error),
    /// The key file cannot be read or created. Check the path and its rights.
    #[error("cannot use the key file {path}: {source}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The folder of the page cannot be read, or holds none. Build it with `make web`, or name another.
    #[error("cannot serve the page in {path}: {source}")]
    Page {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The key file holds something else than 64 hexadecimal digits, or others may read it.
    #[error("the key file {path} is not usable: {reason}")]
    BadKeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A key of the configuration is not known, has no meaning, or contradicts another. Correct it.
    #[error("the configuration is not usable: {reason}")]
    Settings {
        /// What is wrong, and where.
        reason: String,
    },
    /// The certificate or its key is not usable. See the reason.
    #[error("cannot speak TLS with {path}: {reason}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The store cannot be opened. See the reason; a relay never changes a file that it does not know.
    #[error("cannot use the store at {path}: {reason}")]
    Store {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The socket on which the operator asks cannot be made, or nobody answers there. See the reason.
    #[error("cannot use the socket {path}: {reason}")]
    Admin {
        /// The socket.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The host name is empty or longer than 255 bytes. Give the name under which devices reach the relay.
    #[error("the host name must have 1 to 255 bytes")]
    Host,
    /// Signals of the operating system cannot be awaited.
    #[error("cannot wait for the signal to stop: {0}")]
    Signal(#[source] std::io::Error),
}
