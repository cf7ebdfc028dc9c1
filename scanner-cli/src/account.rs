//! `pairlight account`: the keys behind the devices.

use std::io::Write;

use clap::{Args, Subcommand};
use pairlight_core::devices::RecoveryWords;
use pairlight_core::net::Primary;
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};
use crate::link::{Lines, block_on};
use crate::profile::{ProfileArgs, Role, standing_policy};
use crate::style::Voice;

const EXAMPLES: &str = "\
Examples:
  pairlight account recovery-key      make 24 words that bring the account back; write them down
  pairlight account recover           on a new device: type them, and the lost one is removed
  pairlight account rotate-root       put the account under a new root key";

/// Recover the account, or change its keys
#[derive(Debug, Args)]
#[command(before_help = EXAMPLES)]
pub(crate) struct AccountArgs {
    #[command(flatten)]
    profile: ProfileArgs,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Make a recovery key in place of any before, and print its 24 words once
    #[command(before_help = "Examples:\n  pairlight account recovery-key")]
    RecoveryKey,
    /// Bring the account to this empty profile with the 24 words, read from standard input
    #[command(before_help = "Examples:\n  pairlight account recover --relay https://relay.example < words.txt")]
    Recover {
        /// How this device is called in the account
        #[arg(long, value_name = "NAME", default_value = "this terminal", value_parser = crate::args::device_name)]
        name: String,
    },
    /// Put the account under a new root key; devices and the recovery key stay
    #[command(before_help = "Examples:\n  pairlight account rotate-root")]
    RotateRoot,
}

pub(crate) fn run(args: &AccountArgs, voice: Voice) -> Result<Exit, Failure> {
    block_on(async {
        let (store, client) = args.profile.open(Role::Primary, voice).await?;
        if let AccountCommand::Recover { name } = &args.command {
            voice.note("type the 24 words, on one line or several, and an empty line at the end");
            let words = RecoveryWords::parse(&typed_words().await)?;
            let (primary, fresh) = Primary::recover(store, client, standing_policy(), name, &words).await?;
            voice.note(format_args!("recovered; the account has {} devices", primary.devices().await?.len()));
            return show(&fresh, voice);
        }
        if store.run(|store| store.account()).await?.is_none() {
            let remedy = "`pairlight link scan` makes one when it links the first device";
            return Err(Failure::new(Exit::Error, "this profile has no account", remedy));
        }
        let primary = Primary::open(store, client, standing_policy(), "this terminal").await?;
        primary.register().await?;
        match &args.command {
            AccountCommand::RotateRoot => {
                primary.rotate_root().await?;
                voice.note("another root key holds the account; the old one is worthless");
                Ok(Exit::Done)
            }
            AccountCommand::RecoveryKey | AccountCommand::Recover { .. } => {
                show(&primary.create_recovery().await?, voice)
            }
        }
    })
}

/// Lines up to an empty one or 24 words.
async fn typed_words() -> Zeroizing<String> {
    let mut lines = Lines::listen();
    let mut typed = Zeroizing::new(String::new());
    while typed.split_whitespace().count() < 24 {
        match lines.next().await {
            Some(line) if !line.trim().is_empty() => {
                typed.push_str(&line);
                typed.push(' ');
            }
            _ => break,
        }
    }
    typed
}

fn show(words: &RecoveryWords, voice: Voice) -> Result<Exit, Failure> {
    voice.note(
        "write these words down: they are shown once, and whoever has them has the account. Older words are spent",
    );
    let text = words.to_text()?;
    writeln!(std::io::stdout(), "{}", text.as_str()).map_err(|error| Failure::from_stdout(&error))?;
    Ok(Exit::Done)
}
