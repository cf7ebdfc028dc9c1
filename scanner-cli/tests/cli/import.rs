//! `pairlight import` and the files of messages: an export becomes a conversation of both devices, and its files come out of the
//! other one as they went in.

use std::path::Path;

use crate::link::{Program, World};

fn write(folder: &Path, name: &str, content: &[u8]) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join(name), content).unwrap();
}

/// A WhatsApp export with a photo of some 600 KB, and one that is missing.
fn export(folder: &Path) -> Vec<u8> {
    let photo: Vec<u8> = (0..600_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 15) as u8).collect();
    let chat = "[12.03.25, 21:15:00] Kim: \u{200e}Messages and calls are end-to-end encrypted.\n\
                [12.03.25, 21:15:01] Kim: see you\nat eight\n\
                [12.03.25, 21:16:00] Robin: \u{200e}<attached: 0001-PHOTO.jpg>\n\
                [12.03.25, 21:17:00] Kim: \u{200e}<attached: 0002-PHOTO.jpg>\n";
    write(folder, "_chat.txt", chat.as_bytes());
    write(folder, "0001-PHOTO.jpg", &photo);
    photo
}

/// Packs a folder as a phone does: its files, without the folder.
fn packed(folder: &Path, archive: &Path) -> String {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(archive).unwrap());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        zip.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
        std::io::copy(&mut std::fs::File::open(&path).unwrap(), &mut zip).unwrap();
    }
    zip.finish().unwrap();
    archive.to_str().unwrap().to_owned()
}

#[test]
fn an_export_reaches_the_other_device_with_its_files() {
    let world = World::new();
    world.link();
    let (phone, laptop, folder) = (world.text("phone"), world.text("laptop"), world.path("Kim"));
    let photo = export(&folder);
    let folder = folder.to_str().unwrap();
    let import = |more: &[&str]| {
        let line = [&["import", "--profile", &phone, "--time-zone", "UTC", "--me", "Robin", folder], more].concat();
        Program::start(&line).end()
    };
    let (exit, said) = import(&["--dry-run"]);
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("would import 3 messages and 1 files in 1 conversations"), "{said}");
    let (exit, said) = import(&[]);
    assert_eq!(exit, 0, "{said}");
    assert!(
        said.contains("imported 3 messages and 1 files in 1 conversations; 0 messages were here already"),
        "{said}"
    );
    assert!(said.contains("skipped 1: notices of the app"), "{said}");
    assert!(said.contains("skipped 1: files that are not beside the export"), "{said}");
    let (_, said) = import(&["--json"]);
    let again: serde_json::Value =
        serde_json::from_str(said.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    assert_eq!(
        (again["messages"].as_u64(), again["known"].as_u64()),
        (Some(0), Some(3)),
        "a second time changes nothing"
    );
    let archive = packed(&world.path("Kim"), &world.path("Kim.zip"));
    let (exit, said) =
        Program::start(&["import", "--profile", &phone, "--time-zone", "UTC", "--me", "Robin", &archive]).end();
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("; 3 messages were here already"), "packed by the phone it is the same: {said}");

    let online = Program::start(&["messages", "--profile", &phone, "follow"]);
    let (exit, said) = Program::start(&["messages", "--profile", &laptop, "follow", "--once"]).end();
    assert_eq!(exit, 0, "{said}");
    let (_, shown) = Program::start(&["messages", "--profile", &laptop, "show", "Kim"]).end();
    assert!(shown.contains("2025-03-12 21:15  Kim  Kim: see you\nat eight"), "{shown}");
    assert!(shown.contains("Kim  me:  [0001-PHOTO.jpg]"), "{shown}");
    assert!(shown.contains("Kim  Kim: [missing: 0002-PHOTO.jpg]"), "what is missing is named: {shown}");

    let (_, listed) = Program::start(&["messages", "--profile", &laptop, "files", "--format", "ndjson"]).end();
    let listed: Vec<serde_json::Value> = listed.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    assert_eq!(listed.len(), 1, "{listed:?}");
    assert_eq!((listed[0]["complete"].as_bool(), listed[0]["size"].as_u64()), (Some(false), Some(600_000)));
    let hash = listed[0]["hash"].as_str().unwrap();
    let out = world.path("out.jpg");
    let save = |more: &[&str]| {
        let line = [&["messages", "--profile", &laptop, "save", &hash[..10], "--out", out.to_str().unwrap()], more];
        Program::start(&line.concat()).end()
    };
    let (exit, said) = save(&[]);
    assert_eq!(exit, 0, "{said}");
    assert!(std::fs::read(&out).unwrap() == photo, "the bytes that went in");
    assert_eq!(save(&[]).0, 1, "what is there is not overwritten");
    assert_eq!(save(&["--force"]).0, 0);

    // And the other way: what the laptop attaches goes to the phone by itself.
    let note = world.path("note.txt");
    std::fs::write(&note, "from the laptop").unwrap();
    let attach = ["messages", "--profile", &laptop, "attach", "Kim", note.to_str().unwrap(), "--text", "look"];
    let (exit, said) = Program::start(&attach).end();
    assert_eq!(exit, 0, "{said}");
    assert!(!said.contains("goes out when"), "the phone is online and has it: {said}");
    drop(online);
    let (_, listed) = Program::start(&["messages", "--profile", &phone, "files"]).end();
    assert!(listed.lines().any(|line| line.contains("here") && line.ends_with("note.txt")), "{listed}");
    world.stop();
}

