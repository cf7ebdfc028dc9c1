//! The page of the linked device, as the relay serves it: files that were built before (`make web`), read once, sent with the
//! headers that keep everything else out.

use std::collections::BTreeMap;
use std::path::Path;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::error::RelayError;

/// Longest file of a page: more is not one of ours.
const FILE_BYTES: u64 = 16 << 20;

/// The hashes of all other files, by which a person checks the page (`scripts/check-page.sh`).
const SUMS: &str = "sha256sums.txt";

/// The files of a page by their names.
#[derive(Clone, Default)]
pub struct Page {
    files: BTreeMap<String, Bytes>,
}

impl Page {
    /// Reads the files of a folder, `index.html` among them. Folders in it are left out.
    ///
    /// # Errors
    /// [`RelayError::Page`].
    pub fn read(folder: &Path) -> Result<Self, RelayError> {
        let fault = |source| RelayError::Page { path: folder.to_owned(), source };
        let mut files = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(fault)? {
            let entry = entry.map_err(fault)?;
            let found = entry.metadata().map_err(fault)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if found.is_file() && found.len() <= FILE_BYTES && media_type(&name).is_some() {
                files.insert(name, Bytes::from(std::fs::read(entry.path()).map_err(fault)?));
            }
        }
        if !files.contains_key("index.html") {
            return Err(fault(std::io::Error::new(std::io::ErrorKind::NotFound, "there is no index.html in it")));
        }
        Ok(Self { files })
    }

    /// The page that was there when this program was built; `None` when none was.
    #[must_use]
    pub fn built_in() -> Option<Self> {
        let files = BUILT_IN.iter().map(|(name, bytes)| ((*name).to_owned(), Bytes::from_static(bytes)));
        let files: BTreeMap<String, Bytes> = files.collect();
        (!files.is_empty()).then_some(Self { files })
    }

    /// Answers for a path; `None` when it is not the page's. `host` is the name of the relay.
    pub(crate) fn answer(&self, method: &Method, path: &str, host: &str) -> Option<Response> {
        let name = match path.strip_prefix('/')? {
            "" => "index.html",
            name => name,
        };
        let (bytes, kind) = (self.files.get(name)?, media_type(name)?);
        if !matches!(*method, Method::GET | Method::HEAD) {
            return None;
        }
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        put(header::CONTENT_TYPE, kind);
        // A name that carries the hash of its content never means anything else.
        put(
            header::CACHE_CONTROL,
            if ["index.html", SUMS].contains(&name) { "no-cache" } else { "public, max-age=31536000, immutable" },
        );
        put(header::CONTENT_SECURITY_POLICY, &policy(host));
        put(header::REFERRER_POLICY, "no-referrer");
        put(HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
        put(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
        put(HeaderName::from_static("permissions-policy"), "geolocation=(), microphone=(), payment=(), usb=()");
        Some((StatusCode::OK, headers, bytes.clone()).into_response())
    }
}

/// What a page may load and do: its own files, its own relay, nothing written into the document.
fn policy(host: &str) -> String {
    format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src data: blob:; \
         connect-src 'self' ws://{host} wss://{host}; worker-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types pairlight"
    )
}

fn media_type(name: &str) -> Option<&'static str> {
    if name == SUMS {
        return Some("text/plain; charset=utf-8");
    }
    Some(match name.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        _ => return None,
    })
}

include!(concat!(env!("OUT_DIR"), "/page.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("index.html", "<!doctype html>"), ("page-1.js", "1"), (SUMS, ""), ("notes.txt", "no")] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        folder
    }

    #[test]
    fn only_the_files_of_the_page_are_served_and_with_its_policy() {
        let folder = folder();
        let page = Page::read(folder.path()).unwrap();
        let answer = page.answer(&Method::GET, "/", "relay.example").unwrap();
        let policy = answer.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.contains("frame-ancestors 'none'") && policy.contains("wss://relay.example"));
        assert!(!policy.contains("unsafe-inline") && !policy.contains("'unsafe-eval'"), "{policy}");
        assert_eq!(answer.headers()[header::CACHE_CONTROL], "no-cache");
        let script = page.answer(&Method::GET, "/page-1.js", "relay.example").unwrap();
        assert!(script.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        // Whoever checks the page must see what is served now.
        let sums = page.answer(&Method::GET, "/sha256sums.txt", "relay.example").unwrap();
        assert_eq!(sums.headers()[header::CACHE_CONTROL], "no-cache");
        for path in ["/notes.txt", "/../Cargo.toml", "/page-1.js/", "", "/v1/relay"] {
            assert!(page.answer(&Method::GET, path, "relay.example").is_none(), "{path}");
        }
        assert!(page.answer(&Method::POST, "/", "relay.example").is_none());
    }

    #[test]
    fn a_folder_without_a_page_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Page::read(folder.path()).is_err());
        assert!(Page::read(&folder.path().join("absent")).is_err());
    }
}
