//! Punycode (RFC 3492): how letters outside ASCII are written in a host name.
//!
//! Needed in both directions: a host is shown in ASCII, so that it cannot look like another one, and a host that is
//! already written so is read back, so that a look-alike cannot hide in its own disguise.

const BASE: u32 = 36;
const T_MIN: u32 = 1;
const T_MAX: u32 = 26;
const FIRST_N: u32 = 128;
const FIRST_BIAS: u32 = 72;
/// Letters of a label that are looked at; a label has at most 63.
const MAX_LETTERS: usize = 253;

/// RFC 3492 section 6.3. `None` on overflow, which no label of legal length reaches.
pub(super) fn encode(label: &str) -> Option<String> {
    let letters: Vec<u32> = label.chars().take(MAX_LETTERS).map(u32::from).collect();
    let mut out: String = label.chars().take(MAX_LETTERS).filter(char::is_ascii).collect();
    let basic = u32::try_from(out.len()).ok()?;
    let total = u32::try_from(letters.len()).ok()?;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (FIRST_N, 0_u32, FIRST_BIAS, basic);
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
                out.push(digit(t.checked_add(over.checked_rem(span)?)?)?);
                q = over.checked_div(span)?;
                k = k.checked_add(BASE)?;
            }
            out.push(digit(q)?);
            bias = adapt(delta, handled.checked_add(1)?, handled == basic)?;
            delta = 0;
            handled = handled.checked_add(1)?;
        }
        delta = delta.checked_add(1)?;
        n = n.checked_add(1)?;
    }
    Some(out)
}

fn digit(value: u32) -> Option<char> {
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

/// RFC 3492 section 6.2: `bcher-kva` to `bücher`. `None` when it is not valid.
pub(super) fn decode(code: &str) -> Option<String> {
    if code.len() > MAX_LETTERS {
        return None;
    }
    let (basic, digits) = code.rsplit_once('-').unwrap_or(("", code));
    let mut letters: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (FIRST_N, 0_u32, FIRST_BIAS);
    let mut digits = digits.chars().peekable();
    while digits.peek().is_some() {
        let before = i;
        let (mut weight, mut k) = (1_u32, BASE);
        loop {
            let value = value(digits.next()?)?;
            i = i.checked_add(value.checked_mul(weight)?)?;
            let t = k.saturating_sub(bias).clamp(T_MIN, T_MAX);
            if value < t {
                break;
            }
            weight = weight.checked_mul(BASE.checked_sub(t)?)?;
            k = k.checked_add(BASE)?;
        }
        let points = u32::try_from(letters.len()).ok()?.checked_add(1)?;
        bias = adapt(i.checked_sub(before)?, points, before == 0)?;
        n = n.checked_add(i.checked_div(points)?)?;
        let at = i.checked_rem(points)?;
        letters.insert(usize::try_from(at).ok()?, char::from_u32(n)?);
        i = at.checked_add(1)?;
    }
    Some(letters.into_iter().collect())
}

/// `a` to `z` are 0 to 25, `0` to `9` are 26 to 35.
fn value(digit: char) -> Option<u32> {
    let value = digit.to_digit(36)?;
    value.checked_sub(10).or_else(|| value.checked_add(26))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_examples_of_the_rfc_and_known_names_come_out() {
        // RFC 3492 section 7.1 (L) and (B), a registered name, and a known look-alike in Cyrillic.
        for (plain, code) in [
            ("3年b組金八先生", "3b-ww4c5e180e575a65lsy2b"),
            ("他们为什么不说中文", "ihqwcrb4cv8a8dqg056pqjye"),
            ("bücher", "bcher-kva"),
            ("аррӏе", "80ak6aa92e"),
        ] {
            assert_eq!(encode(plain).as_deref(), Some(code));
            assert_eq!(decode(code).as_deref(), Some(plain));
        }
    }

    #[test]
    fn what_is_not_punycode_is_refused() {
        for code in ["99999999999", "ü", "a b", "bcher-kv"] {
            assert_eq!(decode(code), None, "{code}");
        }
    }

    proptest! {
        #[test]
        fn every_label_comes_back(label in "[a-z0-9\u{e0}-\u{24f}\u{400}-\u{4ff}\u{4e00}-\u{4fff}\u{10000}-\u{10fff}]{1,40}") {
            let code = encode(&label).unwrap();
            if !label.is_ascii() {
                prop_assert_eq!(decode(&code).unwrap(), label);
            }
        }

        #[test]
        fn any_text_is_decoded_or_refused(code in "[a-z0-9-]{0,260}") {
            let _ = decode(&code);
        }
    }
}