/// What an import says with `--json`.
fn imported(line: &[&str]) -> serde_json::Value {
    let (exit, said) = Program::start(&[line, &["--json"]].concat()).end();
    assert_eq!(exit, 0, "{said}");
    serde_json::from_str(said.lines().find(|line| line.starts_with('{')).unwrap()).unwrap()
}

#[test]
fn a_chat_is_one_conversation_however_it_is_packed_and_named() {
    let world = World::new();
    world.link();
    let (phone, folder) = (world.text("phone"), world.path("whatsapp-export"));
    export(&folder);
    let import = |path: &str, more: &[&str]| {
        imported(&[&["import", "--profile", &phone, "--time-zone", "UTC", path], more].concat())
    };
    let first = import(folder.to_str().unwrap(), &[]);
    assert_eq!((first["messages"].as_u64(), first["known"].as_u64()), (Some(3), Some(0)));
    let archive = packed(&folder, &world.path("WhatsApp Chat - Kim.zip"));
    let again = import(&archive, &[]);
    assert_eq!((again["messages"].as_u64(), again["known"].as_u64()), (Some(0), Some(3)), "packed: {again}");
    // Without its beginning, as an export of a long chat is.
    let chat = std::fs::read_to_string(folder.join("_chat.txt")).unwrap();
    let late = chat.lines().skip(3).collect::<Vec<_>>().join("\n");
    let more = format!("{late}\n[12.03.25, 21:18:00] Kim: late\n");
    write(&world.path("late"), "_chat.txt", more.as_bytes());
    let late = import(world.path("late").to_str().unwrap(), &[]);
    assert_eq!(late["messages"].as_u64(), Some(2), "the new one, and the photo that is not beside it now: {late}");
    assert_eq!(late["known"].as_u64(), Some(1), "{late}");
    let known = import(&archive, &["--me", "Robin"]);
    assert_eq!(known["messages"].as_u64(), Some(1), "who I am is said later: {known}");
    let (_, listed) = Program::start(&["messages", "--profile", &phone, "list"]).end();
    assert_eq!(
        listed.lines().filter(|line| line.contains("whatsapp-export") || line.contains("Kim")).count(),
        1,
        "{listed}"
    );
    world.stop();
}

#[cfg(unix)]
#[test]
fn nothing_outside_of_the_folder_is_taken() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("export")).unwrap();
    std::fs::write(path("secret"), "secret").unwrap();
    let chat = "[12.03.25, 21:15:00] Kim: \u{200e}<attached: a.jpg>\n[12.03.25, 21:15:00] Kim: \u{200e}<attached: b.jpg>\n\
                [12.03.25, 21:15:00] Kim: \u{200e}<attached: c.jpg>\n[12.03.25, 21:15:00] Kim: \u{200e}<attached: ../secret>\n";
    std::fs::write(path("export/_chat.txt"), chat).unwrap();
    symlink(path("secret"), path("export/a.jpg")).unwrap();
    symlink("/dev/zero", path("export/b.jpg")).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(path("export/c.jpg")).status().unwrap().success());
    let export = path("export");
    let counted = imported(&["import", "--dry-run", "--time-zone", "UTC", export.to_str().unwrap()]);
    assert_eq!((counted["messages"].as_u64(), counted["files"].as_u64()), (Some(4), Some(0)), "{counted}");
    assert_eq!(counted["skipped"]["files outside of the export, to which a link leads"], 2, "{counted}");
    assert_eq!(counted["skipped"]["folders, devices or pipes in place of a file"], 1, "{counted}");
    assert_eq!(counted["skipped"]["files that are not beside the export"], 1, "{counted}");
    // And the chat itself.
    for name in ["_chat.txt", "result.json", "data.json"] {
        let export = path(&format!("of-{name}"));
        std::fs::create_dir(&export).unwrap();
        symlink(path("export/_chat.txt"), export.join(name)).unwrap();
        let (exit, said) = Program::start(&["import", "--dry-run", export.to_str().unwrap()]).end();
        assert_eq!(exit, 1, "{name}: {said}");
        assert!(said.contains("a link out of the folder is not followed"), "{name}: {said}");
    }
}

