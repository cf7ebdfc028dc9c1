//! The dates of a WhatsApp export: what the phone's language makes of them, and the order that fits them.

use jiff::civil;
use jiff::tz::TimeZone;

use super::chat::instant;
use super::{DateOrder, Exit, Failure};

/// Most letters between a date and its time: `à`, `um`, `klo`, and the half of the day where that stands in front.
const WORD_LETTERS: usize = 16;
/// A form of date is foreign when the form of most lines is so many times as frequent.
const RARE: usize = 4;
/// Years by which the Buddhist calendar is ahead.
const BUDDHIST: u16 = 543;

/// Words for the first half of the day, without spaces and full stops.
const BEFORE_NOON: [&str; 17] = [
    "am",
    "오전",
    "上午",
    "凌晨",
    "清晨",
    "早上",
    "午前",
    "ص",
    "صباحا",
    "πμ",
    "öö",
    "fm",
    "vm",
    "ap",
    "sa",
    "पूर्वाह्न",
    "قبلازظهر",
];
/// Words for the second half.
const AFTER_NOON: [&str; 17] = [
    "pm",
    "오후",
    "下午",
    "晚上",
    "中午",
    "傍晚",
    "午後",
    "م",
    "مساء",
    "μμ",
    "ös",
    "em",
    "nm",
    "ip",
    "ch",
    "अपराह्न",
    "بعدازظهر",
];
/// Words that only say that it was a time.
const CLOCK: [&str; 6] = ["uhr", "h", "hs", "hrs", "น", "ч"];

/// Where the digits of the world's scripts begin.
const DIGITS: [u32; 18] = [
    0x0660, 0x06f0, 0x07c0, 0x0966, 0x09e6, 0x0a66, 0x0ae6, 0x0b66, 0x0be6, 0x0c66, 0x0ce6, 0x0d66, 0x0e50, 0x0ed0,
    0x0f20, 0x1040, 0x17e0, 0xff10,
];

/// Marks of direction, which are not seen; in front of what the app wrote itself there is one.
pub(super) fn is_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// Three numbers and a time of day, the order of the numbers not known yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    numbers: [u16; 3],
    separator: char,
    is_bracketed: bool,
    hour: i8,
    minute: i8,
    second: i8,
}

/// What is left to read of a date.
struct Rest<'t>(&'t str);

impl Rest<'_> {
    fn number(&mut self) -> Option<u16> {
        let end = self.0.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.0.len());
        let (digits, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        digits.parse().ok()
    }

    fn one_of(&mut self, wanted: &[char]) -> Option<char> {
        let first = self.0.chars().next().filter(|c| wanted.contains(c))?;
        self.0 = self.0.strip_prefix(first)?.trim_start_matches(' ');
        Some(first)
    }

    /// Everything up to the next digit.
    fn words(&mut self) -> &str {
        let end = self.0.find(|c: char| c.is_ascii_digit()).unwrap_or(self.0.len());
        let (words, rest) = self.0.split_at_checked(end).unwrap_or_default();
        self.0 = rest;
        words
    }
}

/// Which half of the day some words say; `None` when they are not known.
fn half(words: &str) -> Option<Option<i8>> {
    let letters: String = words.chars().filter(|c| c.is_alphanumeric() || is_joined(*c)).collect();
    let letters = letters.to_lowercase();
    let is = |known: &[&str]| known.contains(&letters.as_str());
    match () {
        () if is(&BEFORE_NOON) => Some(Some(0)),
        () if is(&AFTER_NOON) => Some(Some(12)),
        () if letters.is_empty() || is(&CLOCK) => Some(None),
        () => None,
    }
}

/// Vowel signs of Indian scripts, which are no letters by themselves.
fn is_joined(c: char) -> bool {
    matches!(c, '\u{900}'..='\u{dff}')
}

