//! Whether what was read is what was expected, when the manifest holds text and a code holds bytes.
//!
//! A code need not name its code page, and lists of known contents were written down by other readers: they differ in
//! line endings, in dropped control characters and in the code page of non-ASCII letters. None of that is a misread.

use encoding_rs::SHIFT_JIS;

/// Letters that must agree before contents in mixed code pages count as the same.
const ENOUGH_ASCII: usize = 12;

/// Whether `bytes` say what `expected` says, in UTF-8, Latin-1 or Shift-JIS.
pub(super) fn is_same(bytes: &[u8], expected: &str) -> bool {
    let wanted = essence(expected);
    let latin: String = bytes.iter().map(|&byte| char::from(byte)).collect();
    let (japanese, _, broken) = SHIFT_JIS.decode(bytes);
    let readings =
        [String::from_utf8(bytes.to_vec()).ok(), Some(latin.clone()), (!broken).then(|| japanese.into_owned())];
    if readings.iter().flatten().any(|reading| essence(reading) == wanted) {
        return true;
    }
    // Several code pages in one code: what all of them share must agree.
    let ascii = |text: &str| essence(text).chars().filter(char::is_ascii).collect::<String>();
    let has_other = !latin.is_ascii() && !expected.is_ascii();
    let (read, wanted) = (ascii(&latin), ascii(expected));
    has_other && wanted.len() >= ENOUGH_ASCII && read == wanted
}

/// A text without what its writers treat differently: control characters and white space.
fn essence(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_control() && !letter.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_pages_and_line_endings_are_no_misreads_and_other_letters_are() {
        assert!(is_same(b"BEGIN:VCARD\r\nVERSION:3.0\r\n", "BEGIN:VCARD\nVERSION:3.0"));
        assert!(is_same(b"Gr\xfc\xdfe", "Grüße"));
        assert!(is_same("Grüße".as_bytes(), "Grüße"));
        assert!(is_same(b"*\xc3\xde\xbb\xde\xb2\xddQR*", "*ﾃﾞｻﾞｲﾝQR*"));
        assert!(is_same(b"\x00\x01abc", "\u{1}abc"));
        assert!(is_same(b"Latin \xc4 and Cyrillic \xe4", "Latin Ä and Cyrillic ф"));
        assert!(!is_same(b"https://example.org/a", "https://example.org/b"));
        assert!(!is_same(b"Gr\xfc\xdfe", "Grüsse"));
        assert!(!is_same(b"abc\xe4", "abcф"), "too little is shared to tell");
    }
}
