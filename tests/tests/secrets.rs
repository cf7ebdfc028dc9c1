//! Secrets in memory: what holds one wipes it when it is dropped, is not compared by a derived `==`, and prints nothing.
#![allow(unsafe_code, reason = "to look at memory after a value was dropped there")]

use std::collections::BTreeSet;
use std::fs;
use std::mem::{MaybeUninit, size_of};
use std::path::{Path, PathBuf};

use pairlight_core::crypto::aead::{OneShotKey, RecordKey, SequenceKey};
use pairlight_core::crypto::sign::SigningKey;
use pairlight_core::devices::RecoveryWords;
use pairlight_core::pairing::{CheckCode, PendingLink};
use pairlight_core::session::StoredSession;
use pairlight_core::trust::TapWord;
use pairlight_wire::pairing::M3Body;
use pairlight_wire::qr::QrPayload;
use pairlight_wire::sync::HistoryStart;
use zeroize::ZeroizeOnDrop;

#[test]
fn what_holds_a_secret_says_that_it_wipes_it() {
    fn wiped<T: ZeroizeOnDrop>() {}
    wiped::<SigningKey>();
    wiped::<OneShotKey>();
    wiped::<SequenceKey>();
    wiped::<RecordKey>();
    wiped::<QrPayload>();
    wiped::<CheckCode>();
    wiped::<TapWord>();
    wiped::<RecoveryWords>();
    wiped::<PendingLink>();
    wiped::<StoredSession>();
    wiped::<M3Body>();
    wiped::<HistoryStart>();
}

/// The bytes of a place in memory.
fn bytes_of<T>(place: &MaybeUninit<T>) -> Vec<u8> {
    let start = place.as_ptr().cast::<u8>();
    // SAFETY: the place was zeroed as a whole, and the types below consist of arrays of bytes and words without gaps (their
    // sizes are asserted), so each of its bytes is initialised, before and after the value in it was dropped.
    (0..size_of::<T>()).map(|at| unsafe { start.add(at).read_volatile() }).collect()
}

/// Puts `value` into memory, drops it there, and looks for `secret` before and after.
fn is_gone_after_drop<T: ZeroizeOnDrop>(value: T, size: usize, secret: &[u8]) {
    assert_eq!(size_of::<T>(), size, "a type without gaps");
    let mut place = Box::new(MaybeUninit::<T>::zeroed());
    place.write(value);
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    assert!(holds(&bytes_of(&place)), "the secret is there while the value lives");
    // SAFETY: the value was written above, and nobody uses it afterwards.
    unsafe { place.assume_init_drop() };
    assert!(!holds(&bytes_of(&place)), "the secret is still there");
}

#[test]
fn keys_are_gone_from_memory_when_they_are_dropped() {
    let secret: [u8; 32] = core::array::from_fn(|at| u8::try_from(at).unwrap() ^ 0xa5);
    // A seed, its public key as 32 bytes and as four coordinates of five words.
    is_gone_after_drop(SigningKey::from_seed(&secret), 32 + 32 + 4 * 5 * 8, &secret);
    is_gone_after_drop(OneShotKey::new(secret), 32, &secret);
    is_gone_after_drop(RecordKey::new(secret), 32, &secret);
    is_gone_after_drop(QrPayload::new(0, secret, [7; 16]), 1 + 32 + 16, &secret);
}

fn sources(folder: &Path, into: &mut Vec<(PathBuf, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            into.push((path.clone(), fs::read_to_string(&path).unwrap()));
        }
    }
}

/// Every structure of the product: its name, the attributes above it, its fields.
fn structures() -> Vec<(String, String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for package in ["wire/src", "core/src"] {
        sources(&root.join(package), &mut files);
    }
    let mut found = Vec::new();
    for (path, text) in files.iter().filter(|(path, _)| !path.to_string_lossy().contains("/tests")) {
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let Some(name) = words.iter().position(|word| *word == "struct").and_then(|at| words.get(at + 1)) else {
                continue;
            };
            if line.trim_start().starts_with("//") || words.len() < 2 {
                continue;
            }
            let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let above: Vec<&str> = lines[..at]
                .iter()
                .rev()
                .copied()
                .take_while(|line| line.trim_start().starts_with(['#', '/']))
                .collect();
            let end =
                lines[at..].iter().position(|line| matches!(line.trim_end(), "}" | "    }") || line.ends_with(");"));
            let fields = lines[at..=at + end.unwrap_or(0)].join("\n");
            let drops = text
                .split_once(&format!("Drop for {name} "))
                .map(|(_, drop)| drop.split("\n}").next().unwrap_or_default());
            let marked = text.contains(&format!("ZeroizeOnDrop for {name} "))
                || drops.is_some_and(|drop| drop.contains("eroiz"));
            let kept = fields.contains("Zeroizing<") || above.join("").contains("ZeroizeOnDrop");
            if kept || marked {
                found.push((
                    format!("{}: {name}", path.file_name().unwrap().to_string_lossy()),
                    above.join("\n"),
                    fields,
                ));
            }
        }
    }
    found
}

#[test]
fn no_secret_is_compared_or_printed_by_a_derived_implementation() {
    // Records that are compared in tests alone, as parts of other records, or with what they were themselves before.
    let compared = [
        "sender.rs: SenderState",
        "pairing.rs: M3Body",
        "sync.rs: HistoryStart",
        "file.rs: FilePieces",
        "record.rs: PendingLink",
        "mod.rs: Record",
    ];
    let structures = structures();
    let names: BTreeSet<_> = structures.iter().map(|(name, ..)| name.clone()).collect();
    println!("{} types hold a secret: {names:?}", names.len());
    assert!(names.len() > 20, "the search works: {names:?}");
    for (name, above, _) in &structures {
        let derives = |what: &str| above.lines().any(|line| line.contains("derive(") && line.contains(what));
        assert!(!derives("Debug"), "{name} holds a secret and derives Debug");
        assert!(!derives("PartialEq") || compared.contains(&name.as_str()), "{name} holds a secret and derives ==");
    }
}
