use pairlight_wire::qr::QrPayload;
use proptest::prelude::*;

use super::samples::{SAMPLES, SERVICES};
use super::*;

fn our_offer() -> QrPayload {
    QrPayload::new(3, [0xa5; 32], [0x5a; 16])
}

/// All that a payload says of itself, for searching.
fn everything_said(payload: &Payload) -> String {
    format!("{}\n{}\n{payload:?}", payload.title(), payload.explain())
}

/// Printable on one line, and nothing in it can steer a terminal or reorder text.
fn assert_safe_line(line: &str) {
    assert!(line.chars().count() < 300, "{} characters", line.chars().count());
    assert!(!line.trim().is_empty());
    for c in line.chars() {
        let steers = c.is_control()
            || matches!(c, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{2060}'..='\u{206f}'
                | '\u{feff}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' | '\u{fff0}'..='\u{fffb}');
        assert!(!steers, "U+{:04X} in {line:?}", u32::from(c));
    }
}

#[test]
fn every_sample_gets_its_kind_severity_and_explanation() {
    // All rows are tried, so that one run shows every row that went wrong.
    let mut wrong = Vec::new();
    for &(code, kind, severity, must, must_not) in SAMPLES {
        let payload = Payload::classify(code.as_bytes());
        let is_named = payload.kind_key() == kind && payload.severity() == severity;
        let is_explained = payload.explain().contains(must) && payload.explain().ends_with('.');
        let is_discreet = must_not.is_empty() || !everything_said(&payload).contains(must_not);
        if !(is_named && is_explained && is_discreet) {
            wrong.push(format!("{code:?} -> {payload:?} {} {}", payload.severity().key(), payload.explain()));
        }
        assert_safe_line(&payload.explain());
        assert_safe_line(&payload.title());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_service_code_is_named_and_warned_of_without_its_token() {
    for &(code, service_key, purpose, must_not) in SERVICES {
        let payload = Payload::classify(code.as_bytes());
        let Payload::OtherService(service) = &payload else { panic!("{code:?} -> {payload:?}") };
        assert_eq!((service.service_key(), service.purpose().key()), (service_key, purpose), "{code:?}");
        let expected = if purpose == "verification" { Severity::Caution } else { Severity::Danger };
        assert_eq!(payload.severity(), expected, "{code:?}");
        assert!(
            must_not.is_empty() || !everything_said(&payload).contains(must_not),
            "{code:?} -> {}",
            everything_said(&payload)
        );
        let named = service.service_name() == "another service" || payload.explain().contains(service.service_name());
        assert!(named, "{code:?} -> {}", payload.explain());
        assert_safe_line(&payload.explain());
        assert!(payload.explain().ends_with('.'), "cut: {}", payload.explain());
    }
}

#[test]
fn the_tables_are_large_and_without_repetition() {
    let codes: std::collections::BTreeSet<_> =
        SAMPLES.iter().map(|s| s.0).chain(SERVICES.iter().map(|s| s.0)).collect();
    assert_eq!(codes.len(), SAMPLES.len() + SERVICES.len());
    assert!(codes.len() >= 60);
}

#[test]
fn our_offer_is_recognised_in_any_case_and_with_space_around() {
    let text = our_offer().to_text();
    for shown in [text.clone(), text.to_lowercase(), format!("\u{feff}{text}\r\n"), format!("  {text}")] {
        let payload = Payload::classify(shown.as_bytes());
        assert_eq!(payload, Payload::PairingOffer(our_offer()));
        assert_eq!((payload.kind_key(), payload.severity()), ("pairing_offer", Severity::Ours));
        let digits = &text[12..40];
        assert!(!everything_said(&payload).contains(digits));
        assert!(!everything_said(&payload).contains("165"), "0xa5 of the secret in Debug");
    }
}

#[test]
fn an_offer_in_a_link_is_ours_only_on_a_host_of_this_app() {
    let text = our_offer().to_text();
    let digits = text.strip_prefix("PAIRLIGHT:/").unwrap();
    let classifier = Classifier::new(["Link.Example.com"]);
    for host in ["LINK.EXAMPLE.COM", "link.example.com", "link.example.com:443"] {
        let link = format!("HTTPS://{host}/L#{digits}");
        assert_eq!(classifier.classify(link.as_bytes()), Payload::PairingOffer(our_offer()), "{host}");
        assert_eq!(Payload::classify(link.as_bytes()).kind_key(), "web_link", "{host}");
    }
    for link in [
        format!("HTTP://LINK.EXAMPLE.COM/L#{digits}"),
        format!("HTTPS://LINK.EXAMPLE.COM.EVIL.EXAMPLE/L#{digits}"),
        format!("HTTPS://LINK.EXAMPLE.COM@EVIL.EXAMPLE/L#{digits}"),
        format!("HTTPS://X@LINK.EXAMPLE.COM/L#{digits}"),
        format!("HTTPS://WWW.LINK.EXAMPLE.COM/L#{digits}"),
        format!("HTTPS://LINK.EXAMPLE.COM:8443/L#{digits}"),
        format!("HTTPS://LINK.EXAMPLE.COM/X#{digits}"),
    ] {
        let payload = classifier.classify(link.as_bytes());
        assert_eq!(payload.kind_key(), "web_link", "{link}");
        assert!(!everything_said(&payload).contains(digits), "{link}");
    }
    let damaged = classifier.classify(b"https://link.example.com/L#12345");
    assert_eq!(damaged, Payload::DamagedOffer);
}

#[test]
fn offers_of_other_versions_ask_for_an_update() {
    let mut bytes = our_offer().encode();
    bytes[1] = 7;
    let suite = format!("pairlight:/{}", pairlight_wire::base10::encode(&bytes));
    assert_eq!(Payload::classify(suite.as_bytes()), Payload::OfferOfOtherVersion { version: 1, suite: Some(7) });
    bytes[0] = 2;
    let version = Payload::classify(format!("PAIRLIGHT:/{}", pairlight_wire::base10::encode(&bytes)).as_bytes());
    assert_eq!(version, Payload::OfferOfOtherVersion { version: 2, suite: None });
    assert_eq!((version.kind_key(), version.severity()), ("offer_of_other_version", Severity::Ours));
    assert!(version.explain().contains("Update"));
}

#[test]
fn an_offer_with_one_digit_missing_is_damaged() {
    let text = our_offer().to_text();
    assert_eq!(Payload::classify(&text.as_bytes()[..text.len() - 1]), Payload::DamagedOffer);
    assert_eq!(Payload::classify(format!("{text}0").as_bytes()), Payload::DamagedOffer);
    assert_eq!(Payload::classify(format!("PAIRLIGHT:/{}", "9".repeat(100_000)).as_bytes()), Payload::DamagedOffer);
}

#[test]
fn threema_web_is_told_from_other_base64() {
    // Version, options, three 32 byte keys, port and host of the signalling server.
    let mut fields = vec![0, 2, 0];
    fields.extend([0x6b; 98]);
    fields.extend(b"saltyrtc-7a.threema.ch");
    let payload = Payload::classify(base64(&fields).as_bytes());
    let Payload::OtherService(service) = payload else { panic!("{payload:?}") };
    assert_eq!((service.service_key(), service.purpose()), ("threema", Purpose::DeviceLink));
    assert_eq!(Payload::classify(base64(&[0x6b; 123]).as_bytes()).kind_key(), "text");
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
    let digits = bits.as_bytes().chunks(6).map(|six| {
        let six = format!("{:0<6}", std::str::from_utf8(six).unwrap());
        char::from(ALPHABET[usize::from_str_radix(&six, 2).unwrap()])
    });
    digits.collect()
}

#[test]
fn bytes_that_are_not_text_stay_bytes() {
    for bytes in [&[0xff, 0xfe, 0][..], b"x://\x00\x01\x02", b"\x00\x01\x02\x03", &[0x80; 2953]] {
        let payload = Payload::classify(bytes);
        assert_eq!(payload, Payload::Bytes { length: bytes.len() });
        assert_eq!((payload.kind_key(), payload.severity()), ("bytes", Severity::Info));
    }
}

#[test]
fn a_binary_matrix_code_is_recognised_when_it_is_not_text() {
    let mut code = b"MATRIX\x03\x00".to_vec();
    code.extend([0xf7; 64]);
    assert_eq!(Payload::classify(&code).kind_key(), "other_service");
}

#[test]
fn a_code_in_an_old_encoding_keeps_its_meaning() {
    let payload = Payload::classify(b"WIFI:S:Caf\xe9;T:WPA;P:geheim99;;");
    assert_eq!(payload.kind_key(), "wifi");
    assert!(payload.explain().contains("Caf\u{fffd}"));
}

#[test]
fn hostile_input_of_100_kb_takes_no_time_to_speak_of() {
    let patterns = [
        "https://",
        "https://a.",
        "https://ü.",
        "WIFI:S:",
        "WIFI:\\;",
        "otpauth://totp/%",
        "BEGIN:VCARD\nFN",
        "000201",
        "00020100",
        "a&",
        ";",
        "%41",
        "xn--",
        "@",
        "https://@",
        "{\"sync_code_hex",
        "sgnl://",
        "BCD\n002\n",
        "wa.me.",
        "https://wa.me.",
        "\u{202e}",
        "PAIRLIGHT:/0",
        "2@,",
        "[Interface]",
        "SPD*AM:",
        "https://\u{430}",
    ];
    let started = std::time::Instant::now();
    for pattern in patterns {
        let repeated = pattern.repeat(100_000 / pattern.len());
        assert_safe_line(&Payload::classify(repeated.as_bytes()).explain());
        let once = format!("{pattern}{}", "a.".repeat(50_000));
        assert_safe_line(&Payload::classify(once.as_bytes()).explain());
    }
    // 52 inputs; generous for a loaded machine and far below what one quadratic pass over 100 kB would take.
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}

/// Beginnings that reach every recogniser, so that random endings are not all plain text.
fn beginning() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        SAMPLES
            .iter()
            .map(|s| s.0)
            .chain(SERVICES.iter().map(|s| s.0))
            .filter(|code| !code.is_empty())
            .collect::<Vec<_>>(),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_bytes_are_explained_in_one_safe_line(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let payload = Payload::classify(&bytes);
        assert_safe_line(&payload.explain());
        assert_safe_line(&payload.title());
        assert!(!everything_said(&payload).contains('\u{1b}'));
    }

    #[test]
    fn any_damage_to_a_real_code_is_explained_in_one_safe_line(
        code in beginning(), at in any::<prop::sample::Index>(), inserted in any::<String>(), removed in 0_usize..4,
    ) {
        let mut chars: Vec<char> = code.chars().collect();
        let from = at.index(chars.len());
        let to = (from + removed).min(chars.len());
        chars.splice(from..to, inserted.chars());
        let damaged: String = chars.into_iter().collect();
        let payload = Classifier::new(["link.example.com"]).classify(damaged.as_bytes());
        assert_safe_line(&payload.explain());
        assert_safe_line(&payload.title());
        assert!(!format!("{payload:?}").chars().any(char::is_control));
    }

    #[test]
    fn hostile_words_cannot_leave_their_place(word in "[\u{0}-\u{20}\u{7f}-\u{a0}\u{200b}-\u{206f}\u{fe00}-\u{feff}\u{e0001}-\u{e007f}a-c]{0,400}") {
        for code in [
            format!("WIFI:S:x{word};T:WPA;P:y;;"),
            format!("BEGIN:VCARD\nFN:{word}\nEND:VCARD"),
            format!("otpauth://totp/x?issuer={word}&secret=A"),
            format!("bitcoin:x?amount={word}&label={word}"),
            format!("https://{word}x.example/"),
            format!("https://x.example/?user_code=1&{word}"),
            format!("tel:{word}"),
            format!("LPA:1${word}$x"),
        ] {
            let payload = Payload::classify(code.as_bytes());
            assert_safe_line(&payload.explain());
        }
    }

    #[test]
    fn the_case_of_a_scheme_changes_nothing(code in beginning(), upper in prop::collection::vec(any::<bool>(), 40)) {
        let Some((scheme, rest)) = uri::split_scheme(code) else { return Ok(()) };
        let recased: String = scheme.chars().zip(&upper)
            .map(|(c, &upper)| if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() }).collect();
        prop_assert_eq!(Payload::classify(format!("{recased}:{rest}").as_bytes()), Payload::classify(code.as_bytes()));
    }
}
