//! Ctrl-C, a closed terminal and `kill` as a flag that loops look at, so that a recording ends with whole frames and a lock is released.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::exit::Exit;

/// How long the work may take to end by itself after Ctrl-C.
const GRACE: Duration = Duration::from_millis(1500);

/// Whether the person pressed Ctrl-C. The first press raises the flag. A second one, or a loop that does not end in time
/// because it waits for a pipe or a driver, ends the process at once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt {
    raised: Arc<AtomicBool>,
}

impl Interrupt {
    /// Starts to listen. Where no handler can be installed Ctrl-C keeps its default meaning: the process dies.
    pub(crate) fn listen() -> Self {
        let interrupt = Interrupt::default();
        let raised = Arc::clone(&interrupt.raised);
        let listener = std::thread::Builder::new().name("pairlight-interrupt".into()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                if !asked_to_end().await {
                    return;
                }
                raised.store(true, Ordering::SeqCst);
                // Either outcome means that it is time to go.
                drop(tokio::time::timeout(GRACE, asked_to_end()).await);
                std::process::exit(i32::from(Exit::Interrupted.code()));
            });
        });
        // The thread lives as long as the process; without it Ctrl-C simply stays what the system made it.
        drop(listener);
        interrupt
    }

    /// True from the first Ctrl-C on.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }
}

/// Waits for Ctrl-C, the end of the terminal, or `kill`; `false` when none of them can be heard.
#[cfg(unix)]
async fn asked_to_end() -> bool {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate), Ok(mut hang_up)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()), signal(SignalKind::hangup()))
    else {
        return false;
    };
    tokio::select! {
        heard = interrupt.recv() => heard.is_some(),
        heard = terminate.recv() => heard.is_some(),
        heard = hang_up.recv() => heard.is_some(),
    }
}

#[cfg(not(unix))]
async fn asked_to_end() -> bool {
    tokio::signal::ctrl_c().await.is_ok()
}
