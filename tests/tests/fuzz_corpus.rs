//! The corpora of the fuzz targets, replayed without a fuzzer: what a fuzzer once found stays found.
//!
//! `PAIRLIGHT_BLESS=1 cargo test -p pairlight-tests --test fuzz_corpus` writes the seeds anew; `fuzz/README.md` says how
//! to fuzz.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pairlight_core::Timestamp;
use pairlight_core::devices::Account;
use pairlight_core::pairing::CodeMatrix;
use pairlight_wire::Wire;
use pairlight_wire::qr::QrPayload;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

#[path = "../../fuzz/src/lib.rs"]
#[allow(unreachable_pub, clippy::large_enum_variant, reason = "it is written as the library of another workspace")]
mod targets;

fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("fuzz/corpus").join(target)
}

/// Bytes of a frozen layout of the wire (`wire/tests/layouts`): head, content, a number of repetitions, meaning.
fn layout(name: &str) -> Option<Vec<u8>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(format!("wire/tests/layouts/{name}.txt"));
    let text = fs::read_to_string(path).ok()?;
    let mut bytes = Vec::new();
    for line in text.lines().skip(1) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let head = hex::decode(words[0]).unwrap();
        let is_string = matches!(head[0] >> 5, 2 | 3) && head[0] & 31 != 0;
        bytes.extend(&head);
        if is_string {
            let content = hex::decode(words[1]).unwrap();
            let times = match words.get(2) {
                Some(&"(x") => words[3].trim_end_matches(')').parse().unwrap(),
                _ => 1,
            };
            bytes.extend(content.repeat(times));
        }
    }
    Some(bytes)
}

/// A code as a picture: `px` pixels a module, with its quiet zone.
fn picture(text: &str, px: usize) -> Vec<u8> {
    let code = CodeMatrix::draw(text).unwrap();
    let side = (code.size() + 8) * px;
    let mut frame = vec![u8::try_from(side).unwrap(), 0];
    for y in 0..side {
        for x in 0..side {
            let (x, y) = ((x / px).wrapping_sub(4), (y / px).wrapping_sub(4));
            let dark = x < code.size() && y < code.size() && code.is_dark(x, y);
            frame.push(if dark { 20 } else { 230 });
        }
    }
    frame
}

