//! Exports as phones hand them over: packed. They are unpacked into a private folder that goes when the import ends.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use zip::ZipArchive;
use zip::result::ZipError;

use super::{Exit, Failure, Interrupt, Voice};

/// Most bytes that come out of one archive: far more than a chat has, and far less than a bomb.
const UNPACKED_BYTES: u64 = 32 * 1024 * 1024 * 1024;
/// What to do after an interrupt.
pub(super) const AGAIN: &str = "nothing was imported: start it again";
/// Most files and folders in one archive.
const ENTRIES: usize = 200_000;

/// Begins the name of the folder into which an archive is unpacked.
const PREFIX: &str = "pairlight-import-";
/// A file in it that is locked as long as somebody needs the folder.
const IN_USE: &str = ".in-use";

/// An archive that lies unpacked as long as this lives.
pub(super) struct Unpacked {
    _in_use: File,
    _folder: TempDir,
    /// Where the export begins.
    pub(super) path: PathBuf,
}

/// Unpacks a zip archive. The folder has the archive's name, because an export may be named by nothing else.
pub(super) fn unpack(archive: &Path, interrupt: &Interrupt, voice: Voice) -> Result<Unpacked, Failure> {
    unpack_at_most(archive, UNPACKED_BYTES, interrupt, voice)
}

pub(super) fn unpack_at_most(
    archive: &Path,
    room: u64,
    interrupt: &Interrupt,
    voice: Voice,
) -> Result<Unpacked, Failure> {
    let bad = |error: ZipError| match error {
        ZipError::Io(error) => cannot("read", archive, &error),
        _ => {
            let what = format!("{} is no zip archive that can be unpacked: {error}", archive.display());
            Failure::new(Exit::Error, what, "fetch it again, or unpack it yourself and give the folder")
        }
    };
    let file = File::open(archive).map_err(|error| cannot("open", archive, &error))?;
    let mut zip = ZipArchive::new(io::BufReader::new(file)).map_err(bad)?;
    clear_up(&std::env::temp_dir());
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX);
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o700));
    let folder = builder.tempdir();
    let folder = folder.map_err(|error| cannot("make a folder in", &std::env::temp_dir(), &error))?;
    let in_use = File::create_new(folder.path().join(IN_USE)).and_then(|file| file.lock().map(|()| file));
    let in_use = in_use.map_err(|error| cannot("write in", folder.path(), &error))?;
    let root = folder.path().join(archive.file_stem().unwrap_or_default());
    fs::create_dir(&root).map_err(|error| cannot("make", &root, &error))?;
    let too_large = || {
        let what = format!("{} unpacks to more than a chat export has", archive.display());
        Failure::new(Exit::Error, what, "unpack it yourself, and give the folder")
    };
    let (count, mut left, mut piece) = (zip.len(), room, vec![0; 1 << 16]);
    if count > ENTRIES {
        return Err(too_large());
    }
    for index in 0..count {
        let mut entry = zip.by_index(index).map_err(bad)?;
        // A name that leads out of the folder, and a link to anywhere, are of no export.
        let Some(name) = entry.enclosed_name().filter(|_| !entry.is_symlink()) else { continue };
        let path = root.join(name);
        if entry.is_dir() {
            fs::create_dir_all(&path).map_err(|error| cannot("make", &path, &error))?;
            continue;
        }
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| cannot("make", parent, &error))?;
        }
        let mut out = File::create_new(&path).map_err(|error| cannot("write", &path, &error))?;
        loop {
            // Often, because the program may not take long to end, and the folder must go before.
            if interrupt.is_raised() {
                return Err(Failure::new(Exit::Interrupted, "interrupted while unpacking", AGAIN));
            }
            let read = entry.read(&mut piece).map_err(|error| cannot("unpack", archive, &error))?;
            let Some(content) = piece.get(..read).filter(|content| !content.is_empty()) else { break };
            // The size that it claims is not believed.
            left = left.checked_sub(read as u64).ok_or_else(too_large)?;
            out.write_all(content).map_err(|error| cannot("write", &path, &error))?;
        }
        voice.progress(Some(format_args!("unpacking: {} of {count} files", index + 1)));
    }
    voice.progress(None);
    // People pack the folder as often as what is in it.
    let inside: Vec<PathBuf> = super::entries(&root, |name| !name.starts_with("__MACOSX") && name != ".DS_Store")?;
    let path = match inside.as_slice() {
        [only] if only.is_dir() && !only.join("data.json").is_file() => only.clone(),
        _ => root,
    };
    Ok(Unpacked { _in_use: in_use, _folder: folder, path })
}

