//! Taking an address apart the way the program that would open it does, without opening it.
//!
//! Browsers are lenient (WHATWG URL): a backslash counts as a slash, tabs inside are dropped, the host may be
//! percent-encoded or written in full-width letters. A scanner that reads an address more strictly than the browser
//! tells its user about another host than the one that will be opened; so this reads as leniently.

use std::borrow::Cow;

/// Longest scheme taken for one; the longest registered with IANA has 36 characters.
const MAX_SCHEME: usize = 40;
/// Longest host name that DNS can carry, in bytes.
const MAX_HOST: usize = 253;

/// `scheme:rest`, with a scheme by the grammar of RFC 3986 section 3.1. `None` when there is no such scheme.
pub(super) fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().take(MAX_SCHEME).position(|b| b == b':')?;
    let scheme = text.get(..end)?;
    let rest = text.get(end..)?.strip_prefix(':')?;
    let mut bytes = scheme.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphabetic());
    (starts_well && bytes.all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.')))
        .then_some((scheme, rest))
}

/// The rest of `text` after `prefix`, whose letters may be in either case.
pub(super) fn strip_prefix_ignore_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then(|| text.get(prefix.len()..)).flatten()
}

/// The value of the first parameter `name` in `query` (`a=1&b=2`), percent-decoded.
pub(super) fn parameter<'a>(query: &'a str, name: &str) -> Option<Cow<'a, str>> {
    query.split(['&', ';']).find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        key.eq_ignore_ascii_case(name).then(|| percent_decode(value))
    })
}

