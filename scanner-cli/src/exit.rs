//! How a run ends: the exit codes scripts rely on, and errors that say what to do next.

use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

/// One number per kind of ending. Scripts branch on these, so a number never changes its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Exit {
    /// A code was found, or a device was linked, or the command simply did its work.
    Done = 0,
    /// Something failed that has no number of its own: a broken file, a full disk.
    Error = 1,
    /// The command line makes no sense. clap uses the same number.
    Usage = 2,
    /// The person at this machine chose to stop.
    Cancelled = 3,
    /// Everything was looked at and there is no code in it.
    NoneFound = 4,
    /// There is a code, but it cannot be read.
    Unreadable = 5,
    /// No camera, no permission for it, or it stopped delivering frames.
    Camera = 6,
    /// The time ran out, ours or the offer's.
    TimedOut = 7,
    /// The other device said no.
    Declined = 8,
    /// Stopped by Ctrl-C; shells expect 128 + SIGINT.
    Interrupted = 130,
}

impl Exit {
    /// Every ending, in the order the help prints them.
    pub(crate) const ALL: [Exit; 10] = [
        Exit::Done,
        Exit::Error,
        Exit::Usage,
        Exit::Cancelled,
        Exit::NoneFound,
        Exit::Unreadable,
        Exit::Camera,
        Exit::TimedOut,
        Exit::Declined,
        Exit::Interrupted,
    ];

    /// The number the shell sees.
    pub(crate) fn code(self) -> u8 {
        self as u8
    }

    /// The few words for the help and the manual page.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "found, linked or done",
            Exit::Error => "error",
            Exit::Usage => "wrong usage",
            Exit::Cancelled => "cancelled here",
            Exit::NoneFound => "no code found",
            Exit::Unreadable => "a code was seen but could not be read",
            Exit::Camera => "no camera, no permission, or no frames",
            Exit::TimedOut => "timed out or expired",
            Exit::Declined => "declined on the other device",
            Exit::Interrupted => "interrupted (Ctrl-C)",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

/// The table of exit codes, as the help shows it.
pub(crate) fn table() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        text.push_str(&format!("  {:>3}  {}\n", exit.code(), exit.meaning()));
    }
    text
}

/// Why a command ended early. Line 1 says what is wrong, line 2 what the reader can do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    what: String,
    remedy: String,
    is_offline: bool,
}

/// An error of standard output, told apart from those of files.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output: {0}")]
struct OnStdout(io::Error);

/// Writes a whole result to standard output.
pub(crate) fn print(result: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    Ok(out.write_all(result).and_then(|()| out.flush()).map_err(OnStdout)?)
}

impl Failure {
    /// A failure with its exit code, the fact, and the way out.
    pub(crate) fn new(exit: Exit, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Failure { exit, what: what.into(), remedy: remedy.into(), is_offline: false }
    }

    /// The same, because somebody cannot be reached who may come back.
    pub(crate) fn offline(self) -> Self {
        Failure { is_offline: true, ..self }
    }

    /// Whether waiting may help.
    pub(crate) fn is_offline(&self) -> bool {
        self.is_offline
    }

    /// Writing to standard output failed. A reader that closed the pipe (`| head`) got all it wanted: that is success.
    pub(crate) fn from_stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Failure::new(Exit::Done, String::new(), String::new())
        } else {
            Failure::new(
                Exit::Error,
                format!("cannot write to standard output: {error}"),
                "check the program or file that the output goes to",
            )
        }
    }

    /// An error of a command that has no exit code of its own.
    pub(crate) fn from_any(error: &anyhow::Error) -> Self {
        if let Some(OnStdout(error)) = error.downcast_ref() {
            return Failure::from_stdout(error);
        }
        let system = error.chain().find_map(|cause| cause.downcast_ref::<io::Error>());
        match system {
            Some(_) => Failure::new(Exit::Error, format!("{error:#}"), "check the name, the file and its permissions"),
            None => Failure::new(Exit::Error, format!("{error:#}"), "see --help for what is expected"),
        }
    }

    /// The code to leave with.
    pub(crate) fn exit(&self) -> Exit {
        self.exit
    }

    /// Whether there is nothing to say: the reader of our output hung up.
    pub(crate) fn is_silent(&self) -> bool {
        self.what.is_empty()
    }

    /// The first line: what is wrong.
    pub(crate) fn what(&self) -> &str {
        &self.what
    }

    /// The second line: what to do.
    pub(crate) fn remedy(&self) -> &str {
        &self.remedy
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_the_ones_promised_to_scripts() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 8, 130]);
    }

    #[test]
    fn the_readme_tells_the_same_meanings() {
        let readme = include_str!("../README.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(readme.contains(&row), "{row}");
        }
    }

    #[test]
    fn a_closed_pipe_is_success_and_says_nothing() {
        let failure = Failure::from_stdout(&io::ErrorKind::BrokenPipe.into());
        assert_eq!(failure.exit(), Exit::Done);
        assert!(failure.is_silent());
        assert_eq!(Failure::from_stdout(&io::ErrorKind::StorageFull.into()).exit(), Exit::Error);
    }
}
