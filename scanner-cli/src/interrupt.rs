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
    /// Starts to listen: from here on Ctrl-C is heard. Where no handler can be installed it keeps its default meaning: the
    /// process dies.
    pub(crate) fn listen() -> Self {
        let interrupt = Interrupt::default();
        let raised = Arc::clone(&interrupt.raised);
        let (installed, is_installed) = std::sync::mpsc::channel::<()>();
        let listener = std::thread::Builder::new().name("pairlight-interrupt".into()).spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
            runtime.block_on(async {
                let Some(mut asked) = AskedToEnd::install() else { return };
                drop(installed);
                if !asked.hear().await {
                    return;
                }
                raised.store(true, Ordering::SeqCst);
                // Either outcome means that it is time to go.
                drop(tokio::time::timeout(GRACE, asked.hear()).await);
                std::process::exit(i32::from(Exit::Interrupted.code()));
            });
        });
        // The thread lives as long as the process; without it Ctrl-C simply stays what the system made it.
        drop(listener);
        // Nothing is sent: the other end is dropped when the handler is installed, or when it cannot be.
        let _ = is_installed.recv();
        interrupt
    }

    /// True from the first Ctrl-C on.
    pub(crate) fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }
}

/// Hears Ctrl-C, the end of the terminal, and `kill`.
#[cfg(unix)]
struct AskedToEnd([tokio::signal::unix::Signal; 3]);

#[cfg(unix)]
impl AskedToEnd {
    fn install() -> Option<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()];
        let [interrupt, terminate, hang_up] = kinds.map(|kind| signal(kind).ok());
        Some(Self([interrupt?, terminate?, hang_up?]))
    }

    /// Waits for one of them; `false` when none can be heard any more.
    async fn hear(&mut self) -> bool {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            heard = interrupt.recv() => heard.is_some(),
            heard = terminate.recv() => heard.is_some(),
            heard = hang_up.recv() => heard.is_some(),
        }
    }
}

/// Hears Ctrl-C.
#[cfg(windows)]
struct AskedToEnd(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl AskedToEnd {
    fn install() -> Option<Self> {
        tokio::signal::windows::ctrl_c().ok().map(Self)
    }

    /// Waits for it; `false` when it cannot be heard any more.
    async fn hear(&mut self) -> bool {
        self.0.recv().await.is_some()
    }
}
