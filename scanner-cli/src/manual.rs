//! Completion scripts and manual pages, generated from the command line declaration when asked for.

use std::io::Write;

use crate::args::{self, CompletionsArgs, ManArgs};
use crate::exit::{Exit, Failure};

/// Writes the completion script of one shell to standard output.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut args::command(), "pairlight", &mut script);
    print(&script)
}

/// Writes one manual page to standard output.
pub(crate) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    let mut program = args::command();
    program.build();
    let mut described = program;
    for name in &args.command {
        described = described.find_subcommand(name).cloned().ok_or_else(|| {
            let what = format!("there is no command '{name}' in '{}'", described.get_bin_name().unwrap_or("pairlight"));
            Failure::new(Exit::Usage, what, "see 'pairlight --help' for the commands")
        })?;
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(described)
        .render(&mut page)
        .map_err(|error| Failure::new(Exit::Error, format!("cannot write the page: {error}"), "please report this"))?;
    print(&page)
}

fn print(bytes: &[u8]) -> Result<Exit, Failure> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(bytes).and_then(|()| stdout.flush()).map_err(|error| Failure::from_stdout(&error))?;
    Ok(Exit::Done)
}
