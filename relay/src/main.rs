//! The `pairlight-relay` program: arguments and log, then [`pairlight_relay::run_foreground`].

use std::process::ExitCode;

use clap::Parser;
use pairlight_relay::{LogFormat, RelayArgs, run_foreground};
use tracing_subscriber::EnvFilter;

const EXAMPLES: &str = "\
Examples:
  pairlight-relay --listen 127.0.0.1:0 --limits generous --store memory   try it on this machine
  pairlight-relay --host relay.example --trust-proxy 127.0.0.1 \\
      --data-dir /var/lib/pairlight-relay                                behind a proxy that speaks TLS
  pairlight-relay --config relay.toml --check-config                     is the file good?";

/// The untrusted Pairlight server: link slots, mailboxes, signed lists. It cannot read what it carries.
#[derive(Parser)]
#[command(name = "pairlight-relay", version, before_help = EXAMPLES, max_term_width = 110)]
struct Program {
    #[command(flatten)]
    relay: RelayArgs,
}

#[tokio::main]
async fn main() -> ExitCode {
    let program = Program::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // A faulty configuration is said below, by the run itself.
    match program.relay.resolve().ok().and_then(|settings| settings.log_format).unwrap_or_default() {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    match run_foreground(program.relay).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            eprintln!("{error}{source}");
            ExitCode::FAILURE
        }
    }
}