/// Removes what an import that was killed has left: it holds in clear what its archive holds.
fn clear_up(folder: &Path) {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let of_imports = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)).map(|e| e.path());
    for path in of_imports.filter(|path| is_left_by_import(path)) {
        // Somebody else's cannot be opened; one of a running import is locked.
        let lock = File::options().write(true).open(path.join(IN_USE));
        if lock.is_ok_and(|lock| lock.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

/// Whether a folder is as an import makes it: private, with a plain file in it. Others may have put there what waits for ever
/// when it is opened, or leads elsewhere; into a private folder nobody else can put anything.
fn is_left_by_import(path: &Path) -> bool {
    let is_private = |folder: &fs::Metadata| {
        #[cfg(unix)]
        let is_private = std::os::unix::fs::MetadataExt::mode(folder) & 0o077 == 0;
        #[cfg(not(unix))]
        let is_private = true;
        folder.is_dir() && is_private
    };
    fs::symlink_metadata(path).is_ok_and(|folder| is_private(&folder))
        && fs::symlink_metadata(path.join(IN_USE)).is_ok_and(|in_use| in_use.is_file())
}

fn cannot(what: &str, path: &Path, error: &io::Error) -> Failure {
    let remedy = match error.kind() {
        io::ErrorKind::StorageFull => "free some space, or let TMPDIR name a folder with more",
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => "fetch it again",
        _ => "check that it is there and yours to use",
    };
    Failure::new(Exit::Error, format!("cannot {what} {}: {error}", path.display()), remedy)
}

#[cfg(test)]
mod tests {
    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    fn silent() -> Voice {
        Voice::new(crate::style::ColorChoice::Never, true)
    }

    fn packed(folder: &Path, entries: &[(&str, &[u8])]) -> PathBuf {
        let path = folder.join("WhatsApp Chat - Kim.zip");
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (name, content) in entries {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(content).unwrap();
        }
        zip.finish().unwrap();
        path
    }

    #[test]
    fn what_comes_out_lies_in_a_private_folder_of_the_archives_name_and_goes() {
        let folder = tempfile::tempdir().unwrap();
        let archive = packed(folder.path(), &[("_chat.txt", b"chat"), ("a/b.jpg", &[7; 100_000])]);
        let unpacked = unpack(&archive, &Interrupt::default(), silent()).unwrap();
        assert!(unpacked.path.ends_with("WhatsApp Chat - Kim"));
        assert_eq!(fs::read(unpacked.path.join("_chat.txt")).unwrap(), b"chat");
        assert_eq!(fs::read(unpacked.path.join("a/b.jpg")).unwrap(), [7; 100_000]);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(unpacked.path.parent().unwrap()).unwrap().permissions().mode();
            assert_eq!(mode & 0o077, 0, "others can look in: {mode:o}");
        }
        let path = unpacked.path.clone();
        drop(unpacked);
        assert!(!path.exists());
    }

    #[test]
    fn a_packed_folder_is_looked_into_and_names_that_lead_out_are_left() {
        let folder = tempfile::tempdir().unwrap();
        let entries: [(&str, &[u8]); 3] =
            [("ChatExport/result.json", b"{}"), ("../outside", b"no"), ("__MACOSX/x", b"")];
        let unpacked = unpack(&packed(folder.path(), &entries), &Interrupt::default(), silent()).unwrap();
        assert!(unpacked.path.join("result.json").is_file());
        let all = walk(unpacked._folder.path());
        assert!(!all.iter().any(|path| path.ends_with("outside")), "{all:?}");
        assert!(!folder.path().join("outside").exists());
    }

    #[test]
    fn a_bomb_is_stopped_and_a_link_to_elsewhere_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let archive = packed(folder.path(), &[("_chat.txt", &[0; 5_000])]);
        let error = unpack_at_most(&archive, 4_999, &Interrupt::default(), silent()).err().expect("refused");
        assert!(format!("{error:?}").contains("unpacks to more"), "{error:?}");
        assert!(unpack_at_most(&archive, 5_000, &Interrupt::default(), silent()).is_ok());

        let mut zip = ZipWriter::new(File::create(&archive).unwrap());
        zip.add_symlink("secrets", "/etc/passwd", SimpleFileOptions::default()).unwrap();
        zip.start_file("_chat.txt", SimpleFileOptions::default()).unwrap();
        zip.finish().unwrap();
        let unpacked = unpack(&archive, &Interrupt::default(), silent()).unwrap();
        assert!(fs::symlink_metadata(unpacked.path.join("secrets")).is_err());
        assert!(unpacked.path.join("_chat.txt").is_file());
    }

    #[test]
    fn what_a_killed_import_left_is_removed_by_the_next_one_and_what_is_in_use_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let left = |name: &str| {
            let path = private(&folder.path().join(name));
            fs::write(path.join("_chat.txt"), "chat").unwrap();
            (File::create_new(path.join(IN_USE)).unwrap(), path)
        };
        let (_, killed) = left("pairlight-import-killed");
        let (lock, running) = left("pairlight-import-running");
        let (_, other) = left("of-another-program");
        lock.lock().unwrap();
        clear_up(folder.path());
        assert_eq!([killed.exists(), running.exists(), other.exists()], [false, true, true]);
        drop(lock);
        clear_up(folder.path());
        assert!(!running.exists());
    }

    fn private(path: &Path) -> PathBuf {
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(path).unwrap();
        path.to_owned()
    }

    #[cfg(unix)]
    #[test]
    fn what_another_user_made_to_look_like_an_import_is_not_opened() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let made = |name: &str| private(&folder.path().join(name));
        // One that everybody may write to, and one with a pipe in it: opened for writing, it waits for a reader.
        let (shared, piped) = (made("pairlight-import-shared"), made("pairlight-import-piped"));
        fs::set_permissions(&shared, fs::Permissions::from_mode(0o777)).unwrap();
        File::create_new(shared.join(IN_USE)).unwrap();
        let pipe = piped.join(IN_USE);
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        // With a reader it opens at once, so that this test ends also without the check.
        let _reader = File::options().read(true).write(true).open(&pipe).unwrap();
        // A link to a folder elsewhere.
        let elsewhere = made("elsewhere");
        File::create_new(elsewhere.join(IN_USE)).unwrap();
        let linked = folder.path().join("pairlight-import-linked");
        std::os::unix::fs::symlink(&elsewhere, &linked).unwrap();
        clear_up(folder.path());
        let left = [&shared, &piped, &elsewhere, &linked].map(|path| path.join(IN_USE).exists());
        assert_eq!(left, [true; 4]);
    }

    fn walk(folder: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(walk(&path));
            }
            found.push(path);
        }
        found
    }

    #[test]
    fn a_damaged_archive_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let archive = packed(folder.path(), &[("_chat.txt", &[3; 50_000])]);
        let mut bytes = fs::read(&archive).unwrap();
        for byte in bytes.iter_mut().skip(45).take(20) {
            *byte ^= 0x55;
        }
        fs::write(&archive, &bytes).unwrap();
        let error = unpack(&archive, &Interrupt::default(), silent()).err().expect("refused");
        assert!(format!("{error:?}").contains("Kim.zip"), "{error:?}");
    }
}