/// Undoes `%41`. What is not a valid escape stays as it is; bytes that are not UTF-8 become U+FFFD.
pub(super) fn percent_decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, tail)) = rest.split_first() {
        rest = tail;
        if first == b'%'
            && let Some((&[high, low], after)) = tail.split_first_chunk::<2>()
            && let (Some(high), Some(low)) = (hex_digit(high), hex_digit(low))
        {
            out.push((high << 4) | low);
            rest = after;
            continue;
        }
        out.push(first);
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// An address of the form `scheme://user@host:port/path?query#fragment`.
#[derive(Debug, Default)]
pub(super) struct Address {
    /// Lower-case host, without a trailing dot, non-ASCII letters kept. Brackets kept on IPv6.
    pub(super) host: String,
    /// The port as written, if one was.
    pub(super) port: Option<String>,
    /// Something stood before an `@`: `https://bank.example@evil.example`.
    pub(super) has_user: bool,
    /// Path with its leading slash, or empty.
    pub(super) path: String,
    /// Without the `?`.
    pub(super) query: String,
    /// Without the `#`.
    pub(super) fragment: String,
    /// Written in a way that programs read differently: backslashes, missing slashes, an encoded host, line breaks.
    pub(super) is_odd: bool,
}

impl Address {
    /// Reads what follows `scheme:`. `None` if no host can be found.
    pub(super) fn parse(rest: &str) -> Option<Self> {
        let mut is_odd = rest.contains(['\t', '\r', '\n']);
        let cleaned: String = rest.chars().filter(|c| !matches!(c, '\t' | '\r' | '\n')).collect();
        let (before_fragment, fragment) = cleaned.split_once('#').unwrap_or((&cleaned, ""));
        let (before_query, query) = before_fragment.split_once('?').unwrap_or((before_fragment, ""));
        let after_slashes = before_query.trim_start_matches(['/', '\\']);
        is_odd |= before_query.strip_prefix("//") != Some(after_slashes) || before_query.contains('\\');
        let authority_end = after_slashes.find(['/', '\\']).unwrap_or(after_slashes.len());
        let (authority, path) = after_slashes.split_at_checked(authority_end)?;
        let (user, host_and_port) = match authority.rsplit_once('@') {
            Some((user, rest)) => (Some(user), rest),
            None => (None, authority),
        };
        let (raw_host, port) = split_port(host_and_port);
        let host = normal_host(raw_host);
        is_odd |= raw_host.contains('%') || host.len() > MAX_HOST || host.contains(' ');
        if host.is_empty() {
            return None;
        }
        Some(Self {
            host,
            port: port.map(str::to_owned),
            has_user: user.is_some(),
            path: path.replace('\\', "/"),
            query: query.to_owned(),
            fragment: fragment.to_owned(),
            is_odd,
        })
    }

    /// Whether the host is `domain` itself or `www.` before it.
    pub(super) fn is_at(&self, domain: &str) -> bool {
        self.host.strip_prefix("www.").unwrap_or(&self.host) == domain
    }

    /// Whether the host is `domain` or lies under it.
    pub(super) fn is_under(&self, domain: &str) -> bool {
        self.host.strip_suffix(domain).is_some_and(|front| front.is_empty() || front.ends_with('.'))
    }
}

fn split_port(host_and_port: &str) -> (&str, Option<&str>) {
    let after_bracket = host_and_port.rfind(']').unwrap_or(0);
    match host_and_port.rfind(':') {
        Some(colon) if colon >= after_bracket => match host_and_port.split_at_checked(colon) {
            Some((host, port)) => (host, port.strip_prefix(':').filter(|port| !port.is_empty())),
            None => (host_and_port, None),
        },
        _ => (host_and_port, None),
    }
}

/// The host as a browser would look it up, apart from the non-ASCII letters, which stay for the look-alike checks.
fn normal_host(raw: &str) -> String {
    let host: String = percent_decode(raw)
        .chars()
        .filter(|c| !matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}'))
        .map(|c| match c {
            '。' | '．' | '｡' => '.',
            full_width @ '\u{ff01}'..='\u{ff5e}' => {
                (full_width as u32).checked_sub(0xfee0).and_then(char::from_u32).unwrap_or(full_width)
            }
            other => other,
        })
        .flat_map(char::to_lowercase)
        .collect();
    host.strip_suffix('.').map(str::to_owned).unwrap_or(host)
}

/// A host in ASCII, each label with other letters in its `xn--` form, as it stands in a certificate. `None` when a
/// label cannot be encoded.
pub(super) fn ascii_host(host: &str) -> Option<String> {
    let labels: Option<Vec<String>> =
        host.get(..host.len().min(MAX_HOST))
            .unwrap_or_default()
            .split('.')
            .map(|label| {
                if label.is_ascii() {
                    Some(label.to_owned())
                } else {
                    punycode(label).map(|code| format!("xn--{code}"))
                }
            })
            .collect();
    labels.map(|labels| labels.join("."))
}

/// RFC 3492 section 6.3. `None` on overflow, which no label of legal length reaches.
fn punycode(label: &str) -> Option<String> {
    const BASE: u32 = 36;
    const T_MIN: u32 = 1;
    const T_MAX: u32 = 26;
    let letters: Vec<u32> = label.chars().take(MAX_HOST).map(u32::from).collect();
    let mut out: String = label.chars().filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    let total = u32::try_from(letters.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (128_u32, 0_u32, 72_u32, basic);
    while handled < total {
        let next = letters.iter().copied().filter(|&letter| letter >= n).min()?;
        delta = delta.checked_add(next.checked_sub(n)?.checked_mul(handled.checked_add(1)?)?)?;
        n = next;
        for &letter in &letters {
            if letter < n {
                delta = delta.checked_add(1)?;
            }
            if letter != n {
                continue;
            }
            let (mut q, mut k) = (delta, BASE);
            loop {
                let t = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
                if q < t {
                    break;
                }
                let (over, span) = (q.checked_sub(t)?, BASE.checked_sub(t)?);
                out.push(punycode_digit(t.checked_add(over.checked_rem(span)?)?)?);
                q = over.checked_div(span)?;
                k = k.checked_add(BASE)?;
            }
            out.push(punycode_digit(q)?);
            bias = adapt(delta, handled.checked_add(1)?, handled == basic)?;
            delta = 0;
            handled = handled.checked_add(1)?;
        }
        delta = delta.checked_add(1)?;
        n = n.checked_add(1)?;
    }
    Some(out)
}

fn punycode_digit(value: u32) -> Option<char> {
    char::from_digit(value.checked_sub(26).unwrap_or_else(|| value.saturating_add(10)), 36)
}

/// The bias adaptation of RFC 3492 section 6.1.
fn adapt(delta: u32, points: u32, is_first: bool) -> Option<u32> {
    let mut delta = if is_first { delta / 700 } else { delta / 2 };
    delta = delta.checked_add(delta.checked_div(points)?)?;
    let mut k = 0_u32;
    while delta > 455 {
        delta /= 35;
        k = k.checked_add(36)?;
    }
    delta.checked_mul(36)?.checked_div(delta.checked_add(38)?)?.checked_add(k)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_address_comes_apart() {
        let address = Address::parse("//Example.COM:8443/a/b?x=1&y=%41#frag").unwrap();
        assert_eq!(address.host, "example.com");
        assert_eq!(address.port.as_deref(), Some("8443"));
        assert_eq!(
            (address.path.as_str(), address.query.as_str(), address.fragment.as_str()),
            ("/a/b", "x=1&y=%41", "frag")
        );
        assert!(!address.is_odd && !address.has_user);
        assert_eq!(parameter(&address.query, "Y").as_deref(), Some("A"));
    }

    #[test]
    fn the_host_is_the_one_a_browser_would_open() {
        for (text, host) in [
            ("//bank.example@evil.example/", "evil.example"),
            ("//bank.example:x@evil.example", "evil.example"),
            ("//evil.example\\@bank.example/", "evil.example"),
            ("/evil.example/x", "evil.example"),
            ("evil.example", "evil.example"),
            ("//ev%69l.example", "evil.example"),
            ("//ｅｖｉｌ。example./", "evil.example"),
            ("//ev\nil.example", "evil.example"),
            ("//[2001:db8::1]:80/", "[2001:db8::1]"),
        ] {
            assert_eq!(Address::parse(text).unwrap().host, host, "{text}");
        }
        assert!(Address::parse("///").is_none());
    }

    #[test]
    fn other_letters_become_punycode() {
        // The first is the registered name, the others are from RFC 3492 section 7.1 (L) and a known look-alike.
        assert_eq!(ascii_host("bücher.example").unwrap(), "xn--bcher-kva.example");
        assert_eq!(ascii_host("3年b組金八先生").unwrap(), "xn--3b-ww4c5e180e575a65lsy2b");
        assert_eq!(ascii_host("аррӏе.com").unwrap(), "xn--80ak6aa92e.com");
    }

    #[test]
    fn a_scheme_is_recognised_by_its_grammar() {
        assert_eq!(split_scheme("SGNL://x"), Some(("SGNL", "//x")));
        for text in ["no colon", "1a:b", ":b", "a b:c", "ü:x"] {
            assert_eq!(split_scheme(text), None, "{text}");
        }
    }
}
