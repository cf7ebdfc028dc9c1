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

/// A type that holds a secret.
struct Holder {
    /// "file: name".
    name: String,
    /// Attributes and comments above it.
    above: String,
    /// Whether it says itself what `{:?}` prints.
    prints: bool,
}

/// A field whose name says that it is secret, and whose type could be one.
fn is_secret(field: &str) -> bool {
    let Some((name, kind)) = field.trim().trim_start_matches("pub ").split_once(':') else { return false };
    let name = name.rsplit([' ', ')']).next().unwrap_or_default();
    let words = ["token", "secret", "seed", "passphrase", "password", "private", "psk", "bearer"];
    let key = name == "key" || (name.ends_with("_key") && name != "public_key");
    let bytes = ["[u8", "Bytes<", "Vec<u8>", "String", "Text<"].iter().any(|part| kind.contains(part));
    // A `_pk` and a `public_key` are public, a `_ct` is sealed.
    bytes && (key || words.iter().any(|word| name.contains(word))) && !name.ends_with("_ct")
}

/// Every structure and enumeration in a source that holds a secret: what is in it is wiped, or is named as one.
fn holders(file: &str, text: &str) -> Vec<Holder> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let kind = words.iter().position(|word| matches!(*word, "struct" | "enum"));
        let Some(name) = kind.and_then(|at| words.get(at + 1)) else { continue };
        if line.trim_start().starts_with("//") {
            continue;
        }
        let name: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let above: Vec<&str> =
            lines[..at].iter().rev().copied().take_while(|line| line.trim_start().starts_with(['#', '/'])).collect();
        // As rustfmt ends it: on its own line, or at the end of this one.
        let indent = &line[..line.len() - line.trim_start().len()];
        let alone = line.trim_end().ends_with([';', '}']);
        let end = lines[at..].iter().position(|line| line.strip_prefix(indent) == Some("}"));
        let fields = &lines[at..=at + end.filter(|_| !alone).unwrap_or(0)];
        let drops =
            text.split_once(&format!("Drop for {name} ")).map(|(_, drop)| drop.split("\n}").next().unwrap_or_default());
        let wiped = text.contains(&format!("ZeroizeOnDrop for {name} "))
            || drops.is_some_and(|drop| drop.contains("eroiz"))
            || fields.join("").contains("Zeroizing<")
            || above.join("").contains("ZeroizeOnDrop");
        if wiped || fields.iter().any(|field| is_secret(field)) {
            found.push(Holder {
                name: format!("{file}: {name}"),
                above: above.join("\n"),
                prints: text.contains(&format!("Debug for {name} ")),
            });
        }
    }
    found
}

/// All of the product.
fn all_holders() -> Vec<Holder> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut files = Vec::new();
    for package in
        ["wire/src", "core/src", "relay/src", "bindings/src", "web/wasm/src", "web/scanner/src", "scanner-cli/src"]
    {
        sources(&root.join(package), &mut files);
    }
    let files = files.iter().filter(|(path, _)| !path.to_string_lossy().contains("/tests"));
    files.flat_map(|(path, text)| holders(&path.file_name().unwrap().to_string_lossy(), text)).collect()
}

fn derives(holder: &Holder, what: &str) -> bool {
    holder.above.lines().any(|line| line.contains("derive(") && line.contains(what))
}

/// Named like a secret, and none.
const NO_SECRET: [&str; 4] = [
    // The public key of a relay.
    "host.rs: RelayAddress",
    "profile.rs: ProfileArgs",
    // Under what name the translation of a text is found.
    "scanner.rs: Hint",
    // The name of a conversation in an export.
    "chat.rs: Chat",
];

#[test]
fn no_secret_is_compared_or_printed_by_a_derived_implementation() {
    // Records that are compared in tests alone, as parts of other records, or with what they were themselves before.
    let compared = [
        "sender.rs: SenderState",
        "receiver.rs: ReceiverState",
        "pairing.rs: M3Body",
        "sync.rs: HistoryStart",
        "file.rs: FilePieces",
        "record.rs: PendingLink",
        "record.rs: StoredLinkedAccount",
        "account.rs: StoredAccount",
        "mod.rs: Record",
        "relay.rs: ClaimAnswer",
        "relay.rs: BlobToken",
    ];
    let holders = all_holders();
    for name in NO_SECRET {
        assert!(holders.iter().any(|holder| holder.name == name), "{name} is not there any more");
    }
    let holders: Vec<_> = holders.into_iter().filter(|one| !NO_SECRET.contains(&one.name.as_str())).collect();
    let names: BTreeSet<_> = holders.iter().map(|holder| holder.name.clone()).collect();
    println!("{} types hold a secret: {names:?}", names.len());
    assert!(names.len() > 40, "the search works: {names:?}");
    for holder in &holders {
        let name = &holder.name;
        assert!(!derives(holder, "Debug"), "{name} holds a secret and derives Debug");
        assert!(
            !derives(holder, "PartialEq") || compared.contains(&name.as_str()),
            "{name} holds a secret, derives =="
        );
    }
}

#[test]
fn whatever_holds_a_secret_and_can_be_printed_is_in_the_snapshots() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let snapshots = fs::read_to_string(root.join("core/src/pairing/tests/redaction.rs")).unwrap();
    let words: BTreeSet<&str> = snapshots.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let printed: Vec<_> = all_holders().into_iter().filter(|holder| holder.prints).collect();
    assert!(printed.len() > 15, "the search works");
    for holder in printed {
        let name = holder.name.rsplit(' ').next().unwrap();
        assert!(words.contains(name), "{} holds a secret, and no snapshot shows what it prints", holder.name);
    }
}

#[test]
fn a_new_type_with_a_secret_is_found() {
    let found = |text: &str| holders("new.rs", text);
    let derived = found(
        "/// Lets somebody in.\n#[derive(Debug, Clone)]\npub struct Ticket {\n    pub ttl: u64,\n    pub token: [u8; 16],\n}\n",
    );
    assert!(derived.len() == 1 && derives(&derived[0], "Debug") && !derived[0].prints);
    let in_record =
        "record! {\n    #[derive(Debug)]\n    pub struct Grant [] {\n        pub bearer_token: Bytes<64>,\n    }\n}\n";
    assert!(found(in_record).iter().all(|holder| derives(holder, "Debug")) && found(in_record).len() == 1);
    let variant =
        "#[derive(Debug)]\npub enum Step {\n    Wait,\n    Ask {\n        psk: Option<[u8; 32]>,\n    },\n}\n";
    assert!(found(variant).len() == 1);
    let own = "struct Tap(Zeroizing<[u8; 16]>);\nimpl fmt::Debug for Tap {\n}\n";
    assert!(found(own).len() == 1 && found(own)[0].prints);
    let public = "#[derive(Debug)]\nstruct Seen {\n    device_pk: [u8; 32],\n    public_key: Vec<u8>,\n    label_key_ct: Bytes<60>,\n    key: KeyKind,\n}\n";
    assert!(found(public).is_empty());
}