impl Stamp {
    /// Reads `12/03/2025, 21:15:03`, `3/12/25, 9:15 PM`, `2025-03-12 21:15`, `13/02/2024 à 21:05`, `2024. 2. 13. 오후 9:05`.
    fn parse(text: &str, is_bracketed: bool) -> Option<Self> {
        let text: String = text.chars().filter(|c| !is_mark(*c)).map(plain).collect();
        let mut rest = Rest(text.trim());
        let first = rest.number()?;
        let separator = rest.one_of(&['/', '.', '-', '年', '년'])?;
        let second = rest.number()?;
        rest.one_of(&[separator, '月', '월'])?;
        let numbers = [first, second, rest.number()?];
        let between = rest.words();
        let between = between.trim_start_matches(['.', '日', '일']);
        let apart = between.starts_with([' ', ',']) || between.chars().next().is_some_and(char::is_alphabetic);
        let words = between.split([' ', ',', '،']).filter(|word| !word.is_empty());
        if !apart || words.clone().count() > 3 || between.chars().filter(|c| c.is_alphabetic()).count() > WORD_LETTERS {
            return None;
        }
        // In Latin letters other words stand there too: "a", "em".
        let is_half =
            |word: &&str| !word.is_ascii() || word.eq_ignore_ascii_case("am") || word.eq_ignore_ascii_case("pm");
        let before = words.filter(is_half).find_map(|word| half(word).flatten());
        let hour = i8::try_from(rest.number()?).ok()?;
        rest.0 = rest.0.trim_start_matches(' ');
        rest.one_of(&[':', '.', 'h', 'H', '時', '时', '點', '点'])?;
        let minute = i8::try_from(rest.number()?).ok()?;
        let has_second = rest.0.chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        let second = match has_second.then(|| rest.one_of(&[':', '.'])).flatten() {
            Some(_) => i8::try_from(rest.number()?).ok()?,
            None => 0,
        };
        let hour = match half(rest.words())?.or(before) {
            None => hour,
            Some(_) if !(0..=12).contains(&hour) => hour,
            Some(add) => hour % 12 + add,
        };
        let valid =
            rest.0.is_empty() && (0..24).contains(&hour) && (0..60).contains(&minute) && (0..61).contains(&second);
        valid.then_some(Self { numbers, separator, is_bracketed, hour, minute, second: second.min(59) })
    }

    /// When it was, if the order of the numbers is this; ms since 1970.
    pub(super) fn at(&self, order: DateOrder, zone: &TimeZone) -> Option<u64> {
        instant(self.local(order)?, zone)
    }

    fn local(&self, order: DateOrder) -> Option<civil::DateTime> {
        let [a, b, c] = self.numbers;
        let (year, month, day) = match order {
            DateOrder::Dmy => (c, b, a),
            DateOrder::Mdy => (c, a, b),
            DateOrder::Ymd | DateOrder::Auto => (a, b, c),
        };
        let year = match year {
            0..100 => year.checked_add(2000)?,
            2500..2700 => year.checked_sub(BUDDHIST)?,
            _ => year,
        };
        let (year, month, day) = (i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?);
        civil::DateTime::new(year, month, day, self.hour, self.minute, self.second, 0).ok()
    }

    /// Whether it may be of this order when nobody says so: two digits in front are never a year.
    fn fits(&self, order: DateOrder) -> bool {
        (self.numbers[0] > 31) == (order == DateOrder::Ymd) && self.local(order).is_some()
    }
}

/// A digit of any script as ASCII, a space of any width as a space.
fn plain(c: char) -> char {
    let code = u32::from(c);
    let digit = DIGITS.iter().find_map(|zero| code.checked_sub(*zero).filter(|digit| *digit < 10));
    match digit.and_then(|digit| char::from_digit(digit, 10)) {
        Some(digit) => digit,
        None if c.is_whitespace() => ' ',
        None if c == '،' || c == '，' => ',',
        None if c == '：' => ':',
        None => c,
    }
}

/// A line that begins a message: its time, and what follows.
pub(super) fn header(line: &str) -> Option<(Stamp, &str)> {
    let line = line.trim_start_matches(is_mark);
    if let Some(rest) = line.strip_prefix('[') {
        let (stamp, rest) = rest.split_once(']')?;
        return Some((Stamp::parse(stamp, true)?, rest.trim_start()));
    }
    let (stamp, rest) = line.split_once(" - ")?;
    Some((Stamp::parse(stamp, false)?, rest))
}

/// The form that nearly all dates have: others were pasted into a message. `None` where several are common.
pub(super) fn form_of(stamps: &[Stamp]) -> Option<Form> {
    let mut forms: Vec<(Form, usize)> = Vec::new();
    for stamp in stamps {
        match forms.iter_mut().find(|(form, _)| *form == stamp.form()) {
            Some((_, count)) => *count += 1,
            None => forms.push((stamp.form(), 1)),
        }
    }
    let (form, most) = forms.iter().copied().max_by_key(|(_, count)| *count)?;
    (stamps.len().saturating_sub(most).saturating_mul(RARE) <= most).then_some(form)
}

/// Brackets and separator.
pub(super) type Form = (bool, char);

impl Stamp {
    pub(super) fn form(&self) -> Form {
        (self.is_bracketed, self.separator)
    }
}

