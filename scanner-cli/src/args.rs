//! The command line: what may be typed, and the help that comes with it.

use std::path::PathBuf;

use clap::{Args, CommandFactory, Parser, Subcommand};

use crate::exit;
use crate::style::ColorChoice;

const EXAMPLES: &str = "\
Examples:
  pairlight scan photo.jpg                      print what the code in a picture says
  pairlight scan --format json shots/           every picture of a folder, as JSON
  grim - | pairlight scan -                     a screenshot from another program
  pairlight scan --camera --once --timeout 20   hold a code in front of the webcam
  pairlight record --out shaky.y4m --seconds 5  keep frames to look at a hard case later";

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
    /// List the cameras and what they can do
    Cameras(CamerasArgs),
    /// Record a camera's frames to a Y4M file, in grey
    Record(RecordArgs),
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Print a manual page (troff) of the program or of one command
    #[command(hide = true)]
    Man(ManArgs),
}

/// `pairlight cameras`
#[derive(Debug, Args)]
pub(crate) struct CamerasArgs {
    /// Print a JSON list
    #[arg(long)]
    pub(crate) json: bool,
}

/// `pairlight record --out FILE`
#[derive(Debug, Args)]
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

/// A time span a person would type: above zero, at most a day, so that no sum with a clock overflows.
fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 86_400.0 => Ok(seconds),
        _ => Err("a number of seconds above 0 and up to 86400 is needed".into()),
    }
}

/// `pairlight completions SHELL`
#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell to write for
    pub(crate) shell: clap_complete::Shell,
}

/// `pairlight man [COMMAND]`
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The command to describe; without it, the program
    pub(crate) command: Option<String>,
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
}
