//! Words from a scanned code, made harmless for a screen, a terminal and a log.
//!
//! Everything that the rest of this floor takes out of a code and keeps is a [`SafeText`], so no text that Pairlight
//! produces can carry a terminal escape, a bidirectional override or an invisible letter: the type has no other way in.

use std::fmt::{self, Write as _};

/// Shown in place of each character that could do more than be read.
const REPLACEMENT: char = '\u{fffd}';
/// Shown at the end when something was left out.
const ELLIPSIS: char = '…';
/// Input characters looked at for each character of output; keeps the work bounded on hostile input.
const INPUT_PER_OUTPUT: usize = 4;

/// One line of printable text of bounded length. Never holds a control, format, bidirectional or invisible character.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct SafeText(String);

impl SafeText {
    /// Takes at most `max_chars` characters of `raw`. Runs of white space become one space, characters that could
    /// change how other text is shown become U+FFFD, and a cut is marked by an ellipsis (within the limit).
    #[must_use]
    pub fn new(raw: &str, max_chars: usize) -> Self {
        let mut out = String::new();
        let mut length = 0_usize;
        let mut after_space = true;
        let mut cut = false;
        for (looked_at, c) in raw.chars().enumerate() {
            if length >= max_chars || looked_at >= max_chars.saturating_mul(INPUT_PER_OUTPUT) {
                cut = true;
                break;
            }
            let shown = if c.is_whitespace() {
                if after_space {
                    continue;
                }
                ' '
            } else if is_printable(c) {
                c
            } else {
                REPLACEMENT
            };
            after_space = shown == ' ';
            out.push(shown);
            length = length.saturating_add(1);
        }
        if cut {
            if length >= max_chars {
                out.pop();
            }
            out.push(ELLIPSIS);
        }
        let kept = out.trim_end().len();
        out.truncate(kept);
        Self(out)
    }

    /// The text, safe to print as it is.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nothing is left to show.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SafeText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        f.write_str(&self.0)?;
        f.write_char('"')
    }
}

/// Letters and digits of every script, and the punctuation and pictures that people really put in names. A list of what
/// is allowed rather than of what is dangerous: the next Unicode version may add another invisible character.
fn is_printable(c: char) -> bool {
    // Hangul fillers and inherent vowels count as letters but show nothing; the combining letters stack without end.
    let invisible = matches!(
        c,
        '\u{0345}' | '\u{0363}'
            ..='\u{036f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
    );
    if invisible {
        return false;
    }
    c.is_ascii_graphic()
        || c == ' '
        || c.is_alphanumeric()
        || matches!(c,
            '\u{00a1}'..='\u{00ac}' | '\u{00ae}'..='\u{00bf}' | '×' | '÷'
            | '\u{2010}'..='\u{2027}' | '\u{2030}'..='\u{205e}'
            | '\u{20a0}'..='\u{20c0}' | '\u{2100}'..='\u{214f}' | '\u{2190}'..='\u{21ff}' | '\u{2600}'..='\u{27bf}'
            | '\u{3001}'..='\u{3003}' | '\u{3008}'..='\u{3011}' | '\u{ff01}'..='\u{ff5e}' | '\u{fffd}'
            | '\u{1f300}'..='\u{1faff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_escape_sequence_loses_its_escape() {
        assert_eq!(SafeText::new("\u{1b}[31mred\u{7}", 40).as_str(), "\u{fffd}[31mred\u{fffd}");
    }

    #[test]
    fn bidirectional_and_invisible_characters_are_replaced() {
        for c in
            ['\u{202e}', '\u{2066}', '\u{200f}', '\u{200b}', '\u{feff}', '\u{ad}', '\u{3164}', '\u{e0041}', '\u{85}']
        {
            let text = SafeText::new(&format!("a{c}b"), 40);
            assert!(!text.as_str().contains(c), "{:x}", c as u32);
        }
    }

    #[test]
    fn white_space_and_line_breaks_become_one_space() {
        assert_eq!(SafeText::new("  a \r\n\t\u{2028} b  ", 40).as_str(), "a b");
    }

    #[test]
    fn a_long_text_is_cut_inside_the_limit() {
        let text = SafeText::new(&"x".repeat(100_000), 10);
        assert_eq!(text.as_str(), "xxxxxxxxx…");
        assert_eq!(SafeText::new("exactly10!", 10).as_str(), "exactly10!");
    }

    #[test]
    fn white_space_without_end_is_not_read_to_the_end() {
        assert_eq!(SafeText::new(&format!("{}x", " ".repeat(100_000)), 10).as_str(), "…");
    }

    #[test]
    fn names_in_other_scripts_stay_readable() {
        for name in ["Zoë Müller-O’Neil", "東京タワー", "שלום", "Привет 🎉"] {
            assert_eq!(SafeText::new(name, 40).as_str(), name);
        }
    }
}
