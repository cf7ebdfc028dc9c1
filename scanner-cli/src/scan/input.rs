//! From what was typed to bytes: files, folders, standard input; a picture or a recording by its first bytes.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use pairlight_core::frame::FrameError;
use thiserror::Error;

use super::pipe::PatientInput;
use crate::interrupt::Interrupt;
use crate::y4m::{self, Y4mError};

/// Largest picture file that is read. Longer inputs must be recordings, which are read frame by frame.
const MAX_PICTURE_BYTES: u64 = 256 << 20;
/// Files in a folder that are looked at; anything can be named by itself.
const EXTENSIONS: [&str; 17] = [
    "avif", "bmp", "gif", "heic", "jfif", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "qoi", "tif", "tiff",
    "webp", "y4m",
];
/// Folders below folders; deeper is a loop of mounts or an attack.
const MAX_DEPTH: u32 = 64;

/// Why one input could not be scanned. The others still are.
#[derive(Debug, Error)]
pub(crate) enum InputError {
    /// The file cannot be opened or read.
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    /// A folder without pictures: probably the wrong one.
    #[error("the folder holds no pictures or recordings")]
    EmptyFolder,
    /// No picture format is recognised by the first bytes.
    #[error("not a picture or recording that is known here")]
    UnknownFormat,
    /// A format of phones that no free decoder here reads.
    #[error("HEIC and AVIF pictures cannot be read")]
    PhoneFormat,
    /// The format is known but the contents are damaged or too large.
    #[error("the picture cannot be decoded: {0}")]
    Picture(#[from] image::ImageError),
    /// The picture's size cannot be scanned.
    #[error("the picture cannot be scanned: {0}")]
    Frame(#[from] FrameError),
    /// More bytes than any picture has.
    #[error("the file is larger than {} MB", MAX_PICTURE_BYTES >> 20)]
    TooLarge,
    /// The recording is damaged.
    #[error("the recording is damaged: {0}")]
    Recording(#[from] Y4mError),
}

impl InputError {
    /// Whether nothing is wrong with the input: the time for it was over, or Ctrl-C was pressed.
    pub(super) fn is_given_up(&self) -> bool {
        let (InputError::Io(error) | InputError::Recording(Y4mError::Io { source: error, .. })) = self else {
            return false;
        };
        matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::ConnectionAborted)
    }

    /// What the person can do about it.
    pub(super) fn remedy(&self) -> &'static str {
        match self {
            InputError::Io(error) if error.kind() == io::ErrorKind::NotFound => "check the name",
            InputError::Io(_) => "check the file and its permissions",
            InputError::EmptyFolder => "name another folder, or the files themselves",
            InputError::UnknownFormat => "convert it to PNG or JPEG; BMP, GIF, PNM, TIFF, WebP and Y4M are read too",
            InputError::PhoneFormat => "convert it to JPEG first",
            InputError::Picture(_) | InputError::Recording(_) => "get the file again, or convert it to PNG or Y4M",
            InputError::Frame(_) | InputError::TooLarge => "cut the picture to the code",
        }
    }
}

/// One thing to scan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Input {
    /// Standard input.
    Stdin,
    /// A file.
    File(PathBuf),
}

/// An input, sorted by its first bytes.
pub(super) enum Opened {
    /// The whole file.
    Picture(Vec<u8>),
    /// A Y4M stream from its beginning.
    Recording(Box<dyn Read>),
}

/// The inputs behind one argument, each with its name for messages and JSON: itself, or the files of a folder sorted by
/// their paths. A folder that cannot be read is one failed input among the others.
pub(super) fn expand(path: &Path) -> Vec<(String, Result<Input, InputError>)> {
    if path == Path::new("-") {
        return vec![("standard input".into(), Ok(Input::Stdin))];
    }
    if !path.is_dir() {
        return vec![(path.display().to_string(), Ok(Input::File(path.to_owned())))];
    }
    let mut found = Vec::new();
    collect(path, MAX_DEPTH, &mut found);
    if found.is_empty() {
        return vec![(path.display().to_string(), Err(InputError::EmptyFolder))];
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    found
        .into_iter()
        .map(|(path, failed)| {
            let name = path.display().to_string();
            (name, failed.map_or(Ok(Input::File(path)), |error| Err(error.into())))
        })
        .collect()
}

/// Gathers pictures and recordings below a folder, and folders that cannot be read. Links to folders are not followed,
/// so loops cannot happen.
fn collect(folder: &Path, depth: u32, found: &mut Vec<(PathBuf, Option<io::Error>)>) {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return found.push((folder.to_owned(), Some(error))),
    };
    for entry in entries {
        match entry.and_then(|entry| Ok((entry.path(), entry.file_type()?))) {
            Ok((path, kind)) if kind.is_dir() => {
                if let Some(depth) = depth.checked_sub(1) {
                    collect(&path, depth, found);
                }
            }
            Ok((path, _)) if has_known_extension(&path) => found.push((path, None)),
            Ok(_) => {}
            Err(error) => found.push((folder.to_owned(), Some(error))),
        }
    }
}

fn has_known_extension(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| extension.eq_ignore_ascii_case(known))
}

impl Input {
    /// Opens the input and tells by its first bytes what it is. Standard input is waited for until the deadline or Ctrl-C.
    pub(super) fn open(&self, deadline: Option<Instant>, interrupt: &Interrupt) -> Result<Opened, InputError> {
        match self {
            Input::Stdin => sort(PatientInput::new(deadline, interrupt.clone())?),
            Input::File(path) => sort(File::open(path)?),
        }
    }
}

fn sort(mut input: impl Read + 'static) -> Result<Opened, InputError> {
    let mut start = Vec::new();
    (&mut input).take(y4m::MAGIC.len() as u64).read_to_end(&mut start)?;
    let is_recording = start == y4m::MAGIC;
    let whole = io::Cursor::new(start).chain(input);
    if is_recording {
        return Ok(Opened::Recording(Box::new(BufReader::with_capacity(1 << 16, whole))));
    }
    let mut bytes = Vec::new();
    whole.take(MAX_PICTURE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_PICTURE_BYTES {
        return Err(InputError::TooLarge);
    }
    Ok(Opened::Picture(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_its_pictures_to_the_bottom_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("b/deep")).unwrap();
        for name in ["z.PNG", "a.jpg", "b/deep/x.y4m", "b/notes.txt", "README"] {
            fs::write(root.join(name), b"").unwrap();
        }
        let found: Vec<Input> = expand(root).into_iter().map(|(_, input)| input.unwrap()).collect();
        let expected = ["a.jpg", "b/deep/x.y4m", "z.PNG"].map(|name| Input::File(root.join(name)));
        assert_eq!(found, expected);
    }

    #[test]
    fn a_folder_without_pictures_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(expand(folder.path())[..], [(_, Err(InputError::EmptyFolder))]));
    }
}