/// The order in which the most dates make sense and time runs forward. A date that makes none in any order does not count.
pub(super) fn order_of(stamps: &[Stamp]) -> Result<DateOrder, Failure> {
    const ORDERS: [DateOrder; 3] = [DateOrder::Dmy, DateOrder::Mdy, DateOrder::Ymd];
    let sound: Vec<&Stamp> = stamps.iter().filter(|stamp| ORDERS.iter().any(|order| stamp.fits(*order))).collect();
    let refused = |what: &str| {
        let remedy = "say which with --date-order dmy, --date-order mdy or --date-order ymd";
        Err(Failure::new(Exit::Usage, what, remedy))
    };
    // Messages stand in the order in which they were written.
    let against = |order: DateOrder| {
        let fitting: Vec<_> = sound.iter().filter(|stamp| stamp.fits(order)).map(|stamp| stamp.local(order)).collect();
        let backwards = fitting.iter().zip(fitting.iter().skip(1)).filter(|(one, next)| one > next).count();
        (sound.len() - fitting.len(), backwards)
    };
    let mut ranked: Vec<_> = ORDERS.map(|order| (against(order), order)).into();
    ranked.sort_by_key(|((odd, backwards), _)| odd + backwards);
    let [((odd, backwards), order), ((next_odd, next_backwards), _), ..] = ranked.as_slice() else {
        return refused("the dates of this export have no order");
    };
    if odd * 2 >= sound.len().max(1) || sound.len() * 2 < stamps.len() {
        return refused("the dates of this export make no sense in any order");
    }
    if odd + backwards < next_odd + next_backwards {
        return Ok(*order);
    }
    let with_stops = sound.iter().filter(|stamp| stamp.separator == '.').count();
    match with_stops * 2 > sound.len() && against(DateOrder::Dmy).0 == *odd {
        true => Ok(DateOrder::Dmy),
        false => refused("the dates of this export may be day/month/year or month/day/year"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<u64> {
        let (stamp, _) = header(text)?;
        let order = if stamp.numbers[0] > 31 { DateOrder::Ymd } else { DateOrder::Dmy };
        stamp.at(order, &TimeZone::UTC)
    }

    #[test]
    fn dates_are_read_as_the_languages_of_phones_write_them() {
        // 13 February 2024, 21:05.
        for text in [
            "13/02/2024 à 21:05 - Kim: x",
            "13.02.24 um 21:05 - Kim: x",
            "13.02.24, 21:05 Uhr - Kim: x",
            "[13.02.24 um 21:05:00] Kim: x",
            "13/02/2024 21 h 05 - Kim: x",
            "13-02-2024 klo 21.05 - Kim: x",
            "13/2/2024, 9:05 p. m. - Kim: x",
            "13/2/2024, 9:05\u{202f}p.\u{a0}m. - Kim: x",
            "13/2/24, 9:05\u{202f}PM - Kim: x",
            "[13/2/24, 9:05:00 pm] Kim: x",
            "\u{200f}١٣\u{200f}/٢\u{200f}/٢٠٢٤، ٩:٠٥ م - كيم: x",
            "۱۳/۲/۲۰۲۴،\u{200f} ۲۱:۰۵ - کیم: x",
            "१३/०२/२०२४, ९:०५ अपराह्न - Kim: x",
            "2024. 2. 13. 오후 9:05 - Kim: x",
            "[2024. 2. 13. 오후 9:05:00] Kim: x",
            "2024년 2월 13일 오후 9:05 - Kim: x",
            "2024/2/13 下午9:05 - Kim: x",
            "[2024/2/13 下午9:05:00] Kim: x",
            "2024年2月13日 21:05 - Kim: x",
            "2024. 02. 13. 21:05 - Kim: x",
            "13/2/2567 21:05 - Kim: x",
            "13/2/24 ÖS 9:05 - Kim: x",
            "13/2/24 9:05 μ.μ. - Kim: x",
        ] {
            assert_eq!(ms(text), Some(1_707_858_300_000), "{text}");
        }
        assert_eq!(ms("2024. 2. 13. 오전 12:05 - Kim: x"), Some(1_707_782_700_000));
        for text in
            ["13/02/2024 - the meeting", "13/02/2024 we all meet there at 21:05 - Kim: x", "1.2.3 - x", "10:30 - x"]
        {
            assert_eq!(ms(text), None, "{text}");
        }
    }

    #[test]
    fn some_odd_dates_change_no_order() {
        let of = |texts: &[&str]| {
            let stamps: Vec<_> = texts.iter().map(|text| Stamp::parse(text, false).unwrap()).collect();
            order_of(&stamps).ok()
        };
        let good = ["30/01/2024, 10:00", "31/01/2024, 10:00", "01/02/2024, 10:00", "02/02/2024, 10:00"];
        for odd in ["31/02/2024, 10:00", "00/00/0000, 10:00", "2024-01-05 10:00", "12/31/23, 10:00"] {
            assert_eq!(of(&[good.as_slice(), &[odd]].concat()), Some(DateOrder::Dmy), "{odd}");
            assert_eq!(of(&[&[odd], good.as_slice()].concat()), Some(DateOrder::Dmy), "{odd}");
        }
        // All of it fits both, but for one line: it decides nothing when time would then run backwards.
        let may = ["3/1/24, 10:00", "3/2/24, 10:00", "3/3/24, 10:00"];
        assert_eq!(of(&[may.as_slice(), &["25/12/2023, 10:00"], &["3/4/24, 10:00"]].concat()), None);
        assert_eq!(of(&["00/00/0000, 10:00"]), None);
        assert_eq!(of(&["31/02/2024, 10:00"]), None);
    }
}
