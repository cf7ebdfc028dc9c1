//! Contacts, dates, and things to call, write to or find on a map.

use super::field;
use super::safe_text::SafeText;
use super::uri::{percent_decode, strip_prefix_ignore_case};

/// Characters of a name, number or address that are shown.
const SHOWN_CHARS: usize = 40;
/// Lines of a contact or date that are read for its name.
const MAX_LINES: usize = 200;

/// Somebody or something to reach.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Personal {
    /// A contact card (vCard, MECARD, BIZCARD, jCard is not in use).
    Contact {
        /// The name on it.
        name: Option<SafeText>,
    },
    /// An entry for a calendar (iCalendar).
    Event {
        /// Its title.
        title: Option<SafeText>,
    },
    /// A number to call.
    Phone {
        /// The number.
        number: SafeText,
        /// Not a person's number but a command to the network, such as `*21*..#` (forward all calls).
        is_network_command: bool,
    },
    /// A text message to send.
    Sms {
        /// To which number.
        number: SafeText,
    },
    /// A mail to write.
    Email {
        /// To whom.
        to: SafeText,
    },
    /// A place on the map.
    Location,
}

fn shown(text: &str) -> SafeText {
    SafeText::new(text, SHOWN_CHARS)
}

/// Recognises the codes that begin with a scheme. `rest` is what follows `scheme:`.
pub(super) fn from_scheme(scheme: &str, rest: &str) -> Option<Personal> {
    let before_query = rest.split_once('?').map_or(rest, |(before, _)| before).trim_start_matches('/');
    Some(match scheme.to_ascii_lowercase().as_str() {
        "tel" | "telprompt" | "facetime" | "facetime-audio" => {
            let number = percent_decode(before_query);
            Personal::Phone { number: shown(&number), is_network_command: number.contains(['*', '#']) }
        }
        "sms" | "smsto" | "mms" | "mmsto" => {
            let number = before_query.split([':', ';']).next().unwrap_or_default();
            Personal::Sms { number: shown(&percent_decode(number)) }
        }
        "mailto" => Personal::Email { to: shown(&percent_decode(before_query)) },
        "smtp" => Personal::Email { to: shown(before_query.split(':').next().unwrap_or_default()) },
        "matmsg" => Personal::Email { to: shown(field::value(&field::parse(rest), "TO")?) },
        "geo" => Personal::Location,
        "mecard" | "bizcard" => {
            let fields = field::parse(rest);
            let family = field::value(&fields, "N");
            let given = field::value(&fields, "X");
            let name =
                family.map(|family| given.map_or_else(|| family.to_owned(), |given| format!("{family} {given}")));
            Personal::Contact { name: name.map(|name| shown(&name)) }
        }
        "begin" => return from_begin(rest),
        _ => return None,
    })
}

/// `BEGIN:VCARD`, `BEGIN:VCALENDAR` and the lines after it.
fn from_begin(rest: &str) -> Option<Personal> {
    let is = |name| {
        strip_prefix_ignore_case(rest, name).is_some_and(|after| after.is_empty() || after.starts_with(['\r', '\n']))
    };
    if is("VCARD") {
        let name = property(rest, "FN").or_else(|| property(rest, "N").map(|name| name.replace(';', " ")));
        return Some(Personal::Contact { name: name.map(|name| shown(&name)) });
    }
    (is("VEVENT") || is("VCALENDAR"))
        .then(|| Personal::Event { title: property(rest, "SUMMARY").map(|title| shown(&title)) })
}

/// The value of `NAME:value` or `NAME;PARAMETER=x:value`, backslash escapes undone.
fn property(text: &str, name: &str) -> Option<String> {
    text.lines().take(MAX_LINES).find_map(|line| {
        let after = strip_prefix_ignore_case(line, name).filter(|after| after.starts_with([':', ';']))?;
        let (_, value) = after.split_once(':')?;
        Some(value.chars().take(SHOWN_CHARS.saturating_mul(2)).filter(|&c| c != '\\').collect())
    })
}