#[test]
fn exports_in_other_encodings_with_odd_dates_are_read_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let chat = "13/02/2024 à 21:05 - Zoë: où ?\n14/02/2024 à 9:05 - Zoë: là\n31/02/2024 à 9:05 - x: y\n15/02/2024 à 9:05 - Zoë: oui\n";
    let utf_16: Vec<u8> = format!("\u{feff}{chat}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let latin: Vec<u8> = chat.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect();
    for (name, bytes, encoding) in [("wide.txt", utf_16, "UTF-16LE"), ("latin.txt", latin, "Windows-1252")] {
        write(folder.path(), name, &bytes);
        let counted = imported(&["import", "--dry-run", &path(name)]);
        assert_eq!(counted["messages"], 3, "{counted}");
        assert_eq!(counted["encodings"], serde_json::json!([encoding]), "{counted}");
        let kept = counted["kept"].as_object().unwrap();
        assert!(kept.len() == 1 && kept.values().all(|count| count == 1), "{counted}");
        let (_, said) = Program::start(&["import", "--dry-run", &path(name)]).end();
        assert!(
            said.contains(&format!("was read as {encoding}")) && said.contains("kept 1: lines whose date"),
            "{said}"
        );
    }
}

#[test]
fn an_import_that_fails_says_nothing_of_success() {
    let folder = tempfile::tempdir().unwrap();
    let (export_folder, profile) = (folder.path().join("Kim"), folder.path().join("no-profile"));
    export(&export_folder);
    let line = ["import", "--profile", profile.to_str().unwrap(), export_folder.to_str().unwrap()];
    let (exit, said) = Program::start(&line).end();
    assert_eq!(exit, 1, "{said}");
    assert!(said.contains("there is no profile") && !said.contains("imported"), "{said}");
}

#[test]
fn files_that_were_missing_the_first_time_come_with_the_second() {
    let world = World::new();
    world.link();
    let (phone, folder) = (world.text("phone"), world.path("Kim"));
    let photo = export(&folder);
    let aside = world.path("photo.jpg");
    std::fs::rename(folder.join("0001-PHOTO.jpg"), &aside).unwrap();
    let line = ["import", "--profile", &phone, "--time-zone", "UTC", folder.to_str().unwrap()];
    let (exit, said) = Program::start(&line).end();
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("imported 3 messages and 0 files"), "{said}");
    std::fs::rename(&aside, folder.join("0001-PHOTO.jpg")).unwrap();
    let (exit, said) = Program::start(&line).end();
    assert_eq!(exit, 0, "{said}");
    assert!(said.contains("imported 1 messages and 1 files"), "{said}");
    let (_, listed) = Program::start(&["messages", "--profile", &phone, "files", "--format", "ndjson"]).end();
    let listed: serde_json::Value =
        serde_json::from_str(listed.lines().find(|line| line.starts_with('{')).unwrap()).unwrap();
    let (hash, out) = (listed["hash"].as_str().unwrap(), world.path("out.jpg"));
    let save = ["messages", "--profile", &phone, "save", &hash[..10], "--out", out.to_str().unwrap()];
    let (exit, said) = Program::start(&save).end();
    assert_eq!(exit, 0, "{said}");
    assert!(std::fs::read(&out).unwrap() == photo, "the bytes that went in");
    world.stop();
}

#[test]
fn what_is_no_export_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    write(folder.path(), "a.zip", b"PK");
    write(folder.path(), "b.txt", b"hello\n");
    write(folder.path(), "c.json", b"{}");
    write(folder.path(), "d.txt", b"03/04/2025, 21:15 - Kim: hi\n");
    write(folder.path(), "data.json", b"{}\n");
    std::fs::create_dir(folder.path().join("empty")).unwrap();
    for (name, exit, words) in [
        ("a.zip", 1, "no zip archive"),
        ("b.txt", 1, "looks like WhatsApp's"),
        ("c.json", 1, "no chat in this export"),
        ("d.txt", 2, "--date-order"),
        ("data.json", 1, "line 1"),
        ("empty", 2, "no chat export"),
        ("none", 1, "there is no"),
    ] {
        let (code, said) = Program::start(&["import", "--dry-run", &path(name)]).end();
        assert_eq!(code, exit, "{name}: {said}");
        assert!(said.contains(words), "{name}: {said}");
    }
}
