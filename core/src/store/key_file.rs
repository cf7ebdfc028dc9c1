//! A wrapping key in a file that only its owner may read: for desktops without a key store.

use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::KeyWrapError;
use super::key_wrap::{KEY_LEN, KeyWrap, unwrap_under, wrap_under};

/// First byte of a data key that was wrapped with a key file.
const KIND: u8 = 1;
/// Associated data: a blob of another kind, or from another place, does not open.
const AAD: &[u8] = b"pairlight/v1/key-file";

/// 32 random bytes in a file of mode 0600; wraps with AES-256-GCM.
///
/// It protects a copied store without its key file (a synced folder, a backup of one directory), not against somebody who reads both.
/// Where permission bits do not exist (Windows) the directory's access list is the only guard.
pub struct KeyFile {
    key: Zeroizing<[u8; KEY_LEN]>,
    rng: Mutex<Box<dyn CryptoRng + Send>>,
}

impl KeyFile {
    /// Makes a new key and its file. The file appears whole or not at all, also when the power fails.
    ///
    /// # Errors
    /// [`KeyWrapError::KeyFileExists`] when the path is taken (nothing is overwritten), [`KeyWrapError::KeyFileDisk`].
    pub fn create(path: &Path, mut rng: Box<dyn CryptoRng + Send>) -> Result<Self, KeyWrapError> {
        let disk = |source| KeyWrapError::KeyFileDisk { path: path.to_owned(), source };
        let mut key = Zeroizing::new([0; KEY_LEN]);
        rng.fill_bytes(key.as_mut_slice());

        // Written beside the path and then linked to it: linking fails when the name exists, so neither a race nor a crash leaves half a key.
        let mut tag = [0; 8];
        rng.fill_bytes(&mut tag);
        let mut draft = path.as_os_str().to_owned();
        draft.push(format!(".{:016x}.new", u64::from_be_bytes(tag)));
        let draft = PathBuf::from(draft);
        let placed = write_new(&draft, &key).and_then(|()| fs::hard_link(&draft, path));
        let removed = fs::remove_file(&draft);
        match placed {
            Ok(()) => removed.map_err(disk)?,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => {
                return Err(KeyWrapError::KeyFileExists { path: path.to_owned() });
            }
            Err(e) => return Err(disk(e)),
        }
        sync_directory_of(path).map_err(disk)?;
        Ok(Self { key, rng: Mutex::new(rng) })
    }

    /// Reads the key of an existing file.
    ///
    /// # Errors
    /// [`KeyWrapError::KeyFileMissing`], [`KeyWrapError::KeyFileExposed`] when group or others have any right,
    /// [`KeyWrapError::NotAKeyFile`], [`KeyWrapError::KeyFileDisk`].
    pub fn open(path: &Path, rng: Box<dyn CryptoRng + Send>) -> Result<Self, KeyWrapError> {
        let disk = |source| KeyWrapError::KeyFileDisk { path: path.to_owned(), source };
        // Looked at before opening: opening a pipe would block for ever.
        match fs::metadata(path) {
            Ok(found) if !found.is_file() => return Err(KeyWrapError::NotAKeyFile { path: path.to_owned() }),
            Ok(_) => {}
            Err(e) if e.kind() == ErrorKind::NotFound => {
                return Err(KeyWrapError::KeyFileMissing { path: path.to_owned() });
            }
            Err(e) => return Err(disk(e)),
        }
        let mut file = File::open(path).map_err(disk)?;
        // Asked of the open file, not of the path, which may be swapped in between.
        let found = file.metadata().map_err(disk)?;
        if let Some(mode) = exposed_mode(&found) {
            return Err(KeyWrapError::KeyFileExposed { path: path.to_owned(), mode });
        }
        if !found.is_file() || usize::try_from(found.len()) != Ok(KEY_LEN) {
            return Err(KeyWrapError::NotAKeyFile { path: path.to_owned() });
        }
        let mut key = Zeroizing::new([0; KEY_LEN]);
        file.read_exact(key.as_mut_slice()).map_err(disk)?;
        Ok(Self { key, rng: Mutex::new(rng) })
    }

    /// Opens the file, or creates it when nothing is there.
    ///
    /// # Errors
    /// As [`open`](Self::open) and [`create`](Self::create).
    pub fn open_or_create(path: &Path, rng: Box<dyn CryptoRng + Send>) -> Result<Self, KeyWrapError> {
        if fs::symlink_metadata(path).is_ok() { Self::open(path, rng) } else { Self::create(path, rng) }
    }
}

