//! The border: no panic crosses it. The process lives, the caller gets [`PairlightError::Internal`].
//!
//! uniffi would turn a panic into an exception outside the closed error of this crate. So each exported function is named
//! here once, and a test reads the sources for one that is not.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use crate::error::PairlightError;

/// Runs the body of the exported function `name`, such as `Scanner.submit`.
pub(crate) fn contain<T>(name: &str, body: impl FnOnce() -> Result<T, PairlightError>) -> Result<T, PairlightError> {
    // Nothing half done is seen afterwards: what is shared lies behind locks that are taken again whatever happened.
    catch_unwind(AssertUnwindSafe(|| {
        planted(name);
        body()
    }))
    .unwrap_or_else(|_| Err(PairlightError::internal(name)))
}

/// The same for a future that is polled by the caller.
pub(crate) async fn contain_async<T>(
    name: &str,
    body: impl Future<Output = Result<T, PairlightError>>,
) -> Result<T, PairlightError> {
    let mut body = pin!(async {
        planted_for_long(name).await;
        body.await
    });
    std::future::poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(context))) {
        Ok(polled) => polled,
        Err(_) => Poll::Ready(Err(PairlightError::internal(name))),
    })
    .await
}

/// In development builds: panics in the function whose name stands in the file that `PAIRLIGHT_PANIC_IN` names. The tests
/// of Rust and of Kotlin show by it that each function contains a panic. A release has nothing of it.
#[cfg(debug_assertions)]
pub(crate) fn planted(name: &str) {
    assert!(!is_planted(name), "a panic was planted in {name}");
}

/// The same where it may wait: for ever in the function whose name stands there after `hold`. The tests show by it that a call
/// which nobody waits for any more ends.
#[cfg(debug_assertions)]
pub(crate) async fn planted_for_long(name: &str) {
    planted(name);
    if is_planted(&format!("hold {name}")) {
        std::future::pending::<()>().await;
    }
}

#[cfg(debug_assertions)]
fn is_planted(word: &str) -> bool {
    use std::path::PathBuf;
    use std::sync::OnceLock;
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    let file = FILE.get_or_init(|| std::env::var_os("PAIRLIGHT_PANIC_IN").map(PathBuf::from));
    file.as_ref().is_some_and(|file| std::fs::read_to_string(file).is_ok_and(|planted| planted.trim() == word))
}

#[cfg(not(debug_assertions))]
pub(crate) fn planted(_: &str) {}

#[cfg(not(debug_assertions))]
pub(crate) async fn planted_for_long(_: &str) {}
