//! The command line: what may be typed, and the help that comes with it.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::exit;
use crate::style::ColorChoice;

const EXAMPLES: &str = "\
Examples:
  pairlight scan photo.jpg                      print what the code in a picture says
  pairlight scan --format json shots/           every picture of a folder, as JSON
  grim - | pairlight scan -                     a screenshot from another program
  pairlight scan --camera --once --timeout 20   hold a code in front of the webcam
  pairlight record --out shaky.y4m --seconds 5  keep frames to look at a hard case later";

const SCAN_EXAMPLES: &str = "\
Examples:
  pairlight scan photo.jpg
  pairlight scan --format json shots/ | jq -r '.symbols[].text'
  pairlight scan --format raw key.png > key.bin
  pairlight scan --watch --format ndjson recording.y4m
  pairlight scan --camera --once --timeout 20";

/// Scan QR codes and link devices by scanning.
#[derive(Debug, Parser)]
#[command(name = "pairlight", version, before_help = EXAMPLES, max_term_width = 110, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// When to colour the messages on standard error
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t)]
    pub(crate) color: ColorChoice,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Read codes from pictures, folders, recordings, standard input or a camera
    Scan(ScanArgs),
    /// List the cameras and what they can do
    Cameras(CamerasArgs),
    /// Record a camera's frames to a Y4M file, in grey
    Record(RecordArgs),
    Link(crate::link::LinkArgs),
    Devices(crate::devices::DevicesArgs),
    Messages(crate::messages::MessagesArgs),
    Import(crate::import::ImportArgs),
    Account(crate::account::AccountArgs),
    /// Run a relay in the foreground
    #[command(before_help = RELAY_EXAMPLES)]
    Relay(Box<pairlight_relay::RelayArgs>),
    Bench(crate::bench::BenchArgs),
    Demo(crate::demo::DemoArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print a manual page (troff) of the program or of one command
    Man(ManArgs),
}

/// `pairlight scan INPUT...`
#[derive(Debug, Args)]
#[command(before_help = SCAN_EXAMPLES)]
pub(crate) struct ScanArgs {
    /// Pictures, Y4M recordings, folders (searched to the bottom), or - for standard input
    #[arg(value_name = "INPUT", required_unless_present = "camera")]
    pub(crate) inputs: Vec<PathBuf>,
    /// Look through a camera: its number, or a part of its name; the first one by default
    #[arg(long, value_name = "NAME|N", num_args = 0..=1, default_missing_value = "", conflicts_with = "inputs")]
    pub(crate) camera: Option<String>,
    /// What to print for each code
    #[arg(long, short, value_enum, default_value_t)]
    pub(crate) format: Format,
    /// Stop at the first code
    #[arg(long, conflicts_with = "watch")]
    pub(crate) once: bool,
    /// Go on after the first code and print each new one once: to the end of a recording, or until Ctrl-C (the default
    /// with --camera)
    #[arg(long)]
    pub(crate) watch: bool,
    /// Spend every attempt on every picture, to find small codes beside large ones; slow
    #[arg(long, conflicts_with = "camera")]
    pub(crate) all: bool,
    /// Draw what was tried on each picture into NAME.explained.png in this folder, and say how far it came
    #[arg(long, conflicts_with = "camera")]
    pub(crate) explain: bool,
    /// Give up after this many seconds
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(crate) timeout: Option<f64>,
    /// Show what the camera sees, on the terminal, with the outline of what was read
    #[arg(long, requires = "camera")]
    pub(crate) preview: bool,
    /// If the camera shows no code that can be read, keep the frames (up to 20 seconds) in this folder, to be scanned again
    #[arg(long, value_name = "DIR", requires = "camera")]
    pub(crate) keep_failures: Option<PathBuf>,
    /// Leave with code 0 if any code was found, even if some inputs could not be read
    #[arg(long)]
    pub(crate) keep_going: bool,
}

