//! The `pairlight` command. Parse, run, turn the outcome into an exit code; everything else lives in the modules.
//! Data goes to standard output, words go to standard error.

mod account;
mod args;
mod bench;
mod camera;
mod cameras;
mod demo;
mod devices;
mod exit;
mod import;
mod interrupt;
mod link;
mod made_up;
mod manual;
mod messages;
mod profile;
mod record;
mod scan;
mod style;
mod y4m;

use std::process::ExitCode;

use clap::FromArgMatches;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command};
use crate::exit::{Exit, Failure};
use crate::style::{ColorChoice, Voice};

fn main() -> ExitCode {
    let color = ColorChoice::peek(std::env::args_os()).for_clap();
    let parsed = args::command().color(color).try_get_matches().and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(message) => {
            // `--help | head` closes the pipe early; the answer was given.
            drop(message.print());
            return ExitCode::from(if message.use_stderr() { Exit::Usage } else { Exit::Done });
        }
    };
    // The decoder panics on some pictures and the capture library on some drivers. Both are contained where they are
    // called, and nobody needs to read about it.
    pairlight_core::scan::silence_contained_panics();
    log(matches!(cli.command, Command::Relay(_)), cli.quiet);
    camera::silence_capture_panics();
    let voice = Voice::new(cli.color, cli.quiet);
    match run(cli.command, voice) {
        Ok(exit) => exit,
        Err(failure) => {
            if !failure.is_silent() {
                voice.error(failure.what(), failure.remedy());
            }
            failure.exit().into()
        }
    }
}

/// Sends the log to standard error: what a relay does, otherwise next to nothing, because the commands say what matters in
/// words of their own. `RUST_LOG` asks for more.
fn log(is_relay: bool, quiet: bool) {
    let level = if is_relay { "info" } else { "error" };
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(if quiet { "error" } else { level }));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).without_time().init();
}

fn run(command: Command, voice: Voice) -> Result<ExitCode, Failure> {
    let exit = match command {
        Command::Scan(args) => scan::run(&args, voice),
        Command::Cameras(args) => cameras::run(&args, voice),
        Command::Record(args) => record::run(&args, voice),
        Command::Bench(args) => return bench::run(&args).map_err(|error| Failure::from_any(&error)),
        Command::Demo(args) => demo::run(&args),
        Command::Link(args) => link::run(&args, voice),
        Command::Devices(args) => devices::run(&args, voice),
        Command::Import(args) => import::run(&args, voice),
        Command::Messages(args) => messages::run(&args, voice),
        Command::Account(args) => account::run(&args, voice),
        Command::Relay(args) => {
            link::block_on(async { pairlight_relay::run_foreground(*args).await.map_err(Failure::from) })
                .map(|()| Exit::Done)
        }
        Command::Completions(args) => manual::completions(&args),
        Command::Man(args) => manual::man(&args),
    }?;
    Ok(exit.into())
}
