//! Colour and emphasis for the words on standard error. The data on standard output is never coloured.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::{IsTerminal, Write};

use clap::ValueEnum;

/// When to use colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum ColorChoice {
    /// Only on a terminal that can show it; NO_COLOR and CLICOLOR_FORCE are honoured
    #[default]
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl ColorChoice {
    /// Reads `--color` ahead of the real parse, because clap must know it before it prints help or a usage error.
    pub(crate) fn peek(args: impl Iterator<Item = OsString>) -> Self {
        let args: Vec<String> =
            args.map(|arg| arg.to_string_lossy().into_owned()).take_while(|arg| arg != "--").collect();
        let following = args.iter().skip(1).map(String::as_str).chain(std::iter::once(""));
        let mut choice = ColorChoice::Auto;
        for (arg, next) in args.iter().zip(following) {
            let value = if arg == "--color" { Some(next) } else { arg.strip_prefix("--color=") };
            if let Some(parsed) = value.and_then(|value| ColorChoice::from_str(value, false).ok()) {
                choice = parsed;
            }
        }
        choice
    }

    /// The same choice for clap's own output.
    pub(crate) fn for_clap(self) -> clap::ColorChoice {
        match self {
            ColorChoice::Auto => clap::ColorChoice::Auto,
            ColorChoice::Always => clap::ColorChoice::Always,
            ColorChoice::Never => clap::ColorChoice::Never,
        }
    }
}

/// What the environment says about colour, read once so that the rule itself can be tested.
#[derive(Debug, Clone, Copy, Default)]
struct Surroundings {
    terminal: bool,
    no_color: bool,
    force: bool,
    dumb: bool,
}

impl Surroundings {
    fn of_stderr() -> Self {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        Surroundings {
            terminal: std::io::stderr().is_terminal(),
            no_color: set("NO_COLOR"),
            force: std::env::var_os("CLICOLOR_FORCE").is_some_and(|value| !value.is_empty() && value != "0"),
            dumb: std::env::var_os("TERM").is_some_and(|value| value == "dumb"),
        }
    }

    fn wants_color(self, choice: ColorChoice) -> bool {
        match choice {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto if self.no_color => false,
            ColorChoice::Auto if self.force => true,
            ColorChoice::Auto => self.terminal && !self.dumb,
        }
    }
}

/// Speaks to the person: errors, warnings, notes, all on standard error. A terminal that went away is no reason to
/// stop working, so failures to write here are dropped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Voice {
    color: bool,
    quiet: bool,
}

impl Voice {
    /// A voice for this process; `quiet` silences everything but errors and cautions.
    pub(crate) fn new(choice: ColorChoice, quiet: bool) -> Self {
        Voice { color: Surroundings::of_stderr().wants_color(choice), quiet }
    }

    /// The same voice without what is merely worth knowing: for a step that is not the one the person asked for.
    pub(crate) fn hushed(self) -> Self {
        Voice { quiet: true, ..self }
    }

    /// An error in two lines: what is wrong, and what to do.
    pub(crate) fn error(self, what: impl Display, remedy: impl Display) {
        self.line("31;1", "error:", &what);
        self.line("36", " help:", &remedy);
    }

    /// Something is off but the work goes on.
    pub(crate) fn warn(self, what: impl Display) {
        if !self.quiet {
            self.line("33;1", "warning:", &what);
        }
    }

    /// What the person must know before they decide: said however quiet the program is asked to be.
    pub(crate) fn caution(self, what: impl Display) {
        self.line("33;1", "warning:", &what);
    }

    /// Whether to use colours.
    pub(crate) fn has_color(self) -> bool {
        self.color
    }

    /// Something worth knowing.
    pub(crate) fn note(self, what: impl Display) {
        if !self.quiet {
            self.line("2", "note:", &what);
        }
    }

    /// How far something long has come, on a line of its own that is written over; `None` clears it. Nothing outside a terminal.
    pub(crate) fn progress(self, words: Option<std::fmt::Arguments<'_>>) {
        let mut stderr = std::io::stderr().lock();
        if self.quiet || !stderr.is_terminal() {
            return;
        }
        let words = words.map(|words| words.to_string()).unwrap_or_default();
        drop(write!(stderr, "\r\x1b[K{}", printable(&words)).and_then(|()| stderr.flush()));
    }

    fn line(self, sgr: &str, label: &str, words: &dyn Display) {
        let mut stderr = std::io::stderr().lock();
        // Words may quote a file name or a payload: nothing in them may steer the terminal.
        let words = printable(&words.to_string());
        let written = if self.color {
            writeln!(stderr, "\x1b[{sgr}m{label}\x1b[0m {words}")
        } else {
            writeln!(stderr, "{label} {words}")
        };
        drop(written);
    }
}

/// The text with every control character but newline and tab written as an escape, so that a scanned code or a file
/// name cannot move the cursor, set a title or hide what follows.
pub(crate) fn printable(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        let steers = letter.is_control() && letter != '\n' && letter != '\t';
        // Direction overrides make one text look like another ("Trojan source").
        let disguises = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if steers || disguises {
            safe.extend(letter.escape_unicode());
        } else {
            safe.push(letter);
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_color_beats_force_and_an_explicit_choice_beats_both() {
        let terminal = Surroundings { terminal: true, ..Surroundings::default() };
        let pipe = Surroundings::default();
        for (surroundings, choice, expected) in [
            (terminal, ColorChoice::Auto, true),
            (pipe, ColorChoice::Auto, false),
            (Surroundings { dumb: true, ..terminal }, ColorChoice::Auto, false),
            (Surroundings { no_color: true, ..terminal }, ColorChoice::Auto, false),
            (Surroundings { force: true, ..pipe }, ColorChoice::Auto, true),
            (Surroundings { force: true, no_color: true, ..pipe }, ColorChoice::Auto, false),
            (Surroundings { no_color: true, ..pipe }, ColorChoice::Always, true),
            (terminal, ColorChoice::Never, false),
        ] {
            assert_eq!(surroundings.wants_color(choice), expected, "{surroundings:?} {choice:?}");
        }
    }

    #[test]
    fn the_color_option_is_seen_before_the_real_parse() {
        let peek = |args: &[&str]| ColorChoice::peek(args.iter().map(OsString::from));
        assert_eq!(peek(&["pairlight", "--color", "never", "scan"]), ColorChoice::Never);
        assert_eq!(peek(&["pairlight", "scan", "--color=always"]), ColorChoice::Always);
        assert_eq!(peek(&["pairlight", "scan", "--color"]), ColorChoice::Auto);
        assert_eq!(peek(&["pairlight", "scan", "--", "--color=always"]), ColorChoice::Auto);
    }

    #[test]
    fn a_scanned_text_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\u{202e}c\n\td"), "a\\u{1b}[2Jb\\u{202e}c\n\td");
    }
}
