//! One short name for each call: in every line that the log has of it, and in the words of its refusal. Who reports an error
//! has it on the screen, and the operator finds the line.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::Instrument;

/// Header of every answer.
pub(crate) const HEADER: &str = "pairlight-request";

tokio::task_local! {
    static CALL: CallId;
}

/// The name of a call, eight hexadecimal digits. Says nothing about who called; not a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallId(u32);

impl fmt::Display for CallId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

/// Names that do not come again for long: a counter that begins elsewhere in each run, spread over all numbers.
pub(crate) struct CallIds(AtomicU64);

impl CallIds {
    pub(crate) fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(AtomicU64::new(u64::try_from(now.as_micros()).unwrap_or_default()))
    }

    pub(crate) fn next(&self) -> CallId {
        let count = self.0.fetch_add(1, Ordering::Relaxed);
        // Odd, so that no two of 2^32 counts in a row give the same name.
        let spread = count.wrapping_mul(0x9e37_79b1);
        CallId(u32::try_from(spread & u64::from(u32::MAX)).unwrap_or_default())
    }
}

impl CallId {
    /// Does `work` under this name.
    pub(crate) fn around<F: Future>(self, work: F) -> impl Future<Output = F::Output> {
        CALL.scope(self, work.instrument(tracing::info_span!("call", request = %self)))
    }

    /// The name of the call that this task is at.
    pub(crate) fn current() -> Option<Self> {
        CALL.try_with(|id| *id).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[tokio::test]
    async fn names_differ_and_hold_for_one_call() {
        let ids = CallIds::new();
        let names: HashSet<String> = (0..100_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(names.len(), 100_000);
        assert!(names.iter().all(|name| name.len() == 8));
        assert!(CallId::current().is_none());
        let id = ids.next();
        assert!(id.around(async { CallId::current() == Some(id) }).await);
    }
}