impl KeyWrap for KeyFile {
    fn wrap(&self, dek: &[u8; KEY_LEN]) -> Result<Vec<u8>, KeyWrapError> {
        // A poisoned lock only means that another thread panicked; a random source has no half state.
        let mut rng = self.rng.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        wrap_under(KIND, AAD, &self.key, dek, &mut *rng)
    }

    fn unwrap_key(&self, wrapped: &[u8]) -> Result<Zeroizing<[u8; KEY_LEN]>, KeyWrapError> {
        unwrap_under(KIND, AAD, &self.key, wrapped)
    }
}

impl std::fmt::Debug for KeyFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("KeyFile(..)")
    }
}

/// Writes a file that did not exist, readable by its owner only from its first moment, and syncs it.
fn write_new(path: &Path, bytes: &[u8; KEY_LEN]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes a new directory entry durable.
fn sync_directory_of(path: &Path) -> std::io::Result<()> {
    #[cfg(unix)]
    File::open(super::place::directory_of(path))?.sync_all()?;
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

/// The permission bits, when somebody else than the owner has any.
fn exposed_mode(found: &fs::Metadata) -> Option<u32> {
    #[cfg(unix)]
    {
        let mode = std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o777;
        (mode & 0o077 != 0).then_some(mode)
    }
    #[cfg(not(unix))]
    {
        let _ = found;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;

    fn rng(seed: u64) -> Box<dyn CryptoRng + Send> {
        Box::new(ChaCha20Rng::seed_from_u64(seed))
    }

    #[test]
    fn a_wrapped_key_opens_with_the_same_file_only() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("key"), dir.path().join("other"));
        let wrapped = KeyFile::create(&here, rng(1)).unwrap().wrap(&[7; 32]).unwrap();
        assert_eq!(*KeyFile::open(&here, rng(2)).unwrap().unwrap_key(&wrapped).unwrap(), [7; 32]);
        let other = KeyFile::open_or_create(&there, rng(3)).unwrap();
        assert!(matches!(other.unwrap_key(&wrapped), Err(KeyWrapError::WrongKey)));
        assert!(matches!(other.unwrap_key(&[]), Err(KeyWrapError::OtherKind)));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no draft stays behind");
    }

    #[test]
    fn a_flipped_byte_of_a_wrapped_key_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::create(&dir.path().join("key"), rng(1)).unwrap();
        let wrapped = file.wrap(&[7; 32]).unwrap();
        for at in 0..wrapped.len() {
            let mut bad = wrapped.clone();
            bad[at] ^= 1;
            assert!(file.unwrap_key(&bad).is_err(), "byte {at}");
            assert!(file.unwrap_key(&wrapped[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_existing_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(&path, b"precious").unwrap();
        assert!(matches!(KeyFile::create(&path, rng(1)), Err(KeyWrapError::KeyFileExists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no draft stays behind");
    }

    #[test]
    fn a_missing_or_foreign_file_is_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        assert!(matches!(KeyFile::open(&path, rng(1)), Err(KeyWrapError::KeyFileMissing { .. })));
        assert!(matches!(KeyFile::open(dir.path(), rng(1)), Err(KeyWrapError::NotAKeyFile { .. })));
        let missing = dir.path().join("no/key");
        assert!(matches!(KeyFile::open_or_create(&missing, rng(1)), Err(KeyWrapError::KeyFileDisk { .. })));
        KeyFile::create(&path, rng(1)).unwrap();
        fs::write(&path, [1; 31]).unwrap();
        assert!(matches!(KeyFile::open(&path, rng(1)), Err(KeyWrapError::NotAKeyFile { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_key_file_that_others_can_read_is_refused_with_the_cure() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        KeyFile::create(&path, rng(1)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        for mode in [0o640, 0o604, 0o610, 0o602, 0o666, 0o755] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let error = KeyFile::open(&path, rng(1)).unwrap_err();
            assert!(matches!(error, KeyWrapError::KeyFileExposed { mode: m, .. } if m == mode), "{error}");
            assert!(error.to_string().contains(&format!("chmod 600 '{}'", path.display())), "{error}");
        }
        for mode in [0o600, 0o400] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            KeyFile::open(&path, rng(1)).unwrap();
        }
    }
}
