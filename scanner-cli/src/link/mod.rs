//! `pairlight link`: this terminal becomes a linked device (`show`), or plays the primary device (`scan`).

mod draw;
mod find;
mod prompt;
mod scan;
mod show;
mod words;

use clap::{Args, Subcommand};

use crate::exit::{Exit, Failure};
use crate::style::Voice;

pub(crate) use draw::draw;
pub(crate) use prompt::Lines;
pub(crate) use words::{finding, span, words};

const EXAMPLES: &str = "\
Examples:
  pairlight link show --relay https://relay.example     this terminal wants to be linked: shows a code
  pairlight link scan --camera                          this terminal holds the account: scan that code
  pairlight link scan --image code.png                  from a picture (counts as weak evidence)
  pairlight link scan --paste < code.txt                from a text (counts as weak evidence)
  pairlight devices                                     who is linked";

/// Link devices
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct LinkArgs {
    #[command(subcommand)]
    command: LinkCommand,
}

#[derive(Debug, Subcommand)]
enum LinkCommand {
    /// Show a code: this terminal becomes a linked device
    Show(show::ShowArgs),
    /// Scan a code: this terminal is the primary device and holds the account
    Scan(scan::ScanArgs),
}

pub(crate) fn run(args: &LinkArgs, voice: Voice) -> Result<Exit, Failure> {
    block_on(async {
        match &args.command {
            LinkCommand::Show(args) => show::run(args, voice).await,
            LinkCommand::Scan(args) => scan::run(args, voice).await,
        }
    })
}

/// Runs a future on threads of its own, and waits for nothing that it left behind.
pub(crate) fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Failure::new(Exit::Error, format!("cannot start threads: {error}"), "close other programs and try again")
    })?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(std::time::Duration::from_millis(500));
    done
}
