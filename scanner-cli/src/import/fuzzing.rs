//! What the fuzzer does with the readers of exports: `fuzz/fuzz_targets/import.rs` takes in these same files, and the test
//! below replays what it found. The readers name nothing but what stands beside them, so that they fit there too.

use std::collections::BTreeSet;
use std::path::{Component, Path};

use jiff::tz::TimeZone;

use super::chat::Chat;
use super::packed::unpack_at_most;
use super::{DateOrder, Interrupt, Voice, signal, telegram, whatsapp};

/// Most bytes that may come out of an archive here.
const ROOM: u64 = 1 << 20;

/// Target: the export of a program, or an archive of one. The first byte chooses which.
pub(super) fn import(data: &[u8], voice: Voice) {
    let Some((choice, bytes)) = data.split_first() else { return };
    // Neither UTC nor a whole number of hours all year: there are hours that do not exist, and some twice.
    let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap_or(TimeZone::UTC);
    let text = String::from_utf8_lossy(bytes);
    let folder = Path::new("/nowhere");
    let read = || match choice % 8 {
        order @ 0..=3 => {
            let order = [DateOrder::Auto, DateOrder::Dmy, DateOrder::Mdy, DateOrder::Ymd][usize::from(order)];
            whatsapp::parse(&text, "Kim", folder, order, &zone).map(|chat| vec![chat]).ok()
        }
        4 => signal::parse(&text, "Kim", folder, &zone).map(|chat| vec![chat]).ok(),
        5 => telegram::parse(&text, folder, &zone).ok(),
        _ => None,
    };
    if choice % 8 > 5 {
        return unpack(bytes, voice);
    }
    let Some(chats) = read() else { return };
    for chat in &chats {
        assert_is_sound(chat, folder);
    }
    let again = read().unwrap_or_default();
    assert!(chats.iter().zip(&again).all(|(one, other)| one.messages == other.messages), "read differently again");
}

/// Whatever an export says: no file outside of its folder is named.
fn assert_is_sound(chat: &Chat, folder: &Path) {
    for said in &chat.messages {
        for file in &said.files {
            let inside = file.strip_prefix(folder).unwrap_or(Path::new("/"));
            let plain = inside.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
            assert!(plain, "a file outside: {}", file.display());
        }
    }
}

/// Whatever an archive says: nothing but plain files and folders in one folder, no larger than it may be.
fn unpack(bytes: &[u8], voice: Voice) {
    let Ok(folder) = tempfile::tempdir() else { return };
    let archive = folder.path().join("export.zip");
    if std::fs::write(&archive, bytes).is_err() {
        return;
    }
    if let Ok(unpacked) = unpack_at_most(&archive, ROOM, &Interrupt::default(), voice) {
        let mut size = 0;
        walk(&unpacked.path, &mut |path| {
            let kind = std::fs::symlink_metadata(path).expect("it is there");
            assert!(kind.is_file() || kind.is_dir(), "neither file nor folder: {}", path.display());
            size += if kind.is_file() { kind.len() } else { 0 };
        });
        assert!(size <= ROOM, "{size} bytes came out");
    }
    let left: BTreeSet<_> =
        std::fs::read_dir(folder.path()).expect("it is there").flatten().map(|one| one.path()).collect();
    assert_eq!(left, BTreeSet::from([archive]), "something lies beside the archive");
}

fn walk(folder: &Path, look: &mut impl FnMut(&Path)) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        look(&entry.path());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            walk(&entry.path(), look);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::path::PathBuf;

    use super::*;

    fn corpus() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/import")
    }

    fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        for (name, content) in entries {
            zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    /// What the fuzzer starts from.
    fn seeds() -> Vec<(&'static str, Vec<u8>)> {
        let with = |choice: u8, bytes: &[u8]| [&[choice], bytes].concat();
        let iphone =
            "[12/03/2025, 21:15:03] Kim: hi\n\u{200e}[12/03/2025, 21:15:04] Kim: \u{200e}<attached: ../../a.jpg>\n";
        let android = "3/12/25, 9:15\u{202f}PM - Kim: IMG-20250312-WA0001.jpg (file attached)\nand on\n3/13/25, 9:16 AM - notice\n";
        let iso = "2025-03-30 02:30 - Kim: an hour that is not there\n2025-10-26 02:30 - Kim: \u{200e}<This message was edited>\n";
        let signal = concat!(
            r#"{"date": "2025-03-12T22:15:00.25+01:00", "sender": "Kim", "body": "x", "reactions": [["a", "b"]],"#,
            r#" "attachments": [{"path": "media/a.png"}, {"path": "../b"}]}"#
        );
        let telegram = concat!(
            r#"{"name": "Kim", "type": "personal_chat", "id": 4, "messages": [{"id": 2, "type": "message","#,
            r#" "date_unixtime": "1741814100", "from": "Kim", "text": ["see ", {"type": "bold", "text": "this"}],"#,
            r#" "photo": "photos/a.jpg", "poll": {"question": "q", "answers": [{"text": "a"}]}}]}"#
        );
        let packed = archive(&[("ChatExport/result.json", b"{}"), ("../outside", b"no"), ("a/b/c.txt", &[7; 300])]);
        vec![
            ("whatsapp-iphone", with(0, iphone.as_bytes())),
            ("whatsapp-android", with(2, android.as_bytes())),
            ("whatsapp-iso", with(3, iso.as_bytes())),
            ("signal", with(4, signal.as_bytes())),
            ("telegram", with(5, telegram.as_bytes())),
            ("zip", with(6, &packed)),
            ("zip-twice", with(7, &archive(&[("export.zip", &packed), ("export.zip.txt", b"")]))),
        ]
    }

    #[test]
    fn what_the_fuzzer_found_stays_found() {
        let voice = Voice::new(crate::style::ColorChoice::Never, true);
        for (name, bytes) in seeds() {
            import(&bytes, voice);
            if std::env::var_os("PAIRLIGHT_BLESS").is_some() {
                std::fs::create_dir_all(corpus()).unwrap();
                std::fs::write(corpus().join(name), bytes).unwrap();
            }
        }
        let mut replayed = 0;
        for entry in std::fs::read_dir(corpus()).expect("the corpus is there") {
            import(&std::fs::read(entry.unwrap().path()).unwrap(), voice);
            replayed += 1;
        }
        println!("{replayed} exports replayed");
        assert!(replayed >= seeds().len(), "{replayed}");
    }

    #[test]
    fn seeds_are_read_and_not_refused() {
        let zone = TimeZone::UTC;
        for (name, bytes) in seeds().iter().filter(|(name, _)| !name.starts_with("zip")) {
            let text = std::str::from_utf8(&bytes[1..]).unwrap();
            let folder = Path::new("/nowhere");
            let messages = match bytes[0] {
                4 => signal::parse(text, "Kim", folder, &zone).unwrap().messages.len(),
                5 => telegram::parse(text, folder, &zone).unwrap()[0].messages.len(),
                2 => whatsapp::parse(text, "Kim", folder, DateOrder::Mdy, &zone).unwrap().messages.len(),
                _ => whatsapp::parse(text, "Kim", folder, DateOrder::Auto, &zone).map_or(1, |chat| chat.messages.len()),
            };
            assert!(messages > 0, "{name}");
        }
    }
}
