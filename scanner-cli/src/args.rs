//! The command line: what may be typed, and the help that comes with it.

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
    /// Print a completion script for a shell
    #[command(hide = true)]
    Completions(CompletionsArgs),
    /// Print a manual page (troff) of the program or of one command
    #[command(hide = true)]
    Man(ManArgs),
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
