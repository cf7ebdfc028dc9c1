//! The `KEY:value;KEY:value;;` syntax that NTT DoCoMo gave to contact codes and that Wi-Fi codes took over.

/// Fields read before the rest is ignored; real codes have fewer than twenty.
const MAX_FIELDS: usize = 40;
/// Characters of a value that are kept; no value that is shown or compared is longer.
const MAX_VALUE: usize = 200;

/// The fields of `body` in order, values with their backslash escapes undone. Stops at the empty field that ends a code.
pub(super) fn parse(body: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    let mut key = String::new();
    let mut value = String::new();
    let mut in_value = false;
    let mut escaped = false;
    for c in body.chars() {
        let current = if in_value { &mut value } else { &mut key };
        match c {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            ':' if !escaped && !in_value => in_value = true,
            ';' if !escaped => {
                if key.is_empty() && value.is_empty() {
                    break;
                }
                fields.push((key.trim().to_ascii_uppercase(), std::mem::take(&mut value)));
                key.clear();
                in_value = false;
                if fields.len() >= MAX_FIELDS {
                    return fields;
                }
            }
            // Bytes, not characters: a bound is wanted, not a count.
            other if current.len() < MAX_VALUE => current.push(other),
            _ => {}
        }
        escaped = false;
    }
    if in_value {
        fields.push((key.trim().to_ascii_uppercase(), value));
    }
    fields
}

/// The value of the first field called `key` (upper case).
pub(super) fn value<'a>(fields: &'a [(String, String)], key: &str) -> Option<&'a str> {
    fields.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_do_not_end_a_field() {
        let fields = parse(r#"T:WPA;S:a\;b\:c\\d\,\";P:p:q;;X:ignored;"#);
        assert_eq!(value(&fields, "S"), Some(r#"a;b:c\d,""#));
        assert_eq!(value(&fields, "P"), Some("p:q"));
        assert_eq!(value(&fields, "X"), None);
    }

    #[test]
    fn a_code_without_an_end_still_gives_its_last_field() {
        assert_eq!(value(&parse("s:Cafe"), "S"), Some("Cafe"));
    }

    #[test]
    fn endless_fields_and_values_stay_bounded() {
        assert_eq!(parse(&"A:b;".repeat(30_000)).len(), MAX_FIELDS);
        assert!(parse(&format!("A:{}", "x".repeat(100_000)))[0].1.len() <= MAX_VALUE);
    }
}