/// What is printed for a code on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// The text and a newline; what could steer a terminal is escaped
    #[default]
    Text,
    /// One JSON document at the end
    Json,
    /// One JSON object per line, as codes are found
    Ndjson,
    /// The exact bytes and nothing else
    Raw,
}

const CAMERAS_EXAMPLES: &str = "\
Examples:
  pairlight cameras                    number, name and formats of each
  pairlight cameras --json | jq        the same for programs";

const RECORD_EXAMPLES: &str = "\
Examples:
  pairlight record --out shaky.y4m --seconds 5         five seconds of the first camera
  pairlight record --camera 1 --out - | pairlight scan --watch -
                                                       record and scan at the same time";

const RELAY_EXAMPLES: &str = "\
Examples:
  pairlight relay --listen 127.0.0.1:8080 --limits generous --store memory   try it on this machine
  pairlight relay --host relay.example --trust-proxy 127.0.0.1               behind a proxy that speaks TLS
  pairlight relay --config relay.toml --check-config                         is the file good?";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  pairlight completions bash > ~/.local/share/bash-completion/completions/pairlight
  pairlight completions zsh > ~/.zfunc/_pairlight";

const MAN_EXAMPLES: &str = "\
Examples:
  pairlight man > pairlight.1
  pairlight man link show | man -l -";

/// `pairlight cameras`
#[derive(Debug, Args)]
#[command(before_help = CAMERAS_EXAMPLES)]
pub(crate) struct CamerasArgs {
    /// Print a JSON list
    #[arg(long)]
    pub(crate) json: bool,
}

/// `pairlight record --out FILE`
#[derive(Debug, Args)]
#[command(before_help = RECORD_EXAMPLES)]
pub(crate) struct RecordArgs {
    /// The camera: its number, or a part of its name; the first one by default
    #[arg(long, value_name = "NAME|N")]
    pub(crate) camera: Option<String>,
    /// The file to write; - is standard output
    #[arg(long, short, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Overwrite the file if it exists
    #[arg(long)]
    pub(crate) force: bool,
    /// Stop after this many frames
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) frames: Option<u64>,
    /// Stop after this time; without a limit, record until Ctrl-C
    #[arg(long, value_name = "S", value_parser = seconds)]
    pub(crate) seconds: Option<f64>,
}

/// A name by which a person can tell a device.
pub(crate) fn device_name(text: &str) -> Result<String, String> {
    if pairlight_core::devices::is_name(text) {
        Ok(text.to_owned())
    } else {
        Err("a name of 1 to 64 bytes is needed, not blank and without control characters".into())
    }
}

/// A time span a person would type: above zero, at most a day, so that no sum with a clock overflows.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err("a number of seconds above 0 and up to 86400 is needed".into()),
    }
}

/// `pairlight completions SHELL`
#[derive(Debug, Args)]
#[command(before_help = COMPLETIONS_EXAMPLES)]
pub(crate) struct CompletionsArgs {
    /// The shell to write for
    pub(crate) shell: clap_complete::Shell,
}

/// `pairlight man [COMMAND]`
#[derive(Debug, Args)]
#[command(before_help = MAN_EXAMPLES)]
pub(crate) struct ManArgs {
    /// The command to describe, for example `link show`; without it, the program
    pub(crate) command: Vec<String>,
}

/// The whole command line, with the table of exit codes under the long help.
pub(crate) fn command() -> clap::Command {
    Cli::command().after_long_help(exit::table())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_declaration_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_help_starts_with_examples() {
        fn check(command: &clap::Command, path: &str) {
            let before = command.get_before_help().map(ToString::to_string).unwrap_or_default();
            assert!(before.starts_with("Examples:\n  pairlight "), "{path}");
            for sub in command.get_subcommands().filter(|sub| sub.get_name() != "help") {
                check(sub, &format!("{path} {}", sub.get_name()));
            }
        }
        check(&command(), "pairlight");
    }
}
