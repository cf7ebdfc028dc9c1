//! Waiting on a line.

use std::time::Duration;

use pairlight_bindings::{Sync, SyncEvent};

/// Nothing here takes longer unless it is broken.
const PATIENCE: Duration = Duration::from_secs(60);

/// Takes events until one gives what is waited for.
pub(crate) async fn until<T>(line: &Sync, mut wanted: impl FnMut(SyncEvent) -> Option<T>) -> T {
    let wait = async {
        loop {
            if let Some(found) = wanted(line.next_event().await.unwrap().expect("the line is open")) {
                return found;
            }
        }
    };
    tokio::time::timeout(PATIENCE, wait).await.expect("it never came")
}
