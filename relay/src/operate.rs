//! `drain` and `admin`: what the operator says to a relay that runs.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request, header};
use clap::{Args, Subcommand};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::admin::{DrainWithin, Ended, Stats, TurnAway};
use crate::error::RelayError;
use crate::presence::Connected;
use crate::settings::Settings;

/// Longest answer, in bytes: 100,000 sessions.
const ANSWER_BYTES: usize = 32 << 20;
/// How often it is looked whether the relay has ended.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What is done instead of running a relay.
#[derive(Debug, Clone, Subcommand)]
pub enum Operation {
    /// Have the running relay end: links under way are completed, nothing new begins, devices leave one after the other
    #[command(before_help = "Examples:\n  pairlight relay drain --seconds 30 --data-dir /var/lib/pairlight-relay")]
    Drain {
        /// It ends after so many seconds at the latest
        #[arg(long, default_value_t = 30)]
        seconds: u64,
        /// Do not wait until it has ended
        #[arg(long)]
        no_wait: bool,
    },
    /// Look at the running relay
    #[command(before_help = "Examples:\n  pairlight relay admin stats --json --data-dir /var/lib/pairlight-relay")]
    Admin(Admin),
}

/// What the operator looks at.
#[derive(Debug, Clone, Args)]
pub struct Admin {
    /// One JSON document
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Debug, Clone, Subcommand)]
enum AdminCommand {
    /// What it is doing
    #[command(before_help = "Examples:\n  pairlight relay admin stats")]
    Stats,
    /// The devices that are connected: account, device, role, country, since
    #[command(before_help = "Examples:\n  pairlight relay admin sessions --json")]
    Sessions,
    /// The limits that hold
    #[command(before_help = "Examples:\n  pairlight relay admin limits")]
    Limits,
    /// End the sockets of an account, or of one device, and let it in no more for a while; forgotten when the relay restarts
    #[command(before_help = "Examples:\n  pairlight relay admin revoke 6be2d5360c8f4f0a9b1f2d3c4b5a6978 --minutes 60")]
    Revoke {
        /// Its id, as `admin sessions` shows it
        account: String,
        /// Only this device of it
        device: Option<String>,
        /// For so long; 0 lets it in again
        #[arg(long, default_value_t = 60)]
        minutes: u64,
    },
}

impl Operation {
    /// Says it to the relay, and gives what to print.
    pub(crate) async fn run(&self, settings: &Settings) -> Result<String, RelayError> {
        let Some(path) = settings.admin_path() else {
            let reason = "a relay that keeps all in memory has no socket for this, unless admin-socket names one";
            return Err(RelayError::Settings { reason: reason.into() });
        };
        let socket = Socket(path);
        match self {
            Self::Drain { seconds, no_wait } => {
                let within = encode(&DrainWithin { seconds: *seconds });
                socket.text(Method::POST, "/drain", within).await?;
                if *no_wait {
                    return Ok(format!("the relay ends within {seconds} s\n"));
                }
                let longest = Duration::from_secs(seconds.saturating_add(10));
                let ended = async {
                    while UnixStream::connect(&socket.0).await.is_ok() {
                        sleep(LOOK_EVERY).await
                    }
                };
                timeout(longest, ended).await.map_err(|_| socket.fault("the relay has not ended in time"))?;
                Ok("the relay has ended\n".into())
            }
            Self::Admin(admin) => admin.run(&socket).await,
        }
    }
}

fn encode(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

impl Admin {
    async fn run(&self, socket: &Socket) -> Result<String, RelayError> {
        let get = async |path| socket.text(Method::GET, path, Vec::new()).await;
        let words = match &self.command {
            AdminCommand::Stats if self.json => get("/stats").await? + "\n",
            AdminCommand::Sessions if self.json => get("/sessions").await? + "\n",
            AdminCommand::Limits => get("/limits").await?,
            AdminCommand::Stats => {
                let stats: Stats = socket.read(&get("/stats").await?)?;
                format!("{stats:#?}\n")
            }
            AdminCommand::Sessions => {
                let sessions: Vec<Connected> = socket.read(&get("/sessions").await?)?;
                let mut words = format!("{} connected\n", sessions.len());
                for one in sessions {
                    let Connected { account, device, role, country, since_s } = one;
                    let _ = writeln!(words, "{account} {device} {role} {country} {since_s} s");
                }
                words
            }
            AdminCommand::Revoke { account, device, minutes } => {
                let who = TurnAway { account: account.clone(), device: device.clone(), minutes: *minutes };
                let text = socket.text(Method::POST, "/turn-away", encode(&who)).await?;
                let Ended { sockets } = socket.read(&text)?;
                match minutes {
                    0 => "let in again\n".to_owned(),
                    _ => format!(
                        "{sockets} sockets ended; not let in for {minutes} minutes, unless the relay restarts\n"
                    ),
                }
            }
        };
        Ok(words)
    }
}

struct Socket(PathBuf);

impl Socket {
    fn fault(&self, reason: impl std::fmt::Display) -> RelayError {
        RelayError::Admin { path: self.0.clone(), reason: reason.to_string() }
    }

    fn read<T: DeserializeOwned>(&self, text: &str) -> Result<T, RelayError> {
        serde_json::from_str(text).map_err(|_| self.fault("the relay there is of another version"))
    }

    async fn text(&self, method: Method, path: &str, body: Vec<u8>) -> Result<String, RelayError> {
        let stream = UnixStream::connect(&self.0).await;
        let stream = stream.map_err(|error| self.fault(format!("no relay answers there ({error})")))?;
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| self.fault(error))?;
        let connection = tokio::spawn(connection);
        let request = Request::builder().method(method).uri(path).header(header::HOST, "relay");
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let request = request.body(Body::from(Bytes::from(body))).map_err(|error| self.fault(error))?;
        let response = sender.send_request(request).await.map_err(|error| self.fault(error))?;
        let status = response.status();
        let answer = axum::body::to_bytes(Body::new(response.into_body()), ANSWER_BYTES).await;
        connection.abort();
        let answer = answer.map_err(|error| self.fault(error))?;
        let words = String::from_utf8_lossy(&answer).into_owned();
        if status.is_success() { Ok(words) } else { Err(self.fault(words.trim())) }
    }
}