/// What the fuzzer starts from, by target.
fn seeds() -> BTreeMap<&'static str, Vec<(String, Vec<u8>)>> {
    let mut seeds: BTreeMap<&str, Vec<(String, Vec<u8>)>> = BTreeMap::new();
    let mut add = |target, name: &str, bytes: Vec<u8>| seeds.entry(target).or_default().push((name.to_owned(), bytes));

    for (index, (name, _)) in targets::RECORDS.iter().enumerate() {
        if let Some(bytes) = layout(name) {
            add("wire_record", name, [&[u8::try_from(index).unwrap()], bytes.as_slice()].concat());
        }
    }
    let ours = QrPayload::new(0, [7; 32], [9; 16]).to_text();
    add("qr_text", "offer", ours.clone().into_bytes());
    add("qr_text", "digits", ours.trim_start_matches("PAIRLIGHT:/").as_bytes().to_vec());
    for (name, text) in [
        ("offer", ours.as_str()),
        ("signal", "sgnl://linkdevice?uuid=Zm9v&pub_key=YmFy"),
        ("whatsapp", "2@abcdefghijklmnop,qrstuvwxyz0123456789+/=,AAAA,BBBB,CCCC"),
        ("wifi", "WIFI:T:WPA;S:Caf\\;e;P:secret;H:true;;"),
        ("otp", "otpauth://totp/Example:kim@example.com?secret=JBSWY3DPEHPK3PXP&issuer=Example"),
        ("web", "https://xn--pple-43d.example.com@evil.example/%2e%2e/?q=1#f"),
        ("sepa", "BCD\n002\n1\nSCT\n\nKim\nNL91ABNA0417164300\nEUR12.30\n\n\nRent"),
        ("card", "BEGIN:VCARD\nVERSION:3.0\nN:Doe;Kim\nTEL:+31201234567\nEND:VCARD"),
        ("geo", "geo:52.09,5.12?q=Utrecht"),
        ("bitcoin", "bitcoin:bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq?amount=0.1"),
        ("script", "javascript:alert(1)"),
        (
            "fido",
            "FIDO:/13086400838107303667332719012595115747821895775708323189557153075146383351399743589971313508078026948312026786722471666005727649643501784024544726574771401798171307406596245",
        ),
    ] {
        add("payload", name, text.as_bytes().to_vec());
    }
    add("frame", "code-1px", picture("PAIRLIGHT", 1));
    add("frame", "code-3px", picture("PAIRLIGHT", 3));
    add("frame", "offer-2px", picture(&ours, 2));
    // The offer, the offer drowned in noise, another one, nothing: two pixels a module.
    let other = QrPayload::new(0, [1; 32], [2; 16]).to_text();
    let mut film = vec![picture(&ours, 2)[0], 4, 0];
    for (text, noise) in [(&ours, 0), (&ours, 1), (&ours, 3), (&other, 1), (&other, 3)] {
        let mut state = u32::from(noise) + 1;
        film.extend(picture(text, 2).iter().skip(2).map(|&pixel| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            pixel / 2 + 64 * noise / 3 * u8::from(state >> 31 == 1)
        }));
    }
    for (name, choice) in [("held", 0), ("turned-mirrored", 5), ("region", 24)] {
        film[2] = choice;
        add("stream", name, film.clone());
    }

    let account =
        Account::generate("Phone", Timestamp::from_unix_ms(1_800_000_000_000), &mut ChaCha20Rng::from_seed([7; 32]))
            .unwrap();
    let later = Timestamp::from_unix_ms(1_800_000_100_000);
    add("stored_row", "account", [&[0], account.encode().as_slice()].concat());
    let other = pairlight_wire::id::DeviceId([5; 16]);
    let next = account.list_barring(&other, pairlight_wire::list::RemovalReason::Revoked, later).unwrap();
    add("device_list", "first", [&[0], account.list().list().encode().as_slice()].concat());
    add("device_list", "next", [&[0], next.list().encode().as_slice()].concat());
    add("device_list", "next-by-ops", [&[1], next.list().encode().as_slice()].concat());
    add("device_list", "mended", [&[3], account.list().list().encode().as_slice()].concat());
    add("envelope", "layout", layout("Envelope").unwrap());

    for (number, bytes) in targets::sync_seeds().into_iter().enumerate() {
        add("sync", &format!("said-{number}"), bytes);
    }
    let words = "abandon ".repeat(23) + "art";
    add("lifetime_row", "words", [&[4], words.as_bytes()].concat());
    let book = pairlight_core::devices::Supervision::new(other);
    add("lifetime_row", "book", [&[0], book.encode().as_slice()].concat());
    let tenancy = pairlight_core::devices::Tenancy::new(later);
    add("lifetime_row", "tenancy", [&[1], tenancy.encode().as_slice()].concat());
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors/passkey/chromium.json");
    let made: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let text = |value: &serde_json::Value, name: &str| hex::decode(value[name].as_str().unwrap()).unwrap();
    let part = |bytes: Vec<u8>| [u16::try_from(bytes.len()).unwrap().to_be_bytes().as_slice(), &bytes].concat();
    for (number, key) in made["passkeys"].as_array().unwrap().iter().enumerate() {
        add("cose_key", &format!("key-{number}"), [vec![0], part(text(key, "public_key"))].concat());
    }
    for (number, one) in made["assertions"].as_array().unwrap().iter().take(12).enumerate() {
        let parts = ["authenticator_data", "client_data", "signature"].map(|name| part(text(one, name)));
        add("cose_key", &format!("assertion-{number}"), [vec![1], parts.concat()].concat());
    }
    let wrapped = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    let mut rng = ChaCha20Rng::from_seed([3; 32]);
    let under = pairlight_core::store::wrap_under(1, b"elsewhere", &[7; 32], &[9; 32], &mut rng).unwrap();
    add("header", "wrapped-key", wrapped(0, under));
    let cost = pairlight_core::store::PassphraseCost { memory_kib: 8, passes: 1, lanes: 1 };
    let passphrase = pairlight_core::store::Passphrase::new("another", cost, Box::new(rng)).unwrap();
    let under = pairlight_core::store::KeyWrap::wrap(&passphrase, &[9; 32]).unwrap();
    add("header", "wrapped-by-passphrase", wrapped(1, under));
    add("header", "envelope", wrapped(2, layout("Envelope").unwrap()));
    add("header", "header", wrapped(2, layout("Header").unwrap()));
    // Honest reports, then a copy, then everything that the relay may say.
    add("reports", "honest", [0, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0].repeat(4));
    add("reports", "all", (0..=255).collect());

    // Steps of the machines, see `fuzz/src/machines/world.rs`: scan, then deliver and let the person act to the end.
    let honest = [1u8, 0, 1, 0, 0, 1, 0, 1, 0, 0, 2, 0];
    for target in ["linked_machine", "primary_machine", "pairing"] {
        add(target, "honest", honest.to_vec());
    }
    for step in 2..24u8 {
        // Bits 6 and 7 choose the side.
        for (at, side) in [(2usize, 0u8), (5, 64), (8, 0), (8, 64)] {
            let mut steps = honest.to_vec();
            steps.splice(at..at, [step + side, 1, 2, 3]);
            add("pairing", &format!("step-{step}-at-{at}-side-{side}"), steps);
        }
    }
    seeds
}

#[test]
fn every_corpus_replays_without_a_finding() {
    let bless = std::env::var_os("PAIRLIGHT_BLESS").is_some();
    let seeds = seeds();
    let mut replayed = 0;
    for (name, target) in targets::TARGETS {
        let folder = corpus(name);
        for (seed, bytes) in seeds.get(name).unwrap_or(&Vec::new()) {
            target(bytes);
            replayed += 1;
            if bless {
                fs::create_dir_all(&folder).unwrap();
                fs::write(folder.join(seed), bytes).unwrap();
            }
        }
        let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name} has no corpus: {error}"));
        let mut found: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        assert!(!found.is_empty(), "the corpus of {name} is empty");
        found.sort();
        for path in found {
            eprintln!("{name}: {}", path.display());
            target(&fs::read(&path).unwrap());
            replayed += 1;
        }
    }
    println!("{replayed} inputs replayed");
    assert!(replayed > 150, "the corpora are missing: {replayed}");
}

#[test]
fn every_record_of_the_wire_is_a_target() {
    let layouts = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("wire/tests/layouts");
    for entry in fs::read_dir(layouts).unwrap() {
        let name = entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned();
        assert!(targets::RECORDS.iter().any(|(record, _)| *record == name), "{name} is not fuzzed");
    }
}

#[test]
fn an_honest_run_of_the_machine_target_reaches_the_link() {
    // Otherwise every sequence would end early, and the target would look at nothing.
    assert!(targets::reaches_link(&[1, 0, 1, 0, 0, 1, 0, 1, 0, 0, 2, 0]));
    assert!(!targets::reaches_link(&[1, 0]));
}
